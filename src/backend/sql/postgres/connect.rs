//! Connections: what every session is set to.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::postgres::PgConnectOptions;
use sqlx::postgres::PgConnection;

use super::PostgresOptions;
use super::error;
use crate::backend::sql::committer::LOCK_WAIT;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;

/// How long a connection may take to be opened.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a statement of a read or of a migration waits for a lock, in milliseconds.
const LOCK_TIMEOUT: &str = "2000";
/// Statements kept prepared on each connection.
const STATEMENTS: usize = 256;
/// What every connection is opened with.
pub(super) fn options(options: &PostgresOptions) -> Result<PgConnectOptions> {
    // The driver's words are left out: they may repeat the address, and with it the password.
    let connect = PgConnectOptions::from_str(&options.url).map_err(|_| {
        Error::new(
            ErrorKind::Config,
            "not a PostgreSQL address, as in postgres://user@host/database",
        )
        .operation("open")
    })?;
    let timeout = options.statement_timeout.as_millis().to_string();
    let mut settings = vec![
        ("statement_timeout", timeout),
        ("lock_timeout", LOCK_TIMEOUT.to_owned()),
        ("idle_in_transaction_session_timeout", "10000".to_owned()),
        ("tcp_keepalives_idle", "30".to_owned()),
        ("tcp_keepalives_interval", "5".to_owned()),
        ("tcp_keepalives_count", "3".to_owned()),
        ("tcp_user_timeout", "15000".to_owned()),
    ];
    if let Some(schema) = &options.schema {
        check_schema(schema)?;
        settings.push(("search_path", schema.clone()));
    }
    let connect = if connect.get_application_name().is_none() {
        connect.application_name("stockroom")
    } else {
        connect
    };
    Ok(connect
        .statement_cache_capacity(STATEMENTS)
        .options(settings)
        .disable_statement_logging())
}

/// The same for a connection that commits batches.
pub(super) fn committing(options: &PgConnectOptions) -> PgConnectOptions {
    // Of two settings of one name the server takes the later.
    options.clone().options([("lock_timeout", LOCK_WAIT.as_millis())])
}

fn check_schema(schema: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let starts = schema
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if starts && schema.len() <= 63 && schema.bytes().all(plain) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Config,
        "a schema is named with lower-case letters, digits and underscores",
    )
    .operation("open"))
}

/// One connection outside of any pool.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection> {
    match tokio::time::timeout(CONNECT, PgConnection::connect_with(options)).await {
        Ok(connected) => connected.map_err(|error| opening(&error)),
        Err(_) => Err(Error::new(
            ErrorKind::Unavailable,
            format!("no server answered within {} s", CONNECT.as_secs()),
        )),
    }
}

/// An error while connecting: nothing was sent, so that nothing is in doubt.
fn opening(error: &sqlx::Error) -> Error {
    match error {
        sqlx::Error::Io(_) => Error::new(ErrorKind::Unavailable, "no server answers at this address")
            .caused_by(error.to_string()),
        _ => error::map(error),
    }
}
