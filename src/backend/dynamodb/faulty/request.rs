//! What a request asks for, read from what is sent.

use aws_sdk_dynamodb::config::http::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;

use super::answers::unfit;
use crate::backend::dynamodb::keys::PK;
use crate::backend::dynamodb::keys::SK;

/// The header that names the call, behind a dot.
const TARGET: &str = "x-amz-target";

/// An item that a request writes or checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) name: String,
    writes: bool,
}

/// A request's call, its content, and the items that it writes or checks, in its own order.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) operation: String,
    pub(super) content: Value,
    pub(super) items: Vec<Item>,
}

impl Asked {
    pub(super) fn read(request: &HttpRequest) -> Self {
        let target = request.headers().get(TARGET).unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let content = request.body().bytes().unwrap_or_default();
        Self::new(operation, serde_json::from_slice(content).unwrap_or_default())
    }

    fn new(operation: &str, content: Value) -> Self {
        let items = match operation {
            "PutItem" | "UpdateItem" | "DeleteItem" => item(&content, true).into_iter().collect(),
            "TransactWriteItems" => actions(&content).filter_map(action).collect(),
            _ => Vec::new(),
        };
        Self {
            operation: operation.to_owned(),
            content,
            items,
        }
    }

    /// The names of the items that it writes.
    pub(super) fn written(&self) -> impl Iterator<Item = String> {
        self.items
            .iter()
            .filter(|item| item.writes)
            .map(|item| item.name.clone())
    }

    pub(super) fn is_transaction(&self) -> bool {
        matches!(self.operation.as_str(), "TransactWriteItems" | "TransactGetItems")
    }

    /// How many actions a transaction has.
    pub(super) fn actions(&self) -> usize {
        actions(&self.content).count()
    }
}

fn actions(content: &Value) -> impl Iterator<Item = &Value> {
    content
        .get("TransactItems")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn action(action: &Value) -> Option<Item> {
    let (kind, content) = action.as_object()?.iter().next()?;
    item(content, kind != "ConditionCheck")
}

/// The item that an action is about, named by its table and key.
fn item(content: &Value, writes: bool) -> Option<Item> {
    let table = content.get("TableName")?.as_str()?;
    let attributes = content.get("Key").or_else(|| content.get("Item"))?;
    Some(Item {
        name: format!("{table}/{}/{}", attributes.get(PK)?, attributes.get(SK)?),
        writes,
    })
}

/// Takes the request token out of a transaction.
pub(super) fn forget_token(request: &mut HttpRequest) -> Result<(), ConnectorError> {
    let content = request.body().bytes().unwrap_or_default();
    let Ok(mut content) = serde_json::from_slice::<Value>(content) else {
        return Ok(());
    };
    let members = content.as_object_mut();
    if members
        .and_then(|members| members.remove("ClientRequestToken"))
        .is_none()
    {
        return Ok(());
    }
    let shorter = serde_json::to_vec(&content).map_err(unfit)?;
    request
        .headers_mut()
        .insert("content-length", shorter.len().to_string());
    *request.body_mut() = SdkBody::from(shorter);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(pk: &str) -> Value {
        json!({"pk": {"S": pk}, "sk": {"S": "R"}})
    }

    #[test]
    fn items_are_named_by_table_and_key_and_checks_write_nothing() {
        let asked = Asked::new(
            "TransactWriteItems",
            json!({"TransactItems": [
                {"Put": {"TableName": "t", "Item": {"pk": {"S": "a"}, "sk": {"S": "R"}, "v": {"N": "1"}}}},
                {"ConditionCheck": {"TableName": "t", "Key": key("b")}},
                {"Delete": {"TableName": "u", "Key": key("a")}},
            ]}),
        );
        let names: Vec<_> = asked.items.iter().map(|item| item.name.as_str()).collect();
        assert_eq!(
            names,
            [
                r#"t/{"S":"a"}/{"S":"R"}"#,
                r#"t/{"S":"b"}/{"S":"R"}"#,
                r#"u/{"S":"a"}/{"S":"R"}"#
            ]
        );
        assert_eq!((asked.written().count(), asked.actions()), (2, 3));
    }

    #[test]
    fn a_read_writes_nothing() {
        let asked = Asked::new("GetItem", json!({"TableName": "t", "Key": key("a")}));
        assert!(asked.items.is_empty() && !asked.is_transaction());
    }

    #[test]
    fn a_token_is_forgotten_and_the_rest_kept() {
        let body = json!({"ClientRequestToken": "x", "TransactItems": []}).to_string();
        let mut request = HttpRequest::new(SdkBody::from(body));
        forget_token(&mut request).unwrap();
        assert_eq!(request.body().bytes().unwrap(), br#"{"TransactItems":[]}"#);
    }
}
