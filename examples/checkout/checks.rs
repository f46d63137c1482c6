//! What must be true at the end, told while the example runs.

use crate::Outcome;

/// The invariants that were looked at, and those that did not hold.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    held: usize,
    broken: Vec<String>,
}

impl Checks {
    /// Prints whether an invariant holds, and remembers it.
    pub(crate) fn that(&mut self, claim: &str, holds: bool) {
        if holds {
            self.held += 1;
            println!("  ok: {claim}");
        } else {
            self.broken.push(claim.to_owned());
            println!("  NOT SO: {claim}");
        }
    }

    /// An error when one did not hold.
    pub(crate) fn verdict(self) -> Outcome {
        if self.broken.is_empty() {
            println!("All {} checks hold.", self.held);
            return Ok(());
        }
        Err(format!("does not hold: {}", self.broken.join("; ")).into())
    }
}
