//! The handshake proves that the peer holds the key of the certificate that it shows, whatever else the
//! certificate is like.

use muster_net::{HandshakeCode, TlsVersion};
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use crate::certificates::{
    Credential, P256, by_openssl, chain, expired, params, self_signed, v1_by_openssl, with_long_serial,
    with_unknown_critical_extension,
};
use crate::support::{Fixture, NAME, same};

const BOTH: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// Shows the credential over both versions, and expects that its chain arrives as sent.
async fn accepts(credential: Credential) {
    let mut fixture = Fixture::start();
    for version in BOTH {
        fixture.client(Some(&credential), version).echo().await.unwrap();
        let peer = fixture.peer().await;
        assert!(same(&peer.chain, &credential.chain));
        assert!(!peer.resumed);
        assert_eq!(peer.server_name.as_deref(), Some(NAME));
    }
}

/// Shows the credential over both versions, and expects that it is refused for `code`.
async fn refuses(credential: Credential, code: HandshakeCode) {
    let mut fixture = Fixture::start();
    for version in BOTH {
        fixture
            .client(Some(&credential), version)
            .echo()
            .await
            .unwrap_err();
        let failure = fixture.failure().await;
        assert_eq!(failure.code, code, "{}", failure.detail);
        assert!(same(&failure.chain, &credential.chain));
        assert_eq!(failure.server_name.as_deref(), Some(NAME));
    }
    assert!(fixture.peers.try_recv().is_err(), "a refused peer was served");
}

#[tokio::test]
async fn serves_a_client_without_a_certificate() {
    let mut fixture = Fixture::start();
    for (version, expected) in [(&TLS12, TlsVersion::V1_2), (&TLS13, TlsVersion::V1_3)] {
        fixture.client(None, version).echo().await.unwrap();
        let peer = fixture.peer().await;
        assert!(peer.chain.is_empty());
        assert_eq!(peer.tls_version, Some(expected));
        assert!(peer.cipher.is_some_and(|cipher| cipher.starts_with("TLS")));
    }
}

#[tokio::test]
async fn accepts_rsa_2048() {
    accepts(by_openssl("rsa:2048")).await;
}

#[tokio::test]
async fn accepts_rsa_4096() {
    accepts(by_openssl("rsa:4096")).await;
}

#[tokio::test]
async fn accepts_p256() {
    accepts(by_openssl(P256)).await;
}

#[tokio::test]
async fn accepts_p384() {
    accepts(by_openssl("ec -pkeyopt ec_paramgen_curve:P-384")).await;
}

#[tokio::test]
async fn accepts_p521() {
    accepts(by_openssl("ec -pkeyopt ec_paramgen_curve:P-521")).await;
}

#[tokio::test]
async fn accepts_ed25519() {
    accepts(by_openssl("ed25519")).await;
}

#[tokio::test]
async fn accepts_version_1() {
    accepts(v1_by_openssl(P256, "1")).await;
}

#[tokio::test]
async fn accepts_version_1_with_rsa_and_serial_0() {
    accepts(v1_by_openssl("rsa:2048", "0")).await;
}

#[tokio::test]
async fn accepts_version_1_with_ed25519() {
    accepts(v1_by_openssl("ed25519", "1")).await;
}

#[tokio::test]
async fn accepts_version_1_with_p384() {
    accepts(v1_by_openssl("ec -pkeyopt ec_paramgen_curve:P-384", "1")).await;
}

#[tokio::test]
async fn accepts_a_negative_serial() {
    accepts(v1_by_openssl(P256, "-5")).await;
}

#[tokio::test]
async fn accepts_an_expired_certificate() {
    accepts(expired()).await;
}

#[tokio::test]
async fn accepts_an_unknown_critical_extension() {
    accepts(with_unknown_critical_extension()).await;
}

#[tokio::test]
async fn accepts_a_serial_of_33_bytes() {
    accepts(with_long_serial()).await;
}

#[tokio::test]
async fn keeps_a_chain_of_twelve_as_sent() {
    accepts(chain("device", 12)).await;
}

#[tokio::test]
async fn keeps_strangers_and_disorder_in_the_chain() {
    let credential = chain("device", 3);
    let mut disordered = credential.chain.clone();
    disordered.insert(1, self_signed(&params("stranger")).chain[0].clone());
    disordered[2..].reverse();
    disordered.push(credential.chain[0].clone());
    accepts(credential.with_chain(disordered)).await;
}

#[tokio::test]
async fn refuses_a_p256_certificate_with_another_key() {
    let stranger = by_openssl(P256);
    refuses(
        by_openssl(P256).with_key_of(&stranger),
        HandshakeCode::PossessionNotProven,
    )
    .await;
}

#[tokio::test]
async fn refuses_an_rsa_certificate_with_another_key() {
    let stranger = by_openssl("rsa:2048");
    refuses(
        by_openssl("rsa:2048").with_key_of(&stranger),
        HandshakeCode::PossessionNotProven,
    )
    .await;
}

#[tokio::test]
async fn refuses_a_chain_with_another_key() {
    let stranger = by_openssl(P256);
    refuses(
        chain("device", 3).with_key_of(&stranger),
        HandshakeCode::PossessionNotProven,
    )
    .await;
}

#[tokio::test]
async fn refuses_an_expired_certificate_with_another_key() {
    let stranger = by_openssl(P256);
    refuses(
        expired().with_key_of(&stranger),
        HandshakeCode::PossessionNotProven,
    )
    .await;
}

#[tokio::test]
async fn refuses_a_certificate_with_a_key_of_another_kind() {
    let stranger = by_openssl("rsa:2048");
    refuses(
        by_openssl(P256).with_key_of(&stranger),
        HandshakeCode::PossessionNotProven,
    )
    .await;
}

#[tokio::test]
async fn refuses_a_leniently_read_certificate_with_another_key() {
    let stranger = by_openssl(P256);
    refuses(
        v1_by_openssl(P256, "1").with_key_of(&stranger),
        HandshakeCode::PossessionNotProven,
    )
    .await;
}

#[tokio::test]
async fn refuses_a_leniently_read_rsa_certificate_with_another_key() {
    let stranger = by_openssl("rsa:2048");
    refuses(
        v1_by_openssl("rsa:2048", "1").with_key_of(&stranger),
        HandshakeCode::PossessionNotProven,
    )
    .await;
}

#[tokio::test]
async fn refuses_a_leniently_read_ed25519_certificate_with_another_key() {
    let stranger = by_openssl("ed25519");
    refuses(
        v1_by_openssl("ed25519", "1").with_key_of(&stranger),
        HandshakeCode::PossessionNotProven,
    )
    .await;
}

#[tokio::test]
async fn refuses_a_leniently_read_certificate_with_a_key_of_another_kind() {
    let stranger = by_openssl("rsa:2048");
    refuses(
        v1_by_openssl(P256, "1").with_key_of(&stranger),
        HandshakeCode::PossessionNotProven,
    )
    .await;
}

#[tokio::test]
async fn refuses_a_certificate_with_an_unknown_critical_extension_and_another_key() {
    let stranger = by_openssl(P256);
    refuses(
        with_unknown_critical_extension().with_key_of(&stranger),
        HandshakeCode::PossessionNotProven,
    )
    .await;
}

#[tokio::test]
async fn refuses_a_certificate_with_an_odd_serial_and_another_key() {
    let stranger = by_openssl(P256);
    refuses(
        with_long_serial().with_key_of(&stranger),
        HandshakeCode::PossessionNotProven,
    )
    .await;
}

#[tokio::test]
async fn refuses_the_certificate_of_another_in_front_of_ones_own() {
    // The proof is against the first certificate only: holding the key of a later one proves nothing.
    let own = by_openssl(P256);
    let victim = v1_by_openssl(P256, "1");
    let mut both = victim.chain.clone();
    both.extend(own.chain.clone());
    refuses(own.with_chain(both), HandshakeCode::PossessionNotProven).await;
}

#[tokio::test]
async fn refuses_bytes_that_are_no_certificate() {
    let own = by_openssl(P256);
    refuses(
        own.with_chain(vec![vec![0x30; 300].into()]),
        HandshakeCode::LeafKeyUnusable,
    )
    .await;
}

#[tokio::test]
async fn refuses_a_truncated_certificate() {
    let own = by_openssl(P256);
    let cut = own.chain[0][..own.chain[0].len() / 2].to_vec();
    refuses(own.with_chain(vec![cut.into()]), HandshakeCode::LeafKeyUnusable).await;
}

#[tokio::test]
async fn refuses_a_weak_rsa_key() {
    // 1,024 bits: a rustls client would not sign with it, so the key is another; the certificate alone is
    // enough to be refused.
    let stranger = by_openssl("rsa:2048");
    refuses(
        by_openssl("rsa:1024").with_key_of(&stranger),
        HandshakeCode::PossessionNotProven,
    )
    .await;
}
