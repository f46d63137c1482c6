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
mod leases;
mod listings;
mod loads;
mod moves;
mod mute;
mod outcome;
mod patience;
mod servers;
mod setups;
mod silent;
mod slow;
mod stale;
mod tls;
mod trial;
