//! What a backend implements: the traits, and the vocabulary they speak.
//!
//! Applications do not use this module. It is public so that a team can bring a store of its own and prove
//! it with the conformance suite of the `testkit` feature.

pub mod cache;
pub mod changes;
pub mod store;
