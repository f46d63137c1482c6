//! The connection is lost in the middle of a batch of 64 callers: each learns what became of its own set.

use std::sync::Arc;
use std::time::Duration;

use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::HoldLine;
use stockroom::NewProduct;
use stockroom::Place;
use stockroom::testkit::proxy::Loss;
use stockroom::testkit::proxy::Proxy;
use stockroom::testkit::proxy::When;

use super::begun::Call;
use super::begun::begin_all;
use super::begun::finish;
use super::gate::Gate;
use crate::support::Ground;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::key;
use crate::support::sku;
use crate::support::units;
use crate::support::usd;

/// What the commit of a batch begins with.
const COMMIT: &str = "/* stockroom commit */";
const CALLERS: usize = 64;
const DEADLINE: Duration = Duration::from_secs(20);

/// What a caller was told.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Received,
    Ordered { replayed: bool },
    Created,
    Refused(ErrorKind),
}

/// One of 64 callers: half of them receive, some order, some want what is not there or what only one can have.
async fn call(shop: &Shop, round: usize, caller: usize) -> Call<Result<Told, Error>> {
    let shop = shop.clone();
    match caller % 8 {
        0..4 => Box::pin(async move {
            shop.inventory().receive("INBOX", &berlin(), 1).await?;
            Ok(Told::Received)
        }),
        4 | 5 => {
            let quote = shop
                .checkout()
                .quote(shop.cart(&[("MUG", 1)]).await)
                .await
                .unwrap();
            let place = Place::quote(quote).key(key(format!("order-{round}-{caller}")));
            Box::pin(async move {
                let placed = shop.checkout().place(place).await?;
                Ok(Told::Ordered {
                    replayed: placed.replayed,
                })
            })
        }
        6 => Box::pin(async move {
            let line = HoldLine {
                sku: sku("SOLD-OUT"),
                location: berlin(),
                quantity: units(1),
            };
            let hold = shop.inventory().hold(&[line], DEADLINE).await;
            Ok(Told::Refused(hold.unwrap_err().kind()))
        }),
        _ => Box::pin(async move {
            let name = format!("ONLY-ONE-{round}");
            let product = NewProduct::new(&name).variant(name.as_str(), usd(9_00));
            match shop.products().create(product).await {
                Ok(_) => Ok(Told::Created),
                Err(error) => Ok(Told::Refused(error.kind())),
            }
        }),
    }
}

/// One batch, whose connection is lost in this way.
async fn round(ground: &Ground, proxy: &Proxy, shop: &Shop, round: usize, loss: Option<Loss>) {
    let mut calls = Vec::new();
    for caller in 0..CALLERS {
        calls.push(call(shop, round, caller).await);
    }
    let gate = Gate::close(ground, shop).await;
    begin_all(&mut calls).await;
    match loss {
        // The commit that stands at the gate has been sent already: it is the next one that is struck.
        Some(loss) => proxy.lose_sql(COMMIT, loss, When::Next),
        // The commit at the gate loses its connection while it runs, and the batch its turn.
        None => proxy.cut_all().await,
    }
    gate.open().await;
    let told: Vec<Told> = finish(calls).await.into_iter().map(Result::unwrap).collect();
    let count = |wanted: Told| told.iter().filter(|told| **told == wanted).count();
    assert_eq!(count(Told::Received), CALLERS / 2);
    assert_eq!(count(Told::Ordered { replayed: false }), CALLERS / 4, "{told:?}");
    assert_eq!(count(Told::Created), 1);
    assert_eq!(count(Told::Refused(ErrorKind::InsufficientStock)), CALLERS / 8);
    assert_eq!(
        count(Told::Refused(ErrorKind::AlreadyExists)),
        CALLERS / 8 - 1,
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_connection_lost_in_a_batch_of_64_leaves_nobody_in_doubt() {
    let Some((proxy, ground)) = Ground::proxied().await else {
        return;
    };
    let (proxy, opened) = (Arc::new(proxy), ground.open().await);
    let shop = opened.within(DEADLINE);
    shop.stock("MUG", 1_000).await;
    shop.stock("SOLD-OUT", 0).await;
    Gate::build(&ground).await;
    let losses = [
        Some(Loss::Reply),
        Some(Loss::Request),
        Some(Loss::LateRequest(Duration::from_millis(15))),
        None,
    ];
    for number in 0..12 {
        round(&ground, &proxy, &shop, number, losses[number % losses.len()]).await;
        let rounds = i64::try_from(number + 1).unwrap();
        assert_eq!(shop.level("INBOX").await.on_hand, 32 * rounds);
        assert_eq!(shop.level("MUG").await.allocated, 16 * rounds);
    }
    shop.assert_sound().await;
}
