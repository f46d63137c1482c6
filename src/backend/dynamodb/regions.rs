//! Tables that are replicated to several regions: what is safe there, found out when the store is opened.
//!
//! - With eventual consistency the last writer of an item wins, whatever conditions it had: counters, versions and transactions
//!   hold within one region. So a shop is written in one, and read in all.
//! - With strong consistency there are no transactions, and a commit is one.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::MultiRegionConsistency;
use aws_sdk_dynamodb::types::TableDescription;

use super::options::DynamoOptions;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::spi::store::Migrate;
use crate::spi::store::Regions;

/// How the shop lies in regions, and whether it may be written from here.
///
/// # Errors
/// - `Unsupported`: strongly consistent global tables.
/// - `Config`: tables that are replicated unlike each other, or to several regions none of which is told to be written; a
///   region to be written that has no replica; `Migrate::Apply` where the shop is only read.
pub(super) fn regions(options: &DynamoOptions, tables: &[TableDescription]) -> Result<Regions> {
    if let Some(strong) = tables.iter().find(|table| is_strong(table)) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "strongly consistent global tables have no transactions, without which nothing can be committed: replicate the tables with eventual consistency",
        )
        .concerning(name(strong)));
    }
    let own = options.region.as_deref().unwrap_or_default();
    let mut spreads = tables.iter().map(|table| (table, spread(table, own)));
    let Some((_, spread)) = spreads.next() else {
        return Ok(Regions::One);
    };
    if let Some((other, _)) = spreads.find(|(_, other)| *other != spread) {
        return Err(config("the tables of a shop are replicated to the same regions").concerning(name(other)));
    }
    let known = spread.iter().cloned().collect::<Vec<_>>().join(", ");
    match options.write_region.as_deref() {
        None if spread.len() == 1 => Ok(Regions::One),
        None => Err(config(format!(
            "the tables are replicated to {known}: tell in which region the shop is written by DynamoOptions::write_region"
        ))),
        Some(region) if !spread.contains(region) => Err(config(format!(
            "the shop is to be written in {region}, and its tables lie in {known}"
        ))),
        Some(_) if spread.len() == 1 => Ok(Regions::One),
        Some(region) if region == own => Ok(Regions::WrittenHere),
        Some(_) if options.migrate == Migrate::Apply => Err(config(
            "tables are made in the region in which the shop is written",
        )),
        Some(_) => Ok(Regions::WrittenElsewhere),
    }
}

fn is_strong(table: &TableDescription) -> bool {
    table.multi_region_consistency() == Some(&MultiRegionConsistency::Strong)
        || !table.global_table_witnesses().is_empty()
}

/// The regions that a table lies in. The service may or may not count the one that is asked.
fn spread(table: &TableDescription, own: &str) -> BTreeSet<String> {
    let replicas = table
        .replicas()
        .iter()
        .filter_map(|replica| replica.region_name());
    replicas.chain([own]).map(str::to_owned).collect()
}

fn name(table: &TableDescription) -> &str {
    table.table_name().unwrap_or_default()
}

fn config(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Config, message)
}

/// A write where the shop is only read.
pub(super) fn written_elsewhere() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "the shop is written in another region, and only read in this one",
    )
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::ReplicaDescription;

    use super::*;

    fn table(replicas: &[&str]) -> TableDescription {
        let replicas = replicas.iter().map(|region| {
            let replica = ReplicaDescription::builder();
            replica.region_name(*region).build()
        });
        TableDescription::builder()
            .table_name("shop-orders")
            .set_replicas(Some(replicas.collect()))
            .build()
    }

    fn options() -> DynamoOptions {
        DynamoOptions::new("shop-")
            .region("eu-central-1")
            .migrate(Migrate::Check)
    }

    #[test]
    fn one_region_needs_nothing_to_be_told() {
        let tables = [table(&[]), table(&["eu-central-1"])];
        for options in [options(), options().write_region("eu-central-1")] {
            assert_eq!(regions(&options, &tables).unwrap(), Regions::One);
        }
    }

    #[test]
    fn several_regions_are_written_in_the_one_that_is_told() {
        let tables = [table(&["eu-west-1"]), table(&["eu-west-1", "eu-central-1"])];
        let of = |options: DynamoOptions| regions(&options, &tables);
        let here = of(options().write_region("eu-central-1")).unwrap();
        assert_eq!(here, Regions::WrittenHere);
        let elsewhere = of(options().write_region("eu-west-1")).unwrap();
        assert_eq!(elsewhere, Regions::WrittenElsewhere);
        assert!(here.takes_writes() && !elsewhere.takes_writes());
        for wrong in [
            options(),
            options().write_region("us-east-1"),
            options().write_region("eu-west-1").migrate(Migrate::Apply),
        ] {
            assert!(of(wrong).unwrap_err().is(ErrorKind::Config));
        }
    }

    #[test]
    fn tables_that_are_replicated_unlike_each_other_are_refused() {
        let tables = [table(&["eu-west-1"]), table(&[])];
        let options = options().write_region("eu-central-1");
        assert!(regions(&options, &tables).unwrap_err().is(ErrorKind::Config));
    }

    #[test]
    fn strong_consistency_is_refused_whatever_is_told() {
        let strong = TableDescription::builder()
            .multi_region_consistency(MultiRegionConsistency::Strong)
            .build();
        let options = options().write_region("eu-central-1");
        let refused = regions(&options, &[table(&[]), strong]).unwrap_err();
        assert!(refused.is(ErrorKind::Unsupported));
    }
}
