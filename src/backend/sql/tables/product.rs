//! Products and their variants.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;

use super::Column;
use super::Kind;
use super::Part;
use super::Root;
use super::Verb;
use crate::backend::sql::dialect::Arg;
use crate::backend::sql::dialect::Keyed;
use crate::backend::sql::dialect::Reads;
use crate::backend::sql::dialect::Statement;
use crate::backend::sql::dialect::Text;
use crate::backend::sql::dialect::document;
use crate::backend::sql::dialect::in_order;
use crate::backend::sql::dialect::parts;
use crate::backend::sql::dialect::statement;
use crate::backend::sql::filter;
use crate::backend::sql::filter::Filter;
use crate::backend::sql::rows::RowWriter;
use crate::backend::sql::rows::Rows;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::Cursor;
use crate::model::CursorValue;
use crate::model::Page;
use crate::model::PageRequest;
use crate::model::Product;
use crate::model::ProductId;
use crate::model::ProductStatus;
use crate::model::Record;
use crate::model::Sku;
use crate::model::Slug;
use crate::model::TaxRate;
use crate::model::Variant;
use crate::model::from_micros;
use crate::resilience::Deadline;
use crate::spi::store::ProductOrder;
use crate::spi::store::ProductQuery;
use crate::spi::store::ProductReader;

pub(in crate::backend::sql) static ROOT: Root = Root {
    aggregate: Aggregate::Product,
    table: "products",
    key: &[Column("id", Kind::Id)],
    insert: &COLUMNS,
    update: &COLUMNS,
    delta: &[],
    live: None,
    part: Some(&VARIANTS),
    columns: write_columns,
    parts: write_variants,
};

const COLUMNS: [Column; 10] = [
    Column("slug", Kind::Text),
    Column("title", Kind::Text),
    Column("description", Kind::Text),
    Column("category", Kind::Text),
    Column("attributes", Kind::Text),
    Column("status", Kind::Text),
    Column("from_minor", Kind::Int),
    Column("from_currency", Kind::Text),
    Column("created_at", Kind::Int),
    Column("updated_at", Kind::Int),
];

static VARIANTS: Part = Part {
    table: "variants",
    owner: "product_id",
    columns: &[
        Column("product_id", Kind::Id),
        Column("position", Kind::Int),
        Column("sku", Kind::Text),
        Column("title", Kind::Text),
        Column("options", Kind::Text),
        Column("prices", Kind::Text),
        Column("tax", Kind::Int),
    ],
};

fn write_columns(record: &Record, row: &mut RowWriter<'_>, _: Verb) {
    let Record::Product(product) = record else { return };
    row.text(product.slug.as_str());
    row.text(&product.title);
    row.text(&product.description);
    row.opt_text(product.category.as_ref().map(Slug::as_str));
    row.json(&product.attributes);
    row.text(product.status.as_str());
    let from = product.from_price();
    row.opt_int(from.map(|price| price.minor()));
    row.opt_text(from.map(|price| price.currency().code()));
    row.time(product.created_at);
    row.time(product.updated_at);
}

fn write_variants(record: &Record, rows: &mut Rows) {
    let Record::Product(product) = record else { return };
    for (position, variant) in (0..).zip(&product.variants) {
        let mut row = rows.row();
        row.id(product.id.uuid());
        row.int(position);
        row.text(variant.sku.as_str());
        row.opt_text(variant.title.as_deref());
        row.json(&variant.options);
        row.json(&variant.prices);
        row.int(i64::from(variant.tax.get()));
    }
}

/// The columns of a product and its variants, in the order in which [`read`] takes them.
macro_rules! select {
    ($name:literal: $($rest:tt)*) => {
        statement!($name:
            "SELECT p.id, p.version, p.slug, p.title, p.description, p.category, p.attributes, p.status, p.created_at, \
             p.updated_at, "
            rows "v.sku, v.title, v.options, v.prices, v.tax" by "v.position" from
            "stockroom_variants v WHERE v.product_id = p.id" end
            $($rest)*
        )
    };
}

pub(in crate::backend::sql) const GET: Keyed = Keyed {
    one: select!("product.get": " FROM stockroom_products p WHERE p.id = $1"),
    many: select!("product.get_many": " FROM stockroom_products p WHERE p.id" ids1),
};

pub(in crate::backend::sql) const BY_SLUG: Statement = select!("product.find_by_slug":
    " FROM stockroom_claims c JOIN stockroom_products p ON p.id = c.owner \
      WHERE c.space = 'product.slug' AND c.claim_key = $1");

pub(in crate::backend::sql) const BY_SKUS: Keyed = Keyed {
    one: select!("product.find_by_sku":
        " FROM stockroom_claims c JOIN stockroom_products p ON p.id = c.owner \
          WHERE c.space = 'product.sku' AND c.claim_key = $1"),
    many: select!("product.find_by_skus":
        " FROM stockroom_products p WHERE p.id IN \
          (SELECT c.owner FROM stockroom_claims c WHERE c.space = 'product.sku' AND c.claim_key" texts1 ")"),
};

/// The head of a list; what follows is composed from the constants below.
pub(in crate::backend::sql) const LIST: Statement =
    select!("product.list": " FROM stockroom_products p WHERE true");

#[derive(Deserialize)]
struct VariantRow(String, Option<String>, String, String, u32);

fn read<R: Reads>(row: &R::Row) -> Result<Arc<Product>> {
    let variants: Vec<VariantRow> = parts("variants", R::opt_text(row, 10)?)?;
    let variants = variants
        .into_iter()
        .map(|VariantRow(sku, title, options, prices, tax)| {
            Ok(Variant {
                sku: Sku::new(sku)?,
                title,
                options: document("variant.options", &options)?,
                prices: document("variant.prices", &prices)?,
                tax: TaxRate::basis_points(tax)?,
            })
        });
    Ok(Arc::new(Product {
        id: ProductId::from(R::id(row, 0)?),
        version: super::version(R::int(row, 1)?)?,
        slug: Slug::new(R::text(row, 2)?)?,
        title: R::text(row, 3)?,
        description: R::text(row, 4)?,
        category: R::opt_text(row, 5)?.map(Slug::new).transpose()?,
        attributes: document("product.attributes", &R::text(row, 6)?)?,
        status: ProductStatus::parse(&R::text(row, 7)?)?,
        variants: variants.collect::<Result<_>>()?,
        created_at: from_micros(R::int(row, 8)?)?,
        updated_at: from_micros(R::int(row, 9)?)?,
    }))
}

/// Reads products of either engine.
#[derive(Debug)]
pub(in crate::backend::sql) struct SqlProducts<R>(pub(in crate::backend::sql) Arc<R>);

impl<R: Reads> SqlProducts<R> {
    async fn all(&self, text: Text, args: Vec<Arg>, deadline: Deadline) -> Result<Vec<Arc<Product>>> {
        self.0
            .fetch(text, args, deadline)
            .await?
            .iter()
            .map(read::<R>)
            .collect()
    }
}

#[async_trait]
impl<R: Reads> ProductReader for SqlProducts<R> {
    async fn get_many(&self, ids: &[ProductId], deadline: Deadline) -> Result<Vec<Option<Arc<Product>>>> {
        let (text, arg) = GET.ids(ids.iter().map(|id| id.uuid()));
        let found = self.all(text, vec![arg], deadline).await?;
        Ok(in_order(
            ids.iter().copied(),
            found.into_iter().map(|product| (product.id, product)).collect(),
        ))
    }

    async fn find_by_slug(&self, slug: &Slug, deadline: Deadline) -> Result<Option<Arc<Product>>> {
        let args = vec![Arg::Text(slug.to_string())];
        Ok(self
            .all(Text::Constant(BY_SLUG), args, deadline)
            .await?
            .into_iter()
            .next())
    }

    async fn find_by_skus(&self, skus: &[Sku], deadline: Deadline) -> Result<Vec<Option<Arc<Product>>>> {
        let (text, arg) = BY_SKUS.texts(skus.iter().map(ToString::to_string));
        let found = self.all(text, vec![arg], deadline).await?;
        let by_sku = found
            .iter()
            .flat_map(|product| {
                product
                    .variants
                    .iter()
                    .map(move |variant| (variant.sku.clone(), product.clone()))
            })
            .collect();
        Ok(in_order(skus.iter().cloned(), by_sku))
    }

    async fn list(
        &self,
        query: &ProductQuery,
        page: &PageRequest,
        deadline: Deadline,
    ) -> Result<Page<Arc<Product>>> {
        let (sql, args) = compose::<R>(query, page, self.0.shift())?;
        let items = self.all(Text::Composed(sql), args, deadline).await?;
        Ok(Page::cut(items, page, |last| after(query, last)))
    }
}

fn after(query: &ProductQuery, last: &Product) -> Cursor {
    let mut position = vec![CursorValue::Text(last.id.to_string())];
    if query.order != ProductOrder::Newest {
        position.insert(
            0,
            CursorValue::Int(last.from_price().map_or(0, |price| price.minor())),
        );
    }
    Cursor::encode(query.digest(), &position)
}

/// Units free on any level of the product, expired holds left out.
const IN_STOCK: &str = "EXISTS (SELECT 1 FROM stockroom_variants s JOIN stockroom_levels l ON l.sku = s.sku \
     WHERE s.product_id = p.id AND l.on_hand - l.allocated - l.held + l.backorder_limit \
     + (SELECT coalesce(sum(h.quantity), 0) FROM stockroom_holds h \
     WHERE h.sku = l.sku AND h.location = l.location AND h.expires_at <= {now}) > 0)";

fn compose<R: Reads>(query: &ProductQuery, page: &PageRequest, shift: i64) -> Result<(String, Vec<Arg>)> {
    let mut filter = Filter::new(R::spell(&LIST));
    if let Some(category) = &query.category {
        filter.and("p.category = ?", [Arg::Text(category.to_string())]);
    }
    if let Some(status) = query.status {
        filter.and("p.status = ?", [Arg::Text(status.as_str().to_owned())]);
    }
    if let Some(currency) = query.currency {
        filter.and("p.from_currency = ?", [Arg::Text(currency.code().to_owned())]);
    }
    if let Some(least) = query.price_min {
        filter.and("p.from_minor >= ?", [Arg::Int(least)]);
    }
    if let Some(most) = query.price_max {
        filter.and("p.from_minor <= ?", [Arg::Int(most)]);
    }
    if query.in_stock {
        filter.and_at(IN_STOCK, R::now, shift);
    }
    let by_price = query.order != ProductOrder::Newest;
    if by_price {
        filter.and("p.from_minor IS NOT NULL", []);
    }
    let (place, order) = match query.order {
        ProductOrder::Newest => ("p.id < ?", "p.id DESC"),
        ProductOrder::PriceAscending => ("(p.from_minor, p.id) > (?, ?)", "p.from_minor, p.id"),
        ProductOrder::PriceDescending => ("(p.from_minor, p.id) < (?, ?)", "p.from_minor DESC, p.id DESC"),
    };
    match page.position(query.digest())?.as_deref() {
        None => {}
        Some([CursorValue::Text(id)]) if !by_price => {
            filter.and(place, [Arg::Id(filter::id(id)?)]);
        }
        Some([CursorValue::Int(minor), CursorValue::Text(id)]) if by_price => {
            filter.and(place, [Arg::Int(*minor), Arg::Id(filter::id(id)?)]);
        }
        _ => return Err(filter::bad_cursor()),
    }
    Ok(filter.page(order, page))
}
