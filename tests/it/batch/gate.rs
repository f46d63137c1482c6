//! Holds a shop's commits up, so that what arrives meanwhile is one batch.

use sqlx::Connection as _;
use sqlx::SqliteConnection;
use stockroom::Error;
use stockroom::Version;

use super::begun::Call;
use super::begun::begin;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::until;

/// Whoever writes this SKU stands at the gate.
const FIRST: &str = "FIRST-IN-LINE";

/// A gate that is closed: one commit stands before it, and the committer with it.
pub(super) struct Gate {
    ground: Ground,
    /// Has the one write lock of a file.
    lock: Option<SqliteConnection>,
    first: Call<Result<Version, Error>>,
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
             WHILE EXISTS (SELECT 1 FROM it_gate) LOOP PERFORM pg_sleep(0.002); END LOOP; RETURN NULL; END $$",
        ] {
            ground.texts(sql).await;
        }
        let sql = format!(
            "CREATE TRIGGER it_gate AFTER INSERT ON stockroom_movements FOR EACH ROW \
             WHEN (NEW.sku = '{FIRST}') EXECUTE FUNCTION it_wait()"
        );
        ground.texts(&sql).await;
    }

    /// Closes the gate and waits until a commit stands before it.
    pub(super) async fn close(ground: &Ground, shop: &Shop) -> Self {
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
        let shop = shop.clone();
        let mut first: Call<_> = Box::pin(async move { shop.inventory().receive(FIRST, &berlin(), 1).await });
        assert!(begin(&mut first).await.is_none());
        if let Some(schema) = ground.schema() {
            let waiting = format!(
                "SELECT 'waits' FROM pg_stat_activity \
                 WHERE application_name = '{schema}' AND wait_event = 'PgSleep'"
            );
            until("a commit stands at the gate", async || {
                !ground.texts(&waiting).await.is_empty()
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
        self.first.await.unwrap();
    }
}
