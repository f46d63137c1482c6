//! The few expressions that a shop's writes and queries, and those of the bench beside it, are made of; all others are refused.

use std::cmp::Ordering;

use serde_json::Value;
use serde_json::json;

use super::Item;
use super::Refused;
use super::invalid;

/// The names and values that expressions of a request stand on.
pub(super) struct Expressions<'a> {
    names: &'a Value,
    values: &'a Value,
}

/// One demand on an attribute.
pub(super) struct Clause {
    pub(super) name: String,
    test: Test,
}

enum Test {
    Present,
    Absent,
    Is(Value),
    AtLeast(Value),
    Between(Value, Value),
}

impl Clause {
    pub(super) fn holds(&self, item: Option<&Item>) -> bool {
        let found = item.and_then(|item| item.get(&self.name));
        let stands = |value: &Value, wanted: &[Ordering]| {
            found.is_some() && wanted.contains(&order(found, Some(value)))
        };
        match &self.test {
            Test::Present => found.is_some(),
            Test::Absent => found.is_none(),
            Test::Is(value) => stands(value, &[Ordering::Equal]),
            Test::AtLeast(value) => stands(value, &[Ordering::Equal, Ordering::Greater]),
            Test::Between(from, to) => {
                stands(from, &[Ordering::Equal, Ordering::Greater])
                    && stands(to, &[Ordering::Equal, Ordering::Less])
            }
        }
    }
}

impl<'a> Expressions<'a> {
    pub(super) fn of(asked: &'a Value) -> Self {
        Self {
            names: &asked["ExpressionAttributeNames"],
            values: &asked["ExpressionAttributeValues"],
        }
    }

    /// The clauses of a condition, all of which must hold; none where there is no condition.
    pub(super) fn clauses(&self, condition: &Value) -> Result<Vec<Clause>, Refused> {
        let text = condition.as_str().unwrap_or_default();
        let mut words = text.split_whitespace();
        let mut clauses = Vec::new();
        while let Some(first) = words.next() {
            clauses.push(self.clause(first, &mut words, text)?);
            if words.next().is_some_and(|word| word != "AND") {
                return Err(unknown(text));
            }
        }
        Ok(clauses)
    }

    fn clause<'w>(
        &self,
        first: &str,
        words: &mut impl Iterator<Item = &'w str>,
        text: &str,
    ) -> Result<Clause, Refused> {
        if let Some((function, name)) = first.strip_suffix(')').and_then(|call| call.split_once('(')) {
            let test = match function {
                "attribute_exists" => Test::Present,
                "attribute_not_exists" => Test::Absent,
                _ => return Err(unknown(text)),
            };
            let name = self.name(name);
            return Ok(Clause { name, test });
        }
        let (operator, value) = (words.next(), self.value(words.next(), text)?);
        let test = match operator {
            Some("=") => Test::Is(value),
            Some(">=") => Test::AtLeast(value),
            Some("BETWEEN") if words.next() == Some("AND") => {
                Test::Between(value, self.value(words.next(), text)?)
            }
            _ => return Err(unknown(text)),
        };
        let name = self.name(first);
        Ok(Clause { name, test })
    }

    fn name(&self, word: &str) -> String {
        self.names[word].as_str().unwrap_or(word).to_owned()
    }

    fn value(&self, word: Option<&str>, text: &str) -> Result<Value, Refused> {
        let value = word.and_then(|word| self.values.get(word));
        value.cloned().ok_or_else(|| unknown(text))
    }

    /// The item that an update makes: `SET` with values, or with a number that is lowered.
    pub(super) fn update(&self, update: &Value, key: &Value, item: Option<&Item>) -> Result<Item, Refused> {
        let text = update.as_str().unwrap_or_default();
        let fresh = || key.as_object().cloned().unwrap_or_default();
        let mut item = item.cloned().unwrap_or_else(fresh);
        let steps = text.strip_prefix("SET ").ok_or_else(|| unknown(text))?;
        for step in steps.split(',') {
            let words: Vec<&str> = step.split_whitespace().collect();
            let (name, becomes) = match words.as_slice() {
                [name, "=", value] => (name, self.value(Some(value), text)?),
                [name, "=", from, "-", value] => {
                    let (from, less) = (item.get(&self.name(from)), self.value(Some(value), text)?);
                    let (Some(from), Some(less)) = (from.and_then(number), number(&less)) else {
                        return Err(unknown(text));
                    };
                    (name, json!({"N": (from - less).to_string()}))
                }
                _ => return Err(unknown(text)),
            };
            item.insert(self.name(name), becomes);
        }
        Ok(item)
    }
}

/// How two attributes stand to each other: numbers by value, texts by their bytes, what is absent before all.
pub(super) fn order(one: Option<&Value>, other: Option<&Value>) -> Ordering {
    let (Some(one), Some(other)) = (one, other) else {
        return one.is_some().cmp(&other.is_some());
    };
    match (number(one), number(other)) {
        (Some(one), Some(other)) => one.cmp(&other),
        _ => text(one).cmp(text(other)),
    }
}

fn number(value: &Value) -> Option<i64> {
    value["N"].as_str()?.parse().ok()
}

/// The text of an attribute, or what stands for it: bytes are sent as a text too.
fn text(value: &Value) -> &str {
    let text = value["S"].as_str().or_else(|| value["B"].as_str());
    text.unwrap_or_default()
}

fn unknown(text: &str) -> Refused {
    invalid(&format!("memory does not know this expression: {text}"))
}
