//! The counter that is on the path of a few nanoseconds: a thread adds to a number of its own, without a locked instruction.

use std::cell::Cell;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Threads that have a line to themselves; the others share the last one.
const SEATS: usize = u32::BITS as usize - 1;
/// The line that threads share.
const SHARED: usize = SEATS;
/// No line is chosen yet.
const NONE: usize = usize::MAX;

/// A bit for each line that has an owner.
static TAKEN: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// The line of this thread, without a destructor: it is read with every hit.
    static LINE: Cell<usize> = const { Cell::new(NONE) };
    static SEAT: Seat = Seat::take();
}

/// The right to a line, until the thread ends.
struct Seat(usize);

impl Seat {
    fn take() -> Self {
        let first_free = |taken: u32| match taken.trailing_ones() as usize {
            SHARED.. => None,
            free => Some(taken | 1 << free),
        };
        // Acquires what the owner before has counted.
        match TAKEN.try_update(Ordering::Acquire, Ordering::Relaxed, first_free) {
            Ok(taken) => Self(taken.trailing_ones() as usize),
            Err(_) => Self(SHARED),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Other destructors of this thread may still count.
        LINE.set(SHARED);
        if self.0 != SHARED {
            TAKEN.fetch_and(!(1 << self.0), Ordering::Release);
        }
    }
}

/// Chooses the line of this thread.
#[cold]
fn choose() -> usize {
    let line = SEAT.try_with(|seat| seat.0).unwrap_or(SHARED);
    LINE.set(line);
    line
}

/// Two cache lines, for processors fetch them in pairs.
#[repr(align(128))]
#[derive(Debug, Default)]
struct Line(AtomicU64);

/// Hits in this process.
#[derive(Debug, Default)]
pub(super) struct Hits([Line; SEATS + 1]);

impl Hits {
    /// Counts one, and tells how many this thread's line had.
    #[inline]
    pub(super) fn count(&self) -> u64 {
        let line = match LINE.get() {
            NONE => choose(),
            line => line,
        };
        let Line(count) = &self.0[line & SEATS];
        if line == SHARED {
            return count.fetch_add(1, Ordering::Relaxed);
        }
        let before = count.load(Ordering::Relaxed);
        count.store(before + 1, Ordering::Relaxed);
        before
    }

    pub(super) fn sum(&self) -> u64 {
        self.0
            .iter()
            .map(|Line(count)| count.load(Ordering::Relaxed))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn every_hit_is_counted_however_many_threads_come_and_go() {
        const WAVES: u64 = 20;
        const THREADS: usize = 2 * SEATS;
        const EACH: u64 = 500;
        let hits = Hits::default();
        for _ in 0..WAVES {
            let begin = Barrier::new(THREADS);
            std::thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        begin.wait();
                        for _ in 0..EACH {
                            hits.count();
                        }
                    });
                }
            });
        }
        assert_eq!(hits.sum(), WAVES * THREADS as u64 * EACH);
    }
}
