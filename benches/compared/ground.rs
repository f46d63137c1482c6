//! A shop in a schema (a file) of its own, and connections for who works on its tables by hand.

use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqlitePoolOptions;
use stockroom::Stockroom;
use uuid::Uuid;

use super::connections::ByHand;
use super::database::Database;
use super::delay;
use super::rounds::Commits;
use crate::support;
use crate::support::Engine;
use crate::support::Machine;
use crate::support::Places;
use crate::support::Result;
use crate::support::Samples;

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
    pub(crate) by_hand: ByHand,
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
        let near = Address::near(engine, places, &name)?;
        let far = match distance {
            Distance::Near => near.clone(),
            Distance::Far => Address::far(places, &name)?,
        };
        let shop = near.shop().await?;
        let database = near.database().await?;
        if counted == Counted::Empty {
            database.try_execute("ANALYZE", "ANALYZE").await;
        }
        let mut writers = Vec::new();
        if distance == Distance::Near {
            writers.push(shop.clone());
        }
        while writers.len() < shops {
            writers.push(far.shop().await?);
        }
        Ok(Self {
            shop,
            shops: writers,
            database,
            by_hand: far.by_hand().await?,
        })
    }

    /// What the shops that write have committed so far.
    pub(crate) fn commits(&self) -> Commits {
        self.shops.iter().fold(Commits::default(), |sum, shop| {
            let status = shop.commits();
            Commits {
                batches: sum.batches + status.batches(),
                writes: sum.writes + status.write_sets(),
                rounds: sum.rounds + status.rounds,
            }
        })
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

    pub(crate) async fn close(self) -> Result<()> {
        for shop in &self.shops {
            shop.close().await;
        }
        self.shop.close().await;
        self.by_hand.close().await?;
        // What is left would be vacuumed while others are measured.
        self.database.try_execute(DROP, "SELECT 1").await;
        self.database.close().await;
        Ok(())
    }
}

const VACUUM: &str = "VACUUM (ANALYZE) stockroom_products, stockroom_variants, stockroom_levels, stockroom_claims, \
     stockroom_movements, stockroom_changes, stockroom_carts, stockroom_cart_lines";

/// Every table of a shop lies in the first schema of the path.
const DROP: &str = "DO $$ BEGIN EXECUTE format('DROP SCHEMA %I CASCADE', current_schema()); END $$";

/// Where a shop lies.
#[derive(Debug, Clone)]
enum Address {
    Sqlite { file: PathBuf },
    Postgres { url: String, schema: String },
}

impl Address {
    fn near(engine: Engine, places: &Places, name: &str) -> Result<Self> {
        Ok(match engine {
            Engine::Sqlite => Self::Sqlite {
                file: places.file(name),
            },
            Engine::Postgres => Self::Postgres {
                url: places.postgres().ok_or("there is no PostgreSQL")?.to_owned(),
                schema: name.to_owned(),
            },
        })
    }

    fn far(places: &Places, name: &str) -> Result<Self> {
        Ok(Self::Postgres {
            url: longer_way(places)?,
            schema: name.to_owned(),
        })
    }

    async fn shop(&self) -> Result<Stockroom> {
        match self {
            Self::Sqlite { file } => support::sqlite_shop(file).await,
            Self::Postgres { url, schema } => support::postgres_shop(url, schema).await,
        }
    }

    async fn database(&self) -> Result<Database> {
        Ok(match self {
            Self::Sqlite { file } => {
                let options = SqlitePoolOptions::new().max_connections(1);
                Database::Sqlite(support::sqlite_pool(file, options).await?)
            }
            Self::Postgres { url, schema } => {
                let options = PgPoolOptions::new().max_connections(1);
                Database::Postgres(support::postgres_pool(url, schema, options).await?)
            }
        })
    }

    async fn by_hand(&self) -> Result<ByHand> {
        match self {
            Self::Sqlite { file } => ByHand::sqlite(file).await,
            Self::Postgres { url, schema } => ByHand::postgres(url, schema).await,
        }
    }
}

/// The address of the server at the end of a longer way.
fn longer_way(places: &Places) -> Result<String> {
    let server = places.postgres.as_ref().ok_or("there is no PostgreSQL")?;
    Ok(server.url_through(delay::open(server.address(), DELAY)?))
}

/// Tells how long a round trip takes, near and far.
pub(crate) async fn measure_distance(places: &Places, machine: &mut Machine) -> Result<()> {
    let Some(near) = places.postgres() else {
        return Ok(());
    };
    let fact = format!(
        "SELECT 1 takes {:.2} ms near and {:.2} ms far, half of the times",
        round_trip(near).await?,
        round_trip(&longer_way(places)?).await?
    );
    machine.add("round trip", fact);
    Ok(())
}

/// Milliseconds that the smallest question takes, half of the times.
async fn round_trip(url: &str) -> Result<f64> {
    let mut connection = PgConnection::connect(url).await?;
    let mut samples = Samples::default();
    for _ in 0..200 {
        let begun = Instant::now();
        sqlx::query("SELECT 1").execute(&mut connection).await?;
        samples.push(begun.elapsed());
    }
    connection.close().await?;
    Ok(samples.percentile(50) / 1e3)
}
