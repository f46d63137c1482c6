//! The protocol's scripts: each runs whole on the server, on one entry and the set of its writers.

use std::fmt::Write;

/// A script by its text and by the digest that the server knows it by.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) text: String,
    pub(super) digest: String,
}

/// All scripts.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) acquire: Program,
    pub(super) fill: Program,
    pub(super) hold: Program,
    pub(super) invalidate: Program,
    pub(super) tag: Program,
}

impl Programs {
    pub(super) fn new() -> Self {
        Self {
            acquire: Program::new(include_str!("acquire.lua")),
            fill: Program::new(include_str!("fill.lua")),
            hold: Program::new(include_str!("hold.lua")),
            invalidate: Program::new(include_str!("invalidate.lua")),
            tag: Program::new(include_str!("tag.lua")),
        }
    }
}

impl Program {
    fn new(body: &str) -> Self {
        let text = format!("{}{body}", include_str!("prelude.lua"));
        let digest = super::fred::sha1(&text);
        Self { text, digest }
    }
}

/// A number as the scripts compare it.
pub(super) fn eight(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// A number as the scripts calculate with it.
pub(super) fn decimal(number: u128) -> Vec<u8> {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(text, "{number}");
    text.into_bytes()
}
