//! What came of a trial: how old what was read was, a row of a table in Markdown, and the page that a soak keeps its rows on.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Once;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use stockroom::CacheStats;
use stockroom::testkit::engines;

/// Whether this is one of the long runs.
pub(super) fn is_soak() -> bool {
    engines::setting("STOCKROOM_SOAK").is_some()
}

/// Reads of one trial; a thousand times as many in a soak would be days, a hundred times are hours.
pub(super) fn reads() -> usize {
    if is_soak() { 10_000_000 } else { 100_000 }
}

/// Up to which ages reads are counted together; older ones are in the last count.
const STEPS: [Duration; 3] = [
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
];

/// How many reads gave what was not the newest any more when they began, and by how much.
#[derive(Debug, Default)]
pub(super) struct Ages {
    counts: [AtomicUsize; 4],
    stale: AtomicUsize,
    worst_micros: AtomicU64,
}

impl Ages {
    /// A read gave what had not been the newest for so long, as far as that was so, and what is allowed; whether it is too old.
    pub(super) fn count(&self, known: [(Option<Duration>, Duration); 2]) -> bool {
        let Some(age) = known.iter().filter_map(|(age, _)| *age).max() else {
            return false;
        };
        let step = STEPS.iter().position(|step| age <= *step).unwrap_or(STEPS.len());
        self.counts[step].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        self.worst_micros.fetch_max(micros, Ordering::Relaxed);
        let is_stale = known
            .iter()
            .any(|(age, bound)| age.is_some_and(|age| age >= *bound));
        if is_stale {
            self.stale.fetch_add(1, Ordering::Relaxed);
        }
        is_stale
    }

    /// Reads that were older than the level allows.
    pub(super) fn stale(&self) -> usize {
        self.stale.load(Ordering::Relaxed)
    }

    /// The highest age.
    pub(super) fn worst(&self) -> Duration {
        Duration::from_micros(self.worst_micros.load(Ordering::Relaxed))
    }

    /// The counts by age.
    pub(super) fn sums(&self) -> [usize; 4] {
        self.counts.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}

/// What came of a trial.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) reads: usize,
    /// Reads that were older than the level allows.
    pub(super) stale: usize,
    /// How long a shop may be behind what the other one wrote.
    pub(super) bound: Duration,
    /// The highest age of what was read.
    pub(super) worst: Duration,
    /// Reads that were not of the newest version, by age.
    pub(super) ages: [usize; 4],
    pub(super) writes: usize,
    pub(super) deaths: usize,
    pub(super) took: Duration,
    pub(super) stats: [CacheStats; 2],
}

/// What a row of outcomes tells.
const TITLES: [&str; 21] = [
    "trial",
    "reads checked",
    "stale",
    "bound, ms",
    "worst age, ms",
    "≤ 10 ms",
    "≤ 100 ms",
    "≤ 1 s",
    "older",
    "writes",
    "died",
    "in process",
    "shared",
    "loads",
    "waited",
    "held",
    "down",
    "void",
    "told",
    "flushed",
    "reads/s",
];

/// A row of a table in Markdown, without the name that it begins with; [`TITLES`] are its columns.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |field: fn(&CacheStats) -> u64| self.stats.iter().map(field).sum::<u64>();
        let [ten, hundred, second, older] = self.ages;
        let known = [self.writes, self.deaths].map(|count| count.to_string());
        let counts = [
            sum(|stats| stats.hits_in_process),
            sum(|stats| stats.hits_shared),
            sum(|stats| stats.loads),
            sum(|stats| stats.waited),
            sum(|stats| stats.bypassed_held),
            sum(|stats| stats.bypassed_down),
            sum(|stats| stats.fills_void),
            sum(|stats| stats.told),
            sum(|stats| stats.doubts),
        ];
        let counts = counts.map(|count| count.to_string());
        write!(
            f,
            "| {} | {} | {} | {:.1} | {ten} | {hundred} | {second} | {older} | {} | {} | {:.0} |",
            self.reads,
            self.stale,
            self.bound.as_millis(),
            self.worst.as_secs_f64() * 1_000.0,
            known.join(" | "),
            counts.join(" | "),
            self.reads as f64 / self.took.as_secs_f64(),
        )
    }
}

fn head() -> String {
    let line = "---:|".repeat(TITLES.len() - 1);
    format!("| {} |\n|---|{line}", TITLES.join(" | "))
}

/// Prints an outcome as a row of a table, the first one with the head.
pub(super) fn tell(name: &str, outcome: &Outcome) {
    static HEAD: Once = Once::new();
    HEAD.call_once(|| println!("{}", head()));
    println!("| {name} {outcome}");
}

/// Where the rows of soaks are kept.
fn page() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/docs/benchmarks/staleness.md"
    ))
}

/// Whether a soak leaves this trial out: with `rest` one that has its row, with a name every trial of another name.
pub(super) fn is_left_out(name: &str) -> bool {
    match engines::setting("STOCKROOM_SOAK").as_deref() {
        None | Some("1") => false,
        Some("rest") => {
            std::fs::read_to_string(page()).is_ok_and(|page| page.contains(&format!("\n| {name} |")))
        }
        Some(only) => {
            let is_other = name != only;
            if is_other {
                println!("left out: {name}, since STOCKROOM_SOAK names {only}");
            }
            is_other
        }
    }
}

/// Keeps the row of a trial that held, if it was a soak: in place of the one that it had, or in the order of names.
pub(super) fn keep(name: &str, outcome: &Outcome) {
    if !is_soak() {
        return;
    }
    let mut page = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(page())
        .unwrap();
    // Trials run side by side, in several processes too.
    page.lock().unwrap();
    let mut text = String::new();
    page.read_to_string(&mut text).unwrap();
    let text = with_row(&text, name, &format!("| {name} {outcome}"));
    page.set_len(0).unwrap();
    page.rewind().unwrap();
    page.write_all(text.as_bytes()).unwrap();
}

/// The page with this row; its table is begun at the end where it has none.
fn with_row(page: &str, name: &str, row: &str) -> String {
    let head = head();
    let (before, table) = page.split_once(&head).unwrap_or((page, "\n"));
    let table = table.trim_start_matches('\n');
    let length = table.lines().take_while(|line| line.starts_with('|')).count();
    let own = format!("| {name} |");
    let mut rows: Vec<&str> = table.lines().take(length).collect();
    rows.retain(|row| !row.starts_with(&own));
    rows.push(row);
    rows.sort_unstable();
    let after: Vec<&str> = table.lines().skip(length).collect();
    let mut lines = vec![before.trim_end(), "", head.as_str()];
    lines.extend(rows);
    lines.extend(after);
    lines.join("\n").trim_start().to_owned() + "\n"
}

#[test]
fn a_soak_replaces_its_row_and_leaves_what_is_around_the_table() {
    let empty = with_row("# Staleness\n\nText.\n", "b", "| b | 1 |");
    let two = with_row(&empty, "a", "| a | 1 |");
    let again = with_row(&format!("{two}\nMore.\n"), "b", "| b | 2 |");
    assert_eq!(
        again,
        format!(
            "# Staleness\n\nText.\n\n{}\n| a | 1 |\n| b | 2 |\n\nMore.\n",
            head()
        )
    );
}
