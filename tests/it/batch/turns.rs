//! Sets that want the same row or key are decided in the order in which they came.

use stockroom::Error;
use stockroom::ErrorKind;
use stockroom::NewProduct;
use stockroom::ProductPatch;

use super::begun::Call;
use super::begun::begin_all;
use super::begun::finish;
use super::gate::Gate;
use crate::support::Ground;
use crate::support::on;
use crate::support::usd;

on!([file postgres]
    of_those_who_change_one_version_the_first_wins
    of_those_who_want_one_key_the_first_gets_it
);

const CALLERS: usize = 40;

/// Lets the calls come in this order while the gate is closed; who was served.
async fn in_order(gate: Gate, mut calls: Vec<Call<Result<(), Error>>>, refusal: ErrorKind) -> Vec<usize> {
    begin_all(&mut calls).await;
    gate.open().await;
    let mut served = Vec::new();
    for (number, answer) in finish(calls).await.into_iter().enumerate() {
        match answer {
            Ok(()) => served.push(number),
            Err(error) => assert_eq!(error.kind(), refusal, "{error:?}"),
        }
    }
    served
}

async fn of_those_who_change_one_version_the_first_wins(ground: Ground) {
    let shop = ground.open().await;
    Gate::build(&ground).await;
    let product = shop.stock("MUG", 1).await;
    let gate = Gate::close(&ground, &shop).await;
    let calls = (0..CALLERS).map(|number| -> Call<_> {
        let (shop, product) = (shop.clone(), product.clone());
        let patch = ProductPatch::new().title(format!("Mug of {number}"));
        Box::pin(async move { shop.products().update(&product, patch).await.map(drop) })
    });
    assert_eq!(in_order(gate, calls.collect(), ErrorKind::Conflict).await, [0]);
    let product = shop.products().find_by_sku("MUG").await.unwrap().unwrap();
    assert_eq!((product.title.as_str(), product.version.get()), ("Mug of 0", 2));
}

async fn of_those_who_want_one_key_the_first_gets_it(ground: Ground) {
    let shop = ground.open().await;
    Gate::build(&ground).await;
    let gate = Gate::close(&ground, &shop).await;
    let calls = (0..CALLERS).map(|number| -> Call<_> {
        let shop = shop.clone();
        let product = NewProduct::new(format!("Mug of {number}")).variant("ONLY-ONE", usd(9_00));
        Box::pin(async move { shop.products().create(product).await.map(drop) })
    });
    assert_eq!(
        in_order(gate, calls.collect(), ErrorKind::AlreadyExists).await,
        [0]
    );
    let product = shop.products().find_by_sku("ONLY-ONE").await.unwrap().unwrap();
    assert_eq!(product.title, "Mug of 0");
}
