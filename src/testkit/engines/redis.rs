//! A Redis server of the test's own.

use super::light::Kind;
use super::light::light_engine;

const KIND: Kind = Kind {
    engine: "Redis",
    program: "redis-server",
    install: "run tests/run prepare, or apt-get install redis-server",
    arguments: |port| {
        let port = port.to_string();
        let plain = [
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ];
        plain.map(str::to_owned).to_vec()
    },
};

light_engine!(
    /// A Redis server: a child process on a loopback port that writes nothing to disk.
    Redis,
    KIND,
    "redis"
);
