//! One shop on three engines: the catalogue on DynamoDB, carts on Redis, orders, payments and stock on PostgreSQL. The engines
//! are brought up by this one command, and are gone with it.
//!
//! ```text
//! tests/run prepare
//! cargo run --release --features full --example polyglot
//! ```
//!
//! It sells from a real catalogue: a customer adds to a cart while the card is charged, Redis is killed in the middle of a
//! payment, a crowd wants more than there is. At the end it asks every engine what lies there. What it shows is checked; it
//! ends with an error if something is not so, or an engine is not installed.

#[path = "../catalogue/mod.rs"]
mod catalogue;
#[path = "../checkout/checks.rs"]
mod checks;
mod goods;
mod inspect;
mod rush;
mod sell;
mod site;

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use crate::checks::Checks;
use crate::site::Site;

/// The result of a step: whatever goes wrong ends the example.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Outcome {
    let begun = Instant::now();
    let mut checks = Checks::default();

    println!("1. Three engines");
    let site = Site::start().await?;
    let shop = site.open().await?;
    println!("{}", inspect::placement(&shop));

    println!("\n2. A catalogue on DynamoDB, its stock on PostgreSQL");
    let shelf = goods::import(&shop, &mut checks).await?;

    println!(
        "\n3. A cart on Redis becomes an order on PostgreSQL, and is added to while the card is charged"
    );
    let first = sell::with_a_late_line(&shop, &shelf, &mut checks).await?;

    println!("\n4. Redis is killed while a card is charged");
    let second = sell::while_redis_is_down(&shop, &shelf, site.redis(), &mut checks).await?;

    println!("\n5. Forty customers want the last ten");
    let rushed = rush::for_the_last(&shop, &shelf, &mut checks).await?;

    println!("\n6. What lies where");
    let sold = [vec![first, second], rushed].concat();
    inspect::everything(&shop, &shelf, &sold, &mut checks).await?;

    shop.close().await;
    println!("\nDone in {:.1?}.", begun.elapsed());
    checks.verdict()
}
