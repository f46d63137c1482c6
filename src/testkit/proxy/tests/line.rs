//! The line as a whole: refused, silent, cut, slow, or without a server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::super::{Direction, Line, Proxy};
use super::Bench;

#[tokio::test]
async fn a_refusing_line_refuses_newcomers_and_lets_others_go_on() {
    let Some(bench) = Bench::start("refuse").await else {
        return;
    };
    let mut client = bench.client().await;
    bench.proxy.set_line(Line::Refusing).await;
    let refused = TcpStream::connect(bench.proxy.address())
        .await
        .expect_err("a refused connection");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    bench
        .insert(&mut client, 1)
        .await
        .expect("an open connection goes on");
    bench.proxy.heal().await;
    bench
        .insert(&mut bench.client().await, 2)
        .await
        .expect("a new connection");
    assert_eq!(bench.rows().await, [1, 2]);
}

#[tokio::test]
async fn what_was_sent_into_a_silent_line_arrives_when_it_is_up_again() {
    let Some(bench) = Bench::start("silent").await else {
        return;
    };
    let mut client = bench.client().await;
    bench.insert(&mut client, 1).await.expect("a row");
    bench.proxy.set_line(Line::Silent).await;
    let patience = Duration::from_millis(100);
    assert!(
        tokio::time::timeout(patience, bench.insert(&mut client, 2))
            .await
            .is_err(),
        "no answer, no error"
    );
    assert!(
        tokio::time::timeout(patience, bench.connect()).await.is_err(),
        "nor for a newcomer"
    );
    drop(client);
    assert_eq!(bench.rows().await, [1]);
    bench.proxy.heal().await;
    bench.until_rows(&[1, 2]).await;
}

#[tokio::test]
async fn all_connections_are_cut_at_once_and_new_ones_are_accepted() {
    let Some(bench) = Bench::start("cut").await else {
        return;
    };
    let mut clients = [bench.client().await, bench.client().await];
    bench.proxy.cut_all().await;
    for client in &mut clients {
        assert!(bench.insert(client, 1).await.is_err());
    }
    bench
        .insert(&mut bench.client().await, 2)
        .await
        .expect("a new connection");
    assert_eq!(bench.rows().await, [2]);
}

#[tokio::test]
async fn each_direction_has_its_own_delay() {
    let Some(bench) = Bench::start("delay").await else {
        return;
    };
    let mut client = bench.client().await;
    bench.insert(&mut client, 1).await.expect("a row");
    let delay = Duration::from_millis(60);
    bench.proxy.delay(Direction::ToServer, delay);
    bench.proxy.delay(Direction::ToClient, delay);
    let begun = Instant::now();
    bench.insert(&mut client, 2).await.expect("a row");
    assert!(begun.elapsed() >= 2 * delay);
    bench.proxy.heal().await;
}

#[tokio::test]
async fn a_dropped_proxy_takes_its_connections_and_its_port_along() {
    let Some(bench) = Bench::start("drop").await else {
        return;
    };
    let mut client = bench.client().await;
    let Bench {
        postgres,
        proxy,
        table,
    } = bench;
    let address = proxy.address();
    drop(proxy);
    let bench = Bench {
        postgres,
        proxy: Arc::new(Proxy::start(postgres.address()).await.expect("a proxy")),
        table,
    };
    assert!(bench.insert(&mut client, 1).await.is_err());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_server_that_is_down_looks_down_through_the_proxy() {
    let nowhere = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port")
        .local_addr()
        .expect("its address");
    let proxy = Proxy::start(nowhere).await.expect("a proxy");
    let mut client = TcpStream::connect(proxy.address()).await.expect("accepted");
    let mut byte = [0];
    assert!(
        matches!(client.read(&mut byte).await, Ok(0) | Err(_)),
        "and disconnected"
    );
}
