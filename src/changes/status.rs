//! How the sinks of this process are doing.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use crate::error::Error;
use crate::model::Timestamp;

/// How long a throughput is remembered.
const SPAN: Duration = Duration::from_secs(10);

/// Where a sink stands, as this process sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SinkStatus {
    /// The sink's name.
    pub sink: String,
    /// Whether this process feeds it now, in at least one partition; otherwise another one does, or none.
    pub feeding: bool,
    /// Changes that this process has delivered.
    pub delivered: u64,
    /// Changes a second that this process delivers, over the last ten seconds or so.
    pub per_second: f64,
    /// Age of the change that was delivered last, when it was; zero once the end of the feed was reached. `None` where
    /// another process feeds the sink.
    pub lag: Option<Duration>,
    /// Steps that failed in this process: reading, delivering, saving.
    pub failures: u64,
    /// Why the last step failed, unless a delivery succeeded since.
    pub trouble: Option<String>,
    /// Changes that the sink would not take, of all processes; see [`Changes::dead_letters`](super::Changes::dead_letters).
    pub dead_letters: u64,
}

/// What one sink's tasks count.
#[derive(Debug, Default)]
pub(super) struct Counters {
    delivered: AtomicU64,
    failures: AtomicU64,
    /// Partitions that are fed by this process.
    feeding: AtomicU64,
    lag_micros: AtomicU64,
    known_lag: AtomicBool,
    trouble: Mutex<Option<String>>,
    rate: Mutex<Rate>,
}

/// A throughput that fades.
#[derive(Debug, Default)]
struct Rate {
    per_second: f64,
    last: Option<Instant>,
}

impl Rate {
    fn add(&mut self, count: u64, now: Instant) {
        self.fade(now);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a page has far fewer changes than 2^52"
        )]
        let count = count as f64;
        self.per_second += count / SPAN.as_secs_f64();
    }

    /// What was counted before loses its weight as time passes.
    fn fade(&mut self, now: Instant) {
        let passed = self.last.map_or(Duration::ZERO, |last| now.duration_since(last));
        self.per_second *= (-passed.as_secs_f64() / SPAN.as_secs_f64()).exp();
        self.last = Some(now);
    }
}

impl Counters {
    pub(super) fn begins(&self) {
        self.feeding.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ends(&self) {
        self.feeding.fetch_sub(1, Ordering::Relaxed);
        self.known_lag.store(false, Ordering::Relaxed);
    }

    pub(super) fn delivers(&self, count: usize, last: Timestamp, now: Timestamp) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.delivered.fetch_add(count, Ordering::Relaxed);
        self.lags(Duration::try_from(now - last).unwrap_or_default());
        lock(&self.rate).add(count, Instant::now());
    }

    pub(super) fn reaches_the_end(&self) {
        self.lags(Duration::ZERO);
    }

    pub(super) fn fails(&self, error: &Error) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        *lock(&self.trouble) = Some(error.to_string());
    }

    pub(super) fn works(&self) {
        *lock(&self.trouble) = None;
    }

    fn lags(&self, lag: Duration) {
        let micros = u64::try_from(lag.as_micros()).unwrap_or(u64::MAX);
        self.lag_micros.store(micros, Ordering::Relaxed);
        self.known_lag.store(true, Ordering::Relaxed);
    }

    pub(super) fn status(&self, sink: &str, dead_letters: u64) -> SinkStatus {
        let per_second = {
            let mut rate = lock(&self.rate);
            rate.fade(Instant::now());
            rate.per_second
        };
        let lag = Duration::from_micros(self.lag_micros.load(Ordering::Relaxed));
        SinkStatus {
            sink: sink.to_owned(),
            feeding: self.feeding.load(Ordering::Relaxed) > 0,
            delivered: self.delivered.load(Ordering::Relaxed),
            per_second,
            lag: self.known_lag.load(Ordering::Relaxed).then_some(lag),
            failures: self.failures.load(Ordering::Relaxed),
            trouble: lock(&self.trouble).clone(),
            dead_letters,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is kept is replaced in single steps that cannot panic half-way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
