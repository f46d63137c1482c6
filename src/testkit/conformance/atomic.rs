//! Whole or not at all: whatever refuses one part of a set leaves no trace of the others.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use uuid::Uuid;

use super::CaseResult;
use super::Failure;
use super::Harness;
use super::case::cases;
use super::check::ensure;
use super::check::refused;
use super::check::same;
use super::harness::replace;
use super::harness::set;
use crate::error::ErrorKind;
use crate::model::Aggregate;
use crate::model::ClaimKey;
use crate::model::IdempotencyKey;
use crate::model::LocationId;
use crate::model::OrderId;
use crate::model::Record;
use crate::model::Settlement;
use crate::model::Sku;
use crate::spi::store::Delta;
use crate::spi::store::Idempotency;
use crate::spi::store::Put;
use crate::spi::store::StockStep;
use crate::spi::store::WriteSet;
use crate::testkit::fixtures;
use crate::testkit::fixtures::changed;
use crate::testkit::fixtures::record;

cases! {
    "commit.atomic": stale_put, [] + Puts;
    "commit.atomic" / "claim": taken_claim, [Product, Cart];
    "commit.atomic" / "delta": absent_delta, [Product, Order];
    "commit.atomic" / "stock": short_stock, [Product, Level];
    "commit.atomic" / "key": refused_key, [] + Puts;
    "commit.atomic" / "whole": whole, [Product, Cart, Order, Payment, Level];
    "commit.cancel": cancelled, [] + Puts;
    "commit.cancel" / "key": cancelled_with_key, [Product, Level];
}

async fn stale_put(h: &Harness) -> CaseResult {
    let kind = h.any()?;
    let (old, new, last) = (record(kind, 5)?, record(kind, 1)?, record(kind, 9)?);
    h.create(old.clone()).await?;
    let mut mixed = set();
    mixed
        .put(Put::create(new.clone()))
        .put(replace(&old, changed(&old)?, 4))
        .put(Put::create(last.clone()));
    refused(h.commit(mixed).await, ErrorKind::Conflict)?;
    h.ensure_absent(&[new, last]).await?;
    h.ensure_stored(&old, 1).await
}

async fn taken_claim(h: &Harness) -> CaseResult {
    let (old, cart) = (fixtures::product(5)?, record(Aggregate::Cart, 1)?);
    h.create(old.clone()).await?;
    let mut same_slug = fixtures::product(1)?;
    same_slug.slug = old.slug;
    let mut mixed = set();
    mixed
        .put(Put::create(cart.clone()))
        .put(Put::create(same_slug.clone()));
    refused(h.commit(mixed).await, ErrorKind::AlreadyExists)?;
    h.ensure_absent(&[cart, same_slug.into()]).await?;
    let [sku, _] = fixtures::skus(1)?;
    let found = h
        .store()
        .readers()
        .product()?
        .find_by_skus(&[sku], h.deadline())
        .await?;
    same!(
        found,
        vec![None],
        "the product of a SKU that the refused set claimed"
    );
    Ok(())
}

async fn absent_delta(h: &Harness) -> CaseResult {
    let new = record(Aggregate::Product, 1)?;
    let mut mixed = set();
    mixed.put(Put::create(new.clone()));
    mixed.delta(Delta::Order {
        order: fixtures::order_id(1),
        settled: Settlement {
            captured: 5,
            ..Settlement::ZERO
        },
    });
    refused(h.commit(mixed).await, ErrorKind::NotFound)?;
    h.ensure_absent(&[new]).await
}

async fn short_stock(h: &Harness) -> CaseResult {
    let [plenty, few] = fixtures::skus(1)?;
    let main = h.receive(&plenty, 100).await?;
    h.receive(&few, 1).await?;
    let new = record(Aggregate::Product, 1)?;
    let order = fixtures::order_id(1);
    let mut mixed = set();
    mixed.put(Put::create(new.clone()));
    mixed.delta(Delta::Stock(StockStep::allocate(
        &plenty,
        &main,
        fixtures::quantity(3)?,
        order,
    )));
    mixed.delta(Delta::Stock(StockStep::allocate(
        &few,
        &main,
        fixtures::quantity(2)?,
        order,
    )));
    refused(h.commit(mixed).await, ErrorKind::InsufficientStock)?;
    h.ensure_absent(&[new]).await?;
    same!(
        h.counters(&plenty, &main).await?,
        (100, 0, 0),
        "the level that was not short"
    );
    same!(
        h.counters(&few, &main).await?,
        (1, 0, 0),
        "the level that was short"
    );
    Ok(())
}

/// A refused set does not use up its idempotency key.
async fn refused_key(h: &Harness) -> CaseResult {
    let kind = h.any()?;
    let new = record(kind, 1)?;
    let mut early = set();
    early
        .put(replace(&new, changed(&new)?, 1))
        .idempotent(key(fixtures::uuid(9, 1))?);
    refused(h.commit(early).await, ErrorKind::NotFound)?;
    let mut later = set();
    later
        .put(Put::create(new.clone()))
        .idempotent(key(fixtures::uuid(9, 1))?);
    same!(h.commit(later).await?.replay, None, "the replay");
    h.ensure_stored(&new, 1).await
}

fn key(owner: Uuid) -> CaseResult<Idempotency> {
    let key = IdempotencyKey::new("key-1")?;
    Ok(Idempotency {
        scope: "test".to_owned(),
        key,
        fingerprint: [7; 32],
        owner,
    })
}

async fn whole(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let cart = fixtures::guest_cart(3)?;
    h.create(cart.clone()).await?;
    let new: [Record; 3] = [
        record(Aggregate::Product, 1)?,
        record(Aggregate::Order, 1)?,
        record(Aggregate::Payment, 1)?,
    ];
    let main = fixtures::location("main")?;
    let mut mixed = set();
    for record in &new {
        mixed.put(Put::create(record.clone()));
    }
    mixed.delta(Delta::Stock(StockStep::receive(
        &sku,
        &main,
        fixtures::quantity(4)?,
    )));
    mixed.delta(super::carts::add(&cart, fixtures::line(&sku, &[], 2)?));
    mixed.claim(
        ClaimKey::new(ClaimKey::PAYMENT_EVENT, "acme:e1"),
        fixtures::uuid(9, 1),
    );
    let committed = h.commit(mixed).await?;
    same!(committed.versions.len(), 5, "the aggregates written");
    for record in &new {
        h.ensure_stored(record, 1).await?;
    }
    same!(h.counters(&sku, &main).await?, (4, 0, 0), "the level");
    let Record::Cart(cart) = h.stored(&cart.into()).await? else {
        return Err(Failure::new("a cart reads as something else"));
    };
    same!(
        cart.lines.iter().map(|line| line.quantity.get()).sum::<i64>(),
        2,
        "the units in the cart"
    );
    let mut rival = set();
    rival.claim(
        ClaimKey::new(ClaimKey::PAYMENT_EVENT, "acme:e1"),
        fixtures::uuid(9, 2),
    );
    refused(h.commit(rival).await, ErrorKind::AlreadyExists)?;
    Ok(())
}

/// Polls the future until it was pending `polls` times, then drops it; true when it was done before.
async fn drop_after<F: Future>(future: F, polls: u32) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(move |context| match future.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(true),
        Poll::Pending if left == 0 => Poll::Ready(false),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

/// How many awaits of one commit are tried at most.
const AWAITS: u32 = 40;

async fn cancelled(h: &Harness) -> CaseResult {
    let kind = h.any()?;
    for polls in 0..AWAITS {
        let seed = u64::from(polls) * 2;
        let pair = [record(kind, seed)?, record(kind, seed + 1)?];
        let mut both = set();
        for new in &pair {
            both.put(Put::create(new.clone()));
        }
        let finished = drop_after(h.commit(both), polls).await;
        // One read sees both at one moment, wherever the store's task is by now.
        for _ in 0..3 {
            let found = h.read_many(kind, &pair.clone().map(|new| new.owner())).await?;
            let parts = found.iter().flatten().count();
            ensure!(parts != 1, "dropped after {polls} polls: one of two is there");
            ensure!(!finished || parts == 2, "a commit that returned is not there");
        }
        if finished {
            return Ok(());
        }
    }
    Ok(())
}

/// After a dropped commit the same set under the same key ends in one application, never two and never a part.
async fn cancelled_with_key(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let main = fixtures::location("main")?;
    for polls in 0..AWAITS {
        let finished = drop_after(h.commit(keyed(polls, &sku, &main)?), polls).await;
        h.commit(keyed(polls, &sku, &main)?).await?;
        h.ensure_stored(&record(Aggregate::Product, u64::from(polls))?, 1)
            .await?;
        let units = i64::from(polls) + 1;
        same!(
            h.counters(&sku, &main).await?,
            (units, 0, 0),
            format!("the level after {polls} polls")
        );
        if finished {
            return Ok(());
        }
    }
    Ok(())
}

fn keyed(number: u32, sku: &Sku, main: &LocationId) -> CaseResult<WriteSet> {
    let seed = u64::from(number);
    let key = IdempotencyKey::new(format!("key-{number}"))?;
    let owner = OrderId::from(fixtures::uuid(9, seed)).uuid();
    let mut set = set();
    set.put(Put::create(Record::Product(Arc::new(fixtures::product(seed)?))));
    set.delta(Delta::Stock(StockStep::receive(
        sku,
        main,
        fixtures::quantity(1)?,
    )));
    set.idempotent(Idempotency {
        scope: "test".to_owned(),
        key,
        fingerprint: [1; 32],
        owner,
    });
    Ok(set)
}
