//! Placing orders through the shop beside what one writes by hand: a transaction for each order, or one statement for each.
//!
//! ```text
//! cargo bench --features full --bench checkout                          # writes docs/benchmarks/checkout.md
//! cargo bench --features full --bench checkout -- --quick               # some seconds, writes nothing
//! cargo bench --features full --bench checkout -- --case="selling out"  # the cases with this in their name
//! ```
//!
//! Also: `postgres` or `sqlite` for one engine alone, `shop` for the shop without what it is compared with.

#[path = "../compared/mod.rs"]
mod compared;
#[path = "../support/mod.rs"]
mod support;

mod basket;
mod case;
mod look;
mod stand;

use case::Effort;
use case::Setup;
use compared::comparison;
use compared::connections::CONNECTIONS;
use compared::ground;
use compared::rounds;
use compared::rounds::Outcome;
use stand::CheckoutStand;
use support::Engine;
use support::Machine;
use support::Places;
use support::Result;
use support::Settings;
use support::Table;

#[tokio::main]
async fn main() -> Result<()> {
    let settings = Settings::from_args();
    let effort = Effort::of(settings);
    let mut machine = Machine::look();
    let places = Places::start(settings, &mut machine).await?;
    ground::measure_distance(&places, &mut machine).await?;
    let mut outcomes = Vec::new();
    for engine in Engine::ALL.into_iter().filter(|engine| settings.wants(*engine)) {
        if engine == Engine::Postgres && places.postgres().is_none() {
            continue;
        }
        for setup in effort.setups.iter().filter(|setup| setup.engine == engine) {
            outcomes.extend(measure(*setup, settings, &places, effort).await?);
        }
    }
    machine.add("other programs", comparison::disturbed(&outcomes));
    println!("{}\n{}", table(&outcomes).text(), machine.markdown());
    if settings.is_report() {
        support::write_report(
            "checkout",
            &markdown(&machine, &outcomes, effort),
            &comparison::chart(&outcomes, "Orders placed a second (more is better)"),
        )?;
    }
    Ok(())
}

/// The cases of one setup: its shops stay, only the number of callers changes.
async fn measure(setup: Setup, settings: Settings, places: &Places, effort: Effort) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    let part = settings.case.unwrap_or_default();
    let wanted = |callers: &&usize| setup.name(**callers).contains(part);
    let callers: Vec<usize> = setup.callers.iter().filter(wanted).copied().collect();
    if callers.is_empty() {
        return Ok(outcomes);
    }
    let ways = setup.ways.iter().take(effort.ways);
    let mut stands = Vec::new();
    for way in ways.clone() {
        stands.push(CheckoutStand::open(setup, *way, places, effort.skus).await?);
    }
    for callers in callers {
        for stand in &mut stands {
            stand.callers = callers;
        }
        // One caller has no use for two committers.
        let ways: Vec<&str> = ways
            .clone()
            .filter(|way| callers > 1 || **way != case::Way::TwoShops)
            .map(|way| way.name())
            .collect();
        let stands = &mut stands[..ways.len()];
        outcomes.push(rounds::measure(setup.name(callers), ways, stands, effort.pace).await?);
    }
    for stand in stands {
        stand.close().await?;
    }
    Ok(outcomes)
}

fn table(outcomes: &[Outcome]) -> Table {
    comparison::table(outcomes, "orders/s", "rows inserted an order")
}

fn markdown(machine: &Machine, outcomes: &[Outcome], effort: Effort) -> String {
    format!(
        "# Placing orders\n\nWritten by `cargo bench --features full --bench checkout`; every run replaces it.\n\n\
         ![Orders placed a second](checkout.svg)\n\n{}\n\
         - **stockroom**: `shop.checkout().place(Place::quote(quote).key(key))` of a quote that was loaded before, a shop with \
         its default options: one connection writes, what arrives meanwhile shares the next commit. **its p50 / p99 are**: \
         stockroom's, as a part of those in the line.\n\
         - **a transaction each**: BEGIN, unique keys, cart, order, lines, movements, the stock's rows locked in order \
         (FOR UPDATE) and checked, the stock changed, COMMIT; {CONNECTIONS} connections. On SQLite BEGIN IMMEDIATE on the one \
         connection that can write.\n\
         - **a statement each**: all of it as one data-modifying statement, committed by itself; {CONNECTIONS} connections.\n\
         - **two stockrooms**: two shops of one database, as in two processes, each with half of the callers.\n\
         - All ways write the same tables and indexes: two unique keys (the idempotency key, one order per cart), order, \
         lines, movements; beside them they update the cart and the stock's rows. Only stockroom also writes its history \
         (a row for up to 128 changes on PostgreSQL, a row for each aggregate touched on SQLite) and one commit row a batch: the \
         difference in rows. By hand nothing is asked of a connection before or after its use, statements are prepared once, and lines go in as one statement.\n\
         - **writes a batch** share a commit; **tries a batch** are the transactions that it took: more than one where a batch was \
         decided again on fresh figures, or divided.\n\
         - **by Zipf**: the n-th SKU is wanted 1/n times as often as the first; a cart has as often one line as five.\n\
         - **+0.5 ms a round trip**: through a relay of the bench that holds back what a client sends, for both sides; its \
         own work counts as the client's.\n\
         - **tables counted while empty**: ANALYZE right after the tables were made, and not again: plans are made for no \
         rows. Everywhere else ANALYZE runs when the shop is filled.\n\
         - **selling out**: there is half of what is asked for. Everybody is answered, exactly the stock is sold; the rate \
         counts answers. By hand one looks first, by a plain read, so that who comes too late waits for no lock.\n\
         - Guests' carts. {} rounds of {} ms in turns, in a schema (a file) for each way; rate and percentiles are medians \
         over the rounds. Callers place one order after the other. After each round the units sold are compared with stock, \
         ledger, order lines, orders, carts and keys.\n\n{}",
        table(outcomes).markdown(),
        effort.pace.rounds,
        effort.pace.round.as_millis(),
        machine.markdown()
    )
}
