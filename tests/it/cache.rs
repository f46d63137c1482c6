//! The cache: its contract on every engine, and the shop with it.

mod bound;
mod conformance;
mod down;
mod dying;
mod loads;
mod setups;
mod slow;
mod stale;
mod trial;
