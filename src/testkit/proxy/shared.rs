//! What the proxy's owner, its listener and its connections share.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::rule::{self, Loss, Rule};
use super::wire::Sql;
use super::{Counts, Direction, Line};

/// Enough to read what one operation did; a load test's worth would only cost memory.
const REMEMBERED: usize = 256;

/// Whether the proxy understands what it passes on.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Postgres,
    Redis,
    Opaque,
}

/// The line's state with a number that rises with each change, so that its owner can wait for its own change.
#[derive(Copy, Clone, Debug)]
pub(super) struct LineChange {
    pub(super) number: u64,
    pub(super) line: Line,
}

#[derive(Debug)]
pub(super) struct Shared {
    target: Mutex<SocketAddr>,
    framing: Framing,
    line: watch::Sender<LineChange>,
    /// Each connection listens to it; replaced when it has been used.
    cut: Mutex<watch::Sender<()>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    to_server: Duration,
    to_client: Duration,
    counts: Counts,
    recent: VecDeque<String>,
}

impl Shared {
    pub(super) fn new(target: SocketAddr, framing: Framing) -> Self {
        Self {
            target: Mutex::new(target),
            framing,
            line: watch::Sender::new(LineChange {
                number: 0,
                line: Line::Up,
            }),
            cut: Mutex::new(watch::Sender::new(())),
            state: Mutex::default(),
        }
    }

    pub(super) fn target(&self) -> SocketAddr {
        *lock(&self.target)
    }

    pub(super) fn lead_to(&self, target: SocketAddr) {
        *lock(&self.target) = target;
    }

    pub(super) fn framing(&self) -> Framing {
        self.framing
    }

    /// Counts a connection; what it returns changes when the connection is to be cut.
    pub(super) fn connected(&self) -> watch::Receiver<()> {
        self.state().counts.connections += 1;
        lock(&self.cut).subscribe()
    }

    /// Cuts every connection; closed when they all have gone.
    pub(super) fn cut(&self) -> watch::Sender<()> {
        let cut = std::mem::replace(&mut *lock(&self.cut), watch::Sender::new(()));
        cut.send_replace(());
        cut
    }

    /// Counts a request; what is to be lost with it, if a fault strikes it.
    pub(super) fn judge(&self, sql: &Sql) -> Option<Loss> {
        let mut state = self.state();
        state.counts.round_trips += 1;
        if state.recent.len() == REMEMBERED {
            state.recent.pop_front();
        }
        state.recent.push_back(sql.to_string());
        let loss = rule::judge(&mut state.rules, sql);
        state.counts.lost += u64::from(loss.is_some());
        loss
    }

    pub(super) fn add_rule(&self, rule: Rule) {
        self.state().rules.push(rule);
    }

    pub(super) fn set_delay(&self, direction: Direction, delay: Duration) {
        let mut state = self.state();
        match direction {
            Direction::ToServer => state.to_server = delay,
            Direction::ToClient => state.to_client = delay,
        }
    }

    pub(super) fn forget_faults(&self) {
        let mut state = self.state();
        state.rules.clear();
        state.to_server = Duration::ZERO;
        state.to_client = Duration::ZERO;
    }

    pub(super) fn counts(&self) -> Counts {
        self.state().counts
    }

    pub(super) fn reset_counts(&self) {
        let mut state = self.state();
        state.counts = Counts::default();
        state.recent.clear();
    }

    pub(super) fn recent(&self) -> Vec<String> {
        self.state().recent.iter().cloned().collect()
    }

    /// Changes the line; the number of the change.
    pub(super) fn set_line(&self, line: Line) -> u64 {
        self.line.send_modify(|change| {
            *change = LineChange {
                number: change.number + 1,
                line,
            }
        });
        self.line.borrow().number
    }

    pub(super) fn line(&self) -> watch::Receiver<LineChange> {
        self.line.subscribe()
    }

    /// Waits until the line is not silent.
    pub(super) async fn passable(&self) {
        // It cannot be closed: its sender is here.
        drop(
            self.line
                .subscribe()
                .wait_for(|change| change.line != Line::Silent)
                .await,
        );
    }

    /// Waits for the delay of `direction`, and until the line is not silent.
    pub(super) async fn hold_up(&self, direction: Direction) {
        let delay = {
            let state = self.state();
            match direction {
                Direction::ToServer => state.to_server,
                Direction::ToClient => state.to_client,
            }
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        self.passable().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Every change under these locks is whole, so a panic of another holder leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
