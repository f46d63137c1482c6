//! What the commit script answers: applied, repeated, or which part of the set does not hold.

use super::message::Message;
use super::record::corrupt;
use super::record::number;
use super::record::text;
use super::record::time;
use super::record::uuid;
use crate::backend::redis::client::Reply;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::MAX_LINE_QUANTITY;
use crate::model::MAX_LINES;
use crate::model::RowKey;
use crate::model::Version;
use crate::spi::store::Committed;
use crate::spi::store::Delta;

/// An answer, as far as it is one.
#[derive(Debug)]
pub(super) enum Answer {
    /// It is through, now or before.
    Done(Committed),
    /// It does not hold, and nothing was written.
    Refused(Error),
    /// The server is in this epoch.
    Restored(i64),
    /// It is not through, and never will be under this commit's id.
    Void,
}

/// # Errors
/// `Corrupt` for what the script does not answer.
pub(super) fn read(reply: &Reply, message: &Message) -> Result<Answer> {
    let parts = reply.list()?;
    let part = |n: usize| parts.get(n).ok_or_else(|| corrupt("answer"));
    let set = &message.set;
    let at = || -> Result<usize> { usize::try_from(part(1)?.number()?).map_err(|_| corrupt("answer")) };
    let found = || part(2)?.number();
    Ok(match text(part(0)?)? {
        "done" => Answer::Done(done(text(part(1)?)?, message)?),
        "void" => Answer::Void,
        "replay" => Answer::Done(Committed {
            replay: Some(uuid(text(part(1)?)?)?),
            versions: Vec::new(),
            at: time(text(part(2)?)?)?,
        }),
        "epoch" => Answer::Restored(number(text(part(1)?)?)?),
        "reused" => {
            let error = Error::new(
                ErrorKind::KeyReused,
                "the idempotency key was used for another request: use a new key for a new request",
            );
            let scope = set.idempotency.as_ref().map(|key| key.scope.as_str());
            let owner = uuid(text(part(1)?)?)?;
            Answer::Refused(error.concerning(scope.unwrap_or_default()).existing(owner))
        }
        "put" => {
            let put = set.puts.get(at()?).ok_or_else(|| corrupt("answer"))?;
            Answer::Refused(moved(&put.record.key(), put.expected, found()?))
        }
        "delete" => {
            let gone = set.deletes.get(at()?).ok_or_else(|| corrupt("answer"))?;
            Answer::Refused(moved(&gone.key, Some(gone.expected), found()?))
        }
        "read" => {
            let read = set.reads.get(at()?).ok_or_else(|| corrupt("answer"))?;
            Answer::Refused(conflict(&read.key, found()?))
        }
        "shut_put" => {
            let put = set.puts.get(at()?).ok_or_else(|| corrupt("answer"))?;
            Answer::Refused(shut(&put.record.key()))
        }
        "claim" => {
            let claim = message.claims.get(at()?).ok_or_else(|| corrupt("answer"))?;
            let error = Error::new(ErrorKind::AlreadyExists, format!("{} is taken", claim.key.space));
            Answer::Refused(error.concerning(&claim.key).existing(uuid(text(part(2)?)?)?))
        }
        code => {
            let delta = set.deltas.get(at()?).ok_or_else(|| corrupt("answer"))?;
            Answer::Refused(of_step(code, delta)?)
        }
    })
}

/// The answer that the server keeps: the time, and the versions in the order of the call.
pub(super) fn done(record: &str, message: &Message) -> Result<Committed> {
    let mut words = record.split(' ');
    let at = time(words.next().unwrap_or_default())?;
    let set = &message.set;
    let puts = set.puts.iter().map(|put| put.record.key());
    let deletes = set.deletes.iter().map(|gone| gone.key.clone());
    let changed = message.changed.iter().map(|cart| RowKey::Id(*cart));
    let mut versions = Vec::new();
    for key in puts.chain(deletes).chain(changed) {
        let version: u64 = number(words.next().unwrap_or_default())?;
        versions.push((Aggregate::Cart, key, Version::from(version)));
    }
    Ok(Committed {
        replay: None,
        versions,
        at,
    })
}

fn of_step(code: &str, delta: &Delta) -> Result<Error> {
    let Delta::CartLine(step) = delta else {
        return Err(corrupt("answer"));
    };
    let key = RowKey::Id(step.cart.uuid());
    Ok(match code {
        "absent" => Error::not_found(Aggregate::Cart.name(&key)),
        "shut" => shut(&key),
        "line" => Error::invalid(
            "quantity",
            format!("a line holds at most {MAX_LINE_QUANTITY} units"),
        )
        .concerning(format!("cart {} line {}", step.cart, step.line.sku)),
        "lines" => Error::invalid("lines", format!("a cart holds at most {MAX_LINES} lines"))
            .concerning(Aggregate::Cart.name(&key)),
        _ => return Err(corrupt("answer")),
    })
}

fn moved(key: &RowKey, expected: Option<Version>, found: i64) -> Error {
    if expected.is_some() && found == 0 {
        return Error::not_found(Aggregate::Cart.name(key));
    }
    conflict(key, found)
}

fn conflict(key: &RowKey, found: i64) -> Error {
    let version = u64::try_from(found).ok().filter(|version| *version > 0);
    Error::conflict(Aggregate::Cart.name(key), version)
}

fn shut(key: &RowKey) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "the cart is closed or expired: open another one",
    )
    .concerning(Aggregate::Cart.name(key))
}
