//! The process that is killed: a relay whose sink appends what it is given to a file.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use stockroom::ChangeSink;
use stockroom::Delivery;
use stockroom::PostgresOptions;
use stockroom::PostgresStore;
use stockroom::SinkPolicy;
use stockroom::Stockroom;
use stockroom::resilience::Deadline;
use stockroom::testkit::engines::setting;

// What it is told, by environment variables.
pub(super) const URL: &str = "STOCKROOM_RELAY_URL";
pub(super) const SCHEMA: &str = "STOCKROOM_RELAY_SCHEMA";
pub(super) const LOG: &str = "STOCKROOM_RELAY_LOG";

/// Longer than it is left to live.
const LIFE: Duration = Duration::from_secs(120);

#[derive(Debug)]
struct Appending(PathBuf);

#[async_trait]
impl ChangeSink for Appending {
    async fn deliver(&self, delivery: Delivery<'_>, _: Deadline) -> stockroom::Result<()> {
        let mut text = String::new();
        for change in delivery.changes {
            text += &format!("{} {} {}\n", change.aggregate, change.key, change.version);
        }
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.0)
            .unwrap();
        // In one call: two processes may append at once.
        file.write_all(text.as_bytes()).unwrap();
        Ok(())
    }

    async fn reset(&self, _: Deadline) -> stockroom::Result<()> {
        unreachable!("nothing is restored here")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "not a test: the process that the relay tests start and kill"]
async fn child() {
    let (Some(url), Some(log)) = (setting(URL), setting(LOG)) else {
        return;
    };
    let policy = SinkPolicy::new()
        .batch(20)
        .poll(Duration::from_millis(5))
        .lease(Duration::from_millis(400));
    let sink = Arc::new(Appending(PathBuf::from(log)));
    let builder = match setting(SCHEMA) {
        Some(schema) => {
            let options = PostgresOptions::new(url).schema(schema);
            Stockroom::builder().store(PostgresStore::connect(options).await.unwrap())
        }
        None => Stockroom::builder().url(url),
    };
    let _shop = builder.sink_with("log", sink, policy).open().await.unwrap();
    tokio::time::sleep(LIFE).await;
    panic!("nobody killed it");
}
