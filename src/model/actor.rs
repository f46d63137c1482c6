//! Who did something, for the audit trail.

use std::fmt;

use super::stored::stored_enum;
use super::text::check_line;
use super::{Provider, UserId};
use crate::Result;

stored_enum! {
    /// What kind of party acts.
    ActorKind in "actor" {
        /// The shop's own programs.
        System = "system",
        /// A customer.
        User = "user",
        /// Someone who works for the shop.
        Staff = "staff",
        /// A payment provider.
        Provider = "provider",
    }
}

/// Who did something.
///
/// ```
/// use stockroom::Actor;
///
/// assert_eq!(Actor::system().to_string(), "system");
/// assert_eq!(Actor::staff("anna")?.to_string(), "staff:anna");
/// # Ok::<(), stockroom::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Actor {
    kind: ActorKind,
    id: Option<String>,
}

impl Actor {
    /// The shop's own programs.
    pub const fn system() -> Self {
        Self {
            kind: ActorKind::System,
            id: None,
        }
    }

    /// A customer.
    pub fn user(id: UserId) -> Self {
        Self {
            kind: ActorKind::User,
            id: Some(id.to_string()),
        }
    }

    /// Someone who works for the shop, by the name that the shop knows them by.
    ///
    /// - The name is stored for ever: an account's id serves better than a person's name.
    ///
    /// # Errors
    /// `InvalidInput`, field `actor`, unless it is 1 to 128 characters on one line.
    pub fn staff(id: impl Into<String>) -> Result<Self> {
        let id = id.into();
        check_line("actor", &id, 1..=128)?;
        Ok(Self {
            kind: ActorKind::Staff,
            id: Some(id),
        })
    }

    /// A payment provider.
    pub fn provider(provider: &Provider) -> Self {
        Self {
            kind: ActorKind::Provider,
            id: Some(provider.to_string()),
        }
    }

    /// What kind of party it is.
    pub const fn kind(&self) -> ActorKind {
        self.kind
    }

    /// Which one of its kind.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

impl Default for Actor {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(f, "{}:{id}", self.kind),
            None => self.kind.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actors_show_kind_and_id() {
        let user = UserId::new();
        assert_eq!(Actor::user(user).to_string(), format!("user:{user}"));
        assert_eq!(
            Actor::provider(&Provider::new("acme").unwrap()).to_string(),
            "provider:acme"
        );
    }

    #[test]
    fn staff_names_are_bounded_and_without_nul() {
        for bad in ["", "a\0", &"x".repeat(129)] {
            assert_eq!(Actor::staff(bad).unwrap_err().invalid_field(), Some("actor"));
        }
    }
}
