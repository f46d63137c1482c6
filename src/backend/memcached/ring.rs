//! Which server has a key: the same for every process, and as few keys as possible change place with a server.

use sha2::Digest;
use sha2::Sha256;

/// Servers by rendezvous: each key goes to the server that scores highest for it (Thaler and Ravishankar, 1998). A server that
/// comes or goes moves its own share of the keys and no other's.
#[derive(Debug)]
pub(super) struct Ring {
    seeds: Vec<u64>,
}

impl Ring {
    pub(super) fn new(servers: &[String]) -> Self {
        let seeds = servers.iter().map(|server| hash(server.as_bytes())).collect();
        Self { seeds }
    }

    /// The index of the server of this key.
    pub(super) fn server(&self, key: &str) -> usize {
        if self.seeds.len() < 2 {
            return 0;
        }
        let key = hash(key.as_bytes());
        let scores = self.seeds.iter().map(|seed| mixed(seed ^ key));
        scores
            .enumerate()
            .max_by_key(|(_, score)| *score)
            .map_or(0, |(index, _)| index)
    }
}

/// The same on every machine and in every version: processes have to agree.
fn hash(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    digest
        .iter()
        .take(8)
        .fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
}

/// The finalizer of splitmix64: every bit of the input changes half of the output's.
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("cache-{index}:11211")).collect()
    }

    #[test]
    fn a_new_server_takes_its_share_and_moves_nothing_else() {
        let (three, four) = (Ring::new(&servers(3)), Ring::new(&servers(4)));
        let keys: Vec<_> = (0..4_000).map(|index| format!("shop:product:{index}")).collect();
        let moved: Vec<_> = keys
            .iter()
            .map(|key| (three.server(key), four.server(key)))
            .filter(|(before, after)| before != after)
            .collect();
        assert!(moved.iter().all(|(_, after)| *after == 3));
        assert!((800..1_200).contains(&moved.len()), "{}", moved.len());
    }

    #[test]
    fn the_order_of_the_servers_does_not_matter() {
        let (servers, mut turned) = (servers(5), servers(5));
        turned.reverse();
        let (one, other) = (Ring::new(&servers), Ring::new(&turned));
        for index in 0..1_000 {
            let key = index.to_string();
            assert_eq!(servers[one.server(&key)], turned[other.server(&key)]);
        }
    }
}
