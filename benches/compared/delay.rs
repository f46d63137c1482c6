//! A longer way to a server: every round trip over it takes the same time more.
//!
//! What a client sends leaves so much later than it came; replies pass at once. Nothing waits for anything else, so that
//! requests may follow each other and the bandwidth stays what it was. Threads that sleep, since a timer of tokio counts
//! whole milliseconds.

use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// Linux wakes a sleeping thread so much later than it asked for.
const SLACK: Duration = Duration::from_micros(70);

const CHUNK: usize = 64 * 1024;

/// Bytes on their way, and when they leave.
type Sent = (Instant, Vec<u8>);

/// Opens a way to `server`, and tells where it begins; it stays open until the process ends.
pub(crate) fn open(server: SocketAddr, delay: Duration) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // Who cannot be connected sees a connection that is closed at once.
            drop(connect(client, server, delay));
        }
    });
    Ok(address)
}

fn connect(client: TcpStream, server: SocketAddr, delay: Duration) -> std::io::Result<()> {
    let server = TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (to_server, from_server, to_client) = (server.try_clone()?, server, client.try_clone()?);
    let (send, sent) = mpsc::channel();
    thread::spawn(move || take(client, &send, delay));
    thread::spawn(move || pass_late(&sent, to_server));
    thread::spawn(move || pass(from_server, to_client));
    Ok(())
}

/// Takes what the client sends until it leaves.
fn take(mut client: TcpStream, send: &mpsc::Sender<Sent>, delay: Duration) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(length @ 1..) = client.read(&mut chunk) {
        let due = Instant::now() + delay.saturating_sub(SLACK);
        let bytes = chunk.get(..length).unwrap_or_default().to_vec();
        if send.send((due, bytes)).is_err() {
            return;
        }
    }
}

fn pass_late(sent: &mpsc::Receiver<Sent>, mut server: TcpStream) {
    while let Ok((due, bytes)) = sent.recv() {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if server.write_all(&bytes).is_err() {
            return;
        }
    }
    // The client has left; the server may still answer.
    drop(server.shutdown(Shutdown::Write));
}

fn pass(mut server: TcpStream, mut client: TcpStream) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(length @ 1..) = server.read(&mut chunk) {
        if client.write_all(chunk.get(..length).unwrap_or_default()).is_err() {
            break;
        }
    }
    drop(client.shutdown(Shutdown::Both));
}
