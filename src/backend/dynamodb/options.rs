//! How to open a shop on DynamoDB.

use std::time::Duration;

use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodb::config::ProvideCredentials;
use aws_sdk_dynamodb::config::SharedCredentialsProvider;

use super::records::level::MOST_SHARES;
use super::table_options::TableOptions;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::spi::store::Migrate;

/// The longest prefix: table names have 3 to 255 characters, and the longest name behind it has nine.
const LONGEST_PREFIX: usize = 200;

/// How to open a shop on DynamoDB. `Debug` shows no credentials.
///
/// - Region and credentials must be told: the library reads neither environment nor files. What `aws-config` finds there can
///   be handed over by [`credentials_provider`](Self::credentials_provider).
///
/// ```
/// use stockroom::backend::{DynamoOptions, Migrate};
///
/// let options = DynamoOptions::new("shop-")
///     .region("eu-central-1")
///     .credentials("AKIA…", "a secret", None)
///     .migrate(Migrate::Check);
/// assert!(!format!("{options:?}").contains("a secret"));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct DynamoOptions {
    pub(super) prefix: String,
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<String>,
    pub(super) credentials: Option<SharedCredentialsProvider>,
    pub(super) tables: TableOptions,
    pub(super) write_region: Option<String>,
    pub(super) level_shares: usize,
    /// What to do about the tables.
    pub migrate: Migrate,
    /// How long one call to the service may take; 3 s unless told otherwise. A transaction whose answer takes longer is
    /// looked for.
    pub attempt_timeout: Duration,
    #[cfg(feature = "testkit")]
    pub(super) faults: Option<crate::testkit::dynamodb::DynamoFaults>,
}

impl std::fmt::Debug for DynamoOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DynamoOptions")
            .field("prefix", &self.prefix)
            .field("region", &self.region)
            .field("write_region", &self.write_region)
            .field("level_shares", &self.level_shares)
            .field("tables", &self.tables)
            .field("migrate", &self.migrate)
            .field("attempt_timeout", &self.attempt_timeout)
            .finish_non_exhaustive()
    }
}

impl DynamoOptions {
    /// Opens the tables whose names begin with `prefix`, such as `shop-`.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self {
            prefix: prefix.into(),
            region: None,
            endpoint: None,
            credentials: None,
            tables: TableOptions::new(),
            write_region: None,
            level_shares: 1,
            migrate: Migrate::Create,
            attempt_timeout: Duration::from_secs(3),
            #[cfg(feature = "testkit")]
            faults: None,
        }
    }

    /// The region that the tables lie in, such as `eu-central-1`.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Another address than the region's, such as `http://127.0.0.1:8000` for DynamoDB Local.
    #[must_use]
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// Fixed credentials; the token belongs to those that end by themselves.
    #[must_use]
    pub fn credentials(
        self,
        access_key: impl Into<String>,
        secret_key: impl Into<String>,
        session_token: Option<String>,
    ) -> Self {
        let credentials = Credentials::new(access_key, secret_key, session_token, None, "stockroom");
        self.credentials_provider(credentials)
    }

    /// Whoever gives credentials and renews them, such as the provider of `aws-config`.
    #[must_use]
    pub fn credentials_provider(mut self, provider: impl ProvideCredentials + 'static) -> Self {
        self.credentials = Some(SharedCredentialsProvider::new(provider));
        self
    }

    /// What to do about the tables.
    ///
    /// - Tables cost money and belong to an account: `Apply` alone creates those that are missing. `Create` and `Check` demand
    ///   that they are there.
    #[must_use]
    pub fn migrate(mut self, migrate: Migrate) -> Self {
        self.migrate = migrate;
        self
    }

    /// How tables are made where [`migrate`](Self::migrate) makes them, and what they are compared with.
    #[must_use]
    pub fn tables(mut self, tables: TableOptions) -> Self {
        self.tables = tables;
        self
    }

    /// The region in which the shop is written, where its tables are replicated to several with eventual consistency.
    ///
    /// - Elsewhere the shop is opened to be read. All processes of a shop must name the same region: two that write in different
    ///   ones lose each other's writes.
    #[must_use]
    pub fn write_region(mut self, region: impl Into<String>) -> Self {
        self.write_region = Some(region.into());
        self
    }

    /// Over how many items a new level is spread, 1 to 32; 1 unless told otherwise.
    ///
    /// - One item takes some 500 transactions a second, from all processes together. A spread level takes about as many times
    ///   that as it has shares, and is read by as many keys. It never sells more than there is, nor refuses what there is.
    /// - Its version is the sum of its shares' versions: two commits at the same time may be told the same one, and the feed
    ///   may tell their changes in either order.
    /// - Levels that are there stay as they are; [`DynamoStore::spread_level`](crate::DynamoStore::spread_level) spreads one.
    #[must_use]
    pub const fn level_shares(mut self, shares: usize) -> Self {
        self.level_shares = shares;
        self
    }

    /// How long one call to the service may take.
    #[must_use]
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// Lets every request for items pass a layer of faults, for tests; see [`testkit::dynamodb`](crate::testkit::dynamodb).
    #[cfg(feature = "testkit")]
    #[must_use]
    pub fn faults(mut self, faults: &crate::testkit::dynamodb::DynamoFaults) -> Self {
        self.faults = Some(faults.clone());
        self
    }

    /// Reads an address: `dynamodb://REGION/PREFIX`, with `ACCESS_KEY:SECRET@` before the region and `?endpoint=URL` behind
    /// the prefix where there are such.
    ///
    /// - `%` and two hexadecimal digits stand for a byte, as a secret with a slash needs it.
    ///
    /// # Errors
    /// `Config` for anything else. The address is not repeated: it may hold a secret.
    pub fn from_url(url: &str) -> Result<Self> {
        const FORM: &str = "the address must be dynamodb://REGION/PREFIX, with ACCESS_KEY:SECRET@ before it and ?endpoint=URL behind it where needed";
        let wrong = || Error::new(ErrorKind::Config, FORM);
        let rest = url.strip_prefix("dynamodb://").ok_or_else(wrong)?;
        let (rest, query) = rest
            .split_once('?')
            .map_or((rest, None), |(rest, query)| (rest, Some(query)));
        let (user, place) = rest
            .rsplit_once('@')
            .map_or((None, rest), |(user, place)| (Some(user), place));
        let (region, prefix) = place.split_once('/').ok_or_else(wrong)?;
        if region.is_empty() {
            return Err(wrong());
        }
        let mut options = Self::new(prefix).region(region);
        if let Some(user) = user {
            let (key, secret) = user.split_once(':').ok_or_else(wrong)?;
            options = options.credentials(
                plain(key).ok_or_else(wrong)?,
                plain(secret).ok_or_else(wrong)?,
                None,
            );
        }
        match query.map(|query| query.split_once('=')) {
            None => Ok(options),
            Some(Some(("endpoint", endpoint))) => Ok(options.endpoint(plain(endpoint).ok_or_else(wrong)?)),
            Some(_) => Err(wrong()),
        }
    }

    /// Refuses what no table can be called, or made like.
    pub(super) fn check_tables(&self) -> Result<()> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if self.prefix.len() > LONGEST_PREFIX || !self.prefix.chars().all(allowed) {
            return Err(Error::new(
                ErrorKind::Config,
                format!("a table prefix has at most {LONGEST_PREFIX} of ASCII letters, digits and . _ -"),
            ));
        }
        if !(1..=MOST_SHARES).contains(&self.level_shares) {
            return Err(Error::new(
                ErrorKind::Config,
                format!("a level is spread over 1 to {MOST_SHARES} items"),
            ));
        }
        self.tables.check()
    }

    /// Refuses what no store can be opened with.
    pub(super) fn check(&self) -> Result<()> {
        self.check_tables()?;
        if self.region.is_none() {
            return Err(Error::new(
                ErrorKind::Config,
                "no region: tell it by DynamoOptions::region",
            ));
        }
        // A name that no region has would only be found out when nothing answers there; the local engine takes any.
        if self.endpoint.is_none() && !self.region.as_deref().is_some_and(is_region) {
            return Err(Error::new(
                ErrorKind::Config,
                "the region is no name of one, such as eu-central-1",
            ));
        }
        if self.credentials.is_none() {
            return Err(Error::new(
                ErrorKind::Unauthenticated,
                "no credentials: tell them by DynamoOptions::credentials or credentials_provider",
            ));
        }
        Ok(())
    }
}

/// Whether a name has the form of those of regions: words and a number, such as `us-gov-west-1`.
fn is_region(name: &str) -> bool {
    let mut parts = name.rsplit('-');
    let number = parts.next().unwrap_or_default();
    let words: Vec<&str> = parts.collect();
    let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && words.len() >= 2
        && words.iter().all(is_word)
}

/// A text in which `%` and two digits stood for a byte.
fn plain(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, behind) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?);
        rest = behind;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_tells_everything() {
        let options = DynamoOptions::from_url(
            "dynamodb://key:se%2Fcret@eu-central-1/shop-?endpoint=http://127.0.0.1:8000",
        )
        .unwrap();
        assert_eq!(options.prefix, "shop-");
        assert_eq!(options.region.as_deref(), Some("eu-central-1"));
        assert_eq!(options.endpoint.as_deref(), Some("http://127.0.0.1:8000"));
        assert!(options.check().is_ok());
        assert!(!format!("{options:?}").contains("cret"));
    }

    #[test]
    fn a_wrong_address_is_refused_and_not_repeated() {
        for wrong in [
            "dynamodb:eu/shop",
            "dynamodb://secret",
            "dynamodb:///secret",
            "dynamodb://secret@eu/shop",
            "dynamodb://eu/shop?secret",
            "dynamodb://a:%zz@eu/shop",
        ] {
            let error = DynamoOptions::from_url(wrong).unwrap_err();
            assert!(error.is(ErrorKind::Config), "{wrong}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{wrong}");
        }
    }

    #[test]
    fn a_region_is_named_as_regions_are() {
        for right in ["eu-central-1", "us-gov-west-1", "ap-southeast-12"] {
            assert!(is_region(right), "{right}");
        }
        for wrong in [
            "eu-central",
            "eu",
            "",
            "eu-1",
            "EU-central-1",
            "eu central 1",
            "-central-1",
        ] {
            assert!(!is_region(wrong), "{wrong}");
        }
        let typo = DynamoOptions::new("shop-").region("eu-central");
        assert!(typo.check().unwrap_err().is(ErrorKind::Config));
        let local = typo.endpoint("http://127.0.0.1:8000").credentials("a", "b", None);
        assert!(local.check().is_ok());
    }

    #[test]
    fn what_is_missing_is_named() {
        let options = DynamoOptions::new("shop-");
        assert!(options.check().unwrap_err().is(ErrorKind::Config));
        let options = options.region("eu-central-1");
        assert!(options.check().unwrap_err().is(ErrorKind::Unauthenticated));
        assert!(
            DynamoOptions::new("a b")
                .check()
                .unwrap_err()
                .is(ErrorKind::Config)
        );
    }
}
