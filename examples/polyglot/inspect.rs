//! Asks every store what lies there, past the shop's own routes.

use std::sync::Arc;
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use stockroom::Aggregate;
use stockroom::Order;
use stockroom::Stockroom;
use stockroom::resilience::Deadline;
use stockroom::spi::store::Store;

use crate::Outcome;
use crate::checks::Checks;
use crate::goods::Shelf;

/// Which engine was given which aggregate.
pub(crate) fn placement(shop: &Stockroom) -> Table {
    let mut table = table(&["aggregate", "engine"]);
    for kind in Aggregate::ALL {
        table.add_row([kind.as_str(), shop.store_of(*kind).capability().engine]);
    }
    table
}

/// Counts what was sold here in each store, and compares the books with it.
pub(crate) async fn everything(
    shop: &Stockroom,
    shelf: &Shelf,
    sold: &[Arc<Order>],
    checks: &mut Checks,
) -> Outcome {
    let placed = [Aggregate::Product, Aggregate::Cart, Aggregate::Order];
    let stores = placed.map(|kind| Arc::clone(shop.store_of(kind)));
    let engines = stores.iter().map(|store| store.capability().engine);
    let header: Vec<_> = std::iter::once("found in").chain(engines).collect();
    let mut found = table(&header);
    let mut apart = true;
    for kind in Aggregate::ALL {
        let mut row = vec![format!("{kind}s")];
        for store in &stores {
            let count = count(&**store, *kind, (shelf, sold)).await?;
            let is_home = Arc::ptr_eq(store, shop.store_of(*kind));
            apart &= is_home == count.is_some_and(|count| count > 0);
            row.push(match count {
                Some(count) => count.to_string(),
                None => "holds none".to_owned(),
            });
        }
        found.add_row(row);
    }
    println!("{found}");
    checks.that("each aggregate lies on its own engine, and on no other", apart);

    let levels = shop.inventory().levels_many(&shelf.skus).await?;
    let taken = |level: &stockroom::Level| shelf.received(&level.sku) - level.available();
    let taken: i64 = levels.iter().map(taken).sum();
    let lines = sold.iter().flat_map(|order| &order.lines);
    let ordered: i64 = lines.map(|line| line.quantity.get()).sum();
    checks.that(
        "the units that are missing from the stock are the units that were ordered",
        taken == ordered,
    );
    let ledger = shop.inventory().verify_ledger().await?;
    checks.that("the ledger adds up", ledger.is_consistent());
    Ok(())
}

/// How many there are in a store of what was sold here; `None` where it holds none of the kind.
async fn count(
    store: &dyn Store,
    kind: Aggregate,
    (shelf, sold): (&Shelf, &[Arc<Order>]),
) -> Outcome<Option<usize>> {
    if !store.capability().holds(kind) {
        return Ok(None);
    }
    let (readers, deadline) = (store.readers(), Deadline::within(Duration::from_secs(30)));
    let orders: Vec<_> = sold.iter().map(|order| order.id).collect();
    Ok(Some(match kind {
        Aggregate::Product => {
            let found = readers.product()?.find_by_skus(&shelf.skus, deadline).await?;
            found.iter().flatten().count()
        }
        Aggregate::Cart => {
            let carts: Vec<_> = sold.iter().filter_map(|order| order.cart).collect();
            let found = readers.cart()?.get_many(&carts, deadline).await?;
            found.iter().flatten().count()
        }
        Aggregate::Order => {
            let found = readers.order()?.get_many(&orders, deadline).await?;
            found.iter().flatten().count()
        }
        Aggregate::Payment => {
            let mut payments = 0;
            for order in orders {
                payments += readers.payment()?.for_order(order, deadline).await?.len();
            }
            payments
        }
        Aggregate::Level => readers.inventory()?.levels(&shelf.skus, deadline).await?.len(),
        _ => return Ok(None),
    }))
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header);
    table
}
