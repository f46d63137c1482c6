//! Many callers at once, and schedules that can be replayed.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use stockroom::testkit::engines;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use uuid::Uuid;

/// Longer than a loaded machine takes for anything that ends at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `work` for 0 to `attempts`, by so many tasks that begin together; the outcomes by number.
pub(crate) async fn share<T, F, Fut>(tasks: usize, attempts: usize, work: F) -> Vec<T>
where
    F: Fn(usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = T> + Send,
    T: Send + 'static,
{
    let (begin, next) = (Arc::new(Barrier::new(tasks)), Arc::new(AtomicUsize::new(tasks)));
    let mut crowd = JoinSet::new();
    for task in 0..tasks {
        let (work, begin, next) = (work.clone(), Arc::clone(&begin), Arc::clone(&next));
        crowd.spawn(async move {
            begin.wait().await;
            let mut outcomes = Vec::new();
            let mut number = task;
            while number < attempts {
                outcomes.push((number, work(number).await));
                number = next.fetch_add(1, Ordering::Relaxed);
            }
            outcomes
        });
    }
    let mut outcomes: Vec<_> = crowd.join_all().await.into_iter().flatten().collect();
    outcomes.sort_by_key(|(number, _)| *number);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// So many callers at once.
pub(crate) async fn crowd<T, F, Fut>(callers: usize, work: F) -> Vec<T>
where
    F: Fn(usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = T> + Send,
    T: Send + 'static,
{
    share(callers, callers, work).await
}

/// Looks again and again until it is so; fails when that takes too long.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Random numbers of a seed that is printed, and replayed where `STOCKROOM_SEED` gives it (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(what: &str) -> Self {
        let given = engines::setting("STOCKROOM_SEED").map(|seed| seed.parse().unwrap());

        let seed = given.unwrap_or_else(|| Uuid::now_v7().as_u64_pair().1);
        println!("{what}: STOCKROOM_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 to `bound`, without it.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }
}
