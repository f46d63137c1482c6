//! Carts by id, and the open one of a user.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::in_order;
use super::owner;
use crate::backend::dynamodb::keys::Key;
use crate::backend::dynamodb::records::cart;
use crate::backend::dynamodb::wire::Wire;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::Cart;
use crate::model::CartId;
use crate::model::ClaimKey;
use crate::model::UserId;
use crate::resilience::Deadline;
use crate::spi::store::CartReader;

#[derive(Debug)]
pub(super) struct Carts(pub(super) Arc<Wire>);

#[async_trait]
impl CartReader for Carts {
    async fn get_many(&self, ids: &[CartId], deadline: Deadline) -> Result<Vec<Option<Arc<Cart>>>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        let found = self.0.roots(Aggregate::Cart, &ids, deadline).await?;
        let now = self.0.clock.now();
        in_order(&ids, &found, |item| {
            if !cart::is_unexpired(item, now)? {
                return Ok(None);
            }
            cart::read(item).map(Some)
        })
    }

    async fn find_active(&self, user: UserId, deadline: Deadline) -> Result<Option<Arc<Cart>>> {
        let key = user.to_string();
        let found = self
            .0
            .owners(vec![Key::claim(ClaimKey::CART_OWNER, &key)], deadline)
            .await?;
        let Some(id) = owner(&found, ClaimKey::CART_OWNER, &key)? else {
            return Ok(None);
        };
        let carts = self.get_many(&[CartId::from(id)], deadline).await?;
        let cart = carts.into_iter().flatten().next();
        Ok(cart.filter(|cart| cart.is_open() && cart.owner.user() == Some(user)))
    }
}
