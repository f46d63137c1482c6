//! A cart as the fields of a hash: its root in fields of one letter, each line in a field of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::backend::redis::client::Reply;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Cart;
use crate::model::CartId;
use crate::model::CartLine;
use crate::model::CartStatus;
use crate::model::Currency;
use crate::model::Expiry;
use crate::model::LineKey;
use crate::model::Options;
use crate::model::Owner;
use crate::model::Quantity;
use crate::model::Sku;
use crate::model::Timestamp;
use crate::model::UserId;
use crate::model::Version;
use crate::model::from_micros;
use crate::model::micros;
use crate::spi::store::Parts;

/// What the field of a line begins with; no field of the root does.
const LINE: char = '+';

/// The longest life, of 150 years: the scripts' numbers hold the time at its end exactly.
const LONGEST: Duration = Duration::from_secs(150 * 365 * 86_400);

/// A life in microseconds.
pub(super) fn life(life: Duration) -> String {
    life.clamp(Duration::from_micros(1), LONGEST)
        .as_micros()
        .to_string()
}

/// An end as the commit script takes it: a time, or a life from its own time on.
pub(super) fn ends(expiry: Expiry) -> String {
    match expiry {
        Expiry::At(at) => micros(at).to_string(),
        Expiry::In(length) => format!("+{}", life(length)),
    }
}

/// Fields and values in turns, but for version and end, which the script writes.
pub(super) fn fields(cart: &Cart, parts: Parts) -> Result<Vec<String>> {
    let user = cart.owner.user().map(|user| user.to_string());
    let mut fields: Vec<String> = [
        ("u", user.unwrap_or_default()),
        ("s", cart.status.as_str().to_owned()),
        ("c", cart.currency.code().to_owned()),
        ("t", micros(cart.created_at).to_string()),
        ("m", micros(cart.updated_at).to_string()),
    ]
    .into_iter()
    .flat_map(|(field, value)| [field.to_owned(), value])
    .collect();
    if parts == Parts::Whole {
        for line in &cart.lines {
            fields.push(line_field(line));
            fields.push(format!("{} {}", line.quantity, line_rest(line)?));
        }
    }
    Ok(fields)
}

pub(super) fn line_field(line: &CartLine) -> String {
    format!("{LINE}{}", line.key)
}

/// What stands behind the units of a line. The SKU is in its key.
pub(super) fn line_rest(line: &CartLine) -> Result<String> {
    let added = micros(line.added_at);
    if line.options.is_empty() {
        return Ok(format!("{added} "));
    }
    let options = serde_json::to_string(&line.options)
        .map_err(|error| Error::new(ErrorKind::Internal, "options cannot be written").caused_by(error))?;
    Ok(format!("{added} {options}"))
}

/// Reads the fields and values of a cart.
///
/// # Errors
/// `Corrupt` for what this crate did not write.
pub(super) fn read(id: CartId, reply: &Reply) -> Result<Arc<Cart>> {
    let mut root = Root::default();
    let mut lines = Vec::new();
    for pair in reply.list()?.chunks(2) {
        let [field, value] = pair else {
            return Err(corrupt("fields"));
        };
        let (field, value) = (text(field)?, text(value)?);
        match field.strip_prefix(LINE) {
            Some(key) => lines.push(read_line(key, value)?),
            None => root.take(field, value)?,
        }
    }
    lines.sort_by(|one, other| (one.added_at, &one.key).cmp(&(other.added_at, &other.key)));
    let missing = || corrupt("root");
    Ok(Arc::new(Cart {
        id,
        version: root.version.ok_or_else(missing)?,
        owner: root.owner.ok_or_else(missing)?,
        currency: root.currency.ok_or_else(missing)?,
        status: root.status.ok_or_else(missing)?,
        lines,
        expires_at: Expiry::At(root.ends.ok_or_else(missing)?),
        created_at: root.created.ok_or_else(missing)?,
        updated_at: root.updated.ok_or_else(missing)?,
    }))
}

/// What was found of a root so far.
#[derive(Default)]
struct Root {
    version: Option<Version>,
    owner: Option<Owner>,
    currency: Option<Currency>,
    status: Option<CartStatus>,
    ends: Option<Timestamp>,
    created: Option<Timestamp>,
    updated: Option<Timestamp>,
}

impl Root {
    fn take(&mut self, field: &str, value: &str) -> Result<()> {
        match field {
            "v" => self.version = Some(Version::from(number::<u64>(value)?)),
            "u" => self.owner = Some(owner(value)?),
            "c" => self.currency = Some(Currency::parse(value).map_err(Error::corrupted)?),
            "s" => self.status = Some(CartStatus::parse(value)?),
            "e" => self.ends = Some(time(value)?),
            "t" => self.created = Some(time(value)?),
            "m" => self.updated = Some(time(value)?),
            _ => return Err(corrupt("field")),
        }
        Ok(())
    }
}

fn owner(value: &str) -> Result<Owner> {
    if value.is_empty() {
        return Ok(Owner::Guest);
    }
    Ok(Owner::User(UserId::from(uuid(value)?)))
}

fn read_line(key: &str, value: &str) -> Result<CartLine> {
    let mut words = value.splitn(3, ' ');
    let mut word = || words.next().ok_or_else(|| corrupt("line"));
    let (units, added, options) = (word()?, word()?, word()?);
    let sku = key.split(':').next().unwrap_or_default();
    let options = match options {
        "" => Options::new(),
        json => serde_json::from_str(json).map_err(|error| corrupt("options").caused_by(error))?,
    };
    Ok(CartLine {
        key: LineKey::new(key).map_err(Error::corrupted)?,
        sku: Sku::new(sku).map_err(Error::corrupted)?,
        options,
        quantity: Quantity::new(number(units)?).map_err(Error::corrupted)?,
        added_at: time(added)?,
    })
}

/// The text of a part of an answer.
pub(super) fn text(reply: &Reply) -> Result<&str> {
    std::str::from_utf8(reply.bytes()?).map_err(|error| corrupt("text").caused_by(error))
}

/// The bytes of a text, as a call has them.
pub(super) fn bytes(text: impl Into<String>) -> Bytes {
    Bytes::from(text.into())
}

pub(super) fn number<T: std::str::FromStr>(value: &str) -> Result<T> {
    value.parse().map_err(|_| corrupt("number"))
}

pub(super) fn time(value: &str) -> Result<Timestamp> {
    from_micros(number(value)?)
}

pub(super) fn uuid(value: &str) -> Result<Uuid> {
    Uuid::parse_str(value).map_err(|error| corrupt("id").caused_by(error))
}

pub(super) fn corrupt(field: &'static str) -> Error {
    Error::new(ErrorKind::Corrupt, "what the Redis server holds cannot be read").field(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(cart: &Cart) -> Reply {
        let mut fields = fields(cart, Parts::Whole).unwrap();
        let end = cart.expires_at.at().unwrap();
        fields.extend([
            "v".to_owned(),
            "7".to_owned(),
            "e".to_owned(),
            micros(end).to_string(),
        ]);
        Reply::List(
            fields
                .into_iter()
                .map(|field| Reply::Bytes(bytes(field)))
                .collect(),
        )
    }

    fn cart(owner: Owner, options: Options) -> Cart {
        let at = |micros| from_micros(micros).unwrap();
        let mut cart = Cart::open(CartId::new(), owner, Currency::EUR, Duration::from_secs(1), at(5));
        let (sku, units) = (Sku::new("v").unwrap(), Quantity::new(3).unwrap());
        cart.lines = vec![CartLine::new(sku, options, units, at(-7)).unwrap()];
        cart.expires_at = Expiry::At(at(253_402_300_799_999_999));
        cart.version = Version::from(7);
        cart
    }

    #[test]
    fn a_cart_comes_back_as_it_was() {
        let chosen = Options::new().with("text", "a b  c \"größe\"").unwrap();
        for (owner, options) in [
            (Owner::Guest, Options::new()),
            (Owner::User(UserId::new()), chosen),
        ] {
            // Its SKU is the name of a field of the root, and is not taken for it.
            let cart = cart(owner, options);
            assert_eq!(*read(cart.id, &stored(&cart)).unwrap(), cart);
        }
    }

    #[test]
    fn what_is_not_a_cart_is_corrupt() {
        let pair = |field: &str, value: &str| [field, value].map(|part| Reply::Bytes(bytes(part)));
        for wrong in [
            pair("v", "7"),
            pair("+MUG", "3"),
            pair("+MUG", "x 1 "),
            pair("e", "soon"),
            pair("x", "1"),
        ] {
            let error = read(CartId::new(), &Reply::List(wrong.to_vec())).unwrap_err();
            assert!(error.is(ErrorKind::Corrupt), "{error}");
        }
    }

    #[test]
    fn a_life_is_never_nothing_and_never_past_what_the_scripts_hold() {
        assert_eq!(ends(Expiry::In(Duration::ZERO)), "+1");
        let longest: f64 = life(Duration::MAX).parse().unwrap();
        assert!(longest + 2e15 < 9_007_199_254_740_992.0);
    }
}
