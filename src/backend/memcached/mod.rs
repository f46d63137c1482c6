//! The shared cache on Memcached: leases by the meta commands, over several servers.
//!
//! An absent key is read with `N`, which makes a stub and tells one reader that it has won; the stub's number (its CAS) is the
//! lease. A fill is stored only over that number; an invalidation takes the item away, so that no number fits any more.

mod error;
mod item;
mod options;
mod ring;
mod server;

pub use options::MemcachedOptions;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_memcached::Client;
use async_memcached::Error as ClientError;
use async_memcached::MetaProtocol;
use async_memcached::MetaValue;
use async_trait::async_trait;
use futures_util::future::join_all;

use self::ring::Ring;
use self::server::Server;
use self::server::closed;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Version;
use crate::resilience::Deadline;
use crate::spi::cache::Acquire;
use crate::spi::cache::Acquired;
use crate::spi::cache::CacheCapability;
use crate::spi::cache::CacheKey;
use crate::spi::cache::Entry;
use crate::spi::cache::Fill;
use crate::spi::cache::Filled;
use crate::spi::cache::Follower;
use crate::spi::cache::Invalidate;
use crate::spi::cache::Invalidation;
use crate::spi::cache::LeaseToken;
use crate::spi::cache::LoadWhen;
use crate::spi::cache::NOTHING_WRITTEN;
use crate::spi::cache::Renewed;
use crate::spi::cache::SharedCache;
use crate::spi::cache::Writer;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);

/// A shared cache on one or more servers of Memcached 1.6 or later.
///
/// - It has leases and neither holds, floors nor push: `Strict` is refused, replicas fill nothing, and the tiers in front
///   follow the change feed.
/// - Times are whole seconds.
/// - The protocol has no TLS and no password: keep it in a network of its own.
#[derive(Debug)]
pub struct MemcachedCache {
    servers: Vec<Server>,
    ring: Ring,
    capability: CacheCapability,
    closed: AtomicBool,
}

impl MemcachedCache {
    /// Connects to every server once.
    ///
    /// # Errors
    /// - `Config` when no server is named.
    /// - `Unavailable`, `Timeout` when one cannot be reached.
    /// - `Unsupported` when one does not number its entries (`-C`) or is older than 1.6.
    pub async fn connect(options: impl Into<MemcachedOptions>) -> Result<Self> {
        let options = options.into();
        let named = |error: Error| error.operation("memcached.connect");
        if options.servers().is_empty() {
            return Err(named(Error::new(
                ErrorKind::Config,
                "name a server, as in \"cache:11211\"",
            )));
        }
        let address = |server: &String| server.trim_start_matches("tcp://").to_owned();
        let servers: Vec<_> = options.servers().iter().map(address).collect();
        let cache = Self {
            ring: Ring::new(&servers),
            servers: servers
                .iter()
                .map(|server| Server::new(server, options.connection_count()))
                .collect(),
            capability: CacheCapability::new("memcached", options.longest()),
            closed: AtomicBool::new(false),
        };
        cache.probe(Deadline::within(CONNECT)).await.map_err(named)?;
        Ok(cache)
    }

    /// Refuses servers whose numbers prove nothing.
    async fn probe(&self, deadline: Deadline) -> Result<()> {
        for server in &self.servers {
            let key = CacheKey::new("stockroom", "probe", &uuid::Uuid::now_v7().simple().to_string());
            let found = self.within(deadline, async {
                let asked = server.run(|connection| {
                    let key = key.clone();
                    Box::pin(async move {
                        connection
                            .client
                            .meta_get(key.as_str(), false, None, Some(&["c", "v", "t", "N1"]))
                            .await
                    })
                });
                asked.await?.map_err(error::error)
            });
            let number = found.await?.and_then(|item| item.cas).unwrap_or(0);
            if number == 0 {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "the cache server does not number its entries: start it without -C",
                ));
            }
        }
        Ok(())
    }

    async fn within<T>(&self, deadline: Deadline, asks: impl Future<Output = Result<T>>) -> Result<T> {
        if self.closed.load(Ordering::Acquire) {
            return Err(closed());
        }
        if deadline.is_over() {
            return Err(late());
        }
        deadline.bound(asks).await.unwrap_or_else(|| Err(late()))
    }

    fn server(&self, key: &CacheKey) -> Result<&Server> {
        self.servers
            .get(self.ring.server(key.as_str()))
            .ok_or_else(closed)
    }

    /// The keys of each server, with their places in the batch.
    fn by_server(&self, keys: &[CacheKey]) -> Vec<(&Server, Vec<usize>)> {
        let mut parts: Vec<_> = self.servers.iter().map(|server| (server, Vec::new())).collect();
        for (index, key) in keys.iter().enumerate() {
            if let Some((_, part)) = parts.get_mut(self.ring.server(key.as_str())) {
                part.push(index);
            }
        }
        parts.retain(|(_, part)| !part.is_empty());
        parts
    }

    async fn get_part(&self, server: &Server, keys: Vec<CacheKey>) -> Result<Vec<MetaValue>> {
        let names: Vec<String> = keys.iter().map(|key| key.as_str().to_owned()).collect();
        let found = server.run(|connection| {
            let names = names.clone();
            Box::pin(async move { read(&mut connection.client, &names).await })
        });
        found.await?.map_err(error::error)
    }

    async fn acquire_one(&self, key: &CacheKey, ask: Acquire) -> Result<Acquired> {
        let acquired = self.server(key)?.run(|connection| {
            let key = key.clone();
            Box::pin(async move {
                let life = connection.life;
                acquire(&mut connection.client, key.as_str(), ask, life).await
            })
        });
        acquired.await?.map_err(error::error)
    }

    async fn fill_one(&self, key: &CacheKey, fill: &Fill) -> Result<Filled> {
        if fill.payload.len() > self.capability.value_limit {
            return Ok(Filled::TooLarge);
        }
        let filled = self.server(key)?.run(|connection| {
            let (key, fill) = (key.clone(), fill.clone());
            Box::pin(async move {
                let life = connection.life;
                store(&mut connection.client, key.as_str(), &fill, life).await
            })
        });
        filled.await?.map_err(error::error)
    }

    async fn invalidate_one(&self, what: &Invalidation, how: Invalidate) -> Result<()> {
        let gone = self.server(&what.key)?.run(|connection| {
            let what = what.clone();
            Box::pin(async move { invalidate(&mut connection.client, &what, how).await })
        });
        gone.await?.map_err(error::error)
    }
}

/// Reads items without taking anybody's place.
async fn read(client: &mut Client, names: &[String]) -> core::result::Result<Vec<MetaValue>, ClientError> {
    let found = client.meta_get_multi(names, Some(&["v", "t", "c"])).await?;
    for item in &found {
        // The first read of a stale item wins the right to load it, asked or not; this one does not load, and gives it back.
        if item.is_stale == Some(true) && item.is_recache_winner == Some(true) {
            let (Some(key), Some(number)) = (&item.key, item.cas) else {
                continue;
            };
            let left = item.ttl_remaining.unwrap_or(1).max(1);
            let flags = [format!("C{number}"), format!("T{left}"), "I".to_owned()];
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            unless_unmet(client.meta_delete(key, false, None, Some(&flags)).await)?;
        }
    }
    Ok(found)
}

async fn acquire(
    client: &mut Client,
    key: &str,
    ask: Acquire,
    life: u64,
) -> core::result::Result<Acquired, ClientError> {
    let vivify = format!("N{}", item::seconds(ask.lease));
    let found = client
        .meta_get(key, false, None, Some(&["v", "c", "t", &vivify]))
        .await?;
    let Some(found) = found else {
        return Ok(Acquired::Busy { stale: None });
    };
    if let Some(leased) = leased(&found, life) {
        return Ok(leased);
    }
    let entry = item::fresh(&found);
    if let (Some(entry), LoadWhen::Missing) = (&entry, ask.when) {
        return Ok(Acquired::Filled(entry.clone()));
    }
    let is_value = found.is_stale != Some(true) && item::stale(&found).is_some();
    if is_value {
        // Early, or kept for its stale time: wanted by more than it has left, the right to load goes to one.
        let early = format!(
            "R{}",
            u64::try_from(found.ttl_remaining.unwrap_or(0)).unwrap_or(0) + 2
        );
        let again = client
            .meta_get(key, false, None, Some(&["v", "c", "t", &vivify, &early]))
            .await?;
        if let Some(leased) = again.as_ref().and_then(|again| leased(again, life)) {
            return Ok(leased);
        }
    }
    Ok(match entry {
        Some(entry) => Acquired::Filled(entry),
        None => Acquired::Busy {
            stale: item::stale(&found),
        },
    })
}

/// The lease of whoever won it.
fn leased(item: &MetaValue, life: u64) -> Option<Acquired> {
    let number = item.cas.filter(|_| item.is_recache_winner == Some(true))?;
    let mut token = [0; 16];
    token[..8].copy_from_slice(&number.to_be_bytes());
    token[8..].copy_from_slice(&life.to_be_bytes());
    Some(Acquired::Lease {
        token: LeaseToken(token),
        floor: Version::ZERO,
        stale: item::stale(item),
    })
}

async fn store(
    client: &mut Client,
    key: &str,
    fill: &Fill,
    life: u64,
) -> core::result::Result<Filled, ClientError> {
    let (number, of_life) = fill.token.0.split_at(8);
    if of_life != life.to_be_bytes() {
        return Ok(Filled::Void);
    }
    let number = number
        .iter()
        .fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    let flags = [
        format!("C{number}"),
        format!(
            "T{}",
            item::seconds(fill.fresh_for.saturating_add(fill.stale_for))
        ),
        format!("F{}", item::flags(fill.version)),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let packed = item::packed(fill.version, fill.stale_for, &fill.payload);
    match client
        .meta_set(key, packed.as_slice(), false, None, Some(&flags))
        .await
    {
        Ok(_) => Ok(Filled::Stored),
        Err(error) if error::is_unmet(&error) => Ok(Filled::Void),
        Err(error) if error::is_too_large(&error) => Ok(Filled::TooLarge),
        Err(error) => Err(error),
    }
}

async fn invalidate(
    client: &mut Client,
    what: &Invalidation,
    how: Invalidate,
) -> core::result::Result<(), ClientError> {
    let key = what.key.as_str();
    if what.version != NOTHING_WRITTEN {
        let found = client.meta_get(key, false, None, Some(&["f", "t"])).await?;
        let is_newer = |item: &MetaValue| {
            item.is_stale != Some(true)
                && item
                    .flags
                    .is_some_and(|flags| u64::from(flags) >= what.version.get())
        };
        if found.as_ref().is_some_and(is_newer) {
            return Ok(());
        }
    }
    if how.stale_for.is_zero() {
        return unless_unmet(client.meta_delete(key, false, None, None).await);
    }
    let kept = format!("T{}", item::seconds(how.stale_for));
    unless_unmet(client.meta_delete(key, false, None, Some(&["I", &kept])).await)
}

/// What was not there, or is another by now, is nothing to worry about.
fn unless_unmet<T>(answer: core::result::Result<T, ClientError>) -> core::result::Result<(), ClientError> {
    match answer {
        Err(error) if !error::is_unmet(&error) => Err(error),
        _ => Ok(()),
    }
}

#[async_trait]
impl SharedCache for MemcachedCache {
    fn capability(&self) -> &CacheCapability {
        &self.capability
    }

    async fn get_many(&self, keys: &[CacheKey], deadline: Deadline) -> Result<Vec<Option<Entry>>> {
        let parts = self.by_server(keys);
        let asks = parts.iter().map(|(server, part)| {
            let keys = part
                .iter()
                .filter_map(|index| keys.get(*index))
                .cloned()
                .collect();
            self.get_part(server, keys)
        });
        let asks = join_all(asks);
        let answers = self
            .within(deadline, async {
                asks.await.into_iter().collect::<Result<Vec<_>>>()
            })
            .await?;
        // Only hits come back, by name.
        let items = answers.iter().flatten();
        let hits: HashMap<&[u8], &MetaValue> = items
            .filter_map(|item| Some((item.key.as_deref()?, item)))
            .collect();
        let fresh = |key: &CacheKey| {
            hits.get(key.as_str().as_bytes())
                .and_then(|item| item::fresh(item))
        };
        Ok(keys.iter().map(fresh).collect())
    }

    async fn acquire(&self, keys: &[CacheKey], ask: Acquire, deadline: Deadline) -> Result<Vec<Acquired>> {
        let asks = join_all(keys.iter().map(|key| self.acquire_one(key, ask)));
        self.within(deadline, async { asks.await.into_iter().collect() })
            .await
    }

    async fn fill(&self, fills: Vec<(CacheKey, Fill)>, deadline: Deadline) -> Result<Vec<Filled>> {
        let asks = join_all(fills.iter().map(|(key, fill)| self.fill_one(key, fill)));
        self.within(deadline, async { asks.await.into_iter().collect() })
            .await
    }

    async fn hold(&self, _: &[CacheKey], _: (Writer, Duration), _: Deadline) -> Result<()> {
        Err(no_holds())
    }

    async fn renew(&self, _: &[CacheKey], _: (Writer, Duration), _: Deadline) -> Result<Renewed> {
        Err(no_holds())
    }

    async fn invalidate(&self, what: &[Invalidation], how: Invalidate, deadline: Deadline) -> Result<()> {
        let asks = join_all(what.iter().map(|one| self.invalidate_one(one, how)));
        self.within(deadline, async { asks.await.into_iter().collect() })
            .await
    }

    /// Memcached tells nothing.
    fn follow(&self, _: Arc<dyn Follower>) {}

    async fn ping(&self, deadline: Deadline) -> Result<()> {
        let asks = join_all(self.servers.iter().map(async |server| {
            let version = server.run(|connection| Box::pin(connection.client.version()));
            version.await?.map(drop).map_err(error::error)
        }));
        self.within(deadline, async { asks.await.into_iter().collect() })
            .await
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.servers.iter().for_each(Server::close);
    }
}

fn no_holds() -> Error {
    Error::new(ErrorKind::Unsupported, "Memcached cannot hold keys for writers")
}

fn late() -> Error {
    Error::new(ErrorKind::Timeout, "the cache server did not answer in time")
}
