//! A flash sale: far more buyers than units, all of one product, many of them at once. Shows how fast they are answered and
//! that nothing is sold twice.
//!
//! ```text
//! cargo run --release --example flash_sale                                           a temporary SQLite file
//! cargo run --release --example flash_sale -- --buyers 10000 --units 2000 --callers 256
//! cargo run --release --example flash_sale -- --baseline                             beside it the usual way, by hand
//! cargo run --release --features postgres --example flash_sale -- --url postgres://… a PostgreSQL server
//! ```
//!
//! On a server it works in a schema of its own, which it removes at the end. It exits with an error when something was
//! oversold, when stock and ledger differ, or when not every unit was sold that somebody wanted.

mod arguments;
mod crowd;
mod print;
mod shop;
mod usual;
mod venue;

use std::error::Error;
use std::process::ExitCode;

use crate::arguments::Arguments;
use crate::crowd::Sale;
use crate::venue::Venue;

/// The result of a step: whatever goes wrong ends the example.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

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
    let arguments = Arguments::read()?;
    let venue = Venue::open(arguments.url.as_deref()).await?;
    println!(
        "{} buyers, {} units, {} buyers at once, on {}.",
        arguments.buyers,
        arguments.units,
        arguments.callers,
        venue.name()
    );
    let held = hold(&venue, &arguments).await;
    venue.close().await?;
    held
}

/// Holds the sale, the usual way's too if it is asked for, and judges them.
async fn hold(venue: &Venue, arguments: &Arguments) -> Outcome {
    let (sale, books) = shop::sell(venue, arguments).await?;
    let usual = match arguments.is_compared {
        true => Some(usual::sell(venue, arguments).await?),
        false => None,
    };
    println!("\n{}", print::sales(&sale, usual.as_ref()));
    println!("\n{}", print::commits(&books.commits));
    println!("\n{}", print::books(&books));
    let mut wrong = judge("stockroom", &sale, arguments);
    if let Some(usual) = &usual {
        wrong.extend(judge("the usual way", usual, arguments));
    }
    wrong.extend(books.wrong(&sale, arguments));
    if wrong.is_empty() {
        println!("\nEvery unit that was wanted was sold, once; stock and ledger agree.");
        return Ok(());
    }
    Err(format!("not so: {}", wrong.join("; ")).into())
}

/// What is wrong with what the buyers were told.
fn judge(way: &str, sale: &Sale, arguments: &Arguments) -> Vec<String> {
    let expected = arguments.units.min(arguments.buyers);
    let refused = arguments.buyers - expected;
    let mut wrong = Vec::new();
    if (sale.sold(), sale.refused()) != (expected, refused) {
        wrong.push(format!(
            "{way}: {expected} were to be sold and {refused} refused, {} and {} were",
            sale.sold(),
            sale.refused()
        ));
    }
    wrong
}
