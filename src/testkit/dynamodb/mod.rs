//! Faults between a store and DynamoDB: what the service does on a bad day and DynamoDB Local never shows.
//!
//! They strike in the client, below everything of this crate and above the network: each request of the store passes the
//! layer, which answers it in the service's words, loses it, loses its reply, or holds it up.
//!
//! ```no_run
//! use stockroom::testkit::dynamodb::{DynamoFault, DynamoFaults};
//! use stockroom::{DynamoOptions, DynamoStore};
//!
//! # async fn open() -> stockroom::Result<()> {
//! let faults = DynamoFaults::new(7);
//! faults.plant(DynamoFault::LostReply, 30);
//! let options = DynamoOptions::from_url("dynamodb://key:secret@eu-central-1/shop-?endpoint=http://127.0.0.1:8000")?;
//! let store = DynamoStore::connect(options.faults(&faults)).await?;
//! // … writes: every caller learns the truth, nothing is applied twice …
//! println!("{:?}", faults.counts());
//! # Ok(())
//! # }
//! ```
//!
//! The layer reads what was signed and never changes it, but for [`DynamoFaults::forget_tokens`], which needs an engine that
//! checks no signatures. The tables' management and their streams pass untouched.

mod fault;
mod faults;
mod memory;
mod plan;
mod turns;

pub use fault::DynamoFault;
pub use faults::DynamoFaults;
pub use faults::Meeting;
pub(crate) use memory::Refused;
pub use plan::DynamoCounts;
pub(crate) use plan::Strike;
