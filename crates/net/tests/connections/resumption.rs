//! Resumed sessions keep the chain that was presented, under keys that the caller changes.

use rustls::HandshakeKind;
use rustls::SupportedProtocolVersion;
use rustls::client::Resumption;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::certificates::{Credential, by_openssl, chain, v1_by_openssl};
use crate::support::{Client, Fixture, PATIENCE, same, ticket_keys};

/// A client that keeps tickets.
fn keeping(fixture: &Fixture, credential: &Credential, version: &'static SupportedProtocolVersion) -> Client {
    let mut client = fixture.client(Some(credential), version);
    client.config.resumption = Resumption::in_memory_sessions(16);
    client
}

/// Connects, echoes, and reads to the end, so that every ticket has arrived; gives the kind of handshake.
async fn visit(client: &Client) -> HandshakeKind {
    let mut stream = client.echo().await.unwrap();
    let kind = stream.get_ref().1.handshake_kind().unwrap();
    read_to_end(&mut stream).await;
    kind
}

/// Ends our direction and reads the other to its end.
async fn read_to_end(stream: &mut TlsStream<TcpStream>) {
    let ending = async {
        stream.shutdown().await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    };
    tokio::time::timeout(PATIENCE, ending).await.unwrap();
}

#[tokio::test]
async fn resumed_sessions_keep_the_presented_chain() {
    let credential = chain("device", 3);
    for version in [&TLS12, &TLS13] {
        let mut fixture = Fixture::start();
        let client = keeping(&fixture, &credential, version);
        assert_eq!(visit(&client).await, HandshakeKind::Full);
        assert!(!fixture.peer().await.resumed);
        // Twice, for the second ticket is made in a session that was itself resumed.
        for _ in 0..2 {
            assert_eq!(visit(&client).await, HandshakeKind::Resumed);
            let peer = fixture.peer().await;
            assert!(peer.resumed);
            assert!(same(&peer.chain, &credential.chain));
        }
    }
}

#[tokio::test]
async fn resumed_sessions_keep_a_leniently_read_chain() {
    let credential = v1_by_openssl(crate::certificates::P256, "1");
    for version in [&TLS12, &TLS13] {
        let mut fixture = Fixture::start();
        let client = keeping(&fixture, &credential, version);
        visit(&client).await;
        fixture.peer().await;
        assert_eq!(visit(&client).await, HandshakeKind::Resumed);
        assert!(same(&fixture.peer().await.chain, &credential.chain));
    }
}

#[tokio::test]
async fn tickets_outlive_one_change_of_keys_and_not_two() {
    let credential = chain("device", 2);
    for version in [&TLS12, &TLS13] {
        let fixture = Fixture::start();
        let kept = keeping(&fixture, &credential, version);
        visit(&kept).await;
        fixture.tickets.rotate(&ticket_keys(2, Some(1))).unwrap();
        assert_eq!(visit(&kept).await, HandshakeKind::Resumed);
        // Both the ticket of the first key and, by now, that of the second are out of use.
        fixture.tickets.rotate(&ticket_keys(4, Some(3))).unwrap();
        assert_eq!(visit(&kept).await, HandshakeKind::Full);
    }
}

#[tokio::test]
async fn another_server_with_the_same_keys_resumes_the_session() {
    let credential = chain("device", 2);
    for version in [&TLS12, &TLS13] {
        let first = Fixture::start();
        let mut second = Fixture::start();
        let mut client = keeping(&first, &credential, version);
        visit(&client).await;
        client.addr = second.addr;
        assert_eq!(visit(&client).await, HandshakeKind::Resumed);
        assert!(same(&second.peer().await.chain, &credential.chain));
    }
}

#[tokio::test]
async fn long_chains_get_no_ticket() {
    let credential = by_openssl("rsa:4096");
    let long = credential.chain.iter().cycle().take(3).cloned().collect();
    let credential = credential.with_chain(long);
    for version in [&TLS12, &TLS13] {
        let mut fixture = Fixture::start();
        let client = keeping(&fixture, &credential, version);
        for _ in 0..2 {
            assert_eq!(visit(&client).await, HandshakeKind::Full);
            assert!(same(&fixture.peer().await.chain, &credential.chain));
        }
    }
}

#[tokio::test]
async fn one_ticket_is_sent_for_each_session() {
    let credential = chain("device", 2);
    let fixture = Fixture::start();
    let client = keeping(&fixture, &credential, &TLS13);
    let mut stream = client.echo().await.unwrap();
    read_to_end(&mut stream).await;
    assert_eq!(stream.get_ref().1.tls13_tickets_received(), 1);
}

#[tokio::test]
async fn a_session_is_not_resumed_under_another_certificate_of_the_client() {
    // The ticket belongs to the session, not to the client: what counts is the chain that was proved.
    let first = chain("first", 2);
    let second = chain("second", 2);
    let mut fixture = Fixture::start();
    let kept = Resumption::in_memory_sessions(16);
    let mut client = fixture.client(Some(&first), &TLS13);
    client.config.resumption = kept;
    visit(&client).await;
    fixture.peer().await;
    let mut other = fixture.client(Some(&second), &TLS13);
    other.config.resumption = client.config.resumption.clone();
    visit(&other).await;
    let peer = fixture.peer().await;
    let shown = if peer.resumed { &first.chain } else { &second.chain };
    assert!(same(&peer.chain, shown));
}
