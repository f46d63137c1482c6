//! Auto scaling of provisioned tables, as a template to deploy.
//!
//! The settings are printed and not applied. Auto scaling is a service of its own: its client would be compiled into every shop
//! for two calls in the life of a table, and needs rights, such as making a role, that a process of a shop should not have.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::options::DynamoOptions;
use super::table_options::Scaling;
use super::table_options::TableCapacity;
use super::tables::Table;
use crate::error::Result;

impl DynamoOptions {
    /// What makes the capacity of the tables and their indexes follow the load, as a CloudFormation template in JSON; `None`
    /// where they are on demand, or their capacity is fixed.
    ///
    /// - Deployed with `aws cloudformation deploy --template-file … --stack-name …`, once the tables are there. Deployed again
    ///   it changes the limits.
    ///
    /// ```
    /// use stockroom::DynamoOptions;
    /// use stockroom::backend::dynamo::{Scaling, TableOptions};
    ///
    /// let tables = TableOptions::new().provisioned(Scaling::between(10, 1_000), Scaling::between(10, 500));
    /// let template = DynamoOptions::new("shop-").tables(tables).auto_scaling()?;
    /// assert!(template.is_some_and(|json| json.contains("table/shop-orders")));
    /// # Ok::<(), stockroom::Error>(())
    /// ```
    ///
    /// # Errors
    /// `Config` for a prefix or for [`tables`](Self::tables) that the service would refuse.
    pub fn auto_scaling(&self) -> Result<Option<String>> {
        self.check_tables()?;
        let TableCapacity::Provisioned { reads, writes } = self.tables.capacity else {
            return Ok(None);
        };
        let mut resources = Map::new();
        for table in Table::ALL {
            let name = format!("{}{table}", self.prefix);
            let indexes = table.indexes().iter().map(|index| index.names().0);
            for index in std::iter::once(None).chain(indexes.map(Some)) {
                for (unit, scaling) in [("Read", reads), ("Write", writes)] {
                    if !scaling.is_fixed() {
                        add(&mut resources, (&name, table, index), unit, scaling);
                    }
                }
            }
        }
        if resources.is_empty() {
            return Ok(None);
        }
        let template = json!({
            "AWSTemplateFormatVersion": "2010-09-09",
            "Description": format!("Auto scaling of the tables {}*", self.prefix),
            "Resources": resources,
        });
        Ok(Some(format!("{template:#}")))
    }
}

/// Adds what is scaled, and by which measure.
fn add(
    resources: &mut Map<String, Value>,
    (name, table, index): (&str, Table, Option<&str>),
    unit: &str,
    scaling: Scaling,
) {
    let (kind, place) = match index {
        None => ("table", format!("table/{name}")),
        Some(index) => ("index", format!("table/{name}/index/{index}")),
    };
    // Names of resources are letters and digits.
    let own: String = format!("{table}{}{unit}", index.unwrap_or_default())
        .split('-')
        .collect();
    let target = format!("{own}Target");
    resources.insert(
        format!("{own}Policy"),
        json!({
            "Type": "AWS::ApplicationAutoScaling::ScalingPolicy",
            "Properties": {
                "PolicyName": format!("{name}-{own}"),
                "PolicyType": "TargetTrackingScaling",
                "ScalingTargetId": { "Ref": target },
                "TargetTrackingScalingPolicyConfiguration": {
                    "TargetValue": scaling.target,
                    "PredefinedMetricSpecification": {
                        "PredefinedMetricType": format!("DynamoDB{unit}CapacityUtilization"),
                    },
                },
            },
        }),
    );
    resources.insert(
        target,
        json!({
            "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
            "Properties": {
                "ServiceNamespace": "dynamodb",
                "ResourceId": place,
                "ScalableDimension": format!("dynamodb:{kind}:{unit}CapacityUnits"),
                "MinCapacity": scaling.least,
                "MaxCapacity": scaling.most,
            },
        }),
    );
}

#[cfg(test)]
mod tests {
    use super::super::table_options::TableOptions;
    use super::*;

    fn template(reads: Scaling, writes: Scaling) -> Option<Value> {
        let tables = TableOptions::new().provisioned(reads, writes);
        let text = DynamoOptions::new("shop-").tables(tables).auto_scaling().unwrap();
        text.map(|text| serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn every_table_and_index_has_a_target_and_a_policy() {
        let scaled = Scaling::between(5, 50).target(60);
        let template = template(scaled, scaled).unwrap();
        let resources = template["Resources"].as_object().unwrap();
        let indexes: usize = Table::ALL.iter().map(|table| table.indexes().len()).sum();
        assert_eq!(resources.len(), 4 * (Table::ALL.len() + indexes));
        assert!(
            resources
                .keys()
                .all(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        );
        let target = &resources["ordersindex1WriteTarget"]["Properties"];
        assert_eq!(target["ResourceId"], "table/shop-orders/index/index-1");
        assert_eq!(target["ScalableDimension"], "dynamodb:index:WriteCapacityUnits");
        assert_eq!(target["MaxCapacity"], 50);
        let policy = &resources["cartsReadPolicy"]["Properties"];
        assert_eq!(policy["ScalingTargetId"]["Ref"], "cartsReadTarget");
        assert_eq!(
            policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"],
            60
        );
    }

    #[test]
    fn what_is_fixed_is_not_scaled() {
        assert_eq!(template(Scaling::fixed(5), Scaling::fixed(5)), None);
        let writes = template(Scaling::fixed(5), Scaling::between(5, 9)).unwrap();
        let mut names = writes["Resources"].as_object().unwrap().keys();
        assert!(names.all(|name| name.contains("Write")));
        assert_eq!(DynamoOptions::new("shop-").auto_scaling().unwrap(), None);
    }
}
