//! Which partitions may be read: parents before their children. A state machine without I/O.

use std::collections::BTreeMap;

use crate::spi::changes::Partition;
use crate::spi::changes::PartitionId;

/// The partitions of a feed as far as they are known, and which of them were read to their end.
#[derive(Debug, Default)]
pub(crate) struct Partitions(BTreeMap<PartitionId, Node>);

#[derive(Debug, Default)]
struct Node {
    parents: Vec<PartitionId>,
    done: bool,
}

impl Partitions {
    /// Learns of partitions, from the source's list or from a parent that closed.
    pub(crate) fn learn(&mut self, partitions: impl IntoIterator<Item = Partition>) {
        for Partition { id, parents } in partitions {
            let node = self.0.entry(id).or_default();
            for parent in parents {
                if !node.parents.contains(&parent) {
                    node.parents.push(parent);
                }
            }
        }
    }

    /// Keeps in mind that a partition was read to its end.
    pub(crate) fn done(&mut self, id: &PartitionId) {
        if let Some(node) = self.0.get_mut(id) {
            node.done = true;
        }
    }

    /// The partitions that may be read now. A parent that the source no longer has was read, or can never be.
    pub(crate) fn ready(&self) -> Vec<PartitionId> {
        let open = |parent| self.0.get(parent).is_some_and(|node: &Node| !node.done);
        self.0
            .iter()
            .filter(|(_, node)| !node.done && !node.parents.iter().any(open))
            .map(|(id, _)| id.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Partitions;
    use crate::spi::changes::Partition;
    use crate::spi::changes::PartitionId;

    fn partition(id: &str, parents: &[&str]) -> Partition {
        Partition {
            id: PartitionId::new(id),
            parents: parents.iter().map(|parent| PartitionId::new(*parent)).collect(),
        }
    }

    fn ready(partitions: &Partitions) -> Vec<String> {
        partitions.ready().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn children_wait_for_all_of_their_parents() {
        let mut partitions = Partitions::default();
        partitions.learn([
            partition("a", &[]),
            partition("b", &[]),
            partition("ab", &["a", "b"]),
        ]);
        assert_eq!(ready(&partitions), ["a", "b"]);
        partitions.done(&PartitionId::new("a"));
        assert_eq!(ready(&partitions), ["b"]);
        partitions.done(&PartitionId::new("b"));
        assert_eq!(ready(&partitions), ["ab"]);
    }

    #[test]
    fn a_parent_that_is_gone_holds_nothing_back() {
        let mut partitions = Partitions::default();
        partitions.learn([partition("child", &["trimmed"])]);
        assert_eq!(ready(&partitions), ["child"]);
    }

    #[test]
    fn a_parent_that_is_learned_late_is_read_first() {
        let mut partitions = Partitions::default();
        partitions.learn([partition("child", &["parent"])]);
        partitions.learn([partition("parent", &[])]);
        assert_eq!(ready(&partitions), ["parent"]);
    }
}
