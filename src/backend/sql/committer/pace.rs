//! Whether two batches at a time, each of half of what there is, are faster than one of everything.
//!
//! Two keep client and server busy at the same time. But where everybody wants the same rows each waits for the other one's disk: that
//! of a slow disk costs more than it brings. So the first lane tries both ways, and keeps to the faster one.

use std::time::Duration;
use std::time::Instant;

/// So many sets are not worth two transactions.
pub(super) const FEW: usize = 8;

/// Batches after a change of the way that still are of the other one.
const SETTLING: u32 = 4;

/// Batches that are counted before one way is held against the other.
const COUNTED: u32 = 24;

/// A longer pause between two batches: nobody was there.
const PAUSE: Duration = Duration::from_millis(100);

/// Windows until the other way is tried again: at first, and at most.
const PATIENCE: [u32; 2] = [4, 64];

/// What batches take, and the way that is the faster one as far as that is known.
#[derive(Debug)]
pub(super) struct Pace {
    halves: bool,
    /// Whether this way is only tried: what a set took in the other way, in seconds.
    tried_against: Option<f64>,
    window: Window,
    /// Windows to come before the other way is tried.
    wait: u32,
    patience: u32,
}

/// Batches that are counted together.
#[derive(Debug, Default)]
struct Window {
    batches: u32,
    sets: usize,
    /// When the first one that is counted began, and the last one ended.
    span: Option<[Instant; 2]>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            halves: true,
            tried_against: None,
            window: Window::default(),
            wait: 0,
            patience: PATIENCE[0],
        }
    }

    /// Whether a batch takes half of what there is, and leaves the other half to another batch.
    pub(super) fn halves(&self) -> bool {
        self.halves
    }

    /// A batch of so many sets has ended.
    pub(super) fn count(&mut self, sets: usize, now: Instant) {
        if self.window.span.is_some_and(|[_, last]| now > last + PAUSE) {
            return self.nothing_to_learn();
        }
        if let Some(took) = self.window.count(sets, now) {
            self.window = Window::default();
            match took {
                Some(took) => self.learn(took),
                None => self.nothing_to_learn(),
            }
        }
    }

    /// What a set took in this way.
    fn learn(&mut self, took: f64) {
        match self.tried_against.take() {
            // Who is as fast as the other one stays for the sake of peace.
            Some(before) if took < before * 0.95 => self.patience = PATIENCE[0],
            Some(_) => {
                self.halves = !self.halves;
                self.patience = (self.patience * 2).min(PATIENCE[1]);
            }
            None if self.wait > 0 => {
                self.wait -= 1;
                return;
            }
            None => {
                self.tried_against = Some(took);
                self.halves = !self.halves;
                return;
            }
        }
        self.wait = self.patience;
    }

    /// There is too little to do for one way to be faster.
    fn nothing_to_learn(&mut self) {
        self.window = Window::default();
        if self.tried_against.take().is_some() {
            self.halves = !self.halves;
        }
    }
}

impl Window {
    /// What a set took once the window is full; nothing if there were too few of them.
    fn count(&mut self, sets: usize, now: Instant) -> Option<Option<f64>> {
        self.batches += 1;
        let [begin, _] = self.span.unwrap_or([now; 2]);
        if self.batches <= SETTLING {
            self.span = Some([now; 2]);
            return None;
        }
        self.span = Some([begin, now]);
        self.sets += sets;
        let is_full = self.batches == SETTLING + COUNTED;
        let has_enough = self.sets > FEW * COUNTED as usize;
        is_full.then(|| has_enough.then(|| (now - begin).as_secs_f64() / self.sets as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::COUNTED;
    use super::Pace;
    use super::SETTLING;
    use std::time::Duration;
    use std::time::Instant;

    /// Batches of 32 sets that take so long in halves, and of 64 that take so long otherwise; how many were halves.
    fn run(pace: &mut Pace, windows: u32, half: Duration, whole: Duration) -> f64 {
        let (mut now, mut halves) = (Instant::now(), 0);
        let batches = windows * (SETTLING + COUNTED);
        for _ in 0..batches {
            halves += u32::from(pace.halves());
            let (sets, took) = if pace.halves() { (32, half) } else { (64, whole) };
            now += took;
            pace.count(sets, now);
        }
        f64::from(halves) / f64::from(batches)
    }

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn the_faster_way_is_kept_and_the_other_one_tried_now_and_then() {
        let mut pace = Pace::new();
        let fast = run(&mut pace, 500, MILLI, MILLI * 3);
        assert!(fast > 0.95 && fast < 1.0, "{fast}");
        let slow = run(&mut pace, 500, MILLI * 2, MILLI * 3);
        assert!(slow < 0.2, "{slow}");
        let fast = run(&mut pace, 500, MILLI, MILLI * 3);
        assert!(fast > 0.8, "{fast}");
    }

    #[test]
    fn as_fast_is_not_faster() {
        let mut pace = Pace::new();
        let halves = run(&mut pace, 500, MILLI, MILLI * 2);
        assert!(halves > 0.95, "{halves}");
    }

    #[test]
    fn who_has_little_to_do_learns_nothing() {
        let mut pace = Pace::new();
        let mut now = Instant::now();
        for _ in 0..10_000 {
            now += MILLI;
            pace.count(1, now);
            assert!(pace.halves());
        }
        for _ in 0..10_000 {
            now += MILLI * 200;
            pace.count(64, now);
            assert!(pace.halves());
        }
    }
}
