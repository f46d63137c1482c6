//! How fast changes reach a sink, and what it costs to wait for them.
//!
//! ```text
//! cargo bench --features full --bench relay                 # writes docs/benchmarks/relay.md
//! cargo bench --features full --bench relay -- --quick      # some seconds, writes nothing; also: postgres, sqlite
//! ```
//!
//! Beside it in the same run: the loop that one writes by hand, which reads the outbox by its number and keeps the last
//! one in a table. It is simpler, and it loses changes on PostgreSQL (docs/changes.md tells how): its speed is the price of
//! being right.

mod support;

#[path = "support/outbox.rs"]
mod outbox;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use async_trait::async_trait;
use outbox::Outbox;
use stockroom::ChangeSink;
use stockroom::Delivery;
use stockroom::Owner;
use stockroom::SinkPolicy;
use stockroom::Stockroom;
use stockroom::resilience::Deadline;
use support::Chart;
use support::Cpu;
use support::Engine;
use support::Group;
use support::Machine;
use support::Places;
use support::Result;
use support::Samples;
use support::Settings;
use support::Table;
use support::grouped;
use support::median;
use tokio::sync::watch;
use uuid::Uuid;

/// Changes in one delivery, and in one page of the loop by hand.
const BATCH: usize = 1_000;

/// Counts what it is given.
#[derive(Debug)]
struct Counting {
    count: AtomicUsize,
    moved: watch::Sender<()>,
}

impl Counting {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            count: AtomicUsize::new(0),
            moved: watch::Sender::new(()),
        })
    }

    async fn until(&self, count: usize) -> Result<()> {
        let mut moved = self.moved.subscribe();
        while self.count.load(Ordering::Acquire) < count {
            moved.changed().await?;
        }
        Ok(())
    }
}

#[async_trait]
impl ChangeSink for Counting {
    async fn deliver(&self, delivery: Delivery<'_>, _: Deadline) -> stockroom::Result<()> {
        self.count.fetch_add(delivery.changes.len(), Ordering::AcqRel);
        self.moved.send_replace(());
        Ok(())
    }

    async fn reset(&self, _: Deadline) -> stockroom::Result<()> {
        Ok(())
    }
}

/// One engine's numbers.
#[derive(Debug, Default)]
struct Numbers {
    relay: Vec<f64>,
    by_hand: Vec<f64>,
    /// Part of one core that an idle relay uses, client and server, in percent.
    idle: (f64, f64),
    delay: Samples,
    /// Largest growth of this process while the backlog was delivered, in MB.
    grown: f64,
    others: f64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let settings = Settings::from_args();
    let mut machine = Machine::look();
    let places = Places::start(settings, &mut machine).await?;
    let mut table = Table::new(&[
        "",
        "changes/s, relay",
        "by hand",
        "ratio",
        "commit to sink, p50 / p99 ms",
        "idle, % of a core: client + server",
        "memory grown, MB",
    ]);
    let mut groups = Vec::new();
    for engine in Engine::ALL {
        if !settings.wants(engine) || (engine == Engine::Postgres && places.postgres().is_none()) {
            continue;
        }
        let mut numbers = measure(engine, settings, &places).await?;
        let (relay, by_hand) = (
            median(numbers.relay.iter().copied()),
            median(numbers.by_hand.iter().copied()),
        );
        println!(
            "{}: relay {}/s, by hand {}/s, others used {:.0} % of the processors",
            engine.name(),
            grouped(relay),
            grouped(by_hand),
            numbers.others
        );
        table.row(vec![
            engine.name().to_owned(),
            grouped(relay),
            grouped(by_hand),
            format!("{:.2}", relay / by_hand),
            format!(
                "{:.2} / {:.2}",
                numbers.delay.percentile(50) / 1e3,
                numbers.delay.percentile(99) / 1e3
            ),
            format!("{:.2} + {:.2}", numbers.idle.0, numbers.idle.1),
            format!("{:.0}", numbers.grown),
        ]);
        groups.push(Group {
            name: engine.name().to_owned(),
            values: vec![relay, by_hand],
        });
    }
    println!("{}", table.text());
    print!("{}", machine.markdown());
    if settings.is_report() {
        let chart = Chart {
            title: "Changes delivered a second",
            series: vec!["relay", "loop by hand"],
            groups,
        };
        support::write_report("relay", &report(&table, &machine, settings), &chart.svg())?;
    }
    Ok(())
}

async fn measure(engine: Engine, settings: Settings, places: &Places) -> Result<Numbers> {
    let backlog = settings.pick(1_000_000, 5_000);
    let outbox = Outbox::create(engine, places).await?;
    outbox.fill(backlog).await?;
    let mut numbers = Numbers::default();
    let before = Cpu::now(places.server);
    let mut used = Cpu::default();
    for _ in 0..settings.pick(3, 1) {
        if settings.ways(2) == 2 {
            numbers.by_hand.push(outbox.read_by_hand(backlog, BATCH).await?);
        }
        let memory = resident();
        let (rate, most) = catch_up(&outbox, backlog).await?;
        numbers.relay.push(rate);
        numbers.grown = numbers.grown.max(most - memory);
    }
    live(&outbox, backlog, settings, places, &mut numbers).await?;
    used = used.plus(Cpu::now(places.server).since(before));
    numbers.others = used.others();
    Ok(numbers)
}

/// Delivers the whole outbox to a new sink: changes a second, and the most memory in MB.
async fn catch_up(outbox: &Outbox, backlog: usize) -> Result<(f64, f64)> {
    let sink = Counting::new();
    let begun = Instant::now();
    let shop = fed(outbox, &sink).await?;
    let watched = async {
        let mut most = 0.0_f64;
        loop {
            most = most.max(resident());
            let step = tokio::time::timeout(Duration::from_millis(50), sink.until(backlog));
            if let Ok(done) = step.await {
                return done.map(|()| most);
            }
        }
    };
    let most = watched.await?;
    let took = begun.elapsed().as_secs_f64();
    shop.close().await;
    Ok((rate(backlog, took), most))
}

/// A relay that has reached the end: what waiting costs, and how soon a commit is seen.
async fn live(
    outbox: &Outbox,
    backlog: usize,
    settings: Settings,
    places: &Places,
    numbers: &mut Numbers,
) -> Result<()> {
    let sink = Counting::new();
    let shop = fed(outbox, &sink).await?;
    sink.until(backlog).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let begun = (Instant::now(), Cpu::now(places.server));
    tokio::time::sleep(Duration::from_secs(settings.pick(20, 1))).await;
    let (passed, used) = (
        begun.0.elapsed().as_secs_f64(),
        Cpu::now(places.server).since(begun.1),
    );
    numbers.idle = (used.client / passed * 100.0, used.server / passed * 100.0);
    let mut delay = Samples::default();
    while delay.count() < settings.pick(500, 20) {
        let count = sink.count.load(Ordering::Acquire);
        shop.carts().create(Owner::Guest).await?;
        let committed = Instant::now();
        sink.until(count + 1).await?;
        delay.push(committed.elapsed());
    }
    numbers.delay.append(delay);
    shop.close().await;
    Ok(())
}

async fn fed(outbox: &Outbox, sink: &Arc<Counting>) -> Result<Stockroom> {
    let policy = SinkPolicy::new().batch(BATCH);
    Ok(outbox
        .builder()
        .await?
        // A name that was not there before begins with the oldest change.
        .sink_with(Uuid::now_v7().simple().to_string(), sink.clone(), policy)
        .open()
        .await?)
}

/// Memory of this process in MB; 0 where the system does not tell.
fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0.0);
    pages * 4_096.0 / 1e6
}

fn rate(count: usize, seconds: f64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / seconds
}

fn report(table: &Table, machine: &Machine, settings: Settings) -> String {
    let backlog = grouped(f64::from(settings.pick(1_000_000_u32, 5_000)));
    format!(
        "# The relay\n\nWritten by `cargo bench --features full --bench relay`; every run replaces it.\n\n\
         ![Changes delivered a second](relay.svg)\n\n{}\n\
         - **relay**: a sink that counts, batches of {BATCH}, given a backlog of {backlog} changes by a shop that opens; \
         median of three rounds in turns. Each page is read, delivered, and saved under the lease.\n\
         - **by hand**: `SELECT … WHERE seq > $1 ORDER BY seq LIMIT {BATCH}` into the same type, then an UPDATE of the place. \
         It is what most outbox readers do, and on PostgreSQL it loses changes whose transaction ends late \
         (docs/changes.md).\n\
         - **commit to sink**: from the answer to a write until the sink of the same process has the change; one writer.\n\
         - **idle**: processor time while nothing is written, over 20 s.\n\
         - **memory grown**: the most that this process grew by while the backlog was delivered.\n\n{}",
        table.markdown(),
        machine.markdown()
    )
}
