//! Carts: lines that add up, and carts that close and expire.

use std::sync::Arc;
use std::time::Duration;

use super::CaseResult;
use super::Failure;
use super::Harness;
use super::case::cases;
use super::check::absent;
use super::check::ensure;
use super::check::present;
use super::check::refused;
use super::check::same;
use super::harness::accepted;
use super::harness::at_once;
use super::harness::set;
use crate::error::ErrorKind;
use crate::model::Aggregate;
use crate::model::Cart;
use crate::model::CartLine;
use crate::model::CartStatus;
use crate::model::Expiry;
use crate::model::MAX_LINE_QUANTITY;
use crate::model::Owner;
use crate::model::RowKey;
use crate::model::Timestamp;
use crate::spi::store::CartLineStep;
use crate::spi::store::Committed;
use crate::spi::store::Delta;
use crate::spi::store::Put;
use crate::testkit::fixtures;

cases! {
    "commit.cart_add": add_concurrently, [Cart];
    "commit.cart_add" / "lines": add_lines, [Cart];
    "commit.cart_add" / "life": add_prolongs, [Cart];
    "commit.cart_closed": closed, [Cart];
    "commit.cart_closed" / "expired": closed_by_time, [Cart];
    "commit.cart_closed" / "live_put": live_put, [Cart];
    "commit.cart_limit": limit, [Cart];
    "commit.expiry_relative": relative_expiry, [Cart];
    "cart.expired": expired, [Cart];
    "cart.find_active": find_active, [Cart];
    "cart.find_active" / "expired": find_active_expired, [Cart];
}

/// The life that a line delta gives.
const TTL: Duration = Duration::from_secs(3_600);
const PAST_TTL: Duration = Duration::from_secs(3_700);

/// Adds this line to the cart.
pub(super) fn add(cart: &Cart, line: CartLine) -> Delta {
    Delta::CartLine(CartLineStep {
        cart: cart.id,
        line,
        ttl: TTL,
    })
}

/// A guest's cart that lives for `TTL` from its commit on.
fn short_lived(seed: u64) -> CaseResult<Cart> {
    Ok(Cart {
        expires_at: Expiry::In(TTL),
        ..fixtures::guest_cart(seed)?
    })
}

async fn stored(h: &Harness, cart: &Cart) -> CaseResult<Option<Arc<Cart>>> {
    let found = h
        .store()
        .readers()
        .cart()?
        .get_many(&[cart.id], h.deadline())
        .await?;
    Ok(found.into_iter().flatten().next())
}

async fn add_concurrently(h: &Harness) -> CaseResult {
    let cart = fixtures::cart(1)?;
    h.create(cart.clone()).await?;
    let [sku, _] = fixtures::skus(1)?;
    let line = fixtures::line(&sku, &[("engraving", "For Ann")], 1)?;
    let deadline = h.deadline();
    let commits = (0..10).map(|_| {
        let (store, mut one) = (Arc::clone(h.store()), set());
        one.delta(add(&cart, line.clone()));
        async move { store.commit(one, deadline).await }
    });
    let answers = at_once(commits).await?;
    same!(accepted(&answers, ErrorKind::Conflict)?, 10, "the adds accepted");
    let found = present(stored(h, &cart).await?, "the cart")?;
    same!(found.lines.len(), 2, "the lines");
    ensure!(
        (2..=11).contains(&found.version.get()),
        "ten adds led to version {}",
        found.version
    );
    same!(
        found.line(&line.key).map(|line| line.quantity.get()),
        Some(12),
        "the units of the line"
    );
    Ok(())
}

async fn add_lines(h: &Harness) -> CaseResult {
    let cart = fixtures::guest_cart(1)?;
    h.create(cart.clone()).await?;
    let [first, second] = fixtures::skus(1)?;
    let plain = fixtures::line(&first, &[], 1)?;
    let large = fixtures::line(&first, &[("size", "L"), ("colour", "red")], 2)?;
    let other = fixtures::line(&second, &[], 3)?;
    let mut three = set();
    for line in [&plain, &large, &other, &plain] {
        three.delta(add(&cart, line.clone()));
    }
    h.commit(three).await?;
    h.delta(add(&cart, large.clone())).await?;
    let found = present(stored(h, &cart).await?, "the cart")?;
    let units = |line: &CartLine| found.line(&line.key).map(|line| line.quantity.get());
    same!(found.lines.len(), 3, "the lines");
    same!(
        [units(&plain), units(&large), units(&other)],
        [Some(2), Some(4), Some(3)],
        "the units of the lines"
    );
    same!(
        found.line(&large.key).map(|line| line.options.clone()),
        Some(large.options.clone()),
        "the options"
    );
    Ok(())
}

async fn add_prolongs(h: &Harness) -> CaseResult {
    let cart = short_lived(1)?;
    h.create(cart.clone()).await?;
    h.shift(TTL / 2);
    let [sku, _] = fixtures::skus(1)?;
    let committed = h.delta(add(&cart, fixtures::line(&sku, &[], 1)?)).await?;
    ensure_ends(&*present(stored(h, &cart).await?, "the cart")?, &committed)?;
    h.shift(PAST_TTL / 2);
    present(stored(h, &cart).await?, "the cart past its first expiry")?;
    Ok(())
}

/// Fails unless the cart ends one `TTL` after the commit; a minute is left for a slow machine.
fn ensure_ends(cart: &Cart, committed: &Committed) -> CaseResult {
    let ends = present(cart.expires_at.at(), "the time of the expiry")?;
    let life = (ends - committed.at).whole_seconds();
    ensure!(
        (3_540..=3_660).contains(&life),
        "the cart lives {life} seconds after its commit instead of 3600"
    );
    Ok(())
}

async fn closed(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    for (seed, status) in [(1, CartStatus::Ordered), (2, CartStatus::Abandoned)] {
        let cart = fixtures::cart(seed)?;
        h.create(cart.clone()).await?;
        let over = Cart {
            status,
            ..cart.clone()
        };
        h.put(Put::update(&cart, over.clone())).await?;
        refused(
            h.delta(add(&cart, fixtures::line(&sku, &[], 1)?)).await,
            ErrorKind::Conflict,
        )?;
        h.ensure_stored(&over.into(), 2).await?;
    }
    Ok(())
}

async fn closed_by_time(h: &Harness) -> CaseResult {
    let cart = short_lived(1)?;
    h.create(cart.clone()).await?;
    let [sku, _] = fixtures::skus(1)?;
    h.delta(add(&cart, fixtures::line(&sku, &[], 1)?)).await?;
    h.shift(PAST_TTL);
    refused(
        h.delta(add(&cart, fixtures::line(&sku, &[], 1)?)).await,
        ErrorKind::Conflict,
    )?;
    let late = Put::update(
        &Cart {
            version: crate::model::Version::from(2),
            ..cart.clone()
        },
        cart,
    )
    .live();
    refused(h.put(late).await, ErrorKind::Conflict)?;
    Ok(())
}

async fn live_put(h: &Harness) -> CaseResult {
    let cart = fixtures::cart(1)?;
    h.create(cart.clone()).await?;
    let ordered = Cart {
        status: CartStatus::Ordered,
        ..cart.clone()
    };
    h.put(Put::update(&cart, ordered.clone()).live()).await?;
    let stored = Cart {
        version: crate::model::Version::from(2),
        ..ordered.clone()
    };
    let late = Put::update(
        &stored,
        Cart {
            lines: Vec::new(),
            ..ordered.clone()
        },
    );
    refused(h.put(late.clone().live()).await, ErrorKind::Conflict)?;
    h.ensure_stored(&ordered.into(), 2).await?;
    h.put(late).await?;
    Ok(())
}

async fn limit(h: &Harness) -> CaseResult {
    let cart = fixtures::guest_cart(1)?;
    h.create(cart.clone()).await?;
    let [sku, _] = fixtures::skus(1)?;
    h.delta(add(&cart, fixtures::line(&sku, &[], MAX_LINE_QUANTITY - 1)?))
        .await?;
    refused(
        h.delta(add(&cart, fixtures::line(&sku, &[], 2)?)).await,
        ErrorKind::InvalidInput,
    )?;
    let found = present(stored(h, &cart).await?, "the cart")?;
    let units: Vec<_> = found.lines.iter().map(|line| line.quantity.get()).collect();
    same!(
        (units, found.version.get()),
        (vec![MAX_LINE_QUANTITY - 1], 2),
        "the units and the version"
    );
    h.delta(add(&cart, fixtures::line(&sku, &[], 1)?)).await?;
    Ok(())
}

async fn relative_expiry(h: &Harness) -> CaseResult {
    // The store's clock runs a day ahead of everyone else's.
    h.shift(TTL * 24);
    let cart = short_lived(1)?;
    let committed = h.create(cart.clone()).await?;
    ensure_ends(&*present(stored(h, &cart).await?, "the cart")?, &committed)?;
    h.shift(PAST_TTL);
    absent(&stored(h, &cart).await?, "the cart past its expiry")?;
    let next = short_lived(2)?;
    let later = h.create(next.clone()).await?;
    ensure_ends(&*present(stored(h, &next).await?, "the next cart")?, &later)?;
    let between: Timestamp = committed.at + PAST_TTL;
    ensure!(
        later.at >= between,
        "the clock went from {} to {} over a shift of 3700 s",
        committed.at,
        later.at
    );
    Ok(())
}

async fn expired(h: &Harness) -> CaseResult {
    let (brief, lasting) = (short_lived(1)?, fixtures::guest_cart(2)?);
    h.create(brief.clone()).await?;
    h.create(lasting.clone()).await?;
    present(stored(h, &brief).await?, "the cart before its expiry")?;
    h.shift(PAST_TTL);
    let reader = h.store().readers().cart()?;
    let found = reader.get_many(&[brief.id, lasting.id], h.deadline()).await?;
    let ids: Vec<_> = found
        .iter()
        .map(|cart| cart.as_ref().map(|cart| cart.id))
        .collect();
    same!(ids, vec![None, Some(lasting.id)], "the carts once one is over");
    absent(
        &h.read(Aggregate::Cart, &RowKey::Id(brief.id.uuid())).await?,
        "the expired cart",
    )
}

async fn active(h: &Harness, seed: u64) -> CaseResult<Option<Arc<Cart>>> {
    Ok(h.store()
        .readers()
        .cart()?
        .find_active(fixtures::user(seed), h.deadline())
        .await?)
}

async fn find_active(h: &Harness) -> CaseResult {
    let cart = fixtures::cart(1)?;
    h.create(cart.clone()).await?;
    h.create(fixtures::cart(2)?).await?;
    h.create(fixtures::guest_cart(3)?).await?;
    same!(
        present(active(h, 1).await?, "the open cart")?.as_ref(),
        &cart,
        "the open cart"
    );
    absent(&active(h, 3).await?, "the cart of a user without one")?;
    h.put(Put::update(
        &cart,
        Cart {
            status: CartStatus::Ordered,
            ..cart.clone()
        },
    ))
    .await?;
    absent(&active(h, 1).await?, "the cart that was ordered")?;
    let next = Cart {
        owner: cart.owner,
        ..fixtures::cart(4)?
    };
    h.create(next.clone()).await?;
    same!(
        present(active(h, 1).await?, "the next cart")?.id,
        next.id,
        "the next open cart"
    );
    Ok(())
}

async fn find_active_expired(h: &Harness) -> CaseResult {
    let cart = Cart {
        owner: Owner::User(fixtures::user(1)),
        ..short_lived(1)?
    };
    h.create(cart).await?;
    if active(h, 1).await?.is_none() {
        return Err(Failure::new("the cart is not found before its expiry"));
    }
    h.shift(PAST_TTL);
    absent(&active(h, 1).await?, "the cart past its expiry")
}
