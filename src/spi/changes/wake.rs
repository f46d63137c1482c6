//! Tells the relay of this process that it committed something.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// A bell that any number of tasks wait for; a ring while nobody waits is heard by whoever waits next.
#[derive(Clone, Debug)]
pub(crate) struct Wake(Arc<watch::Sender<()>>);

/// One task's ear.
#[derive(Debug)]
pub(crate) struct Ear(watch::Receiver<()>);

impl Wake {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }

    pub(crate) fn ring(&self) {
        self.0.send_modify(|()| {});
    }

    pub(crate) fn ear(&self) -> Ear {
        Ear(self.0.subscribe())
    }
}

impl Ear {
    /// Waits for a ring since the last call, at most this long.
    pub(crate) async fn wait(&mut self, most: Duration) {
        // Without a bell there is only the time to wait for.
        if let Ok(Err(_)) = tokio::time::timeout(most, self.0.changed()).await {
            tokio::time::sleep(most).await;
        }
    }
}
