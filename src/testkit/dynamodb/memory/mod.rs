//! Items in memory that answer in the service's place: what a shop writes and reads by key, and nothing else.
//!
//! It exists to measure what a store makes of a service that is as fast as it can be: DynamoDB Local needs longer for a large
//! transaction than an item is busy. Whether a store is right is shown on DynamoDB Local, never here.

mod expression;

use std::collections::BTreeMap;
use std::collections::HashMap;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use self::expression::Expressions;
use self::expression::order;

/// The attributes of an item, as they are sent.
type Item = Map<String, Value>;

/// Names of the primary key, in the tables of a shop and in those of the bench beside it.
const KEY: [&str; 2] = ["pk", "sk"];

/// A refusal: the name of the service's error, and what stands in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) error: &'static str,
    pub(crate) content: Value,
}

/// Tables with their items.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    tables: HashMap<String, Table>,
}

#[derive(Debug, Default)]
struct Table {
    description: Value,
    items: BTreeMap<[String; 2], Item>,
}

impl Memory {
    /// What the service would answer.
    pub(crate) fn answer(&mut self, operation: &str, asked: &Value) -> Result<Value, Refused> {
        match operation {
            "CreateTable" => Ok(self.create(asked)),
            "DescribeTable" => Ok(json!({ "Table": self.table(asked)?.description })),
            "DescribeTimeToLive" => {
                let ttl = json!({"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"});
                Ok(json!({ "TimeToLiveDescription": ttl }))
            }
            "GetItem" => self.get(asked),
            "BatchGetItem" => self.batch(asked),
            "TransactGetItems" => self.snapshot(asked),
            "Query" | "Scan" => self.list(operation, asked),
            "PutItem" => self.transact(&[json!({ "Put": asked })]).map_err(alone),
            "UpdateItem" => self.transact(&[json!({ "Update": asked })]).map_err(alone),
            "DeleteItem" => self.transact(&[json!({ "Delete": asked })]).map_err(alone),
            "TransactWriteItems" => self.transact(list(asked, "TransactItems")),
            other => Err(invalid(&format!("{other} is not answered from memory"))),
        }
    }

    fn create(&mut self, asked: &Value) -> Value {
        let mut description = asked.clone();
        description["TableStatus"] = json!("ACTIVE");
        let table = self.tables.entry(name(asked)).or_default();
        table.description = description;
        json!({ "TableDescription": table.description })
    }

    fn table(&self, asked: &Value) -> Result<&Table, Refused> {
        let missing = || Refused {
            error: "ResourceNotFoundException",
            content: json!({"message": "Cannot do operations on a non-existent table"}),
        };
        self.tables.get(&name(asked)).ok_or_else(missing)
    }

    fn item(&self, table: &Value, key: &Value) -> Result<Option<&Item>, Refused> {
        Ok(self.table(table)?.items.get(&place(key)))
    }

    fn get(&self, asked: &Value) -> Result<Value, Refused> {
        Ok(found(self.item(asked, &asked["Key"])?))
    }

    fn batch(&self, asked: &Value) -> Result<Value, Refused> {
        let mut responses = Map::new();
        for (table, keys) in asked["RequestItems"].as_object().into_iter().flatten() {
            let mut items = Vec::new();
            for key in list(keys, "Keys") {
                items.extend(self.item(&json!({ "TableName": table }), key)?.cloned());
            }
            responses.insert(table.clone(), json!(items));
        }
        Ok(json!({"Responses": responses, "UnprocessedKeys": {}}))
    }

    fn snapshot(&self, asked: &Value) -> Result<Value, Refused> {
        let gets = list(asked, "TransactItems").iter().map(|get| &get["Get"]);
        let items = gets.map(|get| self.get(get));
        Ok(json!({"Responses": items.collect::<Result<Vec<_>, _>>()?}))
    }

    /// All that match, at once: there are no pages.
    fn list(&self, operation: &str, asked: &Value) -> Result<Value, Refused> {
        let mut items: Vec<&Item> = self.table(asked)?.items.values().collect();
        if operation == "Query" {
            let clauses = Expressions::of(asked).clauses(&asked["KeyConditionExpression"])?;
            items.retain(|item| clauses.iter().all(|clause| clause.holds(Some(item))));
            if let Some(last) = clauses.last() {
                items.sort_by(|one, other| order(one.get(&last.name), other.get(&last.name)));
            }
            if asked["ScanIndexForward"] == json!(false) {
                items.reverse();
            }
            let limit = asked["Limit"]
                .as_u64()
                .and_then(|limit| usize::try_from(limit).ok());
            if asked["ExclusiveStartKey"].is_object() || limit.is_some_and(|limit| items.len() > limit) {
                return Err(invalid("memory has no pages"));
            }
        }
        Ok(json!({"Items": items, "Count": items.len()}))
    }

    /// All of these writes, or none.
    fn transact(&mut self, writes: &[Value]) -> Result<Value, Refused> {
        let mut becomes = Vec::new();
        let mut reasons = Vec::new();
        for write in writes {
            let Some((kind, content)) = write.as_object().and_then(|write| write.iter().next()) else {
                return Err(invalid("a write says what it does"));
            };
            let key = place(content.get("Key").unwrap_or(&content["Item"]));
            let item = self.table(content)?.items.get(&key);
            let expressions = Expressions::of(content);
            let clauses = expressions.clauses(&content["ConditionExpression"])?;
            if !clauses.iter().all(|clause| clause.holds(item)) {
                reasons.push(json!({"Code": "ConditionalCheckFailed", "Item": item}));
                continue;
            }
            reasons.push(json!({"Code": "None"}));
            let after = match kind.as_str() {
                "Put" => content["Item"].as_object().cloned(),
                "Update" => Some(expressions.update(&content["UpdateExpression"], &content["Key"], item)?),
                "Delete" => None,
                _ => item.cloned(),
            };
            becomes.push((name(content), key, after));
        }
        if becomes.len() < writes.len() {
            return Err(Refused {
                error: "TransactionCanceledException",
                content: json!({"Message": "Transaction cancelled", "CancellationReasons": reasons}),
            });
        }
        for (table, key, item) in becomes {
            let items = &mut self.tables.entry(table).or_default().items;
            match item {
                Some(item) => drop(items.insert(key, item)),
                None => drop(items.remove(&key)),
            }
        }
        Ok(json!({}))
    }
}

/// The name of the table that is meant.
fn name(asked: &Value) -> String {
    asked["TableName"].as_str().unwrap_or_default().to_owned()
}

/// The primary key among these attributes.
fn place(attributes: &Value) -> [String; 2] {
    KEY.map(|name| attributes[name]["S"].as_str().unwrap_or_default().to_owned())
}

fn list<'v>(asked: &'v Value, name: &str) -> &'v [Value] {
    asked[name].as_array().map_or(&[], Vec::as_slice)
}

fn found(item: Option<&Item>) -> Value {
    item.map_or_else(|| json!({}), |item| json!({ "Item": item }))
}

fn invalid(message: &str) -> Refused {
    Refused {
        error: "ValidationException",
        content: json!({ "message": message }),
    }
}

/// What the service says of a write that is no transaction.
fn alone(refused: Refused) -> Refused {
    if refused.error != "TransactionCanceledException" {
        return refused;
    }
    Refused {
        error: "ConditionalCheckFailedException",
        content: json!({
            "message": "The conditional request failed",
            "Item": refused.content["CancellationReasons"][0]["Item"],
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(pk: &str) -> Value {
        json!({"pk": {"S": pk}, "sk": {"S": "R"}})
    }

    fn put(pk: &str, units: i64, condition: &str, was: i64) -> Value {
        let mut item = key(pk);
        item["units"] = json!({"N": units.to_string()});
        json!({"Put": {
            "TableName": "t",
            "Item": item,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": {":was": {"N": was.to_string()}},
        }})
    }

    fn units(memory: &mut Memory, pk: &str) -> Value {
        let asked = json!({"TableName": "t", "Key": key(pk)});
        memory.answer("GetItem", &asked).unwrap()["Item"]["units"]["N"].clone()
    }

    fn table() -> Memory {
        let mut memory = Memory::default();
        memory.answer("CreateTable", &json!({"TableName": "t"})).unwrap();
        memory
    }

    #[test]
    fn a_transaction_is_done_whole_or_not_at_all() {
        let mut memory = table();
        let write = |memory: &mut Memory, writes: [Value; 2]| {
            memory.answer("TransactWriteItems", &json!({ "TransactItems": writes }))
        };
        let fresh = "attribute_not_exists(pk)";
        write(&mut memory, [put("a", 1, fresh, 0), put("b", 2, fresh, 0)]).unwrap();
        let second = [put("a", 5, "units = :was", 1), put("b", 6, "units = :was", 9)];
        let refused = write(&mut memory, second).unwrap_err();
        assert_eq!(refused.error, "TransactionCanceledException");
        let reasons = &refused.content["CancellationReasons"];
        assert_eq!(
            (&reasons[0]["Code"], &reasons[1]["Code"]),
            (&json!("None"), &json!("ConditionalCheckFailed"))
        );
        assert_eq!(
            (units(&mut memory, "a"), units(&mut memory, "b")),
            (json!("1"), json!("2"))
        );
    }

    #[test]
    fn a_counter_is_lowered_where_there_is_enough() {
        let mut memory = table();
        memory.answer("PutItem", &put("a", 1, "", 0)["Put"]).unwrap();
        let lower = json!({
            "TableName": "t",
            "Key": key("a"),
            "UpdateExpression": "SET units = units - :one",
            "ConditionExpression": "units >= :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        });
        memory.answer("UpdateItem", &lower).unwrap();
        let refused = memory.answer("UpdateItem", &lower).unwrap_err();
        assert_eq!(refused.error, "ConditionalCheckFailedException");
        assert_eq!(units(&mut memory, "a"), json!("0"));
    }

    #[test]
    fn a_query_gives_what_lies_between_in_order() {
        let mut memory = table();
        for place in ["R#2", "R#1", "C#1"] {
            let item = json!({"pk": {"S": "a"}, "sk": {"S": place}});
            memory
                .answer("PutItem", &json!({"TableName": "t", "Item": item}))
                .unwrap();
        }
        let asked = json!({
            "TableName": "t",
            "KeyConditionExpression": "#p = :p AND #s BETWEEN :from AND :to",
            "ExpressionAttributeNames": {"#p": "pk", "#s": "sk"},
            "ExpressionAttributeValues": {":p": {"S": "a"}, ":from": {"S": "R"}, ":to": {"S": "R~"}},
        });
        let found = memory.answer("Query", &asked).unwrap();
        let places: Vec<_> = list(&found, "Items")
            .iter()
            .map(|item| &item["sk"]["S"])
            .collect();
        assert_eq!(places, ["R#1", "R#2"]);
    }

    #[test]
    fn what_it_does_not_know_it_refuses() {
        let mut memory = table();
        let asked = put("a", 1, "contains(units, :was)", 1);
        let refused = memory.answer("PutItem", &asked["Put"]).unwrap_err();
        assert_eq!(refused.error, "ValidationException");
        assert_eq!(
            memory.answer("ListTables", &json!({})).unwrap_err().error,
            "ValidationException"
        );
    }
}
