//! What can go wrong, and for which calls.

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DynamoFault {
    /// It is throttled because one key is asked for too much. A transaction is told `ThrottlingError` for one of its items.
    HotKey,
    /// It is throttled because the table's provisioned throughput is used up. A transaction is told
    /// `ProvisionedThroughputExceeded` for one of its items.
    TableThroughput,
    /// It is throttled because the account's throughput in the region is used up.
    AccountThroughput,
    /// It is answered with the status 500: every other time after the service has done it, as a caller has to expect.
    ServerError,
    /// Another transaction is at work on one of its items: a transaction is cancelled, another write refused.
    TransactionConflict,
    /// The service says that the transaction is still under way, and does it within the next 20 ms.
    TransactionInProgress,
    /// About half of the keys of a batch, and one at least, are not read and given back.
    PartialBatch,
    /// It is lost before it arrives.
    LostRequest,
    /// It arrives and is done, and the reply is lost.
    LostReply,
    /// The body of the reply comes in pieces, with pauses between them.
    SlowBody,
    /// Its items are busy for a while: whoever writes one of them meanwhile waits or is refused, see
    /// [`Meeting`](super::Meeting). At a rate of 100 every item takes one write after the other.
    BusyItem,
}

const READS: [&str; 5] = ["GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems"];
const WRITES: [&str; 4] = ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"];

impl DynamoFault {
    /// Every fault.
    pub const ALL: &[Self] = &[
        Self::HotKey,
        Self::TableThroughput,
        Self::AccountThroughput,
        Self::ServerError,
        Self::TransactionConflict,
        Self::TransactionInProgress,
        Self::PartialBatch,
        Self::LostRequest,
        Self::LostReply,
        Self::SlowBody,
        Self::BusyItem,
    ];

    /// Whether it can strike a call of the service, such as `GetItem`.
    #[must_use]
    pub fn strikes(self, operation: &str) -> bool {
        let writes = WRITES.contains(&operation);
        match self {
            Self::TransactionConflict => writes || operation == "TransactGetItems",
            Self::TransactionInProgress => operation == "TransactWriteItems",
            Self::PartialBatch => operation == "BatchGetItem",
            Self::BusyItem => writes,
            _ => writes || READS.contains(&operation),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_managed_without_faults() {
        for operation in ["CreateTable", "DescribeTable", "UpdateTimeToLive"] {
            assert!(!DynamoFault::ALL.iter().any(|fault| fault.strikes(operation)));
        }
    }

    #[test]
    fn each_fault_strikes_something() {
        for fault in DynamoFault::ALL {
            assert!(
                READS
                    .iter()
                    .chain(&WRITES)
                    .any(|operation| fault.strikes(operation)),
                "{fault:?}"
            );
        }
    }
}
