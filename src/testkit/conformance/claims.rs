//! Unique keys: taken once, kept by their owner, free again when given up.

use std::sync::Arc;

use uuid::Uuid;

use super::CaseResult;
use super::Harness;
use super::case::cases;
use super::check::ensure;
use super::check::present;
use super::check::refused;
use super::check::same;
use super::harness::accepted;
use super::harness::at_once;
use super::harness::delete;
use super::harness::replace;
use super::harness::set;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::CancelReason;
use crate::model::Cart;
use crate::model::CartStatus;
use crate::model::ClaimKey;
use crate::model::Order;
use crate::model::OrderStatus;
use crate::model::Product;
use crate::model::Record;
use crate::model::Slug;
use crate::spi::store::Committed;
use crate::spi::store::Put;
use crate::spi::store::WriteSet;
use crate::testkit::fixtures;
use crate::testkit::fixtures::cart_id;
use crate::testkit::fixtures::uuid;

cases! {
    "commit.claims_unique": slug, [Product];
    "commit.claims_unique" / "sku": sku, [Product];
    "commit.claims_unique" / "cart_owner": cart_owner, [Cart];
    "commit.claims_unique" / "order_cart": order_cart, [Order];
    "commit.claims_unique" / "payment_reference": payment_reference, [Payment];
    "commit.claims_unique" / "explicit": explicit, [];
    "commit.claims_own": own_slug, [Product];
    "commit.claims_own" / "explicit": own_explicit, [];
    "commit.claims_released": released_slug, [Product];
    "commit.claims_released" / "sku": released_sku, [Product];
    "commit.claims_released" / "deleted": released_by_delete, [Product];
    "commit.claims_released" / "cart_ordered": released_cart, [Cart];
    "commit.claims_released" / "order_cancelled": released_order, [Order];
    "commit.claims_released" / "explicit": released_explicit, [];
    "commit.claims_swap": swap, [Product];
    "commit.claims_swap" / "handed_over": handed_over, [Cart];
}

const RIVALS: u64 = 16;

/// Commits the sets at once; one is accepted, the others name its owner.
async fn race(h: &Harness, sets: Vec<(Uuid, WriteSet)>) -> CaseResult<Uuid> {
    let owners: Vec<_> = sets.iter().map(|(owner, _)| *owner).collect();
    let (store, deadline) = (h.store(), h.deadline());
    let commits = sets.into_iter().map(|(_, set)| {
        let store = Arc::clone(store);
        async move { store.commit(set, deadline).await }
    });
    let answers: Vec<Result<Committed>> = at_once(commits).await?;
    same!(
        accepted(&answers, ErrorKind::AlreadyExists)?,
        1,
        "the sets accepted"
    );
    let winner = owners
        .iter()
        .zip(&answers)
        .find(|(_, answer)| answer.is_ok())
        .map(|(owner, _)| *owner);
    let winner = present(winner, "the winner")?;
    for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        same!(error.existing_id(), Some(winner), "the existing id of a loser");
    }
    Ok(winner)
}

/// Creates these at once: one is stored, the others are not.
async fn race_records(h: &Harness, records: Vec<Record>) -> CaseResult {
    let sets = records.iter().map(|record| {
        let mut one = set();
        one.put(Put::create(record.clone()));
        (record.owner(), one)
    });
    let winner = race(h, sets.collect()).await?;
    let (stored, refused): (Vec<_>, Vec<_>) =
        records.into_iter().partition(|record| record.owner() == winner);
    for record in stored {
        h.ensure_stored(&record, 1).await?;
    }
    h.ensure_absent(&refused).await
}

async fn slug(h: &Harness) -> CaseResult {
    let slug = Slug::new("wanted")?;
    let rival = |seed| {
        Ok(Record::from(Product {
            slug: slug.clone(),
            ..fixtures::product(seed)?
        }))
    };
    race_records(h, (1..=RIVALS).map(rival).collect::<Result<_>>()?).await
}

async fn sku(h: &Harness) -> CaseResult {
    let [wanted, _] = fixtures::skus(99)?;
    let rival = |seed| {
        let mut product = fixtures::product(seed)?;
        for variant in product.variants.iter_mut().take(1) {
            variant.sku = wanted.clone();
        }
        Ok(Record::from(product))
    };
    race_records(h, (1..=RIVALS).map(rival).collect::<Result<_>>()?).await
}

async fn cart_owner(h: &Harness) -> CaseResult {
    let owner = fixtures::cart(99)?.owner;
    let rival = |seed| {
        Ok(Record::from(Cart {
            owner,
            ..fixtures::cart(seed)?
        }))
    };
    race_records(h, (1..=RIVALS).map(rival).collect::<Result<_>>()?).await
}

async fn order_cart(h: &Harness) -> CaseResult {
    let rival = |seed| {
        Ok(Record::from(Order {
            cart: Some(cart_id(99)),
            ..fixtures::order(seed)?
        }))
    };
    race_records(h, (1..=RIVALS).map(rival).collect::<Result<_>>()?).await
}

async fn payment_reference(h: &Harness) -> CaseResult {
    let wanted = fixtures::payment(99, fixtures::order_id(1))?.reference;
    let rival = |seed| {
        let mut payment = fixtures::payment(seed, fixtures::order_id(seed))?;
        payment.reference = wanted.clone();
        Ok(Record::from(payment))
    };
    race_records(h, (1..=RIVALS).map(rival).collect::<Result<_>>()?).await
}

fn event(name: &str) -> ClaimKey {
    ClaimKey::new(ClaimKey::PAYMENT_EVENT, format!("acme:{name}"))
}

fn claiming(name: &str, owner: Uuid) -> WriteSet {
    let mut set = set();
    set.claim(event(name), owner);
    set
}

async fn explicit(h: &Harness) -> CaseResult {
    race(
        h,
        (1..=RIVALS)
            .map(|seed| (uuid(9, seed), claiming("e1", uuid(9, seed))))
            .collect(),
    )
    .await?;
    h.commit(claiming("e2", uuid(9, 77))).await?;
    Ok(())
}

async fn own_slug(h: &Harness) -> CaseResult {
    let old = fixtures::product(1)?;
    let new = Product {
        title: "Renamed".to_owned(),
        ..old.clone()
    };
    h.create(old.clone()).await?;
    h.put(Put::update(&old, new.clone())).await?;
    // Also where the old claims are not told.
    let again = replace(&new.clone().into(), new.clone().into(), 2);
    h.put(Put {
        previous: Vec::new(),
        ..again
    })
    .await?;
    h.ensure_stored(&new.into(), 3).await
}

async fn own_explicit(h: &Harness) -> CaseResult {
    h.commit(claiming("e1", uuid(9, 1))).await?;
    h.commit(claiming("e1", uuid(9, 1))).await?;
    let error = refused(
        h.commit(claiming("e1", uuid(9, 2))).await,
        ErrorKind::AlreadyExists,
    )?;
    same!(error.existing_id(), Some(uuid(9, 1)), "the existing id");
    Ok(())
}

async fn released_slug(h: &Harness) -> CaseResult {
    let old = fixtures::product(1)?;
    let rival = Product {
        slug: old.slug.clone(),
        ..fixtures::product(2)?
    };
    h.create(old.clone()).await?;
    refused(h.create(rival.clone()).await, ErrorKind::AlreadyExists)?;
    h.put(Put::update(
        &old,
        Product {
            slug: Slug::new("moved")?,
            ..old.clone()
        },
    ))
    .await?;
    h.create(rival.clone()).await?;
    let found = h
        .store()
        .readers()
        .product()?
        .find_by_slug(&old.slug, h.deadline())
        .await?;
    same!(
        found.map(|product| product.id),
        Some(rival.id),
        "the product of the slug"
    );
    Ok(())
}

async fn released_sku(h: &Harness) -> CaseResult {
    let old = fixtures::product(1)?;
    let mut fewer = old.clone();
    let freed = present(fewer.variants.pop(), "the second variant")?;
    let mut rival = fixtures::product(2)?;
    rival.variants = vec![freed];
    h.create(old.clone()).await?;
    refused(h.create(rival.clone()).await, ErrorKind::AlreadyExists)?;
    h.put(Put::update(&old, fewer.clone())).await?;
    h.create(rival.clone()).await?;
    h.ensure_stored(&fewer.into(), 2).await?;
    h.ensure_stored(&rival.into(), 1).await
}

async fn released_by_delete(h: &Harness) -> CaseResult {
    let old = fixtures::product(1)?;
    let rival = Product {
        id: fixtures::product_id(2),
        ..old.clone()
    };
    h.create(old.clone()).await?;
    let mut gone = set();
    gone.delete(delete(&old.into(), 1));
    h.commit(gone).await?;
    h.create(rival.clone()).await?;
    h.ensure_stored(&rival.into(), 1).await
}

async fn released_cart(h: &Harness) -> CaseResult {
    let old = fixtures::cart(1)?;
    let next = Cart {
        owner: old.owner,
        ..fixtures::cart(2)?
    };
    h.create(old.clone()).await?;
    refused(h.create(next.clone()).await, ErrorKind::AlreadyExists)?;
    h.put(Put::update(
        &old,
        Cart {
            status: CartStatus::Ordered,
            ..old.clone()
        },
    ))
    .await?;
    h.create(next.clone()).await?;
    h.ensure_stored(&next.into(), 1).await
}

async fn released_order(h: &Harness) -> CaseResult {
    let old = fixtures::order(1)?;
    let next = Order {
        cart: old.cart,
        ..fixtures::order(2)?
    };
    h.create(old.clone()).await?;
    refused(h.create(next.clone()).await, ErrorKind::AlreadyExists)?;
    let reason = Some(CancelReason::Customer);
    let cancelled = Order {
        status: OrderStatus::Cancelled,
        cancel_reason: reason,
        ..old.clone()
    };
    h.put(Put::update(&old, cancelled)).await?;
    h.create(next.clone()).await?;
    h.ensure_stored(&next.into(), 1).await
}

async fn released_explicit(h: &Harness) -> CaseResult {
    h.commit(claiming("e1", uuid(9, 1))).await?;
    let mut foreign = set();
    foreign.release(event("e1"), uuid(9, 2));
    // Whatever a store answers to a release of what another owns, the owner keeps its key.
    let answer = h.commit(foreign).await;
    let taken = h.commit(claiming("e1", uuid(9, 2))).await;
    ensure!(
        taken.is_err(),
        "a release by another owner ({answer:?}) freed the key"
    );
    let mut release = set();
    release.release(event("e1"), uuid(9, 1));
    h.commit(release).await?;
    h.commit(claiming("e1", uuid(9, 2))).await?;
    Ok(())
}

async fn swap(h: &Harness) -> CaseResult {
    let (first, second) = (fixtures::product(1)?, fixtures::product(2)?);
    h.create(first.clone()).await?;
    h.create(second.clone()).await?;
    let mut both = set();
    both.put(Put::update(
        &first,
        Product {
            slug: second.slug.clone(),
            ..first.clone()
        },
    ));
    both.put(Put::update(
        &second,
        Product {
            slug: first.slug.clone(),
            ..second.clone()
        },
    ));
    h.commit(both).await?;
    let reader = h.store().readers().product()?;
    let at_first = reader.find_by_slug(&first.slug, h.deadline()).await?;
    let at_second = reader.find_by_slug(&second.slug, h.deadline()).await?;
    same!(
        at_first.map(|product| product.id),
        Some(second.id),
        "the product of the first slug"
    );
    same!(
        at_second.map(|product| product.id),
        Some(first.id),
        "the product of the second slug"
    );
    Ok(())
}

async fn handed_over(h: &Harness) -> CaseResult {
    let old = fixtures::cart(1)?;
    let next = Cart {
        owner: old.owner,
        ..fixtures::cart(2)?
    };
    h.create(old.clone()).await?;
    let mut both = set();
    both.put(Put::update(
        &old,
        Cart {
            status: CartStatus::Abandoned,
            ..old.clone()
        },
    ));
    both.put(Put::create(next.clone()));
    h.commit(both).await?;
    h.ensure_stored(&next.into(), 1).await
}
