//! Spreading a level that is there over more items.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::facts::Facts;
use super::facts::Way;
use super::spread::Share;
use super::spread::Spread;
use super::transact::Composer;
use super::transact::Sent;
use super::world::next;
use crate::backend::dynamodb::item::Write as _;
use crate::backend::dynamodb::keys::Key;
use crate::backend::dynamodb::records::VERSION;
use crate::backend::dynamodb::records::level::COUNTED;
use crate::backend::dynamodb::records::level::Counters;
use crate::backend::dynamodb::records::level::MOST_SHARES;
use crate::backend::dynamodb::records::level::SHARES;
use crate::backend::dynamodb::records::level::blank;
use crate::backend::dynamodb::records::level::counted;
use crate::backend::dynamodb::records::level::shares;
use crate::backend::dynamodb::wire::Wire;
use crate::error::Error;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::LocationId;
use crate::model::RowKey;
use crate::model::Sku;
use crate::resilience::Backoff;
use crate::resilience::Deadline;

impl Wire {
    /// Spreads a level over so many items, and evens out what is on hand and allocated. The level stays as it is for everybody
    /// who reads it: nothing stands in its history or in the feed.
    ///
    /// # Errors
    /// - `NotFound` where there is no level, `InvalidInput` for fewer shares than it has, or more than there can be.
    /// - Those of a transaction. Repeating is harmless: what is spread already is left as it is.
    pub(in crate::backend::dynamodb) async fn respread(
        &self,
        (sku, location): (&Sku, &LocationId),
        count: usize,
        deadline: Deadline,
    ) -> Result<()> {
        if count > MOST_SHARES {
            let message = format!("a level is spread over {MOST_SHARES} items at most");
            return Err(Error::invalid("shares", message));
        }
        let mut attempt = 0;
        loop {
            let root = Key::share(sku, location, 0);
            let facts = Facts::read(self, BTreeSet::from([root.clone()]), Way::Each, deadline).await?;
            let Some(item) = facts.items.get(&root).filter(|item| item.contains_key(VERSION)) else {
                let row = RowKey::Level(sku.clone(), location.clone());
                return Err(Error::not_found(Aggregate::Level.name(&row)));
            };
            match shares(item)? {
                own if own == count => return Ok(()),
                own if own > count => {
                    return Err(Error::invalid(
                        "shares",
                        "a level that is spread is not gathered again",
                    ));
                }
                _ => {}
            }
            let composer = Composer {
                wire: self,
                facts: &facts,
            };
            let mut items = Vec::new();
            for (number, share) in dealt(&facts, (sku, location), count)?.into_iter().enumerate() {
                let mut item = share.item;
                share.counters.write(&mut item);
                item.time("updated_at", facts.now);
                item.int(VERSION, next(facts.version(&share.key)?).stored());
                item.int(COUNTED, counted(facts.items.get(&share.key))?);
                if number == 0 {
                    item.int(SHARES, i64::try_from(count).unwrap_or(1));
                }
                items.extend(composer.share(&share.key, Some(&item))?);
            }
            let cause = match self.transact(Uuid::now_v7(), items, deadline).await {
                Sent::Applied => return Ok(()),
                Sent::Failed(error) => return Err(error),
                // What became of it is seen the next time round.
                Sent::Moved(error) | Sent::Busy(error) | Sent::Doubtful(error) => error,
            };
            let pause = Backoff::default().next(attempt);
            if pause >= deadline.remaining() {
                return Err(cause);
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }
}

/// The shares as they become.
fn dealt(facts: &Facts, (sku, location): (&Sku, &LocationId), count: usize) -> Result<Vec<Share>> {
    let mut level = Spread {
        shares: Vec::with_capacity(count),
        pick: 0,
        evenly: true,
    };
    for number in 0..count {
        let key = Key::share(sku, location, number);
        let item = facts.items.get(&key);
        level.shares.push(Share {
            counters: item.map(Counters::read).transpose()?.unwrap_or_default(),
            item: item.cloned().unwrap_or_else(|| blank(sku, location)),
            left: 0,
            touched: true,
            key,
        });
    }
    let all = level.shares.iter().map(|share| share.counters);
    let (on_hand, allocated) = all.fold((0, 0), |(on_hand, allocated), one| {
        (on_hand + one.on_hand, allocated + one.allocated)
    });
    level.deal(on_hand, allocated);
    Ok(level.shares)
}
