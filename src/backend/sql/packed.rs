//! One change as an entry of a packed row, and the number that it is found by.
//!
//! An entry is a JSON array: kind, key, action, actor, events. It begins with kind and key, so that a prefix tells whose it is.
//! Its version lies beside it, since the database alone knows what deltas led to. The migration that packed what was there
//! before writes the same in SQL.

use sha2::Digest as _;
use sha2::Sha256;

use super::dialect::document;
use super::plan::key_text;
use super::plan::read_deed;
use super::tables::version;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::RowKey;
use crate::model::from_micros;
use crate::spi::changes::Change;
use crate::spi::changes::ChangeAction;

/// Changes of one row at most: rows are numbered in steps of as many.
pub(super) const ROOM: usize = 128;

/// So many versions of an aggregate are found by one number, as a power of two: few rows hold them all, however often the
/// aggregate changes.
pub(super) const BUCKET_BITS: u32 = 4;

/// How the entries of an aggregate begin.
pub(super) fn prefix(aggregate: Aggregate, key: &RowKey) -> String {
    format!("[\"{}\",{},", aggregate.as_str(), json(&key_text(key)))
}

/// An entry; the events are a JSON array already.
pub(super) fn entry(
    aggregate: Aggregate,
    key: &RowKey,
    action: ChangeAction,
    actor: &str,
    events: &str,
) -> String {
    let begin = prefix(aggregate, key);
    format!("{begin}\"{}\",{},{events}]", action.as_str(), json(actor))
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Reads an entry.
pub(super) fn read(entry: &str, at_version: i64, at: i64) -> Result<Change> {
    let (aggregate, key, action, actor, events): (String, String, String, String, Vec<String>) =
        document("change", entry)?;
    let (aggregate, key, action) = read_deed(&aggregate, &key, &action)?;
    Ok(Change {
        aggregate,
        key,
        version: version(at_version)?,
        action,
        actor,
        at: from_micros(at)?,
        events,
    })
}

/// Where the numbers of an aggregate begin, below 2^62: its versions count up from here in buckets. Two aggregates may have
/// numbers in common. Ids that are made one after the other have numbers that rise, and are next to each other in the index.
pub(super) fn base(key: &RowKey) -> i64 {
    let number = match key {
        RowKey::Id(id) => {
            let (high, low) = id.as_u64_pair();
            (high >> 16 << 14) | (low & 0x3fff)
        }
        RowKey::Level(..) => {
            let digest = Sha256::digest(key_text(key));
            let first = digest.first_chunk().copied().unwrap_or_default();
            u64::from_be_bytes(first) >> 2
        }
    };
    i64::try_from(number).unwrap_or_default()
}

/// The bucket of a version.
pub(super) fn bucket(version: i64) -> i64 {
    version >> BUCKET_BITS
}

/// The number of what is no longer there, whatever its version: a row of the same key may begin anew.
pub(super) fn deleted(base: i64) -> i64 {
    base - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::base;
    use super::entry;
    use super::prefix;
    use super::read;
    use crate::model::Aggregate;
    use crate::model::LocationId;
    use crate::model::RowKey;
    use crate::model::Sku;
    use crate::spi::changes::ChangeAction;

    #[test]
    fn numbers_are_those_of_the_migration() {
        let level = RowKey::Level(Sku::new("MUG").unwrap(), LocationId::new("main").unwrap());
        assert_eq!(base(&level), 2_236_437_926_820_172_183);
        let id = |text| RowKey::Id(Uuid::parse_str(text).unwrap());
        assert_eq!(
            base(&id("01931e80-9b6a-7abc-8def-0123456789ab")),
            28_366_988_331_616_683
        );
        assert_eq!(
            base(&id("ffffffff-ffff-7abc-8def-0123456789ff")),
            4_611_686_018_427_374_079
        );
    }

    #[test]
    fn an_entry_is_written_as_the_migration_writes_it() {
        let key = RowKey::Id(Uuid::parse_str("01931e80-9b6a-7abc-8def-0123456789ab").unwrap());
        let events = r#"["a.b","c"]"#;
        let text = entry(Aggregate::Order, &key, ChangeAction::Put, "user:x\"y", events);
        assert_eq!(
            text,
            r#"["order","01931e80-9b6a-7abc-8def-0123456789ab","put","user:x\"y",["a.b","c"]]"#
        );
    }

    proptest! {
        #[test]
        fn an_entry_is_read_as_it_was_written(
            id in any::<u128>(),
            actor in any::<String>(),
            events in proptest::collection::vec(any::<String>(), 0..4),
            version in 1..i64::MAX,
        ) {
            let key = RowKey::Id(Uuid::from_u128(id));
            let listed = serde_json::to_string(&events).unwrap();
            let text = entry(Aggregate::Cart, &key, ChangeAction::Delta, &actor, &listed);
            prop_assert!(text.starts_with(&prefix(Aggregate::Cart, &key)));
            let change = read(&text, version, 7).unwrap();
            prop_assert_eq!(change.aggregate, Aggregate::Cart);
            prop_assert_eq!(change.key, key);
            prop_assert_eq!(change.actor, actor);
            prop_assert_eq!(change.events, events);
            prop_assert_eq!(change.version.stored(), version);
        }
    }
}
