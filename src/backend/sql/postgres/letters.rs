//! Letters of the feed, kept together with the position: one statement.

use std::sync::LazyLock;

use async_trait::async_trait;

use super::reads::PostgresReads;
use crate::backend::sql::coordination::Keeps;
use crate::backend::sql::coordination::SAVE;
use crate::backend::sql::dialect::Arg;
use crate::backend::sql::dialect::Reads as _;
use crate::backend::sql::dialect::Text;
use crate::error::Result;
use crate::resilience::Deadline;

/// `$8` the letters, beside the parameters of [`SAVE`].
pub(super) static KEEP: LazyLock<String> = LazyLock::new(|| {
    format!(
        "/* stockroom feed.keep */ WITH saved AS ({}), kept AS (\
         INSERT INTO stockroom_dead_letters (id, sink, change, reason, attempts, at) \
         SELECT (x.e->>0)::uuid, x.e->>1, x.e->>2, x.e->>3, (x.e->>4)::bigint, (x.e->>5)::bigint \
         FROM jsonb_array_elements($8::text::jsonb) AS x(e) WHERE EXISTS (SELECT 1 FROM saved) \
         ON CONFLICT (id) DO NOTHING) SELECT s.fence FROM saved AS s",
        SAVE.postgres
    )
});

#[async_trait]
impl Keeps for PostgresReads {
    async fn keep(&self, mut save: Vec<Arg>, letters: String, deadline: Deadline) -> Result<bool> {
        save.push(Arg::Text(letters));
        let saved = self.fetch(Text::Composed(KEEP.clone()), save, deadline).await?;
        Ok(!saved.is_empty())
    }
}
