//! A table as it is, compared with what the store needs and what was asked for. No I/O.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::BillingMode;
use aws_sdk_dynamodb::types::KeySchemaElement;
use aws_sdk_dynamodb::types::ProjectionType;
use aws_sdk_dynamodb::types::ScalarAttributeType;
use aws_sdk_dynamodb::types::SseType;
use aws_sdk_dynamodb::types::StreamViewType;
use aws_sdk_dynamodb::types::TableDescription;

use super::report::Difference;
use crate::backend::dynamodb::keys::PK;
use crate::backend::dynamodb::keys::SK;
use crate::backend::dynamodb::records::TTL;
use crate::backend::dynamodb::table_options::Scaling;
use crate::backend::dynamodb::table_options::TableCapacity;
use crate::backend::dynamodb::table_options::TableEncryption;
use crate::backend::dynamodb::table_options::TableOptions;
use crate::backend::dynamodb::tables::Table;

/// What only further calls tell about a table; `None` is not told.
#[derive(Debug, Default)]
pub(super) struct Extras {
    /// The attribute by which the service removes items; empty where it removes none.
    pub(super) ttl: Option<String>,
    pub(super) recovery: Option<bool>,
    pub(super) tags: Option<BTreeMap<String, String>>,
}

/// What keeps the store from working.
pub(super) fn needs(table: Table, found: &TableDescription) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut differs = |item: String, wanted: String, found: String| {
        differences.push(Difference {
            item,
            wanted,
            found,
            breaks: true,
        });
    };
    let (wanted, own) = (key_text(PK, SK), keys(found.key_schema()));
    if own != wanted {
        differs("keys".to_owned(), wanted, own);
    }
    for index in table.indexes() {
        let (name, pk, sk) = index.names();
        let wanted = key_text(pk, sk);
        let mut indexes = found.global_secondary_indexes().iter();
        match indexes.find(|own| own.index_name() == Some(name)) {
            None => differs(format!("index {name}"), wanted, "absent".to_owned()),
            Some(own) if keys(own.key_schema()) != wanted => {
                differs(format!("index {name}"), wanted, keys(own.key_schema()));
            }
            Some(_) => {}
        }
    }
    let used: Vec<&str> = used(table);
    for attribute in found.attribute_definitions() {
        let (name, kind) = (attribute.attribute_name(), attribute.attribute_type());
        if used.contains(&name) && *kind != ScalarAttributeType::S {
            differs(format!("attribute {name}"), "S".to_owned(), kind.to_string());
        }
    }
    if table.has_stream() && !has_images(found) {
        let view = found
            .stream_specification()
            .and_then(|stream| stream.stream_view_type());
        let found = view.map_or_else(|| "none".to_owned(), ToString::to_string);
        differs("stream".to_owned(), "NEW_IMAGE".to_owned(), found);
    }
    differences
}

/// What works, but is not as it is meant to be: what removes ended items, and whatever was asked for.
pub(super) fn wishes(asked: &TableOptions, found: &TableDescription, extras: &Extras) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut differs = |item: &str, wanted: String, found: String| {
        differences.push(Difference {
            item: item.to_owned(),
            wanted,
            found,
            breaks: false,
        });
    };
    if let Some(ttl) = extras.ttl.as_ref().filter(|ttl| *ttl != TTL) {
        let found = if ttl.is_empty() { "off" } else { ttl };
        differs("ttl", TTL.to_owned(), found.to_owned());
    }
    for index in found.global_secondary_indexes() {
        let kind = index
            .projection()
            .and_then(|projection| projection.projection_type());
        if let Some(kind) = kind.filter(|kind| **kind != ProjectionType::KeysOnly) {
            let name = index.index_name().unwrap_or_default();
            let item = format!("index {name} projection");
            differs(&item, "KEYS_ONLY".to_owned(), kind.to_string());
        }
    }
    if let TableCapacity::Provisioned { reads, writes } = asked.capacity {
        let own = capacity(found);
        let within = |units: i64, scaling: Scaling| {
            (i64::from(scaling.least)..=i64::from(scaling.most)).contains(&units)
        };
        if !own.is_some_and(|(own_reads, own_writes)| within(own_reads, reads) && within(own_writes, writes))
        {
            let wanted = format!("{} read, {} write", range(reads), range(writes));
            let found = own.map_or_else(
                || "on demand".to_owned(),
                |(reads, writes)| format!("{reads} read, {writes} write"),
            );
            differs("capacity", wanted, found);
        }
    }
    if let Some((wanted, found)) = encryption(&asked.encryption, found) {
        differs("encryption", wanted, found);
    }
    let told = |on: Option<bool>| match on {
        Some(true) => "on",
        Some(false) => "off",
        None => "not told",
    };
    if asked.recovery && extras.recovery != Some(true) {
        differs("recovery", "on".to_owned(), told(extras.recovery).to_owned());
    }
    let protection = found.deletion_protection_enabled();
    if asked.protection && protection != Some(true) {
        differs("protection", "on".to_owned(), told(protection).to_owned());
    }
    for (key, value) in &asked.tags {
        let own = extras.tags.as_ref().map(|tags| tags.get(key));
        if own != Some(Some(value)) {
            let found = match own {
                None => "not told",
                Some(None) => "absent",
                Some(Some(other)) => other,
            };
            differs(&format!("tag {key}"), value.clone(), found.to_owned());
        }
    }
    differences
}

/// What is wanted and what is found, where the tables are encrypted with another key than asked for.
fn encryption(asked: &TableEncryption, found: &TableDescription) -> Option<(String, String)> {
    let own = found
        .sse_description()
        .filter(|own| own.sse_type() == Some(&SseType::Kms));
    let arn = own.and_then(|own| own.kms_master_key_arn());
    let shown = arn.unwrap_or("a key of the service").to_owned();
    match asked {
        TableEncryption::ServiceKey => None,
        TableEncryption::ManagedKey if own.is_some() => None,
        TableEncryption::ManagedKey => Some(("the account's key".to_owned(), shown)),
        // The service tells the ARN: an alias cannot be compared.
        TableEncryption::Key(key) if key.contains("alias/") && own.is_some() => None,
        TableEncryption::Key(key) => {
            let same = arn.is_some_and(|arn| arn == key || arn.ends_with(&format!("key/{key}")));
            (!same).then(|| (key.clone(), shown))
        }
    }
}

/// Whether the stream tells what the feed reads.
fn has_images(found: &TableDescription) -> bool {
    let stream = found
        .stream_specification()
        .filter(|stream| stream.stream_enabled());
    matches!(
        stream.and_then(|stream| stream.stream_view_type()),
        Some(StreamViewType::NewImage | StreamViewType::NewAndOldImages)
    )
}

/// The read and write units of a table; `None` where it is on demand.
fn capacity(found: &TableDescription) -> Option<(i64, i64)> {
    let mode = found
        .billing_mode_summary()
        .and_then(|summary| summary.billing_mode());
    if mode == Some(&BillingMode::PayPerRequest) {
        return None;
    }
    let own = found.provisioned_throughput()?;
    Some((own.read_capacity_units()?, own.write_capacity_units()?))
}

/// The attributes that are keys of the table or of an index that the store reads.
fn used(table: Table) -> Vec<&'static str> {
    let indexes = table.indexes().iter().flat_map(|index| {
        let (_, pk, sk) = index.names();
        [pk, sk]
    });
    [PK, SK].into_iter().chain(indexes).collect()
}

fn keys(schema: &[KeySchemaElement]) -> String {
    let mut keys: Vec<_> = schema
        .iter()
        .map(|key| (key.key_type().as_str(), key.attribute_name()))
        .collect();
    keys.sort_unstable();
    let texts = keys.iter().map(|(kind, name)| format!("{name} {kind}"));
    texts.collect::<Vec<_>>().join(", ")
}

fn key_text(pk: &str, sk: &str) -> String {
    format!("{pk} HASH, {sk} RANGE")
}

fn range(scaling: Scaling) -> String {
    if scaling.is_fixed() {
        scaling.least.to_string()
    } else {
        format!("{} to {}", scaling.least, scaling.most)
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeDefinition;
    use aws_sdk_dynamodb::types::KeyType;
    use aws_sdk_dynamodb::types::ProvisionedThroughputDescription;
    use aws_sdk_dynamodb::types::SseDescription;
    use aws_sdk_dynamodb::types::StreamSpecification;

    use super::*;

    fn key(name: &str, kind: KeyType) -> KeySchemaElement {
        let key = KeySchemaElement::builder().attribute_name(name).key_type(kind);
        key.build().unwrap()
    }

    fn stream(view: StreamViewType) -> StreamSpecification {
        let stream = StreamSpecification::builder().stream_enabled(true);
        stream.stream_view_type(view).build().unwrap()
    }

    fn carts() -> aws_sdk_dynamodb::types::builders::TableDescriptionBuilder {
        TableDescription::builder()
            .key_schema(key(PK, KeyType::Hash))
            .key_schema(key(SK, KeyType::Range))
            .stream_specification(stream(StreamViewType::NewImage))
    }

    fn items(differences: &[Difference]) -> Vec<&str> {
        differences
            .iter()
            .map(|difference| difference.item.as_str())
            .collect()
    }

    #[test]
    fn a_table_as_needed_has_no_difference() {
        assert_eq!(needs(Table::Carts, &carts().build()), []);
        let keys = carts().set_stream_specification(None).build();
        assert_eq!(needs(Table::Keys, &keys), []);
    }

    #[test]
    fn each_thing_that_breaks_the_store_is_named() {
        let attribute = AttributeDefinition::builder()
            .attribute_name(SK)
            .attribute_type(ScalarAttributeType::N)
            .build()
            .unwrap();
        let found = carts()
            .set_key_schema(Some(vec![key(PK, KeyType::Hash)]))
            .attribute_definitions(attribute)
            .stream_specification(stream(StreamViewType::KeysOnly))
            .build();
        let differences = needs(Table::Inventory, &found);
        assert_eq!(
            items(&differences),
            ["keys", "index index-1", "index index-2", "attribute sk", "stream"]
        );
        assert!(differences.iter().all(|difference| difference.breaks));
        assert_eq!(differences[0].found, "pk HASH");
    }

    #[test]
    fn what_was_not_asked_for_is_not_compared() {
        let ttl = Extras {
            ttl: Some(TTL.to_owned()),
            ..Extras::default()
        };
        assert_eq!(wishes(&TableOptions::new(), &carts().build(), &ttl), []);
    }

    #[test]
    fn each_thing_that_was_asked_for_is_compared() {
        let asked = TableOptions::new()
            .provisioned(Scaling::between(5, 10), Scaling::fixed(5))
            .encrypted_with("1234")
            .point_in_time_recovery()
            .protected_from_deletion()
            .tag("team", "shop");
        let nothing = Extras {
            ttl: Some(String::new()),
            recovery: Some(false),
            tags: Some(BTreeMap::new()),
        };
        let wanting = wishes(&asked, &carts().build(), &nothing);
        assert_eq!(
            items(&wanting),
            [
                "ttl",
                "capacity",
                "encryption",
                "recovery",
                "protection",
                "tag team"
            ]
        );
        assert!(wanting.iter().all(|difference| !difference.breaks));
        let encrypted = SseDescription::builder()
            .sse_type(SseType::Kms)
            .kms_master_key_arn("arn:aws:kms:eu-central-1:1:key/1234")
            .build();
        let capacity = ProvisionedThroughputDescription::builder()
            .read_capacity_units(7)
            .write_capacity_units(5)
            .build();
        let right = carts()
            .provisioned_throughput(capacity)
            .sse_description(encrypted)
            .deletion_protection_enabled(true)
            .build();
        let all = Extras {
            ttl: Some(TTL.to_owned()),
            recovery: Some(true),
            tags: Some(BTreeMap::from([("team".to_owned(), "shop".to_owned())])),
        };
        assert_eq!(wishes(&asked, &right, &all), []);
    }
}
