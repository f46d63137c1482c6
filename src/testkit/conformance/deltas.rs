//! What all deltas keep, and the settlement of orders and payments.

use std::sync::Arc;

use super::CaseResult;
use super::Harness;
use super::carts::add;
use super::case::cases;
use super::check::present;
use super::check::refused;
use super::check::same;
use super::harness::accepted;
use super::harness::at_once;
use super::harness::set;
use crate::error::ErrorKind;
use crate::model::Actor;
use crate::model::Aggregate;
use crate::model::CancelReason;
use crate::model::IdempotencyKey;
use crate::model::Order;
use crate::model::OrderStatus;
use crate::model::PageRequest;
use crate::model::Payment;
use crate::model::PaymentState;
use crate::model::RowKey;
use crate::model::Settlement;
use crate::model::Version;
use crate::spi::changes::ChangeAction;
use crate::spi::store::Delta;
use crate::spi::store::Idempotency;
use crate::spi::store::StockStep;
use crate::spi::store::WriteSet;
use crate::testkit::fixtures;
use crate::testkit::fixtures::order_id;
use crate::testkit::fixtures::payment_id;
use crate::testkit::fixtures::quantity;

cases! {
    "commit.delta_absent": absent_cart, [Cart];
    "commit.delta_absent" / "order": absent_order, [Order];
    "commit.delta_absent" / "payment": absent_payment, [Payment];
    "commit.delta_version": cart_version, [Cart];
    "commit.delta_version" / "level": level_version, [Level];
    "commit.delta_version" / "order": order_version, [Order];
    "commit.settlement": settle_order, [Order];
    "commit.settlement" / "payment": settle_payment, [Payment];
    "commit.settlement" / "concurrent": settle_concurrently, [Order];
    "commit.versions" / "deltas": versions_of_deltas, [Cart, Order, Level];
    "commit.audit" / "delta": audit_of_delta, [Order] + History;
    "commit.audit" / "level": audit_of_level, [Level] + History;
    "commit.audit" / "refused": audit_of_refusals, [Order] + History;
}

const fn captured(amount: i64) -> Settlement {
    Settlement {
        captured: amount,
        ..Settlement::ZERO
    }
}

fn settle(seed: u64, settled: Settlement) -> Delta {
    Delta::Order {
        order: order_id(seed),
        settled,
    }
}

async fn absent_cart(h: &Harness) -> CaseResult {
    let cart = fixtures::cart(1)?;
    let [sku, _] = fixtures::skus(1)?;
    refused(
        h.delta(add(&cart, fixtures::line(&sku, &[], 1)?)).await,
        ErrorKind::NotFound,
    )?;
    h.ensure_absent(&[cart.into()]).await
}

async fn absent_order(h: &Harness) -> CaseResult {
    h.create(fixtures::order(2)?).await?;
    refused(h.delta(settle(1, captured(5))).await, ErrorKind::NotFound)?;
    h.ensure_absent(&[fixtures::order(1)?.into()]).await
}

async fn absent_payment(h: &Harness) -> CaseResult {
    h.create(fixtures::payment(2, order_id(1))?).await?;
    let delta = Delta::Payment {
        payment: payment_id(1),
        settled: captured(5),
    };
    refused(h.delta(delta).await, ErrorKind::NotFound)?;
    h.ensure_absent(&[fixtures::payment(1, order_id(1))?.into()])
        .await
}

async fn cart_version(h: &Harness) -> CaseResult {
    let cart = fixtures::cart(1)?;
    let [first, second] = fixtures::skus(5)?;
    h.create(cart.clone()).await?;
    let mut both = set();
    both.delta(add(&cart, fixtures::line(&first, &[], 1)?))
        .delta(add(&cart, fixtures::line(&second, &[], 2)?));
    let committed = h.commit(both).await?;
    let key = RowKey::Id(cart.id.uuid());
    same!(
        committed.version(Aggregate::Cart, &key),
        Some(Version::from(2)),
        "the version given"
    );
    let stored = h
        .store()
        .readers()
        .cart()?
        .get_many(&[cart.id], h.deadline())
        .await?;
    let stored = present(stored.into_iter().flatten().next(), "the cart")?;
    same!(
        (stored.version.get(), stored.lines.len()),
        (2, 4),
        "the version and the number of lines"
    );
    Ok(())
}

async fn level_version(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let main = h.receive(&sku, 5).await?;
    let mut both = set();
    for units in [1, 2] {
        both.delta(Delta::Stock(StockStep::allocate(
            &sku,
            &main,
            quantity(units)?,
            order_id(1),
        )));
    }
    h.commit(both).await?;
    let level = present(h.level(&sku, &main).await?, "the level")?;
    same!(
        (level.version.get(), level.allocated),
        (2, 3),
        "the version and the units allocated"
    );
    Ok(())
}

async fn order_version(h: &Harness) -> CaseResult {
    h.create(fixtures::order(1)?).await?;
    let mut both = set();
    both.delta(settle(1, captured(5))).delta(settle(1, captured(7)));
    h.commit(both).await?;
    let order = stored_order(h).await?;
    same!(
        (order.version.get(), order.paid.captured),
        (2, 12),
        "the version and the amount captured"
    );
    Ok(())
}

async fn stored_order(h: &Harness) -> CaseResult<Arc<Order>> {
    let found = h
        .store()
        .readers()
        .order()?
        .get_many(&[order_id(1)], h.deadline())
        .await?;
    present(found.into_iter().flatten().next(), "the order")
}

async fn settle_order(h: &Harness) -> CaseResult {
    let reason = Some(CancelReason::Customer);
    let old = Order {
        status: OrderStatus::Cancelled,
        cancel_reason: reason,
        ..fixtures::order(1)?
    };
    h.create(old.clone()).await?;
    h.delta(settle(
        1,
        Settlement {
            authorized: 7_140,
            captured: 7_000,
            refunded: 0,
        },
    ))
    .await?;
    h.delta(settle(
        1,
        Settlement {
            authorized: -140,
            captured: 0,
            refunded: 500,
        },
    ))
    .await?;
    let paid = Settlement {
        authorized: 7_000,
        captured: 7_000,
        refunded: 500,
    };
    let stored = stored_order(h).await?;
    same!(stored.paid, paid, "the settlement");
    let expected = Order {
        paid,
        version: Version::from(3),
        updated_at: stored.updated_at,
        ..old
    };
    same!(*stored, expected, "the order");
    Ok(())
}

async fn settle_payment(h: &Harness) -> CaseResult {
    let old = Payment {
        state: PaymentState::Voided,
        ..fixtures::payment(1, order_id(1))?
    };
    h.create(old.clone()).await?;
    h.delta(Delta::Payment {
        payment: old.id,
        settled: captured(100),
    })
    .await?;
    h.delta(Delta::Payment {
        payment: old.id,
        settled: Settlement {
            refunded: 40,
            ..captured(1)
        },
    })
    .await?;
    let found = h
        .store()
        .readers()
        .payment()?
        .get_many(&[old.id], h.deadline())
        .await?;
    let stored = present(found.into_iter().flatten().next(), "the payment")?;
    let settled = Settlement {
        authorized: 7_140,
        captured: 101,
        refunded: 40,
    };
    same!(
        (stored.settled, stored.state),
        (settled, PaymentState::Voided),
        "the settlement and the state"
    );
    Ok(())
}

async fn settle_concurrently(h: &Harness) -> CaseResult {
    h.create(fixtures::order(1)?).await?;
    let deadline = h.deadline();
    let commits = (0..10).map(|_| {
        let (store, mut one) = (Arc::clone(h.store()), set());
        one.delta(settle(1, captured(10)));
        async move { store.commit(one, deadline).await }
    });
    let answers = at_once(commits).await?;
    same!(accepted(&answers, ErrorKind::Conflict)?, 10, "the facts accepted");
    let order = stored_order(h).await?;
    same!(order.paid.captured, 100, "the amount captured");
    Ok(())
}

async fn versions_of_deltas(h: &Harness) -> CaseResult {
    let cart = fixtures::cart(1)?;
    let [sku, _] = fixtures::skus(5)?;
    h.create(cart.clone()).await?;
    h.create(fixtures::order(1)?).await?;
    let main = h.receive(&sku, 5).await?;
    let mut all = set();
    all.delta(add(&cart, fixtures::line(&sku, &[], 1)?))
        .delta(settle(1, captured(5)));
    all.delta(Delta::Stock(StockStep::allocate(
        &sku,
        &main,
        quantity(1)?,
        order_id(1),
    )));
    let mut told = h.commit(all).await?.versions;
    told.sort();
    let two = Version::from(2);
    let mut expected = vec![
        (Aggregate::Cart, RowKey::Id(cart.id.uuid()), two),
        (Aggregate::Order, RowKey::Id(order_id(1).uuid()), two),
        (Aggregate::Level, RowKey::Level(sku, main), two),
    ];
    expected.sort();
    same!(told, expected, "the versions");
    Ok(())
}

async fn audit_of_delta(h: &Harness) -> CaseResult {
    h.create(fixtures::order(1)?).await?;
    let mut both = WriteSet::new(Actor::user(fixtures::user(7)));
    both.delta(settle(1, captured(5)))
        .delta(settle(1, captured(6)))
        .event("payment.captured");
    h.commit(both).await?;
    let key = RowKey::Id(order_id(1).uuid());
    let history = h.store().readers().history()?;
    let changes = history
        .list(Aggregate::Order, &key, &PageRequest::default(), h.deadline())
        .await?
        .items;
    same!(changes.len(), 2, "the changes");
    let last = present(changes.into_iter().next(), "the last change")?;
    same!(
        (last.version.get(), last.action),
        (2, ChangeAction::Delta),
        "the last change"
    );
    same!(
        last.actor,
        Actor::user(fixtures::user(7)).to_string(),
        "its actor"
    );
    same!(last.events, vec!["payment.captured".to_owned()], "its events");
    Ok(())
}

async fn audit_of_level(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let main = h.receive(&sku, 5).await?;
    let mut step = WriteSet::new(Actor::user(fixtures::user(7)));
    step.delta(Delta::Stock(StockStep::allocate(
        &sku,
        &main,
        quantity(1)?,
        order_id(1),
    )))
    .event("stock.taken");
    h.commit(step).await?;
    let (history, key) = (h.store().readers().history()?, RowKey::Level(sku, main));
    let changes = history
        .list(Aggregate::Level, &key, &PageRequest::default(), h.deadline())
        .await?
        .items;
    let versions: Vec<_> = changes
        .iter()
        .map(|change| (change.action, change.version.get()))
        .collect();
    same!(
        versions,
        vec![(ChangeAction::Delta, 2), (ChangeAction::Delta, 1)],
        "the changes"
    );
    let last = present(changes.into_iter().next(), "the last change")?;
    same!(
        last.actor,
        Actor::user(fixtures::user(7)).to_string(),
        "its actor"
    );
    same!(last.events, vec!["stock.taken".to_owned()], "its events");
    Ok(())
}

/// What was refused or replayed leaves no change record.
async fn audit_of_refusals(h: &Harness) -> CaseResult {
    let key = IdempotencyKey::new("k")?;
    let owner = order_id(1).uuid();
    let idempotency = Idempotency {
        scope: "test".to_owned(),
        key,
        fingerprint: [1; 32],
        owner,
    };
    h.create(fixtures::order(1)?).await?;
    for _ in 0..2 {
        let mut paid = set();
        paid.delta(settle(1, captured(5))).idempotent(idempotency.clone());
        h.commit(paid).await?;
    }
    refused(h.create(fixtures::order(1)?).await, ErrorKind::Conflict)?;
    let mut half = set();
    half.delta(settle(1, captured(5))).delta(settle(2, captured(5)));
    refused(h.commit(half).await, ErrorKind::NotFound)?;
    let history = h.store().readers().history()?;
    let page = history
        .list(
            Aggregate::Order,
            &RowKey::Id(owner),
            &PageRequest::default(),
            h.deadline(),
        )
        .await?;
    let versions: Vec<_> = page.items.iter().map(|change| change.version.get()).collect();
    same!(versions, vec![2, 1], "the versions in the history");
    Ok(())
}
