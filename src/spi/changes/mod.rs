//! What follows a write: the feed of changes, who reads it up to where, and who is given them.
//!
//! - [`ChangeSource`]: the changes of a store, complete and in order, readable again from any position.
//! - [`Coordination`]: positions and leases, so that several processes share the reading and none is missed.
//! - [`ChangeSink`]: whatever follows the changes, such as a search index; applications bring their own.

mod change;
mod coordination;
mod position;
mod sink;
mod source;
mod wake;

pub use change::Change;
pub use change::ChangeAction;
pub use coordination::Checkpoint;
pub use coordination::Coordination;
pub use coordination::DeadLetter;
pub use coordination::FeedLease;
pub use coordination::LeaseRequest;
pub use coordination::Progress;
pub use coordination::SinkReport;
pub use position::PartitionId;
pub use position::Position;
pub use sink::ChangeSink;
pub use sink::Delivery;
pub use source::ChangePage;
pub use source::ChangeSource;
pub use source::FeedRead;
pub use source::Partition;
pub use source::PartitionEnd;
pub(crate) use wake::Ear;
pub(crate) use wake::Wake;
