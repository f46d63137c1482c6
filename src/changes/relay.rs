//! The tasks that feed the sinks of this process: started when the shop opens, ended when it closes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::partitions::Partitions;
use super::policy::SinkPolicy;
use super::reader::Reader;
use super::reader::Tools;
use super::status::Counters;
use crate::resilience::Deadline;
use crate::spi::changes::ChangeSink;
use crate::spi::changes::Partition;
use crate::spi::changes::PartitionId;
use crate::spi::changes::Wake;

/// How often the source is asked which partitions there are.
const DISCOVERY: Duration = Duration::from_secs(10);

/// How long the source may take to answer that.
const PATIENCE: Duration = Duration::from_secs(10);

/// A sink with its name, and how it is fed.
#[derive(Debug)]
pub(crate) struct Sink {
    pub(super) name: String,
    pub(super) sink: Arc<dyn ChangeSink>,
    pub(super) policy: SinkPolicy,
    pub(super) counters: Counters,
    /// The store whose feed it is given, by name; every feed where it is `None`.
    pub(super) of: Option<String>,
}

impl Sink {
    pub(crate) fn new(name: String, sink: Arc<dyn ChangeSink>, policy: SinkPolicy) -> Self {
        Self {
            name,
            sink,
            policy,
            counters: Counters::default(),
            of: None,
        }
    }

    /// The same sink, given the feed of this store alone.
    pub(crate) fn of(mut self, store: &str) -> Self {
        self.of = Some(store.to_owned());
        self
    }
}

/// The running tasks. Dropped, they end at once; their leases run out by themselves.
#[derive(Debug)]
pub(crate) struct Relay {
    stop: watch::Sender<bool>,
    tasks: Mutex<Option<JoinSet<()>>>,
}

/// Whether the tasks shall end.
#[derive(Clone, Debug)]
pub(super) struct Stop(watch::Receiver<bool>);

impl Stop {
    pub(super) fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the tasks shall end.
    pub(super) async fn wait(&mut self) {
        // The sender is gone only when the tasks are aborted.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Sleeps, unless the tasks shall end.
    pub(super) async fn pause(&mut self, length: Duration) {
        let _ = tokio::time::timeout(length, self.wait()).await;
    }
}

impl Relay {
    /// No tasks yet.
    pub(crate) fn new() -> Self {
        Self {
            stop: watch::Sender::new(false),
            tasks: Mutex::new(Some(JoinSet::new())),
        }
    }

    /// Starts to feed these sinks from one feed.
    pub(super) fn feed<'a>(&self, tools: &Tools, sinks: impl Iterator<Item = &'a Arc<Sink>>, wake: &Wake) {
        for sink in sinks {
            let feeder = Feeder {
                tools: tools.clone(),
                sink: Arc::clone(sink),
                wake: wake.clone(),
                stop: self.stop(),
            };
            self.spawn(feeder.run());
        }
    }

    pub(super) fn stop(&self) -> Stop {
        Stop(self.stop.subscribe())
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tasks) = tasks.as_mut() {
            tasks.spawn(task);
        }
    }

    /// Ends the tasks: what is being delivered is dropped and comes again, leases are given up.
    pub(crate) async fn close(&self) {
        self.stop.send_replace(true);
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut tasks) = tasks {
            while tasks.join_next().await.is_some() {}
        }
    }
}

/// Feeds one sink: a reader for each partition that may be read.
struct Feeder {
    tools: Tools,
    sink: Arc<Sink>,
    wake: Wake,
    stop: Stop,
}

impl Feeder {
    async fn run(mut self) {
        let mut partitions = Partitions::default();
        let mut running = BTreeSet::new();
        let mut readers: JoinSet<(PartitionId, Option<Vec<Partition>>)> = JoinSet::new();
        while !self.stop.is_set() {
            match self.tools.source.partitions(Deadline::within(PATIENCE)).await {
                Ok(found) => partitions.learn(found),
                Err(error) => tracing::debug!(kind = ?error.kind(), "the partitions of a feed are not known"),
            }
            for partition in partitions.ready() {
                if running.insert(partition.clone()) {
                    readers.spawn(self.read(partition));
                }
            }
            tokio::select! {
                Some(Ok((partition, children))) = readers.join_next() => {
                    running.remove(&partition);
                    if let Some(children) = children {
                        partitions.done(&partition);
                        partitions.learn(children);
                    }
                }
                () = self.stop.pause(DISCOVERY) => {}
            }
        }
        while readers.join_next().await.is_some() {}
    }

    fn read(
        &self,
        partition: PartitionId,
    ) -> impl Future<Output = (PartitionId, Option<Vec<Partition>>)> + Send + use<> {
        let reader = Reader {
            tools: self.tools.clone(),
            sink: Arc::clone(&self.sink),
            partition: partition.clone(),
            ear: self.wake.ear(),
            stop: self.stop.clone(),
        };
        async move { (partition, reader.run().await) }
    }
}
