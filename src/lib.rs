//! The data layer of an online shop: typed repositories and a checkout that cannot oversell, on SQLite,
//! PostgreSQL and DynamoDB.
//!
//! - Start with [`Stockroom`]: `Stockroom::open("sqlite://shop.db")` gives a shop, with nothing else to
//!   start.
//! - [`Products`], [`Carts`], [`Orders`], [`Payments`] and [`Inventory`] are its repositories, [`Checkout`]
//!   is the flow from cart to order, [`Stockroom::transaction`] a unit of work over several of them.
//! - Everything that changes is one write set, applied whole or not at all: see [`spi::store::WriteSet`].
//! - [`Cache`] puts a cache in front of it, in process and on Redis or Memcached, that is never silently stale.
//! - A store of your own implements [`spi::store::Store`] and proves itself with the suite of feature
//!   `testkit`.

pub mod backend;
pub mod error;
pub mod model;
pub mod resilience;
pub mod spi;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod transaction;

mod cache;
mod changes;
mod checkout;
mod repository;
mod shop;

#[cfg(feature = "dynamodb")]
pub use backend::DynamoOptions;
#[cfg(feature = "dynamodb")]
pub use backend::DynamoStore;
#[cfg(feature = "dynamodb")]
pub use backend::DynamoUsage;
pub use backend::InProcessCache;
#[cfg(feature = "memcached")]
pub use backend::MemcachedCache;
#[cfg(feature = "memcached")]
pub use backend::MemcachedOptions;
#[cfg(feature = "postgres")]
pub use backend::PostgresOptions;
#[cfg(feature = "postgres")]
pub use backend::PostgresStore;
#[cfg(feature = "redis")]
pub use backend::RedisCache;
#[cfg(feature = "redis")]
pub use backend::RedisOptions;
#[cfg(feature = "redis")]
pub use backend::RedisStore;
#[cfg(feature = "redis")]
pub use backend::RedisStoreOptions;
#[cfg(feature = "sqlite")]
pub use backend::SqliteOptions;
#[cfg(feature = "sqlite")]
pub use backend::SqliteStore;
pub use cache::Cache;
pub use cache::CachePolicy;
pub use cache::CacheStats;
pub use cache::Consistency;
pub use cache::OnCacheDown;
pub use cache::ShopCache;
pub use cache::StockHint;
pub use cache::Strategy;
pub use cache::Tiers;
pub use changes::Changes;
pub use changes::Redriven;
pub use changes::SinkPolicy;
pub use changes::SinkStatus;
pub use changes::StartAt;
pub use checkout::Charge;
pub use checkout::Checkout;
pub use checkout::Due;
pub use checkout::Paid;
pub use checkout::Pay;
pub use checkout::Place;
pub use checkout::Placed;
pub use checkout::Quote;
pub use checkout::QuoteLine;
pub use error::Error;
pub use error::ErrorKind;
pub use error::Result;
pub use error::Retry;
pub use error::Shortage;
pub use model::Actor;
pub use model::ActorKind;
pub use model::Address;
pub use model::Aggregate;
pub use model::AggregateRoot;
pub use model::Attributes;
pub use model::CancelReason;
pub use model::Cart;
pub use model::CartId;
pub use model::CartLine;
pub use model::CartStatus;
pub use model::ClaimKey;
pub use model::Clock;
pub use model::Currency;
pub use model::Cursor;
pub use model::CursorValue;
pub use model::Drift;
pub use model::Expiry;
pub use model::FactKind;
pub use model::FulfilmentStatus;
pub use model::Hold;
pub use model::HoldId;
pub use model::HoldLine;
pub use model::IdempotencyKey;
pub use model::Lease;
pub use model::LedgerReport;
pub use model::Level;
pub use model::LineAmounts;
pub use model::LineKey;
pub use model::LocationId;
pub use model::MAX_LINE_QUANTITY;
pub use model::MAX_LINES;
pub use model::ManualClock;
pub use model::Money;
pub use model::Movement;
pub use model::MovementKind;
pub use model::NewProduct;
pub use model::Options;
pub use model::Order;
pub use model::OrderId;
pub use model::OrderLine;
pub use model::OrderStatus;
pub use model::OrderTotals;
pub use model::Owner;
pub use model::Page;
pub use model::PageRequest;
pub use model::Payment;
pub use model::PaymentFact;
pub use model::PaymentId;
pub use model::PaymentState;
pub use model::PaymentStatus;
pub use model::Price;
pub use model::Product;
pub use model::ProductId;
pub use model::ProductPatch;
pub use model::ProductStatus;
pub use model::Provider;
pub use model::Quantity;
pub use model::Record;
pub use model::Reference;
pub use model::RowKey;
pub use model::Settlement;
pub use model::Sku;
pub use model::Slug;
pub use model::SystemClock;
pub use model::TaxRate;
pub use model::Timestamp;
pub use model::UserId;
pub use model::Variant;
pub use model::Version;
pub use model::from_micros;
pub use model::micros;
pub use model::truncate;
pub use repository::Carts;
pub use repository::Inventory;
pub use repository::NewCartLine;
pub use repository::Orders;
pub use repository::Payments;
pub use repository::Products;
pub use repository::Recorded;
pub use shop::Builder;
pub use shop::Stockroom;
pub use spi::changes::Change;
pub use spi::changes::ChangeAction;
pub use spi::changes::ChangeSink;
pub use spi::changes::DeadLetter;
pub use spi::changes::Delivery;
pub use spi::store::CommitStatus;
pub use spi::store::Durability;
pub use spi::store::Migrate;
pub use spi::store::OrderQuery;
pub use spi::store::ProductOrder;
pub use spi::store::ProductQuery;
pub use spi::store::Tally;
pub use transaction::Pending;
pub use transaction::Staged;
pub use transaction::Tx;

/// The examples in the documents, compiled and run.
#[cfg(all(
    doctest,
    feature = "sqlite",
    feature = "postgres",
    feature = "dynamodb",
    feature = "testkit"
))]
mod documents {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/transactions.md")]
    struct Transactions;
    #[doc = include_str!("../docs/group-commit.md")]
    struct GroupCommit;
    #[doc = include_str!("../docs/dynamodb.md")]
    struct DynamoDb;
    #[doc = include_str!("../docs/changes.md")]
    struct ChangesPage;
    #[doc = include_str!("../docs/placement.md")]
    struct Placement;
    #[cfg(feature = "redis")]
    #[doc = include_str!("../docs/caching.md")]
    struct Caching;
    #[cfg(feature = "redis")]
    #[doc = include_str!("../docs/redis-carts.md")]
    struct RedisCarts;
    #[doc = include_str!("../docs/testing.md")]
    struct Testing;
}
