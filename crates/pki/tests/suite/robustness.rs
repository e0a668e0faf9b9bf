//! Every reader of outside bytes, fed with damage: it may refuse, it must come back.

use std::sync::LazyLock;

use muster_pki::issue::CertificateRequest;
use muster_pki::{Certificate, Chain, PrivateKey, Thumbprint, pfx};
use proptest::prelude::*;

use crate::support::{Bench, NOW, Spec, anchors, verdict};

/// Files of each kind, to be damaged.
static FILES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let bench = Bench::new();
    bench.openssl("genpkey -out k.pem -algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    bench.openssl("pkey -in k.pem -outform DER -out k.der");
    bench.openssl("pkcs8 -topk8 -in k.pem -passout pass:1234 -iter 1 -out sealed.pem");
    bench.openssl("pkey -in k.pem -traditional -aes256 -passout pass:1234 -out old.pem");
    bench.openssl("req -new -key k.pem -subj /CN=d -outform DER -out d.csr");
    bench.openssl("req -x509 -new -key k.pem -subj /C=DE/O=a/CN=d -text -out c.pem");
    bench.openssl("x509 -in c.pem -outform DER -out c.der");
    bench.openssl("pkcs12 -export -in c.pem -inkey k.pem -iter 1 -passout pass:1234 -out c.pfx");
    [
        "k.pem",
        "k.der",
        "sealed.pem",
        "old.pem",
        "d.csr",
        "c.pem",
        "c.der",
        "c.pfx",
    ]
    .map(|file| bench.read(file))
    .to_vec()
});

/// Gives the bytes to every reader, and whatever is read to everything that uses it.
fn read_all(bytes: &[u8]) {
    let certificates = Certificate::all_from_text(bytes)
        .into_iter()
        .flatten()
        .chain(Certificate::from_der(bytes));
    for certificate in certificates {
        let _ = (
            certificate.subject().to_string(),
            certificate.issuer().to_string(),
        );
        let _ = (
            certificate.serial_hex(),
            certificate.pem(),
            format!("{certificate:?}"),
        );
        let _ = (
            certificate.not_before().to_string(),
            certificate.signature_algorithm().to_string(),
        );
        let configured = std::iter::once(certificate.clone()).collect();
        let now = certificate.not_before();
        let chain = Chain::from_certificates([certificate.clone(), certificate]).unwrap();
        let _ = verdict(&chain, &configured, now);
    }
    let _ = PrivateKey::from_text(bytes, Some("1234"));
    let _ = CertificateRequest::from_text(bytes);
    if bytes.len() < 16 * 1024 {
        let _ = pfx::read(bytes, "1234");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn readers_come_back_from_any_damage(
        file in 0..8_usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut bytes = FILES[file].clone();
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        read_all(&bytes);
    }

    #[test]
    fn readers_come_back_from_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        read_all(&bytes);
        let _ = String::from_utf8_lossy(&bytes).parse::<Thumbprint>();
    }

    #[test]
    fn a_leaf_with_damage_in_its_signed_part_is_refused(place in any::<prop::sample::Index>(), bit in 0..8_u32) {
        static MADE: LazyLock<(Vec<u8>, crate::support::Entity)> = LazyLock::new(|| {
            let root = Spec::ca("R").self_signed();
            (Spec::leaf("D").signed_by(&root).certificate.der().to_vec(), root)
        });
        let (der, root) = &*MADE;
        let mut damaged = der.clone();
        let place = place.index(der.len());
        damaged[place] ^= 1 << bit;
        if let Ok(chain) = Chain::from_ders([damaged.as_slice()]) {
            prop_assert!(verdict(&chain, &anchors(&[root]), NOW).is_err(), "byte {place} bit {bit}");
        }
    }
}
