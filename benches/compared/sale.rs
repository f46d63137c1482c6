//! The rows of an order as an application would have them at hand, ready to be bound.

use stockroom::Clock as _;
use stockroom::Quote;
use stockroom::SystemClock;
use stockroom::micros;
use uuid::Uuid;

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Placed,
    /// There was not enough on stock.
    Refused,
}

/// One order of a quote.
#[derive(Debug)]
pub(crate) struct Sale {
    pub(crate) id: Uuid,
    pub(crate) key: String,
    /// As long as the fingerprint that the shop keeps.
    pub(crate) fingerprint: String,
    pub(crate) quote: Quote,
    pub(crate) now: i64,
}

impl Sale {
    pub(crate) fn new(quote: Quote, key: String) -> Self {
        let id = Uuid::now_v7();
        let fingerprint = format!("{0}{0}", id.simple());
        Self {
            id,
            key,
            fingerprint,
            quote,
            now: micros(SystemClock.now()),
        }
    }

    pub(crate) fn cart(&self) -> Uuid {
        self.quote.cart.id.uuid()
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        let quoted = self.quote.lines.iter().zip(1..);
        let mut lines: Vec<Line> = quoted
            .map(|(line, number)| Line {
                number,
                sku: line.sku.to_string(),
                product: line.product.uuid(),
                title: line.title.clone(),
                // No line of the bench has options.
                options: "{}".to_owned(),
                quantity: line.quantity.get(),
                unit_price: line.unit_price.minor(),
                tax_rate: i64::from(line.tax_rate.get()),
                tax: line.tax.minor(),
                total: line.total.minor(),
                location: line.location.to_string(),
            })
            .collect();
        // Everyone takes the rows of the stock in one order.
        lines.sort_by(|one, other| one.sku.cmp(&other.sku));
        lines
    }
}

/// One line of the order.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) number: i64,
    pub(crate) sku: String,
    pub(crate) product: Uuid,
    pub(crate) title: String,
    pub(crate) options: String,
    pub(crate) quantity: i64,
    pub(crate) unit_price: i64,
    pub(crate) tax_rate: i64,
    pub(crate) tax: i64,
    pub(crate) total: i64,
    pub(crate) location: String,
}
