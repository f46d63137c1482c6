//! Tables for people.

use std::time::Duration;

use comfy_table::Cell;
use comfy_table::CellAlignment;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;

use crate::crowd::Sale;
use crate::shop::Books;
use crate::shop::Commits;

/// How the sale went; beside it the usual way's, and how they compare.
pub(crate) fn sales(sale: &Sale, usual: Option<&Sale>) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(match usual {
        Some(_) => vec!["", "stockroom", "the usual way", "stockroom is"],
        None => vec!["", "stockroom"],
    });
    count(&mut table, "sold", [Some(sale), usual], Sale::sold);
    count(&mut table, "refused", [Some(sale), usual], Sale::refused);
    speed(
        &mut table,
        "orders a second",
        [Some(sale), usual],
        Sale::orders_a_second,
    );
    speed(
        &mut table,
        "answers a second",
        [Some(sale), usual],
        Sale::answers_a_second,
    );
    for (name, percent) in [("latency p50", 50), ("p95", 95), ("p99", 99), ("max", 100)] {
        time(&mut table, name, [Some(sale), usual], |sale| sale.within(percent));
    }
    table
}

/// How many requests shared a commit, and how long they waited for it.
pub(crate) fn commits(commits: &Commits) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["requests in a commit", "commits"]);
    for (least, most, count) in commits.sizes.steps() {
        table.add_row([right(format!("{} to {most}", least.max(1))), right(count)]);
    }
    format!(
        "{table}\n{} requests in {} commits: {:.1} on average, {} tried again, {:.2} ms until a request had its turn",
        commits.sizes.sum(),
        commits.sizes.count(),
        commits.sizes.mean(),
        commits.again,
        commits.waits.mean() / 1e3
    )
}

/// Stock and ledger.
pub(crate) fn books(books: &Books) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "on hand",
        "allocated",
        "available",
        "movements",
        "levels that differ",
    ]);
    table.add_row([
        right(books.level.on_hand),
        right(books.level.allocated),
        right(books.level.available()),
        right(books.ledger.movements),
        right(books.ledger.drift.len()),
    ]);
    table
}

fn count(table: &mut Table, name: &str, sales: [Option<&Sale>; 2], of: fn(&Sale) -> usize) {
    let cells = sales.into_iter().flatten().map(|sale| right(of(sale)));
    table.add_row(std::iter::once(Cell::new(name)).chain(cells));
}

fn speed(table: &mut Table, name: &str, sales: [Option<&Sale>; 2], of: fn(&Sale) -> f64) {
    let values: Vec<f64> = sales.into_iter().flatten().map(of).collect();
    let mut cells = vec![Cell::new(name)];
    cells.extend(values.iter().map(|value| right(format!("{value:.0}"))));
    if let [ours, theirs] = *values {
        cells.push(right(format!("{:.1} times as fast", ours / theirs)));
    }
    table.add_row(cells);
}

fn time(table: &mut Table, name: &str, sales: [Option<&Sale>; 2], of: impl Fn(&Sale) -> Duration) {
    let values: Vec<f64> = sales
        .into_iter()
        .flatten()
        .map(|sale| of(sale).as_secs_f64() * 1e3)
        .collect();
    let mut cells = vec![Cell::new(name)];
    cells.extend(values.iter().map(|value| right(format!("{value:.2} ms"))));
    if let [ours, theirs] = *values {
        cells.push(right(format!("{:.1} times as fast", theirs / ours)));
    }
    table.add_row(cells);
}

fn right(content: impl std::fmt::Display) -> Cell {
    Cell::new(content).set_alignment(CellAlignment::Right)
}
