//! Plays a case in a shop and in the model, and compares.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::test_runner::TestCaseError;
use stockroom::CartStatus;
use stockroom::Currency;
use stockroom::FulfilmentStatus;
use stockroom::Money;
use stockroom::NewProduct;
use stockroom::OrderStatus;
use tokio::task::JoinSet;

use super::CUSTOMERS;
use super::act::Act;
use super::act::SKUS;
use super::act::Step;
use super::act::Units;
use super::customer::Customer;
use super::world::STOCK;
use super::world::Stand;
use super::world::Status;
use super::world::Told;
use super::world::World;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::sku;
use crate::support::units;

/// A shop in which one case after the other is played, each with goods of its own.
pub(super) struct Stage {
    shop: Shop,
    cases: AtomicUsize,
    acts: AtomicUsize,
    refused: AtomicUsize,
}

type Outcome = Result<(), TestCaseError>;

impl Stage {
    pub(super) async fn open(ground: &Ground) -> Self {
        Self {
            shop: ground.open().await,
            cases: AtomicUsize::new(0),
            acts: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        }
    }

    /// How many answers were compared.
    pub(super) fn acts(&self) -> usize {
        self.acts.load(Ordering::Relaxed)
    }

    /// How many of them were refusals.
    pub(super) fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) async fn assert_sound(&self) {
        self.shop.assert_sound().await;
    }

    pub(super) async fn play(&self, steps: Vec<Step>) -> Outcome {
        let mut pairs = self.assembled().await;
        for step in steps {
            match step {
                Step::Pass(hours) => {
                    self.shop.shift_clock(Duration::from_secs(hours * 60 * 60));
                    pairs.iter_mut().for_each(|(world, _)| world.pass(hours));
                }
                Step::Act(acts) => pairs = self.together(pairs, acts).await?,
            }
            self.compare_levels(&pairs).await?;
        }
        for (world, customer) in &pairs {
            self.compare_carts(world, customer).await?;
            self.compare_holds(world, customer).await?;
            self.compare_orders(world, customer).await?;
        }
        let report = self.shop.inventory().verify_ledger().await.unwrap();
        prop_assert!(report.is_consistent(), "{report:?}");
        Ok(())
    }

    /// Customers with goods that nobody had before.
    async fn assembled(&self) -> Vec<(World, Customer)> {
        let case = self.cases.fetch_add(1, Ordering::Relaxed);
        let customers: Vec<_> = (0..CUSTOMERS)
            .map(|number| Customer::new(self.shop.clone(), format!("CASE{case}-{number}")))
            .collect();
        let skus: Vec<_> = customers
            .iter()
            .flat_map(|customer| (0..SKUS).map(|number| sku(&customer.sku(number))))
            .collect();
        let price = Money::new(9_00, Currency::USD);
        let goods = skus
            .iter()
            .map(|sku| NewProduct::new("Mug").variant(sku.clone(), price));
        for outcome in self.shop.products().import(goods.collect()).await {
            outcome.unwrap();
        }
        let delivery: Vec<_> = skus.into_iter().map(|sku| (sku, units(STOCK))).collect();
        self.shop
            .inventory()
            .receive_many(&berlin(), &delivery)
            .await
            .unwrap();
        customers
            .into_iter()
            .map(|customer| (World::new(), customer))
            .collect()
    }

    /// Each customer does its act, all at once.
    async fn together(
        &self,
        pairs: Vec<(World, Customer)>,
        acts: Vec<Act>,
    ) -> Result<Vec<(World, Customer)>, TestCaseError> {
        self.acts.fetch_add(acts.len(), Ordering::Relaxed);
        let mut acts = acts.into_iter();
        let mut busy = JoinSet::new();
        for (number, (mut world, mut customer)) in pairs.into_iter().enumerate() {
            let act = acts.next();
            busy.spawn(async move {
                let told = match &act {
                    Some(act) => Some((world.act(act), customer.act(act).await)),
                    None => None,
                };
                (number, act, told, world, customer)
            });
        }
        let mut done = busy.join_all().await;
        done.sort_by_key(|(number, ..)| *number);
        let mut pairs = Vec::new();
        for (number, act, told, world, customer) in done {
            if let Some((expected, told)) = told {
                let refused = matches!(told, Told::Refused(_) | Told::Short(_));
                self.refused.fetch_add(usize::from(refused), Ordering::Relaxed);
                prop_assert_eq!(
                    told,
                    expected,
                    "the shop was not as the model: customer {} did {:?}",
                    number,
                    act
                );
            }
            pairs.push((world, customer));
        }
        Ok(pairs)
    }

    async fn compare_levels(&self, pairs: &[(World, Customer)]) -> Outcome {
        let shelves = pairs.iter().flat_map(|(world, customer)| {
            (0..SKUS).map(move |number| (sku(&customer.sku(number)), world.counters(number)))
        });
        let (skus, expected): (Vec<_>, Vec<_>) = shelves.unzip();
        let levels = self.shop.inventory().levels_many(&skus).await.unwrap();
        prop_assert_eq!(levels.len(), skus.len());
        for (sku, expected) in skus.into_iter().zip(expected) {
            let level = levels.iter().find(|level| level.sku == sku).unwrap();
            let counters = (level.on_hand, level.allocated, level.held, level.backorder_limit);
            prop_assert_eq!(counters, expected, "{}", level.sku);
        }
        Ok(())
    }

    async fn compare_carts(&self, world: &World, customer: &Customer) -> Outcome {
        let found = self.shop.carts().get_many(&customer.carts).await.unwrap();
        for (number, found) in found.into_iter().enumerate() {
            let found = found.map(|cart| {
                let status = match cart.status {
                    CartStatus::Open => Status::Open,
                    CartStatus::Ordered => Status::Ordered,
                    _ => Status::Abandoned,
                };
                let lines = cart
                    .lines
                    .iter()
                    .map(|line| (line.sku.to_string(), line.quantity.get()));
                let mut lines: Vec<_> = lines.collect();
                lines.sort();
                (status, cart.version.get(), lines)
            });
            let expected = world
                .cart(number)
                .map(|cart| (cart.status, cart.version, named(customer, &cart.lines)));
            prop_assert_eq!(found, expected);
        }
        Ok(())
    }

    async fn compare_holds(&self, world: &World, customer: &Customer) -> Outcome {
        for (number, id) in customer.holds.iter().enumerate() {
            let found = self.shop.inventory().hold_status(*id).await.unwrap();
            if let Some(expected) = world.hold(number) {
                prop_assert_eq!(found.map(|hold| hold.alive), expected);
            } else {
                prop_assert!(found.is_none_or(|hold| !hold.alive));
            }
        }
        Ok(())
    }

    async fn compare_orders(&self, world: &World, customer: &Customer) -> Outcome {
        prop_assert_eq!(world.orders.len(), customer.orders.len());
        for (expected, (id, _)) in world.orders.iter().zip(&customer.orders) {
            let found = self.shop.orders().require(*id).await.unwrap();
            let stand = match (found.status, found.fulfilment) {
                (OrderStatus::Placed, FulfilmentStatus::Unfulfilled) => Stand::Placed,
                (OrderStatus::Placed, FulfilmentStatus::Fulfilled) => Stand::Shipped,
                (OrderStatus::Cancelled, _) => Stand::Cancelled,
                other => panic!("{other:?}"),
            };
            let mut lines: Vec<_> = found
                .lines
                .iter()
                .map(|line| (line.sku.to_string(), line.quantity.get()))
                .collect();
            lines.sort();
            prop_assert_eq!((stand, lines), (expected.stand, named(customer, &expected.lines)));
        }
        Ok(())
    }
}

fn named(customer: &Customer, lines: &Units) -> Vec<(String, i64)> {
    lines
        .iter()
        .map(|(sku, units)| (customer.sku(*sku), *units))
        .collect()
}
