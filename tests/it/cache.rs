//! The cache: its contract on every engine, and the shop with it.

mod conformance;
mod setups;
