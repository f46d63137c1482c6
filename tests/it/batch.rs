//! Callers that share a database transaction: each gets its own answer, whatever becomes of the others.

mod begun;
mod beside;
mod culprit;
mod fair;
mod full;
mod gate;
mod locks;
mod lost;
mod refused;
mod turns;
mod twins;
