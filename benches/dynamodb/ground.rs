//! Shops and clients on one DynamoDB Local.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::Config;
use aws_sdk_dynamodb::config::BehaviorVersion;
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodb::config::Region;
use stockroom::CartId;
use stockroom::Currency;
use stockroom::DynamoOptions;
use stockroom::DynamoStore;
use stockroom::LocationId;
use stockroom::Migrate;
use stockroom::Money;
use stockroom::NewProduct;
use stockroom::Owner;
use stockroom::Product;
use stockroom::Stockroom;
use stockroom::testkit::dynamodb::DynamoFaults;

use crate::Result;

const REGION: &str = "eu-central-1";

/// A shop, and the store that it lies in.
pub(crate) struct Ground {
    pub(crate) shop: Stockroom,
    pub(crate) store: Arc<DynamoStore>,
}

impl Ground {
    /// An empty shop behind these faults.
    pub(crate) async fn open(url: &str, prefix: &str, faults: &DynamoFaults) -> Result<Self> {
        let options = DynamoOptions::new(prefix)
            .region(REGION)
            .endpoint(url)
            .credentials("local", "local", None)
            .migrate(Migrate::Apply)
            .attempt_timeout(Duration::from_secs(15))
            .faults(faults);
        let store = Arc::new(DynamoStore::connect(options).await?);
        let shop = Stockroom::builder()
            .store_arc(store.clone())
            .deadline(Duration::from_secs(120))
            .without_background()
            .open()
            .await?;
        Ok(Self { shop, store })
    }

    /// A product of one variant, and so many units of it.
    pub(crate) async fn stock(&self, sku: &str, units: i64) -> Result<Arc<Product>> {
        let price = Money::new(9_00, Currency::USD);
        let new = NewProduct::new("Mug").variant(sku, price);
        let product = self.shop.products().create(new).await?;
        self.shop.inventory().receive(sku, &berlin()?, units).await?;
        Ok(product)
    }

    /// A cart with one of each.
    pub(crate) async fn cart(&self, skus: &[&str]) -> Result<CartId> {
        let cart = self.shop.carts().create(Owner::Guest).await?.id;
        for sku in skus {
            self.shop.carts().add(cart, *sku, 1).await?;
        }
        Ok(cart)
    }
}

pub(crate) fn berlin() -> Result<LocationId> {
    Ok(LocationId::new("berlin")?)
}

/// A client as an application makes one, behind these faults.
pub(crate) fn client(url: &str, faults: &DynamoFaults) -> Client {
    let network = aws_smithy_http_client::Builder::new().build_http();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(faults.behind(network))
        .region(Region::new(REGION))
        .endpoint_url(url)
        .credentials_provider(Credentials::new("local", "local", None, None, "bench"));
    Client::from_conf(config.build())
}
