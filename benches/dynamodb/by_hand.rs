//! One transaction an order, written as the service's guide does: the order, its key, its cart and its movement, and the level
//! lowered where there is enough.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::AttributeDefinition;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::BillingMode;
use aws_sdk_dynamodb::types::CancellationReason;
use aws_sdk_dynamodb::types::KeySchemaElement;
use aws_sdk_dynamodb::types::KeyType;
use aws_sdk_dynamodb::types::Put;
use aws_sdk_dynamodb::types::ScalarAttributeType;
use aws_sdk_dynamodb::types::TransactWriteItem;
use aws_sdk_dynamodb::types::Update;
use stockroom::resilience::Backoff;

use crate::Result;

type Item = HashMap<String, AttributeValue>;

/// A table of orders, keys, carts and one level.
#[derive(Clone, Debug)]
pub(crate) struct ByHand {
    client: Client,
    table: String,
}

fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn number(number: usize) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn key(kind: &str, id: impl std::fmt::Display) -> Item {
    HashMap::from([
        ("pk".to_owned(), text(format!("{kind}#{id}"))),
        ("sk".to_owned(), text("R")),
    ])
}

impl ByHand {
    /// An empty table, with so many units of the one thing that is sold, and as many carts.
    pub(crate) async fn open(client: Client, table: &str, units: usize) -> Result<Self> {
        let mut create = client
            .create_table()
            .table_name(table)
            .billing_mode(BillingMode::PayPerRequest);
        for (name, kind) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
            create = create
                .key_schema(
                    KeySchemaElement::builder()
                        .attribute_name(name)
                        .key_type(kind)
                        .build()?,
                )
                .attribute_definitions(
                    AttributeDefinition::builder()
                        .attribute_name(name)
                        .attribute_type(ScalarAttributeType::S)
                        .build()?,
                );
        }
        create.send().await?;
        let this = Self {
            client,
            table: table.to_owned(),
        };
        let mut level = key("level", "MUG");
        level.insert("available".to_owned(), number(units));
        this.keep(level).await?;
        for cart in 0..units {
            let mut item = key("cart", cart);
            item.insert("status".to_owned(), text("open"));
            this.keep(item).await?;
        }
        Ok(this)
    }

    async fn keep(&self, item: Item) -> Result<()> {
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .send()
            .await?;
        Ok(())
    }

    /// Places an order; a transaction that meets another is sent again after a pause. The transactions that it took.
    pub(crate) async fn place(&self, order: usize) -> Result<u64> {
        let pauses = Backoff::default();
        let items = self.items(order)?;
        for attempt in 0..u32::MAX {
            let call = self
                .client
                .transact_write_items()
                .set_transact_items(Some(items.clone()));
            let refused = match call.send().await {
                Ok(_) => return Ok(u64::from(attempt) + 1),
                Err(error) => error.into_service_error(),
            };
            let TransactWriteItemsError::TransactionCanceledException(cancelled) = &refused else {
                return Err(refused.into());
            };
            let codes = cancelled
                .cancellation_reasons()
                .iter()
                .filter_map(CancellationReason::code);
            if codes
                .filter(|code| *code != "None")
                .any(|code| code != "TransactionConflict")
            {
                return Err(refused.into());
            }
            tokio::time::sleep(pauses.next(attempt)).await;
        }
        Err("it was never placed".into())
    }

    fn items(&self, order: usize) -> Result<Vec<TransactWriteItem>> {
        let mut level = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key("level", "MUG")))
            .update_expression("SET available = available - :one")
            .condition_expression("available >= :one")
            .expression_attribute_values(":one", number(1));
        level = level.set_return_values_on_condition_check_failure(None);
        let cart = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key("cart", order)))
            .update_expression("SET #status = :ordered")
            .condition_expression("#status = :open")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":open", text("open"))
            .expression_attribute_values(":ordered", text("ordered"));
        let mut items = vec![
            TransactWriteItem::builder().update(level.build()?).build(),
            TransactWriteItem::builder().update(cart.build()?).build(),
        ];
        for kind in ["order", "key", "movement"] {
            let mut item = key(kind, order);
            item.insert("sku".to_owned(), text("MUG"));
            let put = Put::builder()
                .table_name(&self.table)
                .set_item(Some(item))
                .condition_expression("attribute_not_exists(pk)");
            items.push(TransactWriteItem::builder().put(put.build()?).build());
        }
        Ok(items)
    }

    /// Units that are left.
    pub(crate) async fn available(&self) -> Result<String> {
        let call = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key("level", "MUG")));
        let item = call.consistent_read(true).send().await?.item.unwrap_or_default();
        let available = item.get("available").and_then(|value| value.as_n().ok());
        Ok(available.cloned().unwrap_or_default())
    }
}
