//! Calls to the service: each under a deadline, in the one loop that repeats what may be repeated.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::BehaviorVersion;
use aws_sdk_dynamodb::config::Region;
use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_sdk_dynamodb::config::StalledStreamProtectionConfig;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::error::SdkError;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

use super::clock::StoreClock;
use super::error::Class;
use super::error::Failure;
use super::error::closed;
use super::error::failure;
use super::error::timeout;
use super::meter::Meter;
use super::options::DynamoOptions;
use super::tables::Table;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Backoff;
use crate::resilience::Deadline;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(2);

/// Pauses between attempts: those of the service's own client libraries.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(25), Duration::from_secs(1));

/// What all calls of a store share.
pub(super) struct Wire {
    pub(super) client: Client,
    pub(super) streams: aws_sdk_dynamodbstreams::Client,
    pub(super) clock: StoreClock,
    pub(super) attempt_timeout: Duration,
    pub(super) meter: Meter,
    /// Shares that a new level has.
    pub(super) level_shares: usize,
    tables: HashMap<Table, String>,
    budget: Budget,
    closed: AtomicBool,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("tables", &self.tables)
            .finish_non_exhaustive()
    }
}

impl Wire {
    /// # Errors
    /// `Config`, `Unauthenticated` for options that lack something.
    pub(super) fn new(options: &DynamoOptions) -> Result<Self> {
        options.check()?;
        let http = network(options);
        let meter = Meter::default();
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).build();
        let mut config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(behind_faults(http.clone(), options))
            .interceptor(meter.clone())
            // There is one loop that repeats, and it is here.
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(timeouts.clone())
            .region(options.region.clone().map(Region::new));
        let mut streams = aws_sdk_dynamodbstreams::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(http)
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(timeouts)
            .region(options.region.clone().map(Region::new));
        if let Some(endpoint) = &options.endpoint {
            config = config.endpoint_url(endpoint);
            streams = streams.endpoint_url(endpoint);
        }
        if let Some(credentials) = &options.credentials {
            config = config.credentials_provider(credentials.clone());
            streams = streams.credentials_provider(credentials.clone());
        }
        let names = Table::ALL.map(|table| (table, format!("{}{table}", options.prefix)));
        Ok(Self {
            client: Client::from_conf(config.build()),
            streams: aws_sdk_dynamodbstreams::Client::from_conf(streams.build()),
            clock: StoreClock::default(),
            attempt_timeout: options.attempt_timeout,
            meter,
            level_shares: options.level_shares,
            tables: names.into_iter().collect(),
            budget: Budget::default(),
            closed: AtomicBool::new(false),
        })
    }

    /// The full name of a table.
    pub(super) fn name(&self, table: Table) -> &str {
        self.tables.get(&table).map_or("", String::as_str)
    }

    /// The table of a full name.
    pub(super) fn table(&self, name: &str) -> Option<Table> {
        let mut tables = self.tables.iter();
        tables.find(|(_, full)| *full == name).map(|(table, _)| *table)
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// # Errors
    /// `Unavailable` once the store is closed.
    pub(super) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(closed());
        }
        Ok(())
    }

    /// A call that may be repeated: it reads, or writes the same however often it is sent.
    ///
    /// # Errors
    /// `Timeout` when the deadline ended without an answer; else what the service answered last.
    pub(super) async fn call<T, E, F>(&self, deadline: Deadline, send: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, SdkError<E>>>,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let finally = |error| Failure {
            error,
            class: Class::Final,
        };
        let mut attempt = 0;
        loop {
            self.check_open().map_err(finally)?;
            if deadline.is_over() {
                return Err(finally(timeout()));
            }
            let failed = match self.once(deadline, send()).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let may_repeat = match failed.class {
                Class::Contended => true,
                Class::Again | Class::Doubtful => self.may_repeat(),
                Class::Final | Class::Condition => false,
            };
            if !may_repeat {
                return Err(failed);
            }
            let pause = PAUSES.next(attempt);
            if pause >= deadline.remaining() {
                // What was wrong says more than that the time is over, unless it was the time.
                tokio::time::sleep(deadline.remaining()).await;
                return Err(failed);
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    /// One attempt at a call.
    pub(super) async fn once<T, E, F>(&self, deadline: Deadline, call: F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, SdkError<E>>>,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        match deadline.min(self.attempt_timeout).bound(call).await {
            Some(Ok(answer)) => {
                self.budget.earn();
                Ok(answer)
            }
            Some(Err(error)) => Err(failure(error)),
            None => Err(Failure {
                error: if deadline.is_over() {
                    timeout()
                } else {
                    Error::new(ErrorKind::Unavailable, "the service did not answer in time")
                },
                class: Class::Doubtful,
            }),
        }
    }

    /// As [`call`](Self::call), where it does not matter why it failed.
    pub(super) async fn read<T, E, F>(&self, deadline: Deadline, send: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, SdkError<E>>>,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        self.call(deadline, send).await.map_err(|failed| failed.error)
    }

    /// Whether one more attempt may be made; repeating is paid for by calls that went well.
    pub(super) fn may_repeat(&self) -> bool {
        let may = self.budget.spend();
        if may {
            self.meter.repeats();
        }
        may
    }
}

fn network(options: &DynamoOptions) -> SharedHttpClient {
    let plain = options
        .endpoint
        .as_deref()
        .is_some_and(|endpoint| endpoint.starts_with("http://"));
    if plain {
        return Builder::new().build_http();
    }
    Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .build_https()
}

#[cfg(feature = "testkit")]
fn behind_faults(http: SharedHttpClient, options: &DynamoOptions) -> SharedHttpClient {
    match &options.faults {
        Some(faults) => faults.behind(http),
        None => http,
    }
}

#[cfg(not(feature = "testkit"))]
fn behind_faults(http: SharedHttpClient, _: &DynamoOptions) -> SharedHttpClient {
    http
}

/// What may be spent on repeating: a service in trouble is not given more to do.
///
/// The numbers are those of the service's own client libraries: 500 at most, 5 an attempt, 1 back for a call that went well.
#[derive(Debug)]
struct Budget(AtomicI64);

const MOST: i64 = 500;
const PRICE: i64 = 5;

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicI64::new(MOST))
    }
}

impl Budget {
    fn spend(&self) -> bool {
        let spent = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            (left >= PRICE).then_some(left - PRICE)
        });
        spent.is_ok()
    }

    fn earn(&self) {
        // Full is full: nothing to do then.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            (left < MOST).then_some(left + 1)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeating_ends_and_what_goes_well_pays_for_more() {
        let budget = Budget::default();
        let spent = (0..1_000).filter(|_| budget.spend()).count();
        assert_eq!(spent, 100);
        (0..PRICE).for_each(|_| budget.earn());
        assert!(budget.spend() && !budget.spend());
    }
}
