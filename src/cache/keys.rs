//! Names of entries: namespace, epoch, aggregate, id; and those of pages and tags.

use std::fmt::Write;

use sha2::Digest;
use sha2::Sha256;
use uuid::Uuid;

use crate::model::Aggregate;
use crate::model::PageRequest;
use crate::model::Slug;
use crate::spi::cache::CacheKey;
use crate::spi::store::ProductQuery;

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

    /// A page of a list of products, by everything that was asked.
    pub(super) fn page(&self, query: &ProductQuery, page: &PageRequest, epoch: i64) -> CacheKey {
        let asked = format!("{query:?} {page:?}");
        let mut name = String::with_capacity(32);
        for byte in Sha256::digest(asked).iter().take(16) {
            // Writing to a string cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        CacheKey::new(&self.namespace, &format!("page.{epoch}"), &name)
    }

    /// What is raised when a product of this category changes; without one, when any product does.
    pub(super) fn tag(&self, category: Option<&Slug>, epoch: i64) -> CacheKey {
        match category {
            Some(category) => CacheKey::new(&self.namespace, &format!("category.{epoch}"), category.as_str()),
            None => CacheKey::new(&self.namespace, &format!("tag.{epoch}"), "products"),
        }
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
    fn every_page_has_a_name_of_its_own_and_is_no_aggregate() {
        let names = Names::new("shop".to_owned());
        let (all, mugs) = (
            ProductQuery::new(),
            ProductQuery::new().category(Slug::new("mugs").unwrap()),
        );
        let (some, more) = (PageRequest::default(), PageRequest::new(51).unwrap());
        let pages =
            [(&all, &some), (&all, &more), (&mugs, &some)].map(|(query, page)| names.page(query, page, 3));
        let later = names.page(&all, &some, 4);
        let distinct: std::collections::BTreeSet<_> = pages.iter().chain([&later]).collect();
        assert_eq!(distinct.len(), 4);
        assert!(pages.iter().all(|page| names.parse(page.as_str()).is_none()));
        let category = Slug::new("products").unwrap();
        assert_ne!(names.tag(Some(&category), 3), names.tag(None, 3));
    }

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
