//! The cache's counts for the `metrics` facade: told now and then, so that a hit pays nothing for it.

use std::sync::Weak;
use std::time::Duration;

use tokio::sync::watch;

use super::shop::Parts;
use super::stats::CacheStats;

/// How often the counts are told.
const EVERY: Duration = Duration::from_secs(5);

/// What a logical read came to: each counts as one of these, once.
const OUTCOMES: [&str; 7] = [
    "hits_in_process",
    "hits_shared",
    "loads",
    "waited",
    "bypassed_held",
    "bypassed_down",
    "stale_served",
];

/// A load, by one key or a batch, took so long.
pub(super) fn loaded(took: Duration) {
    metrics::histogram!("stockroom.cache.load.duration").record(took.as_secs_f64());
}

/// Tells the counts as they are.
pub(super) fn tell(stats: &CacheStats, namespace: &str) {
    stats.each(|name, count| {
        let counter = if OUTCOMES.contains(&name) {
            metrics::counter!("stockroom.cache.reads", "namespace" => namespace.to_owned(), "outcome" => name)
        } else {
            metrics::counter!("stockroom.cache.events", "namespace" => namespace.to_owned(), "event" => name)
        };
        counter.absolute(count);
    });
    for (name, value) in [("entries", stats.entries), ("bytes", stats.bytes)] {
        // Exact up to 2^53.
        metrics::gauge!("stockroom.cache.kept", "namespace" => namespace.to_owned(), "unit" => name)
            .set(value as f64);
    }
}

/// Tells the counts of a cache until it is closed or gone.
pub(super) async fn publish(parts: Weak<Parts>, namespace: String, mut stop: watch::Receiver<bool>) {
    let mut turns = tokio::time::interval(EVERY);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = turns.tick() => {}
        }
        let Some(parts) = parts.upgrade() else { return };
        tell(&parts.stats(), &namespace);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use metrics::Counter;
    use metrics::Gauge;
    use metrics::Histogram;
    use metrics::Key;
    use metrics::KeyName;
    use metrics::Metadata;
    use metrics::Recorder;
    use metrics::SharedString;
    use metrics::Unit;

    use super::*;
    use crate::cache::stats::Counters;
    use crate::cache::stats::add;

    /// Notes what is told, and its labels.
    #[derive(Default)]
    struct Notes(Mutex<Vec<String>>);

    impl Notes {
        fn note(&self, key: &Key) {
            let labels = key
                .labels()
                .map(|label| format!("{}={}", label.key(), label.value()));
            let labels: Vec<_> = labels.collect();
            self.0
                .lock()
                .unwrap()
                .push(format!("{} {}", key.name(), labels.join(" ")));
        }
    }

    impl Recorder for Notes {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            self.note(key);
            Counter::noop()
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            self.note(key);
            Gauge::noop()
        }

        fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
            self.note(key);
            Histogram::noop()
        }
    }

    #[test]
    fn reads_are_told_by_outcome_and_all_else_by_name() {
        let (notes, counters) = (Notes::default(), Counters::default());
        metrics::with_local_recorder(&notes, || {
            tell(&counters.stats(), "shop");
            counters.loaded(Duration::from_millis(1));
        });
        let notes = notes.0.into_inner().unwrap();
        for expected in [
            "stockroom.cache.reads namespace=shop outcome=hits_shared",
            "stockroom.cache.events namespace=shop event=fills_void",
            "stockroom.cache.kept namespace=shop unit=bytes",
            "stockroom.cache.load.duration ",
        ] {
            assert!(notes.iter().any(|note| note == expected), "{expected}: {notes:?}");
        }
    }

    #[test]
    fn every_outcome_is_a_count() {
        let counters = Counters::default();
        counters.hits.count();
        add(&counters.loads);
        add(&counters.fills);
        let mut told = Vec::new();
        counters.stats().each(|name, count| told.push((name, count)));
        for name in OUTCOMES {
            assert!(told.iter().any(|(known, _)| *known == name), "{name}");
        }
        let counted: Vec<_> = told.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [&("hits_in_process", 1), &("loads", 1), &("fills", 1)]);
    }
}
