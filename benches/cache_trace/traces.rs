//! Traces: which key was wanted, in order. The files have four bytes a key, the greatest first.

use std::io::Read;
use std::path::Path;

use stockroom::testkit::engines;

use super::cached::Result;

/// What a real shop wanted, as numbers from zero.
pub(crate) struct Trace {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) accesses: Vec<u32>,
}

impl Trace {
    /// How many keys it has.
    pub(crate) fn keys(&self) -> usize {
        self.accesses.iter().max().map_or(0, |key| *key as usize + 1)
    }
}

/// The trace of benches/data.
pub(crate) fn small() -> Result<Trace> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/data/web07.trace.gz");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path)?).read_to_end(&mut bytes)?;
    Ok(Trace {
        name: "web07",
        about: "requests for product pages of a web shop, July 2013",
        accesses: numbered(&bytes),
    })
}

/// The trace that `STOCKROOM_TRACE` names, unpacked.
pub(crate) fn large() -> Result<Option<Trace>> {
    let Some(path) = engines::setting("STOCKROOM_TRACE") else {
        return Ok(None);
    };
    Ok(Some(Trace {
        name: "orm-night",
        about: "objects wanted by the object-relational mapper of a web shop at night",
        accesses: numbered(&std::fs::read(path)?),
    }))
}

/// Keys in the order in which they first appear: what they were made of does not matter.
fn numbered(bytes: &[u8]) -> Vec<u32> {
    let mut known = std::collections::HashMap::new();
    let keys = bytes.chunks_exact(4).map(|key| [key[0], key[1], key[2], key[3]]);
    keys.map(|key| {
        let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
        *known.entry(key).or_insert(next)
    })
    .collect()
}
