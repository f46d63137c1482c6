//! Lines that are added to carts.

use super::Plan;
use super::Prepared;
use super::numbered;
use super::signed;
use crate::backend::sql::program::List;
use crate::model::Aggregate;
use crate::model::RowKey;
use crate::spi::store::CartLineStep;
use crate::spi::store::Delta;
use std::collections::BTreeMap;
use uuid::Uuid;

impl Plan {
    pub(super) fn lines(&mut self, sets: &[&Prepared]) {
        let mut more: BTreeMap<(Uuid, String), (i32, i64, &CartLineStep)> = BTreeMap::new();
        let mut carts: BTreeMap<Uuid, (i32, &CartLineStep)> = BTreeMap::new();
        for (set, one) in numbered(sets) {
            for delta in &one.set.deltas {
                let Delta::CartLine(step) = delta else { continue };
                let place = (step.cart.uuid(), step.line.key.as_str().to_owned());
                let (of, quantity, _) = more.entry(place).or_insert((set, 0, step));
                self.share(of, set);
                *quantity += step.line.quantity.get();
                let (of, life) = carts.entry(step.cart.uuid()).or_insert((set, step));
                self.share(of, set);
                if step.ttl > life.ttl {
                    *life = step;
                }
            }
        }
        for (n, (place, (of, quantity, step))) in more.into_iter().enumerate() {
            let mut row = self.payload.list(List::NeedLines).row_of(of);
            row.int(signed(n));
            row.id(place.0);
            row.text(&place.1);
            row.int(quantity);
            let mut row = self.payload.list(List::AddLines).row_of(of);
            crate::backend::sql::tables::cart::write_line(place.0, &step.line, quantity, &mut row);
            self.lines.insert(place, n);
        }
        for (cart, (of, step)) in carts {
            let mut row = self.change(of, Aggregate::Cart, RowKey::Id(cart));
            row.id(cart);
            row.distance(step.ttl);
        }
    }
}
