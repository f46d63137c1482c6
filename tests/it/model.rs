//! The shop does what a model in a few lines of plain code does, through every sequence of calls.
//!
//! A case is a list of steps. In each step several customers, whose SKUs and carts have nothing to do with each other, do
//! one thing at once: they share batches, and what becomes of one must not change what becomes of another. Every answer is
//! compared with the model's, and after every step all levels; at the end carts, orders, holds and the ledger.
//!
//! Plain `proptest`, not its state machines: every call has an answer in every state, so that any list of steps is a case
//! and shrinks to the shortest one.

mod act;
mod customer;
mod stage;
mod world;

use std::time::Instant;

use proptest::collection::vec;
use proptest::test_runner::Config;
use proptest::test_runner::FileFailurePersistence;
use proptest::test_runner::RngSeed;
use proptest::test_runner::TestError;
use proptest::test_runner::TestRunner;
use stockroom::testkit::engines;
use tokio::runtime::Handle;

use crate::support::Dice;
use crate::support::Ground;
use crate::support::on;

use stage::Stage;

on!([memory file postgres dynamodb] the_shop_answers_as_its_model_does);

/// Customers that act at once.
const CUSTOMERS: usize = 8;
/// Steps of a case at most.
const STEPS: usize = 40;
/// Cases that failed once: they are tried first, on every engine.
const FAILED_BEFORE: &str = "tests/it/model/failed_before.txt";

/// Acts of customers that are compared at least.
fn enough(ground: &Ground) -> usize {
    match engines::setting("STOCKROOM_SOAK").as_deref() {
        Some("1") => 100_000,
        _ if ground.is_far() => 200,
        _ => 3_000,
    }
}

async fn the_shop_answers_as_its_model_does(ground: Ground) {
    let (stage, mut dice, begun) = (Stage::open(&ground).await, Dice::new("model"), Instant::now());
    while stage.acts() < enough(&ground) {
        let mut runner = TestRunner::new(Config {
            cases: 20,
            max_shrink_iters: 4_000,
            rng_seed: RngSeed::Fixed(dice.draw()),
            failure_persistence: Some(Box::new(FileFailurePersistence::Direct(FAILED_BEFORE))),
            ..Config::default()
        });
        let steps = vec(act::step(CUSTOMERS), 1..=STEPS);
        let outcome = tokio::task::block_in_place(|| {
            runner.run(&steps, |steps| Handle::current().block_on(stage.play(steps)))
        });
        if let Err(TestError::Fail(reason, steps)) = outcome {
            panic!("{reason}\nafter the last of these steps:\n{steps:#?}");
        }
        outcome.unwrap();
    }
    println!(
        "{} acts, {} of them refused, as in the model; {:?}",
        stage.acts(),
        stage.refused(),
        begun.elapsed()
    );
    stage.assert_sound().await;
}
