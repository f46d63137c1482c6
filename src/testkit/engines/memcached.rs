//! A Memcached server of the test's own.

use super::light::Kind;
use super::light::light_engine;

const KIND: Kind = Kind {
    engine: "Memcached",
    program: "memcached",
    install: "run tests/run prepare, or apt-get install memcached",
    arguments: |port| {
        let port = port.to_string();
        ["-l", "127.0.0.1", "-p", &port, "-U", "0"]
            .map(str::to_owned)
            .to_vec()
    },
};

light_engine!(
    /// A Memcached server: a child process on a loopback port.
    Memcached,
    KIND,
    "tcp"
);
