//! A product by its id through the shop, beside the raw client's GetItem of the same item.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Duration;
use std::time::Instant;

use aws_sdk_dynamodb::types::AttributeValue;
use stockroom::testkit::dynamodb::DynamoFaults;

use crate::Result;
use crate::ground::Ground;
use crate::ground::client;

const PREFIX: &str = "reads-";

pub(crate) async fn measure(url: &str, reads: usize) -> Result<()> {
    // Without faults: both pass the same layer.
    let faults = DynamoFaults::new(1);
    let ground = Ground::open(url, PREFIX, &faults).await?;
    let product = ground.stock("MUG", 1).await?;
    let raw = client(url, &faults);
    let key = HashMap::from([
        (
            "pk".to_owned(),
            AttributeValue::S(format!("product#{}", product.id)),
        ),
        ("sk".to_owned(), AttributeValue::S("R".to_owned())),
    ]);
    let (mut own, mut other) = (Vec::new(), Vec::new());
    // The first reads are not counted: connections are made, and the server's machine gets to know them.
    for round in 0..reads + reads / 5 {
        // In turns, so that what disturbs the machine disturbs both.
        let begun = Instant::now();
        let found = black_box(ground.shop.products().get(product.id).await?);
        let took = begun.elapsed();
        let begun = Instant::now();
        let call = raw
            .get_item()
            .table_name(format!("{PREFIX}catalogue"))
            .set_key(Some(key.clone()));
        let item = black_box(call.consistent_read(true).send().await?.item);
        let raw_took = begun.elapsed();
        if found.is_none() || item.is_none() {
            return Err("the product was not found".into());
        }
        if round >= reads / 5 {
            own.push(took);
            other.push(raw_took);
        }
    }
    let (own, other) = (median(own), median(other));
    println!(
        "a product by id, p50: {own:.0} microseconds, the raw client's GetItem {other:.0}, ratio {:.2}",
        own / other
    );
    ground.shop.close().await;
    Ok(())
}

/// The median in microseconds.
fn median(mut samples: Vec<Duration>) -> f64 {
    samples.sort();
    samples[samples.len() / 2].as_secs_f64() * 1e6
}
