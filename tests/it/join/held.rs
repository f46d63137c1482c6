//! A caller keeps its locks: writes to other rows go on, writes to the locked rows wait until they are free or their time
//! is over.

use std::sync::Arc;
use std::time::Duration;

use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::NewProduct;
use stockroom::ProductPatch;
use stockroom::testkit::proxy::Loss;
use stockroom::testkit::proxy::When;
use tokio::task::JoinHandle;

use super::desk::Desk;
use crate::support::Dice;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::crowd;
use crate::support::on;
use crate::support::sku;
use crate::support::until;

on!([postgres]
    who_writes_other_rows_does_not_wait
    what_waits_keeps_its_order
    a_delta_does_not_overtake_what_waits
    who_has_no_time_left_learns_that_nothing_was_applied
    what_is_refused_is_told_while_the_lock_is_held
    a_store_that_closes_finishes_what_waits
);

const CALLERS: usize = 32;

/// Mugs of so many kinds, 100 of each.
async fn assortment(shop: &Shop) {
    shop.stock("HELD", 100).await;
    for number in 0..CALLERS {
        shop.stock(&format!("MUG-{number}"), 100).await;
    }
}

fn receive(shop: &Shop, name: &str) -> JoinHandle<Result<(), Error>> {
    let (shop, name) = (shop.clone(), name.to_owned());
    tokio::spawn(async move { shop.inventory().receive(name, &berlin(), 1).await.map(drop) })
}

/// Waits until a commit waited for a lock in vain and was put aside: it has a second connection then.
async fn put_aside(desk: &Desk) {
    let schema = desk.ground.schema().unwrap();
    let sql = format!(
        "SELECT count(*)::text FROM pg_stat_activity \
         WHERE application_name = '{schema}' AND query LIKE '/* stockroom commit */%'"
    );
    until("a second lane runs", async || {
        desk.ground.texts(&sql).await == ["2"]
    })
    .await;
}

async fn who_writes_other_rows_does_not_wait(ground: Ground) {
    let desk = Desk::open(ground).await;
    assortment(&desk.shop).await;
    let staged = desk.delivery("HELD").await;
    let mut caller = desk.begun().await;
    let pending = caller.join(staged).await.unwrap();
    // They begin together, so that blocked and free sets share batches.
    let blocked: Vec<_> = (0..8).map(|_| receive(&desk.shop, "HELD")).collect();
    let shop = desk.shop.clone();
    let others = crowd(CALLERS, move |number| {
        let shop = shop.clone();
        async move {
            for _ in 0..40 {
                let name = sku(&format!("MUG-{number}"));
                shop.inventory().receive(&name, &berlin(), 1).await.unwrap();
            }
        }
    });
    others.await;
    assert!(
        !blocked.iter().any(JoinHandle::is_finished),
        "the lock is held still"
    );
    caller.commit().await;
    pending.done().await;
    for write in blocked {
        write.await.unwrap().unwrap();
    }
    assert_eq!(desk.on_hand("HELD").await, 109);
    for number in 0..CALLERS {
        assert_eq!(desk.on_hand(&format!("MUG-{number}")).await, 140);
    }
    desk.shop.assert_sound().await;
}

async fn what_waits_keeps_its_order(ground: Ground) {
    let desk = Desk::open(ground).await;
    let held = desk.shop.stock("HELD", 100).await;
    let mug = desk.shop.stock("MUG", 100).await;
    let staged = desk.delivery("HELD").await;
    let mut caller = desk.begun().await;
    let pending = caller.join(staged).await.unwrap();
    // One write of a locked and a free row; then one of the free row, which must not overtake it.
    let shop = desk.shop.clone();
    let first = tokio::spawn(async move {
        let moved = shop.transaction(|tx| {
            let mug = mug.clone();
            async move {
                tx.inventory().adjust(&sku("HELD"), &berlin(), -1, "moved")?;
                tx.products().update(&mug, ProductPatch::new().title("First"))
            }
        });
        moved.await
    });
    put_aside(&desk).await;
    let product = desk.shop.products().find_by_sku("MUG").await.unwrap().unwrap();
    let shop = desk.shop.clone();
    let second = tokio::spawn(async move {
        let patch = ProductPatch::new().title("Second");
        shop.products().update(&product, patch).await
    });
    // A third goes on meanwhile.
    desk.shop
        .products()
        .create(NewProduct::new("Bowl"))
        .await
        .unwrap();
    let patch = ProductPatch::new().title("Held");
    desk.shop.products().update(&held, patch).await.unwrap();
    assert!(!first.is_finished() && !second.is_finished());
    caller.commit().await;
    pending.done().await;
    assert_eq!(first.await.unwrap().unwrap().title, "First");
    // It was made for the version before the first one's.
    assert_eq!(second.await.unwrap().unwrap_err().kind(), ErrorKind::Conflict);
    let product = desk.shop.products().find_by_sku("MUG").await.unwrap().unwrap();
    assert_eq!((product.title.as_str(), product.version.get()), ("First", 2));
    assert_eq!(desk.on_hand("HELD").await, 100);
}

async fn a_delta_does_not_overtake_what_waits(ground: Ground) {
    let desk = Desk::open(ground).await;
    desk.shop.stock("HELD", 100).await;
    desk.shop.stock("MUG", 100).await;
    let staged = desk.delivery("HELD").await;
    let mut caller = desk.begun().await;
    let pending = caller.join(staged).await.unwrap();
    let shop = desk.shop.clone();
    let first = tokio::spawn(async move {
        let moved = shop.transaction(|tx| async move {
            tx.inventory().adjust(&sku("HELD"), &berlin(), -1, "first")?;
            tx.inventory().adjust(&sku("MUG"), &berlin(), -1, "first")
        });
        moved.await
    });
    put_aside(&desk).await;
    // Adds to a row that is free, and that the one before it will add to as well.
    let second = receive(&desk.shop, "MUG");
    for _ in 0..20 {
        desk.shop
            .products()
            .create(NewProduct::new("Bowl"))
            .await
            .unwrap();
    }
    assert!(!first.is_finished() && !second.is_finished());
    caller.commit().await;
    pending.done().await;
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    let changes = desk.table("stockroom_movements");
    let sql = format!("SELECT on_hand::text FROM {changes} WHERE sku = 'MUG' ORDER BY seq");
    assert_eq!(desk.ground.texts(&sql).await, ["100", "-1", "1"]);
    desk.shop.assert_sound().await;
}

async fn who_has_no_time_left_learns_that_nothing_was_applied(ground: Ground) {
    let desk = Desk::open(ground).await;
    desk.shop.stock("HELD", 100).await;
    let staged = desk.delivery("HELD").await;
    let mut caller = desk.begun().await;
    let pending = caller.join(staged).await.unwrap();
    let hasty = desk.shop.within(Duration::from_millis(1_500));
    let writes: Vec<_> = (0..16).map(|_| receive(&hasty, "HELD")).collect();
    for write in writes {
        let error = write.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    }
    caller.commit().await;
    pending.done().await;
    // Whatever was given up does not come after all.
    desk.shop.inventory().receive("HELD", &berlin(), 1).await.unwrap();
    assert_eq!(desk.on_hand("HELD").await, 102);
    desk.shop.assert_sound().await;
}

async fn what_is_refused_is_told_while_the_lock_is_held(ground: Ground) {
    let desk = Desk::open(ground).await;
    assortment(&desk.shop).await;
    let staged = desk.delivery("HELD").await;
    let mut caller = desk.begun().await;
    let pending = caller.join(staged).await.unwrap();
    let blocked = receive(&desk.shop, "HELD");
    let shop = desk.shop.clone();
    let refused = crowd(CALLERS, move |number| {
        let shop = shop.clone();
        async move {
            let name = sku(&format!("MUG-{number}"));
            let taken = shop.inventory().adjust(&name, &berlin(), -101, "too many").await;
            taken.map(drop).unwrap_err()
        }
    });
    for error in refused.await {
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
    }
    assert!(!blocked.is_finished());
    caller.rollback().await;
    drop(pending);
    blocked.await.unwrap().unwrap();
    assert_eq!(desk.on_hand("HELD").await, 101);
}

async fn a_store_that_closes_finishes_what_waits(ground: Ground) {
    let desk = Desk::open(ground.clone()).await;
    assortment(&desk.shop).await;
    let staged = desk.delivery("HELD").await;
    let mut caller = desk.begun().await;
    let pending = caller.join(staged).await.unwrap();
    let blocked: Vec<_> = (0..4).map(|_| receive(&desk.shop, "HELD")).collect();
    put_aside(&desk).await;
    // The store alone: a shop waits for its writes before it closes the store.
    let store = Arc::clone(desk.shop.store());
    let closing = tokio::spawn(async move { store.close().await });
    until("the store takes no writes", async || {
        let hasty = desk.shop.within(Duration::from_secs(1));
        let refused = hasty.products().create(NewProduct::new("Late")).await;
        refused.is_err_and(|error| error.is(ErrorKind::Unavailable))
    })
    .await;
    assert!(!closing.is_finished());
    caller.commit().await;
    pending.done().await;
    for write in blocked {
        write.await.unwrap().unwrap();
    }
    closing.await.unwrap();
    let again = ground.open().await;
    assert_eq!(again.level("HELD").await.on_hand, 105);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reply_that_is_lost_while_a_lock_is_held_leaves_no_doubt() {
    let Some((proxy, ground)) = Ground::proxied().await else {
        return;
    };
    let desk = Desk::open(ground).await;
    assortment(&desk.shop).await;
    let staged = desk.delivery("HELD").await;
    let mut caller = desk.begun().await;
    let pending = caller.join(staged).await.unwrap();
    let proxy = Arc::new(proxy);
    let mut dice = Dice::new("lost commits of both lanes");
    for loss in [Loss::Request, Loss::Reply] {
        let when = When::Chance {
            percent: 15,
            seed: dice.draw(),
        };
        proxy.lose_sql("/* stockroom commit */", loss, when);
    }
    let blocked: Vec<_> = (0..8).map(|_| receive(&desk.shop, "HELD")).collect();
    let shop = desk.shop.clone();
    let others = crowd(CALLERS, move |number| {
        let shop = shop.clone();
        async move {
            for _ in 0..10 {
                let name = sku(&format!("MUG-{number}"));
                shop.inventory().receive(&name, &berlin(), 1).await.unwrap();
            }
        }
    });
    others.await;
    assert!(!blocked.iter().any(JoinHandle::is_finished));
    caller.commit().await;
    pending.done().await;
    for write in blocked {
        write.await.unwrap().unwrap();
    }
    println!("{} commits were lost", proxy.counts().lost);
    proxy.heal().await;
    assert_eq!(desk.on_hand("HELD").await, 109);
    for number in 0..CALLERS {
        assert_eq!(desk.on_hand(&format!("MUG-{number}")).await, 110);
    }
    desk.shop.assert_sound().await;
}
