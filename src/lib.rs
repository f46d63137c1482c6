//! stockroom

pub mod error;
pub mod model;
pub mod resilience;
pub mod spi;
pub mod backend;

pub use error::Error;
pub use error::ErrorKind;
pub use error::Result;
pub use error::Retry;
pub use error::Shortage;
pub use model::*;
