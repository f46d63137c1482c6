//! Sells from a real catalogue: imports its 2,465 products, browses, fills a cart, pays, ships, cancels, and proves the
//! books.
//!
//! ```text
//! cargo run --release --example checkout                                            a temporary SQLite file
//! cargo run --release --example checkout -- sqlite://shop.db                        a file that stays
//! cargo run --release --features postgres --example checkout -- postgres://…        a PostgreSQL server
//! ```
//!
//! It checks what it shows and exits with an error if an invariant does not hold. A shop that stays may be run again: the
//! catalogue is there then, and the stock goes down.

#[path = "../catalogue/mod.rs"]
mod catalogue;
mod checks;
mod import;
mod place;
mod print;
mod provider;
mod sell;
mod shelf;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use stockroom::Stockroom;

use crate::checks::Checks;

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
    let folder = TemporaryFolder::create()?;
    let url = std::env::args().nth(1).unwrap_or_else(|| folder.url());
    let shop = Stockroom::open(&url).await?;
    println!(
        "A shop on {}, opened in {:.1?}.",
        shop.store().capability().engine,
        begun.elapsed()
    );

    let mut checks = Checks::default();
    let products = catalogue::load()?;
    let imported = import::catalogue(&shop, &products).await?;
    shelf::browse(&shop, &products, imported, &mut checks).await?;
    let picks = shelf::pick(&shop, &products).await?;
    sell::paid_order(&shop, &picks, &mut checks).await?;
    place::cancelled_order(&shop, &picks, &mut checks).await?;
    place::more_than_there_is(&shop, &picks, &mut checks).await?;
    sell::ledger(&shop, &picks, &mut checks).await?;

    shop.close().await;
    println!("\nDone in {:.1?}.", begun.elapsed());
    checks.verdict()
}

/// A folder for the shop's file, which goes with it; the file has companions while it is open.
struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    fn create() -> std::io::Result<Self> {
        let name = format!("stockroom-checkout-{}", stockroom::OrderId::new());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder)?;
        Ok(Self(folder))
    }

    fn url(&self) -> String {
        format!("sqlite://{}/shop.db", self.0.display())
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
