//! Lists of products: filters that combine, orders with ties, pages that hold under writes.

use std::sync::Arc;

use super::CaseResult;
use super::Harness;
use super::case::cases;
use super::check::ensure;
use super::check::refused;
use super::check::same;
use crate::error::ErrorKind;
use crate::model::Currency;
use crate::model::Cursor;
use crate::model::Page;
use crate::model::PageRequest;
use crate::model::Product;
use crate::model::ProductStatus;
use crate::model::Slug;
use crate::spi::store::ProductOrder;
use crate::spi::store::ProductQuery;
use crate::spi::store::StockStep;
use crate::testkit::fixtures;
use crate::testkit::fixtures::priced_product;

cases! {
    "product.list_filters": filters, [Product] + ProductLists;
    "product.list_filters" / "in_stock": in_stock, [Product, Level] + ProductLists;
    "product.list_filters" / "combined": combined, [Product, Level] + ProductLists;
    "product.list_order": newest, [Product] + ProductLists;
    "product.list_order" / "price": by_price, [Product] + ProductLists;
    "product.list_pages": pages, [Product] + ProductLists;
    "product.list_pages" / "price": pages_by_price, [Product] + ProductLists;
    "product.list_cursor": cursor, [Product] + ProductLists;
}

async fn page(h: &Harness, query: &ProductQuery, page: &PageRequest) -> CaseResult<Page<Arc<Product>>> {
    Ok(h.store()
        .readers()
        .product()?
        .list(query, page, h.deadline())
        .await?)
}

/// The seeds of what a query lists, in its order.
async fn seeds(h: &Harness, query: &ProductQuery) -> CaseResult<Vec<u64>> {
    let found = page(h, query, &PageRequest::new(200)?).await?;
    ensure!(
        found.next.is_none(),
        "a page of 200 is not the last of {} products",
        found.items.len()
    );
    Ok(seeds_of(&found.items))
}

fn seeds_of(items: &[Arc<Product>]) -> Vec<u64> {
    let seed = |product: &Arc<Product>| (0..1_000).find(|seed| fixtures::product_id(*seed) == product.id);
    items
        .iter()
        .map(|product| seed(product).unwrap_or(u64::MAX))
        .collect()
}

/// As [`seeds`], sorted, for checks that leave the order open.
async fn seeds_found(h: &Harness, query: &ProductQuery) -> CaseResult<Vec<u64>> {
    let mut found = seeds(h, query).await?;
    found.sort_unstable();
    Ok(found)
}

async fn create(
    h: &Harness,
    seed: u64,
    cents: i64,
    change: impl FnOnce(&mut Product),
) -> CaseResult<Product> {
    let mut product = priced_product(seed, cents)?;
    change(&mut product);
    h.create(product.clone()).await?;
    Ok(product)
}

/// Four products: a mug of 5 and one of 10 dollars, a cup of 10 dollars, and a draft of a mug.
async fn four(h: &Harness) -> CaseResult {
    let cups = Slug::new("cups")?;
    create(h, 1, 500, |_| ()).await?;
    create(h, 2, 1_000, |_| ()).await?;
    create(h, 3, 1_000, |product| product.category = Some(cups)).await?;
    create(h, 4, 700, |product| product.status = ProductStatus::Draft).await?;
    Ok(())
}

async fn filters(h: &Harness) -> CaseResult {
    four(h).await?;
    h.create(fixtures::bare_product(5)?).await?;
    let query = ProductQuery::new;
    let (mugs, usd) = (Slug::new("mugs")?, Currency::USD);
    for (what, query, expected) in [
        ("active", query(), vec![1, 2, 3]),
        ("of the category", query().category(mugs.clone()), vec![1, 2]),
        (
            "of an empty category",
            query().category(Slug::new("none")?),
            vec![],
        ),
        ("drafts", query().status(Some(ProductStatus::Draft)), vec![4, 5]),
        ("archived", query().status(Some(ProductStatus::Archived)), vec![]),
        ("of any status", query().status(None), vec![1, 2, 3, 4, 5]),
        ("from 5.01", query().price(usd, Some(501), None), vec![2, 3]),
        ("up to 5.00", query().price(usd, None, Some(500)), vec![1]),
        (
            "from 5.00 to 10.00",
            query().price(usd, Some(500), Some(1_000)),
            vec![1, 2, 3],
        ),
        (
            "from 5.01 to 9.99",
            query().price(usd, Some(501), Some(999)),
            vec![],
        ),
        (
            "priced in euros",
            query().price(Currency::EUR, None, None),
            vec![],
        ),
        (
            "mugs from 5.01",
            query().category(mugs).price(usd, Some(501), None),
            vec![2],
        ),
    ] {
        same!(
            seeds_found(h, &query).await?,
            expected,
            format!("the products {what}")
        );
    }
    Ok(())
}

/// Receives `units` of the first SKU of a seed, and promises `taken` of them.
async fn stock(h: &Harness, seed: u64, units: i64, taken: i64) -> CaseResult {
    let [sku, _] = fixtures::skus(seed)?;
    let main = h.receive(&sku, units).await?;
    if taken > 0 {
        let step = StockStep::allocate(&sku, &main, fixtures::quantity(taken)?, fixtures::order_id(seed));
        h.step(step).await?;
    }
    Ok(())
}

async fn in_stock(h: &Harness) -> CaseResult {
    let query = ProductQuery::new().in_stock();
    four(h).await?;
    same!(
        seeds_found(h, &query).await?,
        Vec::<u64>::new(),
        "what is in stock before any receipt"
    );
    stock(h, 1, 2, 2).await?;
    stock(h, 2, 2, 1).await?;
    let [sku, _] = fixtures::skus(3)?;
    let main = h.receive(&sku, 2).await?;
    let ttl = std::time::Duration::from_secs(600);
    h.step(StockStep::hold(
        &sku,
        &main,
        fixtures::quantity(2)?,
        fixtures::hold_id(1),
        ttl,
    ))
    .await?;
    same!(
        seeds_found(h, &query).await?,
        vec![2],
        "what is in stock beside what is sold out and what is held"
    );
    h.shift(ttl * 2);
    same!(
        seeds_found(h, &query).await?,
        vec![2, 3],
        "what is in stock once the hold is over"
    );
    let outlet = fixtures::location("outlet")?;
    let [sku, _] = fixtures::skus(1)?;
    h.step(StockStep::receive(&sku, &outlet, fixtures::quantity(1)?))
        .await?;
    same!(
        seeds_found(h, &query).await?,
        vec![1, 2, 3],
        "what is in stock with another location"
    );
    Ok(())
}

async fn combined(h: &Harness) -> CaseResult {
    four(h).await?;
    for (seed, taken) in [(1, 0), (2, 0), (3, 0), (4, 0)] {
        stock(h, seed, 3, taken).await?;
    }
    create(h, 6, 1_000, |_| ()).await?;
    let query = ProductQuery::new()
        .category(Slug::new("mugs")?)
        .price(Currency::USD, Some(600), None)
        .in_stock();
    same!(
        seeds_found(h, &query).await?,
        vec![2],
        "active mugs from 6 dollars in stock"
    );
    let drafts = query.status(Some(ProductStatus::Draft));
    same!(
        seeds_found(h, &drafts).await?,
        vec![4],
        "drafts of mugs from 6 dollars in stock"
    );
    Ok(())
}

/// Ties lie beside each other, sorted by id in one direction; `expected` has the groups, each sorted upwards.
fn ensure_groups(found: &[u64], expected: &[&[u64]]) -> CaseResult {
    let upwards: Vec<u64> = expected.concat();
    let downwards: Vec<u64> = expected
        .iter()
        .flat_map(|group| group.iter().rev().copied())
        .collect();
    ensure!(
        found == upwards || found == downwards,
        "expected {upwards:?} or {downwards:?}, got {found:?}"
    );
    Ok(())
}

async fn newest(h: &Harness) -> CaseResult {
    let tied = fixtures::stamp(500)?;
    for seed in [3, 1, 4, 2, 7, 5, 6] {
        create(h, seed, 1_000, |product| {
            if seed >= 5 {
                product.created_at = tied;
            }
        })
        .await?;
    }
    ensure_groups(
        &seeds(h, &ProductQuery::new()).await?,
        &[&[5, 6, 7], &[4], &[3], &[2], &[1]],
    )
}

async fn by_price(h: &Harness) -> CaseResult {
    for (seed, cents) in [(4, 500), (1, 1_000), (6, 900), (2, 1_000), (5, 500), (3, 1_000)] {
        create(h, seed, cents, |_| ()).await?;
    }
    create(h, 7, 1, |product| {
        product
            .variants
            .iter_mut()
            .for_each(|variant| variant.prices.clear())
    })
    .await?;
    let upwards = seeds(h, &ProductQuery::new().order(ProductOrder::PriceAscending)).await?;
    ensure_groups(&upwards, &[&[4, 5], &[6], &[1, 2, 3]])?;
    let downwards = seeds(h, &ProductQuery::new().order(ProductOrder::PriceDescending)).await?;
    ensure_groups(&downwards, &[&[1, 2, 3], &[6], &[4, 5]])
}

/// Reads page after page of 7 while products are added; each of the first 25 comes exactly once.
async fn walk(h: &Harness, query: &ProductQuery) -> CaseResult {
    for seed in 1..=25 {
        create(h, seed, 500 + i64::try_from(seed % 4).unwrap_or_default(), |_| ()).await?;
    }
    let mut request = PageRequest::new(7)?;
    let mut found = Vec::new();
    for added in 0..20_u64 {
        let next = page(h, query, &request).await?;
        ensure!(
            next.items.len() <= 7,
            "a page of 7 has {} products",
            next.items.len()
        );
        found.extend(seeds_of(&next.items));
        create(h, 100 + added, 501, |_| ()).await?;
        request.after = next.next;
        if request.after.is_none() {
            break;
        }
    }
    let mut once: Vec<_> = found.iter().copied().filter(|seed| *seed < 100).collect();
    once.sort_unstable();
    same!(
        once,
        (1..=25).collect::<Vec<u64>>(),
        "the products over all pages"
    );
    let mut distinct = found.clone();
    distinct.sort_unstable();
    distinct.dedup();
    same!(
        distinct.len(),
        found.len(),
        "the distinct products over all pages"
    );
    Ok(())
}

async fn pages(h: &Harness) -> CaseResult {
    walk(h, &ProductQuery::new()).await
}

async fn pages_by_price(h: &Harness) -> CaseResult {
    walk(h, &ProductQuery::new().order(ProductOrder::PriceAscending)).await
}

/// The same cursor with one character changed.
pub(super) fn damaged(cursor: &Cursor) -> Vec<Cursor> {
    let text = cursor.to_string();
    let flip = |index: usize| {
        let other = |at: usize, c: char| {
            if at == index {
                if c == '0' { '1' } else { '0' }
            } else {
                c
            }
        };
        text.chars()
            .enumerate()
            .map(|(at, c)| other(at, c))
            .collect::<String>()
    };
    let shorter: String = text.chars().skip(1).collect();
    [
        flip(0),
        flip(text.len() / 2),
        flip(text.len().saturating_sub(1)),
        shorter,
    ]
    .iter()
    .filter_map(|text| text.parse().ok())
    .collect()
}

async fn cursor(h: &Harness) -> CaseResult {
    for seed in 1..=4 {
        create(h, seed, 500, |_| ()).await?;
    }
    let query = ProductQuery::new();
    let first = page(h, &query, &PageRequest::new(2)?).await?;
    let Some(cursor) = first.next else {
        return Err(super::Failure::new("a page of 2 of 4 products has no next"));
    };
    let list = async |query: &ProductQuery, cursor: &Cursor| -> CaseResult<_> {
        let request = PageRequest::new(2)?.after(cursor.clone());
        Ok(h.store()
            .readers()
            .product()?
            .list(query, &request, h.deadline())
            .await)
    };
    list(&query, &cursor).await??;
    for other in [
        query.clone().order(ProductOrder::PriceAscending),
        query.clone().category(Slug::new("mugs")?),
    ] {
        let error = refused(list(&other, &cursor).await?, ErrorKind::InvalidInput)?;
        same!(error.invalid_field(), Some("after"), "the field refused");
    }
    for cursor in damaged(&cursor) {
        let error = refused(list(&query, &cursor).await?, ErrorKind::InvalidInput)?;
        same!(error.invalid_field(), Some("after"), "the field refused");
    }
    Ok(())
}
