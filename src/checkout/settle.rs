//! From the provider's answer to a settled order: one write set, decided again when something moved.

use std::sync::Arc;

use super::charge::Answer;
use super::charge::Charge;
use super::charge::Paid;
use super::closing;
use super::once::MOST_SOURCINGS;
use super::once::find_claim;
use super::place::load;
use super::quote::resourced;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::error::Shortage;
use crate::model::CancelReason;
use crate::model::Cart;
use crate::model::FactKind;
use crate::model::Hold;
use crate::model::Order;
use crate::model::OrderLine;
use crate::model::OrderStatus;
use crate::model::Payment;
use crate::model::PaymentState;
use crate::model::Settlement;
use crate::repository::charge_claim;
use crate::repository::single;
use crate::repository::written;
use crate::resilience::Deadline;
use crate::spi::store::Delta;
use crate::spi::store::Put;
use crate::spi::store::WriteSet;
use crate::transaction::Attempts;
use crate::transaction::Context;
use crate::transaction::stock;

/// A payment that this caller has the lease of.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) order: Arc<Order>,
    pub(super) payment: Payment,
    /// The cart that the order was made of, while it is open.
    pub(super) cart: Option<Arc<Cart>>,
}

/// What was found out while settling, beside what can be read.
#[derive(Debug, Default)]
struct Findings {
    /// The charge was counted before, as a provider's fact.
    counted: bool,
    /// Other locations that have the stock, where the first ones ran short.
    lines: Option<Vec<OrderLine>>,
    sourcings: u32,
    /// No location has the stock.
    short: Option<Vec<Shortage>>,
}

/// Records the provider's answer and what follows of it.
///
/// - The money is recorded whatever became of order, stock and cart meanwhile.
/// - Only what was not applied is tried again, until the deadline.
pub(super) async fn settle(
    context: &Context,
    attempt: Attempt,
    charge: Charge,
    deadline: Deadline,
) -> Result<Paid> {
    let mut attempts = Attempts::many(deadline);
    let mut findings = Findings::default();
    let mut known = attempt;
    loop {
        if known.payment.state != PaymentState::Started {
            return Ok(outcome(known.order, &known.payment, None, true));
        }
        let mut set = context.write_set();
        let (order, payment) = stage(context, &known, &charge, &findings, &mut set)?;
        let error = match context.commit(set, deadline).await {
            Ok(committed) => {
                let order = written(&committed, order).map(Arc::new)?;
                return Ok(outcome(order, &payment, findings.short, false));
            }
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::InsufficientStock => findings.look_elsewhere(context, &known, error, deadline).await?,
            ErrorKind::AlreadyExists if !findings.counted => {
                findings.counted = was_counted(context, &known.payment, &charge, deadline).await?;
                if !findings.counted {
                    return Err(error);
                }
                known = reload(context, &known, deadline).await?;
            }
            _ => {
                attempts.after_refusal(error).await?;
                known = reload(context, &known, deadline).await?;
            }
        }
    }
}

impl Findings {
    /// Looks for other locations where the chosen ones ran short: the hold has ended meanwhile.
    async fn look_elsewhere(
        &mut self,
        context: &Context,
        known: &Attempt,
        error: Error,
        deadline: Deadline,
    ) -> Result<()> {
        self.sourcings += 1;
        if self.sourcings > MOST_SOURCINGS {
            self.short = Some(error.shortages().to_vec());
            return Ok(());
        }
        let hold = held(known);
        match resourced(context, &known.order.lines, hold.as_ref(), deadline).await {
            Ok(lines) => self.lines = Some(lines),
            Err(error) if error.is(ErrorKind::InsufficientStock) => {
                self.short = Some(error.shortages().to_vec())
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Everything that the provider's answer changes; gives order and payment as they will be.
fn stage(
    context: &Context,
    known: &Attempt,
    charge: &Charge,
    findings: &Findings,
    set: &mut WriteSet,
) -> Result<(Order, Payment)> {
    let (old, now) = (&*known.order, context.now());
    let amount = known.payment.amount.minor();
    let (mut payment, added) = match &charge.0 {
        Answer::Declined(reason) => (known.payment.declined(reason)?, Settlement::ZERO),
        Answer::Authorized(reference) => {
            let missing = (amount - known.payment.settled.authorized).max(0);
            (
                known.payment.authorized(reference.clone())?,
                Settlement {
                    authorized: missing,
                    ..Settlement::ZERO
                },
            )
        }
        Answer::Captured(reference) => {
            let missing = (amount - known.payment.settled.captured).max(0);
            (
                known.payment.captured(reference.clone())?,
                Settlement {
                    captured: missing,
                    ..Settlement::ZERO
                },
            )
        }
    };
    payment.settled = payment.settled.checked_add(added)?;
    payment.updated_at = now;
    let mut order = Order {
        paid: old.paid.checked_add(added)?,
        updated_at: now,
        ..old.clone()
    };
    if old.status == OrderStatus::Pending {
        order = decide(order, charge, findings, set)?;
        if let Some(hold) = payment.hold {
            set.delta(Delta::unhold(hold, &stock::hold_lines(old)));
        }
        if order.status == OrderStatus::Placed {
            for step in stock::allocate(&order)? {
                set.delta(Delta::Stock(step));
            }
            if !closing::is_apart(context) {
                // The claim of the order stays on this cart: what was added during the payment could not be ordered in it.
                if let Some(cart) = known.cart.as_deref().filter(|cart| cart.is_open()) {
                    closing::stage(context, cart, &order, set)?;
                }
            }
        }
    }
    if let Some(kind) = kind_of(charge).filter(|_| !findings.counted) {
        // A new owner: an owner may claim its own key again, and the charge must not count again.
        set.claim(charge_claim(payment.id, kind), uuid::Uuid::now_v7());
    }
    set.event(format!("payment.{}", payment.state));
    set.put(match order.lines == old.lines {
        true => Put::root(old, order.clone()),
        false => Put::update(old, order.clone()),
    });
    set.put(Put::root(&known.payment, payment.clone()));
    Ok((order, payment))
}

/// What becomes of a pending order.
fn decide(order: Order, charge: &Charge, findings: &Findings, set: &mut WriteSet) -> Result<Order> {
    let reason = match (&charge.0, &findings.short) {
        (Answer::Declined(_), _) => CancelReason::PaymentDeclined,
        (_, Some(_)) => CancelReason::OutOfStock,
        (_, None) => {
            let lines = findings.lines.clone().unwrap_or_else(|| order.lines.clone());
            set.event("order.placed");
            return Order { lines, ..order }.confirm();
        }
    };
    set.event("order.cancelled");
    order.cancel(reason)
}

/// What came of a settled payment.
pub(super) fn outcome(
    order: Arc<Order>,
    payment: &Payment,
    short: Option<Vec<Shortage>>,
    replayed: bool,
) -> Paid {
    if payment.state == PaymentState::Declined {
        let reason = payment.decline_reason.clone().unwrap_or_default();
        return Paid::Declined {
            order,
            reason,
            replayed,
        };
    }
    let refund = order.refund_due();
    match (order.status, order.cancel_reason) {
        (OrderStatus::Cancelled, Some(CancelReason::OutOfStock)) => Paid::Short {
            order,
            refund,
            shortages: short.unwrap_or_default(),
            replayed,
        },
        (OrderStatus::Cancelled, _) => Paid::Cancelled {
            order,
            refund,
            replayed,
        },
        _ => Paid::Order { order, replayed },
    }
}

fn kind_of(charge: &Charge) -> Option<FactKind> {
    match charge.0 {
        Answer::Authorized(_) => Some(FactKind::Authorized),
        Answer::Captured(_) => Some(FactKind::Captured),
        Answer::Declined(_) => None,
    }
}

/// Whether the charge was recorded before, as a provider's fact.
async fn was_counted(
    context: &Context,
    payment: &Payment,
    charge: &Charge,
    deadline: Deadline,
) -> Result<bool> {
    let Some(kind) = kind_of(charge) else {
        return Ok(false);
    };
    let claim = charge_claim(payment.id, kind);
    Ok(find_claim(context, claim.space.to_owned(), claim.key, deadline)
        .await?
        .is_some())
}

/// The hold of a payment, as far as its order tells; whether it is alive, only the store can tell.
fn held(known: &Attempt) -> Option<Hold> {
    let lines = stock::hold_lines(&known.order);
    known.payment.hold.map(|id| Hold {
        id,
        lines,
        expires_at: known.order.placed_at,
        alive: true,
    })
}

/// Order, payment and cart as they are now.
pub(super) async fn reload(context: &Context, known: &Attempt, deadline: Deadline) -> Result<Attempt> {
    let payments = [known.payment.id];
    let cart = async {
        match known.order.cart {
            // Money is recorded whether the store of the carts answers or not.
            Some(_) if closing::is_apart(context) => Ok(None),
            Some(cart) => context.carts()?.get_many(&[cart], deadline).await.map(single),
            None => Ok(None),
        }
    };
    let (order, payment, cart) = tokio::join!(
        load(context, known.order.id, deadline),
        async {
            context
                .payments()?
                .get_many(&payments, deadline)
                .await
                .map(single)
        },
        cart,
    );
    let payment = payment?.ok_or_else(|| Error::not_found(format!("payment {}", known.payment.id)))?;
    Ok(Attempt {
        order: order?,
        payment: Arc::unwrap_or_clone(payment),
        cart: cart?,
    })
}
