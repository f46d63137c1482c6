//! The usual ways to decide what stays, each behind the same two calls.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;

use stockroom::Product;

/// What stays of so many entries.
pub(crate) trait Policy {
    fn get(&mut self, key: u32) -> Option<Arc<Product>>;

    /// Keeps what was missed.
    fn put(&mut self, key: u32, product: Arc<Product>);
}

/// Their names, in the order of [`ALL`].
pub(crate) const NAMES: [&str; 4] = ["LRU", "S3-FIFO", "TinyLFU", "quick_cache"];

/// Makes each of them for so many entries.
pub(crate) const ALL: [fn(usize) -> Box<dyn Policy>; 4] = [
    |entries| {
        Box::new(Lru(lru::LruCache::new(
            NonZeroUsize::MIN.saturating_add(entries - 1),
        )))
    },
    |entries| Box::new(S3Fifo::new(entries)),
    |entries| Box::new(TinyLfu(moka::sync::Cache::new(entries as u64))),
    |entries| Box::new(Quick(quick_cache::sync::Cache::new(entries))),
];

struct Lru(lru::LruCache<u32, Arc<Product>>);

impl Policy for Lru {
    fn get(&mut self, key: u32) -> Option<Arc<Product>> {
        self.0.get(&key).cloned()
    }

    fn put(&mut self, key: u32, product: Arc<Product>) {
        self.0.put(key, product);
    }
}

struct TinyLfu(moka::sync::Cache<u32, Arc<Product>>);

impl Policy for TinyLfu {
    fn get(&mut self, key: u32) -> Option<Arc<Product>> {
        self.0.get(&key)
    }

    fn put(&mut self, key: u32, product: Arc<Product>) {
        self.0.insert(key, product);
    }
}

struct Quick(quick_cache::sync::Cache<u32, Arc<Product>>);

impl Policy for Quick {
    fn get(&mut self, key: u32) -> Option<Arc<Product>> {
        self.0.get(&key)
    }

    fn put(&mut self, key: u32, product: Arc<Product>) {
        self.0.insert(key, product);
    }
}

/// S3-FIFO (Yang, Zhang, Qiu, Yue and Rashmi, SOSP 2023): a tenth of the entries is on probation, keys that left it unread
/// are remembered, and what is read again before it leaves, or soon after, goes to the rest.
struct S3Fifo {
    entries: usize,
    kept: HashMap<u32, (u8, Arc<Product>)>,
    probation: VecDeque<u32>,
    main: VecDeque<u32>,
    /// With the number under which each was remembered: one that came back meanwhile has another, or none.
    ghosts: VecDeque<(u32, u64)>,
    remembered: HashMap<u32, u64>,
    number: u64,
}

impl S3Fifo {
    fn new(entries: usize) -> Self {
        Self {
            entries,
            kept: HashMap::with_capacity(entries),
            probation: VecDeque::new(),
            main: VecDeque::new(),
            ghosts: VecDeque::new(),
            remembered: HashMap::new(),
            number: 0,
        }
    }

    fn make_room(&mut self) {
        while self.kept.len() >= self.entries {
            if self.probation.len() >= (self.entries / 10).max(1) || self.main.is_empty() {
                self.end_probation();
            } else {
                self.evict();
            }
        }
    }

    fn end_probation(&mut self) {
        let Some(key) = self.probation.pop_front() else {
            return;
        };
        if let Some((reads, _)) = self.kept.get_mut(&key)
            && *reads > 1
        {
            *reads = 0;
            self.main.push_back(key);
            return;
        }
        self.kept.remove(&key);
        self.number += 1;
        self.ghosts.push_back((key, self.number));
        self.remembered.insert(key, self.number);
        while self.ghosts.len() > self.entries {
            if let Some((forgotten, number)) = self.ghosts.pop_front()
                && self.remembered.get(&forgotten) == Some(&number)
            {
                self.remembered.remove(&forgotten);
            }
        }
    }

    fn evict(&mut self) {
        let Some(key) = self.main.pop_front() else {
            return;
        };
        if let Some((reads, _)) = self.kept.get_mut(&key)
            && *reads > 0
        {
            *reads -= 1;
            self.main.push_back(key);
            return;
        }
        self.kept.remove(&key);
    }
}

impl Policy for S3Fifo {
    fn get(&mut self, key: u32) -> Option<Arc<Product>> {
        let (reads, product) = self.kept.get_mut(&key)?;
        *reads = (*reads + 1).min(3);
        Some(Arc::clone(product))
    }

    fn put(&mut self, key: u32, product: Arc<Product>) {
        self.make_room();
        self.kept.insert(key, (0, product));
        if self.remembered.remove(&key).is_some() {
            self.main.push_back(key);
        } else {
            self.probation.push_back(key);
        }
    }
}
