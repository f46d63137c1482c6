//! Who used the processors: the bench, the server, or someone else. Read from Linux's /proc; elsewhere nothing is told.

use std::fs::read_to_string;

/// Linux counts processor time in hundredths of a second for programs, whatever its own clock.
const TICK: f64 = 0.01;

/// Processor time so far, in seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpu {
    /// Used by this process.
    pub(crate) client: f64,
    /// Used by the server's processes.
    pub(crate) server: f64,
    /// Used by all processes of the machine.
    machine: f64,
    /// Passed on all processors.
    passed: f64,
}

impl Cpu {
    /// The time up to now; `server` is the first process of the server.
    pub(crate) fn now(server: Option<u32>) -> Self {
        let (machine, passed) = machine().unwrap_or_default();
        Self {
            client: process("self").map_or(0.0, |(_, used)| used),
            server: server.map_or(0.0, children),
            machine,
            passed,
        }
    }

    /// The time since `earlier`.
    #[must_use]
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            client: self.client - earlier.client,
            server: (self.server - earlier.server).max(0.0),
            machine: self.machine - earlier.machine,
            passed: self.passed - earlier.passed,
        }
    }

    #[must_use]
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            client: self.client + other.client,
            server: self.server + other.server,
            machine: self.machine + other.machine,
            passed: self.passed + other.passed,
        }
    }

    /// The part of the machine that others used, in percent: what makes the numbers worse than they are.
    pub(crate) fn others(self) -> f64 {
        (self.machine - self.client - self.server).max(0.0) / self.passed.max(TICK) * 100.0
    }
}

/// Time used and time passed on all processors.
fn machine() -> Option<(f64, f64)> {
    let stat = read_to_string("/proc/stat").ok()?;
    let ticks: Vec<f64> = stat
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .filter_map(|text| text.parse().ok())
        .collect();
    let [user, nice, system, idle, iowait, irq, softirq, steal, ..] = *ticks.as_slice() else {
        return None;
    };
    let used = user + nice + system + irq + softirq;
    Some((used * TICK, (used + idle + iowait + steal) * TICK))
}

/// A process' parent and the time that it used.
fn process(id: &str) -> Option<(u32, f64)> {
    let stat = read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name may hold blanks and parentheses; what follows does not.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok());
    Some((fields.get(1)?.parse().ok()?, (ticks(11)? + ticks(12)?) * TICK))
}

/// The time that the processes below this one used, which are alive.
fn children(parent: u32) -> f64 {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return 0.0;
    };
    let ids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    let used = ids
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()))
        .filter_map(|id| process(&id));
    used.filter(|(of, _)| *of == parent).map(|(_, used)| used).sum()
}

/// The process that started this one.
pub(super) fn parent(process_id: i32) -> Option<u32> {
    process(&process_id.to_string()).map(|(parent, _)| parent)
}
