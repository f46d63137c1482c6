//! One caller, who does one write after the other.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Instant;

use stockroom::CartId;
use stockroom::Quote;
use stockroom::Sku;

use crate::case::Work;
use crate::compared::random::Random;
use crate::compared::sale::Answer;
use crate::compared::till::Till;
use crate::desk;
use crate::desk::Held;
use crate::desk::Read;
use crate::support::Result;
use crate::support::Samples;

/// What all callers of a round share.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) work: Work,
    pub(crate) till: Till,
    pub(crate) skus: Arc<Vec<Sku>>,
    pub(crate) carts: Arc<Vec<CartId>>,
    pub(crate) quotes: Mutex<Vec<Quote>>,
    pub(crate) until: Instant,
}

/// What a round wrote.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) samples: Samples,
    pub(crate) renamed: usize,
    pub(crate) stale: usize,
    pub(crate) added: usize,
    pub(crate) orders: usize,
    pub(crate) units: usize,
}

impl Written {
    pub(crate) fn append(&mut self, other: Self) {
        self.samples.append(other.samples);
        self.renamed += other.renamed;
        self.stale += other.stale;
        self.added += other.added;
        self.orders += other.orders;
        self.units += other.units;
    }
}

/// One kind of write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Product,
    CartLine,
    Order,
}

/// One caller; nobody else changes its products.
#[derive(Debug)]
pub(crate) struct Caller {
    products: Vec<Held>,
    turn: usize,
    random: Random,
}

impl Caller {
    pub(crate) const fn new(products: Vec<Held>, seed: u64) -> Self {
        Self {
            products,
            turn: 0,
            random: Random::new(seed),
        }
    }

    /// Writes until the time is over or it has written so often.
    pub(crate) async fn write(&mut self, round: &Round, most: usize) -> Result<Written> {
        let mut written = Written::default();
        while written.samples.count() < most && Instant::now() < round.until {
            match self.kind(round.work) {
                Kind::Product => self.rename(round, &mut written).await?,
                Kind::CartLine => self.add(round, &mut written).await?,
                Kind::Order => {
                    let next = round.quotes.lock().unwrap_or_else(PoisonError::into_inner).pop();
                    let Some(quote) = next else { break };
                    order(round, quote, &mut written).await?;
                }
            }
        }
        Ok(written)
    }

    fn kind(&mut self, work: Work) -> Kind {
        match work {
            Work::Products => Kind::Product,
            Work::CartLines => Kind::CartLine,
            Work::Mix => match self.random.below(10) {
                0..4 => Kind::CartLine,
                4..6 => Kind::Product,
                _ => Kind::Order,
            },
        }
    }

    async fn rename(&mut self, round: &Round, written: &mut Written) -> Result<()> {
        self.turn += 1;
        let place = self.turn % self.products.len();
        let title = format!("Title {}", self.turn);
        let held = &mut self.products[place];
        let read = if held.was_changed()? && self.random.below(100) == 0 {
            Read::TooEarly
        } else {
            Read::Now
        };
        let begun = Instant::now();
        desk::rename(&round.till, held, read, title).await?;
        written.samples.push(begun.elapsed());
        match read {
            Read::Now => written.renamed += 1,
            Read::TooEarly => written.stale += 1,
        }
        Ok(())
    }

    async fn add(&mut self, round: &Round, written: &mut Written) -> Result<()> {
        let cart = round.carts[self.random.below(round.carts.len())];
        let sku = &round.skus[self.random.below(round.skus.len())];
        let begun = Instant::now();
        desk::add(&round.till, cart, sku).await?;
        written.samples.push(begun.elapsed());
        written.added += 1;
        Ok(())
    }
}

async fn order(round: &Round, quote: Quote, written: &mut Written) -> Result<()> {
    let lines = quote.lines.len();
    let begun = Instant::now();
    if round.till.place(quote).await? == Answer::Refused {
        return Err("refused, and there was enough".into());
    }
    written.samples.push(begun.elapsed());
    written.orders += 1;
    written.units += lines;
    Ok(())
}
