//! Letters: what a sink would not take, kept together with the position.

use std::task::Poll;

use uuid::Uuid;

use super::CaseResult;
use super::Harness;
use super::case::cases;
use super::check::ensure;
use super::check::present;
use super::check::refused;
use super::check::same;
use super::coordination::PLACE;
use super::coordination::coordination;
use super::coordination::letter;
use super::coordination::letters_of;
use super::coordination::progress;
use super::coordination::save;
use super::coordination::take;
use crate::error::ErrorKind;
use crate::model::PageRequest;
use crate::spi::changes::Position;
use crate::testkit::fixtures::uuid;

cases! {
    "progress.letters": letters_with_the_position, [] + Coordination;
    "letters.list": list, [] + Coordination;
    "letters.discard": discard, [] + Coordination;
}

async fn letters_with_the_position(h: &Harness) -> CaseResult {
    let first = take(h, PLACE, 1).await?;
    let kept = vec![letter("search", 1)?, letter("search", 2)?];
    save(h, &first, progress("one", kept.clone())).await??;
    same!(
        take(h, PLACE, 1).await?.position,
        Some(Position::new("one")),
        "the position"
    );
    same!(letters_of(h, "search").await?.len(), 2, "the letters");
    // Under a lease that is lost neither is kept.
    let lost = progress("two", vec![letter("search", 3)?]);
    refused(save(h, &first, lost).await?, ErrorKind::Conflict)?;
    same!(
        letters_of(h, "search").await?.len(),
        2,
        "the letters of a lost lease"
    );
    let again = take(h, PLACE, 1).await?;
    same!(
        again.position,
        Some(Position::new("one")),
        "the position of a lost lease"
    );
    // Dropped half way, both are kept or neither is.
    for seed in 10..20 {
        let place = format!("place {seed}");
        let step = progress(&place, vec![letter("search", seed)?]);
        let (coordination, deadline) = (coordination(h)?, h.deadline());
        let mut saving = Box::pin(async { coordination.save(&again, step, deadline).await });
        for _ in 10..seed {
            let polled = std::future::poll_fn(|context| Poll::Ready(saving.as_mut().poll(context))).await;
            if let Poll::Ready(answer) = polled {
                answer?;
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(saving);
        let report = settled(h, &place, uuid(7, seed)).await?;
        ensure!(
            report.0 == report.1,
            "position saved: {}, letter kept: {}",
            report.0,
            report.1
        );
    }
    Ok(())
}

/// Whether the position and the letter are there, when what was dropped has come to its end.
async fn settled(h: &Harness, place: &str, id: Uuid) -> CaseResult<(bool, bool)> {
    let mut found = (false, false);
    for _ in 0..200 {
        // The letter is asked for first: a step that ends in between shows as a position without a letter, and is asked again.
        let letter = letters_of(h, "search")
            .await?
            .iter()
            .any(|letter| letter.id == id);
        let report = coordination(h)?.report("search", h.deadline()).await?;
        let position = report
            .checkpoints
            .iter()
            .any(|one| one.position == Some(Position::new(place)));
        found = (position, letter);
        if position == letter {
            return Ok(found);
        }
        tokio::task::yield_now().await;
    }
    Ok(found)
}

async fn list(h: &Harness) -> CaseResult {
    let lease = take(h, PLACE, 1).await?;
    let mut expected = Vec::new();
    for seed in 1..=5 {
        let one = letter("search", seed)?;
        save(
            h,
            &lease,
            progress("a", vec![one.clone(), letter("mail", 10 + seed)?]),
        )
        .await??;
        expected.insert(0, one);
    }
    let coordination = coordination(h)?;
    let mut request = PageRequest::new(2)?;
    let (mut found, mut sizes) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let page = coordination.letters("search", &request, h.deadline()).await?;
        sizes.push(page.items.len());
        found.extend(page.items);
        match page.next {
            Some(next) => request = PageRequest::new(2)?.after(next),
            None => break,
        }
    }
    same!(sizes, vec![2, 2, 1], "the pages");
    same!(found, expected, "the letters, latest first");
    let first = coordination
        .letters("search", &PageRequest::new(2)?, h.deadline())
        .await?;
    let other = PageRequest::new(2)?.after(present(first.next, "the cursor")?);
    let error = refused(
        coordination.letters("mail", &other, h.deadline()).await,
        ErrorKind::InvalidInput,
    )?;
    same!(error.invalid_field(), Some("after"), "the field");
    Ok(())
}

async fn discard(h: &Harness) -> CaseResult {
    let lease = take(h, PLACE, 1).await?;
    let letters = vec![letter("search", 1)?, letter("search", 2)?, letter("mail", 3)?];
    save(h, &lease, progress("a", letters)).await??;
    let coordination = coordination(h)?;
    let asked = [
        ("mail", 1, false),
        ("search", 1, true),
        ("search", 1, false),
        ("search", 9, false),
    ];
    for (sink, seed, was_there) in asked {
        let answer = coordination.discard(sink, uuid(7, seed), h.deadline()).await?;
        same!(
            answer,
            was_there,
            format!("the answer about letter {seed} of {sink}")
        );
    }
    let left: Vec<_> = letters_of(h, "search")
        .await?
        .iter()
        .map(|letter| letter.id)
        .collect();
    same!(left, vec![uuid(7, 2)], "the letters that are left");
    same!(
        letters_of(h, "mail").await?.len(),
        1,
        "the letters of the other sink"
    );
    Ok(())
}
