//! The keys of an order's parts: each is moved under one, once, and what was moved is found by them.

use std::collections::BTreeSet;

use sha2::Digest;
use sha2::Sha256;

use super::LEVELS;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::IdempotencyKey;
use crate::model::OrderId;
use crate::resilience::Deadline;
use crate::spi::store::Idempotency;
use crate::transaction::Context;

/// The key by which an order that was placed says, once it is releasing, that all of its parts are to be given back.
pub(super) const ALL: &str = "all";

/// The key by which an order says that its parts do not fit, and that one level is moved at a time.
pub(super) const SINGLY: &str = "singly";

/// The scope of the keys of an order's parts.
fn scope(order: OrderId) -> String {
    format!("order.parts/{order}")
}

/// The key under which a part is moved once.
pub(super) fn once(order: OrderId, key: &str) -> Result<Idempotency> {
    Ok(Idempotency {
        scope: scope(order),
        key: IdempotencyKey::new(key)?,
        fingerprint: Sha256::digest(key).into(),
        owner: order.uuid(),
    })
}

pub(super) fn take_key(piece: &str) -> String {
    format!("take-{piece}")
}

pub(super) fn release_key(piece: &str) -> String {
    format!("release-{piece}")
}

/// The name of a level within its part.
pub(super) fn single(number: usize, index: usize) -> String {
    format!("{number}-{index}")
}

/// Which pieces of an order were moved, by their keys. What the order's version keeps from being moved will never be.
#[derive(Debug, Default)]
pub(super) struct Moved {
    keys: BTreeSet<String>,
    /// Whether one level is moved at a time.
    pub(super) singly: bool,
}

impl Moved {
    pub(super) async fn find(
        context: &Context,
        order: OrderId,
        levels: usize,
        deadline: Deadline,
    ) -> Result<Self> {
        let parts = 0..levels.div_ceil(LEVELS);
        let mut keys = vec![ALL.to_owned(), SINGLY.to_owned()];
        keys.extend(parts.map(|number| take_key(&number.to_string())));
        let mut found = Self::among(context, order, keys, deadline).await?;
        if found.has(SINGLY) {
            found.singly = true;
            let levels = (0..levels).map(|level| take_key(&single(level / LEVELS, level % LEVELS)));
            let parts = (0..levels.len().div_ceil(LEVELS)).map(|number| release_key(&number.to_string()));
            let keys = parts.chain(levels).collect();
            found
                .keys
                .extend(Self::among(context, order, keys, deadline).await?.keys);
        }
        Ok(found)
    }

    pub(super) async fn is(context: &Context, order: OrderId, key: &str, deadline: Deadline) -> Result<bool> {
        let found = Self::among(context, order, vec![key.to_owned()], deadline).await?;
        Ok(found.has(key))
    }

    async fn among(context: &Context, order: OrderId, keys: Vec<String>, deadline: Deadline) -> Result<Self> {
        let space = Idempotency::space(&scope(order));
        let places: Vec<_> = keys.iter().map(|key| (space.clone(), key.clone())).collect();
        let found = context.claims(Aggregate::Order)?.find(&places, deadline).await?;
        let found = keys.into_iter().zip(found).filter(|(_, found)| found.is_some());
        Ok(Self {
            keys: found.map(|(key, _)| key).collect(),
            singly: false,
        })
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.contains(key)
    }
}
