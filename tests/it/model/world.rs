//! The model: what one customer's calls do to that customer's SKUs, carts, holds and orders.

use std::collections::BTreeMap;

use stockroom::ErrorKind;

use super::act::Act;
use super::act::Answer;
use super::act::Latest;
use super::act::SKUS;
use super::act::Units;

/// A cart lives so long after its last change.
const CART_HOURS: u64 = 30 * 24;
/// What lies on each shelf at first.
pub(super) const STOCK: i64 = 6;

/// What a call answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It was done.
    Done,
    /// The provider refused.
    Declined,
    /// There was nothing to do it to.
    Nothing,
    Refused(ErrorKind),
    /// Each SKU that is short, with what was wanted and what was there.
    Short(BTreeMap<usize, (i64, i64)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Open,
    Ordered,
    Abandoned,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cart {
    pub(super) status: Status,
    pub(super) lines: Units,
    pub(super) version: u64,
    ends: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Hold {
    pub(super) lines: Units,
    ends: u64,
    gone: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    Placed,
    Shipped,
    Cancelled,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) stand: Stand,
    pub(super) lines: Units,
    /// What a repeated request is told.
    told: Told,
}

#[derive(Clone, Copy, Debug, Default)]
struct Shelf {
    on_hand: i64,
    allocated: i64,
    backorder: i64,
}

/// Counters of a level: on hand, allocated, held, backorder limit.
pub(super) type Counters = (i64, i64, i64, i64);

/// Everything that one customer can touch.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    now: u64,
    shelves: [Shelf; SKUS],
    pub(super) carts: Vec<Cart>,
    pub(super) holds: Vec<Hold>,
    pub(super) orders: Vec<Order>,
}

impl World {
    pub(super) fn new() -> Self {
        let mut world = Self::default();
        world.shelves.iter_mut().for_each(|shelf| shelf.on_hand = STOCK);
        world
    }

    pub(super) fn pass(&mut self, hours: u64) {
        self.now += hours;
    }

    pub(super) fn counters(&self, sku: usize) -> Counters {
        let Shelf {
            on_hand,
            allocated,
            backorder,
        } = self.shelves[sku];
        (on_hand, allocated, self.held(sku), backorder)
    }

    fn held(&self, sku: usize) -> i64 {
        let alive = self.holds.iter().filter(|hold| self.lives(hold));
        alive.filter_map(|hold| hold.lines.get(&sku)).sum()
    }

    fn lives(&self, hold: &Hold) -> bool {
        !hold.gone && self.now < hold.ends
    }

    /// The hold as it reads: absent once it was given up, and whether it is alive.
    pub(super) fn hold(&self, number: usize) -> Option<Option<bool>> {
        let hold = &self.holds[number];
        // One that is over reads as dead until it is swept: both are right.
        (hold.gone || self.lives(hold)).then(|| (!hold.gone).then_some(true))
    }

    /// The cart as it reads: an expired one is absent.
    pub(super) fn cart(&self, number: usize) -> Option<&Cart> {
        Some(&self.carts[number]).filter(|cart| self.now < cart.ends)
    }

    /// Does it, and tells what comes of it.
    pub(super) fn act(&mut self, act: &Act) -> Told {
        self.try_act(act).unwrap_or_else(|refused| refused)
    }

    fn try_act(&mut self, act: &Act) -> Result<Told, Told> {
        match act {
            Act::Receive(sku, units) => self.shelves[*sku].on_hand += units,
            Act::Adjust(sku, by) => {
                let left = self.shelves[*sku].on_hand + by;
                if left < 0 {
                    return Err(Told::Refused(ErrorKind::InvalidInput));
                }
                self.shelves[*sku].on_hand = left;
            }
            Act::Backorder(sku, limit) => self.shelves[*sku].backorder = *limit,
            Act::OpenCart => self.carts.push(Cart {
                status: Status::Open,
                lines: Units::new(),
                version: 1,
                ends: self.now + CART_HOURS,
            }),
            Act::Add(cart, sku, units) => {
                let now = self.now;
                let cart = latest(&mut self.carts, *cart)?;
                if cart.status != Status::Open || now >= cart.ends {
                    return Err(Told::Refused(ErrorKind::Conflict));
                }
                *cart.lines.entry(*sku).or_default() += units;
                cart.changed(now);
            }
            Act::SetQuantity(cart, sku, units) => self.change_line(*cart, *sku, Some(*units))?,
            Act::Remove(cart, sku) => self.change_line(*cart, *sku, None)?,
            Act::Abandon(cart) => {
                let now = self.now;
                let cart = self.open_cart(*cart)?;
                cart.status = Status::Abandoned;
                cart.changed(now);
            }
            Act::Hold(lines, hours) => {
                self.demand(lines)?;
                self.holds.push(Hold {
                    lines: lines.clone(),
                    ends: self.now + hours,
                    gone: false,
                });
            }
            Act::Release(hold) => latest(&mut self.holds, *hold)?.gone = true,
            Act::Place(cart) | Act::PlaceHeld(cart) | Act::Pay(cart, Answer::Captured) => {
                let lines = self.quote(*cart)?;
                let cart = latest(&mut self.carts, *cart)?;
                cart.status = Status::Ordered;
                cart.version += 1;
                for (sku, units) in &lines {
                    self.shelves[*sku].allocated += units;
                }
                self.order(lines, Stand::Placed, Told::Done);
            }
            Act::Pay(cart, Answer::Declined) => {
                let lines = self.quote(*cart)?;
                self.order(lines, Stand::Cancelled, Told::Declined);
                return Ok(Told::Declined);
            }
            Act::Again(order) => return Ok(latest(&mut self.orders, *order)?.told.clone()),
            Act::Cancel(order) => {
                let lines = self.end(*order, Stand::Cancelled)?;
                for (sku, units) in lines {
                    self.shelves[sku].allocated -= units;
                }
            }
            Act::Ship(order) => self.ship(*order)?,
        }
        Ok(Told::Done)
    }

    fn open_cart(&mut self, cart: Latest) -> Result<&mut Cart, Told> {
        let now = self.now;
        let cart = latest(&mut self.carts, cart)?;
        match cart.status {
            _ if now >= cart.ends => Err(Told::Refused(ErrorKind::NotFound)),
            Status::Open => Ok(cart),
            Status::Ordered | Status::Abandoned => Err(Told::Refused(ErrorKind::Conflict)),
        }
    }

    fn change_line(&mut self, cart: Latest, sku: usize, units: Option<i64>) -> Result<(), Told> {
        let now = self.now;
        let cart = self.open_cart(cart)?;
        if cart.lines.remove(&sku).is_none() {
            return Err(Told::Refused(ErrorKind::NotFound));
        }
        cart.lines.extend(units.map(|units| (sku, units)));
        cart.changed(now);
        Ok(())
    }

    /// What is in the cart, if there is enough of it.
    fn quote(&mut self, cart: Latest) -> Result<Units, Told> {
        let lines = self.open_cart(cart)?.lines.clone();
        if lines.is_empty() {
            return Err(Told::Refused(ErrorKind::InvalidInput));
        }
        self.demand(&lines)?;
        Ok(lines)
    }

    fn demand(&self, lines: &Units) -> Result<(), Told> {
        let there = |sku: usize| {
            let (on_hand, allocated, held, backorder) = self.counters(sku);
            (on_hand - allocated - held + backorder).max(0)
        };
        let short: BTreeMap<_, _> = lines
            .iter()
            .filter(|(sku, wanted)| **wanted > there(**sku))
            .map(|(sku, wanted)| (*sku, (*wanted, there(*sku))))
            .collect();
        if short.is_empty() {
            Ok(())
        } else {
            Err(Told::Short(short))
        }
    }

    fn order(&mut self, lines: Units, stand: Stand, told: Told) {
        self.orders.push(Order { stand, lines, told });
    }

    fn end(&mut self, order: Latest, stand: Stand) -> Result<Units, Told> {
        let order = latest(&mut self.orders, order)?;
        if order.stand != Stand::Placed {
            return Err(Told::Refused(ErrorKind::Conflict));
        }
        order.stand = stand;
        Ok(order.lines.clone())
    }

    fn ship(&mut self, order: Latest) -> Result<(), Told> {
        let lines = latest(&mut self.orders, order)?.lines.clone();
        let lacks = lines
            .iter()
            .any(|(sku, units)| self.shelves[*sku].on_hand < *units);
        let placed = latest(&mut self.orders, order)?.stand == Stand::Placed;
        if placed && lacks {
            return Err(Told::Refused(ErrorKind::InvalidInput));
        }
        for (sku, units) in self.end(order, Stand::Shipped)? {
            self.shelves[sku].allocated -= units;
            self.shelves[sku].on_hand -= units;
        }
        Ok(())
    }
}

impl Cart {
    fn changed(&mut self, now: u64) {
        self.version += 1;
        self.ends = now + CART_HOURS;
    }
}

/// The place of one of the latest.
pub(super) fn place(len: usize, latest: Latest) -> Option<usize> {
    len.checked_sub(latest + 1)
}

fn latest<T>(all: &mut [T], latest: Latest) -> Result<&mut T, Told> {
    let place = place(all.len(), latest).ok_or(Told::Nothing)?;
    Ok(&mut all[place])
}
