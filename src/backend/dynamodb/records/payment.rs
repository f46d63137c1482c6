//! Payments.

use std::sync::Arc;

use super::ends;
use super::order::read_settlement;
use super::order::write_settlement;
use crate::backend::dynamodb::item::Map;
use crate::backend::dynamodb::item::Read as _;
use crate::backend::dynamodb::item::Write as _;
use crate::error::Result;
use crate::model::Currency;
use crate::model::Expiry;
use crate::model::HoldId;
use crate::model::Lease;
use crate::model::Money;
use crate::model::OrderId;
use crate::model::Payment;
use crate::model::PaymentId;
use crate::model::PaymentState;
use crate::model::Provider;
use crate::model::Reference;
use crate::model::Timestamp;

pub(super) fn write(payment: &Payment, now: Timestamp) -> Map {
    let mut item = Map::new();
    item.id("id", payment.id.uuid());
    item.id("order_id", payment.order.uuid());
    item.text("provider", payment.provider.as_str());
    item.text("provider_key", payment.provider_key.as_str());
    item.opt_text("reference", payment.reference.as_ref().map(Reference::as_str));
    item.text("currency", payment.amount.currency().code());
    item.int("amount", payment.amount.minor());
    item.text("state", payment.state.as_str());
    write_settlement(&mut item, payment.settled);
    item.id("lease_holder", payment.lease.holder);
    item.time("lease_until", ends(payment.lease.until, now));
    item.opt_id("hold_id", payment.hold.map(HoldId::uuid));
    item.opt_text("decline_reason", payment.decline_reason.as_deref());
    item.time("created_at", payment.created_at);
    item.time("updated_at", payment.updated_at);
    item
}

pub(in crate::backend::dynamodb) fn read(item: &Map, now: Timestamp) -> Result<Arc<Payment>> {
    let until = item.get_time("lease_until")?;
    Ok(Arc::new(Payment {
        id: PaymentId::from(item.get_id("id")?),
        version: super::version(item)?,
        order: OrderId::from(item.get_id("order_id")?),
        provider: Provider::new(item.get_text("provider")?)?,
        provider_key: item.get_text("provider_key")?.to_owned(),
        reference: item.opt_get_text("reference")?.map(Reference::new).transpose()?,
        amount: Money::new(
            item.get_int("amount")?,
            Currency::parse(item.get_text("currency")?)?,
        ),
        state: PaymentState::parse(item.get_text("state")?)?,
        settled: read_settlement(item)?,
        lease: Lease {
            holder: item.get_id("lease_holder")?,
            until: Expiry::At(until),
        },
        lease_alive: until > now,
        hold: item.opt_get_id("hold_id")?.map(HoldId::from),
        decline_reason: item.opt_get_text("decline_reason")?.map(str::to_owned),
        created_at: item.get_time("created_at")?,
        updated_at: item.get_time("updated_at")?,
    }))
}
