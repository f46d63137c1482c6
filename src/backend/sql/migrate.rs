//! Which schema a database has, and which it needs.

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::spi::store::Migrate;

/// One step of the schema, never changed once it was released.
#[derive(Debug)]
pub(super) struct Migration {
    pub(super) version: i64,
    pub(super) sql: &'static str,
}

/// What is left to do, given the version found (0 is an empty database).
pub(super) fn pending(
    migrate: Migrate,
    found: i64,
    all: &'static [Migration],
) -> Result<&'static [Migration]> {
    let newest = all.last().map_or(0, |migration| migration.version);
    if found > newest {
        return Err(Error::new(
            ErrorKind::Config,
            format!(
                "the schema has version {found}, this version of the crate knows {newest}: upgrade the crate"
            ),
        ));
    }
    let missing = all
        .iter()
        .position(|migration| migration.version > found)
        .map_or(&all[..0], |first| &all[first..]);
    let allowed = match migrate {
        Migrate::Apply => true,
        Migrate::Create => found == 0,
        Migrate::Check => false,
    };
    if missing.is_empty() || allowed {
        return Ok(missing);
    }
    let what = if found == 0 {
        "the database has no schema".to_owned()
    } else {
        format!("the schema has version {found}")
    };
    Err(Error::new(
        ErrorKind::Config,
        format!("{what}, version {newest} is needed: open once with Migrate::Apply"),
    ))
}

#[cfg(test)]
mod tests {
    use super::Migration;
    use super::pending;
    use crate::error::ErrorKind;
    use crate::spi::store::Migrate;

    static ALL: [Migration; 2] = [
        Migration { version: 1, sql: "" },
        Migration { version: 2, sql: "" },
    ];

    #[test]
    fn an_empty_database_is_created_unless_only_checked() {
        assert_eq!(pending(Migrate::Create, 0, &ALL).unwrap().len(), 2);
        assert_eq!(pending(Migrate::Apply, 0, &ALL).unwrap().len(), 2);
        assert_eq!(
            pending(Migrate::Check, 0, &ALL).unwrap_err().kind(),
            ErrorKind::Config
        );
    }

    #[test]
    fn an_older_schema_is_raised_on_request_alone() {
        assert_eq!(pending(Migrate::Apply, 1, &ALL).unwrap().len(), 1);
        assert_eq!(
            pending(Migrate::Create, 1, &ALL).unwrap_err().kind(),
            ErrorKind::Config
        );
        assert!(pending(Migrate::Check, 2, &ALL).unwrap().is_empty());
    }

    #[test]
    fn a_newer_schema_is_refused() {
        assert_eq!(
            pending(Migrate::Apply, 3, &ALL).unwrap_err().kind(),
            ErrorKind::Config
        );
    }
}
