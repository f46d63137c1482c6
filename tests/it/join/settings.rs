//! The caller's session is what it was, and what a join costs.

use stockroom::testkit::proxy::Proxy;

use super::desk::Caller;
use super::desk::Desk;
use crate::support::Ground;
use crate::support::on;

on!([postgres] the_session_is_set_as_it_was);

const SETTINGS: [&str; 3] = ["search_path", "lock_timeout", "statement_timeout"];

async fn settings(caller: &mut Caller) -> Vec<String> {
    let mut settings = Vec::new();
    for name in SETTINGS {
        settings.push(caller.text(&format!("SHOW {name}")).await);
    }
    settings
}

async fn the_session_is_set_as_it_was(ground: Ground) {
    let desk = Desk::open(ground).await;
    let product = desk.shop.stock("MUG", 5).await;
    let (taken, late) = (
        desk.title(&product, "Cup").await,
        desk.title(&product, "Bowl").await,
    );
    let mut caller = desk.caller().await;
    caller
        .run("SET search_path = \"it's \\ odd\", public; SET lock_timeout = '7s'; SET statement_timeout = '1min'")
        .await;
    let session = settings(&mut caller).await;
    caller.run("BEGIN; SET LOCAL lock_timeout = '8s'").await;
    let before = settings(&mut caller).await;
    assert_ne!(before, session);
    let pending = caller.join(taken).await.unwrap();
    assert_eq!(settings(&mut caller).await, before, "after what was joined");
    caller.join(late).await.map(drop).unwrap_err();
    assert_eq!(settings(&mut caller).await, before, "after what was refused");
    caller.commit().await;
    pending.done().await;
    assert_eq!(settings(&mut caller).await, session, "after the commit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_join_is_three_round_trips() {
    let Some((proxy, ground)) = Ground::proxied().await else {
        return;
    };
    let desk = Desk::open(ground).await;
    desk.shop.stock("MUG", 5).await;
    let mut caller = desk.begun().await;
    let mut counted = Vec::new();
    for _ in 0..3 {
        let staged = desk.delivery("MUG").await;
        counted.push(count(&proxy, &mut caller, staged).await);
    }
    caller.commit().await;
    println!("{counted:?}");
    assert_eq!(counted[1..], [3, 3]);
}

async fn count(proxy: &Proxy, caller: &mut Caller, staged: stockroom::Staged<()>) -> u64 {
    proxy.reset_counts();
    drop(caller.join(staged).await.unwrap());
    proxy.counts().round_trips
}
