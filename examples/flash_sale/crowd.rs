//! Many buyers at once, and what became of them.

use std::future::Future;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use tokio::task::JoinSet;

use crate::Outcome;

/// What a buyer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Sold,
    Refused,
}

/// A buyer who was answered.
#[derive(Clone, Copy, Debug)]
struct Answered {
    answer: Answer,
    took: Duration,
    /// Since the sale began.
    at: Duration,
}

/// A sale that is over.
#[derive(Debug)]
pub(crate) struct Sale {
    /// The quickest answer first.
    answered: Vec<Answered>,
}

impl Sale {
    /// Lets every buyer buy, `callers` of them at once.
    pub(crate) async fn hold<Buyer, Buy, Reply>(
        title: &str,
        buyers: Vec<Buyer>,
        callers: usize,
        buy: Buy,
    ) -> Outcome<Self>
    where
        Buyer: Send + 'static,
        Buy: Fn(Buyer) -> Reply + Clone + Send + Sync + 'static,
        Reply: Future<Output = Outcome<Answer>> + Send,
    {
        let begun = Instant::now();
        let mut answered = each(title, buyers, callers, move |buyer| {
            let asked = Instant::now();
            let reply = buy(buyer);
            async move {
                let answer = reply.await?;
                Ok(Answered {
                    answer,
                    took: asked.elapsed(),
                    at: begun.elapsed(),
                })
            }
        })
        .await?;
        answered.sort_unstable_by_key(|answered| answered.took);
        Ok(Self { answered })
    }

    pub(crate) fn sold(&self) -> usize {
        self.of(Answer::Sold).count()
    }

    pub(crate) fn refused(&self) -> usize {
        self.of(Answer::Refused).count()
    }

    /// Orders a second, until the last unit was sold.
    pub(crate) fn orders_a_second(&self) -> f64 {
        rate(
            self.sold(),
            self.of(Answer::Sold).map(|answered| answered.at).max(),
        )
    }

    /// Answers a second, until the last buyer was answered.
    pub(crate) fn answers_a_second(&self) -> f64 {
        rate(
            self.answered.len(),
            self.answered.iter().map(|answered| answered.at).max(),
        )
    }

    /// The time within which so many percent of the buyers were answered.
    pub(crate) fn within(&self, percent: usize) -> Duration {
        let rank = (self.answered.len() * percent).div_ceil(100).max(1) - 1;
        self.answered
            .get(rank)
            .map(|answered| answered.took)
            .unwrap_or_default()
    }

    fn of(&self, answer: Answer) -> impl Iterator<Item = &Answered> {
        self.answered
            .iter()
            .filter(move |answered| answered.answer == answer)
    }
}

fn rate(count: usize, time: Option<Duration>) -> f64 {
    let count = u32::try_from(count).map_or(f64::INFINITY, f64::from);
    time.map_or(0.0, |time| count / time.as_secs_f64().max(f64::EPSILON))
}

/// Does the same with every item, `callers` of them at once, and shows how far it is.
pub(crate) async fn each<Item, Made, Work, Step>(
    title: &str,
    items: Vec<Item>,
    callers: usize,
    work: Work,
) -> Outcome<Vec<Made>>
where
    Item: Send + 'static,
    Made: Send + 'static,
    Work: Fn(Item) -> Step + Clone + Send + Sync + 'static,
    Step: Future<Output = Outcome<Made>> + Send,
{
    let style = ProgressStyle::with_template("  {msg:24} {bar:40} {pos}/{len}, {per_sec}")?;
    let bar = ProgressBar::new(items.len() as u64)
        .with_style(style)
        .with_message(title.to_owned());
    let items = Arc::new(Mutex::new(items));
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let (items, work, bar) = (Arc::clone(&items), work.clone(), bar.clone());
        tasks.spawn(async move {
            let mut made = Vec::new();
            while let Some(item) = next(&items) {
                made.push(work(item).await?);
                bar.inc(1);
            }
            Outcome::Ok(made)
        });
    }
    let mut all = Vec::new();
    while let Some(made) = tasks.join_next().await {
        all.extend(made??);
    }
    bar.finish_and_clear();
    Ok(all)
}

fn next<Item>(items: &Mutex<Vec<Item>>) -> Option<Item> {
    items.lock().unwrap_or_else(PoisonError::into_inner).pop()
}
