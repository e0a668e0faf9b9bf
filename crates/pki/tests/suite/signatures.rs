//! Signatures on a path: forged, namesake, broken, unknown, and every algorithm of the contract.

use muster_pki::verify::AnchorSet;
use muster_pki::{Chain, Time};

use crate::support::{Bench, Entity, NOW, Spec, anchors, chain, new_key, verdict};

fn reason(presented: &[&Entity], configured: &[&Entity]) -> &'static str {
    verdict(&chain(presented), &anchors(configured), NOW).expect_err("a refusal")
}

#[test]
fn refuses_a_forged_issuer_of_the_same_name() {
    let root = Spec::ca("R").self_signed();
    let forger = Spec::ca("R").self_signed();
    let device = Spec::leaf("D").signed_by(&forger);
    assert_eq!(reason(&[&device], &[&root]), "issuer-signature-wrong");
    // With the forged root presented the path ends there, configured namesake or not.
    assert_eq!(reason(&[&device, &forger], &[&root]), "root-not-configured");
}

#[test]
fn refuses_a_certificate_that_only_names_the_configured_issuer() {
    let root = Spec::ca("R").self_signed();
    let device = Spec::leaf("D").signed_with(&root, &new_key());
    assert_eq!(reason(&[&device], &[&root]), "issuer-signature-wrong");
}

#[test]
fn tells_a_missing_issuer_from_an_expired_namesake() {
    let old = Spec::ca("R").expired().self_signed();
    let root = Spec::ca("R").self_signed();
    let device = Spec::leaf("D").signed_by(&root);
    // The old certificate is expired and has another key: it is not why the device is refused.
    assert_eq!(reason(&[&device], &[&old]), "issuer-signature-wrong");
    assert_eq!(verdict(&chain(&[&device]), &anchors(&[&old, &root]), NOW), Ok(2));
}

#[test]
fn takes_the_valid_one_of_two_certificates_of_one_key() {
    let key = new_key();
    let old = Spec::ca("R").expired().with_key(&key).self_signed();
    let new = Spec::ca("R").with_key(&key).self_signed();
    let device = Spec::leaf("D").signed_by(&old);
    assert_eq!(
        verdict(&chain(&[&device, &old]), &anchors(&[&old, &new]), NOW),
        Ok(2)
    );
    assert_eq!(reason(&[&device, &old], &[&old]), "issuer-expired");
}

#[test]
fn does_not_exclude_by_key_identifiers() {
    let root = Spec::ca("R").self_signed();
    let mut spec = Spec::leaf("D");
    spec.authority_key_id = false;
    let wrong = rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 35], vec![0x30, 0x04, 0x80, 0x02, 1, 2]);
    spec.extensions.push(wrong);
    let device = spec.signed_by(&root);
    assert_eq!(device.certificate.authority_key_id(), Some(&[1, 2][..]));
    assert_eq!(verdict(&chain(&[&device]), &anchors(&[&root]), NOW), Ok(2));
}

#[test]
fn refuses_broken_and_unknown_algorithms_by_name() {
    let bench = Bench::new();
    bench.openssl("genpkey -out rsa.key -algorithm RSA -pkeyopt rsa_keygen_bits:2048");
    bench.openssl("genpkey -out short.key -algorithm RSA -pkeyopt rsa_keygen_bits:1024");
    bench.openssl("genpkey -out koblitz.key -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1");
    bench.openssl("genpkey -out ec.key -algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    for (key, options, code) in [
        ("rsa", "-sha1", "weak-signature-algorithm"),
        ("rsa", "-md5", "weak-signature-algorithm"),
        ("ec", "-sha1", "weak-signature-algorithm"),
        ("short", "-sha256", "weak-issuer-key"),
        ("rsa", "-sha224", "unsupported-algorithm"),
        ("koblitz", "-sha256", "unsupported-algorithm"),
        (
            "rsa",
            "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:21",
            "unsupported-algorithm",
        ),
        (
            "rsa",
            "-sha1 -sigopt rsa_padding_mode:pss",
            "weak-signature-algorithm",
        ),
    ] {
        let (presented, configured, now) = openssl_pair(&bench, key, options);
        assert_eq!(
            verdict(&presented, &configured, now),
            Err(code),
            "{key} {options}"
        );
    }
}

#[test]
fn checks_every_algorithm_of_the_contract() {
    let bench = Bench::new();
    bench.openssl("genpkey -out rsa2048.key -algorithm RSA -pkeyopt rsa_keygen_bits:2048");
    bench.openssl("genpkey -out rsa3072.key -algorithm RSA -pkeyopt rsa_keygen_bits:3072");
    bench.openssl("genpkey -out pss.key -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048");
    for curve in ["P-256", "P-384", "P-521"] {
        bench.openssl(&format!(
            "genpkey -out {curve}.key -algorithm EC -pkeyopt ec_paramgen_curve:{curve}"
        ));
    }
    bench.openssl("genpkey -out ed.key -algorithm ED25519");
    let mut tried = 0;
    let mut check = |key: &str, options: &str| {
        let (presented, configured, now) = openssl_pair(&bench, key, options);
        assert_eq!(verdict(&presented, &configured, now), Ok(2), "{key} {options}");
        tried += 1;
    };
    for digest in ["-sha256", "-sha384", "-sha512"] {
        for key in ["rsa2048", "rsa3072", "P-256", "P-384", "P-521"] {
            check(key, digest);
        }
        for salt in ["digest", "max"] {
            let options = format!("{digest} -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:{salt}");
            check("rsa2048", &options);
            check("rsa3072", &options);
            check("pss", &options);
        }
    }
    check("ed", "");
    assert_eq!(tried, 34);
}

/// A CA of that key, and a chain whose leaf it signed with these options.
fn openssl_pair(bench: &Bench, key: &str, options: &str) -> (Chain, AnchorSet, Time) {
    bench.openssl(&format!(
        "req -x509 -new -key {key}.key -subj /CN=ca -days 30 -out ca.pem"
    ));
    bench.openssl("genpkey -out leaf.key -algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    bench.openssl("req -new -key leaf.key -subj /CN=D -out d.csr");
    bench.openssl(&format!(
        "x509 -req -in d.csr -CA ca.pem -CAkey {key}.key -set_serial 7 -days 9 {options} -out d.pem"
    ));
    let device = bench.certificate("d.pem");
    let now = device.not_before();
    let configured = [bench.certificate("ca.pem")].into_iter().collect();
    (Chain::from_certificates([device]).unwrap(), configured, now)
}

#[test]
fn refuses_a_certificate_that_names_two_algorithms() {
    let root = Spec::ca("R").self_signed();
    let mut der = Spec::leaf("D").signed_by(&root).certificate.der().to_vec();
    // The last ecdsa-with-SHA256 is the unsigned one; call it SHA-384.
    let oid = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
    let place = der.windows(oid.len()).rposition(|window| window == oid).unwrap();
    der[place + 7] = 0x03;
    let presented = Chain::from_ders([der.as_slice()]).unwrap();
    assert_eq!(
        verdict(&presented, &anchors(&[&root]), NOW),
        Err("signature-algorithms-differ")
    );
}
