//! The checker refuses histories that are known to be wrong.

use super::history::Noted;
use super::history::is_linearizable;
use super::shelf::Shelf;
use super::shelf::Told;

const FIVE: Shelf = Shelf {
    on_hand: 5,
    allocated: 0,
    held: 0,
};

fn shelf(allocated: i64, held: i64) -> Shelf {
    Shelf {
        on_hand: 5,
        allocated,
        held,
    }
}

/// Calls of a caller each: when it began, when it ended, what was told.
fn has_an_order(calls: &[(u64, u64, Told)]) -> bool {
    let noted: Vec<_> = calls
        .iter()
        .enumerate()
        .map(|(caller, (began, ended, told))| Noted {
            caller,
            sku: "MUG",
            began: *began,
            ended: *ended,
            told: *told,
        })
        .collect();
    is_linearizable(FIVE, &noted)
}

#[test]
fn what_one_caller_after_the_other_is_told_has_an_order() {
    let short = Told::Short {
        wanted: 3,
        available: 2,
    };
    assert!(has_an_order(&[
        (0, 1, Told::Held(3)),
        (2, 3, short),
        (4, 5, Told::Ordered(2)),
        (6, 7, Told::Read(shelf(2, 3))),
        (8, 9, Told::Unheld(3)),
        (10, 11, Told::Cancelled(2)),
        (12, 13, Told::Read(FIVE)),
    ]));
}

#[test]
fn calls_at_once_may_be_in_any_order() {
    for seen in [FIVE, shelf(0, 3), shelf(2, 0), shelf(2, 3)] {
        assert!(has_an_order(&[
            (0, 9, Told::Held(3)),
            (1, 8, Told::Ordered(2)),
            (2, 7, Told::Read(seen)),
            (10, 11, Told::Read(shelf(2, 3))),
        ]));
    }
}

#[test]
fn units_that_are_sold_twice_have_no_order() {
    assert!(!has_an_order(&[(0, 9, Told::Held(3)), (1, 8, Told::Ordered(3))]));
    // Not even where one of the calls makes room only after the other has ended.
    let late = (7, 9, Told::Unheld(3));
    assert!(!has_an_order(&[
        (0, 1, Told::Held(3)),
        (2, 6, Told::Ordered(3)),
        late
    ]));
    let early = (5, 9, Told::Unheld(3));
    assert!(has_an_order(&[
        (0, 1, Told::Held(3)),
        (2, 6, Told::Ordered(3)),
        early
    ]));
}

#[test]
fn a_read_of_what_was_has_no_order() {
    assert!(!has_an_order(&[(0, 1, Told::Held(3)), (2, 3, Told::Read(FIVE))]));
    assert!(has_an_order(&[(0, 2, Told::Held(3)), (1, 3, Told::Read(FIVE))]));
}

#[test]
fn two_reads_that_see_two_writes_in_opposite_order_have_no_order() {
    assert!(!has_an_order(&[
        (0, 9, Told::Held(3)),
        (0, 9, Told::Ordered(2)),
        (1, 2, Told::Read(shelf(0, 3))),
        (3, 4, Told::Read(shelf(2, 0))),
    ]));
}

#[test]
fn a_refusal_with_a_figure_that_never_was_has_no_order() {
    for available in [1, 3] {
        let short = Told::Short { wanted: 4, available };
        assert!(!has_an_order(&[(0, 1, Told::Held(3)), (2, 3, short)]));
    }
    let idle = Told::Short {
        wanted: 4,
        available: 4,
    };
    assert!(!has_an_order(&[(0, 1, idle)]));
}

#[test]
fn what_was_lost_or_counted_twice_has_no_order() {
    for held in [0, 6] {
        assert!(!has_an_order(&[
            (0, 1, Told::Held(3)),
            (2, 3, Told::Read(shelf(0, held)))
        ]));
    }
}

/// The verdict comes also where every caller could have been any other.
#[test]
fn sixteen_calls_at_once_are_decided() {
    let mut calls: Vec<_> = (0..16).map(|_| (0, 100, Told::Held(1))).collect();
    assert!(!has_an_order(&calls));
    calls.truncate(5);
    calls.extend((0..11).map(|_| {
        let short = Told::Short {
            wanted: 1,
            available: 0,
        };
        (0, 100, short)
    }));
    assert!(has_an_order(&calls));
}
