//! What an account needs before a shop lives in it: policies for its processes, and a template for auto scaling. Nothing is
//! called.
//!
//! ```text
//! cargo run --release --features dynamodb --example dynamodb_setup -- eu-central-1 111122223333 shop-
//! ```

use stockroom::DynamoOptions;
use stockroom::backend::dynamo::Role;
use stockroom::backend::dynamo::Scaling;
use stockroom::backend::dynamo::TableOptions;

fn main() -> stockroom::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |default: &str| arguments.next().unwrap_or_else(|| default.to_owned());
    let (region, account, prefix) = (next("eu-central-1"), next("111122223333"), next("shop-"));
    let tables = TableOptions::new()
        .provisioned(Scaling::between(10, 1_000), Scaling::between(10, 1_000))
        .point_in_time_recovery()
        .protected_from_deletion();
    let options = DynamoOptions::new(prefix).region(region).tables(tables);
    for (title, roles) in [
        ("a shop that feeds its own sinks", &[Role::Serve, Role::Relay][..]),
        ("a relay alone", &[Role::Relay]),
        ("reports and checks of the ledger", &[Role::Read]),
        ("a deployment, which makes the tables", &[Role::Migrate]),
    ] {
        println!("Policy of {title}:\n{}\n", options.policy(&account, roles)?);
    }
    if let Some(template) = options.auto_scaling()? {
        println!("Template for CloudFormation, once the tables are there:\n{template}");
    }
    Ok(())
}
