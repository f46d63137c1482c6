//! DynamoDB: a hot SKU beside one transaction an order, keyed reads beside the raw client, and what each operation costs.
//!
//! ```text
//! cargo bench --features full --bench dynamodb              # everything
//! cargo bench --features full --bench dynamodb -- units     # the table of units of docs/dynamodb.md
//! cargo bench --features full --bench dynamodb -- --test    # a few moments, to see that it works
//! ```
//!
//! Also `hot` and `reads` alone. On DynamoDB Local: its times are those of a Java program on this machine, its units those of
//! the service.

mod by_hand;
mod ground;
mod hot;
#[path = "../support/median.rs"]
mod median;
mod reads;
mod units;

use stockroom::testkit::engines::DynamoDb;
use stockroom::testkit::engines::require;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let is_quick = has("--test") || has("--quick");
    let only = ["hot", "reads", "units"].into_iter().find(|part| has(part));
    let wants = |part| only.is_none_or(|only| only == part);
    let Some(server) = require(DynamoDb::start().await)? else {
        return Ok(());
    };
    if wants("hot") {
        hot::measure(if is_quick { 100 } else { 1_000 }).await?;
    }
    if wants("reads") {
        let (count, reads) = if is_quick { (2, 20) } else { (25, 600) };
        reads::measure(server.url(), reads::Rounds { count, reads }).await?;
    }
    if wants("units") {
        units::measure(server.url()).await?;
    }
    Ok(())
}
