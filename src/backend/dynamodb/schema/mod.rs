//! The tables as they must be: compared when a store is opened, made on request only.

mod compare;
mod create;
mod report;

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::types::PointInTimeRecoveryStatus;
use aws_sdk_dynamodb::types::TableDescription;
use aws_sdk_dynamodb::types::TableStatus;
use aws_sdk_dynamodb::types::TimeToLiveStatus;

pub use report::Difference;
pub use report::TableReport;
pub use report::TableState;
pub use report::TablesReport;

use self::compare::Extras;
use super::options::DynamoOptions;
use super::records::TTL;
use super::table_options::TableOptions;
use super::tables::Table;
use super::wire::Wire;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Deadline;
use crate::spi::store::Migrate;

/// How often a table that is being made is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Compares the tables with what is needed, and makes what is missing where that is asked for.
///
/// - Tables that are made are asked for all at once, and then waited for.
/// - `Migrate::Apply` finishes what an interrupted making has left: the removal of ended items, and recovery where it is asked
///   for.
///
/// # Errors
/// - `Config` naming the table: it is missing, or has other keys, indexes, types or no stream.
/// - `Unauthenticated`, `PermissionDenied` for credentials that are wrong or may not do this.
/// - `Unavailable`, `Timeout` when the service cannot be reached or takes too long.
pub(super) async fn prepare(
    wire: &Wire,
    options: &DynamoOptions,
    deadline: Deadline,
) -> Result<Vec<TableDescription>> {
    for table in Table::ALL {
        match (look(wire, table, deadline).await?, options.migrate) {
            (Some(found), _) => check(wire, table, &found)?,
            (None, Migrate::Apply) => create::begin(wire, table, &options.tables, deadline).await?,
            (None, _) => {
                let region = options.region.as_deref().unwrap_or_default();
                let name = wire.name(table);
                return Err(Error::new(
                    ErrorKind::Config,
                    format!(
                        "table {name} does not exist in {region}: create it with Migrate::Apply, or correct prefix and region"
                    ),
                )
                .concerning(name));
            }
        }
    }
    let mut tables = Vec::new();
    for table in Table::ALL {
        tables.push(wait(wire, table, deadline).await?);
        if options.migrate == Migrate::Apply {
            finish(wire, table, &options.tables, deadline).await?;
        }
    }
    Ok(tables)
}

/// How the tables are, compared with what is needed and asked for.
///
/// # Errors
/// Those of a read. What the service does not tell is reported so.
pub(super) async fn describe(
    wire: &Wire,
    options: &DynamoOptions,
    deadline: Deadline,
) -> Result<TablesReport> {
    let mut tables = Vec::new();
    for table in Table::ALL {
        let mut report = TableReport {
            name: wire.name(table).to_owned(),
            state: TableState::Missing,
            differences: Vec::new(),
        };
        if let Some(found) = look(wire, table, deadline).await? {
            report.state = if is_active(&found) {
                TableState::Active
            } else {
                TableState::NotActive
            };
            report.differences = compare::needs(table, &found);
            let extras = extras(wire, table, &found, &options.tables, deadline).await?;
            report
                .differences
                .extend(compare::wishes(&options.tables, &found, &extras));
        }
        tables.push(report);
    }
    Ok(TablesReport { tables })
}

async fn look(wire: &Wire, table: Table, deadline: Deadline) -> Result<Option<TableDescription>> {
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
    wire.read(deadline, send).await
}

/// What is asked about a table beside its description, as far as it is compared.
async fn extras(
    wire: &Wire,
    table: Table,
    found: &TableDescription,
    asked: &TableOptions,
    deadline: Deadline,
) -> Result<Extras> {
    let mut extras = Extras {
        ttl: told(ttl(wire, table, deadline).await)?,
        ..Extras::default()
    };
    if asked.recovery {
        extras.recovery = told(recovery(wire, table, deadline).await)?;
    }
    if let (false, Some(arn)) = (asked.tags.is_empty(), found.table_arn()) {
        extras.tags = told(tags(wire, arn, deadline).await)?;
    }
    Ok(extras)
}

/// An answer, unless the service has none: the local engine knows neither backups nor tags.
fn told<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is(ErrorKind::Internal) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn ttl(wire: &Wire, table: Table, deadline: Deadline) -> Result<String> {
    let send = || {
        let call = wire.client.describe_time_to_live();
        call.table_name(wire.name(table)).send()
    };
    let found = wire.read(deadline, send).await?.time_to_live_description;
    let on = found.filter(|found| {
        matches!(
            found.time_to_live_status(),
            Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)
        )
    });
    Ok(on.and_then(|found| found.attribute_name).unwrap_or_default())
}

async fn recovery(wire: &Wire, table: Table, deadline: Deadline) -> Result<bool> {
    let send = || {
        let call = wire.client.describe_continuous_backups();
        call.table_name(wire.name(table)).send()
    };
    let found = wire.read(deadline, send).await?.continuous_backups_description;
    let found = found.and_then(|found| found.point_in_time_recovery_description);
    let status = found.and_then(|found| found.point_in_time_recovery_status);
    Ok(status == Some(PointInTimeRecoveryStatus::Enabled))
}

async fn tags(wire: &Wire, arn: &str, deadline: Deadline) -> Result<BTreeMap<String, String>> {
    let mut tags = BTreeMap::new();
    let mut after: Option<String> = None;
    loop {
        let send = || {
            let call = wire.client.list_tags_of_resource().resource_arn(arn);
            call.set_next_token(after.clone()).send()
        };
        let answer = wire.read(deadline, send).await?;
        tags.extend(
            answer
                .tags
                .unwrap_or_default()
                .into_iter()
                .map(|tag| (tag.key, tag.value)),
        );
        after = answer.next_token;
        if after.is_none() {
            return Ok(tags);
        }
    }
}

/// Switches on what can only be switched on once a table is there.
async fn finish(wire: &Wire, table: Table, asked: &TableOptions, deadline: Deadline) -> Result<()> {
    if ttl(wire, table, deadline).await? != TTL {
        create::expire(wire, table, deadline).await?;
    }
    if asked.recovery && told(recovery(wire, table, deadline).await)? != Some(true) {
        create::protect_by_recovery(wire, table, deadline).await?;
    }
    Ok(())
}

/// Waits until the table takes reads and writes.
async fn wait(wire: &Wire, table: Table, deadline: Deadline) -> Result<TableDescription> {
    loop {
        if let Some(found) = look(wire, table, deadline).await?
            && is_active(&found)
        {
            check(wire, table, &found)?;
            return Ok(found);
        }
        if deadline.remaining() <= LOOK {
            return Err(
                Error::new(ErrorKind::Timeout, "the table is still being made").concerning(wire.name(table))
            );
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether the table takes reads and writes: while its settings change it does.
fn is_active(found: &TableDescription) -> bool {
    matches!(
        found.table_status,
        Some(TableStatus::Active | TableStatus::Updating)
    )
}

/// # Errors
/// `Config` for the first thing without which the store cannot work.
fn check(wire: &Wire, table: Table, found: &TableDescription) -> Result<()> {
    let Some(first) = compare::needs(table, found).into_iter().next() else {
        return Ok(());
    };
    let Difference {
        item, wanted, found, ..
    } = first;
    let name = wire.name(table);
    let message = format!("table {name} differs in its {item}: {wanted} is needed, {found} is there");
    let error = Error::new(ErrorKind::Config, message);
    Err(match item.as_str() {
        // It is no table of a shop.
        "keys" => error.concerning(name),
        _ => error.concerning(format!("{name} {item}")),
    })
}
