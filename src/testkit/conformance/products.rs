//! Products by slug and SKU.

use super::CaseResult;
use super::Harness;
use super::case::cases;
use super::check::absent;
use super::check::present;
use super::check::same;
use super::harness::delete;
use super::harness::set;
use crate::model::Product;
use crate::model::Slug;
use crate::spi::store::Put;
use crate::testkit::fixtures;

cases! {
    "product.find_by_slug": find_by_slug, [Product];
    "product.find_by_skus": find_by_skus, [Product];
}

async fn find_by_slug(h: &Harness) -> CaseResult {
    let (first, second) = (fixtures::product(1)?, fixtures::product(2)?);
    h.create(first.clone()).await?;
    h.create(second.clone()).await?;
    let reader = h.store().readers().product()?;
    for product in [&first, &second] {
        let found = present(
            reader.find_by_slug(&product.slug, h.deadline()).await?,
            "the product",
        )?;
        same!(found.as_ref(), product, "the product of the slug");
    }
    absent(
        &reader.find_by_slug(&Slug::new("unknown")?, h.deadline()).await?,
        "a product of an unknown slug",
    )?;
    let moved = Product {
        slug: Slug::new("moved")?,
        ..first.clone()
    };
    h.put(Put::update(&first, moved.clone())).await?;
    absent(
        &reader.find_by_slug(&first.slug, h.deadline()).await?,
        "a product of the old slug",
    )?;
    let found = present(
        reader.find_by_slug(&moved.slug, h.deadline()).await?,
        "the product",
    )?;
    same!(
        (found.id, found.version.get()),
        (first.id, 2),
        "the product of the new slug"
    );
    Ok(())
}

async fn find_by_skus(h: &Harness) -> CaseResult {
    let (first, second) = (fixtures::product(1)?, fixtures::product(2)?);
    h.create(first.clone()).await?;
    h.create(second.clone()).await?;
    let ([a, b], [c, _], [unknown, _]) = (fixtures::skus(1)?, fixtures::skus(2)?, fixtures::skus(3)?);
    let reader = h.store().readers().product()?;
    let asked = [c.clone(), unknown, b.clone(), a, c.clone()];
    let found = reader.find_by_skus(&asked, h.deadline()).await?;
    let ids: Vec<_> = found
        .iter()
        .map(|product| product.as_ref().map(|product| product.id))
        .collect();
    let (one, two) = (Some(first.id), Some(second.id));
    same!(
        ids,
        vec![two, None, one, one, two],
        "the products in the order asked"
    );
    let whole = present(found.into_iter().flatten().next(), "the product")?;
    same!(*whole, second, "the product of a SKU");
    let mut gone = set();
    gone.delete(delete(&second.into(), 1));
    h.commit(gone).await?;
    let found = reader.find_by_skus(&[c, b], h.deadline()).await?;
    same!(
        found.iter().map(Option::is_some).collect::<Vec<_>>(),
        vec![false, true],
        "what is left"
    );
    same!(
        reader.find_by_skus(&[], h.deadline()).await?.len(),
        0,
        "the answer to no SKU"
    );
    Ok(())
}
