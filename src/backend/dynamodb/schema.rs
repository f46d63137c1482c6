//! The tables as they must be: compared when a store is opened, created on request only.

use std::time::Duration;

use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::types::AttributeDefinition;
use aws_sdk_dynamodb::types::BillingMode;
use aws_sdk_dynamodb::types::GlobalSecondaryIndex;
use aws_sdk_dynamodb::types::KeySchemaElement;
use aws_sdk_dynamodb::types::KeyType;
use aws_sdk_dynamodb::types::Projection;
use aws_sdk_dynamodb::types::ProjectionType;
use aws_sdk_dynamodb::types::ScalarAttributeType;
use aws_sdk_dynamodb::types::StreamSpecification;
use aws_sdk_dynamodb::types::StreamViewType;
use aws_sdk_dynamodb::types::TableDescription;
use aws_sdk_dynamodb::types::TableStatus;
use aws_sdk_dynamodb::types::TimeToLiveSpecification;

use super::error::Class;
use super::fetch::incomplete;
use super::keys::PK;
use super::keys::SK;
use super::records::TTL;
use super::tables::Index;
use super::tables::Table;
use super::wire::Wire;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Deadline;
use crate::spi::store::Migrate;

/// How often a table that is being made is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// What is known about a table.
enum State {
    Missing,
    /// It is there, and may still be in the making.
    There(Box<TableDescription>),
}

/// Compares the tables with what is needed, and creates what is missing where that is asked for.
///
/// # Errors
/// - `Config` naming the table: it is missing, or has other keys or indexes.
/// - `Unauthenticated`, `PermissionDenied` for credentials that are wrong or may not do this.
/// - `Unavailable`, `Timeout` when the service cannot be reached or takes too long.
pub(super) async fn prepare(wire: &Wire, migrate: Migrate, deadline: Deadline) -> Result<()> {
    for table in Table::ALL {
        match (describe(wire, table, deadline).await?, migrate) {
            (State::There(found), _) => compare(wire, table, &found)?,
            (State::Missing, Migrate::Apply) => create(wire, table, deadline).await?,
            (State::Missing, _) => {
                return Err(config(
                    wire,
                    table,
                    "does not exist in this region: create it with Migrate::Apply, or correct prefix and region",
                ));
            }
        }
    }
    for table in Table::ALL {
        wait(wire, table, deadline).await?;
    }
    Ok(())
}

async fn describe(wire: &Wire, table: Table, deadline: Deadline) -> Result<State> {
    let send = || async {
        let call = wire.client.describe_table().table_name(wire.name(table));
        match call.send().await {
            Ok(answer) => Ok(answer.table),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DescribeTableError::is_resource_not_found_exception) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    };
    let found = wire.read(deadline, send).await?;
    Ok(found.map_or(State::Missing, |found| State::There(Box::new(found))))
}

fn compare(wire: &Wire, table: Table, found: &TableDescription) -> Result<()> {
    if keys(found.key_schema()) != [(PK, "HASH"), (SK, "RANGE")] {
        return Err(config(
            wire,
            table,
            "has other keys than pk and sk: it is no table of a shop, use another prefix",
        ));
    }
    for index in table.indexes() {
        let (name, pk, sk) = index.names();
        let mut indexes = found.global_secondary_indexes().iter();
        let own = indexes.find(|own| own.index_name() == Some(name));
        let same = own.is_some_and(|own| keys(own.key_schema()) == [(pk, "HASH"), (sk, "RANGE")]);
        if !same {
            return Err(config(wire, table, "lacks an index, or has one with other keys")
                .concerning(format!("{} {name}", wire.name(table))));
        }
    }
    let types = found.attribute_definitions().iter();
    let mut others = types.filter(|attribute| attribute.attribute_type != ScalarAttributeType::S);
    if let Some(other) = others.next() {
        return Err(
            config(wire, table, "has a key that is no text").concerning(format!(
                "{} {}",
                wire.name(table),
                other.attribute_name
            )),
        );
    }
    Ok(())
}

fn keys(schema: &[KeySchemaElement]) -> Vec<(&str, &str)> {
    let mut keys: Vec<_> = schema
        .iter()
        .map(|key| (key.attribute_name(), key.key_type().as_str()))
        .collect();
    keys.sort_by_key(|(_, kind)| *kind);
    keys
}

async fn create(wire: &Wire, table: Table, deadline: Deadline) -> Result<()> {
    let mut attributes = vec![attribute(PK)?, attribute(SK)?];
    let mut indexes = Vec::new();
    for index in table.indexes() {
        let (_, pk, sk) = index.names();
        attributes.extend([attribute(pk)?, attribute(sk)?]);
        indexes.push(secondary(*index)?);
    }
    // Keys are no change of anything: nobody follows them.
    let stream = (table != Table::Keys)
        .then(|| {
            StreamSpecification::builder()
                .stream_enabled(true)
                .stream_view_type(StreamViewType::NewImage)
                .build()
                .map_err(incomplete)
        })
        .transpose()?;
    let schema = schema(PK, SK)?;
    let send = || {
        wire.client
            .create_table()
            .table_name(wire.name(table))
            .set_key_schema(Some(schema.clone()))
            .set_attribute_definitions(Some(attributes.clone()))
            .set_global_secondary_indexes((!indexes.is_empty()).then(|| indexes.clone()))
            .billing_mode(BillingMode::PayPerRequest)
            .set_stream_specification(stream.clone())
            .send()
    };
    match wire.once(deadline, send()).await {
        Ok(_) => {}
        // Another process may have been faster, or our own call whose answer was lost: the table is looked at next.
        Err(failed) if failed.class != Class::Final => {
            tracing::debug!(kind = ?failed.error.kind(), "a table may exist already");
        }
        Err(failed) => return Err(failed.error),
    }
    wait(wire, table, deadline).await?;
    expire(wire, table, deadline).await
}

/// Lets the service remove by itself what nobody asks for any more.
async fn expire(wire: &Wire, table: Table, deadline: Deadline) -> Result<()> {
    let ttl = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name(TTL)
        .build()
        .map_err(incomplete)?;
    let call = wire
        .client
        .update_time_to_live()
        .table_name(wire.name(table))
        .time_to_live_specification(ttl)
        .send();
    match wire.once(deadline, call).await {
        Ok(_) => Ok(()),
        // Switched on already: nothing rests on it.
        Err(failed) if failed.error.is(ErrorKind::Internal) => Ok(()),
        Err(failed) => Err(failed.error),
    }
}

/// Waits until the table takes reads and writes.
async fn wait(wire: &Wire, table: Table, deadline: Deadline) -> Result<()> {
    loop {
        if let State::There(found) = describe(wire, table, deadline).await?
            && found.table_status == Some(TableStatus::Active)
        {
            return compare(wire, table, &found);
        }
        if deadline.remaining() <= LOOK {
            return Err(
                Error::new(ErrorKind::Timeout, "the table is still being made").concerning(wire.name(table))
            );
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn secondary(index: Index) -> Result<GlobalSecondaryIndex> {
    let (name, pk, sk) = index.names();
    GlobalSecondaryIndex::builder()
        .index_name(name)
        .set_key_schema(Some(schema(pk, sk)?))
        .projection(
            Projection::builder()
                .projection_type(ProjectionType::KeysOnly)
                .build(),
        )
        .build()
        .map_err(incomplete)
}

fn schema(pk: &str, sk: &str) -> Result<Vec<KeySchemaElement>> {
    [(pk, KeyType::Hash), (sk, KeyType::Range)]
        .into_iter()
        .map(|(name, kind)| {
            let key = KeySchemaElement::builder().attribute_name(name).key_type(kind);
            key.build().map_err(incomplete)
        })
        .collect()
}

fn attribute(name: &str) -> Result<AttributeDefinition> {
    AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(ScalarAttributeType::S)
        .build()
        .map_err(incomplete)
}

fn config(wire: &Wire, table: Table, message: &'static str) -> Error {
    Error::new(ErrorKind::Config, format!("table {} {message}", wire.name(table)))
        .concerning(wire.name(table))
}
