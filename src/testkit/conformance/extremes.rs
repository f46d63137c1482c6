//! Round trips at the ends of what the model allows: where encodings on the way lose digits, cases or characters.

use serde_json::json;

use super::CaseResult;
use super::Harness;
use super::case::cases;
use super::check::same;
use crate::error::Result;
use crate::model::Attributes;
use crate::model::Cart;
use crate::model::CartLine;
use crate::model::Currency;
use crate::model::MAX_LINE_QUANTITY;
use crate::model::Money;
use crate::model::Order;
use crate::model::Payment;
use crate::model::Product;
use crate::model::Record;
use crate::model::Timestamp;
use crate::model::from_micros;
use crate::testkit::fixtures;
use crate::testkit::fixtures::order_id;

cases! {
    "product.round_trip" / "extremes": product, [Product];
    "cart.round_trip" / "extremes": cart, [Cart];
    "order.round_trip" / "extremes": order, [Order];
    "payment.round_trip" / "extremes": payment, [Payment];
    "product.find_by_skus" / "letter_case": letter_case, [Product];
}

/// Quotes of every kind, escapes, a line separator, an emoji of several code points, right to left, markup.
const AWKWARD: &str =
    "\"'`\\ %_$1 {}[] \u{2028} \u{1F469}\u{200D}\u{1F4BB} \u{5E9}\u{5DC} <b> &amp; e\u{301}";

/// The last microsecond of the year 9999.
fn last() -> Result<Timestamp> {
    from_micros(253_402_300_799_999_999)
}

/// A microsecond before 1900.
fn first() -> Result<Timestamp> {
    from_micros(-2_208_988_800_000_001)
}

async fn round_trip(h: &Harness, new: impl Into<Record>) -> CaseResult {
    let new = new.into();
    h.create(new.clone()).await?;
    h.ensure_stored(&new, 1).await
}

async fn product(h: &Harness) -> CaseResult {
    let mut product = fixtures::product(1)?;
    product.title = format!("{AWKWARD:x<200.200}");
    product.description = AWKWARD.repeat(20_000 / AWKWARD.chars().count());
    product.description.push_str("\n\t\r\n \u{7F}\u{1}");
    product.attributes = Attributes::from_json(json!({
        "": AWKWARD,
        "big": 9_007_199_254_740_993_i64,
        "bounds": [i64::MIN, i64::MAX, u64::MAX, 0.1, 1.0, -1.5e-9, 1e21],
        "deep": {"a": {"b": {"c": {"d": [{}]}}}},
        "empty": [[], {}, "", null, false],
    }))?;
    (product.created_at, product.updated_at) = (first()?, last()?);
    for variant in &mut product.variants {
        variant.options = fixtures::options(&[("größe", "\u{1F600} \"L\""), ("empty", "")])?;
        for price in &mut variant.prices {
            price.amount = Money::new(i64::MAX, Currency::EUR);
            (price.valid_from, price.valid_until) = (Some(first()?), Some(last()?));
            price.min_quantity = 1_000_000;
        }
    }
    round_trip(h, product).await
}

async fn cart(h: &Harness) -> CaseResult {
    let mut cart = fixtures::cart(1)?;
    cart.lines.clear();
    for number in 0..500_u64 {
        let sku = fixtures::sku(&format!("SKU-{number}"))?;
        let line = fixtures::line(&sku, &[("text", "a 'quoted' \"größe\" \\")], MAX_LINE_QUANTITY)?;
        // Lines that came later stand later.
        let added_at = fixtures::stamp(number)?;
        cart.lines.push(CartLine { added_at, ..line });
    }
    (cart.created_at, cart.updated_at) = (first()?, last()?);
    round_trip(
        h,
        Cart {
            expires_at: crate::model::Expiry::At(last()?),
            ..cart
        },
    )
    .await
}

async fn order(h: &Harness) -> CaseResult {
    let mut order = fixtures::order(1)?;
    let most = Money::new(i64::MAX, Currency::USD);
    (order.subtotal, order.tax, order.total) = (most, Money::new(i64::MIN, Currency::USD), most);
    for line in &mut order.lines {
        line.title = AWKWARD.to_owned();
        line.quantity = fixtures::quantity(1_000_000)?;
        (line.unit_price, line.tax, line.total) = (most, most, most);
        line.shipped = 1_000_000;
    }
    let placed_at = first()?;
    round_trip(
        h,
        Order {
            placed_at,
            updated_at: last()?,
            ..order
        },
    )
    .await
}

async fn payment(h: &Harness) -> CaseResult {
    let mut payment = fixtures::payment(1, order_id(1))?;
    payment.amount = Money::new(i64::MAX, Currency::parse("JPY")?);
    payment.settled.authorized = i64::MAX;
    payment.settled.refunded = i64::MIN;
    payment.decline_reason = Some(AWKWARD.to_owned());
    round_trip(
        h,
        Payment {
            created_at: first()?,
            updated_at: last()?,
            ..payment
        },
    )
    .await
}

/// SKUs that differ in the case of their letters are two.
async fn letter_case(h: &Harness) -> CaseResult {
    let (mut lower, mut upper) = (fixtures::priced_product(1, 1)?, fixtures::priced_product(2, 2)?);
    let skus = [
        fixtures::sku("mug-a")?,
        fixtures::sku("MUG-A")?,
        fixtures::sku("Mug-A")?,
    ];
    let name = |product: &mut Product, number: usize| {
        product
            .variants
            .iter_mut()
            .for_each(|variant| variant.sku = skus[number].clone());
    };
    name(&mut lower, 0);
    name(&mut upper, 1);
    h.create(lower.clone()).await?;
    h.create(upper.clone()).await?;
    let found = h
        .store()
        .readers()
        .product()?
        .find_by_skus(&skus, h.deadline())
        .await?;
    let ids: Vec<_> = found
        .iter()
        .map(|product| product.as_ref().map(|product| product.id))
        .collect();
    same!(
        ids,
        vec![Some(lower.id), Some(upper.id), None],
        "the products of the SKUs"
    );
    Ok(())
}
