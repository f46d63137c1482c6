//! A caller that reserves, releases and reads, and notes what it is told.

use std::sync::Arc;
use std::time::Duration;

use stockroom::CancelReason;
use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::HoldId;
use stockroom::HoldLine;
use stockroom::OrderId;
use stockroom::Place;
use uuid::Uuid;

use super::SKUS;
use super::history::Clock;
use super::history::Noted;
use super::shelf::Shelf;
use super::shelf::Told;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::key;
use crate::support::sku;
use crate::support::units;

/// Longer than any run.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);
/// What a caller keeps at most; then it gives something up.
const MOST: usize = 3;

/// What a caller wants of one SKU.
type Want = (&'static str, i64);

pub(super) struct Caller {
    number: usize,
    shop: Shop,
    clock: Arc<Clock>,
    kept: Vec<Kept>,
}

/// What a caller has reserved.
enum Kept {
    Hold(HoldId, Vec<Want>),
    Order(OrderId, Want),
}

impl Caller {
    pub(super) fn new(number: usize, shop: Shop, clock: Arc<Clock>) -> Self {
        Self {
            number,
            shop,
            clock,
            kept: Vec::new(),
        }
    }

    /// Does one thing that the draw decides.
    pub(super) async fn step(&mut self, draw: u64, noted: &mut Vec<Noted>) {
        let (first, count) = (index(draw >> 8), 1 + i64::try_from((draw >> 16) % 4).unwrap());
        let other = (first + 1 + index(draw >> 24) % (SKUS.len() - 1)) % SKUS.len();
        let want = (SKUS[first], count);
        match draw % 10 {
            _ if self.kept.len() >= MOST => self.give_up(index(draw >> 32), noted).await,
            0 | 1 => self.read(SKUS[first], noted).await,
            2..4 => self.hold(vec![want], noted).await,
            4 | 5 => self.hold(vec![want, (SKUS[other], 1)], noted).await,
            6 | 7 => self.order(want, noted).await,
            _ => self.give_up(index(draw >> 32), noted).await,
        }
    }

    fn note(&self, sku: &'static str, began: u64, told: Told, noted: &mut Vec<Noted>) {
        noted.push(Noted {
            caller: self.number,
            sku,
            began,
            ended: self.clock.now(),
            told,
        });
    }

    async fn read(&self, sku: &'static str, noted: &mut Vec<Noted>) {
        let began = self.clock.now();
        let level = self.shop.level(sku).await;
        self.note(sku, began, Told::Read(Shelf::of(&level)), noted);
    }

    async fn hold(&mut self, wanted: Vec<Want>, noted: &mut Vec<Noted>) {
        let lines: Vec<_> = wanted
            .iter()
            .map(|(name, count)| HoldLine {
                sku: sku(name),
                location: berlin(),
                quantity: units(*count),
            })
            .collect();
        let began = self.clock.now();
        match self.shop.inventory().hold(&lines, LONG).await {
            Ok(hold) => {
                for (sku, count) in &wanted {
                    self.note(sku, began, Told::Held(*count), noted);
                }
                self.kept.push(Kept::Hold(hold.id, wanted));
            }
            Err(error) => {
                for want in wanted {
                    self.note(want.0, began, refused(&error, want), noted);
                }
            }
        }
    }

    /// Quotes and places; the quote is a question of its own.
    async fn order(&mut self, want: Want, noted: &mut Vec<Noted>) {
        let cart = self.shop.cart(&[want]).await;
        let began = self.clock.now();
        let quote = match self.shop.checkout().quote(cart).await {
            Ok(quote) => quote,
            Err(error) => return self.note(want.0, began, refused(&error, want), noted),
        };
        self.note(want.0, began, Told::Enough(want.1), noted);
        let place = Place::quote(quote).key(key(Uuid::now_v7()));
        let began = self.clock.now();
        match self.shop.checkout().place(place).await {
            Ok(placed) => {
                self.note(want.0, began, Told::Ordered(want.1), noted);
                self.kept.push(Kept::Order(placed.order.id, want));
            }
            Err(error) => self.note(want.0, began, refused(&error, want), noted),
        }
    }

    async fn give_up(&mut self, which: usize, noted: &mut Vec<Noted>) {
        if self.kept.is_empty() {
            return self.read(SKUS[which % SKUS.len()], noted).await;
        }
        let kept = self.kept.swap_remove(which % self.kept.len());
        let began = self.clock.now();
        match kept {
            Kept::Hold(id, wanted) => {
                self.shop.inventory().release_hold(id).await.unwrap();
                for (sku, count) in wanted {
                    self.note(sku, began, Told::Unheld(count), noted);
                }
            }
            Kept::Order(id, (sku, count)) => {
                self.shop
                    .checkout()
                    .cancel(id, CancelReason::Customer)
                    .await
                    .unwrap();
                self.note(sku, began, Told::Cancelled(count), noted);
            }
        }
    }
}

fn index(draw: u64) -> usize {
    usize::try_from(draw % 4).unwrap()
}

/// What a refusal tells about one of the SKUs that were wanted. Nothing else may happen: every outcome is known.
fn refused(error: &Error, (sku, wanted): Want) -> Told {
    assert_eq!(error.kind(), ErrorKind::InsufficientStock, "{error:?}");
    match error.shortages().iter().find(|short| short.sku == sku) {
        Some(short) => {
            assert_eq!(short.requested, wanted);
            Told::Short {
                wanted,
                available: short.available,
            }
        }
        None => Told::Enough(wanted),
    }
}
