//! What every call that leaves the process is bounded by: a deadline, and pauses between attempts.

mod deadline;
mod retry;

pub use deadline::Deadline;
pub use retry::Backoff;
