//! Which request a fault strikes.

use std::time::Duration;

use super::wire::Sql;
use crate::testkit::random::Random;

/// What is lost with the connection when a fault strikes a request.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// The request: the server never gets any of it, and both sides lose the connection. Nothing was applied.
    Request,
    /// The reply: the server answers in full, the client gets none of it, and both sides lose the connection. Whatever the
    /// request did was done before the client lost the connection.
    Reply,
    /// The client loses the connection at once, the server gets the request this much later. A client that asks about the
    /// outcome in between finds nothing of it, and then it happens.
    LateRequest(Duration),
}

/// Which of the requests a fault strikes, counted over all connections from the moment that it is set.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum When {
    /// The next one; then the fault is over.
    Next,
    /// Each n-th one; 0 never strikes.
    Every(u64),
    /// Each one with this probability, in the order in which requests come to the proxy.
    Chance {
        /// 0 to 100.
        percent: u8,
        /// The same seed strikes the same requests.
        seed: u64,
    },
}

#[derive(Debug)]
pub(super) struct Rule {
    loss: Loss,
    when: When,
    part: Option<String>,
    seen: u64,
    random: Random,
}

impl Rule {
    /// `part`: only requests that run SQL with this in it are counted.
    pub(super) fn new(loss: Loss, when: When, part: Option<String>) -> Self {
        let random = if let When::Chance { seed, .. } = when {
            seed
        } else {
            0
        };
        Self {
            loss,
            when,
            part,
            seen: 0,
            random: Random::new(random),
        }
    }

    /// Counts the request; the loss if it is one of those to strike.
    fn judge(&mut self, sql: &Sql) -> Option<Loss> {
        if self.part.as_ref().is_some_and(|part| !sql.runs(part)) {
            return None;
        }
        self.seen += 1;
        let strikes = match self.when {
            When::Next => true,
            When::Every(n) => n > 0 && self.seen.is_multiple_of(n),
            When::Chance { percent, .. } => self.random.strikes(percent),
        };
        strikes.then_some(self.loss)
    }
}

/// Every rule counts the request, the first that strikes decides, and a rule for the next request is over when it strikes.
pub(super) fn judge(rules: &mut Vec<Rule>, sql: &Sql) -> Option<Loss> {
    let mut verdict = None;
    rules.retain_mut(|rule| {
        // A rule for one request must not be spent on a request that another has struck.
        if verdict.is_some() && rule.when == When::Next {
            return true;
        }
        let loss = rule.judge(sql);
        verdict = verdict.or(loss);
        !(rule.when == When::Next && loss.is_some())
    });
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    fn struck(rules: &mut Vec<Rule>, requests: u64) -> Vec<u64> {
        (1..=requests)
            .filter(|_| judge(rules, &Sql::default()).is_some())
            .collect()
    }

    fn rule(when: When) -> Vec<Rule> {
        vec![Rule::new(Loss::Reply, when, None)]
    }

    #[test]
    fn next_strikes_once_and_every_strikes_again_and_again() {
        assert_eq!(struck(&mut rule(When::Next), 9), [1]);
        assert_eq!(struck(&mut rule(When::Every(4)), 9), [4, 8]);
        assert!(struck(&mut rule(When::Every(0)), 9).is_empty());
    }

    #[test]
    fn a_chance_strikes_the_same_requests_for_the_same_seed() {
        let run = |percent, seed| struck(&mut rule(When::Chance { percent, seed }), 1_000);
        assert_eq!(run(30, 7), run(30, 7));
        assert_ne!(run(30, 7), run(30, 8));
        assert!((200..400).contains(&run(30, 7).len()));
        assert_eq!(run(0, 7).len(), 0);
        assert_eq!(run(100, 7).len(), 1_000);
    }

    #[test]
    fn a_rule_for_some_sql_counts_no_other() {
        let mut rules = vec![Rule::new(Loss::Request, When::Next, Some("COMMIT".to_owned()))];
        assert!(struck(&mut rules, 5).is_empty());
        assert_eq!(rules.len(), 1);
    }

    #[test]
    fn the_first_rule_that_strikes_decides_and_spends_no_other() {
        let mut rules = vec![
            Rule::new(Loss::Request, When::Every(2), None),
            Rule::new(Loss::Reply, When::Next, None),
        ];
        let judged: Vec<_> = (0..4).map(|_| judge(&mut rules, &Sql::default())).collect();
        assert_eq!(
            judged,
            [Some(Loss::Reply), Some(Loss::Request), None, Some(Loss::Request)]
        );
    }
}
