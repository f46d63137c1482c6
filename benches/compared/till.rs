//! Where orders are placed: through the shop, or by hand.

use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use stockroom::ErrorKind;
use stockroom::IdempotencyKey;
use stockroom::Place;
use stockroom::Quote;
use stockroom::Stockroom;

use super::connections::ByHand;
use super::connections::Connections;
use super::sale::Answer;
use super::sale::Sale;
use super::usual_postgres;
use super::usual_sqlite;
use crate::support::Result;

/// How one writes by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Transaction,
    Statement,
}

/// Where orders are placed.
#[derive(Debug, Clone)]
pub(crate) enum Till {
    Shop(Stockroom),
    Postgres(Connections<PgConnection>, How),
    Sqlite(Connections<SqliteConnection>),
}

impl Till {
    pub(crate) fn by_hand(connections: &ByHand, how: How) -> Self {
        match connections {
            ByHand::Postgres(connections) => Self::Postgres(connections.clone(), how),
            ByHand::Sqlite(connections) => Self::Sqlite(connections.clone()),
        }
    }

    pub(crate) async fn place(&self, quote: Quote) -> Result<Answer> {
        let key = format!("order-{}", quote.cart.id);
        match self {
            Self::Shop(shop) => place(shop, quote, key).await,
            Self::Postgres(connections, how) => {
                let sale = Sale::new(quote, key);
                let mut connection = connections.take().await?;
                let answer = match how {
                    How::Transaction => usual_postgres::transaction(&mut connection, &sale).await,
                    How::Statement => usual_postgres::statement(&mut connection, &sale).await,
                };
                connections.give(connection);
                answer
            }
            Self::Sqlite(connections) => {
                let sale = Sale::new(quote, key);
                let mut connection = connections.take().await?;
                let answer = usual_sqlite::transaction(&mut connection, &sale).await;
                connections.give(connection);
                answer
            }
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
