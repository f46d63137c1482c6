//! What a lost answer leads to, on a client that loses it whenever it is told to.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::backend::redis::client::RespClient;
use crate::backend::redis::client::unexpected;
use crate::backend::redis::follower::Channel;
use crate::backend::redis::scripts::Program;
use crate::backend::redis::store::keys::Keys;
use crate::backend::redis::store::record::bytes;
use crate::model::Actor;
use crate::model::Cart;
use crate::model::CartId;
use crate::model::Currency;
use crate::model::Owner;
use crate::model::from_micros;
use crate::spi::cache::Follower;
use crate::spi::store::Put;

/// Gives prepared answers, and keeps what it was asked.
#[derive(Debug, Default)]
struct Lossy {
    answers: Mutex<VecDeque<Result<Reply, Failed>>>,
    /// The key of the commit in each call, and whether its outcome was asked for.
    asked: Arc<Mutex<Vec<(String, bool)>>>,
}

#[async_trait]
impl RespClient for Lossy {
    async fn get_many(&self, _: Vec<String>) -> Result<Vec<Option<bytes::Bytes>>> {
        Err(unexpected())
    }

    async fn run(&self, _: &Program, _: Vec<Call>) -> Result<Vec<Reply>> {
        Err(unexpected())
    }

    async fn decide(&self, _: &Program, call: Call) -> Result<Reply, Failed> {
        let of = call.keys.iter().find(|key| key.contains(":commit:"));
        let asked = (of.unwrap().clone(), call.keys.len() == 1);
        self.asked.lock().unwrap().push(asked);
        self.answers.lock().unwrap().pop_front().unwrap()
    }

    async fn time(&self) -> Result<i64> {
        Err(unexpected())
    }

    async fn ping(&self) -> Result<()> {
        Err(unexpected())
    }

    fn reconnect(&self) {}

    fn follow(&self, _: Channel, _: Arc<dyn Follower>) {}

    async fn close(&self) {}
}

fn says(words: &[&str]) -> Result<Reply, Failed> {
    let words = words.iter().map(|word| Reply::Bytes(bytes(*word)));
    Ok(Reply::List(words.collect()))
}

fn lost() -> Result<Reply, Failed> {
    Err(Failed::Doubtful(unexpected()))
}

fn refused() -> Result<Reply, Failed> {
    let error = Error::new(ErrorKind::Unavailable, "the server is starting");
    Err(Failed::Refused(error))
}

/// The outcome of one commit, and for each call the number of its attempt and whether it asked for the outcome.
async fn commit(answers: Vec<Result<Reply, Failed>>) -> (Result<Committed>, Vec<(usize, bool)>) {
    let asked = Arc::default();
    let client = Lossy {
        answers: Mutex::new(answers.into()),
        asked: Arc::clone(&asked),
    };
    let wire = Wire::new(Box::new(client), Keys::new("shop").unwrap());
    let now = from_micros(0).unwrap();
    let life = Duration::from_secs(1);
    let mut set = WriteSet::new(Actor::system());
    set.put(Put::create(Cart::open(
        CartId::new(),
        Owner::Guest,
        Currency::EUR,
        life,
        now,
    )));
    let committer = Committer::new(Arc::new(wire), 1);
    let deadline = Deadline::within(Duration::from_secs(20));
    let outcome = committer.commit(set, deadline).await;
    let mut attempts: Vec<String> = Vec::new();
    let asked = std::mem::take(&mut *asked.lock().unwrap());
    let numbered = asked.into_iter().map(|(key, is_question)| {
        if !attempts.contains(&key) {
            attempts.push(key.clone());
        }
        let number = attempts.iter().position(|known| *known == key);
        (number.unwrap(), is_question)
    });
    (outcome, numbered.collect())
}

#[tokio::test]
async fn an_attempt_that_went_through_is_not_repeated() {
    // The first question is lost as well.
    let answers = vec![lost(), lost(), says(&["done", "7 1"])];
    let (outcome, asked) = commit(answers).await;
    assert_eq!(outcome.unwrap().versions[0].2.get(), 1);
    assert_eq!(asked, [(0, false), (0, true), (0, true)]);
}

#[tokio::test]
async fn an_attempt_that_never_will_is_repeated_under_another_id() {
    let answers = vec![lost(), says(&["void"]), says(&["done", "7 1"])];
    let (outcome, asked) = commit(answers).await;
    assert!(outcome.is_ok());
    assert_eq!(asked, [(0, false), (0, true), (1, false)]);
}

#[tokio::test]
async fn what_the_server_refuses_is_told_at_once() {
    let (outcome, asked) = commit(vec![refused()]).await;
    assert!(outcome.unwrap_err().is(ErrorKind::Unavailable));
    assert_eq!(asked, [(0, false)]);
}

#[tokio::test]
async fn a_question_that_is_refused_is_asked_again() {
    let answers = vec![lost(), refused(), says(&["done", "7 1"])];
    let (outcome, asked) = commit(answers).await;
    assert!(outcome.is_ok());
    assert_eq!(asked.len(), 3);
}
