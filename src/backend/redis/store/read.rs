//! Carts by id, and the open one of a user; the server's clock decides which have ended.

use std::sync::Arc;

use async_trait::async_trait;

use super::record;
use super::record::text;
use super::record::uuid;
use super::wire::Wire;
use crate::backend::redis::client::Reply;
use crate::backend::redis::client::unexpected;
use crate::error::Result;
use crate::model::Cart;
use crate::model::CartId;
use crate::model::ClaimKey;
use crate::model::UserId;
use crate::resilience::Deadline;
use crate::spi::store::CartReader;

/// Carts of one call to the server at most: it does nothing else meanwhile.
const CARTS: usize = 100;

#[derive(Debug)]
pub(super) struct Carts(pub(super) Arc<Wire>);

#[async_trait]
impl CartReader for Carts {
    async fn get_many(&self, ids: &[CartId], deadline: Deadline) -> Result<Vec<Option<Arc<Cart>>>> {
        let mut carts = Vec::with_capacity(ids.len());
        for ids in ids.chunks(CARTS) {
            let keys = ids.iter().map(|id| self.0.keys.cart(id.uuid())).collect();
            let reply = self
                .0
                .ask(&self.0.programs.carts, (keys, Vec::new()), deadline)
                .await?;
            let found = reply.list()?;
            if found.len() != ids.len() {
                return Err(unexpected());
            }
            for (id, found) in ids.iter().zip(found) {
                carts.push(match found {
                    Reply::Nothing => None,
                    found => Some(record::read(*id, found)?),
                });
            }
        }
        Ok(carts)
    }

    async fn find_active(&self, user: UserId, deadline: Deadline) -> Result<Option<Arc<Cart>>> {
        let keys = vec![self.0.keys.claim(&ClaimKey::new(ClaimKey::CART_OWNER, user))];
        let words = vec![self.0.keys.carts(), user.to_string()];
        let reply = self
            .0
            .ask(&self.0.programs.active, (keys, words), deadline)
            .await?;
        if reply == Reply::Nothing {
            return Ok(None);
        }
        let [id, found] = reply.list()? else {
            return Err(unexpected());
        };
        record::read(CartId::from(uuid(text(id)?)?), found).map(Some)
    }
}
