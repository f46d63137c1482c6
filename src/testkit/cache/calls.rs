//! Calls as such: followers, deadlines, cancelled calls, the end.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use super::CacheHarness;
use super::case::cases;
use super::harness::until;
use crate::error::ErrorKind;
use crate::resilience::Deadline;
use crate::spi::cache::Follower;
use crate::testkit::conformance::CaseResult;
use crate::testkit::conformance::check::refused;
use crate::testkit::conformance::check::same;

/// Calls that are dropped halfway.
const DROPPED: usize = 100;

cases! {
    "push.told": told + Push;
    "push.sound": sound + Push;
    "deadline.over": over;
    "cancel.harmless": cancelled;
    "ping.answers": ping;
    "close.refuses": closed;
}

/// Notes what it hears.
#[derive(Debug, Default)]
struct Ear {
    keys: Mutex<Vec<String>>,
    sound: Mutex<Option<Instant>>,
}

impl Follower for Ear {
    fn invalidated(&self, key: &str) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.push(key.to_owned());
    }

    fn doubt(&self) {}

    fn sound(&self, as_of: Instant) {
        let mut sound = self.sound.lock().unwrap_or_else(PoisonError::into_inner);
        *sound = Some(as_of);
    }
}

impl Ear {
    fn is_sound_since(&self, instant: Instant) -> bool {
        let sound = self.sound.lock().unwrap_or_else(PoisonError::into_inner);
        sound.is_some_and(|sound| sound >= instant)
    }

    fn has_heard(&self, key: &str) -> bool {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter().any(|heard| heard == key)
    }
}

/// A follower that hears.
async fn follow(h: &CacheHarness) -> CaseResult<Arc<Ear>> {
    let ear = Arc::new(Ear::default());
    let start = Instant::now();
    h.cache().follow(Arc::<Ear>::clone(&ear));
    until("the first proof", || async { Ok(ear.is_sound_since(start)) }).await?;
    Ok(ear)
}

async fn told(h: &CacheHarness) -> CaseResult {
    let ear = follow(h).await?;
    for name in ["one", "two"] {
        let key = h.key(name);
        h.put(&key, 1, "old").await?;
        h.invalidate(&key, 2).await?;
        until("news of an invalidation", || async {
            Ok(ear.has_heard(key.as_str()))
        })
        .await?;
    }
    Ok(())
}

async fn sound(h: &CacheHarness) -> CaseResult {
    let ear = follow(h).await?;
    for name in ["one", "two", "three"] {
        let key = h.key(name);
        h.invalidate(&key, 2).await?;
        let told = Instant::now();
        until("a proof", || async { Ok(ear.is_sound_since(told)) }).await?;
        same!(ear.has_heard(key.as_str()), true, "news of before the proof");
    }
    Ok(())
}

async fn over(h: &CacheHarness) -> CaseResult {
    let (key, over) = (h.key("over"), Deadline::within(Duration::ZERO));
    let answer = h.cache().get_many(std::slice::from_ref(&key), over).await;
    refused(answer, ErrorKind::Timeout)?;
    h.put(&key, 1, "there").await
}

async fn cancelled(h: &CacheHarness) -> CaseResult {
    let key = h.key("cancel");
    h.put(&key, 1, "there").await?;
    for round in 0..DROPPED {
        let cache = Arc::clone(h.cache());
        let (asked, deadline) = (key.clone(), h.deadline());
        let task = tokio::spawn(async move { cache.get_many(&[asked], deadline).await });
        for _ in 0..round % 4 {
            tokio::task::yield_now().await;
        }
        task.abort();
        drop(task.await);
    }
    for round in 0..DROPPED {
        let found = h.get(&key).await?.map(|entry| entry.payload);
        same!(
            found.as_deref(),
            Some(b"there".as_slice()),
            format!("read {round} after dropped calls")
        );
    }
    Ok(())
}

async fn ping(h: &CacheHarness) -> CaseResult {
    h.cache().ping(h.deadline()).await.map_err(Into::into)
}

async fn closed(h: &CacheHarness) -> CaseResult {
    let key = h.key("closed");
    h.put(&key, 1, "there").await?;
    h.cache().close().await;
    refused(h.get(&key).await, ErrorKind::Unavailable)?;
    let found = h.get_there(&key).await?.map(|entry| entry.payload);
    same!(
        found.as_deref(),
        Some(b"there".as_slice()),
        "what the other process is given"
    );
    Ok(())
}
