//! Names of entries in a shared cache: always safe to send, whatever they were made of.

use std::fmt;
use std::sync::Arc;

use sha2::Digest;
use sha2::Sha256;

/// How long a part may be before its digest stands for it. Three parts and what an engine adds stay below the 250 bytes
/// that Memcached takes (doc/protocol.txt, "Keys").
const LONGEST_PART: usize = 64;

/// Marks a part that is a digest; no plain part begins with it.
const DIGEST: char = '~';

/// The name of an entry: printable ASCII without spaces or braces, at most 200 bytes.
///
/// - Made of parts; a part that is longer than 64 bytes or has any other character is replaced by its SHA-256, so that
///   nothing is injected into a protocol and two names stay two names.
///
/// ```
/// use stockroom::spi::cache::CacheKey;
///
/// assert_eq!(CacheKey::new("shop", "product", "018f").as_str(), "shop:product:018f");
/// assert!(!CacheKey::new("shop", "product", "a\r\nflush_all").as_str().contains('\n'));
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheKey(Arc<str>);

impl CacheKey {
    /// The name of one entry of a kind in a namespace.
    pub fn new(namespace: &str, kind: &str, name: &str) -> Self {
        let mut key = String::with_capacity(namespace.len() + kind.len() + name.len() + 2);
        push_part(&mut key, namespace);
        key.push(':');
        push_part(&mut key, kind);
        key.push(':');
        push_part(&mut key, name);
        Self(key.into())
    }

    /// The name as it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheKey({})", self.0)
    }
}

fn push_part(key: &mut String, part: &str) {
    if !part.is_empty() && part.len() <= LONGEST_PART && part.chars().all(is_plain) {
        key.push_str(part);
        return;
    }
    key.push(DIGEST);
    for byte in Sha256::digest(part.as_bytes()).iter().take(LONGEST_PART / 4) {
        key.push_str(&format!("{byte:02x}"));
    }
}

/// The separator is no plain character: parts could run into each other.
fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.' | '/' | '@')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn strange_names_stay_apart_and_are_safe_to_send() {
        let long = "x".repeat(10_000);
        let names = [
            "",
            " ",
            "\r\n",
            "a b",
            "a\u{0}b",
            "日本語",
            "{a}",
            "{b}",
            "a:b",
            "~",
            "a",
            &long,
            &long[1..],
        ];
        let keys: BTreeSet<_> = names
            .iter()
            .map(|name| CacheKey::new("shop", "kind", name))
            .collect();
        assert_eq!(keys.len(), names.len());
        for key in keys {
            assert!(key.as_str().len() <= 200, "{key}");
            assert!(
                key.as_str()
                    .chars()
                    .all(|c| c.is_ascii_graphic() && c != '{' && c != '}'),
                "{key}"
            );
        }
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(CacheKey::new("a", "b:c", "d"), CacheKey::new("a:b", "c", "d"));
        assert_ne!(CacheKey::new("a", "", "b"), CacheKey::new("a", "b", ""));
    }
}
