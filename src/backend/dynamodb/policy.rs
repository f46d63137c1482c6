//! The least that a process must be allowed, as a policy of IAM for what it does.
//!
//! `tests/it/dynamodb/access.rs` holds the lists against what is really called, in both directions.

use serde_json::Value;
use serde_json::json;

use super::options::DynamoOptions;
use super::table_options::TableEncryption;
use super::table_options::TableOptions;
use super::tables::Table;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;

/// What a process does with a shop's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Reads and writes the shop: what an application does. With it goes the sweeping of holds, not the feed.
    Serve,
    /// Reads the feed, and keeps positions, leases and letters.
    Relay,
    /// Reads only, and compares the ledger with the levels.
    Read,
    /// Makes the tables, and describes them.
    Migrate,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Serve, Self::Relay, Self::Read, Self::Migrate];
}

/// What actions are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Tables,
    /// Tables and their indexes.
    Indexed,
    /// One table.
    Only(Table),
    Streams,
}

/// Actions on the same things. Transactions have no actions of their own: what they do to an item counts.
type Grant = (Scope, &'static [&'static str]);

const SERVE: &[Grant] = &[
    (
        Scope::Tables,
        &[
            "BatchGetItem",
            "ConditionCheckItem",
            "DeleteItem",
            "DescribeTable",
            "GetItem",
            "PutItem",
        ],
    ),
    (Scope::Indexed, &["Query"]),
    // Leases, and the epoch.
    (Scope::Only(Table::Keys), &["UpdateItem"]),
];

const RELAY: &[Grant] = &[
    (Scope::Tables, &["DescribeTable"]),
    (
        Scope::Only(Table::Keys),
        &["DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem"],
    ),
    (
        Scope::Streams,
        &["DescribeStream", "GetRecords", "GetShardIterator"],
    ),
];

const READ: &[Grant] = &[
    (Scope::Tables, &["BatchGetItem", "DescribeTable", "GetItem"]),
    (Scope::Indexed, &["Query"]),
    (Scope::Only(Table::Inventory), &["Scan"]),
];

const MIGRATE: &[Grant] = &[
    (
        Scope::Tables,
        &[
            "CreateTable",
            "DescribeTable",
            "DescribeTimeToLive",
            "UpdateTimeToLive",
        ],
    ),
    // The epoch, which every opening reads.
    (Scope::Only(Table::Keys), &["GetItem"]),
];

const RECOVERY: Grant = (
    Scope::Tables,
    &["DescribeContinuousBackups", "UpdateContinuousBackups"],
);

const TAGS: Grant = (Scope::Tables, &["ListTagsOfResource", "TagResource"]);

/// What the service does with a key of the account in the name of whoever calls
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html>).
const KEY_ACTIONS: &[&str] = &[
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey*",
    "kms:ReEncrypt*",
];

fn grants(role: Role, tables: &TableOptions) -> Vec<Grant> {
    match role {
        Role::Serve => SERVE.to_vec(),
        Role::Relay => RELAY.to_vec(),
        Role::Read => READ.to_vec(),
        Role::Migrate => {
            let mut grants = MIGRATE.to_vec();
            grants.extend(tables.recovery.then_some(RECOVERY));
            grants.extend((!tables.tags.is_empty()).then_some(TAGS));
            grants
        }
    }
}

impl DynamoOptions {
    /// The least that a process with these roles must be allowed in an account, as an IAM policy in JSON.
    ///
    /// - It names the tables of the prefix in the region, and the key where tables are encrypted with one of the account's.
    /// - A process that serves and feeds sinks has two roles; one that opens with `Migrate::Apply` has [`Role::Migrate`] too.
    ///
    /// ```
    /// use stockroom::DynamoOptions;
    /// use stockroom::backend::dynamo::Role;
    ///
    /// let options = DynamoOptions::new("shop-").region("eu-central-1");
    /// let policy = options.policy("111122223333", &[Role::Serve, Role::Relay])?;
    /// assert!(policy.contains("arn:aws:dynamodb:eu-central-1:111122223333:table/shop-orders"));
    /// # Ok::<(), stockroom::Error>(())
    /// ```
    ///
    /// # Errors
    /// `Config`: no region, an account that is no 12 digits, a key that is not named by its ARN, or whatever the options have
    /// that the service would refuse.
    pub fn policy(&self, account: &str, roles: &[Role]) -> Result<String> {
        self.check_tables()?;
        let region = self
            .region
            .as_deref()
            .ok_or_else(|| config("no region: tell it by DynamoOptions::region"))?;
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(config("an account has 12 digits"));
        }
        let mut roles = roles.to_vec();
        roles.sort_unstable();
        roles.dedup();
        let base = format!("arn:{}:dynamodb:{region}:{account}:table/", partition(region));
        let mut statements = Vec::new();
        for role in &roles {
            for (number, (scope, actions)) in grants(*role, &self.tables).into_iter().enumerate() {
                let actions = actions.iter().map(|action| format!("dynamodb:{action}"));
                statements.push(json!({
                    "Sid": format!("{role:?}{}", number + 1),
                    "Effect": "Allow",
                    "Action": actions.collect::<Vec<_>>(),
                    "Resource": resources(scope, &format!("{base}{}", self.prefix)),
                }));
            }
        }
        if let TableEncryption::Key(key) = &self.tables.encryption {
            statements.push(key_statement(key, region, roles.contains(&Role::Migrate))?);
        }
        let policy = json!({ "Version": "2012-10-17", "Statement": statements });
        Ok(format!("{policy:#}"))
    }
}

fn resources(scope: Scope, tables: &str) -> Vec<String> {
    let name = |table: &Table| format!("{tables}{table}");
    match scope {
        Scope::Tables => Table::ALL.iter().map(name).collect(),
        Scope::Indexed => {
            let indexed = Table::ALL.iter().filter(|table| !table.indexes().is_empty());
            let indexes = indexed.map(|table| format!("{}/index/*", name(table)));
            Table::ALL.iter().map(name).chain(indexes).collect()
        }
        Scope::Only(table) => vec![name(&table)],
        Scope::Streams => {
            let followed = Table::ALL.iter().filter(|table| table.has_stream());
            followed
                .map(|table| format!("{}/stream/*", name(table)))
                .collect()
        }
    }
}

fn key_statement(key: &str, region: &str, makes_tables: bool) -> Result<Value> {
    if !key.starts_with("arn:") || !key.contains(":key/") {
        return Err(config(
            "a policy names keys by their ARN: tell it by TableOptions::encrypted_with",
        ));
    }
    let mut actions = KEY_ACTIONS.to_vec();
    if makes_tables {
        actions.push("kms:CreateGrant");
    }
    let via = format!("dynamodb.{region}.{}", domain(region));
    Ok(json!({
        "Sid": "Key",
        "Effect": "Allow",
        "Action": actions,
        "Resource": key,
        "Condition": { "StringEquals": { "kms:ViaService": via } },
    }))
}

/// The part of the cloud that a region is in, as ARNs name it.
fn partition(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

fn domain(region: &str) -> &'static str {
    if partition(region) == "aws-cn" {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    }
}

fn config(message: &'static str) -> Error {
    Error::new(ErrorKind::Config, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "111122223333";
    const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234";

    fn options() -> DynamoOptions {
        DynamoOptions::new("shop-").region("eu-central-1")
    }

    fn statements(options: &DynamoOptions, roles: &[Role]) -> Vec<Value> {
        let policy: Value = serde_json::from_str(&options.policy(ACCOUNT, roles).unwrap()).unwrap();
        policy["Statement"].as_array().unwrap().clone()
    }

    fn actions(statements: &[Value]) -> Vec<&str> {
        let lists = statements
            .iter()
            .map(|statement| statement["Action"].as_array().unwrap());
        lists.flatten().map(|action| action.as_str().unwrap()).collect()
    }

    #[test]
    fn nothing_but_the_tables_of_the_shop_is_named() {
        for statement in statements(&options(), &Role::ALL) {
            for resource in statement["Resource"].as_array().unwrap() {
                let name = resource.as_str().unwrap();
                assert!(
                    name.starts_with("arn:aws:dynamodb:eu-central-1:111122223333:table/shop-"),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn who_reads_writes_nothing() {
        let granted = statements(&options(), &[Role::Read]);
        for action in actions(&granted) {
            let reads = ["BatchGetItem", "DescribeTable", "GetItem", "Query", "Scan"];
            assert!(
                reads.contains(&action.trim_start_matches("dynamodb:")),
                "{action}"
            );
        }
    }

    #[test]
    fn what_is_not_asked_for_need_not_be_allowed() {
        let has = |options: &DynamoOptions, action: &str| {
            actions(&statements(options, &[Role::Migrate])).contains(&action)
        };
        let plain = options();
        let full = options().tables(TableOptions::new().point_in_time_recovery().tag("a", "b"));
        for action in ["dynamodb:UpdateContinuousBackups", "dynamodb:TagResource"] {
            assert!(!has(&plain, action) && has(&full, action), "{action}");
        }
    }

    #[test]
    fn a_key_is_allowed_through_the_service_only() {
        let options = options().tables(TableOptions::new().encrypted_with(KEY));
        let of = |roles: &[Role]| statements(&options, roles).pop().unwrap();
        let serve = of(&[Role::Serve]);
        assert_eq!(serve["Resource"], KEY);
        assert_eq!(
            serve["Condition"]["StringEquals"]["kms:ViaService"],
            "dynamodb.eu-central-1.amazonaws.com"
        );
        let grants = |statement: &Value| statement["Action"].to_string().contains("CreateGrant");
        assert!(!grants(&serve) && grants(&of(&[Role::Migrate])));
    }

    #[test]
    fn other_parts_of_the_cloud_have_other_names() {
        for (region, start) in [
            ("cn-north-1", "arn:aws-cn:dynamodb:cn-north-1:"),
            ("us-gov-west-1", "arn:aws-us-gov:dynamodb:us-gov-west-1:"),
        ] {
            let options = DynamoOptions::new("shop-").region(region);
            assert!(options.policy(ACCOUNT, &[Role::Read]).unwrap().contains(start));
        }
    }

    #[test]
    fn what_a_policy_cannot_be_printed_for_is_refused() {
        let alias = options().tables(TableOptions::new().encrypted_with("alias/shop"));
        for (options, account) in [
            (DynamoOptions::new("shop-"), ACCOUNT),
            (options(), "1234"),
            (DynamoOptions::new("a b").region("eu-central-1"), ACCOUNT),
            (alias, ACCOUNT),
        ] {
            let refused = options.policy(account, &[Role::Serve]).unwrap_err();
            assert!(refused.is(ErrorKind::Config));
        }
    }
}
