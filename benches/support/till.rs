//! Where orders are placed: through the shop, or by hand.

use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;
use stockroom::ErrorKind;
use stockroom::IdempotencyKey;
use stockroom::Place;
use stockroom::Quote;
use stockroom::Stockroom;

use crate::database::Database;
use crate::sale::Answer;
use crate::sale::Sale;
use crate::support::Result;
use crate::usual_postgres;
use crate::usual_sqlite;

/// How one writes by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ByHand {
    Transaction,
    Statement,
}

/// Where orders are placed.
#[derive(Debug, Clone)]
pub(crate) enum Till {
    Shop(Stockroom),
    Postgres(PgPool, ByHand),
    Sqlite(SqlitePool),
}

impl Till {
    pub(crate) fn by_hand(database: &Database, how: ByHand) -> Self {
        match database {
            Database::Postgres(pool) => Self::Postgres(pool.clone(), how),
            Database::Sqlite(pool) => Self::Sqlite(pool.clone()),
        }
    }

    pub(crate) async fn place(&self, quote: Quote) -> Result<Answer> {
        let key = format!("order-{}", quote.cart.id);
        match self {
            Self::Shop(shop) => place(shop, quote, key).await,
            Self::Postgres(pool, ByHand::Transaction) => {
                usual_postgres::transaction(pool, &Sale::new(quote, key)).await
            }
            Self::Postgres(pool, ByHand::Statement) => {
                usual_postgres::statement(pool, &Sale::new(quote, key)).await
            }
            Self::Sqlite(pool) => usual_sqlite::transaction(pool, &Sale::new(quote, key)).await,
        }
    }
}

async fn place(shop: &Stockroom, quote: Quote, key: String) -> Result<Answer> {
    let place = Place::quote(quote).key(IdempotencyKey::new(key)?);
    match shop.checkout().place(place).await {
        Ok(placed) if placed.replayed => Err("an order was placed before".into()),
        Ok(_) => Ok(Answer::Placed),
        Err(error) if error.is(ErrorKind::InsufficientStock) => Ok(Answer::Refused),
        Err(error) => Err(error.into()),
    }
}
