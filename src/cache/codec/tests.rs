//! What is written comes back; what was not written by this version is a miss, whatever it is.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::Attributes;
use crate::model::Cart;
use crate::model::CartId;
use crate::model::CartLine;
use crate::model::Currency;
use crate::model::Expiry;
use crate::model::Money;
use crate::model::NewProduct;
use crate::model::Options;
use crate::model::Owner;
use crate::model::Price;
use crate::model::Product;
use crate::model::ProductId;
use crate::model::Quantity;
use crate::model::Sku;
use crate::model::UserId;
use crate::model::Variant;
use crate::model::from_micros;

fn product(description: &str) -> Product {
    let price = Price::new(Money::new(9_00, Currency::EUR))
        .at_least(5)
        .starting(from_micros(1).unwrap())
        .ending(from_micros(2_000_000).unwrap());
    let options = Options::new()
        .with("colour", "blue")
        .unwrap()
        .with("size", "")
        .unwrap();
    let variant = Variant::new(Sku::new("MUG-1").unwrap(), Money::new(10_00, Currency::EUR))
        .title("Mug, blue")
        .options(options)
        .price(price);
    let new = NewProduct::new("Mug").slug("mug").variant_with(variant);
    let mut product = new
        .build(
            ProductId::from(uuid::Uuid::from_u128(7)),
            from_micros(1_700_000_000_000_000).unwrap(),
        )
        .unwrap();
    product.description = description.to_owned();
    product.attributes = Attributes::from_json(json!({ "a": [1, null, { "b": 1.5 }], "c": "ü" })).unwrap();
    product
}

fn cart() -> Cart {
    let now = from_micros(1_700_000_000_000_000).unwrap();
    let owner = Owner::User(UserId::from(uuid::Uuid::from_u128(8)));
    let id = CartId::from(uuid::Uuid::from_u128(9));
    let mut cart = Cart::open(id, owner, Currency::USD, Duration::from_secs(60), now);
    let options = Options::new().with("engraving", "Ada").unwrap();
    cart.lines
        .push(CartLine::new(Sku::new("MUG").unwrap(), options, Quantity::ONE, now).unwrap());
    cart.expires_at = Expiry::At(now + Duration::from_secs(60));
    cart
}

fn survives<T: Cacheable>(value: &T) {
    let cost = Duration::from_micros(1_234);
    let decoded = decode::<T>(&encode(Some(value), cost).unwrap()).unwrap();
    assert_eq!(decoded.value.as_ref(), Some(value));
    assert_eq!(decoded.cost, cost);
}

#[test]
fn values_survive() {
    survives(&product(""));
    survives(&product(&"long ".repeat(2_000)));
    survives(&cart());
    let absent = decode::<Product>(&encode::<Product>(None, Duration::ZERO).unwrap()).unwrap();
    assert_eq!(absent.value, None);
}

#[test]
fn only_what_is_long_is_compressed() {
    let long = encode(Some(&product(&"long ".repeat(2_000))), Duration::ZERO).unwrap();
    assert_eq!(long[1], COMPRESSED);
    assert!(long.len() < 1_000, "{}", long.len());
    assert_eq!(encode(Some(&product("")), Duration::ZERO).unwrap()[1], 0);
}

#[test]
fn another_kind_is_a_miss() {
    assert_eq!(
        decode::<Cart>(&encode(Some(&product("")), Duration::ZERO).unwrap()),
        None
    );
    assert_eq!(
        decode::<Product>(&encode(Some(&cart()), Duration::ZERO).unwrap()),
        None
    );
}

/// When one of these fails the shape has changed: name it anew in `SHAPE`, then put the new digest here. Otherwise an old
/// version of a shop would read what a new one wrote.
#[test]
fn the_shapes_are_what_they_are_named() {
    let digest =
        |bytes: &[u8]| fingerprint(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let product = encode(Some(&product("x")), Duration::ZERO).unwrap();
    let cart = encode(Some(&cart()), Duration::ZERO).unwrap();
    assert_eq!((digest(&product), digest(&cart)), (PRODUCT_BYTES, CART_BYTES));
}

const PRODUCT_BYTES: u32 = 3_654_977_508;
const CART_BYTES: u32 = 393_513_589;

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode::<Product>(&bytes);
        let _ = decode::<Cart>(&bytes);
    }

    #[test]
    fn damaged_values_never_panic(at in 0_usize..4_000, byte in any::<u8>(), cut in 0_usize..4_000) {
        for description in ["", &"long ".repeat(500)] {
            let mut bytes = encode(Some(&product(description)), Duration::ZERO).unwrap().to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = decode::<Product>(&bytes);
            bytes.truncate(cut % (bytes.len() + 1));
            let _ = decode::<Product>(&bytes);
        }
    }

    #[test]
    fn a_cut_value_is_a_miss(cut in 0_usize..1_000) {
        let bytes = encode(Some(&product("")), Duration::ZERO).unwrap();
        let cut = cut % bytes.len();
        prop_assert_eq!(decode::<Product>(&bytes[..cut]), None);
    }
}
