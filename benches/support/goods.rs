//! What is sold: SKUs on stock, and carts quoted before the clock runs.

use std::time::Duration;

use sqlx::Row as _;
use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;
use stockroom::Actor;
use stockroom::Cart;
use stockroom::CartId;
use stockroom::CartLine;
use stockroom::CartStatus;
use stockroom::Clock as _;
use stockroom::Currency;
use stockroom::Expiry;
use stockroom::LineKey;
use stockroom::LocationId;
use stockroom::Money;
use stockroom::NewProduct;
use stockroom::Options;
use stockroom::Owner;
use stockroom::Quantity;
use stockroom::Quote;
use stockroom::Sku;
use stockroom::Stockroom;
use stockroom::SystemClock;
use stockroom::Version;
use stockroom::resilience::Deadline;
use stockroom::spi::store::Put;
use stockroom::spi::store::WriteSet;
use tokio::task::JoinSet;

use crate::support::Result;

const VARIANTS: usize = 10;
/// Carts that one commit of the preparation writes, and levels.
const CHUNK: usize = 500;
/// Tasks that ask for quotes.
const QUOTERS: usize = 8;

/// Which SKUs the carts hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Every cart has the same SKU; its other lines are spread.
    Hot,
    /// Every line is of any SKU.
    Spread,
}

/// The database behind a shop, for questions that no shop answers.
#[derive(Debug, Clone)]
pub(crate) enum Database {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

impl Database {
    /// One row of whole numbers.
    pub(crate) async fn numbers(&self, sql: &'static str) -> Result<Vec<i64>> {
        match self {
            Self::Postgres(pool) => {
                let row = sqlx::query(sql).fetch_one(pool).await?;
                Ok((0..row.len())
                    .map(|column| row.try_get(column))
                    .collect::<std::result::Result<_, _>>()?)
            }
            Self::Sqlite(pool) => {
                let row = sqlx::query(sql).fetch_one(pool).await?;
                Ok((0..row.len())
                    .map(|column| row.try_get(column))
                    .collect::<std::result::Result<_, _>>()?)
            }
        }
    }

    /// Runs a statement that a server may not let us run.
    pub(crate) async fn try_execute(&self, postgres: &'static str, sqlite: &'static str) {
        let done = match self {
            Self::Postgres(pool) => sqlx::raw_sql(postgres).execute(pool).await.map(drop),
            Self::Sqlite(pool) => sqlx::raw_sql(sqlite).execute(pool).await.map(drop),
        };
        if let Err(error) = done {
            eprintln!("left out: {error}");
        }
    }
}

/// A shop's SKUs, and a source of carts that buy them.
#[derive(Debug)]
pub(crate) struct Goods {
    skus: Vec<Sku>,
    random: u64,
}

impl Goods {
    /// Fills a shop with so many SKUs, and each with the most stock that one receipt can have.
    pub(crate) async fn stock(shop: &Stockroom, count: usize) -> Result<Self> {
        let skus = (0..count)
            .map(|number| Sku::new(format!("SKU-{number:05}")))
            .collect::<stockroom::Result<Vec<_>>>()?;
        let products = skus.chunks(VARIANTS).enumerate().map(|(number, skus)| {
            let product = NewProduct::new(format!("Product {number}"));
            skus.iter().fold(product, |product, sku| {
                product.variant(sku.clone(), Money::new(19_00, Currency::USD))
            })
        });
        for imported in shop.products().import(products.collect()).await {
            imported?;
        }
        let location = LocationId::new("main")?;
        for skus in skus.chunks(CHUNK) {
            let receipts: Vec<_> = skus.iter().map(|sku| (sku.clone(), Quantity::MAX)).collect();
            shop.inventory().receive_many(&location, &receipts).await?;
        }
        Ok(Self { skus, random: 0x5eed })
    }

    /// Carts with so many lines of different SKUs, quoted.
    pub(crate) async fn quotes(
        &mut self,
        shop: &Stockroom,
        demand: Demand,
        lines: usize,
        count: usize,
    ) -> Result<Vec<Quote>> {
        let mut carts = Vec::with_capacity(count);
        for _ in 0..count {
            carts.push(self.cart(demand, lines)?);
        }
        let ids: Vec<CartId> = carts.iter().map(|cart| cart.id).collect();
        for carts in carts.chunks(CHUNK) {
            let mut set = WriteSet::new(Actor::system());
            for cart in carts {
                set.put(Put::create(cart.clone()));
            }
            shop.store()
                .commit(set.plan()?, Deadline::within(Duration::from_secs(60)))
                .await?;
        }
        let mut quoters: JoinSet<stockroom::Result<Vec<Quote>>> = JoinSet::new();
        for ids in ids.chunks(count.div_ceil(QUOTERS).max(1)) {
            let (shop, ids) = (shop.clone(), ids.to_vec());
            quoters.spawn(async move {
                let mut quotes = Vec::with_capacity(ids.len());
                for id in ids {
                    quotes.push(shop.checkout().quote(id).await?);
                }
                Ok(quotes)
            });
        }
        let mut quotes = Vec::with_capacity(count);
        while let Some(quoted) = quoters.join_next().await {
            quotes.extend(quoted??);
        }
        Ok(quotes)
    }

    fn cart(&mut self, demand: Demand, lines: usize) -> Result<Cart> {
        let now = SystemClock.now();
        let mut cart = Cart {
            id: CartId::new(),
            version: Version::FIRST,
            owner: Owner::Guest,
            currency: Currency::USD,
            status: CartStatus::Open,
            lines: Vec::new(),
            expires_at: Expiry::In(Duration::from_secs(24 * 60 * 60)),
            created_at: now,
            updated_at: now,
        };
        while cart.lines.len() < lines {
            let sku = match demand {
                Demand::Hot if cart.lines.is_empty() => self.skus[0].clone(),
                _ => self.any(),
            };
            if cart.lines.iter().all(|line| line.sku != sku) {
                let (key, options) = (LineKey::of(&sku, &Options::new()), Options::new());
                cart.lines.push(CartLine {
                    key,
                    sku,
                    options,
                    quantity: Quantity::ONE,
                    added_at: now,
                });
            }
        }
        Ok(cart)
    }

    /// Any SKU, in a sequence that every run repeats (splitmix64).
    fn any(&mut self) -> Sku {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let index = (bits ^ (bits >> 31)) % self.skus.len() as u64;
        self.skus[usize::try_from(index).unwrap_or_default()].clone()
    }
}
