//! Which SKUs the carts hold.

use stockroom::Currency;
use stockroom::Money;
use stockroom::NewProduct;
use stockroom::Quote;
use stockroom::Sku;
use stockroom::Stockroom;

use crate::compared::goods;
use crate::compared::goods::Prices;
use crate::compared::random::Random;
use crate::support::Result;

/// SKUs of one product.
const VARIANTS: usize = 10;

/// The most lines of a mixed cart.
const MOST_LINES: usize = 5;

/// What every cart of a case holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Basket {
    /// The SKU that everybody wants.
    Hot,
    /// Any SKU.
    Spread,
    /// The SKU that everybody wants, and two others.
    HotAndTwo,
    /// Any three SKUs.
    ThreeSpread,
    /// One to five SKUs, the first of the catalogue far more often than the last: the n-th is wanted 1/n times as often as
    /// the first (Zipf).
    Zipf,
}

impl Basket {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hot => "hot SKU",
            Self::Spread => "one of 10,000 SKUs",
            Self::HotAndTwo => "hot SKU and two of 10,000",
            Self::ThreeSpread => "three of 10,000 SKUs",
            Self::Zipf => "1 to 5 of 10,000 SKUs by Zipf",
        }
    }
}

/// The SKUs of a shop.
#[derive(Debug)]
pub(crate) struct Shelf {
    skus: Vec<Sku>,
    prices: Prices,
    hot: Sku,
    /// Sums of 1/n, to draw by.
    sums: Vec<f64>,
    random: Random,
    scarce: usize,
}

impl Shelf {
    pub(crate) async fn fill(shop: &Stockroom, count: usize) -> Result<Self> {
        let skus = goods::stock(shop, count, VARIANTS).await?;
        let hot = skus.first().ok_or("a shop without goods")?.clone();
        let sums = (1..=skus.len()).scan(0.0, |sum, rank| {
            *sum += 1.0 / rank as f64;
            Some(*sum)
        });
        Ok(Self {
            prices: Prices::ask(shop, &skus).await?,
            sums: sums.collect(),
            skus,
            hot,
            random: Random::new(0x5eed),
            scarce: 0,
        })
    }

    /// Puts a new SKU on the shelf that everybody wants, with so many units.
    pub(crate) async fn make_scarce(&mut self, shop: &Stockroom, units: usize) -> Result<()> {
        self.scarce += 1;
        self.hot = Sku::new(format!("SCARCE-{}", self.scarce))?;
        let product = NewProduct::new(format!("Scarce {}", self.scarce));
        let product = product.variant(self.hot.clone(), Money::new(19_00, Currency::USD));
        shop.products().create(product).await?;
        let units = i64::try_from(units)?;
        shop.inventory()
            .receive(self.hot.clone(), &goods::location()?, units)
            .await?;
        let price = Prices::ask(shop, std::slice::from_ref(&self.hot)).await?;
        self.prices.lines.extend(price.lines);
        Ok(())
    }

    /// So many quotes of new carts, in a sequence that every run repeats.
    pub(crate) async fn quotes(
        &mut self,
        shop: &Stockroom,
        basket: Basket,
        count: usize,
    ) -> Result<Vec<Quote>> {
        let baskets = (0..count).map(|_| self.fill_one(basket)).collect();
        self.prices.quotes(shop, baskets).await
    }

    fn fill_one(&mut self, basket: Basket) -> Vec<Sku> {
        let lines = match basket {
            Basket::Hot | Basket::Spread => 1,
            Basket::HotAndTwo | Basket::ThreeSpread => 3,
            Basket::Zipf => 1 + self.random.below(MOST_LINES),
        };
        let mut skus = match basket {
            Basket::Hot | Basket::HotAndTwo => vec![self.hot.clone()],
            Basket::Spread | Basket::ThreeSpread | Basket::Zipf => Vec::new(),
        };
        while skus.len() < lines {
            let index = match basket {
                Basket::Zipf => self.popular(),
                _ => self.random.below(self.skus.len()),
            };
            let sku = &self.skus[index];
            if !skus.contains(sku) {
                skus.push(sku.clone());
            }
        }
        skus
    }

    /// The place of a SKU, drawn by how much it is wanted.
    fn popular(&mut self) -> usize {
        const STEPS: usize = 1 << 32;
        let most = self.sums.last().copied().unwrap_or_default();
        let drawn = self.random.below(STEPS) as f64 / STEPS as f64 * most;
        self.sums
            .partition_point(|sum| *sum <= drawn)
            .min(self.sums.len() - 1)
    }
}
