//! What large orders are made of.

use stockroom::CartId;
use stockroom::Level;
use stockroom::Money;
use stockroom::NewProduct;
use stockroom::Sku;

use crate::support::Shop;
use crate::support::berlin;
use crate::support::sku;
use crate::support::units;
use crate::support::usd;

/// Lines of an order in three parts.
pub(super) const LINES: usize = 50;

pub(super) fn name(number: usize) -> String {
    format!("SCREW-{number:03}")
}

fn price() -> Money {
    usd(10)
}

/// So many SKUs, of each so many units.
pub(super) async fn stock(shop: &Shop, skus: usize, each: i64) {
    let names: Vec<String> = (0..skus).map(name).collect();
    for some in names.chunks(40) {
        let screws = some.iter().fold(NewProduct::new("Screw"), |screws, name| {
            screws.variant(name.as_str(), price())
        });
        shop.products().create(screws).await.unwrap();
        let lines: Vec<_> = some.iter().map(|name| (sku(name), units(each))).collect();
        shop.inventory().receive_many(&berlin(), &lines).await.unwrap();
    }
}

/// A cart with `quantity` of each of these SKUs.
pub(super) async fn cart(shop: &Shop, skus: impl Iterator<Item = usize>, quantity: i64) -> CartId {
    let names: Vec<String> = skus.map(name).collect();
    let lines: Vec<_> = names.iter().map(|name| (name.as_str(), quantity)).collect();
    shop.cart(&lines).await
}

pub(super) async fn levels(shop: &Shop, skus: usize) -> Vec<Level> {
    let skus: Vec<Sku> = (0..skus).map(|number| sku(&name(number))).collect();
    shop.inventory().levels_many(&skus).await.unwrap()
}

/// Demands that every level has so many allocated and held.
pub(super) async fn assert_levels(shop: &Shop, skus: usize, allocated: i64, held: i64) {
    for level in levels(shop, skus).await {
        let found = (level.allocated, level.held);
        assert_eq!(found, (allocated, held), "{}", level.sku);
    }
}
