//! An attempt that reaches the server after its outcome was asked for. The client library sends what it lost again before the
//! question, so that no network shows this; here the scripts are called by hand.

use std::io::BufRead as _;
use std::io::Write as _;

use uuid::Uuid;

use super::own;
use super::tell;
use crate::support::until;
use stockroom::testkit::engines::Redis;

const PRELUDE: &str = include_str!("../../../src/backend/redis/store/scripts/prelude.lua");
const COMMIT: &str = include_str!("../../../src/backend/redis/store/scripts/commit.lua");
const VOID: &str = include_str!("../../../src/backend/redis/store/scripts/void.lua");

/// The first word of a script's answer.
fn run(server: &Redis, script: &str, keys: &[&str], words: &[&str]) -> String {
    let (text, count) = (format!("{PRELUDE}{script}"), keys.len().to_string());
    let command = [&["EVAL", text.as_str(), count.as_str()], keys, words].concat();
    let mut request = format!("*{}\r\n", command.len());
    for word in command {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    let mut connection = std::net::TcpStream::connect(server.address()).unwrap();
    connection.write_all(request.as_bytes()).unwrap();
    // A list: its length, the length of its first word, the word.
    let lines = std::io::BufReader::new(connection).lines();
    lines.take(3).map(Result::unwrap).last().unwrap()
}

/// Puts an empty guest's cart under this attempt's id.
fn attempt(server: &Redis, commit: &str) -> String {
    let keys = ["{shop}:epoch", commit, "{shop}:changes", "{shop}:cart:one"];
    let head = "0 120000 1000 0 100 10000 500 {shop}:claim: 0 nonce system [] 0".split(' ');
    let put = "1 one 0 0 1 +1000000 2 s open 0 0 0 0 0".split(' ');
    let words: Vec<_> = head.chain(put).collect();
    run(server, COMMIT, &keys, &words)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_comes_after_its_void_does_nothing() {
    let Some(server) = own(&[]).await else { return };
    until("the server answers", async || {
        tell(server.address(), "PING") == "+PONG"
    })
    .await;
    let commit = |id: Uuid| format!("{{shop}}:commit:{id}");
    let (late, other) = (commit(Uuid::now_v7()), commit(Uuid::now_v7()));
    let ask = |of: &str| run(&server, VOID, &[of], &["0", "60000"]);
    assert_eq!(ask(&late), "void");
    assert_eq!(attempt(&server, &late), "void");
    assert_eq!(
        tell(server.address(), "EXISTS {shop}:cart:one {shop}:changes"),
        ":0"
    );
    // Under an id of its own the same attempt is through, once, however often it comes and is asked for.
    for _ in 0..3 {
        assert_eq!(attempt(&server, &other), "done");
        assert_eq!(ask(&other), "done");
        assert_eq!(tell(server.address(), "XLEN {shop}:changes"), ":1");
    }
}
