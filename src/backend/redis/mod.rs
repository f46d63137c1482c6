//! The shared cache on Redis or Valkey: one string an entry, read by plain `GET`, changed by scripts. `store/` keeps carts there.

mod client;
mod clock;
mod entry;
mod error;
mod follower;
mod fred;
mod options;
mod scripts;
mod silence;
mod store;
mod tags;
mod tls;

pub use options::RedisOptions;
pub use store::RedisStore;
pub use store::RedisStoreOptions;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;

use self::client::Call;
use self::client::Reply;
use self::client::RespClient;
use self::client::unexpected;
use self::clock::ServerClock;
use self::follower::Channel;
use self::fred::FredClient;
use self::scripts::Program;
use self::scripts::Programs;
use self::scripts::decimal;
use self::scripts::eight;
use self::silence::Silence;
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
use crate::spi::cache::LoadedFrom;
use crate::spi::cache::Renewed;
use crate::spi::cache::SharedCache;
use crate::spi::cache::TagGeneration;
use crate::spi::cache::Writer;
use crate::spi::cache::random_token;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);

/// A shared cache on Redis 6.2 or later, Valkey, or a cluster of either.
///
/// - Nothing is kept for longer than its time: the server may evict whatever it likes. Only a hold or a floor that is evicted
///   weakens a promise, so a server for `Strict` keys has memory to spare, or `maxmemory-policy volatile-ttl`.
/// - A failover to a replica can lose the last invalidations and holds: Redis replicates after it has answered.
/// - In a cluster followers are told nothing, for messages of several servers have no order in which one proves another.
#[derive(Debug)]
pub struct RedisCache {
    client: Box<dyn RespClient>,
    programs: Programs,
    clock: ServerClock,
    silence: Silence,
    capability: CacheCapability,
    channel: String,
    closed: AtomicBool,
}

impl RedisCache {
    /// Connects, and asks the server for its time.
    ///
    /// # Errors
    /// - `Config` when the address cannot be used.
    /// - `Unauthenticated`, `PermissionDenied` when the server refuses.
    /// - `Unavailable`, `Timeout` when it cannot be reached.
    pub async fn connect(options: impl Into<RedisOptions>) -> Result<Self> {
        let options = options.into();
        let named = |error: Error| error.operation("redis.connect");
        let connect = FredClient::connect(&options);
        let deadline = Deadline::within(CONNECT);
        let client = deadline
            .bound(connect)
            .await
            .ok_or_else(late)
            .and_then(|client| client)
            .map_err(named)?;
        let capability = CacheCapability::new("redis", options.longest())
            .with_holds()
            .with_floors();
        let cache = Self {
            capability: if client.is_cluster() {
                capability
            } else {
                capability.with_push()
            },
            client: Box::new(client),
            programs: Programs::new(),
            clock: ServerClock::new(),
            silence: Silence::default(),
            channel: options.channel_name().to_owned(),
            closed: AtomicBool::new(false),
        };
        let asked = Instant::now();
        let time = cache.within(deadline, cache.client.time()).await.map_err(named)?;
        cache.clock.learn(time, asked);
        Ok(cache)
    }

    /// Runs what asks the server, under the deadline.
    async fn within<T>(&self, deadline: Deadline, asks: impl Future<Output = Result<T>>) -> Result<T> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Unavailable, "the cache is closed"));
        }
        if deadline.is_over() {
            return Err(late());
        }
        let answer = deadline.bound(asks).await.unwrap_or_else(|| Err(late()));
        match &answer {
            Err(error) if error.is(ErrorKind::Timeout) => {
                if self.silence.not_heard() {
                    self.client.reconnect();
                }
            }
            _ => self.silence.heard(),
        }
        answer
    }

    async fn run(&self, program: &Program, calls: Vec<Call>, deadline: Deadline) -> Result<Vec<Reply>> {
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        self.within(deadline, self.client.run(program, calls)).await
    }

    async fn hold_for(
        &self,
        keys: &[CacheKey],
        (writer, lasts): (Writer, Duration),
        deadline: Deadline,
    ) -> Result<Vec<Reply>> {
        let arguments = vec![millis(lasts), Bytes::copy_from_slice(writer.as_bytes())];
        let calls = keys.iter().map(|key| call(key, arguments.clone())).collect();
        self.run(&self.programs.hold, calls, deadline).await
    }

    fn acquired(&self, reply: &Reply, token: LeaseToken, asked: Instant) -> Result<Acquired> {
        let reply = reply.list()?;
        let part = |index: usize| reply.get(index).ok_or_else(unexpected);
        self.clock.learn(part(1)?.number()?, asked);
        let version = |index: usize| -> Result<Version> {
            let number = entry::number(part(index)?.bytes()?, 0).ok_or_else(unexpected)?;
            Ok(Version::from(number))
        };
        let stale = |index: usize| -> Option<Bytes> {
            let bytes = reply.get(index)?.bytes().ok()?;
            (!bytes.is_empty()).then(|| bytes.clone())
        };
        Ok(match part(0)?.bytes()?.as_ref() {
            b"H" => Acquired::Filled(Entry {
                version: version(2)?,
                fresh_for: Duration::from_millis(u64::try_from(part(3)?.number()?).unwrap_or(0)),
                payload: part(4)?.bytes()?.clone(),
            }),
            b"P" => Acquired::Held,
            b"Z" => Acquired::Busy { stale: stale(2) },
            b"W" => Acquired::Lease {
                token,
                floor: version(2)?,
                stale: stale(3),
            },
            _ => return Err(unexpected()),
        })
    }
}

#[async_trait]
impl SharedCache for RedisCache {
    fn capability(&self) -> &CacheCapability {
        &self.capability
    }

    async fn get_many(&self, keys: &[CacheKey], deadline: Deadline) -> Result<Vec<Option<Entry>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let names = keys.iter().map(entry_name).collect();
        let found = self.within(deadline, self.client.get_many(names)).await?;
        let now = self.clock.now();
        Ok(found
            .into_iter()
            .map(|raw| raw.and_then(|raw| entry::fresh(&raw, now)))
            .collect())
    }

    async fn acquire(&self, keys: &[CacheKey], ask: Acquire, deadline: Deadline) -> Result<Vec<Acquired>> {
        let token = LeaseToken(random_token()?);
        let early: &'static [u8] = if ask.when == LoadWhen::Early { b"1" } else { b"0" };
        let arguments = vec![
            Bytes::copy_from_slice(&token.0),
            millis(ask.lease),
            Bytes::from_static(early),
        ];
        let calls = keys.iter().map(|key| call(key, arguments.clone())).collect();
        let asked = Instant::now();
        let replies = self.run(&self.programs.acquire, calls, deadline).await?;
        replies
            .iter()
            .map(|reply| self.acquired(reply, token, asked))
            .collect()
    }

    async fn fill(&self, fills: Vec<(CacheKey, Fill)>, deadline: Deadline) -> Result<Vec<Filled>> {
        let mut filled = vec![Filled::TooLarge; fills.len()];
        let (mut calls, mut sent) = (Vec::new(), Vec::new());
        for (index, (key, fill)) in fills.into_iter().enumerate() {
            if fill.payload.len() <= self.capability.value_limit {
                calls.push(call(&key, fill_arguments(fill)));
                sent.push(index);
            }
        }
        let replies = self.run(&self.programs.fill, calls, deadline).await?;
        for (index, reply) in sent.into_iter().zip(replies) {
            filled[index] = match reply.number()? {
                1 => Filled::Stored,
                -1 => Filled::BelowFloor,
                _ => Filled::Void,
            };
        }
        Ok(filled)
    }

    async fn hold(&self, keys: &[CacheKey], hold: (Writer, Duration), deadline: Deadline) -> Result<()> {
        self.hold_for(keys, hold, deadline).await.map(drop)
    }

    async fn renew(
        &self,
        keys: &[CacheKey],
        hold: (Writer, Duration),
        deadline: Deadline,
    ) -> Result<Renewed> {
        let replies = self.hold_for(keys, hold, deadline).await?;
        let lapsed = replies.iter().any(|reply| *reply != Reply::Number(1));
        Ok(if lapsed { Renewed::Lapsed } else { Renewed::Renewed })
    }

    async fn invalidate(&self, what: &[Invalidation], how: Invalidate, deadline: Deadline) -> Result<()> {
        let writer = how.writer.map_or([0; 16], |writer| *writer.as_bytes());
        let calls = what.iter().map(|one| {
            let arguments = vec![
                Bytes::copy_from_slice(&writer),
                Bytes::from(eight(one.version.get())),
                millis(how.holdoff.max(Duration::from_millis(1))),
                millis(how.stale_for),
                Bytes::copy_from_slice(self.channel.as_bytes()),
                Bytes::copy_from_slice(one.key.as_str().as_bytes()),
            ];
            call(&one.key, arguments)
        });
        let calls = calls.collect();
        self.run(&self.programs.invalidate, calls, deadline)
            .await
            .map(drop)
    }

    async fn tags(&self, tags: &[CacheKey], deadline: Deadline) -> Result<Vec<TagGeneration>> {
        self.generations(tags, deadline).await
    }

    async fn raise(&self, tags: &[CacheKey], deadline: Deadline) -> Result<()> {
        self.raise_tags(tags, deadline).await
    }

    fn follow(&self, follower: Arc<dyn Follower>) {
        if !self.capability.push {
            return;
        }
        let channel = Channel {
            name: self.channel.clone(),
            follower: uuid::Uuid::now_v7().simple().to_string(),
        };
        self.client.follow(channel, follower);
    }

    async fn ping(&self, deadline: Deadline) -> Result<()> {
        self.within(deadline, self.client.ping()).await
    }

    async fn close(&self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            self.client.close().await;
        }
    }
}

fn fill_arguments(fill: Fill) -> Vec<Bytes> {
    let from: &'static [u8] = if fill.from == LoadedFrom::Writer {
        b"1"
    } else {
        b"0"
    };
    let fresh_for = fill.fresh_for.max(Duration::from_millis(1));
    vec![
        Bytes::copy_from_slice(&fill.token.0),
        Bytes::from(eight(fill.version.get())),
        millis(fresh_for),
        millis(fresh_for + fill.stale_for),
        fill.payload,
        Bytes::from_static(from),
    ]
}

/// The braces put an entry and its writers into one slot of a cluster; no key has braces of its own.
fn entry_name(key: &CacheKey) -> String {
    format!("{{{key}}}")
}

fn call(key: &CacheKey, arguments: Vec<Bytes>) -> Call {
    Call {
        keys: vec![entry_name(key), format!("{{{key}}}:h")],
        arguments,
    }
}

fn millis(length: Duration) -> Bytes {
    Bytes::from(decimal(length.as_millis()))
}

fn late() -> Error {
    Error::new(ErrorKind::Timeout, "the cache server did not answer in time")
}
