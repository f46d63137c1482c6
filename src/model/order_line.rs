//! The lines of an order and what they come to.

use super::{Currency, LocationId, Money, Options, ProductId, Quantity, Sku, TaxRate};
use crate::Result;

/// One line of an order: a copy of what was bought, for the product may change later.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrderLine {
    /// Its number in the order, from 1.
    pub number: u32,
    /// What was bought.
    pub sku: Sku,
    /// The product it was a variant of.
    pub product: ProductId,
    /// Its name at that time.
    pub title: String,
    /// What the customer chose.
    pub options: Options,
    /// How many.
    pub quantity: Quantity,
    /// What one cost, without tax.
    pub unit_price: Money,
    /// The tax on it.
    pub tax_rate: TaxRate,
    /// The tax of the whole line.
    pub tax: Money,
    /// The price of the whole line, with tax.
    pub total: Money,
    /// Where it is sent from.
    pub location: LocationId,
    /// How many were sent.
    pub shipped: i64,
}

impl OrderLine {
    /// What the line comes to without tax.
    ///
    /// # Errors
    /// `InvalidInput`, field `amount`, when it is out of range.
    pub fn net(&self) -> Result<Money> {
        self.unit_price.checked_mul(self.quantity.get())
    }

    /// How many are still to be sent.
    pub const fn outstanding(&self) -> i64 {
        self.quantity.get().saturating_sub(self.shipped)
    }
}

/// What one line comes to.
///
/// ```
/// use stockroom::{Currency, LineAmounts, Money, Quantity, TaxRate};
///
/// let price = Money::new(9_99, Currency::EUR);
/// let amounts = LineAmounts::of(price, Quantity::new(3)?, TaxRate::basis_points(19_00)?)?;
/// assert_eq!(amounts.total.to_string(), "35.66 EUR");
/// # Ok::<(), stockroom::Error>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct LineAmounts {
    /// The price of one times the quantity.
    pub net: Money,
    /// The tax on that: rounded once for the line, halves to even.
    pub tax: Money,
    /// Both together.
    pub total: Money,
}

impl LineAmounts {
    /// The amounts of so many at this price.
    ///
    /// # Errors
    /// `InvalidInput`, field `amount`, when one is out of range.
    pub fn of(unit_price: Money, quantity: Quantity, rate: TaxRate) -> Result<Self> {
        let net = unit_price.checked_mul(quantity.get())?;
        let tax = net.tax(rate)?;
        Ok(Self {
            net,
            tax,
            total: net.checked_add(tax)?,
        })
    }
}

/// What the lines of an order come to.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct OrderTotals {
    /// All lines without tax.
    pub subtotal: Money,
    /// The tax of all lines.
    pub tax: Money,
    /// Both together.
    pub total: Money,
}

impl OrderTotals {
    /// The sums over these lines.
    ///
    /// # Errors
    /// `InvalidInput`: field `currency` when a line has another, `amount` when a sum is out of range.
    pub fn of(currency: Currency, lines: &[OrderLine]) -> Result<Self> {
        let mut subtotal = Money::zero(currency);
        for line in lines {
            subtotal = subtotal.checked_add(line.net()?)?;
        }
        let tax = Money::sum(currency, lines.iter().map(|line| line.tax))?;
        Ok(Self {
            subtotal,
            tax,
            total: subtotal.checked_add(tax)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tax_is_rounded_once_for_a_line() {
        let rate = TaxRate::basis_points(1_000).unwrap();
        let amounts =
            LineAmounts::of(Money::new(4, Currency::EUR), Quantity::new(10).unwrap(), rate).unwrap();
        assert_eq!(
            (amounts.net.minor(), amounts.tax.minor(), amounts.total.minor()),
            (40, 4, 44)
        );
    }

    #[test]
    fn amounts_out_of_range_are_refused() {
        let price = Money::new(i64::MAX, Currency::EUR);
        let error = LineAmounts::of(price, Quantity::new(2).unwrap(), TaxRate::ZERO).unwrap_err();
        assert_eq!(error.invalid_field(), Some("amount"));
    }
}
