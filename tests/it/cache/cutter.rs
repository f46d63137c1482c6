//! A relay in front of a server that cuts connections in the middle of replies.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::support::Dice;

/// Passes everything on; while it cuts, each connection ends after a random number of bytes of replies.
pub(super) struct Cutter {
    pub(super) address: SocketAddr,
    control: Arc<Control>,
    listener: JoinHandle<()>,
}

#[derive(Default)]
struct Control {
    /// The most bytes of replies that a connection lives for; 0 for any number.
    most: AtomicU64,
    cuts: AtomicU64,
}

impl Cutter {
    pub(super) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let control = Arc::new(Control::default());
        let (shared, mut dice) = (Arc::clone(&control), Dice::new("cutter"));
        let listener = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, server, Arc::clone(&shared), dice.draw()));
            }
        });
        Self {
            address,
            control,
            listener,
        }
    }

    /// Cuts each connection after at most so many bytes of replies, those that are open too.
    pub(super) fn cut_within(&self, most: u64) {
        self.control.most.store(most, Ordering::SeqCst);
    }

    /// Cuts no more.
    pub(super) fn heal(&self) {
        self.control.most.store(0, Ordering::SeqCst);
    }

    /// Connections cut so far.
    pub(super) fn cuts(&self) -> u64 {
        self.control.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn serve(client: TcpStream, server: SocketAddr, control: Arc<Control>, drawn: u64) {
    // A server that is down is what its client would see of it too: a connection that ends.
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let ((mut requests, mut to_client), (mut replies, mut to_server)) =
        (client.into_split(), server.into_split());
    let upwards = async move { drop(tokio::io::copy(&mut requests, &mut to_server).await) };
    let downwards = async move {
        let (mut buffer, mut passed) = ([0; 512], 0);
        while let Ok(length) = replies.read(&mut buffer).await {
            let most = control.most.load(Ordering::SeqCst);
            let left = match most {
                0 => u64::MAX,
                most => (drawn % most + 1).saturating_sub(passed),
            };
            let taken = length.min(usize::try_from(left).unwrap_or(usize::MAX));
            if length == 0 || to_client.write_all(&buffer[..taken]).await.is_err() {
                return;
            }
            if taken < length {
                control.cuts.fetch_add(1, Ordering::SeqCst);
                return;
            }
            // What passed before anybody was to be cut does not count.
            passed = if most == 0 { 0 } else { passed + taken as u64 };
        }
    };
    tokio::select! {
        () = upwards => {}
        () = downwards => {}
    }
}
