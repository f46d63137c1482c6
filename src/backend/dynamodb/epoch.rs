//! The epoch in the table of keys.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::ReturnValue;

use super::commit::EPOCH;
use super::error::Class;
use super::item::Read as _;
use super::keys::Key;
use super::wire::Wire;
use crate::backend::epoch;
use crate::backend::epoch::Epoch;
use crate::error::Result;
use crate::resilience::Deadline;

/// Sets the epoch where it is lower.
const SET: (&str, Option<&str>) = (
    "SET #value = :to",
    Some("attribute_not_exists(#value) OR #value < :to"),
);

/// Adds to it.
const ADD: (&str, Option<&str>) = ("ADD #value :to", None);

/// The epoch that the shop is in.
///
/// # Errors
/// Those of a read.
pub(super) async fn read(wire: &Wire, deadline: Deadline) -> Result<i64> {
    let found = wire.get([Key::epoch()], deadline).await?;
    found.get(&Key::epoch()).map_or(Ok(0), |item| item.get_int(EPOCH))
}

/// Raises the epoch in the table; sent twice it is raised twice, which is harmless.
pub(super) async fn raise(known: &Epoch, wire: &Wire, deadline: Deadline) -> Result<i64> {
    let raised = match update(wire, SET, epoch::next(), deadline).await? {
        Some(raised) => raised,
        // It is of this second, or another's clock is ahead.
        None => update(wire, ADD, 1, deadline).await?.unwrap_or_default(),
    };
    known.saw(raised);
    Ok(raised)
}

/// The epoch afterwards; `None` where the condition does not hold.
async fn update(
    wire: &Wire,
    (update, condition): (&str, Option<&str>),
    to: i64,
    deadline: Deadline,
) -> Result<Option<i64>> {
    let key = Key::epoch();
    let send = || {
        wire.client
            .update_item()
            .table_name(wire.name(key.table))
            .set_key(Some(key.attributes()))
            .update_expression(update)
            .set_condition_expression(condition.map(str::to_owned))
            .expression_attribute_names("#value", EPOCH)
            .expression_attribute_values(":to", AttributeValue::N(to.to_string()))
            .return_values(ReturnValue::UpdatedNew)
            .send()
    };
    match wire.call(deadline, send).await {
        Ok(answer) => answer.attributes.unwrap_or_default().get_int(EPOCH).map(Some),
        Err(failed) if failed.class == Class::Condition => Ok(None),
        Err(failed) => Err(failed.error),
    }
}
