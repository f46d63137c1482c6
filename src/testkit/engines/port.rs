//! Loopback ports that stay a server's own while it is down.

use std::net::{Ipv4Addr, TcpListener};

/// Below the range from which systems take the ports of outgoing connections (Linux 32768, others 49152). A port from that
/// range can be taken while its server is down, even by a client that is trying to reach the server: TCP lets a socket
/// connect to itself.
const FIRST: u16 = 10_240;
const LAST: u16 = 32_000;
const TRIES: u8 = 200;

/// A loopback port that no one listens on now, `None` if the machine has hardly any left.
pub(in crate::testkit) fn free() -> Option<u16> {
    (0..TRIES).find_map(|_| {
        let port = FIRST + random()? % (LAST - FIRST);
        TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .is_ok()
            .then_some(port)
    })
}

fn random() -> Option<u16> {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).ok()?;
    Some(u16::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_can_be_listened_on() {
        let port = free().expect("a port");
        assert!((FIRST..LAST).contains(&port));
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("no one listens there");
    }
}
