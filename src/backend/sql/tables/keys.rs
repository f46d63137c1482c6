//! Unique keys: what every aggregate may have.

use std::sync::Arc;

use async_trait::async_trait;

use crate::backend::sql::dialect::Arg;
use crate::backend::sql::dialect::Reads;
use crate::backend::sql::dialect::Statement;
use crate::backend::sql::dialect::Text;
use crate::backend::sql::dialect::in_order;
use crate::backend::sql::dialect::statement;
use crate::backend::sql::plan::unhex;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Deadline;
use crate::spi::store::ClaimFound;
use crate::spi::store::ClaimReader;

/// Finds more than was asked where spaces and keys mix; the answer is narrowed to the pairs.
pub(in crate::backend::sql) const CLAIMS: Statement = statement!("claim.find":
    "SELECT k.space, k.claim_key, k.owner, k.fingerprint FROM stockroom_claims k \
     WHERE k.space" texts1 " AND k.claim_key" texts2);

/// Reads unique keys of either engine.
#[derive(Debug)]
pub(in crate::backend::sql) struct SqlClaims<R>(pub(in crate::backend::sql) Arc<R>);

#[async_trait]
impl<R: Reads> ClaimReader for SqlClaims<R> {
    async fn find(&self, keys: &[(String, String)], deadline: Deadline) -> Result<Vec<Option<ClaimFound>>> {
        let (spaces, names) = keys.iter().cloned().unzip();
        let rows = self
            .0
            .fetch(
                Text::Constant(CLAIMS),
                vec![Arg::Texts(spaces), Arg::Texts(names)],
                deadline,
            )
            .await?;
        let found = rows.iter().map(|row| {
            let fingerprint = R::opt_text(row, 3)?.map(|text| fingerprint(&text)).transpose()?;
            Ok((
                (R::text(row, 0)?, R::text(row, 1)?),
                ClaimFound {
                    owner: R::id(row, 2)?,
                    fingerprint,
                },
            ))
        });
        Ok(in_order(keys.iter().cloned(), found.collect::<Result<_>>()?))
    }
}

fn fingerprint(text: &str) -> Result<[u8; 32]> {
    let bytes: Option<[u8; 32]> = unhex(text).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| Error::new(ErrorKind::Corrupt, "a fingerprint cannot be read"))
}
