//! From what an application wants to one commit: the unit of work, the plan, the one write path.
//!
//! - [`Tx`] records what was read with its version and stages what shall be written; nothing is locked
//!   meanwhile.
//! - Every write of the crate, a repository's single put as much as a checkout, takes the same path: plan,
//!   tell the observers, commit, tell them the outcome.

mod attempts;
mod context;
pub(crate) mod parts;
mod pipeline;
mod placement;
mod products_apart;
mod run;
mod stage;
pub(crate) mod stock;
mod unit_of_work;

#[cfg(test)]
#[cfg(all(feature = "sqlite", feature = "testkit"))]
mod tests;

pub use stage::Pending;
pub use stage::Staged;
pub use unit_of_work::Tx;
pub use unit_of_work::TxCarts;
pub use unit_of_work::TxInventory;
pub use unit_of_work::TxOrders;
pub use unit_of_work::TxPayments;
pub use unit_of_work::TxProducts;

pub(crate) use attempts::Attempts;
pub(crate) use context::BoxFuture;
pub(crate) use context::Context;
pub(crate) use context::Settings;
pub(crate) use placement::Home;
pub(crate) use placement::Placement;
pub(crate) use run::run;
pub(crate) use run::stage;
