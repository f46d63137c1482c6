//! Tags: one short string each, read by plain `GET`, made and raised by a script.

use std::time::Duration;

use bytes::Bytes;

use super::RedisCache;
use super::client::Call;
use super::client::Reply;
use super::client::unexpected;
use super::entry_name;
use super::millis;
use crate::error::Result;
use crate::resilience::Deadline;
use crate::spi::cache::CacheKey;
use crate::spi::cache::TagGeneration;

/// How long a tag is kept: one that ends makes what is kept under it out of date, once a day.
const KEEP: Duration = Duration::from_secs(24 * 60 * 60);

impl RedisCache {
    pub(super) async fn generations(
        &self,
        tags: &[CacheKey],
        deadline: Deadline,
    ) -> Result<Vec<TagGeneration>> {
        let names = tags.iter().map(entry_name).collect();
        let found = self.within(deadline, self.client.get_many(names)).await?;
        let mut known: Vec<_> = found
            .iter()
            .map(|raw| raw.as_deref().and_then(generation))
            .collect();
        let missing: Vec<usize> = (0..known.len()).filter(|index| known[*index].is_none()).collect();
        let calls = missing.iter().map(|index| call(&tags[*index], b"0"));
        let calls = calls.collect::<Result<Vec<_>>>()?;
        let replies = self.run(&self.programs.tag, calls, deadline).await?;
        for (index, reply) in missing.into_iter().zip(&replies) {
            known[index] = generation(reply.bytes()?);
        }
        known
            .into_iter()
            .map(|generation| generation.ok_or_else(unexpected))
            .collect()
    }

    pub(super) async fn raise_tags(&self, tags: &[CacheKey], deadline: Deadline) -> Result<()> {
        let calls = tags.iter().map(|tag| call(tag, b"1"));
        let calls = calls.collect::<Result<Vec<_>>>()?;
        let replies = self.run(&self.programs.tag, calls, deadline).await?;
        replies.iter().try_for_each(|reply| Reply::bytes(reply).map(drop))
    }
}

fn call(tag: &CacheKey, raise: &'static [u8]) -> Result<Call> {
    let new = TagGeneration::random()?;
    Ok(Call {
        keys: vec![entry_name(tag)],
        arguments: vec![
            Bytes::copy_from_slice(&new.0),
            millis(KEEP),
            Bytes::from_static(raise),
        ],
    })
}

fn generation(raw: &[u8]) -> Option<TagGeneration> {
    raw.try_into().ok().map(TagGeneration)
}
