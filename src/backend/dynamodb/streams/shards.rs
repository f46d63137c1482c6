//! The shards of the tables' streams as partitions of the feed: which there are, and which go on from which.
//!
//! The service splits and closes shards as it likes, every few hours at least, and forgets them a day after. Reading parents
//! before their children, once each, is the relay's part; here it is told which are whose.

use crate::backend::dynamodb::tables::Table;
use crate::spi::changes::Partition;
use crate::spi::changes::PartitionId;

/// A shard, as far as it is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    pub(super) id: String,
    pub(super) parent: Option<String>,
    /// Whether nothing will be added to it.
    pub(super) closed: bool,
}

/// The shards of one stream.
#[derive(Clone, Debug)]
pub(super) struct Shards {
    pub(super) table: Table,
    pub(super) all: Vec<Shard>,
}

impl Shards {
    /// Every shard with the parent that is still there: what is forgotten holds nothing back.
    pub(super) fn partitions(&self) -> impl Iterator<Item = Partition> + '_ {
        self.all.iter().map(|shard| self.partition(shard))
    }

    /// Those that go on from this one.
    pub(super) fn children(&self, of: &str) -> Vec<Partition> {
        let children = self
            .all
            .iter()
            .filter(|shard| shard.parent.as_deref() == Some(of));
        children
            .map(|shard| Partition {
                id: partition(self.table, &shard.id),
                parents: vec![partition(self.table, of)],
            })
            .collect()
    }

    /// Those that changes are still added to.
    pub(super) fn open(&self) -> impl Iterator<Item = &Shard> {
        self.all.iter().filter(|shard| !shard.closed)
    }

    fn partition(&self, shard: &Shard) -> Partition {
        let known = |parent: &&String| self.all.iter().any(|shard| shard.id == **parent);
        let parents = shard.parent.iter().filter(known);
        Partition {
            id: partition(self.table, &shard.id),
            parents: parents.map(|parent| partition(self.table, parent)).collect(),
        }
    }
}

/// The partition that a shard is.
pub(super) fn partition(table: Table, shard: &str) -> PartitionId {
    PartitionId::new(format!("{table}:{shard}"))
}

/// The shard that a partition is.
pub(super) fn parse(partition: &PartitionId) -> Option<(Table, &str)> {
    let (name, shard) = partition.as_str().split_once(':')?;
    let table = Table::ALL.into_iter().find(|table| table.as_str() == name)?;
    Some((table, shard))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(id: &str, parent: Option<&str>, closed: bool) -> Shard {
        Shard {
            id: id.to_owned(),
            parent: parent.map(str::to_owned),
            closed,
        }
    }

    #[test]
    fn a_parent_that_is_forgotten_is_no_parent() {
        let shards = Shards {
            table: Table::Orders,
            all: vec![
                shard("a", Some("forgotten"), true),
                shard("b", Some("a"), false),
                shard("c", Some("a"), false),
            ],
        };
        let partitions: Vec<_> = shards.partitions().collect();
        assert_eq!(partitions[0].parents, []);
        assert_eq!(partitions[1].parents, [partition(Table::Orders, "a")]);
        assert_eq!(shards.children("a").len(), 2);
        assert_eq!(shards.open().count(), 2);
    }

    #[test]
    fn partitions_name_their_table_and_shard() {
        let id = partition(Table::Carts, "shardId-1");
        assert_eq!(parse(&id), Some((Table::Carts, "shardId-1")));
        assert_eq!(parse(&PartitionId::new("0")), None);
    }
}
