//! Brings the sets of one transaction to their answers: look, judge, send, and again where something moved meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;

use super::facts::Facts;
use super::facts::Way;
use super::job::Job;
use super::outcome::Outcome;
use super::prepared::Prepared;
use super::transact::Composer;
use super::transact::Sent;
use super::world::Changes;
use super::world::Stop;
use super::world::Verdict;
use super::world::World;
use crate::backend::dynamodb::error::timeout;
use crate::backend::dynamodb::keys::Key;
use crate::backend::dynamodb::wire::Wire;
use crate::backend::epoch::Epoch;
use crate::backend::epoch::restored;
use crate::backend::gauge::Gauge;
use crate::backend::gauge::Ticket;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Timestamp;
use crate::resilience::Backoff;
use crate::resilience::Deadline;
use crate::spi::store::Committed;

/// What every transaction needs.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub(super) wire: Arc<Wire>,
    pub(super) epoch: Epoch,
    pub(super) gauge: Arc<Gauge>,
}

impl Desk {
    /// Brings each set to its answer; those that are returned are to be decided anew, behind the others.
    pub(super) async fn settle(&self, mut batch: Vec<Job>) -> Vec<Job> {
        self.gauge.batch(batch.len());
        let mut later = Vec::new();
        let mut attempt = 0;
        loop {
            batch.retain(|job| !job.is_over());
            let Some(last) = batch.iter().map(|job| job.deadline).max() else {
                return later;
            };
            let round = match self.facts(&batch, Way::Each, last).await {
                Ok(facts) => self.round(batch, &facts, last).await,
                Err(error) => Round::failed(batch, error),
            };
            later.extend(round.later);
            for job in round.alone {
                later.extend(Box::pin(self.settle(vec![job])).await);
            }
            batch = round.again;
            if batch.is_empty() {
                return later;
            }
            match round.pause {
                None => attempt = 0,
                Some(cause) => {
                    let pause = Backoff::default().next(attempt);
                    attempt += 1;
                    let may_repeat = round.moved || self.wire.may_repeat();
                    if pause >= last.remaining() || !may_repeat {
                        batch.into_iter().for_each(|job| job.answer(Err(cause.clone())));
                        return later;
                    }
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn facts(&self, jobs: &[Job], way: Way, deadline: Deadline) -> Result<Facts> {
        let keys: BTreeSet<Key> = jobs.iter().flat_map(|job| job.one.looks()).collect();
        Facts::read(&self.wire, keys, way, deadline).await
    }

    /// One transaction, for the sets that hold.
    async fn round(&self, batch: Vec<Job>, facts: &Facts, last: Deadline) -> Round {
        self.epoch.saw(facts.epoch);
        let mut batch = self.of_this_epoch(batch, facts.epoch);
        // From here on a caller that leaves does not know whether its set goes; those that have left are told that it does not.
        batch.retain(Job::send);
        let mut world = World::new(facts);
        let sets: Vec<&Prepared> = batch.iter().map(|job| &*job.one).collect();
        let verdicts = world.judge(&sets);
        let mut round = Round::default();
        let (mut admitted, mut stopped) = (Vec::new(), Vec::new());
        for (job, verdict) in batch.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Admit(committed) => admitted.push((job, committed)),
                Verdict::Stop(Stop::Replay(owner)) => job.answer(Ok(replay(owner, facts.now))),
                Verdict::Stop(Stop::Refuse(_)) => {
                    job.unsend();
                    stopped.push(job);
                }
                Verdict::Later => {
                    job.unsend();
                    round.later.push(job);
                }
            }
        }
        let changes = world.changes;
        let sent = self.send(admitted, facts, &changes, last).await;
        // Not at the same time: a transactional read is cancelled while its items are being written.
        let confirmed = self.refuse(stopped, last).await;
        round.again = sent.again;
        round.alone = sent.alone;
        round.later.extend(confirmed.later);
        round.pause = sent.pause;
        round.moved = sent.moved;
        if round.again.is_empty() {
            round.again = confirmed.again;
            round.pause = confirmed.pause;
        } else {
            round.later.extend(confirmed.again);
        }
        round
    }

    fn of_this_epoch(&self, batch: Vec<Job>, epoch: i64) -> Vec<Job> {
        let (kept, other): (Vec<_>, Vec<_>) = batch.into_iter().partition(|job| job.one.set.epoch == epoch);
        for job in other {
            let made = job.one.set.epoch;
            job.answer(Err(restored(made, epoch)));
        }
        kept
    }

    /// Answers the sets that do not hold, each on items that are all of one moment: what was read before was read item by item.
    async fn refuse(&self, stopped: Vec<Job>, last: Deadline) -> Round {
        if stopped.is_empty() {
            return Round::default();
        }
        let facts = match self.facts(&stopped, Way::Moment, last).await {
            Ok(facts) => facts,
            Err(error) => return Round::failed(stopped, error),
        };
        let mut round = Round::default();
        for job in stopped {
            match World::new(&facts).judge(&[&*job.one]).pop() {
                Some(Verdict::Stop(Stop::Replay(owner))) => job.answer(Ok(replay(owner, facts.now))),
                Some(Verdict::Stop(Stop::Refuse(error))) => job.answer(Err(error)),
                _ => round.later.push(job),
            }
        }
        round
    }

    async fn send(
        &self,
        admitted: Vec<(Job, Committed)>,
        facts: &Facts,
        changes: &Changes,
        last: Deadline,
    ) -> Round {
        let commit = Uuid::now_v7();
        let composer = Composer {
            wire: &self.wire,
            facts,
        };
        let items = match composer.compose(commit, changes) {
            Ok(items) => items,
            Err(error) => {
                admitted
                    .into_iter()
                    .for_each(|(job, _)| job.answer(Err(error.clone())));
                return Round::default();
            }
        };
        if items.is_empty() {
            answer(admitted);
            return Round::default();
        }
        let mut admitted = admitted;
        let tickets = admitted.iter_mut().filter_map(|(job, _)| job.ticket.as_mut());
        tickets.for_each(Ticket::sent);
        self.gauge.round();
        let sent = self.wire.transact(commit, items, last).await;
        let sent = match sent {
            // Nothing was to be written: it may be asked again.
            Sent::Doubtful(error) if changes.items.is_empty() => Sent::Busy(error),
            Sent::Doubtful(error) => match self.wire.resolve(commit, last).await {
                Outcome::Applied => Sent::Applied,
                Outcome::Voided => Sent::Busy(error),
                Outcome::Unknown => Sent::Doubtful(error),
            },
            known => known,
        };
        self.sent(sent, admitted)
    }

    fn sent(&self, sent: Sent, admitted: Vec<(Job, Committed)>) -> Round {
        let moved = matches!(sent, Sent::Moved(_));
        let (jobs, cause): (Vec<Job>, Error) = match sent {
            Sent::Applied => {
                answer(admitted);
                return Round::default();
            }
            Sent::Doubtful(error) => {
                for (job, _) in admitted {
                    let unknown = Error::new(ErrorKind::OutcomeUnknown, "the outcome could not be found out");
                    job.answer(Err(unknown.caused_by(error.clone())));
                }
                return Round::default();
            }
            Sent::Failed(error) if admitted.len() == 1 => {
                admitted
                    .into_iter()
                    .for_each(|(job, _)| job.answer(Err(error.clone())));
                return Round::default();
            }
            Sent::Failed(error) => {
                // One set may be the culprit: each goes by itself.
                tracing::debug!(kind = ?error.kind(), sets = admitted.len(), "a transaction failed: its sets go one by one");
                admitted.iter().for_each(|(job, _)| job.unsend());
                return Round {
                    alone: admitted.into_iter().map(|(job, _)| job).collect(),
                    ..Round::default()
                };
            }
            Sent::Busy(error) | Sent::Moved(error) => {
                (admitted.into_iter().map(|(job, _)| job).collect(), error)
            }
        };
        jobs.iter().for_each(Job::unsend);
        Round {
            again: jobs,
            pause: Some(cause),
            moved,
            ..Round::default()
        }
    }
}

/// How far one transaction brought a batch.
#[derive(Default)]
struct Round {
    /// These are tried again, after a pause where there is a cause for one.
    again: Vec<Job>,
    pause: Option<Error>,
    /// Whether all that is wrong is that others were faster: nothing is overloaded then.
    moved: bool,
    /// These go one by one.
    alone: Vec<Job>,
    /// These go back into the queue.
    later: Vec<Job>,
}

impl Round {
    /// Nothing of the sets was applied, and what is wrong may pass.
    fn failed(jobs: Vec<Job>, error: Error) -> Self {
        if error.retry_class() == crate::error::Retry::Safe && !error.is(ErrorKind::Timeout) {
            return Self {
                again: jobs,
                pause: Some(error),
                ..Self::default()
            };
        }
        let error = if error.is(ErrorKind::Timeout) {
            timeout()
        } else {
            error
        };
        jobs.into_iter().for_each(|job| job.answer(Err(error.clone())));
        Self::default()
    }
}

fn answer(admitted: Vec<(Job, Committed)>) {
    for (job, committed) in admitted {
        job.answer(Ok(committed));
    }
}

fn replay(owner: Uuid, now: Timestamp) -> Committed {
    Committed {
        replay: Some(owner),
        versions: Vec::new(),
        at: now,
    }
}
