//! Products: what the shop offers.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::parsed;
use super::single;
use super::written;
use crate::cache::ProductCache;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::model::Aggregate;
use crate::model::AggregateRoot;
use crate::model::NewProduct;
use crate::model::Page;
use crate::model::PageRequest;
use crate::model::Product;
use crate::model::ProductId;
use crate::model::ProductPatch;
use crate::model::Sku;
use crate::model::Slug;
use crate::spi::store::Delete;
use crate::spi::store::Parts;
use crate::spi::store::ProductQuery;
use crate::spi::store::Put;
use crate::transaction::Context;

/// Rows of an import that go into one write set: enough to share the cost of a commit, few enough to share
/// its time.
const IMPORT_CHUNK: usize = 100;

/// Products, their variants and prices.
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> stockroom::Result<()> {
/// use stockroom::{Currency, ErrorKind, Money, NewProduct, ProductPatch, Stockroom};
///
/// let shop = Stockroom::open("sqlite::memory:").await?;
/// let mug = shop.products().create(NewProduct::new("Mug").variant("MUG", Money::new(9_00, Currency::USD))).await?;
/// let large = shop.products().update(&mug, ProductPatch::new().title("Mug, large")).await?;
///
/// // `mug` is what it was: updating from it again would lose the new title.
/// let stale = shop.products().update(&mug, ProductPatch::new().title("Cup")).await.unwrap_err();
/// assert!(stale.is(ErrorKind::Conflict));
/// assert_eq!(stale.found_version(), Some(large.version.get()));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "sqlite"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
pub struct Products {
    context: Context,
    cache: Option<ProductCache>,
}

impl Products {
    pub(crate) fn new(context: Context, cache: Option<ProductCache>) -> Self {
        // Who may see what was so a while ago is served by replicas.
        let cache = cache.filter(|_| !context.is_tolerant());
        Self { context, cache }
    }

    /// Creates a product.
    ///
    /// - Its slug and its SKUs are taken in the same commit.
    ///
    /// # Errors
    /// - `InvalidInput` naming the field.
    /// - `AlreadyExists` when the slug or a SKU is taken; the existing id is the product that has it.
    /// - `Timeout`, `Unavailable`, `OutcomeUnknown`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the product created or absent.
    pub async fn create(&self, new: NewProduct) -> Result<Arc<Product>> {
        let create = async {
            let product = new.build(ProductId::new(), self.context.now())?;
            let mut set = self.context.write_set();
            set.put(Put::create(product.clone()));
            let committed = self.context.commit(set, self.context.deadline()).await?;
            written(&committed, product).map(Arc::new)
        };
        create
            .await
            .map_err(|error: Error| error.operation("products.create"))
    }

    /// Creates many products, a hundred to a commit, and tells the outcome of each row.
    ///
    /// - The answer has one entry per row, in the order given. A row that is refused does not stop the
    ///   others.
    /// - Rows share a commit, so that thousands take seconds; when the store refuses a commit, its rows are
    ///   tried in smaller parts until the refused ones stand alone.
    /// - The deadline counts anew for each commit.
    /// - Importing the same rows again gives `AlreadyExists` for each: it never duplicates a SKU.
    ///
    /// # Cancel safety
    /// Dropping the future keeps the parts that were committed; every product is whole or absent.
    pub async fn import(&self, rows: Vec<NewProduct>) -> Vec<Result<Arc<Product>>> {
        let now = self.context.now();
        let build = |row: NewProduct| {
            row.build(ProductId::new(), now)
                .map(Arc::new)
                .map_err(named_import)
        };
        let mut outcomes: Vec<Result<Arc<Product>>> = rows.into_iter().map(build).collect();
        let mut parts: VecDeque<Range<usize>> = (0..outcomes.len())
            .step_by(IMPORT_CHUNK)
            .map(|from| from..outcomes.len().min(from + IMPORT_CHUNK))
            .collect();
        while let Some(part) = parts.pop_front() {
            let Err(error) = self.import_part(&mut outcomes[part.clone()]).await else {
                continue;
            };
            if part.len() > 1 && stands_alone(&error) {
                let middle = part.start + part.len() / 2;
                parts.push_front(middle..part.end);
                parts.push_front(part.start..middle);
            } else {
                for outcome in outcomes[part].iter_mut().filter(|outcome| outcome.is_ok()) {
                    *outcome = Err(named_import(error.clone()));
                }
            }
        }
        outcomes
    }

    async fn import_part(&self, rows: &mut [Result<Arc<Product>>]) -> Result<()> {
        let mut set = self.context.write_set();
        for product in rows.iter().flatten() {
            set.put(Put::create(Arc::clone(product)));
        }
        if set.puts.is_empty() {
            return Ok(());
        }
        self.context.commit(set, self.context.deadline()).await.map(drop)
    }

    /// The product of this id.
    ///
    /// - With a [`Cache`](crate::Cache) it may be as old as its policy allows; a write through this process is seen at once.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn get(&self, id: ProductId) -> Result<Option<Arc<Product>>> {
        let found = match &self.cache {
            Some(cache) => match cache.values.hit(id.as_ref()) {
                Some(hit) => return Ok(hit),
                None => cache.values.get(id.uuid(), self.context.deadline_length()).await,
            },
            None => self.get_many(&[id]).await.map(single),
        };
        found.map_err(|error| error.operation("products.get"))
    }

    /// The product of this id, which must exist.
    ///
    /// # Errors
    /// `NotFound`, and those of [`get`](Self::get).
    pub async fn require(&self, id: ProductId) -> Result<Arc<Product>> {
        let found = self.get(id).await?;
        found.ok_or_else(|| Error::not_found(format!("product {id}")).operation("products.require"))
    }

    /// Products by id, in one round trip.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn get_many(&self, ids: &[ProductId]) -> Result<Vec<Option<Arc<Product>>>> {
        if let Some(cache) = &self.cache {
            let ids: Vec<_> = ids.iter().map(|id| id.uuid()).collect();
            let found = cache.values.get_many(&ids, self.context.deadline_length()).await;
            return found.map_err(|error| error.operation("products.get_many"));
        }
        let found = self
            .context
            .shown(Aggregate::Product)
            .product()?
            .get_many(ids, self.context.deadline())
            .await;
        found.map_err(|error| error.operation("products.get_many"))
    }

    /// The product with this slug.
    ///
    /// - With a [`Cache`](crate::Cache) it may be as old as for [`get`](Self::get); that there is none is always the store's word.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn find_by_slug(&self, slug: &Slug) -> Result<Option<Arc<Product>>> {
        let reader = self.context.shown(Aggregate::Product).product()?;
        let found = match &self.cache {
            Some(cache) => {
                let length = self.context.deadline_length();
                cache.find_by_slug(&**reader, slug, length).await
            }
            None => reader.find_by_slug(slug, self.context.deadline()).await,
        };
        found.map_err(|error| error.operation("products.find_by_slug"))
    }

    /// The product that has a variant of this SKU.
    ///
    /// # Errors
    /// `InvalidInput` on `sku`; `Timeout`, `Unavailable`.
    pub async fn find_by_sku(
        &self,
        sku: impl TryInto<Sku, Error: Into<Error>> + Send,
    ) -> Result<Option<Arc<Product>>> {
        let sku = parsed(sku).map_err(|error| error.operation("products.find_by_sku"))?;
        self.find_by_skus(&[sku])
            .await
            .map(single)
            .map_err(|error| error.operation("products.find_by_sku"))
    }

    /// The products that have variants of these SKUs, in one round trip.
    ///
    /// # Errors
    /// `Timeout`, `Unavailable`.
    pub async fn find_by_skus(&self, skus: &[Sku]) -> Result<Vec<Option<Arc<Product>>>> {
        let reader = self.context.shown(Aggregate::Product).product()?;
        let found = match &self.cache {
            Some(cache) => {
                let length = self.context.deadline_length();
                cache.find_by_skus(&**reader, skus, length).await
            }
            None => reader.find_by_skus(skus, self.context.deadline()).await,
        };
        found.map_err(|error| error.operation("products.find_by_skus"))
    }

    /// Changes a product from the state that was read.
    ///
    /// - It is never retried: who read an older state has to look again before deciding.
    ///
    /// # Errors
    /// - `InvalidInput` naming the field.
    /// - `Conflict` when the product is no longer at the version given, with the version found; `NotFound`
    ///   when gone.
    /// - `AlreadyExists` when a new slug or SKU is taken.
    /// - `Timeout`, `Unavailable`, `OutcomeUnknown`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the product changed or as it was.
    pub async fn update(&self, product: &Product, patch: ProductPatch) -> Result<Arc<Product>> {
        let update = async {
            let new = patch.apply(product, self.context.now())?;
            let parts = if patch.keeps_variants() {
                Parts::Root
            } else {
                Parts::Whole
            };
            let mut set = self.context.write_set();
            set.put(Put {
                parts,
                ..Put::update(product, new.clone())
            });
            let committed = self.context.commit(set, self.context.deadline()).await?;
            written(&committed, new).map(Arc::new)
        };
        update
            .await
            .map_err(|error: Error| error.operation("products.update"))
    }

    /// Removes a product; its slug and SKUs become free.
    ///
    /// - Orders keep what they copied of it; carts that name its SKUs can no longer be quoted.
    ///
    /// # Errors
    /// - `Conflict` when the product is no longer at the version given; `NotFound` when it is gone.
    /// - `Timeout`, `Unavailable`, `OutcomeUnknown`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the product there or gone.
    pub async fn delete(&self, product: &Product) -> Result<()> {
        let mut set = self.context.write_set();
        set.delete(Delete {
            aggregate: Product::KIND,
            key: product.key(),
            expected: product.version,
            previous: product.claims(),
        });
        let deleted = self.context.commit(set, self.context.deadline()).await;
        deleted
            .map(drop)
            .map_err(|error| error.operation("products.delete"))
    }

    /// A page of products.
    ///
    /// - Pages follow each other without gap or repetition while products are added.
    /// - With a [`Cache`](crate::Cache) that processes share, a page comes from there, but not a list of what is in stock; a
    ///   write through this process is seen at once.
    ///
    /// # Errors
    /// `InvalidInput` on `after` for a cursor of another query or a damaged one; `Timeout`, `Unavailable`.
    pub async fn list(&self, query: &ProductQuery, page: PageRequest) -> Result<Page<Arc<Product>>> {
        let listings = self.cache.as_ref().and_then(|cache| cache.listings.as_ref());
        let found = match listings {
            Some(listings) => listings.page(query, &page, self.context.deadline_length()).await,
            None => {
                let reader = self.context.shown(Aggregate::Product).product()?;
                reader.list(query, &page, self.context.deadline()).await
            }
        };
        found.map_err(|error| error.operation("products.list"))
    }
}

/// Whether an error may be the fault of some rows of a part, so that the others are worth trying without
/// them.
fn stands_alone(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::AlreadyExists | ErrorKind::InvalidInput | ErrorKind::TooLarge
    )
}

fn named_import(error: Error) -> Error {
    error.operation("products.import")
}
