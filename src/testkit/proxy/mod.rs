//! A TCP proxy on loopback that counts a client's round trips and breaks its connections on purpose.
//!
//! A store's tests connect through it to ask what happens when the network fails at the worst moment: before the server has
//! a request, after the server has acted on it, or in between.
//!
//! ```no_run
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! use stockroom::testkit::proxy::{Loss, Proxy, When};
//!
//! let server = std::net::SocketAddr::from(([127, 0, 0, 1], 5432));
//! let proxy = Proxy::start(server).await?;
//! println!("connect to {}", proxy.address());
//!
//! proxy.lose_sql("COMMIT", Loss::Reply, When::Every(3));
//! // ... every third COMMIT succeeds on the server, and its client sees a broken connection ...
//! println!("{} of {} replies were lost", proxy.counts().lost, proxy.counts().round_trips);
//! proxy.heal().await;
//! # Ok(())
//! # }
//! ```

mod connection;
mod resp;
mod rule;
mod shared;
#[cfg(test)]
#[cfg(all(unix, feature = "postgres"))]
mod tests;
mod wire;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use self::rule::Rule;
pub use self::rule::{Loss, When};
use self::shared::{Framing, Shared};
use super::engines::port;

/// How long the listener waits before it tries again what the system refused.
const PAUSE: Duration = Duration::from_millis(10);

/// The way that a message takes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Requests.
    ToServer,
    /// Replies.
    ToClient,
}

/// The state of the line between clients and server.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Line {
    /// Everything passes.
    Up,
    /// New connections are refused, existing ones go on: a server that is restarting.
    Refusing,
    /// Connections are accepted and read from, but nothing passes in either direction and no one is told: a network that
    /// is cut. What is on its way arrives when the line is up again, as it does with TCP.
    Silent,
}

/// What passed through a proxy since its start, or since [`Proxy::reset_counts`].
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Connections accepted.
    pub connections: u64,
    /// Requests that a client waits for the reply of. PostgreSQL: Sync, Query and FunctionCall messages; the start of a
    /// session, with its password, is not counted, preparing a statement is.
    pub round_trips: u64,
    /// How many of them a fault struck.
    pub lost: u64,
}

/// A TCP proxy on loopback in front of one server, with faults on request.
///
/// - It passes everything on unchanged until told otherwise. Faults add up; [`Proxy::heal`] ends them all.
/// - Requests for encryption are declined, since an encrypted request cannot be told from another.
/// - A request is sent on when it is all there, so a lost one was never begun.
/// - Dropping it closes its port and cuts its connections. It lives on the runtime that started it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: JoinHandle<()>,
    /// The number of the last change of the line that the listener has followed.
    followed: watch::Receiver<u64>,
}

impl Proxy {
    /// Starts a proxy in front of the PostgreSQL server at `target`, on a free loopback port.
    ///
    /// - The server need not run yet; a client that cannot be connected to it is disconnected.
    ///
    /// # Errors
    /// The system's, if there is no port to listen on.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        Self::start_with(target, Framing::Postgres).await
    }

    /// Starts a proxy that does not know the protocol: whatever arrives at once is one request or one reply.
    ///
    /// - For protocols of one request and one reply at a time, encrypted ones too. [`Loss::Reply`] cuts at the first bytes
    ///   of the reply, whether or not the server has said all of it. [`Proxy::lose_sql`] never strikes.
    ///
    /// # Errors
    /// The system's, if there is no port to listen on.
    pub async fn start_opaque(target: SocketAddr) -> io::Result<Self> {
        Self::start_with(target, Framing::Opaque).await
    }

    /// Starts a proxy in front of the Redis server at `target`, on a free loopback port.
    ///
    /// - Every command is a request, also of several that are sent at once. [`Proxy::lose_sql`] strikes commands by a part of
    ///   their name, as in `EVALSHA`. [`Loss::Reply`] cuts at the first bytes that come back after the command was sent on:
    ///   with several commands under way these may be another's reply.
    ///
    /// # Errors
    /// The system's, if there is no port to listen on.
    pub async fn start_redis(target: SocketAddr) -> io::Result<Self> {
        Self::start_with(target, Framing::Redis).await
    }

    /// Where clients connect to; the port stays the same while connections are refused.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets `loss` strike the requests that `when` says, whatever they are.
    pub fn lose(&self, loss: Loss, when: When) {
        self.shared.add_rule(Rule::new(loss, when, None));
    }

    /// As [`Proxy::lose`], of the requests that run a statement with `part` in it.
    ///
    /// - Compares the text as the client has sent it, prepared statements too; other requests are not counted.
    pub fn lose_sql(&self, part: impl Into<String>, loss: Loss, when: When) {
        self.shared.add_rule(Rule::new(loss, when, Some(part.into())));
    }

    /// Delays each request, or each reply, by `delay`; a reply of many parts is delayed once.
    pub fn delay(&self, direction: Direction, delay: Duration) {
        self.shared.set_delay(direction, delay);
    }

    /// Cuts every connection now; what was on its way is lost.
    ///
    /// - They are closed when this returns. New ones are accepted.
    pub async fn cut_all(&self) {
        self.shared.cut().closed().await;
    }

    /// Leads to another server from now on, and cuts the connections to the one before: an address that moves when its
    /// server is gone.
    pub async fn lead_to(&self, target: SocketAddr) {
        self.lead_new_to(target);
        self.cut_all().await;
    }

    /// Leads new connections to another server; those that are open stay with theirs, as after a change of a name's address.
    pub fn lead_new_to(&self, target: SocketAddr) {
        self.shared.lead_to(target);
    }

    /// Changes the state of the line; it is changed when this returns.
    pub async fn set_line(&self, line: Line) {
        let change = self.shared.set_line(line);
        // An error means that the listener has ended with its runtime, and with it every connection.
        drop(
            self.followed
                .clone()
                .wait_for(|followed| *followed >= change)
                .await,
        );
    }

    /// Ends every fault: nothing more is lost or delayed, and the line is up. Connections that are open stay open.
    pub async fn heal(&self) {
        self.shared.forget_faults();
        self.set_line(Line::Up).await;
    }

    /// What has passed so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// Counts from zero again, and forgets the recent requests.
    pub fn reset_counts(&self) {
        self.shared.reset_counts();
    }

    /// The SQL of the last 256 requests, the newest last, for a test that found one too many.
    ///
    /// - A request that only prepares reads "prepare: ..."; one without SQL is empty.
    #[must_use]
    pub fn recent(&self) -> Vec<String> {
        self.shared.recent()
    }

    async fn start_with(target: SocketAddr, framing: Framing) -> io::Result<Self> {
        // Not a port that the system picks: see `port`. A connecting client may take one of those while it is refused.
        let port = port::free().ok_or_else(|| io::Error::other("no loopback port is free"))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(target, framing));
        let (report, followed) = watch::channel(0);
        let listener = tokio::spawn(listen(listener, address, Arc::clone(&shared), report));
        Ok(Self {
            address,
            shared,
            listener,
            followed,
        })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Its connections are in its join set and go with it.
        self.listener.abort();
    }
}

/// Accepts connections while the line is not refusing. To refuse is to have no listener: the system then answers as it does
/// for a server that is down.
async fn listen(first: TcpListener, address: SocketAddr, shared: Arc<Shared>, report: watch::Sender<u64>) {
    let mut listener = Some(first);
    let mut line = shared.line();
    let mut connections = JoinSet::new();
    loop {
        let change = *line.borrow_and_update();
        if change.line == Line::Refusing {
            listener = None;
        } else if listener.is_none() {
            listener = Some(bind(address).await);
        }
        report.send_replace(change.number);
        tokio::select! {
            _ = line.changed() => {}
            client = accept(listener.as_ref()) => {
                connections.spawn(serve(client, Arc::clone(&shared)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn bind(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    loop {
        match listener.accept().await {
            Ok((client, _)) => return client,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn serve(client: TcpStream, shared: Arc<Shared>) {
    let mut cut = shared.connected();
    tokio::select! {
        _ = cut.changed() => {}
        // A connection that breaks is what this proxy is for; its client is told by the breaking.
        _ = connection::serve(client, &shared) => {}
    }
}
