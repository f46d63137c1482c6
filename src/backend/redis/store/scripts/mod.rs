//! The store's scripts: each runs whole on the server, and its writes are kept or lost together.

use crate::backend::redis::fred::sha1;
use crate::backend::redis::scripts::Program;

/// All scripts.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) open: Program,
    pub(super) commit: Program,
    pub(super) void: Program,
    pub(super) carts: Program,
    pub(super) active: Program,
    pub(super) feed: Program,
    pub(super) tail: Program,
    pub(super) raise: Program,
}

impl Programs {
    pub(super) fn new() -> Self {
        Self {
            open: program(include_str!("open.lua")),
            commit: program(include_str!("commit.lua")),
            void: program(include_str!("void.lua")),
            carts: program(include_str!("carts.lua")),
            active: program(include_str!("active.lua")),
            feed: program(include_str!("feed.lua")),
            tail: program(include_str!("tail.lua")),
            raise: program(include_str!("raise.lua")),
        }
    }
}

fn program(body: &str) -> Program {
    let text = format!("{}{body}", include_str!("prelude.lua"));
    let digest = sha1(&text);
    Program { text, digest }
}
