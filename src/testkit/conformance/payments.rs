//! Payments by order and reference, and their leases.

use std::time::Duration;

use super::CaseResult;
use super::Harness;
use super::case::cases;
use super::check::absent;
use super::check::ensure;
use super::check::present;
use super::check::same;
use crate::model::Expiry;
use crate::model::Lease;
use crate::model::Payment;
use crate::model::Provider;
use crate::model::Reference;
use crate::testkit::fixtures;
use crate::testkit::fixtures::order_id;
use crate::testkit::fixtures::payment_id;

cases! {
    "payment.for_order": for_order, [Payment];
    "payment.find_by_reference": find_by_reference, [Payment];
    "payment.lease": lease, [Payment];
    "commit.expiry_relative" / "lease": relative_lease, [Payment];
}

async fn for_order(h: &Harness) -> CaseResult {
    for (seed, order) in [(3, 1), (1, 1), (4, 2), (2, 1)] {
        h.create(fixtures::payment(seed, order_id(order))?).await?;
    }
    let reader = h.store().readers().payment()?;
    let found = reader.for_order(order_id(1), h.deadline()).await?;
    let ids: Vec<_> = found.iter().map(|payment| payment.id).collect();
    same!(
        ids,
        vec![payment_id(1), payment_id(2), payment_id(3)],
        "the payments, oldest first"
    );
    let oldest = present(found.into_iter().next(), "the oldest payment")?;
    same!(*oldest, fixtures::payment(1, order_id(1))?, "the oldest payment");
    same!(
        reader.for_order(order_id(9), h.deadline()).await?.len(),
        0,
        "the payments of another order"
    );
    Ok(())
}

async fn find_by_reference(h: &Harness) -> CaseResult {
    let wanted = fixtures::payment(1, order_id(1))?;
    h.create(wanted.clone()).await?;
    let other = Provider::new("other")?;
    let elsewhere = Payment {
        provider: other.clone(),
        reference: wanted.reference.clone(),
        ..fixtures::payment(2, order_id(2))?
    };
    h.create(elsewhere.clone()).await?;
    h.create(fixtures::bare_payment(3, order_id(3))?).await?;
    let reader = h.store().readers().payment()?;
    let reference = present(wanted.reference.clone(), "the reference")?;
    let found = reader
        .find_by_reference(&wanted.provider, &reference, h.deadline())
        .await?;
    same!(
        *present(found, "the payment")?,
        wanted,
        "the payment of the reference"
    );
    let found = reader.find_by_reference(&other, &reference, h.deadline()).await?;
    same!(
        present(found, "the payment")?.id,
        elsewhere.id,
        "the payment of the other provider"
    );
    let unknown = Reference::new("unknown")?;
    absent(
        &reader.find_by_reference(&other, &unknown, h.deadline()).await?,
        "a payment of an unknown reference",
    )
}

const LEASE: Duration = Duration::from_secs(600);

fn leased(seed: u64) -> CaseResult<Payment> {
    let lease = Lease {
        holder: fixtures::uuid(7, seed),
        until: Expiry::In(LEASE),
    };
    Ok(Payment {
        lease,
        ..fixtures::payment(seed, order_id(1))?
    })
}

/// The leases of the payments of order 1 that are alive, in the order of their seeds, by every reader.
async fn alive(h: &Harness, seeds: &[u64]) -> CaseResult<Vec<bool>> {
    let reader = h.store().readers().payment()?;
    let ids: Vec<_> = seeds.iter().copied().map(payment_id).collect();
    let by_id = reader.get_many(&ids, h.deadline()).await?;
    let by_id: Vec<_> = by_id
        .iter()
        .flatten()
        .map(|payment| payment.lease_alive)
        .collect();
    let by_order = reader.for_order(order_id(1), h.deadline()).await?;
    let by_order: Vec<_> = by_order.iter().map(|payment| payment.lease_alive).collect();
    same!(by_id, by_order, "the leases by id and by order");
    Ok(by_id)
}

async fn lease(h: &Harness) -> CaseResult {
    h.create(leased(1)?).await?;
    // What the writer believes of the lease does not count.
    h.create(Payment {
        lease_alive: false,
        ..fixtures::payment(2, order_id(1))?
    })
    .await?;
    same!(
        alive(h, &[1, 2]).await?,
        vec![true, true],
        "the leases alive at first"
    );
    h.shift(LEASE + Duration::from_secs(60));
    same!(
        alive(h, &[1, 2]).await?,
        vec![false, true],
        "the leases alive once one is over"
    );
    Ok(())
}

async fn relative_lease(h: &Harness) -> CaseResult {
    h.shift(Duration::from_secs(86_400));
    let committed = h.create(leased(1)?).await?;
    let found = h
        .store()
        .readers()
        .payment()?
        .get_many(&[payment_id(1)], h.deadline())
        .await?;
    let payment = present(found.into_iter().flatten().next(), "the payment")?;
    let until = present(payment.lease.until.at(), "the end of the lease")?;
    let length = (until - committed.at).whole_seconds();
    ensure!(
        (540..=660).contains(&length),
        "the lease lasts {length} seconds after its commit instead of 600"
    );
    same!(alive(h, &[1]).await?, vec![true], "the leases alive");
    Ok(())
}
