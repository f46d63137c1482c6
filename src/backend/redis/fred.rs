//! The client by fred: its defaults that hang are set, and its events that are lost silently are doubts.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fred::clients::Client;
use fred::clients::Pool;
use fred::error::Error as FredError;
use fred::interfaces::ClientLike;
use fred::interfaces::EventInterface;
use fred::interfaces::KeysInterface;
use fred::interfaces::LuaInterface;
use fred::interfaces::PubsubInterface;
use fred::types::Builder;
use fred::types::Value;
use fred::types::config::Config;
use fred::types::config::Options;
use fred::types::config::ReconnectPolicy;
use fred::types::config::UnresponsiveConfig;
use futures_util::future::join_all;
use futures_util::future::try_join_all;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use super::RedisOptions;
use super::client::Call;
use super::client::Failed;
use super::client::Reply;
use super::client::RespClient;
use super::client::unexpected;
use super::error::error;
use super::error::is_refusal;
use super::error::not_connected;
use super::follower::Channel;
use super::follower::Listener;
use super::follower::MARKER_EVERY;
use super::scripts::Program;
use super::tls;
use crate::error::Result;
use crate::spi::cache::Follower;

/// A command that is not answered by then is given up, whatever the caller's deadline: fred's default is never.
const COMMAND: Duration = Duration::from_secs(2);

/// A connection whose oldest command waits longer is opened anew: fred's default is never.
const UNRESPONSIVE: Duration = Duration::from_millis(1500);
const UNRESPONSIVE_LOOK: Duration = Duration::from_millis(500);

/// A connection that is not made by then is tried again, and so are greetings and authentication: fred's default is 10 s.
const CONNECT: Duration = Duration::from_secs(2);

/// Pauses between attempts to connect, in milliseconds; without end, for fred's default is never to connect again.
const RECONNECT: (u32, u32) = (50, 2_000);

/// Commands that may wait: fred's default is any number, which grows while a server is away.
const QUEUE: usize = 10_000;

/// Messages that a subscriber may be behind before some are lost: fred's default is 32.
const MESSAGES: usize = 4_096;

/// fred's client, and the task of each follower.
pub(super) struct FredClient {
    pool: Pool,
    builder: Builder,
    is_cluster: bool,
    closing: watch::Sender<bool>,
}

/// The configuration holds the password.
impl std::fmt::Debug for FredClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FredClient")
            .field("is_cluster", &self.is_cluster)
            .finish_non_exhaustive()
    }
}

/// The digest by which a server knows a script.
pub(super) fn sha1(text: &str) -> String {
    fred::types::scripts::Script::from_lua(text).sha1().to_string()
}

impl FredClient {
    pub(super) async fn connect(options: &RedisOptions) -> Result<Self> {
        let mut config = Config::from_url(options.url()).map_err(error)?;
        config.fail_fast = true;
        // An authority does not turn TLS on: what the address says stays true.
        if let (Some(believed), Some(_)) = (options.believed(), &config.tls) {
            config.tls = Some(tls::believing(believed)?.into());
        }
        let is_cluster = config.server.is_clustered();
        let mut builder = Builder::from_config(config);
        builder
            .with_performance_config(|performance| {
                performance.default_command_timeout = COMMAND;
                performance.broadcast_channel_capacity = MESSAGES;
            })
            .with_connection_config(|connection| {
                connection.connection_timeout = CONNECT;
                connection.internal_command_timeout = CONNECT;
                connection.max_command_buffer_len = QUEUE;
                connection.reconnect_on_auth_error = true;
                connection.tcp.nodelay = Some(true);
                connection.unresponsive = UnresponsiveConfig {
                    max_timeout: Some(UNRESPONSIVE),
                    interval: UNRESPONSIVE_LOOK,
                };
            })
            .set_policy(ReconnectPolicy::new_exponential(0, RECONNECT.0, RECONNECT.1, 2));
        let pool = builder.build_pool(options.connection_count()).map_err(error)?;
        // The first attempt decides: what is wrong with the address is to be seen when the shop opens.
        pool.init().await.map_err(error)?;
        Ok(Self {
            pool,
            builder,
            is_cluster,
            closing: watch::Sender::new(false),
        })
    }

    pub(super) const fn is_cluster(&self) -> bool {
        self.is_cluster
    }

    /// How each command is sent: once, and not at all while there is no connection.
    fn options() -> Options {
        Options {
            max_attempts: Some(1),
            fail_fast: true,
            ..Options::default()
        }
    }

    async fn call(&self, client: &Client, program: &Program, call: Call) -> Result<Reply> {
        reply(Self::answer(client, program, call).await.map_err(error)?)
    }

    /// What the server answers, or why it does not.
    async fn answer(client: &Client, program: &Program, call: Call) -> Result<Value, FredError> {
        let client = client.with_options(&Self::options());
        let Call { keys, arguments } = call;
        let values: Vec<Value> = arguments.into_iter().map(Value::Bytes).collect();
        let known = client
            .evalsha::<Value, _, _, _>(program.digest.as_str(), keys.clone(), values.clone())
            .await;
        match known {
            // Restarted, failed over or flushed: it learns the script by running it.
            Err(unknown) if unknown.details().starts_with("NOSCRIPT") => {
                client
                    .eval::<Value, _, _, _>(program.text.as_str(), keys, values)
                    .await
            }
            answer => answer,
        }
    }
}

#[async_trait]
impl RespClient for FredClient {
    async fn get_many(&self, keys: Vec<String>) -> Result<Vec<Option<Bytes>>> {
        let client = self.pool.next().with_options(&Self::options());
        if self.is_cluster || keys.len() == 1 {
            // One command cannot ask several slots; commands that are sent at once share their round trip.
            let asked = keys.into_iter().map(|key| client.get::<Option<Bytes>, _>(key));
            return try_join_all(asked).await.map_err(error);
        }
        client.mget::<Vec<Option<Bytes>>, _>(keys).await.map_err(error)
    }

    async fn run(&self, program: &Program, calls: Vec<Call>) -> Result<Vec<Reply>> {
        let client = self.pool.next();
        let running = calls.into_iter().map(|call| self.call(client, program, call));
        // All of them, so that one that fails does not drop the others half sent.
        join_all(running).await.into_iter().collect()
    }

    async fn decide(&self, program: &Program, call: Call) -> Result<Reply, Failed> {
        let client = self.pool.next_connected();
        if !client.is_connected() {
            return Err(Failed::Refused(not_connected()));
        }
        match Self::answer(client, program, call).await {
            Ok(value) => reply(value).map_err(Failed::Doubtful),
            Err(refusal) if is_refusal(&refusal) => Err(Failed::Refused(error(refusal))),
            Err(lost) => Err(Failed::Doubtful(error(lost))),
        }
    }

    async fn time(&self) -> Result<i64> {
        let client = self.pool.next().with_options(&Self::options());
        let script = "local t = redis.call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000)";
        client
            .eval::<i64, _, _, _>(script, Vec::<String>::new(), Vec::<Value>::new())
            .await
            .map_err(error)
    }

    async fn ping(&self) -> Result<()> {
        let pings = self.pool.clients().iter().map(|client| client.ping::<()>(None));
        try_join_all(pings).await.map(drop).map_err(error)
    }

    fn reconnect(&self) {
        let (pool, mut closing) = (self.pool.clone(), self.closing.subscribe());
        tokio::spawn(async move {
            tokio::select! {
                _ = closing.changed() => {}
                // Where it fails the next silence is as long.
                _ = pool.force_reconnection() => {}
            }
        });
    }

    fn follow(&self, channel: Channel, follower: Arc<dyn Follower>) {
        let listener = Listener::new(&channel, follower);
        let task = listen(
            (self.builder.clone(), self.pool.clone()),
            channel,
            listener,
            self.closing.subscribe(),
        );
        tokio::spawn(task);
    }

    async fn close(&self) {
        self.closing.send_replace(true);
        // What is on its way is lost either way: the caller has decided to end.
        drop(self.pool.quit().await);
    }
}

/// Follows a channel on a connection of its own until the cache is closed.
///
/// Markers go by the connections for commands: a connection that is subscribed may do nothing else before RESP3.
async fn listen(
    (builder, sender): (Builder, Pool),
    channel: Channel,
    mut listener: Listener,
    mut closing: watch::Receiver<bool>,
) {
    let Ok(client) = builder.build() else {
        return listener.doubt();
    };
    let (mut messages, mut connections) = (client.message_rx(), client.reconnect_rx());
    let connection = client.connect();
    let mut marks = tokio::time::interval(MARKER_EVERY);
    marks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut subscribed = false;
    loop {
        tokio::select! {
            biased;
            _ = closing.changed() => break,
            // Before the messages: a proof of before the gap must not be taken for one of after.
            connected = connections.recv() => {
                if matches!(connected, Err(RecvError::Closed)) {
                    break;
                }
                // A new connection is subscribed to nothing: whatever was published until now may be lost.
                listener.doubt();
                subscribed = client.subscribe(channel.name.as_str()).await.is_ok();
            }
            message = messages.recv() => match message {
                Ok(message) => {
                    if let Some(text) = message.value.as_str() {
                        listener.heard(&text);
                    }
                }
                Err(RecvError::Lagged(_)) => listener.doubt(),
                Err(RecvError::Closed) => break,
            },
            _ = marks.tick() => {
                if !subscribed {
                    subscribed = client.is_connected() && client.subscribe(channel.name.as_str()).await.is_ok();
                }
                if subscribed {
                    // Unsent or lost, it proves nothing, which is what it should.
                    let marker = listener.marker();
                    let sender = sender.next().with_options(&FredClient::options());
                    drop(sender.publish::<(), _, _>(channel.name.as_str(), marker).await);
                }
                if listener.is_deaf() {
                    // A connection that only listens never notices that there is nobody any more.
                    listener.doubt();
                    drop(tokio::time::timeout(CONNECT, client.force_reconnection()).await);
                }
            }
        }
    }
    listener.doubt();
    drop(client.quit().await);
    drop(connection);
}

fn reply(value: Value) -> Result<Reply> {
    Ok(match value {
        Value::Integer(number) => Reply::Number(number),
        Value::Null => Reply::Nothing,
        Value::Bytes(bytes) => Reply::Bytes(bytes),
        Value::String(text) => Reply::Bytes(text.into_inner()),
        Value::Array(values) => Reply::List(values.into_iter().map(reply).collect::<Result<_>>()?),
        _ => return Err(unexpected()),
    })
}
