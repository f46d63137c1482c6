//! What a checkout says beside the goods: who buys, where it is sent, which hold it uses up.

use crate::model::Address;
use crate::model::Hold;
use crate::model::UserId;

/// What place and pay have in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    pub(super) customer: Option<UserId>,
    pub(super) ship_to: Option<Address>,
    pub(super) bill_to: Option<Address>,
    pub(super) email: Option<String>,
    pub(super) hold: Option<Hold>,
}

/// The builder methods of a request that has `terms`.
macro_rules! terms_methods {
    () => {
        /// The user who buys; by default the owner of the cart.
        pub fn customer(mut self, customer: crate::model::UserId) -> Self {
            self.terms.customer = Some(customer);
            self
        }

        /// Where the goods are sent.
        pub fn ship_to(mut self, address: crate::model::Address) -> Self {
            self.terms.ship_to = Some(address);
            self
        }

        /// Who is billed.
        pub fn bill_to(mut self, address: crate::model::Address) -> Self {
            self.terms.bill_to = Some(address);
            self
        }

        /// Where news about the order are sent.
        pub fn email(mut self, email: impl Into<String>) -> Self {
            self.terms.email = Some(email.into());
            self
        }

        /// The hold that is used up: what it keeps counts as available to this order.
        pub fn hold(mut self, hold: crate::model::Hold) -> Self {
            self.terms.hold = Some(hold);
            self
        }
    };
}

pub(super) use terms_methods;
