//! Every write dropped at every await, with two reading connections: afterwards the pool serves, no session stays in a
//! transaction, every write is whole or absent. On DynamoDB some writes of each kind, at some of their awaits.

mod carts;
mod catalogue;
mod checkout;
mod stock;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::support::Ground;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::crowd;
use crate::support::until;

/// How long after its last poll an attempt is dropped: before its write is sent, on its way, and when it is done.
const PAUSES_IN_MICROS: [u64; 7] = [0, 100, 300, 800, 2_000, 5_000, 0];
/// The same where each call takes longer.
const PAUSES_FAR_IN_MICROS: [u64; 6] = [0, 1_000, 3_000, 8_000, 20_000, 50_000];
/// More than anything needs.
const MOST_POLLS: usize = 2_000;
/// For what is not waited for otherwise.
const READ: Duration = Duration::from_secs(10);

/// When an attempt is dropped: after so many polls, and then so much later. What is pending has got further meanwhile.
#[derive(Clone, Copy, Debug)]
struct Cut {
    polls: usize,
    pause: Duration,
}

impl Cut {
    /// The answer of the future, if it came before it was dropped.
    async fn drops<F: Future>(self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut left = self.polls;
        let answer = poll_fn(|context| {
            left -= 1;
            match future.as_mut().poll(context) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending if left == 0 => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        if answer.is_none() && !self.pause.is_zero() {
            tokio::time::sleep(self.pause).await;
        }
        answer
    }
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It ended before it was dropped.
    Ended,
    /// It was dropped, and is there as a whole.
    Whole,
    /// It was dropped, and nothing of it is there.
    Absent,
}

impl Fate {
    fn of(has_ended: bool, is_there: bool) -> Self {
        match (has_ended, is_there) {
            (true, _) => Self::Ended,
            (false, true) => Self::Whole,
            (false, false) => Self::Absent,
        }
    }
}

/// Makes attempts that are dropped after 1 poll, after 2, until one ends; again for each pause.
async fn drop_everywhere(ground: &Ground, shop: &Shop, mut attempt: impl AsyncFnMut(usize, Cut) -> Fate) {
    let (mut number, mut whole, mut absent) = (0, 0, 0);
    // Each attempt costs a far store dozens of calls: some of the awaits have to do.
    let (pauses, stride) = if ground.is_far() {
        (PAUSES_FAR_IN_MICROS.as_slice(), 3)
    } else {
        (PAUSES_IN_MICROS.as_slice(), 16)
    };
    for pause in pauses.iter().copied().map(Duration::from_micros) {
        let mut polls = 1;
        loop {
            number += 1;
            match attempt(number, Cut { polls, pause }).await {
                Fate::Ended => break,
                Fate::Whole => whole += 1,
                Fate::Absent => absent += 1,
            }
            // Only long reads have so many awaits that some may be left out.
            polls += 1 + polls / stride;
            assert!(polls < MOST_POLLS, "it never ends");
        }
    }
    println!("{number} attempts, {absent} dropped without effect, {whole} dropped and whole");
    assert!(whole + absent > 0, "nothing was dropped");
    assert_serves(ground, shop).await;
}

/// Waits until nothing is on its way any more, of whoever has gone as well.
async fn settled(shop: &Shop) {
    until("nothing is on its way", async || {
        let commits = shop.commits();
        commits.waiting + commits.under_way == 0
    })
    .await;
}

/// Demands that all connections serve, and that none is left over or in a transaction.
async fn assert_serves(ground: &Ground, shop: &Shop) {
    let received = shop.inventory().receive("AFTERWARDS", &berlin(), 1).await;
    received.unwrap();
    let reader = shop.within(READ);
    let served = crowd(8, move |_| {
        let shop = reader.clone();
        async move { shop.ping().await }
    });
    for pong in served.await {
        pong.unwrap();
    }
    let Some(schema) = ground.schema() else { return };
    let sessions = format!("SELECT state FROM pg_stat_activity WHERE application_name = '{schema}'");
    until("two readers and two writers are idle", async || {
        let states = ground.texts(&sessions).await;
        states.len() <= 4 && states.iter().all(|state| state == "idle")
    })
    .await;
}
