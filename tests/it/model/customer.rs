//! The same acts, done in a shop.

use std::collections::BTreeMap;
use std::time::Duration;

use stockroom::CancelReason;
use stockroom::CartId;
use stockroom::Charge;
use stockroom::Due;
use stockroom::Error;
use stockroom::HoldId;
use stockroom::HoldLine;
use stockroom::LineKey;
use stockroom::OrderId;
use stockroom::Owner;
use stockroom::Paid;
use stockroom::Pay;
use stockroom::Place;
use uuid::Uuid;

use super::act::Act;
use super::act::Answer;
use super::act::Latest;
use super::act::Units;
use super::world::Told;
use super::world::place;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::key;
use crate::support::reference;
use crate::support::sku;
use crate::support::units;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// A customer of a shop, with what it knows of: in the order in which the model has it.
pub(super) struct Customer {
    shop: Shop,
    /// What its SKUs begin with.
    prefix: String,
    pub(super) carts: Vec<CartId>,
    pub(super) holds: Vec<HoldId>,
    pub(super) orders: Vec<(OrderId, Request)>,
}

/// What an order came of.
#[derive(Clone, Debug)]
pub(super) enum Request {
    Place(Box<Place>),
    Pay(Box<Pay>, Answer),
}

impl Customer {
    pub(super) fn new(shop: Shop, prefix: String) -> Self {
        Self {
            shop,
            prefix,
            carts: Vec::new(),
            holds: Vec::new(),
            orders: Vec::new(),
        }
    }

    /// The name of one of its SKUs.
    pub(super) fn sku(&self, number: usize) -> String {
        format!("{}-{number}", self.prefix)
    }

    /// Does it, and tells what came of it.
    pub(super) async fn act(&mut self, act: &Act) -> Told {
        match self.try_act(act).await {
            Ok(told) => told,
            Err(error) => self.refused(&error),
        }
    }

    fn refused(&self, error: &Error) -> Told {
        if error.shortages().is_empty() {
            return Told::Refused(error.kind());
        }
        let number = |name: &str| (0..).find(|number| self.sku(*number) == name).unwrap();
        let short = error
            .shortages()
            .iter()
            .map(|short| (number(&short.sku), (short.requested, short.available)));
        Told::Short(short.collect::<BTreeMap<_, _>>())
    }

    async fn try_act(&mut self, act: &Act) -> Result<Told, Error> {
        let (inventory, carts) = (self.shop.inventory(), self.shop.carts());
        match act {
            Act::Receive(sku, units) => {
                inventory.receive(self.sku(*sku), &berlin(), *units).await?;
            }
            Act::Adjust(sku, by) => {
                inventory
                    .adjust(self.sku(*sku), &berlin(), *by, "counted")
                    .await?;
            }
            Act::Backorder(sku, limit) => {
                inventory
                    .set_backorder_limit(self.sku(*sku), &berlin(), *limit)
                    .await?;
            }
            Act::OpenCart => self.carts.push(carts.create(Owner::Guest).await?.id),
            Act::Add(cart, sku, units) => {
                let Some(cart) = self.cart(*cart) else {
                    return Ok(Told::Nothing);
                };
                carts.add(cart, self.sku(*sku), *units).await?;
            }
            Act::SetQuantity(cart, sku, units) => {
                let Some(cart) = self.cart(*cart) else {
                    return Ok(Told::Nothing);
                };
                carts.set_quantity(cart, &self.line(*sku), *units).await?;
            }
            Act::Remove(cart, sku) => {
                let Some(cart) = self.cart(*cart) else {
                    return Ok(Told::Nothing);
                };
                carts.remove(cart, &self.line(*sku)).await?;
            }
            Act::Abandon(cart) => {
                let Some(cart) = self.cart(*cart) else {
                    return Ok(Told::Nothing);
                };
                carts.abandon(cart).await?;
            }
            Act::Hold(lines, hours) => {
                let (lines, ttl) = (self.hold_lines(lines), HOUR * u32::try_from(*hours).unwrap());
                self.holds.push(inventory.hold(&lines, ttl).await?.id);
            }
            Act::Release(hold) => {
                let Some(place) = place(self.holds.len(), *hold) else {
                    return Ok(Told::Nothing);
                };
                inventory.release_hold(self.holds[place]).await?;
            }
            Act::Place(..) | Act::PlaceHeld(..) | Act::Pay(..) => return self.order(act).await,
            Act::Again(order) => {
                let Some((id, request)) = self.known(*order) else {
                    return Ok(Told::Nothing);
                };
                let (again, told) = self.send(&request).await?;
                assert_eq!(again, id, "a repeated request made another order");
                return Ok(told);
            }
            Act::Cancel(order) => {
                let Some((id, _)) = self.known(*order) else {
                    return Ok(Told::Nothing);
                };
                self.shop.checkout().cancel(id, CancelReason::Customer).await?;
            }
            Act::Ship(order) => {
                let Some((id, _)) = self.known(*order) else {
                    return Ok(Told::Nothing);
                };
                let order = self.shop.orders().require(id).await?;
                let lines: Vec<_> = order
                    .lines
                    .iter()
                    .map(|line| (line.number, line.quantity))
                    .collect();
                self.shop.orders().ship(&order, &lines).await?;
            }
        }
        Ok(Told::Done)
    }

    async fn order(&mut self, act: &Act) -> Result<Told, Error> {
        let (Act::Place(cart) | Act::PlaceHeld(cart) | Act::Pay(cart, _)) = act else {
            return Ok(Told::Nothing);
        };
        let Some(cart) = self.cart(*cart) else {
            return Ok(Told::Nothing);
        };
        let key = key(Uuid::now_v7());
        let request = match act {
            Act::Pay(_, answer) => Request::Pay(Box::new(Pay::cart(cart).key(key)), *answer),
            Act::PlaceHeld(_) => {
                let quote = self.shop.checkout().quote(cart).await?;
                let hold = self.shop.checkout().hold(&quote, HOUR).await?;
                Request::Place(Box::new(Place::quote(quote).hold(hold).key(key)))
            }
            _ => Request::Place(Box::new(Place::cart(cart).key(key))),
        };
        let (id, told) = self.send(&request).await?;
        self.orders.push((id, request));
        Ok(told)
    }

    async fn send(&self, request: &Request) -> Result<(OrderId, Told), Error> {
        let (pay, answer) = match request {
            Request::Place(place) => {
                let placed = self.shop.checkout().place(Place::clone(place)).await?;
                return Ok((placed.order.id, Told::Done));
            }
            Request::Pay(pay, answer) => (pay, *answer),
        };
        let charge = |due: Due| async move {
            Ok::<_, Error>(match answer {
                Answer::Captured => Charge::captured(reference(due.provider_key)),
                Answer::Declined => Charge::declined("no"),
            })
        };
        let paid = self.shop.checkout().pay(Pay::clone(pay), charge).await?;
        let told = match (&paid, answer) {
            // A payment whose order was cancelled afterwards tells so; that the same order came of it is what counts here.
            (Paid::Order { .. } | Paid::Cancelled { .. }, Answer::Captured) => Told::Done,
            (Paid::Declined { .. }, Answer::Declined) => Told::Declined,
            _ => panic!("{paid:?}"),
        };
        Ok((paid.order().id, told))
    }

    fn cart(&self, cart: Latest) -> Option<CartId> {
        place(self.carts.len(), cart).map(|place| self.carts[place])
    }

    fn known(&self, order: Latest) -> Option<(OrderId, Request)> {
        place(self.orders.len(), order).map(|place| self.orders[place].clone())
    }

    fn line(&self, number: usize) -> LineKey {
        LineKey::new(self.sku(number)).unwrap()
    }

    fn hold_lines(&self, lines: &Units) -> Vec<HoldLine> {
        let line = |(number, count): (&usize, &i64)| HoldLine {
            sku: sku(&self.sku(*number)),
            location: berlin(),
            quantity: units(*count),
        };
        lines.iter().map(line).collect()
    }
}
