//! Levels on a trial: their versions, and what a put or a read of one means for its shares.

use super::facts::further_shares;
use super::trial::Trial;
use super::world::is_there;
use super::world::next;
use crate::backend::dynamodb::item::Map;
use crate::backend::dynamodb::item::Write as _;
use crate::backend::dynamodb::keys::Key;
use crate::backend::dynamodb::records;
use crate::backend::dynamodb::records::VERSION;
use crate::backend::dynamodb::records::level;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::LocationId;
use crate::model::RowKey;
use crate::model::Sku;

impl Trial<'_> {
    /// The version of an aggregate as it is by now; 0 where it is absent.
    pub(super) fn version_of(&self, aggregate: Aggregate, key: &RowKey) -> Result<i64> {
        let place = Key::root(aggregate, key);
        let root = self.item(&place);
        if aggregate != Aggregate::Level || !is_there(root) {
            return records::version_number(root);
        }
        let mut sum = level::counted(root)?;
        for share in self.further_shares(&place)? {
            sum += level::counted(self.item(&share))?;
        }
        Ok(sum)
    }

    /// The shares of a level behind its root; none of anything else.
    pub(super) fn further_shares(&self, root: &Key) -> Result<Vec<Key>> {
        let count = match self.item(root).filter(|_| root.is_level()) {
            Some(item) => level::shares(item)?,
            None => 1,
        };
        Ok(further_shares(root, count).collect())
    }

    /// Demands that the shares of a level stay as they are while its root is read.
    pub(super) fn check_shares(&mut self, root: &Key) -> Result<()> {
        for share in self.further_shares(root)? {
            let own = self.world.stored_version(&share)?;
            self.draft.checks.insert(share, own);
        }
        Ok(())
    }

    /// Writes the shares of a level as they are, with its root: a put may lower what may be owed, and whoever takes from a share
    /// at the same time has to notice.
    pub(super) fn write_shares(&mut self, root: &Key) -> Result<()> {
        for share in self.further_shares(root)? {
            let mut item = match (self.item(&share), root.level_parts()) {
                (Some(item), _) => Map::clone(item),
                (None, Some((sku, _))) => {
                    let location = root.location().unwrap_or_default();
                    level::blank(&Sku::new(sku)?, &LocationId::new(location)?)
                }
                (None, None) => continue,
            };
            let stored = self.world.facts.items.get(&share);
            item.int(level::COUNTED, level::counted(stored)?);
            item.time("updated_at", self.world.facts.now);
            item.int(VERSION, next(self.world.stored_version(&share)?).stored());
            self.draft.items.insert(share, Some(item));
        }
        Ok(())
    }

    /// What the shares of a level count of its version in the store.
    pub(super) fn level_version(&self, (sku, location): &(Sku, LocationId), count: usize) -> Result<i64> {
        let shares = (0..count).map(|number| Key::share(sku, location, number));
        let counted = shares.map(|share| level::counted(self.world.facts.items.get(&share)));
        counted.sum()
    }

    /// What a put of a level leaves as it is: it sets what may be owed, never what is counted.
    pub(super) fn keep_counters(&self, item: &mut Map, old: &Map, place: &Key) -> Result<()> {
        for name in ["on_hand", "allocated", "held", "next_end", level::SHARES] {
            if let Some(value) = old.get(name) {
                item.put(name, value.clone());
            }
        }
        if old.contains_key(level::COUNTED) {
            item.int(
                level::COUNTED,
                level::counted(self.world.facts.items.get(place))? + 1,
            );
        }
        Ok(())
    }

    /// A new level has as many shares as new ones get.
    pub(super) fn spread_new(&self, item: &mut Map) {
        let shares = i64::try_from(self.world.facts.new_shares).unwrap_or(1);
        if shares > 1 {
            item.int(level::SHARES, shares);
            item.int(level::COUNTED, 1);
        }
    }
}
