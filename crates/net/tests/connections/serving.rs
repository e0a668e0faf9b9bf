//! What a served stream does: bytes, certificates of the server, protocols, the end.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use muster_net::{
    Binds, BoxFuture, Drain, HandshakeCode, IgnoreHandshakeFailures, Limits, Listener, Peer, Server, Stream,
    StreamService,
};
use rustls::crypto::aws_lc_rs::kx_group::X25519MLKEM768;
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Fixture, PATIENCE, echo, identity, server_ec, server_rsa};

#[tokio::test]
async fn carries_megabytes_both_ways() {
    let fixture = Fixture::start();
    for version in [&TLS12, &TLS13] {
        let stream = fixture.client(None, version).connect().await.unwrap();
        let sent: Vec<u8> = (0..3_000_000_u32)
            .map(|n| u8::try_from(n % 251).unwrap())
            .collect();
        let (mut reader, mut writer) = tokio::io::split(stream);
        let writing = {
            let sent = sent.clone();
            tokio::spawn(async move {
                // In pieces of many sizes, so that records end in every place.
                let mut rest = &sent[..];
                for size in (1..40_000).step_by(777).cycle() {
                    let (now, later) = rest.split_at(size.min(rest.len()));
                    writer.write_all(now).await.unwrap();
                    rest = later;
                    if rest.is_empty() {
                        break;
                    }
                }
                writer.shutdown().await.unwrap();
            })
        };
        let mut got = Vec::new();
        tokio::time::timeout(PATIENCE, reader.read_to_end(&mut got))
            .await
            .unwrap()
            .unwrap();
        writing.await.unwrap();
        assert!(got == sent, "what came back differs");
    }
}

#[tokio::test]
async fn follows_a_client_that_changes_its_keys() {
    let fixture = Fixture::start();
    let mut stream = fixture.client(None, &TLS13).echo().await.unwrap();
    for word in [b"one".as_slice(), b"two", b"three"] {
        stream.get_mut().1.refresh_traffic_keys().unwrap();
        assert_eq!(echo(&mut stream, word).await.unwrap(), word);
    }
}

#[tokio::test]
async fn prefers_the_hybrid_key_exchange() {
    let fixture = Fixture::start();
    let stream = fixture.client(None, &TLS13).echo().await.unwrap();
    let group = stream.get_ref().1.negotiated_key_exchange_group().unwrap();
    assert_eq!(group.name(), X25519MLKEM768.name());
}

#[tokio::test]
async fn shows_ec_to_those_who_can_check_it_and_rsa_to_the_others() {
    let (ec, rsa) = (server_ec(), server_rsa());
    let fixture = Fixture::start_of(Limits::default(), &[ec, rsa], |service| service);
    for version in [&TLS12, &TLS13] {
        let stream = fixture.client(None, version).echo().await.unwrap();
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].len();
        assert!(
            shown < 600,
            "an RSA certificate was shown to a client that takes EC"
        );
    }
    let mut client = fixture.client(None, &TLS12);
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider
        .cipher_suites
        .retain(|suite| format!("{:?}", suite.suite()).contains("ECDHE_RSA"));
    client.config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS12])
        .unwrap()
        .with_root_certificates(fixture.roots.clone())
        .with_no_client_auth();
    let stream = client.echo().await.unwrap();
    assert!(stream.get_ref().1.peer_certificates().unwrap()[0].len() > 600);
}

#[tokio::test]
async fn shows_replaced_certificates_from_the_next_handshake_on() {
    let fixture = Fixture::start();
    let mut open = fixture.client(None, &TLS13).echo().await.unwrap();
    let renewed = server_ec();
    fixture.certificates.replace(vec![identity(&renewed)]).unwrap();
    // The old anchor no longer fits, the open connection goes on.
    fixture.client(None, &TLS13).echo().await.unwrap_err();
    assert_eq!(echo(&mut open, b"still").await.unwrap(), b"still");
    let mut client = fixture.client(None, &TLS13);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(renewed.chain[0].clone()).unwrap();
    client.config = rustls::ClientConfig::builder_with_provider(Arc::clone(client.config.crypto_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.echo().await.unwrap();
}

#[tokio::test]
async fn a_client_that_distrusts_the_server_is_told_of() {
    let mut fixture = Fixture::start();
    fixture.roots = rustls::RootCertStore::empty();
    fixture.client(None, &TLS12).echo().await.unwrap_err();
    assert_eq!(fixture.failure().await.code, HandshakeCode::PeerAlert);
}

#[tokio::test]
async fn agrees_on_a_shared_protocol_and_goes_on_without_one() {
    let mut fixture = Fixture::start();
    for (offered, agreed) in [
        (vec!["http/1.1"], Some("http/1.1")),
        (vec!["h2", "http/1.1"], Some("http/1.1")),
        (vec![], None),
        (vec!["http/1.0"], None),
        (vec!["h2", "mqtt"], None),
    ] {
        let mut client = fixture.client(None, &TLS13);
        client.config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        client.echo().await.unwrap();
        assert_eq!(fixture.peer().await.alpn.as_deref(), agreed, "{offered:?}");
    }
}

#[tokio::test]
async fn refuses_a_client_that_speaks_only_http_2() {
    let mut fixture = Fixture::start();
    let mut client = fixture.client(None, &TLS13);
    client.config.alpn_protocols = vec![b"h2".to_vec()];
    client.echo().await.unwrap_err();
    assert_eq!(fixture.failure().await.code, HandshakeCode::AlpnUnsupported);
}

#[tokio::test]
async fn a_session_learns_of_the_drain_and_ends_by_itself() {
    let fixture = Fixture::start();
    let mut stream = fixture.client(None, &TLS13).echo().await.unwrap();
    let drained = fixture.server.drain(PATIENCE).await;
    assert_eq!(drained.cut, 0);
    // The server's farewell is orderly, and nobody listens any more.
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap();
    TcpStream::connect(fixture.addr).await.unwrap_err();
}

#[tokio::test]
async fn a_session_that_does_not_listen_is_cut_at_the_deadline() {
    struct Deaf;
    impl StreamService for Deaf {
        fn serve(&self, stream: Stream, _peer: Arc<Peer>, _drain: Drain) -> BoxFuture<()> {
            Box::pin(async move {
                let _held = stream;
                pending::<()>().await;
            })
        }
    }
    let fixture = Fixture::start_with(Limits::default(), |_| Arc::new(Deaf));
    let mut stream = fixture.client(None, &TLS12).connect().await.unwrap();
    let drained = fixture.server.drain(Duration::from_millis(50)).await;
    assert_eq!(drained.cut, 1);
    assert!(stream.read_u8().await.is_err());
}

#[tokio::test]
async fn serves_plainly_without_tls() {
    struct Once;
    impl StreamService for Once {
        fn serve(&self, mut stream: Stream, peer: Arc<Peer>, _drain: Drain) -> BoxFuture<()> {
            Box::pin(async move {
                assert!(peer.tls_version.is_none() && peer.chain.is_empty());
                let word = stream.read().await.unwrap().unwrap();
                stream.write(&[b"got ", &word]).await.unwrap();
                stream.shutdown().await.unwrap();
            })
        }
    }
    let server = Server::new(Limits::default(), Arc::new(IgnoreHandshakeFailures));
    let listener = Listener::bind(&Binds::loopback(0)).unwrap();
    let addrs = listener.local_addrs().to_vec();
    server.serve(listener, None, &(Arc::new(Once) as _));
    for addr in addrs {
        let mut socket = TcpStream::connect(addr).await.unwrap();
        socket.write_all(b"word").await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"got word");
    }
    assert_eq!(server.drain(PATIENCE).await.cut, 0);
}
