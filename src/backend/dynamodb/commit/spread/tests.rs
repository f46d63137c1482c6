//! Random steps on spread levels, against the same steps on one pair of counters.

use proptest::prelude::*;

use super::*;
use crate::backend::dynamodb::tables::Table;
use crate::model::LocationId;
use crate::model::OrderId;
use crate::model::Quantity;
use crate::model::Sku;

const LIMIT: i64 = 4;

fn spread(shares: usize, pick: usize) -> Spread {
    let share = |index: usize| Share {
        key: Key::new(Table::Inventory, format!("{index}"), "R"),
        item: Map::new(),
        counters: Counters {
            backorder_limit: if index == 0 { LIMIT } else { 0 },
            ..Counters::default()
        },
        left: 0,
        touched: false,
    };
    Spread {
        shares: (0..shares).map(share).collect(),
        pick: pick % shares,
        evenly: true,
    }
}

fn sums(spread: &Spread) -> (i64, i64, i64) {
    spread.shares.iter().fold((0, 0, 0), |sums, share| {
        (
            sums.0 + share.counters.on_hand,
            sums.1 + share.counters.allocated,
            sums.2 + share.counters.held,
        )
    })
}

fn step(kind: u8, units: i64) -> StockStep {
    let (sku, berlin) = (Sku::new("MUG").unwrap(), LocationId::new("berlin").unwrap());
    let (quantity, order) = (Quantity::new(units).unwrap(), OrderId::new());
    match kind {
        0 | 1 => StockStep::receive(&sku, &berlin, quantity),
        2..=4 => StockStep::allocate(&sku, &berlin, quantity, order),
        5 => StockStep::release(&sku, &berlin, quantity, order),
        6 => StockStep::ship(&sku, &berlin, quantity, order),
        7 => StockStep::restock(&sku, &berlin, quantity, order),
        8 => StockStep::adjust(&sku, &berlin, -units, None),
        _ => {
            let hold = crate::model::HoldId::new();
            StockStep::hold(&sku, &berlin, quantity, hold, std::time::Duration::from_secs(60))
        }
    }
}

/// One pair of counters, which is right by looking at it.
fn expected(sums: (i64, i64, i64), step: &StockStep) -> Option<(i64, i64, i64)> {
    let available = sums.0 - sums.1 - sums.2 + LIMIT;
    let next = (sums.0 + step.on_hand, sums.1 + step.allocated, sums.2 + step.held);
    let enough = step.takes == 0 || step.takes <= available;
    (enough && next.0 >= 0 && next.1 >= 0 && next.2 >= 0).then_some(next)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn a_spread_level_answers_as_one_counter_would(
        shares in 1_usize..9,
        steps in prop::collection::vec((0_u8..11, 1_i64..12, 0_usize..8), 1..60),
    ) {
        let mut level = spread(shares, 0);
        for (kind, units, pick) in steps {
            level.pick = pick % shares;
            level.shares.iter_mut().for_each(|share| share.touched = false);
            let (step, before) = (step(kind, units), sums(&level));
            let short = |level: &Spread| level.shares.iter().any(|share| share.available() < 0);
            let was_short = short(&level);
            let (copy, wanted) = (level.clone(), expected(before, &step));
            let enough = step.takes == 0 || step.takes <= level.available();
            let applied = enough.then(|| level.apply(&step).ok()).flatten();
            prop_assert_eq!(applied.is_some(), wanted.is_some());
            let Some(holds) = applied else {
                level = copy;
                continue;
            };
            prop_assert_eq!(sums(&level), wanted.unwrap());
            // What is held is where the line of the hold will say.
            if step.held > 0 {
                prop_assert_eq!(holds.iter().map(|(_, units)| units).sum::<i64>(), step.held);
            }
            for (index, share) in level.shares.iter().enumerate() {
                let (counters, old) = (share.counters, copy.shares[index].counters);
                prop_assert!(counters.on_hand >= 0 && counters.allocated >= 0 && counters.held >= 0);
                prop_assert!(share.touched || counters == old);
                if step.held > 0 {
                    let own: i64 = holds.iter().filter(|(at, _)| *at == index).map(|(_, units)| units).sum();
                    prop_assert_eq!(counters.held - old.held, own);
                }
            }
            // Whoever makes a share short, or finds one so, has written them all: others at the same time are noticed.
            if was_short || short(&level) {
                prop_assert!(level.shares.iter().all(|share| share.touched));
            }
        }
    }
}

#[test]
fn one_share_serves_who_it_can_and_several_the_last() {
    let mut level = spread(4, 1);
    level.shares[0].counters.backorder_limit = 0;
    level.apply(&step(0, 8)).unwrap();
    assert!(level.shares.iter().all(|share| share.counters.on_hand == 2));
    level.shares.iter_mut().for_each(|share| share.touched = false);
    level.apply(&step(2, 2)).unwrap();
    let touched = |level: &Spread| level.shares.iter().filter(|share| share.touched).count();
    assert_eq!(touched(&level), 1);
    level.shares.iter_mut().for_each(|share| share.touched = false);
    level.apply(&step(2, 5)).unwrap();
    assert_eq!(touched(&level), 3);
    assert_eq!((level.available(), sums(&level)), (1, (8, 7, 0)));
}
