//! Money in minor units of an ISO 4217 currency; nothing is rounded but tax, and nothing overflows silently.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Result};

/// A currency of ISO 4217 that money is counted in.
///
/// - Metals and accounting units, which have no minor unit, are not currencies here.
///
/// ```
/// use stockroom::Currency;
///
/// assert_eq!("JPY".parse::<Currency>()?.exponent(), 0);
/// # Ok::<(), stockroom::Error>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// The US dollar.
    pub const USD: Self = Self(iso_currency::Currency::USD);
    /// The euro.
    pub const EUR: Self = Self(iso_currency::Currency::EUR);
    /// The pound sterling.
    pub const GBP: Self = Self(iso_currency::Currency::GBP);

    /// The currency of a code of three capital letters.
    ///
    /// # Errors
    /// `InvalidInput` naming the field `currency`.
    pub fn parse(code: &str) -> Result<Self> {
        iso_currency::Currency::from_code(code)
            .filter(|currency| currency.exponent().is_some())
            .map(Self)
            .ok_or_else(|| Error::invalid("currency", "must be a code of ISO 4217, such as USD"))
    }

    /// The code of three capital letters.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// How many decimal digits the minor unit has: 2 for cents.
    pub fn exponent(self) -> u8 {
        self.0
            .exponent()
            .and_then(|exponent| u8::try_from(exponent).ok())
            .unwrap_or(0)
    }
}

impl PartialOrd for Currency {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Currency {
    /// By code, as stores sort them.
    fn cmp(&self, other: &Self) -> Ordering {
        self.code().cmp(other.code())
    }
}

impl FromStr for Currency {
    type Err = Error;

    fn from_str(code: &str) -> Result<Self> {
        Self::parse(code)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// An amount of money in minor units, such as cents; it may be negative.
///
/// ```
/// use stockroom::{Currency, Money, TaxRate};
///
/// let net = Money::new(12_50, Currency::EUR);
/// let tax = net.tax(TaxRate::basis_points(19_00)?)?;
/// assert_eq!(net.checked_add(tax)?.to_string(), "14.88 EUR");
/// assert!(net.checked_add(Money::new(1, Currency::USD)).is_err());
/// # Ok::<(), stockroom::Error>(())
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

impl Money {
    /// So many minor units: `Money::new(12_34, Currency::USD)` is $12.34.
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Nothing, in this currency.
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// The amount in minor units.
    pub const fn minor(self) -> i64 {
        self.minor
    }

    /// The currency.
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// Whether it is nothing.
    pub const fn is_zero(self) -> bool {
        self.minor == 0
    }

    /// Whether it is less than nothing.
    pub const fn is_negative(self) -> bool {
        self.minor < 0
    }

    /// Both together.
    ///
    /// # Errors
    /// `InvalidInput`: field `currency` when they differ, `amount` when the sum is out of range.
    pub fn checked_add(self, other: Self) -> Result<Self> {
        self.same_currency(other)?;
        self.with(self.minor.checked_add(other.minor))
    }

    /// This without the other.
    ///
    /// # Errors
    /// `InvalidInput`: field `currency` when they differ, `amount` when the difference is out of range.
    pub fn checked_sub(self, other: Self) -> Result<Self> {
        self.same_currency(other)?;
        self.with(self.minor.checked_sub(other.minor))
    }

    /// This so many times.
    ///
    /// # Errors
    /// `InvalidInput`, field `amount`, when the product is out of range.
    pub fn checked_mul(self, times: i64) -> Result<Self> {
        self.with(self.minor.checked_mul(times))
    }

    /// The tax on this amount, to the nearest minor unit, halves to the even one.
    ///
    /// # Errors
    /// None at present: a rate is at most 100 %, so the tax is never greater than the amount.
    pub fn tax(self, rate: TaxRate) -> Result<Self> {
        let exact = i128::from(self.minor) * i128::from(rate.get());
        let (floor, rest) = (exact.div_euclid(TaxRate::WHOLE), exact.rem_euclid(TaxRate::WHOLE));
        let up = match (rest * 2).cmp(&TaxRate::WHOLE) {
            Ordering::Less => 0,
            Ordering::Equal => floor.rem_euclid(2),
            Ordering::Greater => 1,
        };
        self.with(i64::try_from(floor + up).ok())
    }

    /// The sum of all, or zero of this currency.
    ///
    /// # Errors
    /// `InvalidInput`: field `currency` when one differs, `amount` when the sum is out of range.
    pub fn sum(currency: Currency, amounts: impl IntoIterator<Item = Self>) -> Result<Self> {
        amounts
            .into_iter()
            .try_fold(Self::zero(currency), Self::checked_add)
    }

    fn with(self, minor: Option<i64>) -> Result<Self> {
        minor
            .map(|minor| Self::new(minor, self.currency))
            .ok_or_else(|| Error::invalid("amount", "is out of range"))
    }

    fn same_currency(self, other: Self) -> Result<()> {
        if self.currency == other.currency {
            return Ok(());
        }
        Err(Error::invalid(
            "currency",
            format!("{} and {} do not mix", self.currency, other.currency),
        ))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = usize::from(self.currency.exponent());
        let sign = if self.minor < 0 { "-" } else { "" };
        let minor = self.minor.unsigned_abs();
        if digits == 0 {
            return write!(f, "{sign}{minor} {}", self.currency);
        }
        let unit = 10_u64.saturating_pow(u32::from(self.currency.exponent()));
        write!(
            f,
            "{sign}{}.{:0digits$} {}",
            minor / unit,
            minor % unit,
            self.currency
        )
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Money({self})")
    }
}

/// A rate of tax in basis points, hundredths of a per cent: 0 to 10,000.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct TaxRate(u32);

impl TaxRate {
    /// No tax.
    pub const ZERO: Self = Self(0);
    /// The basis points of the whole amount.
    const WHOLE: i128 = 10_000;

    /// A rate of so many hundredths of a per cent: 1900 is 19 %.
    ///
    /// # Errors
    /// `InvalidInput` naming the field `tax_rate`.
    pub fn basis_points(points: u32) -> Result<Self> {
        if i128::from(points) > Self::WHOLE {
            return Err(Error::invalid("tax_rate", "must be 0 to 10000 basis points"));
        }
        Ok(Self(points))
    }

    /// The basis points.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for TaxRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02} %", self.0 / 100, self.0 % 100)
    }
}

/// Reads a stored number.
impl TryFrom<i64> for TaxRate {
    type Error = Error;

    fn try_from(points: i64) -> Result<Self> {
        // Anything out of range becomes a number that the check refuses.
        Self::basis_points(u32::try_from(points).unwrap_or(u32::MAX))
    }
}

impl<'de> Deserialize<'de> for TaxRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(i64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(minor: i64) -> Money {
        Money::new(minor, Currency::USD)
    }

    #[test]
    fn currencies_do_not_mix() {
        let error = usd(1).checked_add(Money::new(1, Currency::EUR)).unwrap_err();
        assert_eq!(error.invalid_field(), Some("currency"));
        assert!(usd(1).checked_sub(Money::new(1, Currency::EUR)).is_err());
    }

    #[test]
    fn overflow_is_an_error() {
        for result in [
            usd(i64::MAX).checked_add(usd(1)),
            usd(i64::MIN).checked_sub(usd(1)),
            usd(i64::MAX).checked_mul(2),
        ] {
            assert_eq!(result.unwrap_err().invalid_field(), Some("amount"));
        }
    }

    #[test]
    fn tax_rounds_halves_to_even() {
        let half = TaxRate::basis_points(5_000).unwrap();
        let taxes: Vec<_> = [1, 3, 5, -1, -3, -5]
            .map(|minor| usd(minor).tax(half).unwrap().minor())
            .into();
        assert_eq!(taxes, [0, 2, 2, 0, -2, -2]);
        let rate = TaxRate::basis_points(1_900).unwrap();
        assert_eq!(usd(1_00).tax(rate).unwrap(), usd(19));
        assert_eq!(usd(-1_03).tax(rate).unwrap(), usd(-20));
        assert_eq!(
            usd(i64::MAX).tax(TaxRate::basis_points(10_000).unwrap()).unwrap(),
            usd(i64::MAX)
        );
    }

    #[test]
    fn display_follows_the_minor_unit() {
        assert_eq!(usd(12_34).to_string(), "12.34 USD");
        assert_eq!(usd(-5).to_string(), "-0.05 USD");
        assert_eq!(usd(i64::MIN).to_string(), "-92233720368547758.08 USD");
        assert_eq!(
            Money::new(12, Currency::parse("JPY").unwrap()).to_string(),
            "12 JPY"
        );
        assert_eq!(
            Money::new(1_234, Currency::parse("KWD").unwrap()).to_string(),
            "1.234 KWD"
        );
    }

    #[test]
    fn unknown_codes_and_units_without_money_are_refused() {
        for bad in ["", "usd", "USX", "XAU", "XXX"] {
            assert_eq!(
                Currency::parse(bad).unwrap_err().invalid_field(),
                Some("currency"),
                "{bad}"
            );
        }
    }

    #[test]
    fn money_survives_json() {
        let json = serde_json::to_string(&usd(-7)).unwrap();
        assert_eq!(json, r#"{"minor":-7,"currency":"USD"}"#);
        assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), usd(-7));
    }

    #[test]
    fn tax_rates_past_the_whole_are_refused() {
        assert_eq!(
            TaxRate::basis_points(10_001).unwrap_err().invalid_field(),
            Some("tax_rate")
        );
        assert!(TaxRate::try_from(-1_i64).is_err());
        assert!(serde_json::from_str::<TaxRate>("-1").is_err());
    }

    #[test]
    fn sums_start_at_zero() {
        assert_eq!(Money::sum(Currency::USD, []).unwrap(), usd(0));
        assert_eq!(Money::sum(Currency::USD, [usd(1), usd(2)]).unwrap(), usd(3));
    }
}
