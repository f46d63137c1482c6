//! The feed of one store among several: its partitions are named after the store, so that no two of a shop are called alike.

use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Error;
use crate::error::Result;
use crate::resilience::Deadline;
use crate::spi::changes::ChangePage;
use crate::spi::changes::ChangeSource;
use crate::spi::changes::FeedRead;
use crate::spi::changes::Partition;
use crate::spi::changes::PartitionEnd;
use crate::spi::changes::PartitionId;
use crate::spi::changes::Position;

/// The same source, whose partitions begin with the name of its store.
pub(super) fn named(inner: Arc<dyn ChangeSource>, store: &str) -> Arc<dyn ChangeSource> {
    let prefix = format!("{store}:");
    Arc::new(Named { inner, prefix })
}

#[derive(Debug)]
struct Named {
    inner: Arc<dyn ChangeSource>,
    prefix: String,
}

impl Named {
    fn outside(&self, id: &PartitionId) -> PartitionId {
        PartitionId::new(format!("{}{id}", self.prefix))
    }

    fn inside(&self, id: &PartitionId) -> Result<PartitionId> {
        id.as_str()
            .strip_prefix(&self.prefix)
            .map(PartitionId::new)
            .ok_or_else(|| Error::invalid("partition", "it is of another store of the shop"))
    }

    fn partition(&self, partition: &Partition) -> Partition {
        Partition {
            id: self.outside(&partition.id),
            parents: partition.parents.iter().map(|id| self.outside(id)).collect(),
        }
    }
}

#[async_trait]
impl ChangeSource for Named {
    async fn partitions(&self, deadline: Deadline) -> Result<Vec<Partition>> {
        let partitions = self.inner.partitions(deadline).await?;
        Ok(partitions
            .iter()
            .map(|partition| self.partition(partition))
            .collect())
    }

    async fn tail(&self, deadline: Deadline) -> Result<Vec<(PartitionId, Position)>> {
        let tail = self.inner.tail(deadline).await?;
        Ok(tail
            .into_iter()
            .map(|(id, place)| (self.outside(&id), place))
            .collect())
    }

    async fn read(&self, read: FeedRead<'_>, deadline: Deadline) -> Result<ChangePage> {
        let partition = self.inside(read.partition)?;
        let read = FeedRead {
            partition: &partition,
            ..read
        };
        let mut page = self.inner.read(read, deadline).await?;
        if let PartitionEnd::Closed { children } = &mut page.end {
            *children = children.iter().map(|child| self.partition(child)).collect();
        }
        Ok(page)
    }
}
