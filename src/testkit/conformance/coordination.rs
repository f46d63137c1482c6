//! Leases and positions of those that follow the feed.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::CaseResult;
use super::Failure;
use super::Harness;
use super::case::cases;
use super::check::absent;
use super::check::ensure;
use super::check::present;
use super::check::refused;
use super::check::same;
use super::harness::at_once;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::PageRequest;
use crate::model::RowKey;
use crate::model::Version;
use crate::spi::changes::Change;
use crate::spi::changes::ChangeAction;
use crate::spi::changes::Coordination;
use crate::spi::changes::DeadLetter;
use crate::spi::changes::FeedLease;
use crate::spi::changes::LeaseRequest;
use crate::spi::changes::Position;
use crate::spi::changes::Progress;
use crate::testkit::fixtures;
use crate::testkit::fixtures::uuid;

cases! {
    "lease.exclusive": exclusive, [] + Coordination;
    "lease.exclusive" / "at_once": exclusive_at_once, [] + Coordination;
    "lease.own": own, [] + Coordination;
    "lease.expires": expires, [] + Coordination;
    "lease.renew": renew, [] + Coordination;
    "lease.release": release, [] + Coordination;
    "lease.fenced": fenced, [] + Coordination;
    "progress.saved": saved, [] + Coordination;
    "sink.report": report, [] + Coordination;
    "sink.forget": forget, [] + Coordination;
}

const LIFE: Duration = Duration::from_secs(60);
pub(super) const PLACE: &str = "search/0";

pub(super) fn coordination(h: &Harness) -> CaseResult<Arc<dyn Coordination>> {
    present(h.store().coordination(), "the coordination")
}

fn holder(seed: u64) -> Uuid {
    uuid(8, seed)
}

/// Asks for a checkpoint in the name of a holder.
async fn ask(h: &Harness, checkpoint: &str, seed: u64) -> CaseResult<Option<FeedLease>> {
    let request = LeaseRequest {
        checkpoint,
        holder: holder(seed),
        ttl: LIFE,
    };
    Ok(coordination(h)?.acquire(request, h.deadline()).await?)
}

/// A lease that must be given.
pub(super) async fn take(h: &Harness, checkpoint: &str, seed: u64) -> CaseResult<FeedLease> {
    present(ask(h, checkpoint, seed).await?, "the lease")
}

pub(super) fn progress(place: &str, letters: Vec<DeadLetter>) -> Progress {
    Progress {
        position: Some(Position::new(place)),
        done: false,
        letters,
        ttl: LIFE,
    }
}

pub(super) async fn save(h: &Harness, lease: &FeedLease, progress: Progress) -> CaseResult<Result<()>> {
    Ok(coordination(h)?.save(lease, progress, h.deadline()).await)
}

pub(super) fn letter(sink: &str, seed: u64) -> CaseResult<DeadLetter> {
    let (aggregate, key) = if seed.is_multiple_of(2) {
        (Aggregate::Product, RowKey::Id(uuid(1, seed)))
    } else {
        let [sku, _] = fixtures::skus(seed)?;
        (Aggregate::Level, RowKey::Level(sku, fixtures::location("main")?))
    };
    Ok(DeadLetter {
        id: uuid(7, seed),
        sink: sink.to_owned(),
        change: Change {
            aggregate,
            key,
            version: Version::from(seed),
            action: ChangeAction::Delta,
            actor: "staff:ann".to_owned(),
            at: fixtures::stamp(seed)?,
            events: vec!["thing.made".to_owned(), "a \"quoted\" one \u{1f600}".to_owned()],
        },
        reason: "it was not taken: \"no\" \\ never\n".to_owned(),
        attempts: 3,
        at: fixtures::stamp(seed + 1)?,
    })
}

pub(super) async fn letters_of(h: &Harness, sink: &str) -> CaseResult<Vec<DeadLetter>> {
    let page = coordination(h)?
        .letters(sink, &PageRequest::new(100)?, h.deadline())
        .await?;
    Ok(page.items)
}

async fn exclusive(h: &Harness) -> CaseResult {
    take(h, PLACE, 1).await?;
    absent(&ask(h, PLACE, 2).await?, "a second lease")?;
    absent(&ask(h, PLACE, 3).await?, "a third lease")?;
    // Another checkpoint is free.
    take(h, "search/1", 2).await?;
    Ok(())
}

async fn exclusive_at_once(h: &Harness) -> CaseResult {
    for checkpoint in ["search/0", "search/1", "search/2"] {
        let mut asking = Vec::new();
        for seed in 1..=8 {
            let (coordination, deadline) = (coordination(h)?, h.deadline());
            asking.push(async move {
                let request = LeaseRequest {
                    checkpoint,
                    holder: holder(seed),
                    ttl: LIFE,
                };
                coordination.acquire(request, deadline).await
            });
        }
        let mut given = 0;
        for answer in at_once(asking).await? {
            given += usize::from(answer?.is_some());
        }
        same!(given, 1, format!("the leases of {checkpoint}"));
    }
    Ok(())
}

async fn own(h: &Harness) -> CaseResult {
    let first = take(h, PLACE, 1).await?;
    let second = take(h, PLACE, 1).await?;
    ensure!(
        second.fence > first.fence,
        "the fence went from {} to {}",
        first.fence,
        second.fence
    );
    Ok(())
}

async fn expires(h: &Harness) -> CaseResult {
    let first = take(h, PLACE, 1).await?;
    h.shift(LIFE / 2);
    absent(&ask(h, PLACE, 2).await?, "the lease of half a life")?;
    h.shift(LIFE);
    let second = take(h, PLACE, 2).await?;
    ensure!(second.fence > first.fence, "the fence was not raised");
    Ok(())
}

async fn renew(h: &Harness) -> CaseResult {
    let lease = take(h, PLACE, 1).await?;
    h.shift(LIFE * 2 / 3);
    coordination(h)?.renew(&lease, LIFE, h.deadline()).await?;
    h.shift(LIFE * 2 / 3);
    absent(&ask(h, PLACE, 2).await?, "a renewed lease")?;
    save(h, &lease, progress("a", Vec::new())).await??;
    h.shift(LIFE * 2 / 3);
    absent(&ask(h, PLACE, 2).await?, "a lease under which was saved")?;
    h.shift(LIFE);
    take(h, PLACE, 2).await?;
    Ok(())
}

async fn release(h: &Harness) -> CaseResult {
    let first = take(h, PLACE, 1).await?;
    coordination(h)?.release(&first, h.deadline()).await?;
    let second = take(h, PLACE, 2).await?;
    ensure!(second.fence > first.fence, "the fence was not raised");
    coordination(h)?.release(&first, h.deadline()).await?;
    absent(&ask(h, PLACE, 3).await?, "what an earlier holder released")
}

async fn fenced(h: &Harness) -> CaseResult {
    let first = take(h, PLACE, 1).await?;
    h.shift(LIFE * 2);
    let second = take(h, PLACE, 2).await?;
    save(h, &second, progress("right", Vec::new())).await??;
    refused(
        save(h, &first, progress("wrong", Vec::new())).await?,
        ErrorKind::Conflict,
    )?;
    refused(
        coordination(h)?.renew(&first, LIFE, h.deadline()).await,
        ErrorKind::Conflict,
    )?;
    // Also the same holder under the fence of before.
    let third = take(h, PLACE, 2).await?;
    refused(
        save(h, &second, progress("wrong", Vec::new())).await?,
        ErrorKind::Conflict,
    )?;
    same!(third.position, Some(Position::new("right")), "the position");
    let kept = coordination(h)?.report("search", h.deadline()).await?;
    let kept: Vec<_> = kept
        .checkpoints
        .into_iter()
        .map(|one| (one.name, one.holder, one.position))
        .collect();
    let expected = (PLACE.to_owned(), Some(holder(2)), Some(Position::new("right")));
    same!(kept, vec![expected], "the checkpoints");
    Ok(())
}

async fn saved(h: &Harness) -> CaseResult {
    let lease = take(h, PLACE, 1).await?;
    same!(lease.position, None, "the position at the beginning");
    same!(lease.done, false, "whether the beginning is the end");
    save(h, &lease, progress("one", Vec::new())).await??;
    let bytes = vec![0, 0xff, b' ', b'"', 0x80];
    let last = Progress {
        position: Some(Position::new(bytes.clone())),
        done: true,
        letters: Vec::new(),
        ttl: LIFE,
    };
    save(h, &lease, last).await??;
    coordination(h)?.release(&lease, h.deadline()).await?;
    let next = take(h, PLACE, 2).await?;
    same!(next.position, Some(Position::new(bytes)), "the position");
    same!(next.done, true, "whether it was read to its end");
    save(h, &next, progress("two", Vec::new())).await??;
    h.shift(LIFE * 2);
    let last = take(h, PLACE, 3).await?;
    same!(
        (last.position, last.done),
        (Some(Position::new("two")), false),
        "what was saved last"
    );
    Ok(())
}

async fn report(h: &Harness) -> CaseResult {
    let coordination = coordination(h)?;
    same!(
        coordination.report("search", h.deadline()).await?,
        crate::spi::changes::SinkReport::default(),
        "the report of an unknown sink"
    );
    let first = take(h, "search/0", 1).await?;
    let second = take(h, "search/1", 2).await?;
    for near in ["searching/0", "searc/0", "search0/0", "mail/search/0"] {
        let other = take(h, near, 3).await?;
        save(h, &other, progress("other", vec![])).await??;
    }
    let letters = vec![letter("search", 1)?, letter("mail", 2)?, letter("search", 3)?];
    save(h, &first, progress("here", letters)).await??;
    coordination.release(&second, h.deadline()).await?;
    let report = coordination.report("search", h.deadline()).await?;
    let mut found: Vec<_> = report
        .checkpoints
        .into_iter()
        .map(|one| (one.name, one.holder, one.position, one.done))
        .collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    let expected = vec![
        (
            "search/0".to_owned(),
            Some(holder(1)),
            Some(Position::new("here")),
            false,
        ),
        ("search/1".to_owned(), None, None, false),
    ];
    same!(found, expected, "the checkpoints");
    same!(report.dead_letters, 2, "the letters");
    Ok(())
}

async fn forget(h: &Harness) -> CaseResult {
    let first = take(h, "search/0", 1).await?;
    let other = take(h, "mail/0", 1).await?;
    save(h, &first, progress("here", vec![letter("search", 1)?])).await??;
    save(h, &other, progress("there", Vec::new())).await??;
    let coordination = coordination(h)?;
    coordination.forget("search", h.deadline()).await?;
    let report = coordination.report("search", h.deadline()).await?;
    same!(report.checkpoints, Vec::new(), "the checkpoints");
    same!(report.dead_letters, 1, "the letters");
    refused(
        save(h, &first, progress("late", Vec::new())).await?,
        ErrorKind::Conflict,
    )?;
    let anew = take(h, "search/0", 1).await?;
    same!(anew.position, None, "the position of one that begins anew");
    ensure!(
        anew.fence > first.fence,
        "the fence went from {} to {}",
        first.fence,
        anew.fence
    );
    refused(
        save(h, &first, progress("late", Vec::new())).await?,
        ErrorKind::Conflict,
    )?;
    let kept = take(h, "mail/0", 1).await?;
    same!(
        kept.position,
        Some(Position::new("there")),
        "the position of the other sink"
    );
    if anew.checkpoint != "search/0" {
        return Err(Failure::new("the lease is of another checkpoint"));
    }
    Ok(())
}
