//! What a customer has bought, and what became of it.

use std::fmt;

use super::stored::stored_enum;
use super::text::check_line;
use super::{
    Address, CartId, Currency, MAX_LINES, Money, OrderId, OrderLine, OrderTotals, Quantity, Settlement,
    Timestamp, UserId, Version,
};
use crate::{Error, ErrorKind, Result};

stored_enum! {
    /// Where an order stands.
    OrderStatus in "status" {
        /// It awaits payment; its stock is held.
        Pending = "pending",
        /// Its stock is allocated in several commits; it is placed once it has all of it.
        Allocating = "allocating",
        /// It is to be sent; its stock is allocated.
        Placed = "placed",
        /// Its stock is released in several commits; it is cancelled then.
        Releasing = "releasing",
        /// It was sent and is done.
        Completed = "completed",
        /// It will not be sent.
        Cancelled = "cancelled",
    }
}

stored_enum! {
    /// How much of an order was sent.
    FulfilmentStatus in "fulfilment" {
        /// Nothing.
        Unfulfilled = "unfulfilled",
        /// A part.
        Partial = "partial",
        /// Everything.
        Fulfilled = "fulfilled",
    }
}

stored_enum! {
    /// How much of an order was paid: derived from its settlement, never stored by itself.
    PaymentStatus in "payment_status" {
        /// Nothing.
        Unpaid = "unpaid",
        /// The provider has promised money and not taken any.
        Authorized = "authorized",
        /// A part.
        PartiallyPaid = "partially_paid",
        /// Everything.
        Paid = "paid",
        /// A part was given back.
        PartiallyRefunded = "partially_refunded",
        /// Everything was given back.
        Refunded = "refunded",
        /// More was taken than is owed.
        RefundDue = "refund_due",
    }
}

stored_enum! {
    /// Why an order was cancelled.
    CancelReason in "cancel_reason" {
        /// The customer asked for it.
        Customer = "customer",
        /// The shop decided so.
        Merchant = "merchant",
        /// The payment was declined.
        PaymentDeclined = "payment_declined",
        /// The stock did not suffice.
        OutOfStock = "out_of_stock",
        /// It looked like fraud.
        Fraud = "fraud",
        /// It was not paid in time.
        Expired = "expired",
    }
}

/// What a customer has bought.
///
/// - Its methods return the changed order at the version and times that it had: the write path raises and stamps them.
/// - `Debug` shows no personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct Order {
    /// Its identity.
    pub id: OrderId,
    /// How often it has changed.
    pub version: Version,
    /// Who bought it, if that is a user.
    pub customer: Option<UserId>,
    /// The cart that it was made of.
    pub cart: Option<CartId>,
    /// Where it stands.
    pub status: OrderStatus,
    /// How much of it was sent.
    pub fulfilment: FulfilmentStatus,
    /// The currency of all its amounts.
    pub currency: Currency,
    /// All lines without tax.
    pub subtotal: Money,
    /// The tax of all lines.
    pub tax: Money,
    /// What is owed.
    pub total: Money,
    /// What was paid.
    pub paid: Settlement,
    /// Where it is sent.
    pub ship_to: Option<Address>,
    /// Who is billed.
    pub bill_to: Option<Address>,
    /// Where news about it are sent.
    pub email: Option<String>,
    /// Why it was cancelled.
    pub cancel_reason: Option<CancelReason>,
    /// What was bought.
    pub lines: Vec<OrderLine>,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Order {
    /// How much of it was paid.
    ///
    /// - An order that costs nothing is paid; what is due back comes before everything else.
    pub fn payment_status(&self) -> PaymentStatus {
        let Settlement {
            authorized,
            captured,
            refunded,
        } = self.paid;
        if !self.refund_due().is_zero() {
            return PaymentStatus::RefundDue;
        }
        match (captured > 0, refunded > 0) {
            (true, true) if refunded >= captured => PaymentStatus::Refunded,
            (true, true) => PaymentStatus::PartiallyRefunded,
            (true, false) if captured >= self.total.minor() => PaymentStatus::Paid,
            (true, false) => PaymentStatus::PartiallyPaid,
            (false, _) if self.status != OrderStatus::Cancelled && self.total.is_zero() => {
                PaymentStatus::Paid
            }
            (false, _) if authorized > 0 => PaymentStatus::Authorized,
            (false, _) => PaymentStatus::Unpaid,
        }
    }

    /// What has to be given back: everything of a cancelled order, else what was taken beyond the total.
    pub fn refund_due(&self) -> Money {
        let owed = if self.status == OrderStatus::Cancelled {
            0
        } else {
            self.total.minor()
        };
        Money::new(self.paid.kept().saturating_sub(owed).max(0), self.currency)
    }

    /// The line of this number.
    pub fn line(&self, number: u32) -> Option<&OrderLine> {
        self.lines.iter().find(|line| line.number == number)
    }

    /// The order once its payment is certain.
    ///
    /// # Errors
    /// `Conflict` when it is not pending.
    pub fn confirm(&self) -> Result<Self> {
        match self.status {
            OrderStatus::Pending => Ok(Self {
                status: OrderStatus::Placed,
                ..self.clone()
            }),
            _ => Err(self.refusal("confirmed")),
        }
    }

    /// The order once all of its stock was allocated, in several commits.
    ///
    /// # Errors
    /// `Conflict` when it is not allocating.
    pub(crate) fn allocated(&self) -> Result<Self> {
        match self.status {
            OrderStatus::Allocating => Ok(Self {
                status: OrderStatus::Placed,
                ..self.clone()
            }),
            _ => Err(self.refusal("placed")),
        }
    }

    /// The order once its stock begins to be released, in several commits.
    ///
    /// # Errors
    /// `Conflict` unless it is allocating, or placed with nothing sent.
    pub(crate) fn releasing(&self, reason: CancelReason) -> Result<Self> {
        match (self.status, self.fulfilment) {
            (OrderStatus::Allocating | OrderStatus::Placed, FulfilmentStatus::Unfulfilled) => Ok(Self {
                status: OrderStatus::Releasing,
                cancel_reason: Some(reason),
                ..self.clone()
            }),
            _ => Err(self.refusal("cancelled")),
        }
    }

    /// The order once all of its stock was released, in several commits.
    ///
    /// # Errors
    /// `Conflict` when it is not releasing.
    pub(crate) fn released(&self) -> Result<Self> {
        match self.status {
            OrderStatus::Releasing => Ok(Self {
                status: OrderStatus::Cancelled,
                ..self.clone()
            }),
            _ => Err(self.refusal("cancelled")),
        }
    }

    /// The order once it will not be sent, with what is allocated to it released in the same commit.
    ///
    /// # Errors
    /// `Conflict` when it is completed or cancelled, when a part was sent, or when its stock is moved in several commits.
    pub fn cancel(&self, reason: CancelReason) -> Result<Self> {
        match (self.status, self.fulfilment) {
            (OrderStatus::Pending | OrderStatus::Placed, FulfilmentStatus::Unfulfilled) => Ok(Self {
                status: OrderStatus::Cancelled,
                cancel_reason: Some(reason),
                ..self.clone()
            }),
            _ => Err(self.refusal("cancelled")),
        }
    }

    /// The order once so many of these lines were sent; a line may be named more than once.
    ///
    /// # Errors
    /// - `Conflict` when it is not placed, or sent already.
    /// - `InvalidInput`: field `lines` when none is named or one is unknown, `quantity` when more is sent than is left.
    pub fn ship(&self, lines: &[(u32, Quantity)]) -> Result<Self> {
        if self.status != OrderStatus::Placed || self.fulfilment == FulfilmentStatus::Fulfilled {
            return Err(self.refusal("shipped"));
        }
        if lines.is_empty() {
            return Err(Error::invalid("lines", "must name what is sent").concerning(self.name()));
        }
        let mut order = self.clone();
        for (number, quantity) in lines {
            order.ship_line(*number, *quantity)?;
        }
        let sent = order.lines.iter().all(|line| line.outstanding() == 0);
        order.fulfilment = if sent {
            FulfilmentStatus::Fulfilled
        } else {
            FulfilmentStatus::Partial
        };
        Ok(order)
    }

    fn ship_line(&mut self, number: u32, quantity: Quantity) -> Result<()> {
        let name = self.name();
        let Some(line) = self.lines.iter_mut().find(|line| line.number == number) else {
            return Err(Error::invalid("lines", format!("do not include number {number}")).concerning(name));
        };
        let left = line.outstanding();
        if quantity.get() > left {
            let message = format!("must be at most {left} for line {number}, is {quantity}");
            return Err(Error::invalid("quantity", message).concerning(name));
        }
        line.shipped += quantity.get();
        Ok(())
    }

    /// The order once nothing is left to do.
    ///
    /// # Errors
    /// `Conflict` unless it is placed and all of it was sent.
    pub fn complete(&self) -> Result<Self> {
        match (self.status, self.fulfilment) {
            (OrderStatus::Placed, FulfilmentStatus::Fulfilled) => Ok(Self {
                status: OrderStatus::Completed,
                ..self.clone()
            }),
            _ => Err(self.refusal("completed")),
        }
    }

    /// Checks every rule that an order keeps when it is placed.
    ///
    /// # Errors
    /// `InvalidInput` naming the field: `lines`, `title`, `email`, `currency`, `amount`, `total`.
    pub fn validate(&self) -> Result<()> {
        if self.lines.is_empty() || self.lines.len() > MAX_LINES {
            return Err(Error::invalid(
                "lines",
                format!("must be 1 to {MAX_LINES}, are {}", self.lines.len()),
            ));
        }
        for (line, number) in self.lines.iter().zip(1..) {
            if line.number != number {
                return Err(Error::invalid("lines", "must be numbered from 1"));
            }
            check_line("title", &line.title, 1..=200)?;
        }
        if let Some(email) = &self.email {
            check_email(email)?;
        }
        let OrderTotals { subtotal, tax, total } = OrderTotals::of(self.currency, &self.lines)?;
        if (subtotal, tax, total) != (self.subtotal, self.tax, self.total) {
            return Err(Error::invalid("total", "is not the sum of the lines"));
        }
        Ok(())
    }

    fn name(&self) -> String {
        format!("order {}", self.id)
    }

    fn refusal(&self, deed: &str) -> Error {
        let name = self.name();
        let message = format!(
            "{name} is {} and {}, so it cannot be {deed}",
            self.status, self.fulfilment
        );
        Error::new(ErrorKind::Conflict, message)
            .concerning(name)
            .found(self.version.get())
    }
}

/// Something before and after the last `@`, on one line: whether it exists, only a message to it can tell.
fn check_email(email: &str) -> Result<()> {
    check_line("email", email, 3..=254)?;
    match email.rsplit_once('@') {
        Some((local, domain)) if !local.is_empty() && !domain.is_empty() => Ok(()),
        _ => Err(Error::invalid(
            "email",
            "must be an address such as ada@example.com",
        )),
    }
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Order")
            .field("id", &self.id)
            .field("version", &self.version)
            .field("status", &self.status)
            .field("fulfilment", &self.fulfilment)
            .field("total", &self.total)
            .field("paid", &self.paid)
            .field("lines", &self.lines)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
