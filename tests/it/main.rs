//! Tests of the public crate, in one binary: they share one server of each engine.

#[cfg(test)]
mod conformance;
mod support;
mod guarantees;
