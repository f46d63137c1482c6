//! What every reader keeps: order, gaps, and each field of what was put.

use std::sync::Arc;

use uuid::Uuid;

use super::CaseResult;
use super::Harness;
use super::case::cases;
use super::check::ensure;
use super::check::present;
use super::check::refused;
use super::check::same;
use super::harness::delete;
use super::harness::replace;
use super::harness::set;
use crate::error::ErrorKind;
use crate::model::Aggregate;
use crate::model::Cart;
use crate::model::CartId;
use crate::model::ClaimKey;
use crate::model::Order;
use crate::model::OrderId;
use crate::model::PageRequest;
use crate::model::PaymentId;
use crate::model::Product;
use crate::model::ProductId;
use crate::model::Record;
use crate::model::RowKey;
use crate::model::Version;
use crate::spi::changes::ChangeAction;
use crate::spi::store::Parts;
use crate::spi::store::Put;
use crate::spi::store::ReadCheck;
use crate::spi::store::StockStep;
use crate::testkit::fixtures;
use crate::testkit::fixtures::record;
use crate::testkit::fixtures::uuid;

cases! {
    "product.get_many": get_products, [Product];
    "cart.get_many": get_carts, [Cart];
    "order.get_many": get_orders, [Order];
    "payment.get_many": get_payments, [Payment];
    "product.round_trip": product, [Product];
    "product.round_trip" / "bare": bare_product, [Product];
    "cart.round_trip": cart, [Cart];
    "cart.round_trip" / "bare": bare_cart, [Cart];
    "order.round_trip": order, [Order];
    "order.round_trip" / "bare": bare_order, [Order];
    "payment.round_trip": payment, [Payment];
    "payment.round_trip" / "bare": bare_payment, [Payment];
    "commit.root_only": product_root, [Product];
    "commit.root_only" / "cart": cart_root, [Cart];
    "commit.root_only" / "order": order_root, [Order];
    "commit.read_check" / "level": level_check, [Level];
    "claim.find": find_claims, [Product] + Claims;
    "history.list": list_history, [Product] + History;
}

/// Seeds 1 and 2 are stored; asked for are 2, one that is absent, 1 and 2 again.
async fn store_two(h: &Harness, kind: Aggregate) -> CaseResult {
    h.create(record(kind, 1)?).await?;
    h.create(record(kind, 2)?).await?;
    Ok(())
}

const ASKED: [u64; 4] = [2, 9, 1, 2];

fn ensure_order<T>(found: &[Option<T>], seed_of: impl Fn(&T) -> Option<u64>) -> CaseResult {
    let seeds: Vec<_> = found
        .iter()
        .map(|entry| entry.as_ref().and_then(&seed_of))
        .collect();
    same!(
        seeds,
        vec![Some(2), None, Some(1), Some(2)],
        "the seeds in the order asked"
    );
    Ok(())
}

async fn get_products(h: &Harness) -> CaseResult {
    store_two(h, Aggregate::Product).await?;
    let reader = h.store().readers().product()?;
    let found = reader
        .get_many(&ASKED.map(fixtures::product_id), h.deadline())
        .await?;
    ensure_order(&found, |product| {
        ASKED
            .into_iter()
            .find(|seed| fixtures::product_id(*seed) == product.id)
    })?;
    same!(
        reader.get_many(&[], h.deadline()).await?.len(),
        0,
        "the answer to no id"
    );
    same!(
        reader
            .get_many(&[ProductId::from(uuid(2, 1))], h.deadline())
            .await?,
        vec![None],
        "the id of a cart"
    );
    Ok(())
}

async fn get_carts(h: &Harness) -> CaseResult {
    store_two(h, Aggregate::Cart).await?;
    let reader = h.store().readers().cart()?;
    let found = reader
        .get_many(&ASKED.map(fixtures::cart_id), h.deadline())
        .await?;
    ensure_order(&found, |cart| {
        ASKED.into_iter().find(|seed| fixtures::cart_id(*seed) == cart.id)
    })?;
    same!(
        reader.get_many(&[], h.deadline()).await?.len(),
        0,
        "the answer to no id"
    );
    same!(
        reader.get_many(&[CartId::from(uuid(1, 1))], h.deadline()).await?,
        vec![None],
        "the id of a product"
    );
    Ok(())
}

async fn get_orders(h: &Harness) -> CaseResult {
    store_two(h, Aggregate::Order).await?;
    let reader = h.store().readers().order()?;
    let found = reader
        .get_many(&ASKED.map(fixtures::order_id), h.deadline())
        .await?;
    ensure_order(&found, |order| {
        ASKED
            .into_iter()
            .find(|seed| fixtures::order_id(*seed) == order.id)
    })?;
    same!(
        reader.get_many(&[], h.deadline()).await?.len(),
        0,
        "the answer to no id"
    );
    same!(
        reader
            .get_many(&[OrderId::from(uuid(1, 1))], h.deadline())
            .await?,
        vec![None],
        "the id of a product"
    );
    Ok(())
}

async fn get_payments(h: &Harness) -> CaseResult {
    store_two(h, Aggregate::Payment).await?;
    let reader = h.store().readers().payment()?;
    let found = reader
        .get_many(&ASKED.map(fixtures::payment_id), h.deadline())
        .await?;
    ensure_order(&found, |payment| {
        ASKED
            .into_iter()
            .find(|seed| fixtures::payment_id(*seed) == payment.id)
    })?;
    same!(
        reader.get_many(&[], h.deadline()).await?.len(),
        0,
        "the answer to no id"
    );
    same!(
        reader
            .get_many(&[PaymentId::from(uuid(1, 1))], h.deadline())
            .await?,
        vec![None],
        "the id of a product"
    );
    Ok(())
}

/// Creates two, and asks for the first, so that nothing of the other slips in.
async fn round_trip(h: &Harness, new: Record, beside: Record) -> CaseResult {
    h.create(new.clone()).await?;
    h.create(beside).await?;
    h.ensure_stored(&new, 1).await
}

async fn product(h: &Harness) -> CaseResult {
    round_trip(h, record(Aggregate::Product, 1)?, record(Aggregate::Product, 2)?).await
}

async fn bare_product(h: &Harness) -> CaseResult {
    round_trip(
        h,
        fixtures::bare_product(1)?.into(),
        record(Aggregate::Product, 2)?,
    )
    .await
}

async fn cart(h: &Harness) -> CaseResult {
    round_trip(h, record(Aggregate::Cart, 1)?, record(Aggregate::Cart, 2)?).await
}

async fn bare_cart(h: &Harness) -> CaseResult {
    round_trip(h, fixtures::guest_cart(1)?.into(), record(Aggregate::Cart, 2)?).await
}

async fn order(h: &Harness) -> CaseResult {
    round_trip(h, record(Aggregate::Order, 1)?, record(Aggregate::Order, 2)?).await
}

async fn bare_order(h: &Harness) -> CaseResult {
    round_trip(h, fixtures::bare_order(1)?.into(), record(Aggregate::Order, 2)?).await
}

async fn payment(h: &Harness) -> CaseResult {
    round_trip(h, record(Aggregate::Payment, 1)?, record(Aggregate::Payment, 2)?).await
}

async fn bare_payment(h: &Harness) -> CaseResult {
    let bare = fixtures::bare_payment(1, fixtures::order_id(1))?;
    round_trip(h, bare.into(), record(Aggregate::Payment, 2)?).await
}

/// Puts the root of `bare`, which has no parts, over `full`, and expects the parts of `full` to stay.
async fn put_root(h: &Harness, full: Record, bare: Record, expected: Record) -> CaseResult {
    h.create(full.clone()).await?;
    h.put(Put {
        parts: Parts::Root,
        ..replace(&full, bare, 1)
    })
    .await?;
    h.ensure_stored(&expected, 2).await
}

async fn product_root(h: &Harness) -> CaseResult {
    let full = fixtures::product(1)?;
    let expected = Product {
        title: "Another title".to_owned(),
        ..full.clone()
    };
    let bare = Product {
        variants: Vec::new(),
        ..expected.clone()
    };
    // The SKUs stay claimed: the variants stay.
    let previous = bare.clone();
    h.create(full.clone()).await?;
    let put = Put {
        parts: Parts::Root,
        ..replace(&previous.into(), bare.into(), 1)
    };
    h.put(put).await?;
    h.ensure_stored(&expected.into(), 2).await
}

async fn cart_root(h: &Harness) -> CaseResult {
    let full = fixtures::cart(1)?;
    let expected = Cart {
        updated_at: fixtures::stamp(50)?,
        ..full.clone()
    };
    let bare = Cart {
        lines: Vec::new(),
        ..expected.clone()
    };
    put_root(h, full.into(), bare.into(), expected.into()).await
}

async fn order_root(h: &Harness) -> CaseResult {
    let full = fixtures::order(1)?;
    let expected = Order {
        email: None,
        ..full.clone()
    };
    let bare = Order {
        lines: Vec::new(),
        ..expected.clone()
    };
    put_root(h, full.into(), bare.into(), expected.into()).await
}

async fn level_check(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let main = h.receive(&sku, 5).await?;
    let check = |version: Option<u64>| {
        let mut reads = set();
        let key = RowKey::Level(sku.clone(), main.clone());
        reads.read(ReadCheck {
            aggregate: Aggregate::Level,
            key,
            version: version.map(Version::from),
        });
        reads
    };
    h.commit(check(Some(1))).await?;
    h.step(StockStep::receive(&sku, &main, fixtures::quantity(1)?))
        .await?;
    refused(h.commit(check(Some(1))).await, ErrorKind::Conflict)?;
    refused(h.commit(check(None)).await, ErrorKind::Conflict)?;
    h.commit(check(Some(2))).await?;
    Ok(())
}

async fn find_claims(h: &Harness) -> CaseResult {
    let product = fixtures::product(1)?;
    h.create(product.clone()).await?;
    let event: Uuid = uuid(9, 1);
    let mut claims = set();
    claims.claim(ClaimKey::new(ClaimKey::PAYMENT_EVENT, "acme:e1"), event);
    h.commit(claims).await?;
    let keys = [
        ("payment.event".to_owned(), "acme:e1".to_owned()),
        ("product.slug".to_owned(), "free".to_owned()),
        ("product.slug".to_owned(), product.slug.to_string()),
        ("product.sku".to_owned(), product.slug.to_string()),
        (product.slug.to_string(), "product.slug".to_owned()),
    ];
    let found = h.store().readers().claim()?.find(&keys, h.deadline()).await?;
    let owners: Vec<_> = found
        .into_iter()
        .map(|entry| entry.map(|claim| claim.owner))
        .collect();
    let slug_owner = product.id.uuid();
    same!(
        owners,
        vec![Some(event), None, Some(slug_owner), None, None],
        "the owners in the order asked"
    );
    Ok(())
}

async fn list_history(h: &Harness) -> CaseResult {
    let mut product = Arc::new(fixtures::product(1)?);
    h.create(product.as_ref().clone()).await?;
    h.create(fixtures::product(2)?).await?;
    for seed in 2..=7_u64 {
        let renamed = Product {
            title: format!("Title {seed}"),
            ..product.as_ref().clone()
        };
        h.put(replace(
            &product.as_ref().clone().into(),
            renamed.clone().into(),
            seed - 1,
        ))
        .await?;
        product = Arc::new(renamed);
    }
    let mut gone = set();
    gone.delete(delete(&product.as_ref().clone().into(), 7));
    h.commit(gone).await?;
    let key = RowKey::Id(product.id.uuid());
    let history = h.store().readers().history()?;
    let mut page = PageRequest::new(3)?;
    let mut changes = Vec::new();
    for _ in 0..4 {
        let found = history
            .list(Aggregate::Product, &key, &page, h.deadline())
            .await?;
        changes.extend(found.items);
        page.after = found.next;
        if page.after.is_none() {
            break;
        }
    }
    let last = present(
        (!changes.is_empty()).then(|| changes.remove(0)),
        "the last change",
    )?;
    same!(last.action, ChangeAction::Delete, "the last change");
    ensure!(
        last.version.get() > 7,
        "the deletion of version 7 is told as version {}",
        last.version
    );
    let puts: Vec<_> = changes
        .iter()
        .map(|change| (change.action, change.version.get()))
        .collect();
    let expected: Vec<_> = (1..=7)
        .rev()
        .map(|version| (ChangeAction::Put, version))
        .collect();
    same!(puts, expected, "the other changes, latest first");
    Ok(())
}
