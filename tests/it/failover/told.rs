//! What callers do while the writer is lost, what they are told, and that the shop is what they were told.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use stockroom::CartId;
use stockroom::ErrorKind;
use stockroom::OrderId;
use stockroom::PageRequest;
use stockroom::Place;

use crate::support::Shop;
use crate::support::berlin;
use crate::support::key;

/// What the callers were told: whether a write was acknowledged, or may have been applied.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) receipts: BTreeMap<String, bool>,
    pub(super) orders: BTreeMap<String, Option<OrderId>>,
    pub(super) lines: i64,
    pub(super) doubtful_lines: i64,
    pub(super) refused: u64,
}

impl Told {
    pub(super) fn add(&mut self, other: Self) {
        self.receipts.extend(other.receipts);
        self.orders.extend(other.orders);
        self.lines += other.lines;
        self.doubtful_lines += other.doubtful_lines;
        self.refused += other.refused;
    }
}

/// One keyed order, one receipt and one cart line without a key, each noted with what its caller was told.
pub(super) async fn trade(shop: &Shop, cart: CartId, name: &str, told: &mut Told) {
    let note = format!("receipt {name}");
    match shop.inventory().adjust("INBOX", &berlin(), 1, &note).await {
        Ok(_) => drop(told.receipts.insert(note, true)),
        Err(error) if error.is(ErrorKind::OutcomeUnknown) => drop(told.receipts.insert(note, false)),
        Err(_) => told.refused += 1,
    }
    match shop.carts().add(cart, "CART", 1).await {
        Ok(_) => told.lines += 1,
        Err(error) if error.is(ErrorKind::OutcomeUnknown) => told.doubtful_lines += 1,
        Err(_) => told.refused += 1,
    }
    let Ok(mugs) = shop.try_cart(&[("MUG", 1)]).await else {
        told.refused += 1;
        return;
    };
    let Ok(quote) = shop.checkout().quote(mugs).await else {
        told.refused += 1;
        return;
    };
    match shop.checkout().place(Place::quote(quote).key(key(name))).await {
        Ok(placed) => drop(told.orders.insert(name.to_owned(), Some(placed.order.id))),
        Err(error) if error.is(ErrorKind::OutcomeUnknown) => drop(told.orders.insert(name.to_owned(), None)),
        Err(_) => told.refused += 1,
    }
}

/// The notes of every receipt that is stored; each is there once, or this fails.
async fn stored_receipts(shop: &Shop) -> BTreeSet<String> {
    let mut notes = BTreeSet::new();
    let mut page = PageRequest::new(200).unwrap();
    loop {
        let found = shop
            .inventory()
            .movements("INBOX", &berlin(), page)
            .await
            .unwrap();
        for movement in found.items {
            if let Some(note) = movement.note.filter(|note| note.starts_with("receipt ")) {
                assert!(notes.insert(note.clone()), "twice: {note}");
            }
        }
        match found.next {
            Some(next) => page = PageRequest::new(200).unwrap().after(next),
            None => return notes,
        }
    }
}

/// The shop is what the callers were told, and nothing else.
pub(super) async fn assert_true(shop: &Shop, carts: &[CartId], told: &Told) {
    let stored = stored_receipts(shop).await;
    for (note, acknowledged) in &told.receipts {
        assert!(!acknowledged || stored.contains(note), "lost: {note}");
    }
    for note in &stored {
        assert!(told.receipts.contains_key(note), "refused and stored: {note}");
    }
    let units = i64::try_from(stored.len()).unwrap();
    assert_eq!(shop.level("INBOX").await.on_hand, 1 + units);

    let mut lines = 0;
    for cart in carts {
        let cart = shop.carts().require(*cart).await.unwrap();
        lines += cart.lines.iter().map(|line| line.quantity.get()).sum::<i64>();
    }
    assert!(
        (told.lines..=told.lines + told.doubtful_lines).contains(&lines),
        "{lines} in the carts, {} acknowledged, {} in doubt",
        told.lines,
        told.doubtful_lines
    );

    let orders: BTreeSet<_> = shop.every_order().await.iter().map(|order| order.id).collect();
    let known: BTreeSet<_> = told.orders.values().flatten().copied().collect();
    assert_eq!(
        known.len(),
        told.orders.values().flatten().count(),
        "one order was given twice"
    );
    let doubtful = told.orders.values().filter(|order| order.is_none()).count();
    assert!(known.is_subset(&orders), "an acknowledged order is lost");
    assert!(
        orders.len() <= known.len() + doubtful,
        "an order that nobody was told of"
    );
    shop.assert_sound().await;
}
