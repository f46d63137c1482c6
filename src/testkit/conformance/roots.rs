//! Puts and deletes: the same rules for each aggregate.

use super::CaseResult;
use super::Harness;
use super::case::cases_for_each;
use super::check::conflict;
use super::check::ensure;
use super::check::present;
use super::check::refused;
use super::check::same;
use super::harness::delete;
use super::harness::replace;
use super::harness::set;
use crate::error::ErrorKind;
use crate::model::Actor;
use crate::model::Aggregate;
use crate::model::PageRequest;
use crate::model::Version;
use crate::spi::changes::ChangeAction;
use crate::spi::store::Put;
use crate::spi::store::WriteSet;
use crate::testkit::fixtures;
use crate::testkit::fixtures::changed;
use crate::testkit::fixtures::record;

cases_for_each! {
    "commit.create_new": create_new;
    "commit.create_existing": create_existing;
    "commit.update": update;
    "commit.update_stale": update_stale;
    "commit.update_absent": update_absent;
    "commit.delete": delete_stored;
    "commit.delete_stale": delete_stale;
    "commit.read_check": read_check;
    "commit.read_absent": read_absent;
    "commit.versions": versions;
    "commit.audit": audit + History;
}

async fn create_new(h: &Harness, kind: Aggregate) -> CaseResult {
    let new = record(kind, 1)?;
    let committed = h.create(new.clone()).await?;
    same!(
        committed.version(kind, &new.key()),
        Some(Version::FIRST),
        "the version given"
    );
    h.ensure_stored(&new, 1).await
}

async fn create_existing(h: &Harness, kind: Aggregate) -> CaseResult {
    let old = record(kind, 1)?;
    h.create(old.clone()).await?;
    conflict(h.create(changed(&old)?).await, 1)?;
    h.ensure_stored(&old, 1).await
}

async fn update(h: &Harness, kind: Aggregate) -> CaseResult {
    let (old, other) = (record(kind, 1)?, record(kind, 2)?);
    h.create(old.clone()).await?;
    h.create(other.clone()).await?;
    let new = changed(&old)?;
    h.put(replace(&old, new.clone(), 1)).await?;
    h.ensure_stored(&new, 2).await?;
    h.put(replace(&new, old.clone(), 2)).await?;
    h.ensure_stored(&old, 3).await?;
    h.ensure_stored(&other, 1).await
}

async fn update_stale(h: &Harness, kind: Aggregate) -> CaseResult {
    let old = record(kind, 1)?;
    h.create(old.clone()).await?;
    let new = changed(&old)?;
    h.put(replace(&old, new.clone(), 1)).await?;
    conflict(h.put(replace(&old, old.clone(), 1)).await, 2)?;
    conflict(h.put(replace(&old, old.clone(), 3)).await, 2)?;
    h.ensure_stored(&new, 2).await
}

async fn update_absent(h: &Harness, kind: Aggregate) -> CaseResult {
    let old = record(kind, 1)?;
    refused(h.put(replace(&old, changed(&old)?, 1)).await, ErrorKind::NotFound)?;
    h.ensure_absent(&[old]).await
}

async fn delete_stored(h: &Harness, kind: Aggregate) -> CaseResult {
    let (old, other) = (record(kind, 1)?, record(kind, 2)?);
    h.create(old.clone()).await?;
    h.create(other.clone()).await?;
    h.ensure_stored(&old, 1).await?;
    let mut gone = set();
    gone.delete(delete(&old, 1));
    h.commit(gone).await?;
    h.ensure_absent(std::slice::from_ref(&old)).await?;
    h.ensure_stored(&other, 1).await?;
    if let Ok(claims) = h.store().readers().claim() {
        let keys: Vec<_> = old
            .claims()
            .into_iter()
            .map(|claim| (claim.space.to_owned(), claim.key))
            .collect();
        let owners = claims.find(&keys, h.deadline()).await?;
        ensure!(
            owners.iter().all(Option::is_none),
            "the deleted aggregate still claims {owners:?} of {keys:?}"
        );
    }
    if let Ok(history) = h.store().readers().history() {
        let changes = history
            .list(kind, &old.key(), &PageRequest::default(), h.deadline())
            .await?
            .items;
        let last = present(changes.first(), "the last change")?;
        ensure!(
            last.version > Version::FIRST,
            "the deletion of version 1 is told as version {}",
            last.version
        );
    }
    let mut again = set();
    again.delete(delete(&old, 1));
    refused(h.commit(again).await, ErrorKind::NotFound)?;
    // Created anew it has its own parts, and none of those that went.
    let new = changed(&old)?;
    h.create(new.clone()).await?;
    h.ensure_stored(&new, 1).await
}

async fn delete_stale(h: &Harness, kind: Aggregate) -> CaseResult {
    let old = record(kind, 1)?;
    h.create(old.clone()).await?;
    let mut gone = set();
    gone.delete(delete(&old, 2));
    conflict(h.commit(gone).await, 1)?;
    h.ensure_stored(&old, 1).await
}

/// A set that creates the aggregate of seed 2, if that of seed 1 is still as it was seen.
fn depends(kind: Aggregate, seen: Option<u64>) -> CaseResult<WriteSet> {
    let mut set = set();
    set.put(Put::create(record(kind, 2)?));
    set.reads = reads_only(kind, seen)?.reads;
    Ok(set)
}

fn reads_only(kind: Aggregate, seen: Option<u64>) -> CaseResult<WriteSet> {
    let mut set = set();
    let key = record(kind, 1)?.key();
    set.read(crate::spi::store::ReadCheck {
        aggregate: kind,
        key,
        version: seen.map(Version::from),
    });
    Ok(set)
}

async fn read_check(h: &Harness, kind: Aggregate) -> CaseResult {
    let (seen, dependant) = (record(kind, 1)?, record(kind, 2)?);
    h.create(seen.clone()).await?;
    h.commit(reads_only(kind, Some(1))?).await?;
    h.put(replace(&seen, changed(&seen)?, 1)).await?;
    refused(h.commit(depends(kind, Some(1))?).await, ErrorKind::Conflict)?;
    h.ensure_absent(std::slice::from_ref(&dependant)).await?;
    refused(h.commit(reads_only(kind, Some(1))?).await, ErrorKind::Conflict)?;
    h.commit(depends(kind, Some(2))?).await?;
    h.ensure_stored(&dependant, 1).await?;
    let mut gone = set();
    gone.delete(delete(&seen, 2));
    h.commit(gone).await?;
    refused(h.commit(reads_only(kind, Some(2))?).await, ErrorKind::Conflict)?;
    Ok(())
}

async fn read_absent(h: &Harness, kind: Aggregate) -> CaseResult {
    let (seen, dependant) = (record(kind, 1)?, record(kind, 2)?);
    h.commit(reads_only(kind, None)?).await?;
    h.create(seen).await?;
    refused(h.commit(reads_only(kind, None)?).await, ErrorKind::Conflict)?;
    refused(h.commit(depends(kind, None)?).await, ErrorKind::Conflict)?;
    h.ensure_absent(&[dependant]).await
}

async fn versions(h: &Harness, kind: Aggregate) -> CaseResult {
    let (old, other) = (record(kind, 1)?, record(kind, 2)?);
    h.create(old.clone()).await?;
    let mut both = set();
    both.put(replace(&old, changed(&old)?, 1))
        .put(Put::create(other.clone()));
    let committed = h.commit(both).await?;
    same!(
        committed.version(kind, &old.key()),
        Some(Version::from(2)),
        "the version of the one replaced"
    );
    same!(
        committed.version(kind, &other.key()),
        Some(Version::FIRST),
        "the version of the one created"
    );
    same!(committed.versions.len(), 2, "the versions given");
    same!(committed.replay, None, "the replay of a set without a key");
    Ok(())
}

async fn audit(h: &Harness, kind: Aggregate) -> CaseResult {
    let old = record(kind, 1)?;
    let mut made = WriteSet::new(Actor::user(fixtures::user(7)));
    made.put(Put::create(old.clone()))
        .put(Put::create(record(kind, 2)?))
        .event("thing.made")
        .event("thing.seen");
    h.commit(made).await?;
    let mut gone = WriteSet::new(Actor::staff("ann")?);
    gone.delete(delete(&old, 1));
    let committed = h.commit(gone).await?;
    let history = h.store().readers().history()?;
    let changes = history
        .list(kind, &old.key(), &PageRequest::default(), h.deadline())
        .await?
        .items;
    same!(changes.len(), 2, "the changes");
    let (last, first) = (
        present(changes.first(), "the last change")?,
        present(changes.last(), "the first change")?,
    );
    same!(
        (first.version, first.action),
        (Version::FIRST, ChangeAction::Put),
        "the first change"
    );
    same!(
        first.actor,
        Actor::user(fixtures::user(7)).to_string(),
        "its actor"
    );
    same!(
        first.events,
        vec!["thing.made".to_owned(), "thing.seen".to_owned()],
        "its events"
    );
    same!(last.action, ChangeAction::Delete, "the last change");
    ensure!(
        last.version > Version::FIRST,
        "the deletion of version 1 is told as version {}",
        last.version
    );
    same!(last.actor, Actor::staff("ann")?.to_string(), "its actor");
    same!(last.at, committed.at, "its time");
    ensure!(
        last.events.is_empty(),
        "the deletion has events of another set: {:?}",
        last.events
    );
    Ok(())
}
