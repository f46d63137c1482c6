//! A shop in a schema (a file) of its own, and connections for who works on its tables by hand.

use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqlitePoolOptions;
use stockroom::Stockroom;
use uuid::Uuid;

use crate::database::Database;
use crate::delay;
use crate::support;
use crate::support::Engine;
use crate::support::Machine;
use crate::support::Places;
use crate::support::Result;

/// Connections of who writes by hand on PostgreSQL.
pub(crate) const CONNECTIONS: u32 = 16;

/// What a round trip takes more on the longer way.
pub(crate) const DELAY: Duration = Duration::from_micros(500);

/// How far away the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Distance {
    Near,
    /// Every round trip takes [`DELAY`] more.
    Far,
}

/// When the server counted the rows of the tables that it plans for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// When they were full, as it does some time after rows were written.
    Full,
    /// When they were empty: the plans are made for no rows, and many come.
    Empty,
}

/// A shop in a schema (a file) of its own.
#[derive(Debug)]
pub(crate) struct Ground {
    /// Prepares and checks; the server is near.
    pub(crate) shop: Stockroom,
    /// Writes; as far from the server as was wanted, each with a committer of its own.
    pub(crate) shops: Vec<Stockroom>,
    /// Asks; the server is near.
    pub(crate) database: Database,
    /// Writes by hand; as far from the server as was wanted.
    pub(crate) by_hand: Database,
}

impl Ground {
    pub(crate) async fn open(
        engine: Engine,
        places: &Places,
        distance: Distance,
        counted: Counted,
        shops: usize,
    ) -> Result<Self> {
        let name = format!("bench_{}", Uuid::now_v7().simple());
        let (shop, database) = open(engine, places, &name, places.postgres()).await?;
        if counted == Counted::Empty {
            database.try_execute("ANALYZE", "ANALYZE").await;
        }
        let far = match distance {
            Distance::Near => None,
            Distance::Far => Some(longer_way(places)?),
        };
        let mut ground = match &far {
            None => Self {
                shops: vec![shop.clone()],
                by_hand: database.clone(),
                shop,
                database,
            },
            Some(url) => {
                let (far_shop, by_hand) = open(engine, places, &name, Some(url)).await?;
                Self {
                    shops: vec![far_shop],
                    by_hand,
                    shop,
                    database,
                }
            }
        };
        while ground.shops.len() < shops {
            let url = far.as_deref().or_else(|| places.postgres());
            let (another, pool) = open(engine, places, &name, url).await?;
            pool.close().await;
            ground.shops.push(another);
        }
        Ok(ground)
    }

    /// Lets the server count the rows, as it does some time after they were written.
    pub(crate) async fn count(&self, counted: Counted) {
        if counted == Counted::Full {
            self.database.try_execute(VACUUM, "ANALYZE").await;
        }
    }

    /// Has nothing left over from before, so that a round does not pay for another.
    pub(crate) async fn settle(&self) {
        self.database
            .try_execute("CHECKPOINT", "PRAGMA wal_checkpoint(TRUNCATE)")
            .await;
    }

    pub(crate) async fn close(self) {
        for shop in &self.shops {
            shop.close().await;
        }
        self.shop.close().await;
        // What is left would be vacuumed while others are measured.
        self.database.try_execute(DROP, "SELECT 1").await;
        self.by_hand.close().await;
        self.database.close().await;
    }
}

const VACUUM: &str = "VACUUM (ANALYZE) stockroom_products, stockroom_variants, stockroom_levels, stockroom_claims, \
     stockroom_movements, stockroom_changes, stockroom_carts, stockroom_cart_lines";

/// Every table of a shop lies in the first schema of the path.
const DROP: &str = "DO $$ BEGIN EXECUTE format('DROP SCHEMA %I CASCADE', current_schema()); END $$";

/// A shop, and connections on its tables.
async fn open(
    engine: Engine,
    places: &Places,
    name: &str,
    url: Option<&str>,
) -> Result<(Stockroom, Database)> {
    match (engine, url) {
        (Engine::Sqlite, _) => {
            let file = places.file(name);
            let shop = support::sqlite_shop(&file).await?;
            // More connections would only find the file locked.
            let options = SqlitePoolOptions::new()
                .max_connections(1)
                .test_before_acquire(false);
            let pool = support::sqlite_pool(&file, options).await?;
            Ok((shop, Database::Sqlite(pool)))
        }
        (Engine::Postgres, Some(url)) => {
            let shop = support::postgres_shop(url, name).await?;
            let options = PgPoolOptions::new()
                .max_connections(CONNECTIONS)
                .test_before_acquire(false);
            let pool = support::postgres_pool(url, name, options).await?;
            Ok((shop, Database::Postgres(pool)))
        }
        (Engine::Postgres, None) => Err("there is no PostgreSQL".into()),
    }
}

/// The address of the server at the end of a longer way.
fn longer_way(places: &Places) -> Result<String> {
    let server = places.postgres.as_ref().ok_or("there is no PostgreSQL")?;
    Ok(server.url_through(delay::open(server.address(), DELAY)?))
}

/// Tells how long a round trip takes, near and far.
pub(crate) async fn measure_distance(places: &Places, machine: &mut Machine) -> Result<()> {
    let Some(url) = places.postgres() else {
        return Ok(());
    };
    let options = || PgPoolOptions::new().max_connections(1).test_before_acquire(false);
    let near = Database::Postgres(support::postgres_pool(url, "public", options()).await?);
    let far = Database::Postgres(support::postgres_pool(&longer_way(places)?, "public", options()).await?);
    let fact = format!(
        "SELECT 1 takes {:.2} ms near and {:.2} ms far, half of the times",
        near.round_trip().await?,
        far.round_trip().await?
    );
    near.close().await;
    far.close().await;
    machine.add("round trip", fact);
    Ok(())
}
