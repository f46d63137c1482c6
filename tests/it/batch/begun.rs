//! Calls that are under way before anybody waits for them.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use tokio::task::JoinSet;

/// A call that can be begun here and finished elsewhere.
pub(super) type Call<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Begins a call: what writes without reading is in the queue then. The answer, if it is there already.
pub(super) async fn begin<T>(call: &mut Call<T>) -> Option<T> {
    let begun = poll_fn(|context| {
        Poll::Ready(match call.as_mut().poll(context) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        })
    });
    // Else the runtime would hold calls back after some hundred, so that other tasks get their turn.
    tokio::task::coop::unconstrained(begun).await
}

/// Begins all of them, in this order; none may have an answer yet.
pub(super) async fn begin_all<T>(calls: &mut [Call<T>]) {
    for call in calls {
        assert!(begin(call).await.is_none(), "nothing could be answered yet");
    }
}

/// The answers, in the order of the calls.
pub(super) async fn finish<T: Send + 'static>(calls: Vec<Call<T>>) -> Vec<T> {
    let mut all = JoinSet::new();
    for (number, call) in calls.into_iter().enumerate() {
        all.spawn(async move { (number, call.await) });
    }
    let mut answers = all.join_all().await;
    answers.sort_by_key(|(number, _)| *number);
    answers.into_iter().map(|(_, answer)| answer).collect()
}
