//! Callers that wait for each other, and callers that do not wait to the end.

use std::time::Duration;

use stockroom::ErrorKind;

use super::desk::Caller;
use super::desk::Desk;
use crate::support::Ground;
use crate::support::berlin;
use crate::support::on;
use crate::support::sku;
use crate::support::units;
use crate::support::until;

on!([postgres]
    of_two_callers_that_wait_for_each_other_one_goes_on
    a_row_that_another_caller_keeps_locked_is_unavailable
    a_join_that_crosses_a_commit_is_not_its_victim
    a_join_that_is_dropped_while_it_waits_leaves_nothing
);

/// Waits until so many sessions of the test wait for a lock.
async fn waiting(desk: &Desk, sessions: usize) {
    let schema = desk.ground.schema().unwrap();
    let sql = format!(
        "SELECT count(*)::text FROM pg_stat_activity \
         WHERE application_name = '{schema}' AND wait_event_type = 'Lock'"
    );
    until("a session waits for a lock", async || {
        desk.ground.texts(&sql).await == [sessions.to_string()]
    })
    .await;
}

async fn locked_gift(desk: &Desk, caller: &mut Caller) -> Result<(), sqlx::Error> {
    let gifts = desk.table("gifts");
    caller
        .try_run(&format!("UPDATE {gifts} SET note = note WHERE note = 'shared'"))
        .await
}

async fn of_two_callers_that_wait_for_each_other_one_goes_on(ground: Ground) {
    let desk = Desk::open(ground).await;
    desk.shop.stock("MUG", 5).await;
    desk.caller().await.gift("shared").await;
    desk.log.clear();
    let (first, second) = (desk.delivery("MUG").await, desk.delivery("MUG").await);
    let mut one = desk.begun().await;
    let mut other = desk.begun().await;
    locked_gift(&desk, &mut one).await.unwrap();
    let held = other.join(first).await.unwrap();
    let joining = tokio::spawn(async move {
        match one.join(second).await {
            Ok(pending) => {
                one.commit().await;
                pending.done().await;
                Ok(())
            }
            Err(error) => {
                one.rollback().await;
                Err(error)
            }
        }
    });
    waiting(&desk, 1).await;
    let updated = locked_gift(&desk, &mut other).await;
    let mut committed = 0;
    if updated.is_ok() {
        other.commit().await;
        held.done().await;
        committed += 1;
    } else {
        other.rollback().await;
        drop(held);
    }
    match joining.await.unwrap() {
        Ok(()) => committed += 1,
        Err(error) => {
            let expected = [ErrorKind::Conflict, ErrorKind::Unavailable];
            assert!(expected.contains(&error.kind()), "{error:?}");
        }
    }
    assert!(committed > 0, "nobody went on");
    assert_eq!(desk.on_hand("MUG").await, 5 + committed);
    until("each before has its outcome", async || desk.log.told().len() == 4).await;
    let after = desk.log.told().iter().filter(|word| **word == "after").count();
    assert_eq!(i64::try_from(after).unwrap(), committed);
}

async fn a_row_that_another_caller_keeps_locked_is_unavailable(ground: Ground) {
    let desk = Desk::open(ground).await;
    desk.shop.stock("MUG", 5).await;
    let staged = [
        desk.delivery("MUG").await,
        desk.delivery("MUG").await,
        desk.delivery("MUG").await,
    ];
    let [first, second, third] = staged;
    let (mut holder, mut caller) = (desk.begun().await, desk.begun().await);
    let held = holder.join(first).await.unwrap();
    caller.gift("for you").await;
    let error = caller.join(second).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    holder.rollback().await;
    drop(held);
    // The caller's transaction is good for another try.
    let pending = caller.join(third).await.unwrap();
    caller.commit().await;
    pending.done().await;
    assert_eq!(desk.on_hand("MUG").await, 6);
    assert_eq!(desk.gifts().await, ["for you"]);
}

async fn a_join_that_crosses_a_commit_is_not_its_victim(ground: Ground) {
    let desk = Desk::open(ground).await;
    desk.shop.stock("CUP", 5).await;
    desk.shop.stock("MUG", 5).await;
    let (mug, cup) = (desk.delivery("MUG").await, desk.delivery("CUP").await);
    let mut caller = desk.begun().await;
    let first = caller.join(mug).await.unwrap();
    // Takes the cup's lock, then waits for the mug's.
    let shop = desk.shop.clone();
    let writing = tokio::spawn(async move {
        let lines = [(sku("CUP"), units(10)), (sku("MUG"), units(10))];
        shop.inventory().receive_many(&berlin(), &lines).await
    });
    waiting(&desk, 1).await;
    let second = caller.join(cup).await.unwrap();
    caller.commit().await;
    first.done().await;
    second.done().await;
    writing.await.unwrap().unwrap();
    assert_eq!((desk.on_hand("CUP").await, desk.on_hand("MUG").await), (16, 16));
    desk.shop.assert_sound().await;
}

async fn a_join_that_is_dropped_while_it_waits_leaves_nothing(ground: Ground) {
    let desk = Desk::open(ground).await;
    desk.shop.stock("MUG", 5).await;
    let (first, second) = (desk.delivery("MUG").await, desk.delivery("MUG").await);
    desk.log.clear();
    let (mut holder, mut caller) = (desk.begun().await, desk.begun().await);
    let held = holder.join(first).await.unwrap();
    {
        let joining = caller.join(second);
        tokio::select! {
            joined = joining => panic!("the row is locked: {:?}", joined.map(drop)),
            () = waiting(&desk, 1) => {}
        }
    }
    // What was cut off has still to answer: the connection is closed.
    drop(caller);
    desk.log.hears(&["before", "before", "aborted"]).await;
    holder.commit().await;
    held.done().await;
    desk.log.hears(&["before", "before", "aborted", "after"]).await;
    assert_eq!(desk.on_hand("MUG").await, 6);
    assert!(desk.shop.within(Duration::from_secs(5)).ping().await.is_ok());
}
