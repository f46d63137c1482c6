//! One client's connection through the proxy.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::Direction;
use super::rule::Loss;
use super::shared::{Framing, Shared};
use super::wire::{self, Opening, Requests, Step};

const CHUNK: usize = 16 * 1024;

/// Why both pumps stop at once.
enum End {
    /// The connection is over: closed by the server, cut by a fault, or broken.
    Over,
    /// The client is cut now, the server gets the request later.
    Late { request: Vec<u8>, after: Duration },
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Over
    }
}

/// What the two pumps of a connection tell each other.
#[derive(Debug, Default)]
struct Session {
    /// How many requests were sent on.
    sent: AtomicU64,
    /// The number of the request whose reply is to be lost, 0 for none.
    doomed: AtomicU64,
}

/// Serves `client` until either side closes or a fault cuts; dropping the future cuts both sides.
pub(super) async fn serve(mut client: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut server = TcpStream::connect(shared.target()).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let mut held = Vec::new();
    if shared.framing() == Framing::Postgres && !open(&mut client, &mut server, shared, &mut held).await? {
        return Ok(());
    }
    let session = Session::default();
    let end = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::try_join!(
            pump_requests(from_client, to_server, held, shared, &session),
            pump_replies(from_server, to_client, shared, &session),
        )
    };
    if let Err(End::Late { request, after }) = end {
        drop(client);
        tokio::time::sleep(after).await;
        shared.passable().await;
        server.write_all(&request).await?;
        server.shutdown().await?;
        tokio::io::copy(&mut server, &mut tokio::io::sink()).await?;
    }
    Ok(())
}

/// Passes the opening packet on; false if the client left before. Requests for encryption are answered with a no: what is
/// encrypted could not be read.
async fn open(
    client: &mut TcpStream,
    server: &mut TcpStream,
    shared: &Shared,
    held: &mut Vec<u8>,
) -> io::Result<bool> {
    loop {
        match wire::opening(held) {
            Some(Opening::Encryption { length }) => {
                held.drain(..length);
                client.write_all(b"N").await?;
            }
            Some(Opening::Session { length }) => {
                shared.hold_up(Direction::ToServer).await;
                server.write_all(held.get(..length).unwrap_or_default()).await?;
                held.drain(..length);
                return Ok(true);
            }
            None if client.read_buf(held).await? == 0 => return Ok(false),
            None => {}
        }
    }
}

/// Sends each request on when it is all there, so that a lost one was never begun.
async fn pump_requests(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut held: Vec<u8>,
    shared: &Shared,
    session: &Session,
) -> Result<(), End> {
    let mut requests = Requests::default();
    let mut whole = 0;
    loop {
        while let Some((length, step)) =
            next_message(shared, &mut requests, held.get(whole..).unwrap_or_default())
        {
            whole += length;
            let loss = match step {
                Step::Part => continue,
                Step::Through => None,
                Step::End => shared.judge(&requests.finish()),
            };
            match loss {
                Some(Loss::Request) => return Err(End::Over),
                Some(Loss::LateRequest(after)) => {
                    held.truncate(whole);
                    return Err(End::Late { request: held, after });
                }
                _ => {}
            }
            let sent = session.sent.load(Ordering::Relaxed) + u64::from(step == Step::End);
            if loss == Some(Loss::Reply) {
                session.doomed.store(sent, Ordering::Relaxed);
            }
            shared.hold_up(Direction::ToServer).await;
            session.sent.store(sent, Ordering::Relaxed);
            to.write_all(held.get(..whole).unwrap_or_default()).await?;
            held.drain(..whole);
            whole = 0;
            if loss == Some(Loss::Reply) {
                // Whatever the client sent after it is lost with the connection.
                return Ok(());
            }
        }
        if from.read_buf(&mut held).await? == 0 {
            shared.passable().await;
            to.write_all(&held).await?;
            to.shutdown().await?;
            return Ok(());
        }
    }
}

fn next_message(shared: &Shared, requests: &mut Requests, bytes: &[u8]) -> Option<(usize, Step)> {
    match shared.framing() {
        Framing::Postgres => requests.next(bytes),
        Framing::Redis => requests.command(bytes),
        Framing::Opaque if bytes.is_empty() => None,
        Framing::Opaque => Some((bytes.len(), Step::End)),
    }
}

/// Passes replies on until the server closes or the doomed reply is complete. When the client has left, the server's word
/// is still heard to its end: a server does not stop because no one listens.
async fn pump_replies(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    shared: &Shared,
    session: &Session,
) -> Result<(), End> {
    let mut watch = ReplyWatch::default();
    let mut delayed = 0;
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = from.read(&mut chunk).await?;
        if length == 0 {
            return Err(End::Over);
        }
        let bytes = chunk.get(..length).unwrap_or_default();
        let Passage { pass, cut } =
            watch.judge(shared.framing(), bytes, session.doomed.load(Ordering::Relaxed));
        let sent = session.sent.load(Ordering::Relaxed);
        // The delay is the line's, not the chunk's: once for each reply, however long it is.
        if sent != delayed {
            delayed = sent;
            shared.hold_up(Direction::ToClient).await;
        } else {
            shared.passable().await;
        }
        // A client that has left is no reason to stop; the request pump sees it leave.
        drop(to.write_all(bytes.get(..pass).unwrap_or_default()).await);
        if cut {
            return Err(End::Over);
        }
    }
}

/// How much of a chunk goes to the client, and whether the connection is cut then.
struct Passage {
    pass: usize,
    cut: bool,
}

#[derive(Debug, Default)]
struct ReplyWatch {
    replies: wire::Replies,
    /// How often the server has said that it is ready; the first time is the end of the session's start.
    ready: u64,
}

impl ReplyWatch {
    /// `doomed`: the number of the request whose reply is kept back; what belongs to earlier ones still passes.
    fn judge(&mut self, framing: Framing, bytes: &[u8], doomed: u64) -> Passage {
        if framing != Framing::Postgres {
            let cut = doomed > 0;
            return Passage {
                pass: if cut { 0 } else { bytes.len() },
                cut,
            };
        }
        let mut pass = if doomed > 0 && self.ready >= doomed {
            0
        } else {
            bytes.len()
        };
        let mut cut = false;
        for end in self.replies.ready_ends(bytes) {
            self.ready += 1;
            if self.ready == doomed {
                pass = end;
            }
            cut |= doomed > 0 && self.ready > doomed;
        }
        Passage { pass, cut }
    }
}
