//! The same tables, read in three ways.

use crate::case::Case;
use crate::case::Side;
use crate::hand_written::HandWritten;
use crate::support;
use crate::support::Places;
use crate::support::Result;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqlitePoolOptions;
use std::sync::Arc;
use std::time::Duration;
use stockroom::Actor;
use stockroom::CartId;
use stockroom::OrderId;
use stockroom::ProductId;
use stockroom::Stockroom;
use stockroom::resilience::Deadline;
use stockroom::spi::store::Put;
use stockroom::spi::store::WriteSet;
use stockroom::testkit::fixtures;
use uuid::Uuid;

/// Aggregates that one commit of the preparation writes.
const CHUNK: u64 = 250;

const VACUUM: &str = "VACUUM (ANALYZE) stockroom_products, stockroom_variants, stockroom_carts, stockroom_cart_lines, \
     stockroom_orders, stockroom_order_lines";

/// The same tables, three ways.
#[derive(Debug)]
pub(crate) struct Readers {
    shop: Stockroom,
    by_hand: HandWritten,
    without_ping: HandWritten,
}

impl Readers {
    /// One read; the answers are dropped, as a request's are at its end.
    pub(crate) async fn read(&self, side: Side, case: Case, ids: &[Uuid]) -> Result<()> {
        match side {
            Side::Shop => read_shop(&self.shop, case, ids).await,
            Side::ByHand => read_by_hand(&self.by_hand, case, ids).await,
            Side::WithoutPing => read_by_hand(&self.without_ping, case, ids).await,
        }
    }

    /// Both ways give the same.
    pub(crate) async fn check(&self, ids: impl Fn(Case) -> Vec<Uuid>) -> Result<()> {
        let (shop, hand) = (&self.shop, &self.by_hand);
        let products = ids(Case::Products);
        let of_shop = shop
            .products()
            .get_many(&typed(&products, ProductId::from))
            .await?;
        same(of_shop, hand.products(&products).await?)?;
        same(
            shop.products().get(products[0].into()).await?,
            Some(hand.product(products[0]).await?),
        )?;
        let carts = ids(Case::Carts);
        same(
            shop.carts().get_many(&typed(&carts, CartId::from)).await?,
            hand.carts(&carts).await?,
        )?;
        same(
            shop.carts().get(carts[0].into()).await?,
            Some(hand.cart(carts[0]).await?),
        )?;
        let orders = ids(Case::Orders);
        same(
            shop.orders().get_many(&typed(&orders, OrderId::from)).await?,
            hand.orders(&orders).await?,
        )?;
        same(
            shop.orders().get(orders[0].into()).await?,
            Some(hand.order(orders[0]).await?),
        )
    }

    pub(crate) async fn close(&self) {
        self.shop.close().await;
        self.by_hand.close().await;
        self.without_ping.close().await;
    }
}

fn typed<T>(ids: &[Uuid], of: fn(Uuid) -> T) -> Vec<T> {
    ids.iter().copied().map(of).collect()
}

fn same<T: PartialEq>(
    shop: impl IntoIterator<Item = impl Into<Option<Arc<T>>>>,
    hand: impl IntoIterator<Item = impl Into<Option<T>>>,
) -> Result<()> {
    let shop: Vec<Option<Arc<T>>> = shop.into_iter().map(Into::into).collect();
    let hand: Vec<Option<T>> = hand.into_iter().map(Into::into).collect();
    let pairs = shop.iter().zip(&hand);
    let all = shop.len() == hand.len()
        && pairs
            .into_iter()
            .all(|(shop, hand)| shop.is_some() && shop.as_deref() == hand.as_ref());
    if all {
        Ok(())
    } else {
        Err("the two ways do not read the same".into())
    }
}

async fn read_shop(shop: &Stockroom, case: Case, ids: &[Uuid]) -> Result<()> {
    let found = match case {
        Case::Product => usize::from(shop.products().get(ids[0].into()).await?.is_some()),
        Case::Cart => usize::from(shop.carts().get(ids[0].into()).await?.is_some()),
        Case::Order => usize::from(shop.orders().get(ids[0].into()).await?.is_some()),
        Case::Products => present(&shop.products().get_many(&typed(ids, ProductId::from)).await?),
        Case::Carts => present(&shop.carts().get_many(&typed(ids, CartId::from)).await?),
        Case::Orders => present(&shop.orders().get_many(&typed(ids, OrderId::from)).await?),
    };
    all(found, ids)
}

async fn read_by_hand(hand: &HandWritten, case: Case, ids: &[Uuid]) -> Result<()> {
    let found = match case {
        Case::Product => hand.product(ids[0]).await.map(|_| 1)?,
        Case::Cart => hand.cart(ids[0]).await.map(|_| 1)?,
        Case::Order => hand.order(ids[0]).await.map(|_| 1)?,
        Case::Products => present(&hand.products(ids).await?),
        Case::Carts => present(&hand.carts(ids).await?),
        Case::Orders => present(&hand.orders(ids).await?),
    };
    all(found, ids)
}

fn present<T>(found: &[Option<T>]) -> usize {
    found.iter().flatten().count()
}

fn all(found: usize, ids: &[Uuid]) -> Result<()> {
    if found == ids.len() {
        Ok(())
    } else {
        Err("something that was written is not found".into())
    }
}

async fn fill(shop: &Stockroom, rows: u64) -> Result<()> {
    for first in (0..rows).step_by(usize::try_from(CHUNK)?) {
        let seeds = first..rows.min(first + CHUNK);
        for kind in [Case::Product, Case::Cart, Case::Order] {
            let mut set = WriteSet::new(Actor::system());
            for seed in seeds.clone() {
                set.put(match kind {
                    Case::Cart => Put::create(fixtures::cart(seed)?),
                    Case::Order => Put::create(fixtures::order(seed)?),
                    _ => Put::create(fixtures::product(seed)?),
                });
            }
            shop.store()
                .commit(set.plan()?, Deadline::within(Duration::from_secs(60)))
                .await?;
        }
    }
    Ok(())
}

pub(crate) async fn open_postgres(url: &str, rows: u64) -> Result<Readers> {
    let schema = format!("bench_reads_{}", Uuid::now_v7().simple());
    let shop = support::postgres_shop(url, &schema).await?;
    fill(&shop, rows).await?;
    let by_hand = support::postgres_pool(url, &schema, PgPoolOptions::new()).await?;
    let options = PgPoolOptions::new().test_before_acquire(false);
    let without_ping = support::postgres_pool(url, &schema, options).await?;
    // As the server itself does some time after rows were written.
    sqlx::raw_sql(VACUUM).execute(&by_hand).await?;
    Ok(Readers {
        shop,
        by_hand: HandWritten::Postgres(by_hand),
        without_ping: HandWritten::Postgres(without_ping),
    })
}

pub(crate) async fn open_sqlite(places: &Places, rows: u64) -> Result<Readers> {
    let file = places.file("reads");
    let shop = support::sqlite_shop(&file).await?;
    fill(&shop, rows).await?;
    let by_hand = support::sqlite_pool(&file, SqlitePoolOptions::new()).await?;
    let options = SqlitePoolOptions::new().test_before_acquire(false);
    let without_ping = support::sqlite_pool(&file, options).await?;
    Ok(Readers {
        shop,
        by_hand: HandWritten::Sqlite(by_hand),
        without_ping: HandWritten::Sqlite(without_ping),
    })
}
