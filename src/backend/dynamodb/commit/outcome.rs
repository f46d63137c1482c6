//! What became of a transaction whose answer was lost.

use std::time::Duration;
use std::time::Instant;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use uuid::Uuid;

use crate::backend::dynamodb::item::Map;
use crate::backend::dynamodb::item::Write as _;
use crate::backend::dynamodb::keys::Key;
use crate::backend::dynamodb::records::TTL;
use crate::backend::dynamodb::wire::Wire;
use crate::resilience::Backoff;
use crate::resilience::Deadline;

/// How long after the last caller's deadline the outcome is still looked for.
const AFTERMATH: Duration = Duration::from_secs(30);

/// How long a void commit is remembered, in seconds.
const REMEMBERED: i64 = 7 * 86_400;

const VOID: &str = "void";

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is through.
    Applied,
    /// It is not, and never will be.
    Voided,
    /// It could not be found out.
    Unknown,
}

impl Wire {
    /// Finds out what became of a transaction.
    ///
    /// - A void item takes the place of the transaction's own commit item. Once it is there the transaction can never be
    ///   applied: the commit item is written under the condition that nothing is in its place. Where the commit item was first,
    ///   the transaction is through. While it is under way the service refuses, and is asked again.
    /// - The request token alone would not do: the service forgets it after ten minutes, and sending again may apply what its
    ///   callers were told is doubtful.
    pub(super) async fn resolve(&self, commit: Uuid, last: Deadline) -> Outcome {
        let until = last.instant() + AFTERMATH;
        let mut attempt = 0;
        while Instant::now() < until {
            match self.void(commit).await {
                Outcome::Unknown => {}
                known => return known,
            }
            tokio::time::sleep(Backoff::default().next(attempt)).await;
            attempt += 1;
        }
        tracing::warn!("the outcome of a commit could not be found out");
        Outcome::Unknown
    }

    async fn void(&self, commit: Uuid) -> Outcome {
        let key = Key::commit(commit);
        let mut item = key.attributes();
        item.put(VOID, AttributeValue::Bool(true));
        item.int(TTL, self.clock.now().unix_timestamp() + REMEMBERED);
        let call = self
            .client
            .put_item()
            .table_name(self.name(key.table))
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send();
        let refused = match Deadline::within(self.attempt_timeout).bound(call).await {
            Some(Ok(_)) => return Outcome::Voided,
            Some(Err(error)) => error,
            None => return Outcome::Unknown,
        };
        match refused.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(found)) => match &found.item {
                Some(item) => told(item),
                // Some versions of the local engine do not give the item back.
                None => self.look(&key).await,
            },
            _ => Outcome::Unknown,
        }
    }

    async fn look(&self, key: &Key) -> Outcome {
        let found = self
            .get([key.clone()], Deadline::within(self.attempt_timeout))
            .await;
        match found {
            Ok(items) => items.get(key).map_or(Outcome::Unknown, told),
            Err(_) => Outcome::Unknown,
        }
    }
}

fn told(item: &Map) -> Outcome {
    if item.contains_key(VOID) {
        Outcome::Voided
    } else {
        Outcome::Applied
    }
}
