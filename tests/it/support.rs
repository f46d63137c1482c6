//! Where the shops of a test live, the goods that they sell, and crowds of callers.

mod crowd;
mod ground;
mod shop;

pub(crate) use crowd::Dice;
pub(crate) use crowd::crowd;
pub(crate) use crowd::share;
pub(crate) use crowd::until;
pub(crate) use ground::Ground;
pub(crate) use shop::Shop;
pub(crate) use shop::berlin;
pub(crate) use shop::key;
pub(crate) use shop::reference;
pub(crate) use shop::sku;
pub(crate) use shop::units;
pub(crate) use shop::usd;

/// Runs each case on each engine, as `case::engine`.
macro_rules! on {
    ($engines:tt $($case:ident)+) => {
        $(crate::support::on!(@case $case $engines);)+
    };
    (@case $case:ident [$($engine:ident)+]) => {
        mod $case {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $engine() {
                    if let Some(ground) = crate::support::Ground::$engine().await {
                        super::$case(ground).await;
                    }
                }
            )+
        }
    };
}

pub(crate) use on;
