//! What the benches of writes share: a shop beside what one writes by hand, on the same goods, in turns.

pub(crate) mod comparison;
pub(crate) mod connections;
pub(crate) mod database;
pub(crate) mod delay;
pub(crate) mod goods;
pub(crate) mod ground;
pub(crate) mod random;
pub(crate) mod rounds;
pub(crate) mod sale;
pub(crate) mod till;
pub(crate) mod usual_postgres;
pub(crate) mod usual_sqlite;
