//! A hold may be answered before it lasts, an order never.

use std::time::Duration;

use stockroom::Durability;
use stockroom::ErrorKind;
use stockroom::HoldLine;
use stockroom::Place;
use stockroom::spi::store::Put;

use crate::support::Ground;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::key;
use crate::support::on;
use crate::support::sku;
use crate::support::units;

on!([file postgres]
    only_a_relaxed_hold_does_not_wait_for_the_disk
    what_is_no_hold_is_not_relaxed
);

const HOUR: Duration = Duration::from_secs(3_600);

/// From now on every movement is noted down with what its transaction waits for.
async fn watch(ground: &Ground) {
    ground.texts("CREATE TABLE it_witness (note text)").await;
    if ground.schema().is_none() {
        let trigger = "CREATE TRIGGER it_witness AFTER INSERT ON stockroom_movements BEGIN INSERT INTO it_witness \
             SELECT NEW.kind || ' ' || CASE synchronous WHEN 2 THEN 'on' ELSE 'off' END FROM pragma_synchronous; END";
        ground.texts(trigger).await;
        return;
    }
    let function = "CREATE FUNCTION it_witness() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO it_witness VALUES (NEW.kind || ' ' || current_setting('synchronous_commit')); RETURN NULL; END $$";
    ground.texts(function).await;
    let trigger = "CREATE TRIGGER it_witness AFTER INSERT ON stockroom_movements FOR EACH ROW \
         EXECUTE FUNCTION it_witness()";
    ground.texts(trigger).await;
}

async fn hold(shop: &Shop, durability: Durability) -> stockroom::Hold {
    let line = HoldLine {
        sku: sku("MUG"),
        location: berlin(),
        quantity: units(1),
    };
    let held = shop.inventory().hold_with(&[line], HOUR, durability).await;
    held.unwrap()
}

async fn only_a_relaxed_hold_does_not_wait_for_the_disk(ground: Ground) {
    let shop = ground.open().await;
    shop.stock("MUG", 10).await;
    let cart = shop.cart(&[("MUG", 1)]).await;
    watch(&ground).await;
    let relaxed = hold(&shop, Durability::Relaxed).await;
    assert!(
        shop.inventory()
            .hold_status(relaxed.id)
            .await
            .unwrap()
            .unwrap()
            .alive
    );
    hold(&shop, Durability::Durable).await;
    let place = Place::cart(cart).key(key("order")).hold(relaxed);
    shop.checkout().place(place).await.unwrap();
    let notes = ground.texts("SELECT note FROM it_witness").await;
    assert_eq!(notes[..2], ["hold off", "hold on"]);
    // What the order writes: the end of its hold, and its units.
    assert!(
        notes.len() > 2 && notes[2..].iter().all(|note| note.ends_with(" on")),
        "{notes:?}"
    );
    let level = shop.level("MUG").await;
    assert_eq!((level.allocated, level.held), (1, 1));
    shop.assert_sound().await;
}

async fn what_is_no_hold_is_not_relaxed(ground: Ground) {
    let shop = ground.open().await;
    let product = shop.stock("MUG", 10).await;
    let before = ground.dump().await;
    let mut set = stockroom::spi::store::WriteSet::new(stockroom::Actor::system());
    set.put(Put::update(&*product, (*product).clone()));
    set.durability = Durability::Relaxed;
    let refused = shop
        .store()
        .commit(set, stockroom::resilience::Deadline::within(HOUR))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    assert!(refused.to_string().contains("durability"), "{refused}");
    assert_eq!(ground.dump().await, before);
}
