//! What a shop promises under concurrency: no oversell, one order and one charge of a key, no lost update.

mod bank;
mod carts;
mod keys;
mod money;
mod parts;
mod payments;
mod races;
mod stock;
mod transactions;
