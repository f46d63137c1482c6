//! Changing products, filling carts, and both mixed with orders: through the shop, and beside it by hand.
//!
//! ```text
//! cargo bench --features full --bench writes                       # writes docs/benchmarks/writes.md
//! cargo bench --features full --bench writes -- --quick            # some seconds, writes nothing
//! cargo bench --features full --bench writes -- --case="cart line" # the cases with this in their name
//! ```
//!
//! Also: `postgres` or `sqlite` for one engine alone, `shop` for the shop without what it is compared with.

#[path = "../compared/mod.rs"]
mod compared;
#[path = "../support/mod.rs"]
mod support;

mod by_hand;
mod caller;
mod case;
mod desk;
mod stand;

use case::Case;
use case::Effort;
use compared::comparison;
use compared::connections::CONNECTIONS;
use compared::ground;
use compared::rounds;
use compared::rounds::Outcome;
use stand::WriteStand;
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
        let part = settings.case.unwrap_or_default();
        let cases = effort.cases.iter().filter(|case| case.engine == engine);
        for case in cases.filter(|case| case.name().contains(part)) {
            outcomes.push(measure(*case, &places, effort).await?);
        }
    }
    machine.add("other programs", comparison::disturbed(&outcomes));
    println!("{}\n{}", table(&outcomes).text(), machine.markdown());
    if settings.is_report() {
        support::write_report(
            "writes",
            &markdown(&machine, &outcomes, effort),
            &comparison::chart(&outcomes, "Writes a second (more is better)"),
        )?;
    }
    Ok(())
}

async fn measure(case: Case, places: &Places, effort: Effort) -> Result<Outcome> {
    let ways = case.ways.iter().take(effort.ways);
    let mut stands = Vec::new();
    for way in ways.clone() {
        stands.push(WriteStand::open(case, *way, places, effort.products).await?);
    }
    let names = ways.map(|way| way.name()).collect();
    let outcome = rounds::measure(case.name(), names, &mut stands, effort.pace).await?;
    for stand in stands {
        stand.close().await?;
    }
    Ok(outcome)
}

fn table(outcomes: &[Outcome]) -> Table {
    comparison::table(outcomes, "writes/s", "rows inserted a write")
}

fn markdown(machine: &Machine, outcomes: &[Outcome], effort: Effort) -> String {
    format!(
        "# Other writes\n\nWritten by `cargo bench --features full --bench writes`; every run replaces it.\n\n\
         ![Writes a second](writes.svg)\n\n{}\n\
         - **product update**: `shop.products().update(&product, patch)` with another title, of any of 10,000 products; one in \
         a hundred rests on a state that is past and is a `Conflict`. By hand: a statement with the expected version in its \
         condition.\n\
         - **cart line**: `shop.carts().add(cart, sku, 1)`, any of 10,000 carts and of 10,000 SKUs. By hand: the cart's \
         version and expiry, and the line, which is inserted or added to.\n\
         - **mix**: 40 % cart lines, 20 % product updates (1 % of them stale), 40 % orders of three SKUs of 10,000, as in \
         [checkout.md](checkout.md).\n\
         - **a transaction each**: BEGIN, the statements, COMMIT; {CONNECTIONS} connections. On SQLite BEGIN IMMEDIATE on the one connection that can write.\n\
         - **a statement each**: all of a write as one statement, committed by itself; {CONNECTIONS} connections.\n\
         - All ways write the same tables and indexes; only stockroom also writes its history (a row for up to 128 changes on \
         PostgreSQL, a row for each aggregate touched on SQLite) and one commit row a batch: the difference in rows. By hand nothing is asked of a connection \
         before or after its use, and statements are prepared once.\n\
         - **writes a batch** share a commit; **tries a batch** are the transactions that it took: more than one where a batch was \
         decided again on fresh figures, or divided.\n\
         - **its p50 / p99 are**: stockroom's, as a part of those in the line. **+0.5 ms a round trip**: through a relay of \
         the bench that holds back what a client sends, for both sides.\n\
         - {} rounds of {} ms in turns, in a schema (a file) for each way; rate and percentiles are medians over the rounds; \
         a conflict counts as an answer. After each round versions, carts, orders, stock and ledger are compared with what \
         the callers were told.\n\n{}",
        table(outcomes).markdown(),
        effort.pace.rounds,
        effort.pace.round.as_millis(),
        machine.markdown()
    )
}
