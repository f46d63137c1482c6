//! A relay in front of a Redis server that lets subscriptions fall silent: what a firewall does that has forgotten a connection.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Passes everything on, but what the server says on connections that are subscribed and were open when it was told to be mute:
/// these stay open and silent for good. New ones are as good as ever.
pub(super) struct Mute {
    pub(super) address: SocketAddr,
    control: Arc<Control>,
    listener: JoinHandle<()>,
}

#[derive(Default)]
struct Control {
    opened: AtomicU64,
    /// Connections with lower numbers are silent once they are subscribed.
    silent_below: AtomicU64,
    swallowed: AtomicU64,
}

impl Mute {
    pub(super) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let control = Arc::new(Control::default());
        let shared = Arc::clone(&control);
        let listener = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, server, Arc::clone(&shared)));
            }
        });
        Self {
            address,
            control,
            listener,
        }
    }

    /// The subscriptions that are there hear nothing any more.
    pub(super) fn silence_subscriptions(&self) {
        let opened = self.control.opened.load(Ordering::SeqCst);
        self.control.silent_below.store(opened, Ordering::SeqCst);
    }

    /// How often something was said that nobody heard.
    pub(super) fn swallowed(&self) -> u64 {
        self.control.swallowed.load(Ordering::SeqCst)
    }
}

impl Drop for Mute {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn serve(client: TcpStream, server: SocketAddr, control: Arc<Control>) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let number = control.opened.fetch_add(1, Ordering::SeqCst);
    let is_subscribed = AtomicBool::new(false);
    let ((mut requests, mut to_client), (mut replies, mut to_server)) =
        (client.into_split(), server.into_split());
    let upwards = async {
        let mut buffer = [0; 4_096];
        while let Ok(length @ 1..) = requests.read(&mut buffer).await {
            if buffer[..length].windows(9).any(|part| part == b"SUBSCRIBE") {
                is_subscribed.store(true, Ordering::SeqCst);
            }
            if to_server.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
    };
    let downwards = async {
        let mut buffer = [0; 4_096];
        while let Ok(length @ 1..) = replies.read(&mut buffer).await {
            let is_silent = number < control.silent_below.load(Ordering::SeqCst);
            if is_silent && is_subscribed.load(Ordering::SeqCst) {
                control.swallowed.fetch_add(1, Ordering::SeqCst);
            } else if to_client.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = upwards => {}
        () = downwards => {}
    }
}
