//! The first lane: forms batches of what waits, in order of arrival, and gives them to its hands.
//!
//! Where the engine locks rows there are two hands. A batch that touches nothing of what is under way is given to the one that is
//! free. So is one that has nothing in common with it but levels that both take from: it is told what it comes after, waits for the
//! levels in the database, and comes back unwritten if it has them first. So client and server work at the same time. What collides
//! otherwise waits, and is combined as much as ever.

use super::Engine;
use super::Link;
use super::aside::Aside;
use super::hand::Hand;
use super::hand::Left;
use super::job::Job;
use super::pace::FEW;
use super::pace::Pace;
use super::releases_first;
use crate::backend::sql::plan::Beside;
use crate::backend::sql::plan::Occupied;
use crate::backend::sql::plan::Together;
use std::time::Duration;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Write sets in one database transaction at most.
pub(super) const BATCH: usize = 128;

/// Bytes of rows in one database transaction, but for the last set that is taken in.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Turns that are given to other tasks before a batch is closed, when the batch before had more sets.
const TURNS: u32 = 2;

/// Sets that are looked at, while a batch is under way, for what could go beside it.
const LOOKED_AT: usize = 4 * BATCH;

/// Until the second hand looks for a connection again, where there was none.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct First<E> {
    jobs: mpsc::Receiver<Job>,
    open: bool,
    arrived: u64,
    /// Taken from the queue, in order of arrival, and not looked at since a batch began or ended.
    waiting: Vec<Job>,
    /// What can go, in order of arrival: these collide with nothing that is under way, and with nobody who waits for that.
    free: Vec<Job>,
    /// What waits for a batch that is under way.
    stuck: Vec<Job>,
    /// The rows and keys of those: nobody overtakes there.
    behind: Occupied,
    /// The one that was used last is used next: who writes one set at a time has one connection.
    idle: Vec<Hand<E>>,
    /// The second hand, until it has a connection, and when it may look for one.
    cold: Option<(Hand<E>, Instant)>,
    working: JoinSet<Ended<E>>,
    under_way: Vec<UnderWay>,
    pace: Pace,
    /// Whether nothing follows what is under way: one that did came first.
    keeps_apart: bool,
    /// Sets of the batch that ended last.
    last: usize,
    numbers: u64,
    aside: Option<Aside>,
    /// Given to the lane for what is put aside, when there is need.
    spare: Option<Hand<E>>,
}

/// A hand that has done its work.
struct Ended<E> {
    number: u64,
    hand: Hand<E>,
    what: What,
}

enum What {
    Worked(Left),
    /// The second hand looked for a connection, and whether there is one.
    Warmed(bool),
}

/// A batch that a hand works on.
struct UnderWay {
    number: u64,
    link: Link,
    sets: usize,
    touched: Together,
}

impl<E: Engine> First<E> {
    pub(super) fn new(jobs: mpsc::Receiver<Job>, hand: Hand<E>) -> Self {
        Self {
            jobs,
            open: true,
            arrived: 0,
            waiting: Vec::new(),
            free: Vec::new(),
            stuck: Vec::new(),
            behind: Occupied::default(),
            cold: hand.second().map(|hand| (hand, Instant::now())),
            spare: hand.second(),
            idle: vec![hand],
            working: JoinSet::new(),
            under_way: Vec::new(),
            pace: Pace::new(),
            keeps_apart: false,
            last: 0,
            numbers: 0,
            aside: None,
        }
    }

    /// Ends once the queue is closed and everything that was taken has its answer.
    pub(super) async fn work(mut self) {
        loop {
            self.gather().await;
            while let Some(batch) = self.next_batch() {
                self.start(batch);
            }
            if !self.something_happened().await {
                break;
            }
        }
        if let Some(aside) = self.aside {
            aside.end().await;
        }
    }

    /// Waits for a set to arrive, where one could go, or for a hand to end; `false` when neither can happen any more.
    async fn something_happened(&mut self) -> bool {
        let looks = self.looks();
        tokio::select! {
            Some(ended) = self.working.join_next() => self.take_back(ended),
            job = self.jobs.recv(), if self.open && looks => match job {
                Some(job) => self.arrives(job),
                None => self.open = false,
            },
            else => return false,
        }
        true
    }

    /// Whether it is worth a look who could go. Where one batch of everything is faster, nobody is looked at before it has ended.
    fn looks(&self) -> bool {
        let has_hand = !self.idle.is_empty() || self.cold.is_some();
        self.under_way.is_empty() || (has_hand && self.pace.halves())
    }

    fn arrives(&mut self, mut job: Job) {
        self.arrived += 1;
        job.arrived = self.arrived;
        self.waiting.push(job);
    }

    /// Those that were answered together come back together: a turn for them to arrive costs less than two batches.
    async fn gather(&mut self) {
        if self.idle.is_empty() {
            return;
        }
        for _ in 0..TURNS {
            self.take_what_has_arrived();
            let waiting = self.waiting.len() + self.free.len();
            if waiting == 0 || self.last < 2 || waiting >= self.last {
                return;
            }
            tokio::task::yield_now().await;
        }
        self.take_what_has_arrived();
    }

    fn take_what_has_arrived(&mut self) {
        while let Ok(job) = self.jobs.try_recv() {
            self.arrives(job);
        }
    }

    /// The next batch, what it touches, and who takes it.
    ///
    /// Without another batch under way the set that has waited longest is always in: a set waits for those before it that
    /// collide with it, and for one batch of each [`BATCH`] sets before it.
    fn next_batch(&mut self) -> Option<(Hand<E>, Vec<Job>, UnderWay)> {
        if !self.looks() {
            return None;
        }
        self.sort_out();
        let busy: usize = self.under_way.iter().map(|batch| batch.sets).sum();
        if self.free.is_empty() || self.free.len() * 2 < busy {
            return None;
        }
        let Some(hand) = self.idle.pop() else {
            // Now a second hand is worth a connection.
            self.warm();
            return None;
        };
        let has_another = !self.idle.is_empty() || !self.under_way.is_empty();
        let most = if has_another && self.pace.halves() {
            (busy + self.free.len()).div_ceil(2).clamp(FEW, BATCH)
        } else {
            BATCH
        };
        let mut touched = Together::default();
        let mut link = Link::first();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for job in std::mem::take(&mut self.free) {
            let own = &job.one.footprint;
            if batch.len() < most && bytes < BATCH_BYTES && touched.admit(own) {
                if link.after.is_none() {
                    let mut others = self.under_way.iter();
                    let followed = others.find(|other| other.touched.beside(own) == Beside::Follows);
                    link.after = followed.map(|other| other.link.commit);
                }
                bytes += job.one.bytes;
                batch.push(job);
            } else {
                self.free.push(job);
            }
        }
        self.numbers += 1;
        let under_way = UnderWay {
            number: self.numbers,
            link,
            sets: batch.len(),
            touched,
        };
        Some((hand, batch, under_way))
    }

    /// Looks at what waits: what could go, and what has to wait for a batch that is under way. What waits for a set that was put
    /// aside waits there.
    fn sort_out(&mut self) {
        let most = if self.keeps_apart {
            Beside::Free
        } else {
            Beside::Follows
        };
        let room = LOOKED_AT.saturating_sub(self.free.len() + self.stuck.len());
        let some = room.min(self.waiting.len());
        for job in self.waiting.drain(..some) {
            let own = &job.one.footprint;
            if let Some(aside) = self.aside.as_mut().filter(|aside| aside.collides(own)) {
                aside.take(job);
            } else if self.behind.collides(own)
                || self
                    .under_way
                    .iter()
                    .any(|batch| batch.touched.beside(own) > most)
            {
                self.behind.add(own);
                self.stuck.push(job);
            } else {
                self.free.push(job);
            }
        }
    }

    /// Everything is to be looked at again.
    fn mix(&mut self) {
        self.behind = Occupied::default();
        self.waiting.append(&mut self.free);
        self.waiting.append(&mut self.stuck);
        self.waiting.sort_by_key(|job| job.arrived);
    }

    fn start(&mut self, (mut hand, batch, under_way): (Hand<E>, Vec<Job>, UnderWay)) {
        // Free is what does not collide with this one from now on.
        self.mix();
        let (number, link) = (under_way.number, under_way.link);
        self.under_way.push(under_way);
        let batch = releases_first(batch);
        self.working.spawn(async move {
            let left = hand.work(batch, link).await;
            Ended {
                number,
                hand,
                what: What::Worked(left),
            }
        });
    }

    /// Has the second hand look for a connection. Nothing waits for it: where there is none, one hand does all.
    fn warm(&mut self) {
        if let Some((mut hand, _)) = self.cold.take_if(|(_, when)| *when <= Instant::now()) {
            self.working.spawn(async move {
                let ready = hand.ready().await;
                Ended {
                    number: 0,
                    hand,
                    what: What::Warmed(ready),
                }
            });
        }
    }

    fn take_back(&mut self, ended: Result<Ended<E>, tokio::task::JoinError>) {
        let Ended { number, hand, what } = match ended {
            Ok(ended) => ended,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime shuts down, and this task with it.
                Err(_) => return,
            },
        };
        match what {
            What::Worked(left) => {
                self.idle.push(hand);
                if let Some(place) = self.under_way.iter().position(|batch| batch.number == number) {
                    self.last = self.under_way.swap_remove(place).sets;
                    self.pace.count(self.last, Instant::now());
                }
                self.keeps_apart |= left.early;
                if self.under_way.is_empty() {
                    self.keeps_apart = false;
                }
                for batch in left.blocked {
                    self.put_aside(batch);
                }
                // They came before all that arrived since.
                self.waiting.extend(left.later);
                self.mix();
            }
            // The first hand stays on top.
            What::Warmed(true) => self.idle.insert(0, hand),
            What::Warmed(false) => self.cold = Some((hand, Instant::now() + PAUSE)),
        }
    }

    /// Nothing of the batch was applied, and it would wait again: others shall not wait with it.
    fn put_aside(&mut self, batch: Vec<Job>) {
        if self.aside.is_none() {
            self.aside = self.spare.take().map(Aside::start);
        }
        match &mut self.aside {
            Some(aside) => batch.into_iter().for_each(|job| aside.take(job)),
            None => self.waiting.extend(batch),
        }
    }
}
