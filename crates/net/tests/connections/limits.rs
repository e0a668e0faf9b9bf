//! Limits hold before anything is known of the peer, and every cut is told.

use std::time::Duration;

use muster_net::{HandshakeCode, Limits};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::certificates::{by_openssl, chain};
use crate::support::{Fixture, PATIENCE};

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

fn started(change: impl FnOnce(&mut Limits)) -> Fixture {
    Fixture::start_with(limits(change), |service| service)
}

/// Reads until the server ends the connection.
async fn read_to_end(mut socket: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    // Ended by a reset or in order: both are an end.
    let _ = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut all))
        .await
        .unwrap();
    all
}

#[tokio::test]
async fn refuses_a_chain_of_too_many_certificates() {
    let credential = chain("device", 17);
    let mut fixture = Fixture::start();
    for version in [&TLS12, &TLS13] {
        fixture
            .client(Some(&credential), version)
            .echo()
            .await
            .unwrap_err();
        let failure = fixture.failure().await;
        assert_eq!(failure.code, HandshakeCode::ChainTooLong);
        assert!(failure.chain.is_empty(), "a chain over the cap was kept");
    }
}

#[tokio::test]
async fn refuses_a_chain_of_too_many_bytes() {
    let credential = chain("device", 4);
    let mut fixture = started(|limits| limits.max_chain_bytes = 1_000);
    for version in [&TLS12, &TLS13] {
        fixture
            .client(Some(&credential), version)
            .echo()
            .await
            .unwrap_err();
        let failure = fixture.failure().await;
        assert_eq!(failure.code, HandshakeCode::ChainTooLarge);
        assert!(failure.chain.is_empty(), "a chain over the cap was kept");
    }
}

#[tokio::test]
async fn refuses_a_certificate_message_over_64_kib() {
    let credential = by_openssl("rsa:2048");
    let long = credential.chain.iter().cycle().take(100).cloned().collect();
    let credential = credential.with_chain(long);
    let mut fixture = Fixture::start();
    for version in [&TLS12, &TLS13] {
        fixture
            .client(Some(&credential), version)
            .echo()
            .await
            .unwrap_err();
        assert_eq!(fixture.failure().await.code, HandshakeCode::ChainTooLarge);
    }
}

#[tokio::test]
async fn cuts_a_peer_that_says_nothing() {
    let mut fixture = started(|limits| limits.handshake_timeout = Duration::from_millis(100));
    let silent = TcpStream::connect(fixture.addr).await.unwrap();
    assert_eq!(fixture.failure().await.code, HandshakeCode::TimedOut);
    assert!(read_to_end(silent).await.is_empty());
}

#[tokio::test]
async fn cuts_a_peer_that_drips_its_hello() {
    let mut fixture = started(|limits| limits.handshake_timeout = Duration::from_millis(200));
    let mut slow = TcpStream::connect(fixture.addr).await.unwrap();
    // The start of a TLS 1.2 record of a handshake, and then byte after byte.
    slow.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])
        .await
        .unwrap();
    let drip = async {
        while slow.write_all(&[0]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let failure = tokio::select! {
        failure = fixture.failure() => failure,
        () = drip => fixture.failure().await,
    };
    assert_eq!(failure.code, HandshakeCode::TimedOut);
}

#[tokio::test]
async fn refuses_more_handshakes_of_one_address_than_permitted() {
    let mut fixture = started(|limits| limits.max_handshakes_per_address = 2);
    let mut held = Vec::new();
    // Two silent peers fill the address's share; of more, each is closed at once.
    let refused = loop {
        held.push(TcpStream::connect(fixture.addr).await.unwrap());
        if held.len() == 3 {
            break fixture.failure().await;
        }
    };
    assert_eq!(refused.code, HandshakeCode::AddressBusy);
    // A place that is given back can be taken again.
    held.clear();
    for _ in 0..2 {
        assert_eq!(fixture.failure().await.code, HandshakeCode::ClosedByPeer);
    }
    fixture.client(None, &TLS13).echo().await.unwrap();
}

#[tokio::test]
async fn closes_connections_over_the_greatest_number() {
    let mut fixture = started(|limits| limits.max_connections = 1);
    let first = fixture.client(None, &TLS13).echo().await.unwrap();
    fixture.client(None, &TLS13).echo().await.unwrap_err();
    assert_eq!(fixture.failure().await.code, HandshakeCode::ServerFull);
    drop(first);
    // The place is free once the server has noticed; until then, connections are refused.
    let client = fixture.client(None, &TLS13);
    let again = async { while client.echo().await.is_err() {} };
    tokio::time::timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test]
async fn further_connections_wait_while_handshakes_are_under_way() {
    let mut fixture = started(|limits| {
        limits.max_handshakes = 1;
        limits.handshake_timeout = Duration::from_millis(300);
    });
    let _silent = TcpStream::connect(fixture.addr).await.unwrap();
    // Waits in the kernel until the silent peer is cut, and is then served.
    fixture.client(None, &TLS13).echo().await.unwrap();
    assert_eq!(fixture.failure().await.code, HandshakeCode::TimedOut);
}

#[tokio::test]
async fn answers_what_is_not_tls_with_an_alert() {
    let mut fixture = Fixture::start();
    let mut plain = TcpStream::connect(fixture.addr).await.unwrap();
    plain
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let answer = read_to_end(plain).await;
    assert_eq!(answer.first(), Some(&0x15), "no alert");
    assert_eq!(fixture.failure().await.code, HandshakeCode::NotTls);
}

#[tokio::test]
async fn survives_a_peer_that_leaves_in_the_middle() {
    let mut fixture = Fixture::start();
    for cut in [0, 1, 5, 40] {
        let mut leaving = TcpStream::connect(fixture.addr).await.unwrap();
        let start = [[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3].as_slice(), &[7; 40]].concat();
        leaving.write_all(&start[..cut]).await.unwrap();
        drop(leaving);
        assert_eq!(fixture.failure().await.code, HandshakeCode::ClosedByPeer);
    }
    fixture.client(None, &TLS13).echo().await.unwrap();
}

#[tokio::test]
async fn survives_a_hello_with_any_byte_changed() {
    let mut fixture = Fixture::start();
    let mut hello = Vec::new();
    let config = std::sync::Arc::new(fixture.client(None, &TLS13).config);
    let mut client = rustls::ClientConnection::new(config, crate::support::NAME.try_into().unwrap()).unwrap();
    client.write_tls(&mut hello).unwrap();
    for at in (0..hello.len()).step_by(7) {
        let mut changed = hello.clone();
        changed[at] ^= 0x55;
        let mut socket = TcpStream::connect(fixture.addr).await.unwrap();
        socket.write_all(&changed).await.unwrap();
        socket.shutdown().await.unwrap();
        read_to_end(socket).await;
        // Which code does not matter here; that there is one does.
        fixture.failure().await;
    }
    fixture.client(None, &TLS13).echo().await.unwrap();
}
