//! Real database servers for tests, without containers: started as child processes on loopback ports that are free at the
//! time, or given by an environment variable.
//!
//! - Nothing stays behind: a watchdog process ends the server and removes its folder when the test process ends, however it
//!   ends.
//! - A server that is not installed is a loud skip on a laptop and a failure where `CI=true`: see [`require`].
//!
//! The engines exist on Unix only: they need signals, users and process groups.
//!
//! ```no_run
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), stockroom::testkit::engines::EngineError> {
//! use stockroom::testkit::engines::{Postgres, require};
//!
//! let Some(postgres) = require(Postgres::shared().await)? else {
//!     return Ok(()); // not installed here: `require` has said so
//! };
//! println!("the server is at {}", postgres.address());
//! # Ok(())
//! # }
//! ```

#[cfg(unix)]
mod dynamodb;
#[cfg(unix)]
mod folder;
#[cfg(unix)]
mod light;
#[cfg(unix)]
mod locate;
#[cfg(unix)]
mod memcached;
#[cfg(unix)]
mod pgbouncer;
pub(in crate::testkit) mod port;
#[cfg(unix)]
mod postgres;
#[cfg(unix)]
mod redis;
#[cfg(unix)]
mod redis_cluster;
#[cfg(unix)]
mod server;
#[cfg(test)]
#[cfg(all(unix, feature = "postgres"))]
mod tests;
#[cfg(unix)]
mod url;

use std::io::Write;

#[cfg(unix)]
pub use self::dynamodb::DynamoDb;
#[cfg(unix)]
pub use self::memcached::Memcached;
#[cfg(unix)]
pub use self::pgbouncer::PgBouncer;
#[cfg(unix)]
pub use self::postgres::Postgres;
#[cfg(unix)]
pub use self::redis::Redis;
#[cfg(unix)]
pub use self::redis::RedisNode;
#[cfg(unix)]
pub use self::redis::RedisTls;
#[cfg(unix)]
pub use self::redis_cluster::RedisCluster;

/// Why an engine is not there for a test.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The engine's programs are not installed and no server was given.
    #[error("{engine} is not installed: {install}")]
    Missing {
        /// The engine's name.
        engine: &'static str,
        /// What a person does about it.
        install: &'static str,
    },
    /// A step failed; `output` is what the engine said.
    #[error("{engine}: {step} failed: {output}")]
    Failed {
        /// The engine's name.
        engine: &'static str,
        /// The step, such as "initdb".
        step: &'static str,
        /// The end of the engine's own output.
        output: String,
    },
    /// The server was given by an environment variable, so it is not for a test to stop or kill.
    #[error(
        "{engine} was given by {variable}, so it is not stopped or killed: unset it to test on a server of our own"
    )]
    NotOurs {
        /// The engine's name.
        engine: &'static str,
        /// The environment variable.
        variable: &'static str,
    },
    /// A setting cannot be used.
    #[error("{variable}: {reason}")]
    Setting {
        /// The environment variable.
        variable: &'static str,
        /// What is wrong with its value, without the value.
        reason: &'static str,
    },
    /// The operating system refused something.
    #[error("{step}")]
    Io {
        /// What was tried.
        step: &'static str,
        /// The operating system's answer.
        source: std::io::Error,
    },
}

impl EngineError {
    /// For `map_err`: names what was tried.
    fn io(step: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { step, source }
    }
}

/// Decides what a missing engine means: a loud skip on a laptop, a failure where `CI=true`.
///
/// - `Ok(Some(engine))`: it is there.
/// - `Ok(None)`: it is not installed and this is not CI; one line that starts with `SKIPPED` and names the running test went
///   to standard error, past the test runner's capture.
///
/// # Errors
/// Every error of the start, and [`EngineError::Missing`] too where `CI=true`.
pub fn require<T>(started: Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    // The stream itself: the test runner captures what the printing macros write, and shows it only for failures.
    judge(
        started,
        setting("CI").as_deref() == Some("true"),
        std::io::stderr(),
    )
}

/// What an environment variable of the tests holds, `None` if it is unset, empty or not Unicode.
///
/// - Every setting of tests, examples and benches is read here; the library itself reads none.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where settings of tests are read"
)]
#[must_use]
pub fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn judge<T>(
    started: Result<T, EngineError>,
    is_ci: bool,
    mut announce: impl Write,
) -> Result<Option<T>, EngineError> {
    match started {
        Ok(engine) => Ok(Some(engine)),
        Err(missing @ EngineError::Missing { .. }) if !is_ci => {
            let thread = std::thread::current();
            let line = format!("SKIPPED {}: {missing}\n", thread.name().unwrap_or("a test"));
            // Without a standard error there is no one to tell.
            drop(announce.write_all(line.as_bytes()));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
