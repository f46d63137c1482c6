//! Ways to read the changes: the source, and those that seem to work.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::AssertSqlSafe;
use sqlx::PgConnection;
use sqlx::Row as _;
use stockroom::resilience::Deadline;
use stockroom::spi::changes::ChangePage;
use stockroom::spi::changes::ChangeSource;
use stockroom::spi::changes::FeedRead;
use stockroom::spi::changes::PartitionEnd;
use stockroom::spi::changes::PartitionId;
use stockroom::spi::changes::Position;
use uuid::Uuid;

use super::schedule::Named;
use super::schedule::execute;

/// A reader that goes on from where it was.
#[async_trait]
pub(super) trait Way: Send {
    /// All that there is.
    async fn poll(&mut self) -> Vec<Named>;

    /// One change, if the way can stop inside of what there is.
    async fn page(&mut self) -> Vec<Named> {
        self.poll().await
    }

    /// All that there is, while this session commits.
    async fn poll_while(&mut self, session: &mut PgConnection) -> Vec<Named> {
        let given = self.poll().await;
        execute(session, "COMMIT").await;
        given
    }
}

pub(super) fn deadline() -> Deadline {
    Deadline::within(Duration::from_secs(60))
}

/// The feed of the store.
pub(super) struct Feed {
    pub(super) source: Arc<dyn ChangeSource>,
    pub(super) place: Option<Position>,
    pub(super) limit: usize,
}

impl Feed {
    pub(super) fn new(source: Arc<dyn ChangeSource>, limit: usize) -> Self {
        Self {
            source,
            place: None,
            limit,
        }
    }

    pub(super) async fn read(&mut self, limit: usize) -> ChangePage {
        let partition = PartitionId::new("0");
        let read = FeedRead {
            partition: &partition,
            after: self.place.as_ref(),
            limit,
        };
        let page = self.source.read(read, deadline()).await.unwrap();
        assert!(page.changes.len() <= limit);
        self.place = Some(page.next.clone());
        page
    }
}

pub(super) fn names(page: &ChangePage) -> Vec<Named> {
    let name = |change: &stockroom::spi::changes::Change| {
        let id = change.key.id().unwrap();
        (id.as_u64_pair().1, change.version.stored())
    };
    page.changes.iter().map(name).collect()
}

#[async_trait]
impl Way for Feed {
    async fn poll(&mut self) -> Vec<Named> {
        let mut given = Vec::new();
        loop {
            let page = self.read(self.limit).await;
            given.extend(names(&page));
            if page.end == PartitionEnd::Reached {
                return given;
            }
        }
    }

    async fn page(&mut self) -> Vec<Named> {
        names(&self.read(1).await)
    }
}

/// What is wrong about a way to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Plant {
    /// Behind the highest number that was given.
    ByNumber,
    /// In the order of (transaction, number), below the oldest transaction that runs.
    ByTransaction,
    /// Everything up to the highest transaction that was given counts as seen.
    SyntheticSnapshot,
    /// Of what lies below the floor, only what the last snapshot lists; not what began past its end.
    ListedOnly,
    /// Of what lies below the floor, nothing that the last snapshot lists.
    WithoutListed,
    /// The floor is asked for before the snapshot.
    FloorBefore,
}

impl Plant {
    pub(super) const ALL: [Self; 6] = [
        Self::ByNumber,
        Self::ByTransaction,
        Self::SyntheticSnapshot,
        Self::ListedOnly,
        Self::WithoutListed,
        Self::FloorBefore,
    ];
}

/// A reader that is wrong in one way.
pub(super) struct Broken {
    plant: Plant,
    connection: PgConnection,
    floor: i64,
    seen: String,
}

impl Broken {
    pub(super) fn new(plant: Plant, connection: PgConnection) -> Self {
        Self {
            plant,
            connection,
            floor: 0,
            seen: "1:1:".to_owned(),
        }
    }

    async fn text(&mut self, sql: &str) -> String {
        let row = sqlx::query(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&mut self.connection)
            .await;
        row.unwrap().get(0)
    }

    /// The next changes, and the snapshot, the floor and the highest transaction that come with them.
    async fn window(&mut self) -> Vec<Named> {
        let (floor, seen) = (self.floor, self.seen.clone());
        let old = format!("'{seen}'::pg_snapshot");
        let listed = format!("xid IN (SELECT pg_snapshot_xip({old}))");
        let later = format!("xid >= pg_snapshot_xmax({old})");
        let (condition, order) = match self.plant {
            Plant::ByNumber => (format!("seq > {floor}"), "seq"),
            Plant::ByTransaction => (
                format!("({later} OR {listed}) AND xid < pg_snapshot_xmin(pg_current_snapshot())"),
                "xid, seq",
            ),
            Plant::SyntheticSnapshot => (later, "seq"),
            Plant::ListedOnly => (format!("seq > {floor} OR {listed}"), "seq"),
            Plant::WithoutListed => (format!("seq > {floor} OR ({later} AND seq <= {floor})"), "seq"),
            Plant::FloorBefore => (format!("seq > {floor} OR {listed} OR {later}"), "seq"),
        };
        let sql = format!(
            "SELECT h.snapshot, h.top, h.xmin, c.seq, c.entries[1]::json->>1, c.versions[1], c.xid::text FROM \
             (SELECT pg_current_snapshot()::text AS snapshot, pg_snapshot_xmin(pg_current_snapshot())::text AS xmin, \
             (SELECT coalesce(max(seq), 0) FROM stockroom_changes) AS top) AS h \
             LEFT JOIN (SELECT * FROM stockroom_changes WHERE {condition}) AS c ON true ORDER BY {order}"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .fetch_all(&mut self.connection)
            .await
            .unwrap();
        let (mut given, mut highest) = (Vec::new(), 0_u64);
        for row in &rows {
            if let Some(key) = row.get::<Option<String>, _>(4) {
                let key: Uuid = key.parse().unwrap();
                given.push((key.as_u64_pair().1, row.get::<i64, _>(5)));
                highest = highest.max(row.get::<String, _>(6).parse().unwrap());
            }
        }
        self.floor = self.floor.max(rows[0].get(1));
        match self.plant {
            Plant::SyntheticSnapshot if highest > 0 => {
                self.seen = format!("{0}:{0}:", highest + 1);
            }
            Plant::SyntheticSnapshot => {}
            Plant::ByTransaction => {
                let xmin: String = rows[0].get(2);
                self.seen = format!("{xmin}:{xmin}:");
            }
            _ => self.seen = rows[0].get(0),
        }
        given
    }

    async fn floor_first(&mut self, session: Option<&mut PgConnection>) -> Vec<Named> {
        let early = self
            .text("SELECT coalesce(max(seq), 0)::text FROM stockroom_changes")
            .await;
        if let Some(session) = session {
            execute(session, "COMMIT").await;
        }
        let given = self.window().await;
        self.floor = early.parse().unwrap();
        given
    }
}

#[async_trait]
impl Way for Broken {
    async fn poll(&mut self) -> Vec<Named> {
        match self.plant {
            Plant::FloorBefore => self.floor_first(None).await,
            _ => self.window().await,
        }
    }

    async fn poll_while(&mut self, session: &mut PgConnection) -> Vec<Named> {
        if self.plant == Plant::FloorBefore {
            return self.floor_first(Some(session)).await;
        }
        let given = self.poll().await;
        execute(session, "COMMIT").await;
        given
    }
}

/// The changes of the table, as they were committed in the end.
pub(super) async fn table(connection: &mut PgConnection) -> BTreeSet<(String, i64)> {
    let rows = sqlx::query("SELECT e.entry::json->>1, e.version FROM stockroom_changes, unnest(entries, versions) AS e(entry, version)")
        .fetch_all(connection)
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}
