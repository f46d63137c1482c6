//! A product by its id through the shop, beside the raw client's GetItem of the same item.
//!
//! Each round has a shop and a raw client of its own, so connections of their own: which thread of the server serves one, and on which
//! core, is decided anew, and moves the times of either by half.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Duration;
use std::time::Instant;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use stockroom::ProductId;
use stockroom::Stockroom;
use stockroom::testkit::dynamodb::DynamoFaults;

use crate::Result;
use crate::ground::Ground;
use crate::ground::client;
use crate::median::median;

const PREFIX: &str = "reads-";

/// A round, after half as many reads that are not counted.
pub(crate) struct Rounds {
    pub(crate) count: usize,
    pub(crate) reads: usize,
}

pub(crate) async fn measure(url: &str, rounds: Rounds) -> Result<()> {
    // Without faults: both pass the same layer.
    let faults = DynamoFaults::new(1);
    let first = Ground::open(url, PREFIX, &faults).await?;
    let id = first.stock("MUG", 1).await?.id;
    let (mut own, mut raw, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds.count {
        let ground = Ground::open(url, PREFIX, &faults).await?;
        let client = client(url, &faults);
        let (ours, theirs) = round(&ground.shop, &client, id, rounds.reads).await?;
        ground.shop.close().await;
        own.push(ours);
        raw.push(theirs);
        ratios.push(ours / theirs);
    }
    ratios.sort_unstable_by(f64::total_cmp);
    let (least, most) = (
        ratios.first().unwrap_or(&f64::NAN),
        ratios.last().unwrap_or(&f64::NAN),
    );
    println!(
        "a product by id, p50: {:.0} microseconds, the raw client's GetItem {:.0}; ratio {:.2}, in {} rounds {least:.2} to {most:.2}",
        median(own),
        median(raw),
        median(ratios.clone()),
        rounds.count,
    );
    first.shop.close().await;
    Ok(())
}

/// The medians of both, in microseconds.
async fn round(shop: &Stockroom, client: &Client, id: ProductId, reads: usize) -> Result<(f64, f64)> {
    let key = HashMap::from([
        ("pk".to_owned(), AttributeValue::S(format!("product#{id}"))),
        ("sk".to_owned(), AttributeValue::S("R".to_owned())),
    ]);
    let (mut own, mut raw) = (Vec::new(), Vec::new());
    // In turns, and each as often the first, so that what disturbs the machine disturbs both.
    for number in 0..2 * (reads + reads / 2) {
        let is_counted = number >= reads;
        let is_own = matches!(number % 4, 0 | 3);
        let took = if is_own {
            ours(shop, id).await?
        } else {
            theirs(client, &key).await?
        };
        if is_counted {
            if is_own { &mut own } else { &mut raw }.push(took.as_secs_f64() * 1e6);
        }
    }
    Ok((median(own), median(raw)))
}

async fn ours(shop: &Stockroom, id: ProductId) -> Result<Duration> {
    let begun = Instant::now();
    let found = black_box(shop.products().get(id).await?);
    let took = begun.elapsed();
    found
        .map(|_| took)
        .ok_or_else(|| "the shop has no such product".into())
}

async fn theirs(client: &Client, key: &HashMap<String, AttributeValue>) -> Result<Duration> {
    let begun = Instant::now();
    let call = client
        .get_item()
        .table_name(format!("{PREFIX}catalogue"))
        .set_key(Some(key.clone()))
        .consistent_read(true);
    let item = black_box(call.send().await?.item);
    let took = begun.elapsed();
    item.map(|_| took)
        .ok_or_else(|| "the table has no such item".into())
}
