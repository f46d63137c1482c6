//! Redis servers of the test's own: plain, behind TLS, and as a node of a cluster.

use super::light::Kind;
use super::light::light_engine;

const ENGINE: &str = "Redis";
const PROGRAM: &str = "redis-server";
const INSTALL: &str = "run tests/run prepare, or apt-get install redis-server";

/// Nothing is written to disk, and only this machine is answered.
const PLAIN: [&str; 6] = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];

fn arguments(first: &[&str]) -> Vec<String> {
    first
        .iter()
        .chain(&PLAIN)
        .map(|&argument| argument.to_owned())
        .collect()
}

const KIND: Kind = Kind {
    engine: ENGINE,
    program: PROGRAM,
    install: INSTALL,
    arguments: |port| arguments(&["--port", &port.to_string()]),
};

/// Without a port that is not encrypted.
const TLS: Kind = Kind {
    arguments: |port| arguments(&["--port", "0", "--tls-port", &port.to_string()]),
    ..KIND
};

/// A second without an answer and the other nodes take one for failed.
const NODE: Kind = Kind {
    arguments: |port| {
        let port = port.to_string();
        let cluster = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
        let replicas = ["--repl-diskless-sync-delay", "0"];
        arguments(&[["--port", &port].as_slice(), &cluster, &replicas].concat())
    },
    ..KIND
};

light_engine!(
    /// A Redis server: a child process on a loopback port that writes nothing to disk.
    Redis,
    KIND,
    "redis"
);

light_engine!(
    /// A Redis server that answers by TLS alone; start it with `--tls-cert-file`, `--tls-key-file` and `--tls-ca-cert-file`.
    RedisTls,
    TLS,
    "rediss"
);

light_engine!(
    /// A Redis server that waits to be part of a cluster: what [`RedisCluster`](super::RedisCluster) is made of.
    RedisNode,
    NODE,
    "redis"
);
