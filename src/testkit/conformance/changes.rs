//! The feed: every change, in order, from any place on.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::CaseResult;
use super::Failure;
use super::Harness;
use super::case::cases;
use super::check::ensure;
use super::check::present;
use super::check::refused;
use super::check::same;
use super::feed::Follower;
use super::feed::named;
use super::feed::page;
use super::feed::source;
use super::harness::accepted;
use super::harness::at_once;
use super::harness::delete;
use super::harness::replace;
use super::harness::set;
use crate::error::ErrorKind;
use crate::model::Actor;
use crate::model::Aggregate;
use crate::model::IdempotencyKey;
use crate::model::Record;
use crate::model::RowKey;
use crate::model::Version;
use crate::spi::changes::Change;
use crate::spi::changes::ChangeAction;
use crate::spi::changes::Position;
use crate::spi::store::Idempotency;
use crate::spi::store::Put;
use crate::testkit::fixtures;
use crate::testkit::fixtures::changed;
use crate::testkit::fixtures::record;
use crate::testkit::fixtures::uuid;

cases! {
    "feed.complete": complete, [] + Puts + Changes;
    "feed.complete" / "while_it_is_written": complete_while_written, [] + Puts + Changes;
    "feed.order": order, [] + Puts + Changes;
    "feed.order" / "between_pages": order_between_pages, [] + Puts + Changes;
    "feed.pages": pages, [] + Puts + Changes;
    "feed.repeatable": repeatable, [] + Puts + Changes;
    "feed.refused": refused_leave_nothing, [] + Puts + Changes;
    "feed.content": content, [] + Puts + Changes;
    "feed.content" / "delta": content_of_a_delta, [Level] + Changes;
    "feed.tail": tail, [] + Puts + Changes;
    "feed.epoch": epoch, [] + Puts + Changes;
    "feed.foreign": foreign, [] + Puts + Changes;
    "feed.live": live, [] + Puts + Changes;
}

type Named = (Aggregate, RowKey, u64);

fn names(changes: &[Change]) -> Vec<Named> {
    changes.iter().map(named).collect()
}

/// Creates the records of these seeds, one commit each.
async fn create(h: &Harness, seeds: impl IntoIterator<Item = u64>) -> CaseResult<Vec<Named>> {
    let kind = h.any()?;
    let mut created = Vec::new();
    for seed in seeds {
        let new = record(kind, seed)?;
        created.push((kind, new.key(), 1));
        h.create(new).await?;
    }
    Ok(created)
}

/// Changes one aggregate until it has this version.
async fn raise(h: &Harness, to: u64) -> CaseResult<Vec<Named>> {
    let kind = h.any()?;
    let mut now = record(kind, 1)?;
    h.create(now.clone()).await?;
    let mut raised = vec![(kind, now.key(), 1)];
    for version in 1..to {
        let next = changed(&now)?;
        h.put(replace(&now, next.clone(), version)).await?;
        raised.push((kind, next.key(), version + 1));
        now = next;
    }
    Ok(raised)
}

/// Sorted, since only the order of one aggregate is promised.
fn sorted(mut names: Vec<Named>) -> Vec<Named> {
    names.sort_by_key(|(kind, key, version)| (*kind as u8, format!("{key:?}"), *version));
    names
}

async fn complete(h: &Harness) -> CaseResult {
    let mut all = create(h, 1..=3).await?;
    let mut from_now = Follower::tail(h, 100).await?;
    let mut from_then = Follower::oldest(h, 100).await?;
    let then = from_then.gather(h, 3).await?;
    same!(sorted(names(&then)), sorted(all.clone()), "the changes so far");
    let later = create(h, 4..=9).await?;
    all.extend(later.clone());
    for (what, follower) in [("behind the tail", &mut from_now), ("read on", &mut from_then)] {
        let changes = follower.gather(h, later.len()).await?;
        same!(sorted(names(&changes)), sorted(later.clone()), what);
    }
    let again = Follower::oldest(h, 100).await?.gather(h, all.len()).await?;
    same!(
        sorted(names(&again)),
        sorted(all),
        "the changes from the oldest on"
    );
    Ok(())
}

/// Writers and a reader at the same time: what is committed while the reader looks comes later, and nothing twice.
async fn complete_while_written(h: &Harness) -> CaseResult {
    let kind = h.any()?;
    let mut follower = Follower::oldest(h, 7).await?;
    let mut commits = Vec::new();
    let mut expected = Vec::new();
    for seed in 1..=48 {
        let new = record(kind, seed)?;
        expected.push((kind, new.key(), 1));
        let mut one = set();
        one.put(Put::create(new));
        let (store, deadline) = (Arc::clone(h.store()), h.deadline());
        commits.push(async move { store.commit(one, deadline).await });
    }
    let writing = tokio::spawn(at_once(commits));
    let mut changes = Vec::new();
    while !writing.is_finished() {
        changes.extend(follower.rest(h).await?);
        tokio::task::yield_now().await;
    }
    let answers = writing
        .await
        .map_err(|error| Failure::new(format!("the writers ended: {error}")))??;
    same!(accepted(&answers, ErrorKind::Conflict)?, 48, "the commits");
    let missing = 48_usize.saturating_sub(changes.len());
    changes.extend(follower.gather(h, missing).await?);
    same!(sorted(names(&changes)), sorted(expected), "the changes");
    Ok(())
}

async fn order(h: &Harness) -> CaseResult {
    let raised = raise(h, 5).await?;
    let changes = Follower::oldest(h, 100).await?.gather(h, 5).await?;
    same!(names(&changes), raised, "the changes of one aggregate");
    Ok(())
}

async fn order_between_pages(h: &Harness) -> CaseResult {
    create(h, 2..=4).await?;
    let raised = raise(h, 7).await?;
    let changes = Follower::oldest(h, 2).await?.gather(h, 10).await?;
    let mut versions: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (_, key, version) in names(&changes) {
        versions.entry(format!("{key:?}")).or_default().push(version);
    }
    let Some((_, key, _)) = raised.first() else {
        return Ok(());
    };
    let found = present(versions.get(&format!("{key:?}")), "the aggregate")?;
    same!(found, &vec![1, 2, 3, 4, 5, 6, 7], "the versions in small pages");
    Ok(())
}

async fn pages(h: &Harness) -> CaseResult {
    let created = create(h, 1..=10).await?;
    for limit in [1, 3, 10, 11] {
        let mut follower = Follower::oldest(h, limit).await?;
        let changes = follower.gather(h, created.len()).await?;
        let largest = follower.pages.iter().copied().max().unwrap_or_default();
        ensure!(largest <= limit, "a page of {limit} had {largest} changes");
        same!(
            sorted(names(&changes)),
            sorted(created.clone()),
            format!("the changes in pages of {limit}")
        );
    }
    Ok(())
}

/// Every place, also one between the pages of what is given at once, is read from again, when more has come.
async fn repeatable(h: &Harness) -> CaseResult {
    let created = create(h, 1..=6).await?;
    let mut follower = Follower::oldest(h, 2).await?;
    same!(follower.gather(h, 6).await?.len(), created.len(), "the changes");
    let mut given = Vec::new();
    for partition in source(h)?.partitions(h.deadline()).await? {
        let partition = partition.id;
        let mut place: Option<Position> = None;
        loop {
            let next = page(h, (&partition, place.as_ref()), 2).await?;
            if next.changes.is_empty() {
                break;
            }
            given.push((partition.clone(), place.replace(next.next), names(&next.changes)));
        }
    }
    let again: usize = given.iter().map(|(_, _, changes)| changes.len()).sum();
    same!(
        again,
        created.len(),
        "the changes that are read for a second time"
    );
    create(h, 7..=9).await?;
    for (partition, place, changes) in given {
        let again = names(&page(h, (&partition, place.as_ref()), 100).await?.changes);
        same!(
            again.get(..changes.len()),
            Some(changes.as_slice()),
            "what was given before"
        );
    }
    Ok(())
}

async fn refused_leave_nothing(h: &Harness) -> CaseResult {
    let kind = h.any()?;
    let first = record(kind, 1)?;
    let keyed = |record: &Record| -> CaseResult<_> {
        let mut one = set();
        one.put(Put::create(record.clone())).idempotent(Idempotency {
            scope: "test".to_owned(),
            key: IdempotencyKey::new("k")?,
            fingerprint: [1; 32],
            owner: uuid(9, 1),
        });
        Ok(one)
    };
    let mut follower = Follower::tail(h, 100).await?;
    h.commit(keyed(&first)?).await?;
    same!(
        h.commit(keyed(&first)?).await?.replay,
        Some(uuid(9, 1)),
        "the replay"
    );
    refused(h.create(first.clone()).await, ErrorKind::Conflict)?;
    refused(
        h.put(replace(&first, changed(&first)?, 7)).await,
        ErrorKind::Conflict,
    )?;
    // What comes behind them shows that nothing of them is still on its way.
    h.create(record(kind, 2)?).await?;
    let changes = follower.gather(h, 2).await?;
    let expected = vec![(kind, first.key(), 1), (kind, record(kind, 2)?.key(), 1)];
    same!(sorted(names(&changes)), sorted(expected), "the changes");
    Ok(())
}

async fn content(h: &Harness) -> CaseResult {
    let kind = h.any()?;
    let new = record(kind, 1)?;
    let mut follower = Follower::tail(h, 100).await?;
    let actor = Actor::staff("ann")?;
    let mut one = crate::spi::store::WriteSet::new(actor.clone());
    one.put(Put::create(new.clone()));
    one.event("thing.made").event("thing.seen");
    let made = h.commit(one).await?;
    h.shift(Duration::from_secs(3_600));
    let mut two = set();
    two.delete(delete(&new, 1));
    let gone = h.commit(two).await?;
    let changes = follower.gather(h, 2).await?;
    let change = |version, action, actor: &Actor, at, events: &[&str]| Change {
        aggregate: kind,
        key: new.key(),
        version: Version::from(version),
        action,
        actor: actor.to_string(),
        at,
        events: events.iter().map(|event| (*event).to_owned()).collect(),
    };
    let expected = vec![
        change(
            1,
            ChangeAction::Put,
            &actor,
            made.at,
            &["thing.made", "thing.seen"],
        ),
        change(2, ChangeAction::Delete, &Actor::system(), gone.at, &[]),
    ];
    same!(changes, expected, "the changes");
    Ok(())
}

async fn content_of_a_delta(h: &Harness) -> CaseResult {
    let [sku, _] = fixtures::skus(1)?;
    let mut follower = Follower::tail(h, 100).await?;
    let main = h.receive(&sku, 3).await?;
    let changes = follower.gather(h, 1).await?;
    let told: Vec<_> = changes
        .iter()
        .map(|change| {
            (
                change.aggregate,
                change.key.clone(),
                change.version.get(),
                change.action,
            )
        })
        .collect();
    let key = RowKey::Level(sku, main);
    same!(
        told,
        vec![(Aggregate::Level, key, 1, ChangeAction::Delta)],
        "the changes"
    );
    Ok(())
}

async fn tail(h: &Harness) -> CaseResult {
    create(h, 1..=5).await?;
    let mut follower = Follower::tail(h, 2).await?;
    let later = create(h, 6..=9).await?;
    same!(
        sorted(names(&follower.gather(h, 4).await?)),
        sorted(later),
        "what commits after the tail"
    );
    let more = create(h, 10..=10).await?;
    same!(names(&follower.gather(h, 1).await?), more, "what commits later");
    Ok(())
}

async fn epoch(h: &Harness) -> CaseResult {
    let created = create(h, 1..=5).await?;
    let mut ended = Follower::oldest(h, 100).await?;
    ended.gather(h, 5).await?;
    let inside = first_place(h, 2).await?;
    let tail = Follower::tail(h, 100).await?;
    h.store().after_restore(h.deadline()).await?;
    let places = ended.places().into_iter().chain(inside).chain(tail.places());
    for (partition, place) in places {
        let again = page(h, (&partition, place.as_ref()), 100).await;
        refused(again, ErrorKind::Conflict)?;
    }
    let changes = Follower::oldest(h, 100).await?.gather(h, 5).await?;
    same!(sorted(names(&changes)), sorted(created), "what is kept");
    let mut follower = Follower::tail(h, 100).await?;
    let mut one = set();
    one.epoch = h.store().epoch();
    one.put(Put::create(record(h.any()?, 6)?));
    h.commit(one).await?;
    same!(
        follower.gather(h, 1).await?.len(),
        1,
        "what commits in the new epoch"
    );
    Ok(())
}

/// The place behind the first page of a partition that has changes.
async fn first_place(
    h: &Harness,
    limit: usize,
) -> CaseResult<Option<(crate::spi::changes::PartitionId, Option<Position>)>> {
    for partition in source(h)?.partitions(h.deadline()).await? {
        let first = page(h, (&partition.id, None), limit).await?;
        if !first.changes.is_empty() {
            return Ok(Some((partition.id, Some(first.next))));
        }
    }
    Ok(None)
}

async fn foreign(h: &Harness) -> CaseResult {
    create(h, 1..=3).await?;
    let (partition, place) = present(first_place(h, 2).await?, "a change")?;
    let own = present(place, "the place")?;
    let mut longer = own.as_bytes().to_vec();
    longer.push(b'x');
    let foreign: [&[u8]; 5] = [b"", b"elsewhere", b"{}", &[0xff, 0xfe], &longer];
    for bytes in foreign {
        let answer = page(h, (&partition, Some(&Position::new(bytes))), 10).await;
        let error = refused(answer, ErrorKind::InvalidInput)?;
        same!(error.invalid_field(), Some("position"), "the field");
    }
    let read_on = page(h, (&partition, Some(&own)), 10).await?;
    same!(read_on.changes.len(), 1, "what lies behind its own position");
    Ok(())
}

/// A commit whose caller does not look after it is under way; what others commit meanwhile comes all the same.
async fn live(h: &Harness) -> CaseResult {
    let kind = h.any()?;
    let mut follower = Follower::tail(h, 100).await?;
    let mut slow = set();
    slow.put(Put::create(record(kind, 1)?));
    let (store, deadline) = (Arc::clone(h.store()), h.deadline());
    let mut pending = Box::pin(async move { store.commit(slow, deadline).await });
    let begun = std::future::poll_fn(|context| std::task::Poll::Ready(pending.as_mut().poll(context))).await;
    let others = create(h, 2..=4).await?;
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut missing = others.len();
    while missing > 0 {
        for change in follower.gather(h, 1).await? {
            seen.insert(format!("{:?}", named(&change)));
        }
        missing = others
            .iter()
            .filter(|other| !seen.contains(&format!("{other:?}")))
            .count();
    }
    match begun {
        std::task::Poll::Ready(committed) => committed?,
        std::task::Poll::Pending => pending.await?,
    };
    Ok(())
}
