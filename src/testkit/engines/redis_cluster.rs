//! A Redis cluster of the test's own, as small as one that survives a failure can be.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use super::EngineError;
use super::RedisNode;
use super::postgres::blocking;
use super::server::PATIENCE;
use super::server::POLL;

/// Three, for the others decide by majority that one has failed.
const MASTERS: usize = 3;

/// The slots of every cluster.
const SLOTS: usize = 16_384;

/// How long a node may take for one answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Three masters, and a replica of the first.
///
/// - Ends with its owner or with the test process, however that ends.
#[derive(Debug)]
pub struct RedisCluster {
    masters: Vec<RedisNode>,
    replica: RedisNode,
}

impl RedisCluster {
    /// Starts the nodes and joins them; returns when all slots are served and the replica has its copy.
    ///
    /// # Errors
    /// - [`EngineError::Missing`]: it is not installed; see [`require`](super::require).
    /// - `Failed`, `Io`: it did not start.
    pub async fn start() -> Result<Self, EngineError> {
        let mut masters = Vec::new();
        for _ in 0..MASTERS {
            masters.push(RedisNode::start().await?);
        }
        let cluster = Self {
            masters,
            replica: RedisNode::start().await?,
        };
        let masters: Vec<_> = cluster.masters.iter().map(RedisNode::address).collect();
        let replica = cluster.replica.address();
        blocking(move || join(&masters, replica)).await?;
        Ok(cluster)
    }

    /// Its address as a URL that names every node.
    #[must_use]
    pub fn url(&self) -> String {
        let nodes: Vec<_> = self.nodes().map(|node| node.address().to_string()).collect();
        format!("redis-cluster://{}?node={}", nodes[0], nodes[1..].join("&node="))
    }

    /// Kills the master that has a replica, once the replica has what was written before.
    ///
    /// # Errors
    /// `Io` when the operating system refuses; `Failed` when the replica does not catch up.
    pub async fn kill_master(&self) -> Result<(), EngineError> {
        let (master, replica) = (self.masters[0].address(), self.replica.address());
        blocking(move || catch_up(master, replica)).await?;
        self.masters[0].kill()
    }

    /// Has the replica take its master's place; the master stays as a replica, and sends on whoever asks it.
    ///
    /// # Errors
    /// `Failed` when the replica refuses, or does not come to it.
    pub async fn hand_over(&self) -> Result<(), EngineError> {
        let replica = self.replica.address();
        blocking(move || {
            say(replica, "CLUSTER FAILOVER")?;
            until("hand over", replica, "ROLE", "master")
        })
        .await
    }

    fn nodes(&self) -> impl Iterator<Item = &RedisNode> {
        self.masters.iter().chain([&self.replica])
    }
}

fn join(masters: &[SocketAddr], replica: SocketAddr) -> Result<(), EngineError> {
    for (index, master) in masters.iter().enumerate() {
        let (first, next) = (SLOTS * index / masters.len(), SLOTS * (index + 1) / masters.len());
        say(*master, &format!("CLUSTER ADDSLOTSRANGE {first} {}", next - 1))?;
        // Each a number of its own: nodes that begin with the same would have to settle who gives way.
        say(*master, &format!("CLUSTER SET-CONFIG-EPOCH {}", index + 1))?;
    }
    let first = masters[0];
    for other in masters[1..].iter().chain([&replica]) {
        say(first, &format!("CLUSTER MEET {} {}", other.ip(), other.port()))?;
    }
    let known = format!("cluster_known_nodes:{}", masters.len() + 1);
    for node in masters.iter().chain([&replica]) {
        until("join", *node, "CLUSTER INFO", &known)?;
    }
    let id = say(first, "CLUSTER MYID")?;
    let id = id.lines().nth(1).unwrap_or_default();
    // Refused until the replica has heard from the master itself.
    let deadline = Instant::now() + PATIENCE;
    while say(replica, &format!("CLUSTER REPLICATE {id}")).is_err() && Instant::now() < deadline {
        std::thread::sleep(POLL);
    }
    until("replicate", replica, "INFO replication", "master_link_status:up")?;
    for node in masters.iter().chain([&replica]) {
        until("serve every slot", *node, "CLUSTER INFO", "cluster_state:ok")?;
        until("tell of the replica", *node, "CLUSTER NODES", "slave")?;
    }
    Ok(())
}

/// Waits until the replica is as far as the master is now.
fn catch_up(master: SocketAddr, replica: SocketAddr) -> Result<(), EngineError> {
    let offset = |node: SocketAddr, field: &str| -> Result<Option<u64>, EngineError> {
        let answer = say(node, "INFO replication")?;
        let found = answer.lines().find_map(|line| line.strip_prefix(field));
        Ok(found.and_then(|offset| offset.trim().parse().ok()))
    };
    let wanted = offset(master, "master_repl_offset:")?;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if offset(replica, "slave_repl_offset:")? >= wanted {
            return Ok(());
        }
        std::thread::sleep(POLL);
    }
    Err(failed("catch up", String::new()))
}

/// Asks again and again until the answer has these words in it.
fn until(step: &'static str, node: SocketAddr, question: &str, words: &str) -> Result<(), EngineError> {
    let deadline = Instant::now() + PATIENCE;
    let mut answer = String::new();
    while Instant::now() < deadline {
        answer = say(node, question)?;
        if answer.contains(words) {
            return Ok(());
        }
        std::thread::sleep(POLL);
    }
    Err(failed(step, answer))
}

/// Says one line to a node; its whole answer.
fn say(node: SocketAddr, line: &str) -> Result<String, EngineError> {
    let mut stream = TcpStream::connect(node).map_err(EngineError::io("connect to a node"))?;
    let told = stream
        .set_read_timeout(Some(ANSWER))
        // The connection ends after the answer, so that all of it can be read.
        .and_then(|()| stream.write_all(format!("{line}\r\nQUIT\r\n").as_bytes()));
    told.map_err(EngineError::io("ask a node"))?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .map_err(EngineError::io("read a node's answer"))?;
    if answer.starts_with('-') {
        return Err(failed("take a command", answer));
    }
    Ok(answer)
}

fn failed(step: &'static str, output: String) -> EngineError {
    EngineError::Failed {
        engine: "Redis cluster",
        step,
        output,
    }
}
