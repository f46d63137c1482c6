//! Names of entries: namespace, epoch, aggregate, id.

use uuid::Uuid;

use crate::model::Aggregate;
use crate::spi::cache::CacheKey;

/// How the entries of one shop are named.
///
/// - The store's epoch is part of the name: after a restore nothing of before it is found.
#[derive(Clone, Debug)]
pub(super) struct Names {
    namespace: String,
}

impl Names {
    pub(super) fn new(namespace: String) -> Self {
        Self { namespace }
    }

    pub(super) fn key(&self, aggregate: Aggregate, id: Uuid, epoch: i64) -> CacheKey {
        let kind = format!("{aggregate}.{epoch}");
        CacheKey::new(
            &self.namespace,
            &kind,
            id.simple().encode_lower(&mut Uuid::encode_buffer()),
        )
    }

    /// What a name stands for, if it is one of this shop's.
    pub(super) fn parse(&self, name: &str) -> Option<(Aggregate, Uuid)> {
        let mine = CacheKey::new(&self.namespace, "x", "x");
        let prefix = mine.as_str().strip_suffix("x:x")?;
        let (kind, id) = name.strip_prefix(prefix)?.split_once(':')?;
        let (aggregate, _) = kind.split_once('.')?;
        Some((Aggregate::parse(aggregate).ok()?, Uuid::parse_str(id).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_understood_and_those_of_others_are_not() {
        let id = Uuid::now_v7();
        for namespace in ["shop", "a shop with spaces"] {
            let names = Names::new(namespace.to_owned());
            let key = names.key(Aggregate::Product, id, 3);
            assert_eq!(names.parse(key.as_str()), Some((Aggregate::Product, id)));
            assert_ne!(key, names.key(Aggregate::Product, id, 4));
            assert_ne!(key, names.key(Aggregate::Cart, id, 3));
            assert_eq!(Names::new("other".to_owned()).parse(key.as_str()), None);
        }
        for foreign in [
            "",
            "shop",
            "shop:product.0:x",
            "shop:tea.0:00000000000000000000000000000000",
        ] {
            assert_eq!(Names::new("shop".to_owned()).parse(foreign), None, "{foreign}");
        }
    }
}
