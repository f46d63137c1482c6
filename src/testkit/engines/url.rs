//! The two things that tests do with a server's URL: find where it listens, and lead it through a proxy.

use std::net::{SocketAddr, ToSocketAddrs};

/// The part of `url` between the credentials and the path, and where it starts.
fn authority(url: &str) -> Option<(usize, &str)> {
    let after_scheme = url.find("://")? + 3;
    let rest = url.get(after_scheme..)?;
    let authority = rest.get(..rest.find(['/', '?', '#']).unwrap_or(rest.len()))?;
    let host = authority.rfind('@').map_or(0, |at| at + 1);
    Some((after_scheme + host, authority.get(host..)?))
}

/// Where the server of `url` listens; `port` is the engine's own if the URL names none.
pub(super) fn address(url: &str, port: u16) -> Option<SocketAddr> {
    let (_, host) = authority(url)?;
    let named = host
        .rsplit_once(':')
        .is_some_and(|(_, digits)| digits.parse::<u16>().is_ok());
    let full = if named {
        host.to_owned()
    } else {
        format!("{host}:{port}")
    };
    full.to_socket_addrs().ok()?.next()
}

/// User and password of `url`, as they stand there.
pub(super) fn credentials(url: &str) -> Option<(&str, &str)> {
    let (host, _) = authority(url)?;
    let before = url.get(url.find("://")? + 3..host)?.strip_suffix('@')?;
    Some(before.split_once(':').unwrap_or((before, "")))
}

/// `url` with another address; credentials, database and parameters stay.
pub(super) fn with_address(url: &str, address: SocketAddr) -> Option<String> {
    let (start, host) = authority(url)?;
    Some(format!(
        "{}{address}{}",
        url.get(..start)?,
        url.get(start + host.len()..)?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_with_and_without_a_port() {
        let found = |url| address(url, 5432).map(|address| address.to_string());
        assert_eq!(
            found("postgres://127.0.0.1/shop").as_deref(),
            Some("127.0.0.1:5432")
        );
        assert_eq!(
            found("postgres://me:a%40b@127.0.0.1:6000").as_deref(),
            Some("127.0.0.1:6000")
        );
        assert_eq!(
            found("postgres://me@[::1]:6000/shop?x=1").as_deref(),
            Some("[::1]:6000")
        );
        assert_eq!(found("postgres://me@[::1]/shop").as_deref(), Some("[::1]:5432"));
        assert_eq!(found("no url"), None);
    }

    #[test]
    fn user_and_password_are_found() {
        assert_eq!(credentials("postgres://me:word@db/shop"), Some(("me", "word")));
        assert_eq!(credentials("postgres://me@db"), Some(("me", "")));
        assert_eq!(credentials("postgres://db"), None);
    }

    #[test]
    fn a_url_is_led_through_another_address_with_all_else_kept() {
        let proxy = SocketAddr::from(([127, 0, 0, 1], 7000));
        let led = |url| with_address(url, proxy);
        assert_eq!(
            led("postgres://me:word@db.example:6000/shop?sslmode=disable").as_deref(),
            Some("postgres://me:word@127.0.0.1:7000/shop?sslmode=disable"),
        );
        assert_eq!(
            led("postgres://db.example").as_deref(),
            Some("postgres://127.0.0.1:7000")
        );
        assert_eq!(led("no url"), None);
    }
}
