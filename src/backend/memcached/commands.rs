//! The meta commands of the protocol, on one connection: what is asked of an item, and what its answer means.

use async_memcached::Client;
use async_memcached::Error as ClientError;
use async_memcached::MetaProtocol;
use async_memcached::MetaValue;

use super::error;
use super::item;
use crate::model::Version;
use crate::spi::cache::Acquire;
use crate::spi::cache::Acquired;
use crate::spi::cache::Fill;
use crate::spi::cache::Filled;
use crate::spi::cache::Invalidate;
use crate::spi::cache::Invalidation;
use crate::spi::cache::LeaseToken;
use crate::spi::cache::LoadWhen;
use crate::spi::cache::NOTHING_WRITTEN;
use crate::spi::cache::TagGeneration;

/// An answer as the client gives it: a lost connection is for the server's pool to mend.
type Answer<T> = core::result::Result<T, ClientError>;

/// Reads items without taking anybody's place.
pub(super) async fn read(client: &mut Client, names: &[String]) -> Answer<Vec<MetaValue>> {
    let found = match names {
        // By itself: a batch costs one more command, to find its end.
        [name] => {
            let found = client
                .meta_get(name, false, None, Some(&["v", "t", "c", "k"]))
                .await?;
            found.into_iter().collect()
        }
        names => client.meta_get_multi(names, Some(&["v", "t", "c"])).await?,
    };
    for item in &found {
        // The first read of a stale item wins the right to load it, asked or not; this one does not load, and gives it back.
        if item.is_stale == Some(true) && item.is_recache_winner == Some(true) {
            let (Some(key), Some(number)) = (&item.key, item.cas) else {
                continue;
            };
            let left = item.ttl_remaining.unwrap_or(1).max(1);
            let flags = [format!("C{number}"), format!("T{left}"), "I".to_owned()];
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            unless_unmet(client.meta_delete(key, false, None, Some(&flags)).await)?;
        }
    }
    Ok(found)
}

pub(super) async fn acquire(client: &mut Client, key: &str, ask: Acquire, life: u64) -> Answer<Acquired> {
    let vivify = format!("N{}", item::seconds(ask.lease));
    let found = client
        .meta_get(key, false, None, Some(&["v", "c", "t", &vivify]))
        .await?;
    let Some(found) = found else {
        return Ok(Acquired::Busy { stale: None });
    };
    if let Some(leased) = leased(&found, life) {
        return Ok(leased);
    }
    let entry = item::fresh(&found);
    if let (Some(entry), LoadWhen::Missing) = (&entry, ask.when) {
        return Ok(Acquired::Filled(entry.clone()));
    }
    let is_value = found.is_stale != Some(true) && item::stale(&found).is_some();
    if is_value {
        // Early, or kept for its stale time: wanted by more than it has left, the right to load goes to one.
        let early = format!(
            "R{}",
            u64::try_from(found.ttl_remaining.unwrap_or(0)).unwrap_or(0) + 2
        );
        let again = client
            .meta_get(key, false, None, Some(&["v", "c", "t", &vivify, &early]))
            .await?;
        if let Some(leased) = again.as_ref().and_then(|again| leased(again, life)) {
            return Ok(leased);
        }
    }
    Ok(match entry {
        Some(entry) => Acquired::Filled(entry),
        None => Acquired::Busy {
            stale: item::stale(&found),
        },
    })
}

/// The lease of whoever won it.
fn leased(item: &MetaValue, life: u64) -> Option<Acquired> {
    let number = item.cas.filter(|_| item.is_recache_winner == Some(true))?;
    let mut token = [0; 16];
    token[..8].copy_from_slice(&number.to_be_bytes());
    token[8..].copy_from_slice(&life.to_be_bytes());
    Some(Acquired::Lease {
        token: LeaseToken(token),
        floor: Version::ZERO,
        stale: item::stale(item),
    })
}

pub(super) async fn store(client: &mut Client, key: &str, fill: &Fill, life: u64) -> Answer<Filled> {
    let (number, of_life) = fill.token.0.split_at(8);
    if of_life != life.to_be_bytes() {
        return Ok(Filled::Void);
    }
    let number = number
        .iter()
        .fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    let flags = [
        format!("C{number}"),
        format!(
            "T{}",
            item::seconds(fill.fresh_for.saturating_add(fill.stale_for))
        ),
        format!("F{}", item::flags(fill.version)),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let packed = item::packed(fill.version, fill.stale_for, &fill.payload);
    match client
        .meta_set(key, packed.as_slice(), false, None, Some(&flags))
        .await
    {
        Ok(_) => Ok(Filled::Stored),
        Err(error) if error::is_unmet(&error) => Ok(Filled::Void),
        Err(error) if error::is_too_large(&error) => Ok(Filled::TooLarge),
        Err(error) => Err(error),
    }
}

pub(super) async fn invalidate(client: &mut Client, what: &Invalidation, how: Invalidate) -> Answer<()> {
    let key = what.key.as_str();
    if what.version != NOTHING_WRITTEN {
        let found = client.meta_get(key, false, None, Some(&["f", "t"])).await?;
        let is_newer = |item: &MetaValue| {
            item.is_stale != Some(true)
                && item
                    .flags
                    .is_some_and(|flags| u64::from(flags) >= what.version.get())
        };
        if found.as_ref().is_some_and(is_newer) {
            return Ok(());
        }
    }
    if how.stale_for.is_zero() {
        return unless_unmet(client.meta_delete(key, false, None, None).await);
    }
    let kept = format!("T{}", item::seconds(how.stale_for));
    unless_unmet(client.meta_delete(key, false, None, Some(&["I", &kept])).await)
}

/// The generation of a tag; this new one where it has none.
pub(super) async fn tag(client: &mut Client, key: &str, new: TagGeneration) -> Answer<TagGeneration> {
    // Whoever comes second to make it reads what the first one made.
    for _ in 0..2 {
        let found = client.meta_get(key, false, None, Some(&["v"])).await?;
        let known = found.and_then(|item| item.data?.try_into().ok());
        if let Some(known) = known {
            return Ok(TagGeneration(known));
        }
        let kept = item::keep_tag();
        let flags = ["ME", kept.as_str()];
        let made = client.meta_set(key, new.0.as_slice(), false, None, Some(&flags));
        match made.await {
            Ok(_) => return Ok(new),
            Err(error) if error::is_unmet(&error) => {}
            Err(error) => return Err(error),
        }
    }
    // Made and gone again in between: nobody has kept anything under it.
    Ok(new)
}

pub(super) async fn raise(client: &mut Client, key: &str, new: TagGeneration) -> Answer<()> {
    let kept = item::keep_tag();
    client
        .meta_set(key, new.0.as_slice(), false, None, Some(&[&kept]))
        .await
        .map(drop)
}

/// What was not there, or is another by now, is nothing to worry about.
fn unless_unmet<T>(answer: Answer<T>) -> Answer<()> {
    match answer {
        Err(error) if !error::is_unmet(&error) => Err(error),
        _ => Ok(()),
    }
}
