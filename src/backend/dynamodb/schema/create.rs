//! Making tables as they were asked for, and finishing those whose making was interrupted.

use aws_sdk_dynamodb::operation::update_continuous_backups::UpdateContinuousBackupsError;
use aws_sdk_dynamodb::types::AttributeDefinition;
use aws_sdk_dynamodb::types::BillingMode;
use aws_sdk_dynamodb::types::GlobalSecondaryIndex;
use aws_sdk_dynamodb::types::KeySchemaElement;
use aws_sdk_dynamodb::types::KeyType;
use aws_sdk_dynamodb::types::PointInTimeRecoverySpecification;
use aws_sdk_dynamodb::types::Projection;
use aws_sdk_dynamodb::types::ProjectionType;
use aws_sdk_dynamodb::types::ProvisionedThroughput;
use aws_sdk_dynamodb::types::ScalarAttributeType;
use aws_sdk_dynamodb::types::SseSpecification;
use aws_sdk_dynamodb::types::SseType;
use aws_sdk_dynamodb::types::StreamSpecification;
use aws_sdk_dynamodb::types::StreamViewType;
use aws_sdk_dynamodb::types::Tag;
use aws_sdk_dynamodb::types::TimeToLiveSpecification;

use super::LOOK;
use crate::backend::dynamodb::error::Class;
use crate::backend::dynamodb::fetch::incomplete;
use crate::backend::dynamodb::keys::PK;
use crate::backend::dynamodb::keys::SK;
use crate::backend::dynamodb::records::TTL;
use crate::backend::dynamodb::table_options::TableCapacity;
use crate::backend::dynamodb::table_options::TableEncryption;
use crate::backend::dynamodb::table_options::TableOptions;
use crate::backend::dynamodb::tables::Index;
use crate::backend::dynamodb::tables::Table;
use crate::backend::dynamodb::wire::Wire;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Deadline;

/// Asks for a table; it is in the making then.
pub(super) async fn begin(
    wire: &Wire,
    table: Table,
    options: &TableOptions,
    deadline: Deadline,
) -> Result<()> {
    let throughput = throughput(options)?;
    let mut attributes = vec![attribute(PK)?, attribute(SK)?];
    let mut indexes = Vec::new();
    for index in table.indexes() {
        let (_, pk, sk) = index.names();
        attributes.extend([attribute(pk)?, attribute(sk)?]);
        indexes.push(secondary(*index, throughput.clone())?);
    }
    let tags = options.tags.iter().map(|(key, value)| {
        let tag = Tag::builder().key(key).value(value);
        tag.build().map_err(incomplete)
    });
    let tags = tags.collect::<Result<Vec<_>>>()?;
    let call = wire
        .client
        .create_table()
        .table_name(wire.name(table))
        .set_key_schema(Some(schema(PK, SK)?))
        .set_attribute_definitions(Some(attributes))
        .set_global_secondary_indexes((!indexes.is_empty()).then_some(indexes))
        .billing_mode(match options.capacity {
            TableCapacity::OnDemand => BillingMode::PayPerRequest,
            TableCapacity::Provisioned { .. } => BillingMode::Provisioned,
        })
        .set_provisioned_throughput(throughput)
        .set_stream_specification(stream(table)?)
        .set_sse_specification(encryption(&options.encryption))
        .set_deletion_protection_enabled(options.protection.then_some(true))
        .set_tags((!tags.is_empty()).then_some(tags))
        .send();
    match wire.once(deadline, call).await {
        Ok(_) => Ok(()),
        // Another process may have been faster, or our own call whose answer was lost: the table is looked at next.
        Err(failed) if failed.class != Class::Final => {
            tracing::debug!(kind = ?failed.error.kind(), "a table may exist already");
            Ok(())
        }
        Err(failed) => Err(failed.error),
    }
}

/// Lets the service remove by itself what nobody asks for any more.
pub(super) async fn expire(wire: &Wire, table: Table, deadline: Deadline) -> Result<()> {
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
        // Another process has switched it on: nothing rests on it.
        Err(failed) if failed.error.is(ErrorKind::Internal) => Ok(()),
        Err(failed) => Err(failed.error),
    }
}

/// Keeps what it takes to restore the table to any second.
pub(super) async fn protect_by_recovery(wire: &Wire, table: Table, deadline: Deadline) -> Result<()> {
    let recovery = PointInTimeRecoverySpecification::builder()
        .point_in_time_recovery_enabled(true)
        .build()
        .map_err(incomplete)?;
    let send = || async {
        let call = wire.client.update_continuous_backups();
        let call = call.table_name(wire.name(table));
        match call
            .point_in_time_recovery_specification(recovery.clone())
            .send()
            .await
        {
            Ok(_) => Ok(true),
            // The backups of a new table come into being a moment after it.
            Err(error)
                if error.as_service_error().is_some_and(
                    UpdateContinuousBackupsError::is_continuous_backups_unavailable_exception,
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    };
    while !wire.read(deadline, send).await? {
        if deadline.remaining() <= LOOK {
            return Err(Error::new(
                ErrorKind::Timeout,
                "point-in-time recovery cannot be switched on yet",
            )
            .concerning(wire.name(table)));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// The capacity that a table and its indexes begin with.
fn throughput(options: &TableOptions) -> Result<Option<ProvisionedThroughput>> {
    let TableCapacity::Provisioned { reads, writes } = options.capacity else {
        return Ok(None);
    };
    let throughput = ProvisionedThroughput::builder()
        .read_capacity_units(i64::from(reads.least))
        .write_capacity_units(i64::from(writes.least));
    throughput.build().map(Some).map_err(incomplete)
}

fn encryption(asked: &TableEncryption) -> Option<SseSpecification> {
    let key = match asked {
        TableEncryption::ServiceKey => return None,
        TableEncryption::ManagedKey => None,
        TableEncryption::Key(key) => Some(key.clone()),
    };
    let specification = SseSpecification::builder()
        .enabled(true)
        .sse_type(SseType::Kms)
        .set_kms_master_key_id(key);
    Some(specification.build())
}

fn stream(table: Table) -> Result<Option<StreamSpecification>> {
    if !table.has_stream() {
        return Ok(None);
    }
    let stream = StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::NewImage);
    stream.build().map(Some).map_err(incomplete)
}

fn secondary(index: Index, throughput: Option<ProvisionedThroughput>) -> Result<GlobalSecondaryIndex> {
    let (name, pk, sk) = index.names();
    GlobalSecondaryIndex::builder()
        .index_name(name)
        .set_key_schema(Some(schema(pk, sk)?))
        .projection(
            Projection::builder()
                .projection_type(ProjectionType::KeysOnly)
                .build(),
        )
        .set_provisioned_throughput(throughput)
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
