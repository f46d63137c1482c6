//! On PostgreSQL: sixteen connections, which wait for each other at the row that everybody wants.

use sqlx::postgres::PgPool;
use stockroom::OrderId;

use super::KEY;
use super::LEFT;
use super::LINE;
use super::MOVEMENT;
use super::ORDER;
use super::PRICE;
use super::SKU;
use super::STOCK;
use super::TABLES;
use super::TAKE;
use crate::Outcome;
use crate::crowd::Answer;

pub(super) async fn open(pool: &PgPool, units: i64) -> Outcome {
    sqlx::raw_sql(TABLES).execute(pool).await?;
    sqlx::query(STOCK).bind(SKU).bind(units).execute(pool).await?;
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the way of everyone else is what is shown here"
)]
pub(super) async fn buy(pool: &PgPool, key: &str) -> Outcome<Answer> {
    let left: i64 = sqlx::query_scalar(LEFT).bind(SKU).fetch_one(pool).await?;
    if left < 1 {
        return Ok(Answer::Refused);
    }
    let order = OrderId::new().uuid();
    let mut transaction = pool.begin().await?;
    sqlx::query(KEY)
        .bind(key)
        .bind(order)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(ORDER)
        .bind(order)
        .bind(PRICE)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(LINE)
        .bind(order)
        .bind(SKU)
        .bind(PRICE)
        .execute(&mut *transaction)
        .await?;
    sqlx::query(MOVEMENT)
        .bind(order)
        .bind(SKU)
        .execute(&mut *transaction)
        .await?;
    let taken = sqlx::query(TAKE).bind(SKU).execute(&mut *transaction).await?;
    if taken.rows_affected() == 0 {
        transaction.rollback().await?;
        return Ok(Answer::Refused);
    }
    transaction.commit().await?;
    Ok(Answer::Sold)
}
