//! One read of one shard as a state machine: what to ask the service next, and what its answers come to.
//!
//! It does no I/O and has no clock. The feed asks the service what it wants to know; the simulation answers in the service's
//! place, with shards that split, iterators that end and records that are forgotten.

use aws_sdk_dynamodbstreams::types::Record;

use super::place::Place;
use super::record;
use super::record::Told;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::spi::changes::Partition;
use crate::spi::changes::PartitionEnd;

/// Records that the service gives at once at most.
const RECORDS: usize = 1_000;

/// How often one read goes on over pages without records: a shard in which little happens has many of them.
const EMPTY: usize = 4;

/// A question to the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// An iterator behind a record; at the oldest record that is kept for `None`.
    Iterator(Option<String>),
    /// The records from an iterator on, at most so many.
    Records { iterator: String, most: usize },
    /// The partitions that go on from the shard, which has ended.
    Children,
}

/// What the service answers.
#[derive(Debug)]
pub(super) enum Answer {
    Iterator(String),
    /// Records, and an iterator behind them; none where the shard has ended.
    Records {
        records: Vec<Record>,
        next: Option<String>,
    },
    /// The iterator has ended: another one of the same place does.
    Expired,
    /// What was asked for is kept no longer.
    Trimmed,
    /// The shard is kept no longer.
    Gone,
    Children(Vec<Partition>),
}

/// What follows an answer.
#[derive(Debug)]
pub(super) enum Step {
    Ask(Ask),
    /// The read is done.
    Page(Told, PartitionEnd),
}

/// A read that is under way.
#[derive(Debug)]
pub(super) struct Reading {
    told: Told,
    limit: usize,
    /// At the place that was told up to, with nothing between.
    iterator: Option<String>,
    tries: usize,
}

impl Reading {
    /// Reads on from a place, with an iterator that is known to stand there; gives the first question too.
    pub(super) fn begin(place: Place, iterator: Option<String>, limit: usize) -> (Self, Ask) {
        let reading = Self {
            told: Told::nothing(&place),
            limit,
            iterator,
            tries: 0,
        };
        let ask = reading.ask();
        (reading, ask)
    }

    /// The place up to which is told, and an iterator that stands there if there is one.
    pub(super) fn known(&self) -> (&Place, Option<&str>) {
        (&self.told.place, self.iterator.as_deref())
    }

    /// Takes the answer to the last question.
    ///
    /// # Errors
    /// - `Conflict` when what comes behind the place is kept no longer: going on would skip it.
    /// - `Corrupt` for a record that cannot be read.
    pub(super) fn on(&mut self, answer: Answer) -> Result<Step> {
        match answer {
            Answer::Iterator(iterator) => {
                self.iterator = Some(iterator);
                Ok(Step::Ask(self.ask()))
            }
            Answer::Expired => {
                self.iterator = None;
                Ok(Step::Ask(self.ask()))
            }
            Answer::Records { records, next } => self.records(&records, next),
            Answer::Trimmed if self.reads_from_the_oldest() => {
                // Nothing was read of the shard: what it still has is what there is.
                self.iterator = None;
                Ok(self.again())
            }
            Answer::Gone if self.told.place == Place::After(None, 0) => Ok(Step::Ask(Ask::Children)),
            Answer::Trimmed | Answer::Gone => {
                self.iterator = None;
                Err(trimmed())
            }
            Answer::Children(children) => Ok(self.page(PartitionEnd::Closed { children })),
        }
    }

    fn records(&mut self, records: &[Record], next: Option<String>) -> Result<Step> {
        let told = record::tell(records, &self.told.place, self.limit)?;
        let moved = !told.changes.is_empty() || told.place != self.told.place;
        self.told = told;
        // Behind a page that was cut short there are records that the iterator has passed.
        self.iterator = next.filter(|_| !self.told.cut);
        if self.told.cut {
            return Ok(self.page(PartitionEnd::More));
        }
        if self.iterator.is_none() {
            return Ok(Step::Ask(Ask::Children));
        }
        if moved {
            return Ok(self.page(PartitionEnd::More));
        }
        Ok(self.again())
    }

    /// Asks once more, unless it did so often enough for one read.
    fn again(&mut self) -> Step {
        self.tries += 1;
        if self.tries >= EMPTY {
            return self.page(PartitionEnd::Reached);
        }
        Step::Ask(self.ask())
    }

    fn ask(&self) -> Ask {
        match (&self.iterator, &self.told.place) {
            (Some(iterator), _) => Ask::Records {
                iterator: iterator.clone(),
                // About every second record is a root; a page that is not full is no end.
                most: self.limit.saturating_mul(4).min(RECORDS),
            },
            (None, Place::After(record, _)) => Ask::Iterator(record.clone()),
            (None, Place::Since(..)) => Ask::Iterator(None),
        }
    }

    /// Whether no record of the shard was told yet.
    fn reads_from_the_oldest(&self) -> bool {
        matches!(self.told.place, Place::After(None, 0) | Place::Since(_, 0))
    }

    fn page(&mut self, end: PartitionEnd) -> Step {
        let behind = Told::nothing(&self.told.place);
        Step::Page(std::mem::replace(&mut self.told, behind), end)
    }
}

fn trimmed() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "the stream has forgotten what comes behind this position: begin anew, and rebuild what follows the changes",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(record: &str) -> Place {
        Place::After(Some(record.to_owned()), 0)
    }

    fn asked(step: Step) -> Ask {
        match step {
            Step::Ask(ask) => ask,
            Step::Page(_, end) => panic!("it asks no more: {end:?}"),
        }
    }

    fn empty(next: Option<&str>) -> Answer {
        Answer::Records {
            records: Vec::new(),
            next: next.map(str::to_owned),
        }
    }

    #[test]
    fn an_iterator_that_ended_is_made_again_at_the_same_place() {
        let (mut reading, ask) = Reading::begin(behind("7"), Some("old".to_owned()), 10);
        assert!(matches!(ask, Ask::Records { iterator, .. } if iterator == "old"));
        let ask = asked(reading.on(Answer::Expired).unwrap());
        assert_eq!(ask, Ask::Iterator(Some("7".to_owned())));
        assert_eq!(reading.known(), (&behind("7"), None));
    }

    #[test]
    fn what_is_forgotten_behind_a_record_is_told() {
        for answer in [Answer::Trimmed, Answer::Gone] {
            let (mut reading, _) = Reading::begin(behind("7"), None, 10);
            assert!(reading.on(answer).unwrap_err().is(ErrorKind::Conflict));
        }
    }

    #[test]
    fn a_shard_that_is_gone_before_it_was_begun_has_ended() {
        let (mut reading, ask) = Reading::begin(Place::After(None, 0), None, 10);
        assert_eq!(ask, Ask::Iterator(None));
        assert_eq!(asked(reading.on(Answer::Gone).unwrap()), Ask::Children);
        let Step::Page(told, PartitionEnd::Closed { children }) =
            reading.on(Answer::Children(Vec::new())).unwrap()
        else {
            panic!("it has ended");
        };
        assert!(told.changes.is_empty() && children.is_empty());
    }

    #[test]
    fn a_read_goes_over_a_few_empty_pages_and_then_rests() {
        let (mut reading, _) = Reading::begin(behind("7"), Some("1".to_owned()), 10);
        for next in ["2", "3", "4"] {
            asked(reading.on(empty(Some(next))).unwrap());
        }
        let rested = reading.on(empty(Some("5"))).unwrap();
        assert!(matches!(rested, Step::Page(_, PartitionEnd::Reached)));
        assert_eq!(reading.known(), (&behind("7"), Some("5")));
    }

    #[test]
    fn a_shard_without_a_next_iterator_has_ended() {
        let (mut reading, _) = Reading::begin(behind("7"), Some("1".to_owned()), 10);
        assert_eq!(asked(reading.on(empty(None)).unwrap()), Ask::Children);
    }
}
