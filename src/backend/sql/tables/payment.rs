//! Payments.

use std::sync::Arc;

use async_trait::async_trait;

use super::Change;
use super::Column;
use super::Kind;
use super::Root;
use super::Verb;
use super::no_parts;
use crate::backend::sql::dialect::Arg;
use crate::backend::sql::dialect::Keyed;
use crate::backend::sql::dialect::Reads;
use crate::backend::sql::dialect::Statement;
use crate::backend::sql::dialect::Text;
use crate::backend::sql::dialect::in_order;
use crate::backend::sql::dialect::statement;
use crate::backend::sql::rows::RowWriter;
use crate::error::Result;
use crate::model::Aggregate;
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
use crate::model::Record;
use crate::model::Reference;
use crate::model::Settlement;
use crate::model::from_micros;
use crate::resilience::Deadline;
use crate::spi::store::PaymentReader;

pub(in crate::backend::sql) static ROOT: Root = Root {
    aggregate: Aggregate::Payment,
    table: "payments",
    key: &[Column("id", Kind::Id)],
    insert: &COLUMNS,
    update: &COLUMNS,
    delta: &[
        Change::Add("authorized"),
        Change::Add("captured"),
        Change::Add("refunded"),
    ],
    live: None,
    part: None,
    columns: write_columns,
    parts: no_parts,
};

const COLUMNS: [Column; 16] = [
    Column("order_id", Kind::Id),
    Column("provider", Kind::Text),
    Column("provider_key", Kind::Text),
    Column("reference", Kind::Text),
    Column("currency", Kind::Text),
    Column("amount", Kind::Int),
    Column("state", Kind::Text),
    Column("authorized", Kind::Int),
    Column("captured", Kind::Int),
    Column("refunded", Kind::Int),
    Column("lease_holder", Kind::Id),
    Column("lease_until", Kind::Expiry),
    Column("hold_id", Kind::Id),
    Column("decline_reason", Kind::Text),
    Column("created_at", Kind::Int),
    Column("updated_at", Kind::Int),
];

fn write_columns(record: &Record, row: &mut RowWriter<'_>, _: Verb) {
    let Record::Payment(payment) = record else { return };
    row.id(payment.order.uuid());
    row.text(payment.provider.as_str());
    row.text(&payment.provider_key);
    row.opt_text(payment.reference.as_ref().map(Reference::as_str));
    row.text(payment.amount.currency().code());
    row.int(payment.amount.minor());
    row.text(payment.state.as_str());
    row.int(payment.settled.authorized);
    row.int(payment.settled.captured);
    row.int(payment.settled.refunded);
    row.id(payment.lease.holder);
    row.expiry(payment.lease.until);
    row.opt_id(payment.hold.map(HoldId::uuid));
    row.opt_text(payment.decline_reason.as_deref());
    row.time(payment.created_at);
    row.time(payment.updated_at);
}

macro_rules! select {
    ($name:literal: $($rest:tt)*) => {
        statement!($name:
            "SELECT p.id, p.version, p.order_id, p.provider, p.provider_key, p.reference, p.currency, p.amount, p.state, \
             p.authorized, p.captured, p.refunded, p.lease_holder, p.lease_until, \
             CASE WHEN p.lease_until > " now " THEN 1 ELSE 0 END, \
             p.hold_id, p.decline_reason, p.created_at, p.updated_at"
            $($rest)*
        )
    };
}

pub(in crate::backend::sql) const GET: Keyed = Keyed {
    one: select!("payment.get": " FROM stockroom_payments p WHERE p.id = $2"),
    many: select!("payment.get_many": " FROM stockroom_payments p WHERE p.id" ids2),
};

pub(in crate::backend::sql) const FOR_ORDER: Statement =
    select!("payment.for_order": " FROM stockroom_payments p WHERE p.order_id = $2 ORDER BY p.id");

pub(in crate::backend::sql) const BY_REFERENCE: Statement = select!("payment.find_by_reference":
    " FROM stockroom_claims k JOIN stockroom_payments p ON p.id = k.owner \
      WHERE k.space = 'payment.reference' AND k.claim_key = $2");

fn read<R: Reads>(row: &R::Row) -> Result<Arc<Payment>> {
    let currency = Currency::parse(&R::text(row, 6)?)?;
    Ok(Arc::new(Payment {
        id: PaymentId::from(R::id(row, 0)?),
        version: super::version(R::int(row, 1)?)?,
        order: OrderId::from(R::id(row, 2)?),
        provider: Provider::new(R::text(row, 3)?)?,
        provider_key: R::text(row, 4)?,
        reference: R::opt_text(row, 5)?.map(Reference::new).transpose()?,
        amount: Money::new(R::int(row, 7)?, currency),
        state: PaymentState::parse(&R::text(row, 8)?)?,
        settled: Settlement {
            authorized: R::int(row, 9)?,
            captured: R::int(row, 10)?,
            refunded: R::int(row, 11)?,
        },
        lease: Lease {
            holder: R::id(row, 12)?,
            until: Expiry::At(from_micros(R::int(row, 13)?)?),
        },
        lease_alive: R::int(row, 14)? == 1,
        hold: R::opt_id(row, 15)?.map(HoldId::from),
        decline_reason: R::opt_text(row, 16)?,
        created_at: from_micros(R::int(row, 17)?)?,
        updated_at: from_micros(R::int(row, 18)?)?,
    }))
}

/// Reads payments of either engine.
#[derive(Debug)]
pub(in crate::backend::sql) struct SqlPayments<R>(pub(in crate::backend::sql) Arc<R>);

impl<R: Reads> SqlPayments<R> {
    async fn all(&self, text: Text, arg: Arg, deadline: Deadline) -> Result<Vec<Arc<Payment>>> {
        let args = vec![Arg::Int(self.0.shift()), arg];
        self.0
            .fetch(text, args, deadline)
            .await?
            .iter()
            .map(read::<R>)
            .collect()
    }
}

#[async_trait]
impl<R: Reads> PaymentReader for SqlPayments<R> {
    async fn get_many(&self, ids: &[PaymentId], deadline: Deadline) -> Result<Vec<Option<Arc<Payment>>>> {
        let (text, arg) = GET.ids(ids.iter().map(|id| id.uuid()));
        let found = self.all(text, arg, deadline).await?;
        Ok(in_order(
            ids.iter().copied(),
            found.into_iter().map(|payment| (payment.id, payment)).collect(),
        ))
    }

    async fn for_order(&self, order: OrderId, deadline: Deadline) -> Result<Vec<Arc<Payment>>> {
        self.all(Text::Constant(FOR_ORDER), Arg::Id(order.uuid()), deadline)
            .await
    }

    async fn find_by_reference(
        &self,
        provider: &Provider,
        reference: &Reference,
        deadline: Deadline,
    ) -> Result<Option<Arc<Payment>>> {
        let key = Arg::Text(format!("{provider}:{reference}"));
        Ok(self
            .all(Text::Constant(BY_REFERENCE), key, deadline)
            .await?
            .into_iter()
            .next())
    }
}
