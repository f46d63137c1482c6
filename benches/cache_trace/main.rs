//! Two real traces of web shops through the shop's tier and through the usual ways to decide what stays: hit ratio and time.
//!
//! ```text
//! STOCKROOM_TRACE=orm-night.trace cargo bench --features full --bench cache_trace    # writes docs/benchmarks/cache_trace.md
//! cargo bench --features full --bench cache_trace -- --quick                         # a part of the small one, writes nothing
//! ```
//!
//! The small trace is in benches/data; where the large one is to be had is told there too. Without it only the small one is run,
//! and nothing is written.

#[path = "../cached/mod.rs"]
mod cached;

mod policies;
mod shop;
mod traces;

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use cached::Chart;
use cached::Group;
use cached::Machine;
use cached::Result;
use cached::Table;
use policies::Policy;
use stockroom::Product;
use traces::Trace;

/// Capacities, in percent of the keys that the trace has.
const CAPACITIES: [usize; 4] = [1, 5, 10, 25];

/// What came of one trace through one way at one capacity.
#[derive(Clone, Copy)]
struct Outcome {
    hits: usize,
    took: Duration,
}

/// One trace at one capacity by each way: the shop first, then the policies.
struct Line {
    trace: &'static str,
    accesses: usize,
    percent: usize,
    entries: usize,
    ways: Vec<Outcome>,
}

impl Line {
    fn ratio(&self, way: &Outcome) -> f64 {
        100.0 * way.hits as f64 / self.accesses as f64
    }

    fn nanoseconds(&self, way: &Outcome) -> f64 {
        way.took.as_secs_f64() * 1e9 / self.accesses as f64
    }
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(run())
}

async fn run() -> Result<()> {
    let mut traces = vec![traces::small()?];
    if cached::is_quick() {
        traces[0].accesses.truncate(5_000);
    }
    let large = traces::large()?;
    let is_report = large.is_some() && !cached::is_quick();
    traces.extend(large.filter(|_| !cached::is_quick()));
    let mut lines = Vec::new();
    for trace in &traces {
        let products = shop::products(trace.keys())?;
        for percent in CAPACITIES {
            let entries = (products.len() * percent / 100).max(16);
            let mut ways = vec![shop::play(trace, &products, entries).await?];
            for make in policies::ALL {
                ways.push(play(make(entries), trace, &products));
            }
            lines.push(Line {
                trace: trace.name,
                accesses: trace.accesses.len(),
                percent,
                entries,
                ways,
            });
        }
    }
    let mut machine = Machine::look();
    machine.add("kept", "products of one variant, behind Arc");
    println!("{}\n{}", table(&lines).text(), machine.markdown());
    if is_report {
        cached::write_report(
            "cache_trace",
            &markdown(&lines, &traces, &machine),
            &chart(&lines),
        )?;
    }
    Ok(())
}

/// Plays a trace to a policy: a miss keeps what was missed.
fn play(mut policy: Box<dyn Policy>, trace: &Trace, products: &[Arc<Product>]) -> Outcome {
    let start = Instant::now();
    let mut hits = 0;
    for key in &trace.accesses {
        if std::hint::black_box(policy.get(*key)).is_some() {
            hits += 1;
        } else {
            policy.put(*key, Arc::clone(&products[*key as usize]));
        }
    }
    Outcome {
        hits,
        took: start.elapsed(),
    }
}

fn names() -> Vec<&'static str> {
    let mut names = vec!["stockroom"];
    names.extend(policies::NAMES);
    names
}

fn table(lines: &[Line]) -> Table {
    let head: Vec<String> = names()
        .iter()
        .map(|name| format!("{name}: hits, %"))
        .chain(names().iter().map(|name| format!("{name}: ns")))
        .collect();
    let mut all = vec!["trace, capacity"];
    all.extend(head.iter().map(String::as_str));
    let mut table = Table::new(&all);
    for line in lines {
        let mut row = vec![format!(
            "{}, {} % of keys ({})",
            line.trace,
            line.percent,
            cached::grouped(line.entries as f64)
        )];
        row.extend(line.ways.iter().map(|way| format!("{:.1}", line.ratio(way))));
        row.extend(line.ways.iter().map(|way| cached::grouped(line.nanoseconds(way))));
        table.row(row);
    }
    table
}

fn chart(lines: &[Line]) -> String {
    let group = |line: &Line| Group {
        name: format!("{}, {} %", line.trace, line.percent),
        // As many as the chart has colours: the raw map that the shop's tier is made of comes last.
        values: line.ways.iter().take(4).map(|way| line.ratio(way)).collect(),
    };
    let chart = Chart {
        title: "Hits, in percent of all accesses (more is better)",
        series: names().into_iter().take(4).collect(),
        groups: lines.iter().map(group).collect(),
    };
    chart.svg()
}

fn markdown(lines: &[Line], traces: &[Trace], machine: &Machine) -> String {
    let about = traces.iter().map(|trace| {
        format!(
            "- **{}**: {}; {} accesses of {} keys.\n",
            trace.name,
            trace.about,
            cached::grouped(trace.accesses.len() as f64),
            cached::grouped(trace.keys() as f64)
        )
    });
    format!(
        "# Real traces\n\nWritten by `cargo bench --features full --bench cache_trace`; every run replaces it.\n\n\
         ![Hits](cache_trace.svg)\n\n{}\n\
         {}\
         - **stockroom**: `shop.products().get(id).await` with a tier of this process alone whose capacity in bytes is that of so many \
         products. A miss is loaded from memory through single flight, in a task of its own: that is in the time, and not in that of the others.\n\
         - **LRU**: the crate `lru`. **S3-FIFO**: as in Yang et al., \"FIFO queues are all you need\", SOSP 2023, by hand. **TinyLFU**: W-TinyLFU of \
         the crate `moka`. **quick_cache**: the map that stockroom's tier is made of, by itself. They `get`, and on a miss insert a product that is at hand.\n\
         - One caller; time is that of the whole trace divided by its accesses.\n\
         - The traces are copyrighted by headissue GmbH, Jens Wilke, and provided under CC BY 4.0.\n\n{}",
        table(lines).markdown(),
        about.collect::<String>(),
        machine.markdown()
    )
}
