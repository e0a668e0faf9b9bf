//! Our verdicts beside those of rustls-webpki and of `openssl verify`.
//!
//! Where the contract differs from them on purpose, the ledger below has a row with the reason. A row that no
//! longer differs fails the run, as does a difference without a row. Random hierarchies inside the common
//! ground must get the same verdict from all three.

use std::time::Duration;

use muster_pki::verify::AnchorSet;
use muster_pki::{Certificate, Chain};
use proptest::prelude::*;
use rcgen::{CustomExtension, IsCa, KeyUsagePurpose};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::support::{Bench, Entity, NOW, Spec, anchors, chain, new_key, verdict};

/// What the three say of one case.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Verdicts {
    ours: bool,
    webpki: bool,
    openssl: bool,
}

fn all_three(bench: &Bench, presented: &[&Entity], configured: &[&Entity]) -> Verdicts {
    Verdicts {
        ours: verdict(&chain(presented), &anchors(configured), NOW).is_ok(),
        webpki: by_webpki(&chain(presented), configured),
        openssl: by_openssl(bench, presented, configured),
    }
}

fn by_webpki(chain: &Chain, configured: &[&Entity]) -> bool {
    let ders: Vec<CertificateDer<'_>> = configured
        .iter()
        .map(|one| CertificateDer::from(one.certificate.der()))
        .collect();
    let trusted: Vec<_> = ders
        .iter()
        .filter_map(|der| anchor_from_trusted_cert(der).ok())
        .collect();
    let presented: Vec<CertificateDer<'_>> = chain.ders().map(CertificateDer::from).collect();
    let Ok(leaf) = EndEntityCert::try_from(&presented[0]) else {
        return false;
    };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW.unix().unsigned_abs()));
    leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &trusted,
        &presented[1..],
        now,
        KeyUsage::client_auth(),
        None,
        None,
    )
    .is_ok()
}

fn by_openssl(bench: &Bench, presented: &[&Entity], configured: &[&Entity]) -> bool {
    let pem = |all: &[&Entity]| all.iter().map(|one| one.certificate.pem()).collect::<String>();
    bench.write("leaf.pem", pem(&presented[..1]));
    bench.write("untrusted.pem", pem(&presented[1..]));
    bench.write("anchors.pem", pem(configured));
    let now = NOW.unix().to_string();
    // A file without certificates is an error of its own.
    let mut words = vec![
        "verify",
        "-partial_chain",
        "-purpose",
        "sslclient",
        "-attime",
        &now,
    ];
    if configured.is_empty() {
        words.extend(["-no-CAfile", "-no-CApath", "-no-CAstore"]);
    } else {
        words.extend(["-CAfile", "anchors.pem"]);
    }
    if presented.len() > 1 {
        words.extend(["-untrusted", "untrusted.pem"]);
    }
    words.push("leaf.pem");
    bench.try_openssl(&words).0
}

/// One row of the ledger.
struct Row {
    case: &'static str,
    reason: &'static str,
    verdicts: Verdicts,
    presented: Vec<Entity>,
    configured: Vec<Entity>,
}

const fn said(ours: bool, webpki: bool, openssl: bool) -> Verdicts {
    Verdicts {
        ours,
        webpki,
        openssl,
    }
}

#[expect(clippy::too_many_lines, reason = "one table, row by row")]
fn ledger() -> Vec<Row> {
    let root = Spec::ca("R").self_signed();
    let server_only = CustomExtension::from_oid_content(
        &[2, 5, 29, 37],
        vec![
            0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01,
        ],
    );
    let mut rows = Vec::new();
    let mut row = |case, verdicts, reason, presented: &[&Entity], configured: &[&Entity]| {
        let owned = |all: &[&Entity]| all.iter().map(|&one| one.clone()).collect();
        rows.push(Row {
            case,
            reason,
            verdicts,
            presented: owned(presented),
            configured: owned(configured),
        });
    };

    let mut spec = Spec::ca("D");
    spec.key_usages = Vec::new();
    let device = spec.signed_by(&root);
    row(
        "a leaf with CA:TRUE",
        said(true, false, true),
        "the service takes it: openssl's default self-signed certificates and az's helper say CA:TRUE",
        &[&device],
        &[&root],
    );

    let mut spec = Spec::leaf("D");
    spec.extensions.push(server_only.clone());
    let device = spec.signed_by(&root);
    row(
        "a leaf for servers only",
        said(true, false, false),
        "extended key usage is not looked at",
        &[&device],
        &[&root],
    );

    let mut spec = Spec::ca("I");
    spec.extensions.push(server_only);
    let middle = spec.signed_by(&root);
    let device = Spec::leaf("D").signed_by(&middle);
    row(
        "an intermediate for servers only",
        said(true, false, false),
        "extended key usage is not looked at; the hub tutorial puts one on its subordinate CA",
        &[&device, &middle],
        &[&root],
    );

    let short = Spec::ca("R").path_len(0).self_signed();
    let middle = Spec::ca("I").signed_by(&short);
    let device = Spec::leaf("D").signed_by(&middle);
    row(
        "a configured root with path length 0 above an intermediate",
        said(false, true, false),
        "a configured certificate's own limit binds it; webpki reduces anchors to name and key",
        &[&device, &middle],
        &[&short],
    );

    let mut spec = Spec::ca("R");
    spec.ca = IsCa::ExplicitNoCa;
    let not_ca = spec.self_signed();
    let device = Spec::leaf("D").signed_by(&not_ca);
    row(
        "a configured issuer with CA:FALSE",
        said(false, true, false),
        "CA:FALSE never issues; webpki does not look at an anchor's flags",
        &[&device],
        &[&not_ca],
    );

    let mut spec = Spec::ca("R");
    spec.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let no_signer = spec.self_signed();
    let device = Spec::leaf("D").signed_by(&no_signer);
    row(
        "a configured issuer whose key usage lacks keyCertSign",
        said(false, true, false),
        "key usage binds where it is stated; webpki does not look at an anchor's",
        &[&device],
        &[&no_signer],
    );

    let expired = Spec::ca("R").expired().self_signed();
    let device = Spec::leaf("D").signed_by(&expired);
    row(
        "an expired configured root",
        said(false, true, false),
        "every certificate used must be inside its dates; webpki's anchors have none",
        &[&device],
        &[&expired],
    );

    let mut deep = vec![root.clone()];
    for number in 0..8 {
        let next = Spec::ca(&format!("I{number}")).signed_by(deep.last().unwrap());
        deep.push(next);
    }
    let device = Spec::leaf("D").signed_by(deep.last().unwrap());
    let mut presented = vec![&device];
    presented.extend(deep.iter().skip(1).rev());
    row(
        "eight intermediates",
        said(true, false, true),
        "the depth is a budget of 16; webpki allows six intermediates",
        &presented,
        &[&root],
    );

    let plain = Spec::ca("plain").extensionless().self_signed();
    let device = Spec::leaf("D").signed_by(&plain);
    row(
        "a configured issuer without extensions",
        said(true, true, false),
        "whoever configured it has said that it issues; openssl wants CA:TRUE of version 3",
        &[&device],
        &[&plain],
    );

    let middle = Spec::ca("plain").extensionless().signed_by(&root);
    let device = Spec::leaf("D").signed_by(&middle);
    row(
        "a presented issuer without extensions",
        said(false, false, false),
        "no difference: otherwise any device certificate could sign another's name",
        &[&device, &middle],
        &[&root],
    );

    let device = Spec::leaf("D").critical_unknown().signed_by(&root);
    row(
        "a leaf with an unknown critical extension",
        said(false, false, false),
        "no difference on a path; a leaf known by thumbprint is not asked",
        &[&device],
        &[&root],
    );

    let inner = Spec::ca("R").path_len(0).self_signed();
    let renewed = Spec::ca("R").signed_by(&inner);
    let device = Spec::leaf("D").signed_by(&renewed);
    row(
        "a self-issued certificate below path length 0",
        said(true, true, true),
        "no difference: self-issued intermediates do not count",
        &[&device, &renewed],
        &[&inner],
    );

    let forger = Spec::ca("R").self_signed();
    let device = Spec::leaf("D").signed_by(&forger);
    row(
        "a forged root of the configured root's name",
        said(false, false, false),
        "no difference",
        &[&device, &forger],
        &[&root],
    );

    let names: Vec<Entity> = (0..80).map(|_| Spec::ca("R").self_signed()).collect();
    let mut spec = Spec::leaf("D");
    spec.authority_key_id = true;
    let device = spec.signed_by(&names[40]);
    row(
        "eighty configured roots of one name, told apart by key identifier",
        said(true, true, true),
        "no difference in the verdict; the cost differs",
        &[&device],
        &names.iter().collect::<Vec<_>>(),
    );
    rows
}

#[test]
fn differs_from_the_oracles_only_as_the_ledger_says() {
    let bench = Bench::new();
    let mut wrong = Vec::new();
    for row in ledger() {
        let presented: Vec<_> = row.presented.iter().collect();
        let configured: Vec<_> = row.configured.iter().collect();
        assert!(!row.reason.is_empty());
        let found = all_three(&bench, &presented, &configured);
        if found != row.verdicts {
            wrong.push(format!(
                "{}: {found:?}, not {:?} ({})",
                row.case, row.verdicts, row.reason
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn takes_version_1_leaves_that_webpki_cannot_read() {
    let bench = Bench::new();
    bench.openssl("genpkey -out ca.key -algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    bench.openssl("req -x509 -new -key ca.key -subj /CN=ca -out ca.pem");
    bench.openssl("req -new -key ca.key -subj /CN=D -out d.csr");
    bench.openssl("x509 -req -in d.csr -CA ca.pem -CAkey ca.key -set_serial 7 -days 9 -out d.pem");
    let (ca, device) = (bench.certificate("ca.pem"), bench.certificate("d.pem"));
    let configured: AnchorSet = [ca].into_iter().collect();
    let presented = Chain::from_certificates([device.clone()]).unwrap();
    assert_eq!(verdict(&presented, &configured, device.not_before()), Ok(2));
    bench.openssl("verify -CAfile ca.pem d.pem");
    let der = CertificateDer::from(device.der());
    assert!(
        EndEntityCert::try_from(&der).is_err(),
        "a row of the ledger: version 1"
    );
}

/// A hierarchy on the common ground: leaf CA:FALSE, anchors valid CAs without limit, at most four
/// intermediates.
#[derive(Clone, Debug)]
struct Ground {
    /// For each CA below the root: its issuer's place, whether it is presented, expired, limited, or forged.
    cas: Vec<(usize, bool, bool, Option<u8>, bool)>,
    leaf_issuer: usize,
    leaf_forged: bool,
    configured: Vec<bool>,
    reversed: bool,
}

fn ground() -> impl Strategy<Value = Ground> {
    let limit = prop_oneof![3 => Just(None), 1 => (0_u8..3).prop_map(Some)];
    let ca = (
        0..4_usize,
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.15),
        limit,
        prop::bool::weighted(0.1),
    );
    (
        prop::collection::vec(ca, 0..4),
        0..5_usize,
        prop::bool::weighted(0.1),
        prop::collection::vec(prop::bool::weighted(0.4), 5),
        any::<bool>(),
    )
        .prop_map(|(cas, leaf_issuer, leaf_forged, configured, reversed)| Ground {
            cas,
            leaf_issuer,
            leaf_forged,
            configured,
            reversed,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_both_oracles_on_the_common_ground(ground in ground()) {
        let bench = Bench::new();
        let root = Spec::ca("CA 0").self_signed();
        let mut cas = vec![(root, true)];
        for (number, (issuer, _, expired, limit, forged)) in ground.cas.iter().enumerate() {
            let mut spec = Spec::ca(&format!("CA {}", number + 1));
            if let Some(limit) = limit {
                spec = spec.path_len(*limit);
            }
            if *expired {
                spec = spec.expired();
            }
            let (issuer, _) = &cas[issuer % cas.len()];
            let made = if *forged { spec.signed_with(issuer, &new_key()) } else { spec.signed_by(issuer) };
            // Anchors outside their dates or with a limit are in the ledger, not on the common ground.
            cas.push((made, !expired && limit.is_none()));
        }
        let (issuer, _) = &cas[ground.leaf_issuer % cas.len()];
        let leaf = Spec::leaf("D");
        let device = if ground.leaf_forged { leaf.signed_with(issuer, &new_key()) } else { leaf.signed_by(issuer) };
        let mut presented: Vec<&Entity> = cas
            .iter()
            .skip(1)
            .zip(&ground.cas)
            .filter(|(_, (_, presented, ..))| *presented)
            .map(|((ca, _), _)| ca)
            .collect();
        if ground.reversed {
            presented.reverse();
        }
        presented.insert(0, &device);
        let configured: Vec<&Entity> = cas
            .iter()
            .zip(&ground.configured)
            .filter(|((_, fit), configured)| *fit && **configured)
            .map(|((ca, _), _)| ca)
            .collect();
        let verdicts = all_three(&bench, &presented, &configured);
        prop_assert_eq!(verdicts, said(verdicts.ours, verdicts.ours, verdicts.ours));
    }
}

#[test]
fn the_oracles_judge_a_plain_chain_as_we_do() {
    let bench = Bench::new();
    let root = Spec::ca("R").self_signed();
    let middle = Spec::ca("I").signed_by(&root);
    let device = Spec::leaf("D").signed_by(&middle);
    assert_eq!(
        all_three(&bench, &[&device, &middle], &[&root]),
        said(true, true, true)
    );
    assert_eq!(all_three(&bench, &[&device], &[&root]), said(false, false, false));
    assert_eq!(
        all_three(&bench, &[&device, &middle], &[]),
        said(false, false, false)
    );
    assert!(Certificate::from_der(device.certificate.der()).is_ok());
}
