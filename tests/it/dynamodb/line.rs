//! A line to the service that loses transactions: their requests before they arrive, or the replies behind them.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// How a request for a transaction begins to be told from others.
const TRANSACTION: &[u8] = b"TransactWriteItems";

/// The line; it ends when it is dropped.
pub(super) struct Line {
    url: String,
    plan: Arc<Plan>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Plan {
    replies: AtomicUsize,
    requests: AtomicUsize,
    lost: AtomicUsize,
}

impl Plan {
    fn loses(&self, left: &AtomicUsize) -> bool {
        let took = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if took.is_ok() {
            self.lost.fetch_add(1, Ordering::SeqCst);
        }
        took.is_ok()
    }
}

impl Line {
    pub(super) async fn to(url: &str) -> Self {
        let target = url.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let plan = Arc::new(Plan::default());
        let own = plan.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (target, plan) = (target.clone(), own.clone());
                tokio::spawn(async move { forward(client, &target, &plan).await });
            }
        });
        Self { url, plan, task }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The next transactions arrive, and their replies do not.
    pub(super) fn lose_replies(&self, count: usize) {
        self.plan.replies.store(count, Ordering::SeqCst);
    }

    /// The next transactions do not arrive.
    pub(super) fn lose_requests(&self, count: usize) {
        self.plan.requests.store(count, Ordering::SeqCst);
    }

    pub(super) fn lost(&self) -> usize {
        self.plan.lost.load(Ordering::SeqCst)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection; it is closed to lose what is on it.
async fn forward(mut client: TcpStream, target: &str, plan: &Plan) {
    let Ok(mut service) = TcpStream::connect(target).await else {
        return;
    };
    let (mut sent, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    let mut losing = false;
    loop {
        tokio::select! {
            read = client.read(&mut sent) => {
                let Ok(count @ 1..) = read else { return };
                let begins = sent[..count].windows(TRANSACTION.len()).any(|part| part == TRANSACTION);
                if begins && plan.loses(&plan.requests) {
                    return;
                }
                losing |= begins && plan.loses(&plan.replies);
                if service.write_all(&sent[..count]).await.is_err() {
                    return;
                }
            }
            read = service.read(&mut answered) => {
                let Ok(count @ 1..) = read else { return };
                if losing || client.write_all(&answered[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
