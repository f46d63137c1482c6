//! News that stops without a word: the tier in front serves nothing old past its bound, is flushed, and follows again.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use stockroom::Cache;
use stockroom::Product;
use stockroom::ProductPatch;
use stockroom::Stockroom;
use stockroom::testkit::proxy::Line;
use stockroom::testkit::proxy::Proxy;

use super::mute::Mute;
use super::servers::Server;
use super::slow;
use super::slow::SlowStore;
use crate::support::until;

/// How long the tier of another process may be behind where invalidations are pushed: what docs/caching.md promises.
const BOUND: Duration = Duration::from_secs(1);

/// A writer that reaches the server, and a reader with a tier of its own that hears of its writes by push alone: no feed
/// repeats anything.
struct Pair {
    writer: Stockroom,
    reader: Stockroom,
    mug: Arc<Product>,
}

impl Pair {
    async fn open(server: &Server, way_of_the_reader: std::net::SocketAddr) -> Self {
        let store = SlowStore::open().await;
        let writer = slow::open(&store, Cache::shared_arc(server.connect().await)).await;
        let front = Cache::shared_arc(server.connect_at(way_of_the_reader).await);
        let reader = slow::open(&store, front).await;
        let mug = slow::mug(&writer, "MUG").await;
        let pair = Self { writer, reader, mug };
        pair.serves().await;
        pair
    }

    /// Reads until the reader's own tier answers, each read right.
    async fn serves(&self) {
        let before = self.reader.cache().stats().hits_in_process;
        until("a hit in the process", async || {
            assert_eq!(
                self.reader.products().require(self.mug.id).await.unwrap(),
                self.mug
            );
            self.reader.cache().stats().hits_in_process > before
        })
        .await;
    }

    /// Writes, and reads at the reader until something has come of it: what is asked past the bound is answered right.
    async fn writes_until(&mut self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let title = format!("Mug {}", self.mug.version);
        let patch = ProductPatch::new().title(title);
        let before = Arc::clone(&self.mug);
        self.mug = self.writer.products().update(&before, patch).await.unwrap();
        let written = Instant::now();
        until(what, async || {
            let age = written.elapsed();
            let found = self.reader.products().require(self.mug.id).await.unwrap();
            if age >= BOUND {
                assert_eq!(found, self.mug, "asked {age:?} after the write had returned");
            } else {
                assert!(found == self.mug || found == before, "{found:?}");
            }
            age > BOUND && is_so(self)
        })
        .await;
    }

    async fn close(self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_subscription_that_went_silent_is_flushed_and_opened_anew() {
    let Some(server) = Server::redis(&[]).await else {
        return;
    };
    let mute = Mute::start(server.address()).await;
    let mut pair = Pair::open(&server, mute.address).await;
    for _ in 0..2 {
        let (before, unheard) = (pair.reader.cache().stats(), mute.swallowed());
        mute.silence_subscriptions();
        // Commands work all the while: nobody but the follower can notice.
        pair.writes_until("a flush", |pair| {
            pair.reader.cache().stats().doubts > before.doubts
        })
        .await;
        assert!(mute.swallowed() > unheard, "nothing was kept from it");
        pair.serves().await;
        let told = pair.reader.cache().stats().told;
        pair.writes_until("news on the new connection", |pair| {
            pair.reader.cache().stats().told > told
        })
        .await;
    }
    pair.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_tier_behind_a_line_that_went_silent_serves_nothing_old() {
    let Some(server) = Server::redis(&[]).await else {
        return;
    };
    let proxy = Proxy::start_opaque(server.address()).await.unwrap();
    let mut pair = Pair::open(&server, proxy.address()).await;
    let doubts = pair.reader.cache().stats().doubts;
    proxy.set_line(Line::Silent).await;
    pair.writes_until("a flush", |pair| pair.reader.cache().stats().doubts > doubts)
        .await;
    proxy.heal().await;
    // What was on its way comes late, and proves nothing about what has been written since.
    pair.serves().await;
    let told = pair.reader.cache().stats().told;
    pair.writes_until("news", |pair| pair.reader.cache().stats().told > told)
        .await;
    pair.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_tier_in_front_of_a_redis_that_froze_serves_nothing_old() {
    let Some(server) = Server::redis(&[]).await else {
        return;
    };
    let mut pair = Pair::open(&server, server.address()).await;
    let doubts = pair.reader.cache().stats().doubts;
    server.freeze();
    // The writer cannot tell the server either. Nobody is promised anything of it after the thaw before the feed has repeated it;
    // while nothing is heard, everything comes from the store.
    pair.writes_until("a flush", |pair| pair.reader.cache().stats().doubts > doubts)
        .await;
    server.thaw();
    pair.close().await;
}
