//! Faults that change a write set before it is sent.

use super::Fault;
use crate::model::Actor;
use crate::model::Cart;
use crate::model::Clock;
use crate::model::Expiry;
use crate::model::Level;
use crate::model::LineKey;
use crate::model::MovementKind;
use crate::model::Payment;
use crate::model::Record;
use crate::model::Settlement;
use crate::model::SystemClock;
use crate::spi::store::CartLineStep;
use crate::spi::store::Delta;
use crate::spi::store::Parts;
use crate::spi::store::StockStep;
use crate::spi::store::WriteSet;

/// How much longer everything lives.
const STRETCH: u32 = 1_000;

/// The set as the faulty store sends it.
pub(super) fn edit(fault: Fault, mut set: WriteSet, serial: u64) -> WriteSet {
    match fault {
        Fault::DropsTheLast => drop_last(&mut set),
        Fault::WritesWhole => set.puts.iter_mut().for_each(|put| put.parts = Parts::Whole),
        Fault::IgnoresDeletes => set.deletes.clear(),
        Fault::IgnoresReads => set.reads.clear(),
        Fault::DropsClaims => set.claims.clear(),
        Fault::NeverReleases => {
            set.releases.clear();
            set.puts.iter_mut().for_each(|put| put.previous.clear());
            set.deletes.iter_mut().for_each(|delete| delete.previous.clear());
        }
        Fault::IgnoresKeys => set.idempotency = None,
        Fault::IgnoresFingerprint => set
            .idempotency
            .iter_mut()
            .for_each(|key| key.fingerprint = [0; 32]),
        Fault::IgnoresScope => set
            .idempotency
            .iter_mut()
            .for_each(|key| key.scope = "any".to_owned()),
        Fault::IgnoresLive => set.puts.iter_mut().for_each(|put| put.live = false),
        Fault::DropsActor => set.actor = Actor::system(),
        Fault::DropsEvents => set.events.clear(),
        Fault::HoldsNothing => set
            .deltas
            .retain(|delta| !matches!(delta, Delta::Stock(StockStep { hold: Some(_), .. }))),
        Fault::IgnoresUnhold => set.deltas.retain(|delta| !matches!(delta, Delta::Unhold { .. })),
        Fault::LosesAdds if serial % 2 == 1 => {
            set.deltas.retain(|delta| !matches!(delta, Delta::CartLine(_)))
        }
        _ => {
            set.deltas
                .iter_mut()
                .for_each(|delta| edit_delta(fault, delta, serial));
            set.puts
                .iter_mut()
                .for_each(|put| edit_record(fault, &mut put.record));
        }
    }
    set
}

fn drop_last(set: &mut WriteSet) {
    if set.puts.len() + set.deltas.len() + set.claims.len() < 2 {
        return;
    }
    if set.claims.pop().is_none() && set.deltas.pop().is_none() {
        set.puts.pop();
    }
}

fn edit_delta(fault: Fault, delta: &mut Delta, serial: u64) {
    match delta {
        Delta::Stock(step) => edit_step(fault, step),
        Delta::CartLine(step) => edit_line(fault, step, serial),
        Delta::Order { settled, .. } | Delta::Payment { settled, .. } if fault == Fault::SettlesTwice => {
            let Settlement {
                authorized,
                captured,
                refunded,
            } = *settled;
            *settled = Settlement {
                authorized: authorized * 2,
                captured: captured * 2,
                refunded: refunded * 2,
            };
        }
        _ => {}
    }
}

fn edit_step(fault: Fault, step: &mut StockStep) {
    match fault {
        Fault::IgnoresAvailability | Fault::GuardsTooEarly => step.takes = 0,
        Fault::KeepsTheLast if step.takes > 0 => step.takes += 1,
        Fault::MislabelsMovements => step.kind = MovementKind::Adjust,
        Fault::StretchesLives => {
            if let Some((_, ttl)) = &mut step.hold {
                *ttl *= STRETCH;
            }
        }
        _ => {}
    }
}

fn edit_line(fault: Fault, step: &mut CartLineStep, serial: u64) {
    match fault {
        Fault::StretchesLives => step.ttl *= STRETCH,
        Fault::SplitsLines => {
            // A line differs by its options from every other.
            if let Ok(options) = step.line.options.clone().with("serial", serial.to_string()) {
                step.line.key = LineKey::of(&step.line.sku, &options);
                step.line.options = options;
            }
        }
        _ => {}
    }
}

fn edit_record(fault: Fault, record: &mut Record) {
    match record {
        Record::Cart(cart) => {
            let expires_at = edit_expiry(fault, cart.expires_at);
            *record = Cart {
                expires_at,
                ..Cart::clone(cart)
            }
            .into();
        }
        Record::Payment(payment) => {
            let mut lease = payment.lease;
            lease.until = edit_expiry(fault, lease.until);
            *record = Payment {
                lease,
                ..Payment::clone(payment)
            }
            .into();
        }
        Record::Level(level) if fault == Fault::IgnoresBackorder => {
            *record = Level {
                backorder_limit: 0,
                ..Level::clone(level)
            }
            .into();
        }
        _ => {}
    }
}

fn edit_expiry(fault: Fault, expiry: Expiry) -> Expiry {
    match (fault, expiry) {
        (Fault::StretchesLives, Expiry::In(length)) => Expiry::In(length * STRETCH),
        (Fault::ResolvesByClient, Expiry::In(_)) => Expiry::At(expiry.resolved(SystemClock.now())),
        _ => expiry,
    }
}
