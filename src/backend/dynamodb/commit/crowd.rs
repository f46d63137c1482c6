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
            let counter = if *touch == Touch::Reads { &mut counts.1 } else { &mut counts.0 };
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

impl<'a> Group<'a> {
    /// Whether a set belongs to the group: it changes some of the same rows by deltas or reads them, meets it nowhere else, and
    /// fits into one transaction with it. Sets that have nothing in common go by themselves: none is cancelled for another.
    fn takes(&self, one: &Prepared) -> bool {
        if self.sets == 0 {
            return true;
        }
        let mut common = 0;
        for (key, touch) in &one.touches {
            match self.touches.get(key) {
                None => {}
                Some(known) if known == touch && *touch != Touch::Owns => common += 1,
                Some(_) => return false,
            }
        }
        let more = one.own_items + 2 * one.shared_rows.saturating_sub(common);
        common > 0 && self.items + more <= MOST_ITEMS && self.sets < MOST_SETS
    }

    fn add(&mut self, one: &'a Prepared) {
        let fresh = one
            .touches
            .iter()
            .filter(|(key, touch)| **touch == Touch::Changes && !self.touches.contains_key(key));
        self.items += one.own_items + 2 * fresh.count();
        self.touches.extend(one.touches.iter().map(|(key, touch)| (key, *touch)));
        self.sets += 1;
    }
}

/// Takes the sets of the next transaction out of those that wait, if one may begin; nothing overtakes on an item.
pub(super) fn next(waiting: &mut VecDeque<Job>, occupied: &Occupied) -> Option<Vec<Job>> {
    let mut blocked = Occupied::default();
    let mut group = Group {
        // The commit item.
        items: 1,
        ..Group::default()
    };
    let mut chosen = vec![false; waiting.len()];
    for (job, chosen) in waiting.iter().zip(&mut chosen) {
        let free = !occupied.collides(&job.one) && !blocked.collides(&job.one);
        if free && group.takes(&job.one) {
            group.add(&job.one);
            *chosen = true;
        } else {
            blocked.add(&job.one);
        }
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
