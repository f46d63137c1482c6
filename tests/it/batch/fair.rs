//! Nobody waits for long where everybody wants the same row: a caller is served in its turn.
//!
//! Counted in runs of the commit program, which a proxy sees as round trips: none of the callers reads.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use stockroom::ErrorKind;
use stockroom::Product;
use stockroom::ProductPatch;
use stockroom::testkit::proxy::Proxy;

use crate::support::Ground;
use crate::support::Shop;
use crate::support::berlin;
use crate::support::crowd;

/// Callers that have nothing to do with each other.
const OTHERS: usize = 8;
/// Writes of each of the others.
const WRITES: usize = 40;
/// Callers that put one product: fewer than a batch has room for, and more.
const RIVALS: [usize; 2] = [56, 256];
/// Most runs that a caller without rivals waits for: the batch that is under way and its own, each of them repeated
/// without the sets that it refused.
const BOUND: u64 = 6;

/// How many runs of the commit program begin and end meanwhile.
async fn runs<T>(proxy: &Proxy, call: impl Future<Output = T>) -> (u64, T) {
    let before = proxy.counts().round_trips;
    let answer = call.await;
    (proxy.counts().round_trips - before, answer)
}

/// How long callers waited, in runs, each list in ascending order.
struct Waits {
    others: Vec<u64>,
    rivals: Vec<u64>,
}

/// What nine of ten waited for at most. The others may have been kept waiting by a busy machine: the runs go on until a
/// caller gets to see its answer.
fn nine_of_ten(waits: &[u64]) -> u64 {
    waits[waits.len() * 9 / 10]
}

/// So many callers put one product again and again, while a few others write rows of their own.
async fn contend(rivals: usize) -> Option<Waits> {
    let (proxy, ground) = Ground::proxied().await?;
    let (proxy, shop) = (Arc::new(proxy), ground.open().await);
    let product = shop.stock("MUG", 1).await;
    for number in 0..OTHERS {
        shop.stock(&format!("CUP-{number}"), 1).await;
    }
    let (busy, won) = (Arc::new(AtomicUsize::new(OTHERS)), Arc::new(AtomicU64::new(0)));
    let (seller, line, wins) = (shop.clone(), Arc::clone(&proxy), Arc::clone(&won));
    let waits = crowd(rivals + OTHERS, move |caller| {
        let (proxy, shop, busy) = (Arc::clone(&line), seller.clone(), Arc::clone(&busy));
        let (product, wins) = (Arc::clone(&product), Arc::clone(&wins));
        async move {
            if caller >= OTHERS {
                return (false, rival(&proxy, &shop, product, &busy, &wins).await);
            }
            let mut waits = Vec::new();
            for _ in 0..WRITES {
                let receive = async {
                    shop.inventory()
                        .receive(format!("CUP-{caller}"), &berlin(), 1)
                        .await
                };
                let (waited, received) = runs(&proxy, receive).await;
                received.unwrap();
                waits.push(waited);
            }
            busy.fetch_sub(1, Ordering::Relaxed);
            (true, waits)
        }
    });
    let waits = waits.await;
    assert!(
        waits.iter().all(|(_, waits)| !waits.is_empty()),
        "somebody was never served"
    );
    let version = shop.products().find_by_sku("MUG").await.unwrap().unwrap().version;
    assert_eq!(
        version.get(),
        won.load(Ordering::Relaxed) + 1,
        "each that won is one version"
    );
    let of = |other: bool| {
        let mut all: Vec<u64> = waits
            .iter()
            .filter(|(is, _)| *is == other)
            .flat_map(|(_, waits)| waits.clone())
            .collect();
        all.sort_unstable();
        all
    };
    let waits = Waits {
        others: of(true),
        rivals: of(false),
    };
    println!(
        "beside {rivals} rivals nine of ten waited for {} runs and all for {}; the rivals for {} and {}",
        nine_of_ten(&waits.others),
        waits.others[waits.others.len() - 1],
        nine_of_ten(&waits.rivals),
        waits.rivals[waits.rivals.len() - 1]
    );
    Some(waits)
}

/// Puts the product until the others are done; who lost goes on with the version that it knows.
async fn rival(
    proxy: &Proxy,
    shop: &Shop,
    mut product: Arc<Product>,
    busy: &AtomicUsize,
    won: &AtomicU64,
) -> Vec<u64> {
    let mut waits = Vec::new();
    while busy.load(Ordering::Relaxed) > 0 {
        let patch = ProductPatch::new().title(format!("Mug {}", waits.len()));
        let (waited, updated) = runs(proxy, async { shop.products().update(&product, patch).await }).await;
        match updated {
            Ok(new) => {
                won.fetch_add(1, Ordering::Relaxed);
                product = new;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}"),
        }
        waits.push(waited);
    }
    waits
}

/// Each caller that was there before has one run, or two where its set is refused.
fn bound_of_rivals(rivals: usize) -> u64 {
    2 * u64::try_from(rivals + OTHERS).unwrap() + BOUND
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_are_served_in_their_turn_where_many_want_one_row() {
    for rivals in RIVALS {
        let Some(waits) = contend(rivals).await else {
            return;
        };
        assert!(nine_of_ten(&waits.others) <= BOUND, "{:?}", waits.others);
        assert!(
            nine_of_ten(&waits.rivals) <= bound_of_rivals(rivals),
            "{:?}",
            waits.rivals
        );
    }
}
