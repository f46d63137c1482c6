//! Looking before one buys: what one writes by hand where most buyers come too late.

use sqlx::postgres::PgConnection;
use stockroom::Quote;

use crate::compared::till::Till;
use crate::support::Result;

const ENOUGH: &str = "SELECT count(*) FROM unnest($1::text[], $2::text[], $3::bigint[]) AS r(sku, location, quantity) \
     JOIN stockroom_levels l ON l.sku = r.sku AND l.location = r.location \
     WHERE l.on_hand - l.allocated - l.held + l.backorder_limit >= r.quantity";

/// Whether an order has a chance. By hand on PostgreSQL one looks first: a read costs less than a transaction that is rolled
/// back. The shop decides by itself, and the one connection of SQLite has nobody to wait for.
pub(crate) async fn has_enough(till: &Till, quote: &Quote) -> Result<bool> {
    match till {
        Till::Postgres(connections, _) => {
            let mut connection = connections.take().await?;
            let enough = ask(&mut connection, quote).await;
            connections.give(connection);
            enough
        }
        Till::Shop(_) | Till::Sqlite(_) => Ok(true),
    }
}

/// A plain read: who comes too late waits for no lock and writes nothing.
async fn ask(connection: &mut PgConnection, quote: &Quote) -> Result<bool> {
    let lines = &quote.lines;
    let enough: i64 = sqlx::query_scalar(ENOUGH)
        .bind(lines.iter().map(|line| line.sku.to_string()).collect::<Vec<_>>())
        .bind(
            lines
                .iter()
                .map(|line| line.location.to_string())
                .collect::<Vec<_>>(),
        )
        .bind(lines.iter().map(|line| line.quantity.get()).collect::<Vec<_>>())
        .fetch_one(connection)
        .await?;
    Ok(enough == i64::try_from(lines.len())?)
}
