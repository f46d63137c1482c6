//! Schedules: what sessions do in which order, step by step, and where a reader looks.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::btree_map::Entry;

use sqlx::AssertSqlSafe;
use sqlx::Connection as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::ways::Way;
use crate::support::Dice;

/// An aggregate and its version.
pub(super) type Named = (u64, i64);

#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// A session begins a transaction, which is given its id.
    Begin(usize),
    /// It numbers a change, as the commit function does: of this aggregate, at this version.
    Number(usize, u64, i64),
    Commit(usize),
    Abort(usize),
    /// The reader reads on to the end.
    Poll,
    /// The same, and the session commits while the reader is at it, if the way to read has a moment for that.
    PollWhile(usize),
    /// The reader reads one page of one change.
    Page,
    /// Everything that was committed was given by now.
    Live,
}

/// What is wrong about what a reader was given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wrong {
    Missing(Named),
    Twice(Named),
    OutOfOrder(Named),
    /// It came, but not while another transaction was open.
    Late(Named),
    /// It was never committed.
    Invented(Named),
}

/// The aggregate's key in the feed.
pub(super) fn key(aggregate: u64) -> Uuid {
    Uuid::from_u64_pair(7, aggregate)
}

pub(super) async fn connect(url: &str, schema: &str) -> PgConnection {
    let mut connection = PgConnection::connect(url).await.unwrap();
    execute(&mut connection, &format!("SET search_path = {schema}")).await;
    connection
}

pub(super) async fn execute(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(connection)
        .await
        .unwrap_or_else(|error| panic!("{error}: {sql}"));
}

/// The statement that writes one row of the feed, with these changes.
pub(super) fn insert(changes: &[Named]) -> String {
    let entries = changes.iter().map(|(aggregate, _)| {
        let key = key(*aggregate);
        format!("'[\"product\",\"{key}\",\"put\",\"system\",[]]'")
    });
    let versions = changes.iter().map(|(_, version)| version.to_string());
    format!(
        "INSERT INTO stockroom_changes (entries, versions, keys, at, commit_id) VALUES (ARRAY[{}], ARRAY[{}], '{{}}', 0, '{}')",
        entries.collect::<Vec<_>>().join(", "),
        versions.collect::<Vec<_>>().join(", "),
        Uuid::now_v7()
    )
}

/// Runs the steps; what is wrong about what the reader was given.
pub(super) async fn run(url: &str, schema: &str, steps: &[Step], way: &mut dyn Way) -> BTreeSet<Wrong> {
    let mut sessions: BTreeMap<usize, PgConnection> = BTreeMap::new();
    let mut written: BTreeMap<usize, Vec<Named>> = BTreeMap::new();
    let (mut committed, mut given, mut wrong) = (Vec::new(), Vec::new(), BTreeSet::new());
    for step in steps.iter().copied().chain([Step::Poll, Step::Poll]) {
        match step {
            Step::Begin(session) => {
                let connection = match sessions.entry(session) {
                    Entry::Occupied(open) => open.into_mut(),
                    Entry::Vacant(place) => place.insert(connect(url, schema).await),
                };
                execute(connection, "BEGIN; SELECT pg_current_xact_id()").await;
                written.insert(session, Vec::new());
            }
            Step::Number(session, aggregate, version) => {
                let sql = insert(&[(aggregate, version)]);
                execute(sessions.get_mut(&session).unwrap(), &sql).await;
                written.get_mut(&session).unwrap().push((aggregate, version));
            }
            Step::Commit(session) => {
                execute(sessions.get_mut(&session).unwrap(), "COMMIT").await;
                committed.extend(written.remove(&session).unwrap());
            }
            Step::Abort(session) => {
                execute(sessions.get_mut(&session).unwrap(), "ROLLBACK").await;
                written.remove(&session);
            }
            Step::Poll => given.extend(way.poll().await),
            Step::Page => given.extend(way.page().await),
            Step::PollWhile(session) => {
                let connection = sessions.get_mut(&session).unwrap();
                given.extend(way.poll_while(connection).await);
                committed.extend(written.remove(&session).unwrap());
            }
            Step::Live => {
                let seen: BTreeSet<Named> = given.iter().copied().collect();
                let late = committed.iter().filter(|one| !seen.contains(*one));
                wrong.extend(late.map(|one| Wrong::Late(*one)));
            }
        }
    }
    for connection in sessions.into_values() {
        connection.close().await.unwrap();
    }
    wrong.extend(judge(&committed, &given));
    wrong
}

/// Exactly once, and the versions of an aggregate in order.
pub(super) fn judge(committed: &[Named], given: &[Named]) -> BTreeSet<Wrong> {
    let mut wrong = BTreeSet::new();
    let (mut seen, mut last) = (BTreeSet::new(), BTreeMap::new());
    for one in given {
        if !seen.insert(*one) {
            wrong.insert(Wrong::Twice(*one));
        }
        let before = last.insert(one.0, one.1).unwrap_or_default();
        if before > one.1 {
            wrong.insert(Wrong::OutOfOrder(*one));
        }
    }
    let all: BTreeSet<Named> = committed.iter().copied().collect();
    wrong.extend(all.difference(&seen).map(|one| Wrong::Missing(*one)));
    wrong.extend(seen.difference(&all).map(|one| Wrong::Invented(*one)));
    wrong
}

/// So many steps of sixteen sessions, whatever their order; a row is locked from its numbering to the end.
pub(super) fn random(dice: &mut Dice, steps: usize) -> Vec<Step> {
    let mut open: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    let mut versions: BTreeMap<u64, i64> = BTreeMap::new();
    let mut before: BTreeMap<(usize, u64), i64> = BTreeMap::new();
    let mut schedule = Vec::new();
    while schedule.len() < steps {
        let session = usize::try_from(dice.below(16)).unwrap();
        let locked: BTreeSet<u64> = open.values().flatten().copied().collect();
        match dice.below(10) {
            0..=3 if !open.contains_key(&session) => {
                open.insert(session, Vec::new());
                schedule.push(Step::Begin(session));
            }
            0..=4 => {
                let aggregate = dice.below(20);
                if let Some(own) = open.get_mut(&session)
                    && !locked.contains(&aggregate)
                {
                    own.push(aggregate);
                    let version = versions.entry(aggregate).or_default();
                    before.insert((session, aggregate), *version);
                    *version += 1;
                    schedule.push(Step::Number(session, aggregate, *version));
                }
            }
            5..=6 => {
                if let Some(own) = open.remove(&session) {
                    if dice.below(5) == 0 {
                        for aggregate in own {
                            versions.insert(aggregate, before[&(session, aggregate)]);
                        }
                        schedule.push(Step::Abort(session));
                    } else {
                        schedule.push(Step::Commit(session));
                    }
                }
            }
            7 => schedule.push(Step::Poll),
            _ => schedule.push(Step::Page),
        }
    }
    schedule.extend(open.into_keys().map(Step::Commit));
    schedule
}
