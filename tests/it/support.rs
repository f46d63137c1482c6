//! Where the shops of a test live, the goods that they sell, and crowds of callers.

mod crowd;
mod ground;
mod items;
mod shop;

pub(crate) use crowd::Dice;
pub(crate) use crowd::crowd;
pub(crate) use crowd::share;
pub(crate) use crowd::until;
pub(crate) use ground::Ground;
pub(crate) use items::client;
pub(crate) use shop::Shop;
pub(crate) use shop::berlin;
pub(crate) use shop::key;
pub(crate) use shop::reference;
pub(crate) use shop::sku;
pub(crate) use shop::units;
pub(crate) use shop::usd;

use std::pin::Pin;

/// A case of a test, which works on an empty database. It is boxed so that the code of a case is compiled once, not once
/// for each engine.
pub(crate) type Case = fn(Ground) -> Pin<Box<dyn Future<Output = ()>>>;

/// Runs each case on each engine, as `case::engine`.
macro_rules! on {
    ($engines:tt $($case:ident)+) => {
        $(crate::support::on!(@case $case $engines);)+
    };
    (@case $case:ident [$($engine:ident)+]) => {
        mod $case {
            $(
                #[test]
                fn $engine() {
                    crate::support::$engine(|ground| Box::pin(super::$case(ground)));
                }
            )+
        }
    };
}

pub(crate) use on;

/// Runs a case in memory.
pub(crate) fn memory(case: Case) {
    run(case, async { Some(Ground::memory()) });
}

/// Runs a case on a file.
pub(crate) fn file(case: Case) {
    run(case, async { Some(Ground::file()) });
}

/// Runs a case on PostgreSQL, if there is one.
pub(crate) fn postgres(case: Case) {
    run(case, Ground::postgres());
}

/// Runs a case on DynamoDB, if there is one.
pub(crate) fn dynamodb(case: Case) {
    run(case, Ground::dynamodb());
}

/// Runs a case with its carts on Redis, if there is one.
pub(crate) fn redis(case: Case) {
    run(case, Ground::redis());
}

fn run(case: Case, ground: impl Future<Output = Option<Ground>>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        if let Some(ground) = ground.await {
            case(ground).await;
        }
    });
}
