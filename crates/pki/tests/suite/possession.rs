//! Proof of possession with verification certificates as the tools of the tutorials issue them.

use muster_pki::Certificate;
use muster_pki::verify::{PopFailure, proves_possession};

use crate::support::{Bench, NOW, Spec, new_key};

const CODE: &str = "75B86466DA34D2B04C0C4C9557A119687ADAE7D4732BDDB3";

#[test]
fn takes_a_certificate_that_openssl_issued_without_extensions() {
    let bench = Bench::new();
    bench.openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -subj /CN=root -days 30 -out ca.pem");
    bench.openssl("genpkey -out pop.key -algorithm RSA -pkeyopt rsa_keygen_bits:2048");
    bench.openssl(&format!("req -new -key pop.key -subj /CN={CODE} -out pop.csr"));
    bench.openssl("x509 -req -in pop.csr -CA ca.pem -CAkey ca.key -set_serial 9 -days 9 -out pop.pem");
    let (ca, pop) = (bench.certificate("ca.pem"), bench.certificate("pop.pem"));
    let now = pop.not_before();
    assert_eq!(proves_possession(&ca, &pop, CODE, now), Ok(()));
    assert_eq!(proves_possession(&ca, &pop, &CODE.to_lowercase(), now), Ok(()));
}

#[test]
fn asks_nothing_of_extensions() {
    let root = Spec::ca("root").self_signed();
    for spec in [
        Spec::leaf(CODE),
        Spec::ca(CODE),
        Spec::leaf(CODE).extensionless(),
        Spec::leaf(CODE).critical_unknown(),
    ] {
        let pop = spec.signed_by(&root).certificate;
        assert_eq!(proves_possession(&root.certificate, &pop, CODE, NOW), Ok(()));
    }
}

#[test]
fn takes_proofs_for_intermediates_and_for_certificates_without_extensions() {
    let root = Spec::ca("root").self_signed();
    for ca in [
        Spec::ca("intermediate").signed_by(&root),
        Spec::ca("plain").extensionless().self_signed(),
    ] {
        let pop = Spec::leaf(CODE).signed_by(&ca).certificate;
        assert_eq!(proves_possession(&ca.certificate, &pop, CODE, NOW), Ok(()));
    }
}

#[test]
fn tells_every_failure_apart() {
    let root = Spec::ca("root").self_signed();
    let other = Spec::ca("other").self_signed();
    let judge = |pop: &Certificate| proves_possession(&root.certificate, pop, CODE, NOW).unwrap_err();
    let differs = judge(&Spec::leaf("another").signed_by(&root).certificate);
    assert_eq!(
        differs,
        PopFailure::CommonNameDiffers {
            found: "another".into()
        }
    );
    let issuer = judge(&Spec::leaf(CODE).signed_by(&other).certificate);
    assert!(matches!(issuer, PopFailure::IssuerDiffers { .. }));
    let wrong = judge(&Spec::leaf(CODE).signed_with(&root, &new_key()).certificate);
    assert_eq!(wrong, PopFailure::SignatureWrong);
    let expired = judge(&Spec::leaf(CODE).expired().signed_by(&root).certificate);
    assert!(matches!(expired, PopFailure::Expired { .. }));
    let early = judge(&Spec::leaf(CODE).future().signed_by(&root).certificate);
    assert!(matches!(early, PopFailure::NotYetValid { .. }));

    let bench = Bench::new();
    bench.openssl("genpkey -out ca.key -algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    bench.openssl("req -x509 -new -key ca.key -subj /CN=root -out ca.pem");
    bench.openssl("req -new -key ca.key -subj /O=nobody -out pop.csr");
    bench.openssl("x509 -req -in pop.csr -CA ca.pem -CAkey ca.key -set_serial 9 -out pop.pem");
    let (ca, pop) = (bench.certificate("ca.pem"), bench.certificate("pop.pem"));
    let now = pop.not_before();
    let missing = proves_possession(&ca, &pop, CODE, now).unwrap_err();
    assert_eq!(missing, PopFailure::CommonNameMissing);
    bench.openssl(&format!("req -new -key ca.key -subj /CN={CODE} -out pop.csr"));
    bench.openssl("x509 -req -in pop.csr -CA ca.pem -CAkey ca.key -set_serial 9 -sha1 -out pop.pem");
    let weak = proves_possession(&ca, &bench.certificate("pop.pem"), CODE, now).unwrap_err();
    assert!(matches!(weak, PopFailure::SignatureUnfit(_)));

    let all = [differs, issuer, wrong, expired, early, missing, weak];
    let codes: std::collections::BTreeSet<_> = all.iter().map(PopFailure::code).collect();
    assert_eq!(codes.len(), all.len());
}
