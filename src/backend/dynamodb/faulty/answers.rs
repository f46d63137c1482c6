//! Answers in the service's words.

use std::io;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;
use serde_json::json;

use super::request::Asked;
use crate::testkit::dynamodb::DynamoFault;
use crate::testkit::dynamodb::Strike;

/// What errors are named after.
const SPACE: &str = "com.amazonaws.dynamodb.v20120810#";

/// The connection broke.
pub(super) fn lost() -> ConnectorError {
    ConnectorError::io(io::Error::from(io::ErrorKind::ConnectionReset).into())
}

/// The layer itself could not do it.
pub(super) fn unfit(error: impl std::error::Error + Send + Sync + 'static) -> ConnectorError {
    ConnectorError::user(error.into())
}

/// Something that the service may answer instead of doing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    HotKey,
    TableThroughput,
    AccountThroughput,
    Conflict,
    InProgress,
    Failed,
}

impl Refusal {
    /// What is answered at once, and nothing else happens.
    pub(super) const fn of(fault: DynamoFault) -> Option<Self> {
        match fault {
            DynamoFault::HotKey => Some(Self::HotKey),
            DynamoFault::TableThroughput => Some(Self::TableThroughput),
            DynamoFault::AccountThroughput => Some(Self::AccountThroughput),
            DynamoFault::TransactionConflict => Some(Self::Conflict),
            _ => None,
        }
    }

    pub(super) fn answer(self, asked: &Asked, strike: Strike) -> Result<HttpResponse, ConnectorError> {
        // Any of its items may be the reason.
        let actions = asked.actions().max(1) as u64;
        let culprit = usize::try_from(strike.random % actions).unwrap_or_default();
        let access = if asked.items.is_empty() { "Read" } else { "Write" };
        let throttled = |limit: &str| json!([{"reason": format!("Table{access}{limit}"), "resource": "arn:aws:dynamodb:::table"}]);
        let message = "the fault layer throttles";
        match self {
            Self::HotKey if asked.is_transaction() => cancelled(asked, culprit, "ThrottlingError"),
            Self::TableThroughput if asked.is_transaction() => {
                cancelled(asked, culprit, "ProvisionedThroughputExceeded")
            }
            Self::Conflict if asked.is_transaction() => cancelled(asked, culprit, "TransactionConflict"),
            // The two errors spell the member differently.
            Self::HotKey => refused(
                "ThrottlingException",
                json!({"message": message, "throttlingReasons": throttled("KeyRangeThroughputExceeded")}),
            ),
            Self::TableThroughput => refused(
                "ProvisionedThroughputExceededException",
                json!({"message": message, "ThrottlingReasons": throttled("ProvisionedThroughputExceeded")}),
            ),
            Self::AccountThroughput => refused(
                "RequestLimitExceeded",
                json!({"message": message, "ThrottlingReasons": throttled("AccountLimitExceeded")}),
            ),
            Self::Conflict => refused(
                "TransactionConflictException",
                json!({"message": "Transaction is ongoing for the item"}),
            ),
            Self::InProgress => refused(
                "TransactionInProgressException",
                json!({"Message": "The transaction with the given request token is already in progress."}),
            ),
            Self::Failed => failed(
                500,
                "InternalServerError",
                json!({"message": "The request failed."}),
            ),
        }
    }
}

/// A write comes to an item that another has.
pub(super) fn meets(asked: &Asked, item: &str) -> Result<HttpResponse, ConnectorError> {
    let culprit = asked.items.iter().position(|one| one.name == item);
    if asked.is_transaction() {
        return cancelled(asked, culprit.unwrap_or_default(), "TransactionConflict");
    }
    refused(
        "TransactionConflictException",
        json!({"message": "Transaction is ongoing for the item"}),
    )
}

/// A transaction is cancelled because of one of its actions.
fn cancelled(asked: &Asked, culprit: usize, code: &str) -> Result<HttpResponse, ConnectorError> {
    let reasons: Vec<Value> = (0..asked.actions())
        .map(|action| json!({"Code": if action == culprit { code } else { "None" }}))
        .collect();
    let message = "Transaction cancelled, please refer cancellation reasons for specific reasons";
    refused(
        "TransactionCanceledException",
        json!({"Message": message, "CancellationReasons": reasons}),
    )
}

/// It was done.
pub(super) fn done(content: &Value) -> Result<HttpResponse, ConnectorError> {
    reply(200, content)
}

pub(super) fn refused(code: &str, content: Value) -> Result<HttpResponse, ConnectorError> {
    failed(400, code, content)
}

fn failed(status: u16, code: &str, mut content: Value) -> Result<HttpResponse, ConnectorError> {
    content["__type"] = Value::String(format!("{SPACE}{code}"));
    reply(status, &content)
}

fn reply(status: u16, content: &Value) -> Result<HttpResponse, ConnectorError> {
    let status = StatusCode::try_from(status).map_err(unfit)?;
    let mut answer = HttpResponse::new(status, SdkBody::from(content.to_string()));
    answer
        .headers_mut()
        .insert("content-type", "application/x-amz-json-1.0");
    Ok(answer)
}

/// Gives some keys of a batch back as not read: one at least, and half of them on average.
pub(super) fn partial(mut answer: HttpResponse, content: &[u8], asked: &Asked, random: u64) -> HttpResponse {
    let Ok(mut found) = serde_json::from_slice::<Value>(content) else {
        return with(answer, content.to_vec());
    };
    let mut left_out = serde_json::Map::new();
    let mut number = 0_u32;
    let tables = asked.content.get("RequestItems").and_then(Value::as_object);
    for (table, request) in tables.into_iter().flatten() {
        let keys = request.get("Keys").and_then(Value::as_array);
        let mut unread = Vec::new();
        for key in keys.into_iter().flatten() {
            if number == 0 || random.rotate_right(number) & 1 == 1 {
                unread.push(key.clone());
            }
            number += 1;
        }
        if let Some(items) = found["Responses"][table].as_array_mut() {
            items.retain(|item| !unread.iter().any(|key| has(item, key)));
        }
        if !unread.is_empty() {
            let mut request = request.clone();
            request["Keys"] = Value::Array(unread);
            left_out.insert(table.clone(), request);
        }
    }
    found["UnprocessedKeys"] = Value::Object(left_out);
    // It is the checksum of another body.
    answer.headers_mut().remove("x-amz-crc32");
    with(answer, found.to_string().into_bytes())
}

/// Whether an item has all attributes of a key.
fn has(item: &Value, key: &Value) -> bool {
    let mut attributes = key.as_object().into_iter().flatten();
    attributes.all(|(name, value)| item.get(name) == Some(value))
}

fn with(mut answer: HttpResponse, content: Vec<u8>) -> HttpResponse {
    answer
        .headers_mut()
        .insert("content-length", content.len().to_string());
    *answer.body_mut() = SdkBody::from(content);
    answer
}
