//! The cache: its contract on every engine, and the shop with it.

mod bound;
mod cluster;
mod conformance;
mod connections;
mod crowded;
mod cutter;
mod down;
mod dying;
mod hints;
mod listings;
mod loads;
mod moves;
mod patience;
mod servers;
mod setups;
mod slow;
mod stale;
mod tls;
mod trial;
