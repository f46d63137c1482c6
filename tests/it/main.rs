//! Tests of the public crate, in one binary: they share one server of each engine.

#[cfg(test)]
mod backup;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod batch;
#[cfg(test)]
mod cache;
#[cfg(test)]
mod cancellation;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod durability;
#[cfg(test)]
mod dynamodb;
#[cfg(test)]
mod failover;
#[cfg(test)]
mod feed;
#[cfg(test)]
mod guarantees;
#[cfg(test)]
mod history;
#[cfg(test)]
mod join;
#[cfg(test)]
mod linearizable;
#[cfg(test)]
mod model;
#[cfg(test)]
mod open;
#[cfg(test)]
mod outcomes;
#[cfg(test)]
mod placement;
#[cfg(test)]
mod pooler;
#[cfg(test)]
mod redis_carts;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod replica;
#[cfg(test)]
mod round_trips;
#[cfg(test)]
mod statements;
#[cfg(test)]
mod support;
