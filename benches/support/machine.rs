//! The machine that the numbers were taken on.

use std::fs::read_to_string;
use std::process::Command;

use stockroom::Clock;
use stockroom::SystemClock;

/// What the numbers depend on, in the words of the report.
#[derive(Debug)]
pub(crate) struct Machine {
    facts: Vec<(&'static str, String)>,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let mut facts = Vec::new();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let model = line("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
        facts.push((
            "processor",
            format!("{cores} cores of {model}; client and server on the same machine"),
        ));
        if let Some(memory) = line("/proc/meminfo", "MemTotal") {
            facts.push(("memory", memory));
        }
        if let Ok(kernel) = read_to_string("/proc/sys/kernel/osrelease") {
            facts.push(("system", format!("{} {}", std::env::consts::OS, kernel.trim())));
        }
        if let Ok(output) = Command::new("rustc").arg("--version").output() {
            facts.push((
                "compiler",
                String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            ));
        }
        facts.push(("date", SystemClock.now().date().to_string()));
        Self { facts }
    }

    pub(crate) fn add(&mut self, what: &'static str, fact: impl Into<String>) {
        self.facts.push((what, fact.into()));
    }

    /// One fact a line.
    pub(crate) fn markdown(&self) -> String {
        self.facts
            .iter()
            .map(|(what, fact)| format!("- {what}: {fact}\n"))
            .collect()
    }
}

/// What follows a word and a colon.
fn line(file: &str, word: &str) -> Option<String> {
    let text = read_to_string(file).ok()?;
    let found = text.lines().find(|line| line.starts_with(word))?;
    found.split_once(':').map(|(_, value)| value.trim().to_owned())
}
