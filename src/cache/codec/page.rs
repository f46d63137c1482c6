//! A page of a list as it is kept: the ids that are on it, and the generation of what it is a list of.

use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;

use super::fingerprint;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Cursor;
use crate::model::Page;
use crate::model::Product;
use crate::model::ProductId;
use crate::spi::cache::TagGeneration;

/// The first byte of every page of this layout; no value begins with it.
const LAYOUT: u8 = 0xC2;

/// Layout and fingerprint.
const HEADER: usize = 1 + 4;

/// Another text for another shape, so that a page of another version of the crate is a miss.
const SHAPE: &str = "page 1: generation [id] next";

#[derive(Serialize, Deserialize)]
struct StoredPage {
    generation: [u8; 16],
    ids: Vec<[u8; 16]>,
    next: Option<String>,
}

/// A page that was read from its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptPage {
    /// Of what it is a list of, before it was loaded.
    pub(crate) generation: TagGeneration,
    /// What is on it, in order.
    pub(crate) ids: Vec<ProductId>,
    /// Where the next one starts.
    pub(crate) next: Option<Cursor>,
}

/// The bytes of a page.
pub(crate) fn encode_page(page: &Page<std::sync::Arc<Product>>, generation: TagGeneration) -> Result<Bytes> {
    let stored = StoredPage {
        generation: generation.0,
        ids: page
            .items
            .iter()
            .map(|product| *product.id.uuid().as_bytes())
            .collect(),
        next: page.next.as_ref().map(ToString::to_string),
    };
    let mut envelope = Vec::with_capacity(HEADER + 32 + 16 * stored.ids.len());
    envelope.push(LAYOUT);
    envelope.extend(fingerprint(SHAPE).to_le_bytes());
    postcard::to_extend(&stored, envelope)
        .map(Bytes::from)
        .map_err(|source| {
            Error::new(ErrorKind::Internal, "a page could not be written for the cache").caused_by(source)
        })
}

/// The page of these bytes; `None` for what is damaged or of another version.
pub(crate) fn decode_page(envelope: &[u8]) -> Option<KeptPage> {
    let (header, body) = envelope.split_at_checked(HEADER)?;
    if header[0] != LAYOUT || header[1..] != fingerprint(SHAPE).to_le_bytes() {
        return None;
    }
    let (stored, rest) = postcard::take_from_bytes::<StoredPage>(body).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let ids = stored.ids.into_iter().map(uuid::Uuid::from_bytes);
    Some(KeptPage {
        generation: TagGeneration(stored.generation),
        ids: ids.map(ProductId::from).collect(),
        next: stored.next.map(|next| next.parse()).transpose().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::model::CursorValue;
    use crate::model::NewProduct;
    use crate::model::from_micros;

    fn page() -> Page<Arc<Product>> {
        let product = |_| {
            let new = NewProduct::new("Mug").status(crate::model::ProductStatus::Draft);
            Arc::new(new.build(ProductId::new(), from_micros(0).unwrap()).unwrap())
        };
        Page {
            items: (0..3).map(product).collect(),
            next: Some(Cursor::encode([7; 8], &[CursorValue::Int(9)])),
        }
    }

    #[test]
    fn pages_survive() {
        let (page, generation) = (page(), TagGeneration([9; 16]));
        let kept = decode_page(&encode_page(&page, generation).unwrap()).unwrap();
        let ids: Vec<_> = page.items.iter().map(|product| product.id).collect();
        assert_eq!(
            (kept.generation, kept.ids, kept.next),
            (generation, ids, page.next)
        );
    }

    proptest! {
        #[test]
        fn damaged_pages_never_panic(at in 0_usize..400, byte in any::<u8>(), cut in 0_usize..400) {
            let mut bytes = encode_page(&page(), TagGeneration([9; 16])).unwrap().to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = decode_page(&bytes);
            bytes.truncate(cut % (bytes.len() + 1));
            let _ = decode_page(&bytes);
        }
    }
}
