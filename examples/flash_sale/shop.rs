//! The sale as the shop holds it.

use stockroom::CommitStatus;
use stockroom::Currency;
use stockroom::ErrorKind;
use stockroom::IdempotencyKey;
use stockroom::LedgerReport;
use stockroom::Level;
use stockroom::LocationId;
use stockroom::Money;
use stockroom::NewProduct;
use stockroom::Owner;
use stockroom::Place;
use stockroom::Quantity;
use stockroom::Quote;
use stockroom::Stockroom;
use stockroom::Tally;

use crate::Outcome;
use crate::arguments::Arguments;
use crate::crowd;
use crate::crowd::Answer;
use crate::crowd::Sale;
use crate::venue::Venue;

const SKU: &str = "CONSOLE";

/// The commits of the sale: what is asked for while one is under way shares the next.
#[derive(Debug)]
pub(crate) struct Commits {
    /// How many requests each had.
    pub(crate) sizes: Tally,
    /// Microseconds that a request waited for its turn.
    pub(crate) waits: Tally,
    /// How often one was tried again, with fresh figures.
    pub(crate) again: u64,
}

impl Commits {
    fn between(before: &CommitStatus, after: &CommitStatus) -> Self {
        let sizes = after.sizes.since(&before.sizes);
        Self {
            again: (after.rounds - before.rounds).saturating_sub(sizes.count()),
            waits: after.queued.since(&before.queued),
            sizes,
        }
    }
}

/// What the shop's books say when the sale is over.
#[derive(Debug)]
pub(crate) struct Books {
    pub(crate) commits: Commits,
    pub(crate) level: Level,
    pub(crate) ledger: LedgerReport,
}

impl Books {
    /// What in them does not fit to what the buyers were told.
    pub(crate) fn wrong(&self, sale: &Sale, arguments: &Arguments) -> Vec<String> {
        let left = units(arguments.units) - units(sale.sold());
        let mut wrong = Vec::new();
        if self.level.available() != left {
            wrong.push(format!(
                "{left} units should be left, {} are",
                self.level.available()
            ));
        }
        if !self.ledger.is_consistent() {
            wrong.push("the level differs from its ledger".to_owned());
        }
        wrong
    }
}

/// Puts the product on sale, fills the buyers' carts, and lets them buy.
pub(crate) async fn sell(venue: &Venue, arguments: &Arguments) -> Outcome<(Sale, Books)> {
    let shop = venue.shop().await?;
    let console = NewProduct::new("Console").variant(SKU, Money::new(49_900, Currency::USD));
    shop.products().create(console).await?;
    receive(&shop, arguments.units).await?;
    let quotes = carts(&shop, arguments).await?;

    let before = shop.commits();
    let till = shop.clone();
    let sale = Sale::hold("stockroom", quotes, arguments.callers, move |quote| {
        buy(till.clone(), quote)
    })
    .await?;

    let commits = Commits::between(&before, &shop.commits());

    let levels = shop.inventory().levels(SKU).await?;
    let books = Books {
        commits,
        level: levels.into_iter().next().ok_or("the product has no level")?,
        ledger: shop.inventory().verify_ledger().await?,
    };
    shop.close().await;
    Ok((sale, books))
}

/// One buyer: an order, or the word that there is nothing left. The key makes a repeated click the same order.
async fn buy(shop: Stockroom, quote: Quote) -> Outcome<Answer> {
    let key = IdempotencyKey::new(format!("buy-{}", quote.cart.id))?;
    match shop.checkout().place(Place::quote(quote).key(key)).await {
        Ok(_) => Ok(Answer::Sold),
        Err(error) if error.is(ErrorKind::InsufficientStock) => Ok(Answer::Refused),
        Err(error) => Err(error.into()),
    }
}

/// The stock; one receipt has at most a million units.
async fn receive(shop: &Stockroom, mut left: usize) -> Outcome {
    let location = LocationId::new("warehouse")?;
    while left > 0 {
        let part = units(left).min(Quantity::MAX.get());
        shop.inventory().receive(SKU, &location, part).await?;
        left -= usize::try_from(part)?;
    }
    Ok(())
}

/// A cart for each buyer, quoted: they wait for the sale to begin with the price before their eyes.
async fn carts(shop: &Stockroom, arguments: &Arguments) -> Outcome<Vec<Quote>> {
    let buyers: Vec<usize> = (0..arguments.buyers).collect();
    let shop = shop.clone();
    crowd::each("filling carts", buyers, arguments.callers, move |_| {
        let shop = shop.clone();
        async move {
            let cart = shop.carts().create(Owner::Guest).await?;
            shop.carts().add(cart.id, SKU, 1).await?;
            Ok(shop.checkout().quote(cart.id).await?)
        }
    })
    .await
}

fn units(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
