//! A write set as the commit script takes it: keys and words in the order in which the script asks for them.

use bytes::Bytes;
use uuid::Uuid;

use super::LIMITS;
use super::keys::Keys;
use super::record;
use super::record::bytes;
use crate::backend::redis::client::Call;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::AggregateRoot as _;
use crate::model::Cart;
use crate::model::MAX_LINE_QUANTITY;
use crate::model::MAX_LINES;
use crate::model::Record;
use crate::model::RowKey;
use crate::model::Version;
use crate::spi::store::CartLineStep;
use crate::spi::store::Claim;
use crate::spi::store::Delta;
use crate::spi::store::Parts;
use crate::spi::store::Put;
use crate::spi::store::WriteSet;

/// How long the server knows what became of a commit, in milliseconds. Nobody asks after half of it.
pub(super) const RECORD_LIFE: u64 = 120_000;

/// How long an idempotency key is known, in milliseconds: thirty days.
const KEY_LIFE: u64 = 30 * 86_400_000;

/// How long a cart is kept after its end, in milliseconds: whoever comes a little late is told that it has ended.
const GRACE: u64 = 86_400_000;

/// Letters at the end of a commit's id, which are drawn at random: they tell a change from another with its number.
const NONCE: usize = 12;

/// A write set, and all of its call that does not depend on the attempt.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) set: WriteSet,
    /// Unique keys that the set takes, in the order of the call.
    pub(super) claims: Vec<Claim>,
    /// The carts that its deltas change, in the order of the call.
    pub(super) changed: Vec<Uuid>,
    keys: Vec<String>,
    words: Vec<Bytes>,
}

impl Message {
    /// # Errors
    /// - `Unsupported` for a set that concerns more than carts.
    /// - `TooLarge` past the limits: nothing is sent then.
    pub(super) fn new(set: WriteSet, keys: &Keys, (shift, feed): (i64, u64)) -> Result<Self> {
        check(&set)?;
        let mut call = Writer {
            names: keys,
            keys: vec![keys.epoch(), String::new(), keys.changes()],
            words: Vec::new(),
        };
        call.words([shift.to_string()]);
        call.words([RECORD_LIFE, KEY_LIFE, GRACE, feed].map(|number| number.to_string()));
        call.words([
            MAX_LINE_QUANTITY.to_string(),
            MAX_LINES.to_string(),
            keys.owners(),
        ]);
        let events: Vec<&str> = set.events.iter().map(|event| event.name.as_str()).collect();
        let events = serde_json::to_string(&events)
            .map_err(|error| Error::new(ErrorKind::Internal, "events cannot be written").caused_by(error))?;
        // The third is the nonce of the attempt.
        call.words([
            set.epoch.to_string(),
            String::new(),
            set.actor.to_string(),
            events,
        ]);
        call.once(&set);
        call.puts(&set.puts)?;
        call.deletes(&set)?;
        call.reads(&set)?;
        call.steps(&set)?;
        let claims = call.claims(&set);
        let message = Self {
            changed: changed(&set),
            claims,
            keys: call.keys,
            words: call.words,
            set,
        };
        message.check_size()?;
        Ok(message)
    }

    /// The call of one attempt.
    pub(super) fn call(&self, keys: &Keys, commit: Uuid) -> Call {
        let (mut names, mut words) = (self.keys.clone(), self.words.clone());
        let id = commit.simple().to_string();
        names[COMMIT_KEY] = keys.commit(commit);
        words[NONCE_WORD] = bytes(&id[id.len() - NONCE..]);
        Call {
            keys: names,
            arguments: words,
        }
    }

    fn check_size(&self) -> Result<()> {
        let keys: usize = self.keys.iter().map(String::len).sum();
        let words: usize = self.words.iter().map(Bytes::len).sum();
        if keys + words <= LIMITS.bytes {
            return Ok(());
        }
        Err(too_large(format!("a write holds at most {} bytes", LIMITS.bytes)))
    }
}

/// Where the call has what depends on the attempt.
const COMMIT_KEY: usize = 1;
const NONCE_WORD: usize = 9;

fn check(set: &WriteSet) -> Result<()> {
    let read = set.reads.iter().map(|read| read.aggregate);
    let written = set.touched().into_iter().map(|(aggregate, _)| aggregate);
    if let Some(other) = written.chain(read).find(|kind| *kind != Aggregate::Cart) {
        return Err(unsupported(other));
    }
    if set.operations() > LIMITS.operations {
        let most = LIMITS.operations;
        return Err(too_large(format!("a write holds at most {most} operations")));
    }
    Ok(())
}

/// The carts that deltas change, each once, in the order in which they come first.
fn changed(set: &WriteSet) -> Vec<Uuid> {
    let mut changed = Vec::new();
    for step in set.deltas.iter().filter_map(step) {
        if !changed.contains(&step.cart.uuid()) {
            changed.push(step.cart.uuid());
        }
    }
    changed
}

const fn step(delta: &Delta) -> Option<&CartLineStep> {
    match delta {
        Delta::CartLine(step) => Some(step),
        _ => None,
    }
}

fn cart(record: &Record) -> Result<&Cart> {
    let cart = record.as_cart().map(|cart| &**cart);
    cart.ok_or_else(|| unsupported(record.aggregate()))
}

fn id(key: &RowKey) -> Result<Uuid> {
    key.id().ok_or_else(|| unsupported(Aggregate::Level))
}

fn unsupported(kind: Aggregate) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!("the carts' store holds no {kind}: place it on another store"),
    )
}

fn too_large(message: String) -> Error {
    Error::new(ErrorKind::TooLarge, message)
}

/// Keys and words of a call, as they are asked for.
struct Writer<'a> {
    names: &'a Keys,
    keys: Vec<String>,
    words: Vec<Bytes>,
}

impl Writer<'_> {
    fn words(&mut self, words: impl IntoIterator<Item = String>) {
        self.words.extend(words.into_iter().map(bytes));
    }

    fn count(&mut self, count: usize) {
        self.words([count.to_string()]);
    }

    fn version(&mut self, version: Option<Version>) {
        self.words([version.unwrap_or(Version::ZERO).to_string()]);
    }

    fn flag(&mut self, flag: bool) {
        self.count(usize::from(flag));
    }

    fn row(&mut self, id: Uuid) {
        self.keys.push(self.names.cart(id));
    }

    fn once(&mut self, set: &WriteSet) {
        self.flag(set.idempotency.is_some());
        if let Some(key) = &set.idempotency {
            self.keys.push(self.names.once(key));
            let print: String = key.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
            self.words([key.owner.to_string(), print]);
        }
    }

    fn puts(&mut self, puts: &[Put]) -> Result<()> {
        self.count(puts.len());
        for put in puts {
            let cart = cart(&put.record)?;
            self.row(cart.id.uuid());
            self.words([cart.id.to_string()]);
            self.version(put.expected);
            self.flag(put.live);
            self.flag(put.parts == Parts::Whole);
            let fields = record::fields(cart, put.parts)?;
            self.words([record::ends(cart.expires_at), fields.len().to_string()]);
            self.words(fields);
        }
        Ok(())
    }

    fn deletes(&mut self, set: &WriteSet) -> Result<()> {
        self.count(set.deletes.len());
        for gone in &set.deletes {
            let id = id(&gone.key)?;
            self.row(id);
            self.words([id.to_string()]);
            self.version(Some(gone.expected));
        }
        Ok(())
    }

    fn reads(&mut self, set: &WriteSet) -> Result<()> {
        self.count(set.reads.len());
        for read in &set.reads {
            self.row(id(&read.key)?);
            self.version(read.version);
        }
        Ok(())
    }

    fn steps(&mut self, set: &WriteSet) -> Result<()> {
        self.count(set.deltas.len());
        for delta in &set.deltas {
            let step = step(delta).ok_or_else(|| unsupported(delta.aggregate()))?;
            self.row(step.cart.uuid());
            self.words([
                step.cart.to_string(),
                record::line_field(&step.line),
                step.line.quantity.to_string(),
                record::line_rest(&step.line)?,
                record::life(step.ttl),
            ]);
        }
        Ok(())
    }

    /// Releases and claims; a claim that comes of a put ends with its cart.
    fn claims(&mut self, set: &WriteSet) -> Vec<Claim> {
        let releases = set.all_releases();
        self.count(releases.len());
        for (key, owner) in &releases {
            self.keys.push(self.names.claim(key));
            self.words([owner.to_string()]);
        }
        let carts = (1..).zip(set.puts.iter().filter_map(|put| put.record.as_cart()));
        let of_puts = carts.flat_map(|(place, cart)| {
            let owner = cart.id.uuid();
            let claims = cart.claims().into_iter();
            claims.map(move |key| (Claim { key, owner }, place))
        });
        let beside = set.claims.iter().map(|claim| (claim.clone(), 0));
        let claims: Vec<(Claim, usize)> = of_puts.chain(beside).collect();
        self.count(claims.len());
        for (claim, place) in &claims {
            self.keys.push(self.names.claim(&claim.key));
            self.words([claim.owner.to_string(), place.to_string()]);
        }
        claims.into_iter().map(|(claim, _)| claim).collect()
    }
}
