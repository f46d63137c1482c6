//! What a server must be to keep carts: looked at when the store is opened.

use super::record::corrupt;
use super::record::number;
use super::record::text;
use super::wire::Wire;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Result;
use crate::resilience::Deadline;

/// The layout of the keys that this version reads and writes.
const LAYOUT: &str = "1";

/// The oldest server that has every command of the scripts.
const OLDEST: (u32, u32) = (6, 2);

/// What the server tells of itself.
#[derive(Debug)]
pub(super) struct Server {
    /// Whether it writes what it is told to a file.
    pub(super) has_log: bool,
}

/// Looks at the server, and at the epoch.
///
/// # Errors
/// `Config` for a server that is too old or would evict carts, and for keys of another layout; those of a call.
pub(super) async fn look(wire: &Wire, deadline: Deadline) -> Result<Server> {
    let keys = vec![wire.keys.epoch(), wire.keys.layout()];
    let ask = (keys, vec![LAYOUT.to_owned()]);
    let reply = wire.ask(&wire.programs.open, ask, deadline).await?;
    let [layout, epoch, facts] = reply.list()? else {
        return Err(corrupt("server"));
    };
    if text(layout)? != LAYOUT {
        return Err(config(
            "the carts of this prefix are of another version of the crate: open them with that one"
                .to_owned(),
        ));
    }
    wire.saw(number(text(epoch)?)?);
    judge(text(facts)?)
}

/// Decides on the answer to `INFO`.
fn judge(facts: &str) -> Result<Server> {
    let fact = |name: &str| {
        let mut facts = facts.lines().filter_map(|line| line.trim_end().split_once(':'));
        facts.find(|(known, _)| *known == name).map(|(_, value)| value)
    };
    let version = fact("redis_version").unwrap_or_default();
    let mut numbers = version.split('.').map(|part| part.parse().unwrap_or(0));
    let known = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if known < OLDEST {
        let (major, minor) = OLDEST;
        return Err(config(format!(
            "the server is of version {version}: carts need {major}.{minor} or later"
        )));
    }
    let policy = fact("maxmemory_policy").unwrap_or("noeviction");
    // Without a limit nothing is evicted, whatever the policy.
    if fact("maxmemory").is_some_and(|limit| limit != "0") && policy != "noeviction" {
        return Err(config(format!(
            "the server evicts keys when its memory is full (maxmemory-policy {policy}), and carts with them: set it to \
             noeviction, or give carts a server of their own"
        )));
    }
    Ok(Server {
        has_log: fact("aof_enabled") == Some("1"),
    })
}

fn config(message: String) -> Error {
    Error::new(ErrorKind::Config, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_would_lose_carts_is_refused() {
        let facts = |version: &str, memory: &str, policy: &str| {
            judge(&format!(
                "redis_version:{version}\r\nmaxmemory:{memory}\r\nmaxmemory_policy:{policy}\r\naof_enabled:1\r\n"
            ))
        };
        for (version, memory, policy) in [
            ("6.0.16", "0", "noeviction"),
            ("7.0.15", "1000000", "allkeys-lru"),
            ("7.0.15", "1000000", "volatile-ttl"),
        ] {
            let error = facts(version, memory, policy).unwrap_err();
            assert!(error.is(ErrorKind::Config), "{version} {memory} {policy}");
        }
        for (version, memory, policy) in [
            ("6.2.0", "0", "noeviction"),
            ("7.2.4", "0", "allkeys-lru"),
            ("10.0.1", "1000000", "noeviction"),
        ] {
            assert!(
                facts(version, memory, policy).unwrap().has_log,
                "{version} {memory} {policy}"
            );
        }
    }
}
