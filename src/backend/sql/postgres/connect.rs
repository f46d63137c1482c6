//! Connections: what every session is set to.

use std::fmt::Write as _;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::Connection as _;
use sqlx::postgres::PgConnectOptions;
use sqlx::postgres::PgConnection;

use super::PostgresOptions;
use super::error;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;

/// How long a connection may take to be opened.
pub(super) const CONNECT: Duration = Duration::from_secs(5);
/// How long a statement of a read waits for a lock.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// Statements kept prepared on each connection.
const STATEMENTS: usize = 256;
/// What a transaction behind a pooler may take while nothing is sent; in milliseconds, as the others.
const IDLE_IN_TRANSACTION: &str = "10000";

/// What a session of our own is opened with; its statements wait so long for a lock.
pub(super) fn own(url: &str, options: &PostgresOptions, lock_wait: Duration) -> Result<PgConnectOptions> {
    let connect = plain(url)?.statement_cache_capacity(STATEMENTS);
    let mut settings = settings(options, lock_wait)?;
    settings.extend([
        ("tcp_keepalives_idle", "30".to_owned()),
        ("tcp_keepalives_interval", "5".to_owned()),
        ("tcp_keepalives_count", "3".to_owned()),
        ("tcp_user_timeout", "15000".to_owned()),
    ]);
    Ok(connect.options(settings))
}

/// What is sent to a pooler, which takes no settings at the start of a session.
pub(super) fn plain(url: &str) -> Result<PgConnectOptions> {
    // The driver's words are left out: they may repeat the address, and with it the password.
    let connect = PgConnectOptions::from_str(url).map_err(|_| {
        Error::new(
            ErrorKind::Config,
            "not a PostgreSQL address, as in postgres://user@host/database",
        )
        .operation("open")
    })?;
    let connect = if connect.get_application_name().is_none() {
        connect.application_name("stockroom")
    } else {
        connect
    };
    Ok(connect.disable_statement_logging())
}

/// The message that begins a transaction behind a pooler: its settings go with it, and end with it. A replica refuses to
/// read and write (0A000), so that each transaction checks for the writer on its way.
pub(super) fn begin(options: &PostgresOptions, lock_wait: Duration) -> Result<String> {
    let mut text = "BEGIN READ WRITE".to_owned();
    for (name, value) in settings(options, lock_wait)? {
        // Writing to a String cannot fail. The values are numbers and a checked name.
        let _ = write!(text, "; SET LOCAL {name} = {value}");
    }
    Ok(text)
}

fn settings(options: &PostgresOptions, lock_wait: Duration) -> Result<Vec<(&'static str, String)>> {
    let millis = |length: Duration| length.as_millis().to_string();
    let mut settings = vec![
        ("statement_timeout", millis(options.statement_timeout)),
        ("lock_timeout", millis(lock_wait)),
        (
            "idle_in_transaction_session_timeout",
            IDLE_IN_TRANSACTION.to_owned(),
        ),
    ];
    if let Some(schema) = &options.schema {
        check_schema(schema)?;
        settings.push(("search_path", schema.clone()));
    }
    Ok(settings)
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

/// One connection, without any check of the server.
pub(super) async fn open(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    PgConnection::connect_with(options).await
}

/// Nobody answered in time.
pub(super) fn silent() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("no server answered within {} s", CONNECT.as_secs()),
    )
}

/// An error while connecting: nothing was sent, so that nothing is in doubt.
pub(super) fn opening(error: &sqlx::Error) -> Error {
    match error {
        sqlx::Error::Io(_) => Error::new(ErrorKind::Unavailable, "no server answers at this address")
            .caused_by(error.to_string()),
        _ => error::map(error),
    }
}
