//! The handle by which a test plants faults and looks at what they did.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::task::JoinSet;

use serde_json::Value;

use super::DynamoCounts;
use super::DynamoFault;
use super::memory::Memory;
use super::memory::Refused;
use super::plan::Plan;
use super::plan::Strike;
use super::turns::Turn;
use super::turns::Turns;

/// What becomes of a write that comes to an item that is busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Meeting {
    /// As on the service: a transaction is cancelled with the reason `TransactionConflict`, another write refused with
    /// `TransactionConflictException`.
    #[default]
    Conflicts,
    /// It waits for its turn: kinder than the service, and what a baseline is given that does not repeat.
    Waits,
}

/// Faults between a store and DynamoDB; clones are the same.
///
/// - A fault strikes a percentage of the requests that it can strike, drawn from the seed in the order in which they pass, or
///   the next ones. A request is struck by one fault at most, but for [`DynamoFault::BusyItem`], which strikes beside others.
/// - Attach it by [`DynamoOptions::faults`](crate::DynamoOptions::faults); plant and heal at any time.
#[derive(Clone)]
pub struct DynamoFaults(Arc<Shared>);

struct Shared {
    plan: Mutex<Plan>,
    manner: Mutex<Manner>,
    turns: Arc<Turns>,
    /// Requests that arrive after they were answered; they end with the layer.
    late: Mutex<JoinSet<()>>,
    memory: Mutex<Option<Memory>>,
}

/// How some of the faults strike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) busy: Duration,
    meeting: Meeting,
    pub(crate) slow: Duration,
    pub(crate) forgets_tokens: bool,
}

impl fmt::Debug for DynamoFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DynamoFaults").field(&self.plan().rates).finish()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DynamoFaults {
    /// No fault yet; the same seed strikes the same requests.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Shared {
            plan: Mutex::new(Plan::new(seed)),
            manner: Mutex::new(Manner {
                busy: Duration::from_millis(5),
                meeting: Meeting::default(),
                slow: Duration::from_millis(40),
                forgets_tokens: false,
            }),
            turns: Arc::default(),
            late: Mutex::default(),
            memory: Mutex::default(),
        }))
    }

    /// Lets a fault strike so many of a hundred requests from now on; 0 takes it away.
    pub fn plant(&self, fault: DynamoFault, percent: u8) {
        self.plan().rates.insert(fault, percent);
    }

    /// Lets a fault strike the next requests that it can strike, whatever its rate.
    pub fn strike_next(&self, fault: DynamoFault, count: u64) {
        self.plan().due.insert(fault, count);
    }

    /// Takes every fault away.
    pub fn heal(&self) {
        let mut plan = self.plan();
        plan.rates.clear();
        plan.due.clear();
    }

    /// How long items are busy, 5 ms unless told otherwise, and what becomes of who meets one; see
    /// [`DynamoFault::BusyItem`].
    pub fn set_busy(&self, length: Duration, meeting: Meeting) {
        let mut manner = locked(&self.0.manner);
        (manner.busy, manner.meeting) = (length, meeting);
    }

    /// How long a slow body takes; 40 ms unless told otherwise.
    pub fn set_slow(&self, length: Duration) {
        locked(&self.0.manner).slow = length;
    }

    /// From now on transactions arrive without their request token, as if the service had forgotten it: it does after ten
    /// minutes.
    ///
    /// - It changes what was signed: for engines that check no signatures.
    pub fn forget_tokens(&self) {
        locked(&self.0.manner).forgets_tokens = true;
    }

    /// From now on nothing is sent: the layer answers by itself, out of memory, and as fast as it can.
    ///
    /// - To measure what a store makes of a service that takes no time, with [`DynamoFault::BusyItem`] what it makes of items that
    ///   are busy: the local engine needs longer for a large transaction than that.
    /// - It knows keyed reads, queries without pages, and the conditions that a commit has. No streams, no leases, no limits.
    ///   What a store does there shows nothing about whether it is right.
    /// - Tables must be made behind it: what is in the service it does not know.
    pub fn answer_from_memory(&self) {
        *locked(&self.0.memory) = Some(Memory::default());
    }

    /// What was counted since the beginning or the last [`reset_counts`](Self::reset_counts).
    #[must_use]
    pub fn counts(&self) -> DynamoCounts {
        self.plan().counts.clone()
    }

    /// Counts from nothing again, and from now on how often each item is written too.
    pub fn reset_counts(&self) {
        let mut plan = self.plan();
        plan.counts = DynamoCounts::default();
        plan.items = Some(HashMap::new());
    }

    /// How often the item was written that was written most often since [`reset_counts`](Self::reset_counts): each request
    /// counts, whatever became of it.
    #[must_use]
    pub fn hottest_item(&self) -> u64 {
        let plan = self.plan();
        let items = plan.items.as_ref().map(|items| items.values().copied());
        items.and_then(Iterator::max).unwrap_or_default()
    }

    pub(crate) fn manner(&self) -> Manner {
        *locked(&self.0.manner)
    }

    pub(crate) fn sent(&self, operation: &str, items: usize, written: impl Iterator<Item = String>) {
        self.plan().sent(operation, items, written);
    }

    pub(crate) fn strike(&self, operation: &str) -> Option<Strike> {
        self.plan().strike(operation)
    }

    /// The answer out of memory; `None` where the service is asked.
    pub(crate) fn answered(&self, operation: &str, asked: &Value) -> Option<Result<Value, Refused>> {
        let mut memory = locked(&self.0.memory);
        memory.as_mut().map(|memory| memory.answer(operation, asked))
    }

    /// How long a call keeps its items busy.
    pub(crate) fn busies(&self, operation: &str) -> Duration {
        let busies = self.plan().busies(operation);
        if busies {
            self.manner().busy
        } else {
            Duration::ZERO
        }
    }

    /// The turn of a write on its items; `Err` is the item that another has, where writes do not wait.
    pub(crate) async fn turn(&self, items: BTreeSet<String>) -> Result<Option<Turn>, String> {
        let takes_turns = {
            let plan = self.plan();
            let rate = plan.rates.get(&DynamoFault::BusyItem);
            rate.is_some_and(|rate| *rate > 0) || plan.due.contains_key(&DynamoFault::BusyItem)
        };
        if !takes_turns {
            return Ok(None);
        }
        match self.manner().meeting {
            Meeting::Waits => Ok(Some(self.0.turns.wait(items).await)),
            Meeting::Conflicts => self.0.turns.take(items).map(Some),
        }
    }

    /// Does something that nobody waits for.
    pub(crate) fn later(&self, what: impl Future<Output = ()> + Send + 'static) {
        let mut late = locked(&self.0.late);
        while late.try_join_next().is_some() {}
        late.spawn(what);
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        locked(&self.0.plan)
    }
}
