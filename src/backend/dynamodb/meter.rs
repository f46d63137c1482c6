//! Counts what every call cost and why it was throttled, in one place: an interceptor of the client asks for the units of each
//! call and looks at each answer.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use aws_sdk_dynamodb::config::ConfigBag;
use aws_sdk_dynamodb::config::Intercept;
use aws_sdk_dynamodb::config::RuntimeComponents;
use aws_sdk_dynamodb::config::interceptors::BeforeSerializationInterceptorContextMut;
use aws_sdk_dynamodb::config::interceptors::FinalizerInterceptorContextRef;
use aws_sdk_dynamodb::operation::batch_get_item::BatchGetItemInput;
use aws_sdk_dynamodb::operation::batch_get_item::BatchGetItemOutput;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemInput;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemOutput;
use aws_sdk_dynamodb::operation::get_item::GetItemInput;
use aws_sdk_dynamodb::operation::get_item::GetItemOutput;
use aws_sdk_dynamodb::operation::put_item::PutItemInput;
use aws_sdk_dynamodb::operation::put_item::PutItemOutput;
use aws_sdk_dynamodb::operation::query::QueryInput;
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::scan::ScanInput;
use aws_sdk_dynamodb::operation::scan::ScanOutput;
use aws_sdk_dynamodb::operation::transact_get_items::TransactGetItemsInput;
use aws_sdk_dynamodb::operation::transact_get_items::TransactGetItemsOutput;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsInput;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsOutput;
use aws_sdk_dynamodb::operation::update_item::UpdateItemInput;
use aws_sdk_dynamodb::operation::update_item::UpdateItemOutput;
use aws_sdk_dynamodb::types::ConsumedCapacity;
use aws_sdk_dynamodb::types::ReturnConsumedCapacity;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::Input;
use aws_smithy_runtime_api::client::interceptors::context::Output;
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use serde_json::Value;

use super::cancelled;
use super::usage::DynamoUsage;

/// The counters; clones count together.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter(Arc<Mutex<DynamoUsage>>);

/// What kind of units a call consumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Reads,
    Writes,
}

/// One line a call that consumes units: its types, and what it consumes.
macro_rules! calls {
    ($($name:literal: $input:ty, $output:ty, $side:expr;)*) => {
        /// Asks for the units of a call.
        fn ask(input: &mut Input) {
            $(if let Some(input) = input.downcast_mut::<$input>() {
                input.return_consumed_capacity = Some(ReturnConsumedCapacity::Total);
                return;
            })*
        }

        /// A call by its name, and what it consumes.
        fn call(cfg: &ConfigBag) -> Option<(&'static str, Side)> {
            match cfg.load::<Metadata>()?.name() {
                $($name => Some(($name, $side)),)*
                _ => None,
            }
        }

        /// The units that an answer tells.
        fn units(output: &Output) -> f64 {
            $(if let Some(output) = output.downcast_ref::<$output>() {
                let told = output.consumed_capacity.iter().flat_map(Each::each);
                return told.filter_map(ConsumedCapacity::capacity_units).sum();
            })*
            0.0
        }
    };
}

calls! {
    "BatchGetItem": BatchGetItemInput, BatchGetItemOutput, Side::Reads;
    "TransactWriteItems": TransactWriteItemsInput, TransactWriteItemsOutput, Side::Writes;
    "Query": QueryInput, QueryOutput, Side::Reads;
    "TransactGetItems": TransactGetItemsInput, TransactGetItemsOutput, Side::Reads;
    "UpdateItem": UpdateItemInput, UpdateItemOutput, Side::Writes;
    "PutItem": PutItemInput, PutItemOutput, Side::Writes;
    "DeleteItem": DeleteItemInput, DeleteItemOutput, Side::Writes;
    "GetItem": GetItemInput, GetItemOutput, Side::Reads;
    "Scan": ScanInput, ScanOutput, Side::Reads;
}

/// Answers tell the capacity of one table, or of several.
trait Each {
    fn each(&self) -> &[ConsumedCapacity];
}

impl Each for ConsumedCapacity {
    fn each(&self) -> &[ConsumedCapacity] {
        std::slice::from_ref(self)
    }
}

impl Each for Vec<ConsumedCapacity> {
    fn each(&self) -> &[ConsumedCapacity] {
        self
    }
}

impl Meter {
    pub(super) fn usage(&self) -> DynamoUsage {
        self.locked().clone()
    }

    /// Something is tried once more.
    pub(super) fn repeats(&self) {
        self.locked().repeats += 1;
    }

    fn locked(&self) -> MutexGuard<'_, DynamoUsage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, (name, side): (&'static str, Side), context: &FinalizerInterceptorContextRef<'_>) {
        let mut usage = self.locked();
        let of_call = usage.operations.entry(name).or_default();
        match context.output_or_error() {
            Some(Ok(output)) => match side {
                Side::Reads => of_call.read_units += units(output),
                Side::Writes => of_call.write_units += units(output),
            },
            Some(Err(_)) | None => {
                of_call.failed += 1;
                let body = context.response().and_then(|response| response.body().bytes());
                if let Some(reason) = body.and_then(throttled) {
                    usage.throttles.count(&reason);
                }
            }
        }
    }
}

impl Intercept for Meter {
    fn name(&self) -> &'static str {
        "stockroom::Meter"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        ask(context.input_mut());
        if let Some((name, _)) = call(cfg) {
            self.locked().operations.entry(name).or_default().calls += 1;
        }
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(call) = call(cfg) {
            self.count(call, context);
        }
        Ok(())
    }
}

/// Why an attempt was throttled, in the service's words; nothing where it was not. One reason an attempt: the first.
///
/// The types of the client library have the reasons in five shapes; what is sent has one, spelled in two ways.
fn throttled(body: &[u8]) -> Option<String> {
    let error: Value = serde_json::from_slice(body).ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(reasons) = cancelled::reasons(body) {
        return reasons.into_iter().find(|reason| is_throttle(reason));
    }
    let code = error.get("__type")?.as_str()?.rsplit('#').next()?;
    if !is_throttle(code) {
        return None;
    }
    let reasons = error
        .get("ThrottlingReasons")
        .or_else(|| error.get("throttlingReasons"));
    let told = reasons.and_then(|reasons| reasons.get(0)?.get("reason"));
    told.and_then(text).or_else(|| Some(code.to_owned()))
}

fn is_throttle(code: &str) -> bool {
    matches!(
        code,
        "ThrottlingException"
            | "ThrottlingError"
            | "ProvisionedThroughputExceededException"
            | "ProvisionedThroughputExceeded"
            | "RequestLimitExceeded"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(body: &str) -> Option<String> {
        throttled(body.as_bytes())
    }

    #[test]
    fn the_reason_is_read_in_either_spelling() {
        let told = r#"{"__type":"a#ThrottlingException","throttlingReasons":[{"reason":"TableReadKeyRangeThroughputExceeded"}]}"#;
        assert_eq!(
            reason(told).as_deref(),
            Some("TableReadKeyRangeThroughputExceeded")
        );
        let told = r#"{"__type":"a#RequestLimitExceeded","ThrottlingReasons":[{"reason":"TableWriteAccountLimitExceeded"}]}"#;
        assert_eq!(reason(told).as_deref(), Some("TableWriteAccountLimitExceeded"));
        assert_eq!(
            reason(r#"{"__type":"a#RequestLimitExceeded"}"#).as_deref(),
            Some("RequestLimitExceeded")
        );
    }

    #[test]
    fn a_cancelled_transaction_is_throttled_if_one_of_its_items_is() {
        let told = r#"{"__type":"a#TransactionCanceledException","CancellationReasons":[{"Code":"None"},{"Code":"ThrottlingError"}]}"#;
        assert_eq!(reason(told).as_deref(), Some("ThrottlingError"));
        let other = r#"{"__type":"a#TransactionCanceledException","CancellationReasons":[{"Code":"TransactionConflict"}]}"#;
        assert_eq!(reason(other), None);
        assert_eq!(reason(r#"{"__type":"a#ConditionalCheckFailedException"}"#), None);
        assert_eq!(reason("no JSON"), None);
    }
}
