//! Units of work in a transaction of the caller's own: they become true with its commit or not at all, and what it keeps
//! locked delays nobody else.

mod desk;
mod held;
mod isolation;
mod locks;
mod observers;
mod outcome;
mod refused;
mod settings;
