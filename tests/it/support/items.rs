//! The tables of a DynamoDB as another client sees them.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::Config;
use aws_sdk_dynamodb::config::BehaviorVersion;
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodb::config::Region;
use aws_sdk_dynamodb::types::AttributeValue;

/// A client of the server at this address.
pub(crate) fn client(url: &str) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new("eu-central-1"))
        .endpoint_url(url)
        .credentials_provider(Credentials::new("local", "local", None, None, "test"));
    Client::from_conf(config.build())
}

/// Everything in the tables whose names begin so, by table: an item a line, in order.
pub(super) async fn dump(url: &str, prefix: &str) -> BTreeMap<String, String> {
    let (client, mut dump) = (client(url), BTreeMap::new());
    for table in ["catalogue", "carts", "orders", "inventory", "keys"] {
        let name = format!("{prefix}{table}");
        let pages = client
            .scan()
            .table_name(&name)
            .consistent_read(true)
            .into_paginator();
        let items = pages.items().send().try_collect().await.unwrap();
        let mut lines: Vec<_> = items
            .into_iter()
            .map(|item| text(&AttributeValue::M(item)))
            .collect();
        lines.sort();
        dump.insert(name, lines.join("\n"));
    }
    dump
}

/// A value in words; maps have no order of their own.
fn text(value: &AttributeValue) -> String {
    match value {
        AttributeValue::M(map) => {
            let sorted: BTreeMap<_, _> = map.iter().map(|(name, value)| (name, text(value))).collect();
            format!("{sorted:?}")
        }
        AttributeValue::L(list) => format!("{:?}", list.iter().map(text).collect::<Vec<_>>()),
        other => format!("{other:?}"),
    }
}
