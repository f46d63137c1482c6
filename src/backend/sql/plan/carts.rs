//! Lines that are added to carts.

use super::Plan;
use super::Prepared;
use super::signed;
use crate::backend::sql::program::List;
use crate::model::Aggregate;
use crate::spi::store::CartLineStep;
use crate::spi::store::Delta;
use std::collections::BTreeMap;
use uuid::Uuid;

impl Plan {
    pub(super) fn lines(&mut self, sets: &[&Prepared]) {
        let mut more: BTreeMap<(Uuid, String), (i64, &CartLineStep)> = BTreeMap::new();
        let mut carts: BTreeMap<Uuid, &CartLineStep> = BTreeMap::new();
        for delta in sets.iter().flat_map(|one| &one.set.deltas) {
            let Delta::CartLine(step) = delta else { continue };
            let place = (step.cart.uuid(), step.line.key.as_str().to_owned());
            more.entry(place).or_insert((0, step)).0 += step.line.quantity.get();
            let life = carts.entry(step.cart.uuid()).or_insert(step);
            if step.ttl > life.ttl {
                *life = step;
            }
        }
        for (n, (place, (quantity, step))) in more.into_iter().enumerate() {
            let mut row = self.payload.list(List::NeedLines).row();
            row.int(signed(n));
            row.id(place.0);
            row.text(&place.1);
            row.int(quantity);
            let mut row = self.payload.list(List::AddLines).row();
            crate::backend::sql::tables::cart::write_line(place.0, &step.line, quantity, &mut row);
            self.lines.insert(place, n);
        }
        for (cart, step) in carts {
            let mut row = self.payload.list(List::Change(Aggregate::Cart)).row();
            row.id(cart);
            row.distance(step.ttl);
        }
    }
}
