//! Holds a shop's commits up, so that what arrives meanwhile is one batch.

use sqlx::Connection as _;
use sqlx::SqliteConnection;
use stockroom::Error;
use stockroom::Version;

use super::begun::Call;
use super::begun::begin;
use super::begun::finish;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::until;

/// Whoever writes one of these SKUs stands at the gate: one for each hand of the committer.
const FIRST: [&str; 2] = ["FIRST-IN-LINE-1", "FIRST-IN-LINE-2"];

/// A gate that is closed: a commit of each hand stands before it, and the committer with them.
pub(super) struct Gate {
    ground: Ground,
    /// Has the one write lock of a file.
    lock: Option<SqliteConnection>,
    first: Vec<Call<Result<Version, Error>>>,
}

impl Gate {
    /// Prepares a ground for gates; needs a shop on it, which has the tables.
    pub(super) async fn build(ground: &Ground) {
        if ground.schema().is_none() {
            return;
        }
        for sql in [
            "CREATE TABLE it_gate (closed bool)",
            "CREATE FUNCTION it_wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             WHILE EXISTS (SELECT 1 FROM it_gate) LOOP PERFORM pg_sleep(0.002); END LOOP; RETURN NEW; END $$",
        ] {
            ground.texts(sql).await;
        }
        let sql = format!(
            "CREATE TRIGGER it_gate AFTER INSERT ON stockroom_movements FOR EACH ROW \
             WHEN (NEW.sku IN ('{}', '{}')) EXECUTE FUNCTION it_wait()",
            FIRST[0], FIRST[1]
        );
        ground.texts(&sql).await;
    }

    /// Closes the gate and waits until nothing else can be committed.
    pub(super) async fn close(ground: &Ground, shop: &Shop) -> Self {
        Self::closed_for(&FIRST, ground, shop).await
    }

    /// Closes the gate for one hand; the other goes on. Whoever writes this SKU waits with the one that stands there.
    pub(super) async fn close_one(ground: &Ground, shop: &Shop) -> (Self, &'static str) {
        (Self::closed_for(&FIRST[..1], ground, shop).await, FIRST[0])
    }

    async fn closed_for(skus: &'static [&'static str], ground: &Ground, shop: &Shop) -> Self {
        let lock = match ground.schema() {
            Some(_) => {
                ground.texts("INSERT INTO it_gate VALUES (true)").await;
                None
            }
            None => {
                let mut lock = SqliteConnection::connect(ground.url()).await.unwrap();
                sqlx::query("BEGIN IMMEDIATE").execute(&mut lock).await.unwrap();
                Some(lock)
            }
        };
        let mut first = Vec::new();
        for (number, sku) in skus.iter().copied().enumerate() {
            let shop = shop.clone();
            let mut call: Call<_> =
                Box::pin(async move { shop.inventory().receive(sku, &berlin(), 1).await });
            assert!(begin(&mut call).await.is_none());
            first.push(call);
            // A file has one writer.
            if ground.schema().is_none() {
                break;
            }
            until("a commit of each hand stands at the gate", async || {
                waiting(ground).await > number
            })
            .await;
        }
        Self {
            ground: ground.clone(),
            lock,
            first,
        }
    }

    /// Lets everybody through.
    pub(super) async fn open(self) {
        match self.lock {
            Some(lock) => lock.close().await.unwrap(),
            None => {
                self.ground.texts("DELETE FROM it_gate").await;
            }
        }
        for received in finish(self.first).await {
            received.unwrap();
        }
    }
}

/// How many commits of a shop on PostgreSQL stand at a gate.
pub(super) async fn waiting(ground: &Ground) -> usize {
    let schema = ground.schema().unwrap_or_default();
    let waiting = format!(
        "SELECT 'waits' FROM pg_stat_activity WHERE application_name = '{schema}' AND wait_event = 'PgSleep'"
    );
    ground.texts(&waiting).await.len()
}
