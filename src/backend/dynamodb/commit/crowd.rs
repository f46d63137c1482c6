//! Which write sets can be under way at once, and which share a transaction.

use std::collections::HashMap;
use std::collections::VecDeque;

use super::job::Job;
use super::prepared::MOST_ITEMS;
use super::prepared::Prepared;
use super::prepared::Touch;
use crate::backend::dynamodb::keys::Key;

/// Sets of one transaction at most.
const MOST_SETS: usize = 128;

/// Items with how many sets write and read them.
#[derive(Debug, Default)]
pub(super) struct Occupied(HashMap<Key, (usize, usize)>);

impl Occupied {
    /// Whether a set would meet one that is counted: two transactions that write an item at once cancel each other.
    pub(super) fn collides(&self, one: &Prepared) -> bool {
        one.touches.iter().any(|(key, touch)| {
            self.0
                .get(key)
                .is_some_and(|(writers, _)| *writers > 0 || *touch != Touch::Reads)
        })
    }

    pub(super) fn add(&mut self, one: &Prepared) {
        for (key, touch) in &one.touches {
            let (writers, readers) = self.0.entry(key.clone()).or_default();
            *(if *touch == Touch::Reads { readers } else { writers }) += 1;
        }
    }

    pub(super) fn remove(&mut self, touches: &[(Key, Touch)]) {
        for (key, touch) in touches {
            let Some(counts) = self.0.get_mut(key) else {
                continue;
            };
            let counter = if *touch == Touch::Reads {
                &mut counts.1
            } else {
                &mut counts.0
            };
            *counter = counter.saturating_sub(1);
            if *counts == (0, 0) {
                self.0.remove(key);
            }
        }
    }
}

/// Sets that share a transaction.
#[derive(Default)]
struct Group<'a> {
    touches: HashMap<&'a Key, Touch>,
    items: usize,
    sets: usize,
}

/// How a set stands to a group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// It changes some of the same rows by deltas or reads them, meets the group nowhere else, and fits into its transaction.
    Beside,
    /// It cannot be in the same transaction, but looks at the same items: what is refused or was done before is found out with
    /// the group, such as the repetitions of a request.
    Behind,
    /// It waits for another transaction.
    Apart,
}

impl<'a> Group<'a> {
    /// How a set stands to the group.
    fn fit(&self, one: &Prepared) -> Fit {
        if self.sets == 0 {
            return Fit::Beside;
        }
        let (mut common, mut clashes) = (false, false);
        for (key, touch) in &one.touches {
            if let Some(known) = self.touches.get(key) {
                common = true;
                clashes |= known != touch || *touch == Touch::Owns;
            }
        }
        // None is cancelled for another that it has nothing to do with.
        if !common || self.sets >= MOST_SETS {
            return Fit::Apart;
        }
        if clashes {
            return Fit::Behind;
        }
        if self.items + self.items_of(one) > MOST_ITEMS {
            return Fit::Apart;
        }
        Fit::Beside
    }

    /// The items that a set usually adds: of a row that is changed by deltas its root, of a level the change too.
    fn items_of(&self, one: &Prepared) -> usize {
        let changed = one.touches.iter().filter(|(_, touch)| **touch == Touch::Changes);
        let fresh = changed.filter(|(key, _)| !self.touches.contains_key(key));
        let items = fresh.map(|(key, _)| if key.is_level() { 2 } else { 1 });
        one.own_items + items.sum::<usize>()
    }

    fn add(&mut self, one: &'a Prepared) {
        self.items += self.items_of(one);
        self.touches
            .extend(one.touches.iter().map(|(key, touch)| (key, *touch)));
        self.sets += 1;
    }
}

/// Takes the sets of the next transaction out of those that wait, if one may begin; nothing overtakes on an item.
///
/// Afterwards `blocked` is what those that go on waiting touch.
pub(super) fn next(
    waiting: &mut VecDeque<Job>,
    occupied: &Occupied,
    blocked: &mut Occupied,
) -> Option<Vec<Job>> {
    *blocked = Occupied::default();
    let mut group = Group {
        // The commit item.
        items: 1,
        ..Group::default()
    };
    let mut chosen = vec![false; waiting.len()];
    for (job, chosen) in waiting.iter().zip(&mut chosen) {
        let free = !occupied.collides(&job.one) && !blocked.collides(&job.one);
        let fit = if free { group.fit(&job.one) } else { Fit::Apart };
        match fit {
            Fit::Beside => group.add(&job.one),
            Fit::Behind => group.sets += 1,
            Fit::Apart => blocked.add(&job.one),
        }
        *chosen = fit != Fit::Apart;
    }
    if group.sets == 0 {
        return None;
    }
    let mut taken = Vec::with_capacity(group.sets);
    let mut chosen = chosen.into_iter();
    for _ in 0..waiting.len() {
        let Some(job) = waiting.pop_front() else { break };
        if chosen.next().unwrap_or_default() {
            taken.push(job);
        } else {
            waiting.push_back(job);
        }
    }
    Some(taken)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;
    use uuid::Uuid;

    use super::*;
    use crate::backend::dynamodb::commit::job::State;
    use crate::model::Actor;
    use crate::model::ClaimKey;
    use crate::model::IdempotencyKey;
    use crate::model::LocationId;
    use crate::model::Quantity;
    use crate::model::Sku;
    use crate::model::from_micros;
    use crate::resilience::Deadline;
    use crate::spi::store::Delta;
    use crate::spi::store::Idempotency;
    use crate::spi::store::StockStep;
    use crate::spi::store::WriteSet;

    fn job(fill: impl FnOnce(&mut WriteSet)) -> Job {
        let mut set = WriteSet::new(Actor::system());
        fill(&mut set);
        Job {
            one: Box::new(Prepared::new(set, from_micros(0).unwrap()).unwrap()),
            deadline: Deadline::within(Duration::from_secs(3_600)),
            state: State::default(),
            reply: oneshot::channel().0,
            ticket: None,
        }
    }

    fn receive(set: &mut WriteSet, sku: &str) {
        let (sku, berlin) = (Sku::new(sku).unwrap(), LocationId::new("berlin").unwrap());
        set.delta(Delta::Stock(StockStep::receive(&sku, &berlin, Quantity::ONE)));
    }

    fn claim(set: &mut WriteSet, key: impl std::fmt::Display) {
        set.claim(ClaimKey::new(ClaimKey::PAYMENT_EVENT, key), Uuid::now_v7());
    }

    fn sizes(mut waiting: VecDeque<Job>) -> Vec<usize> {
        let mut occupied = Occupied::default();
        std::iter::from_fn(|| {
            let group = next(&mut waiting, &occupied, &mut Occupied::default())?;
            group.iter().for_each(|job| occupied.add(&job.one));
            Some(group.len())
        })
        .collect()
    }

    #[test]
    fn sets_that_change_one_row_share_a_transaction_up_to_its_limit() {
        let orders = (0..50).map(|number| {
            job(|set| {
                receive(set, "MUG");
                (0..4).for_each(|key| claim(set, format!("{number}-{key}")));
            })
        });
        // One item is the commit's, two are the level's: 97 are left for four of each set.
        assert_eq!(sizes(orders.collect()), [24]);
    }

    #[test]
    fn sets_without_anything_in_common_go_by_themselves() {
        let waiting = ["MUG", "CUP", "POT"].map(|sku| job(|set| receive(set, sku)));
        assert_eq!(sizes(waiting.into()), [1, 1, 1]);
    }

    #[test]
    fn repetitions_of_a_request_are_judged_with_it() {
        let request = |_| {
            job(|set| {
                set.idempotent(Idempotency {
                    scope: "test".to_owned(),
                    key: IdempotencyKey::new("k").unwrap(),
                    fingerprint: [1; 32],
                    owner: Uuid::now_v7(),
                });
            })
        };
        assert_eq!(sizes((0..32).map(request).collect()), [32]);
    }

    #[test]
    fn nothing_overtakes_on_an_item() {
        let mut occupied = Occupied::default();
        let under_way = job(|set| receive(set, "MUG"));
        occupied.add(&under_way.one);
        let mut waiting: VecDeque<Job> = [
            job(|set| {
                receive(set, "MUG");
                receive(set, "CUP");
            }),
            job(|set| receive(set, "CUP")),
            job(|set| receive(set, "POT")),
        ]
        .into();
        let mut blocked = Occupied::default();
        let begun = next(&mut waiting, &occupied, &mut blocked).unwrap();
        assert_eq!((begun.len(), waiting.len()), (1, 2));
        assert!(blocked.collides(&job(|set| receive(set, "CUP")).one));
        assert!(!blocked.collides(&job(|set| receive(set, "POT")).one));
        assert!(next(&mut waiting, &occupied, &mut blocked).is_none());
        let touches: Vec<_> = under_way.one.touches.clone().into_iter().collect();
        occupied.remove(&touches);
        assert_eq!(next(&mut waiting, &occupied, &mut blocked).unwrap().len(), 2);
    }
}
