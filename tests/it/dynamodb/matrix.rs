//! Every fault of the layer at two rates under a mixed load: nothing is lost, nothing happens twice, every error is of the
//! fault's own kind, and what is repeated is paid for.

use std::sync::Arc;
use std::time::Instant;

use stockroom::DynamoStore;
use stockroom::ErrorKind;
use stockroom::Migrate;
use stockroom::Stockroom;
use stockroom::testkit::dynamodb::DynamoFault;
use stockroom::testkit::dynamodb::DynamoFaults;
use stockroom::testkit::engines;
use stockroom::testkit::engines::DynamoDb;

use super::fresh;
use super::ledger;
use crate::support::Dice;
use crate::support::Shop;

/// Percent of the requests that are struck.
const RATES: [u8; 2] = [5, 30];

/// What may be repeated without having been paid for: the budget that a store begins with.
const CREDIT: u64 = 100;
/// Calls that go well pay for one that is repeated.
const PRICE: u64 = 5;

/// Operations of a cell: a hundred thousand over all cells in the long run.
fn operations() -> usize {
    match engines::setting("STOCKROOM_SOAK").as_deref() {
        Some("1") => 100_000 / (DynamoFault::ALL.len() * RATES.len()) + 1,
        _ => 2_000,
    }
}

/// One fault at both rates, each in a shop of its own.
async fn cells(fault: DynamoFault, expected: &[ErrorKind]) {
    // A server of its own: with every write the engine looks through the stream records of all its tables.
    let server = engines::require(DynamoDb::start().await).unwrap();
    let Some(server) = server else { return };
    for rate in RATES {
        let seed = Dice::new("struck requests").draw();
        let (faults, begun) = (DynamoFaults::new(seed), Instant::now());
        let options = fresh(server.url()).migrate(Migrate::Apply).faults(&faults);
        let store = Arc::new(DynamoStore::connect(options).await.unwrap());
        let shop = Shop::of(Stockroom::builder().store_arc(store.clone())).await;
        let carts = ledger::prepare(&shop).await;
        faults.reset_counts();
        faults.plant(fault, rate);
        let before = store.usage();
        let told = ledger::load(&shop, carts, operations()).await;
        faults.heal();
        let (usage, struck) = (store.usage().since(&before), faults.counts().struck(fault));
        println!(
            "{fault:?} at {rate} %: {} operations, struck {struck} of {} calls, {} repeats, {} errors {:?}, {:?}",
            told.operations,
            usage.total().calls,
            usage.repeats,
            told.errors.len(),
            told.kinds(),
            begun.elapsed()
        );
        assert!(told.operations >= operations() && struck > 0, "{struck} struck");
        for error in &told.errors {
            assert!(expected.contains(&error.kind()), "{error:?}");
        }
        let went_well = usage.total().calls - usage.total().failed;
        assert!(usage.repeats <= CREDIT + went_well / PRICE, "{usage:?}");
        ledger::assert_true(&shop, &told).await;
        shop.close().await;
    }
}

/// One test a fault: they run beside each other.
macro_rules! faults {
    ($($name:ident: $fault:ident, [$($kind:ident),*];)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                cells(DynamoFault::$fault, &[$(ErrorKind::$kind),*]).await;
            }
        )*

        #[test]
        fn every_fault_has_its_cells() {
            let tried = [$(DynamoFault::$fault),*];
            assert!(DynamoFault::ALL.iter().all(|fault| tried.contains(fault)));
        }
    };
}

faults! {
    hot_keys: HotKey, [RateLimited];
    tables_without_throughput: TableThroughput, [RateLimited];
    accounts_without_throughput: AccountThroughput, [RateLimited];
    server_errors: ServerError, [Unavailable];
    transaction_conflicts: TransactionConflict, [];
    transactions_in_progress: TransactionInProgress, [Unavailable];
    partial_batches: PartialBatch, [];
    lost_requests: LostRequest, [Unavailable];
    lost_replies: LostReply, [Unavailable];
    slow_bodies: SlowBody, [];
    busy_items: BusyItem, [];
}
