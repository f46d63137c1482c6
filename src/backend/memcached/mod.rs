//! The shared cache on Memcached: leases by the meta commands, over several servers.
//!
//! An absent key is read with `N`, which makes a stub and tells one reader that it has won; the stub's number (its CAS) is the
//! lease. A fill is stored only over that number; an invalidation takes the item away, so that no number fits any more.

mod commands;
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
use crate::spi::cache::Renewed;
use crate::spi::cache::SharedCache;
use crate::spi::cache::TagGeneration;
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
            Box::pin(async move { commands::read(&mut connection.client, &names).await })
        });
        found.await?.map_err(error::error)
    }

    async fn acquire_one(&self, key: &CacheKey, ask: Acquire) -> Result<Acquired> {
        let acquired = self.server(key)?.run(|connection| {
            let key = key.clone();
            Box::pin(async move {
                let life = connection.life;
                commands::acquire(&mut connection.client, key.as_str(), ask, life).await
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
                commands::store(&mut connection.client, key.as_str(), &fill, life).await
            })
        });
        filled.await?.map_err(error::error)
    }

    async fn tag_of(&self, tag: &CacheKey) -> Result<TagGeneration> {
        let new = TagGeneration::random()?;
        let found = self.server(tag)?.run(|connection| {
            let tag = tag.clone();
            Box::pin(async move { commands::tag(&mut connection.client, tag.as_str(), new).await })
        });
        found.await?.map_err(error::error)
    }

    async fn raise_one(&self, tag: &CacheKey) -> Result<()> {
        let new = TagGeneration::random()?;
        let raised = self.server(tag)?.run(|connection| {
            let tag = tag.clone();
            Box::pin(async move { commands::raise(&mut connection.client, tag.as_str(), new).await })
        });
        raised.await?.map_err(error::error)
    }

    async fn invalidate_one(&self, what: &Invalidation, how: Invalidate) -> Result<()> {
        let gone = self.server(&what.key)?.run(|connection| {
            let what = what.clone();
            Box::pin(async move { commands::invalidate(&mut connection.client, &what, how).await })
        });
        gone.await?.map_err(error::error)
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

    async fn tags(&self, tags: &[CacheKey], deadline: Deadline) -> Result<Vec<TagGeneration>> {
        let asks = join_all(tags.iter().map(|tag| self.tag_of(tag)));
        self.within(deadline, async { asks.await.into_iter().collect() })
            .await
    }

    async fn raise(&self, tags: &[CacheKey], deadline: Deadline) -> Result<()> {
        let asks = join_all(tags.iter().map(|tag| self.raise_one(tag)));
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
