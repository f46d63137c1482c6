//! Tests of the public crate, in one binary: they share one server of each engine.

mod conformance;
mod support;
mod guarantees;
