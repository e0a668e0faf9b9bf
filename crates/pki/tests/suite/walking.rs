//! The walk: the chain examples of provisioning, the rules for issuers, and the reasons for refusals.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use muster_pki::verify::{Budget, Event, Path, Reason, Recorder, SignatureSeen, Silent, Walked, walk};
use muster_pki::{Chain, Time};
use rcgen::{IsCa, KeyUsagePurpose};

use crate::support::{Bench, Entity, NOW, Spec, anchors, chain, paths, verdict};

/// D ← I2 ← I1 ← R.
struct Ladder {
    root: Entity,
    upper: Entity,
    lower: Entity,
    device: Entity,
}

fn ladder() -> Ladder {
    let root = Spec::ca("R").self_signed();
    let upper = Spec::ca("I1").signed_by(&root);
    let lower = Spec::ca("I2").signed_by(&upper);
    let device = Spec::leaf("D").signed_by(&lower);
    Ladder {
        root,
        upper,
        lower,
        device,
    }
}

/// Names of the certificates of each path, leaf first.
fn names(paths: &[Path]) -> Vec<String> {
    paths
        .iter()
        .map(|path| {
            path.steps()
                .filter_map(|step| step.certificate.common_name())
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

fn reason(presented: &[&Entity], configured: &[&Entity]) -> &'static str {
    verdict(&chain(presented), &anchors(configured), NOW).expect_err("a refusal")
}

// The examples of provisioning: root R verified, group on I2.

#[test]
fn takes_the_whole_chain() {
    let Ladder {
        root,
        upper,
        lower,
        device,
    } = ladder();
    let found = paths(&chain(&[&device, &lower, &upper, &root]), &anchors(&[&root]), NOW);
    assert_eq!(names(&found), ["D", "D I2", "D I2 I1", "D I2 I1 R"]);
}

#[test]
fn takes_the_chain_without_its_configured_root() {
    let Ladder {
        root,
        upper,
        lower,
        device,
    } = ladder();
    assert_eq!(
        verdict(&chain(&[&device, &lower, &upper]), &anchors(&[&root]), NOW),
        Ok(4)
    );
}

#[test]
fn refuses_the_chain_with_a_gap_and_names_what_is_missing() {
    let Ladder {
        root, lower, device, ..
    } = ladder();
    let walked = walk(
        &chain(&[&device, &lower]),
        &anchors(&[&root]),
        NOW,
        Budget::default(),
        &mut Silent,
        |_| ControlFlow::<()>::Continue(()),
    );
    let Walked::Undecided(Some(reason)) = walked else {
        panic!("a reason")
    };
    assert_eq!(reason.code(), "chain-incomplete");
    assert_eq!(
        reason.to_string(),
        "The issuer of CN=I2, CN=I1, was neither presented nor is it configured."
    );
}

#[test]
fn takes_the_leaf_with_or_without_its_configured_issuer() {
    let Ladder { lower, device, .. } = ladder();
    assert_eq!(
        verdict(&chain(&[&device, &lower]), &anchors(&[&lower]), NOW),
        Ok(2)
    );
    assert_eq!(verdict(&chain(&[&device]), &anchors(&[&lower]), NOW), Ok(2));
}

#[test]
fn finds_the_nearest_issuer_first_whatever_the_order_of_presentation() {
    let Ladder {
        root,
        upper,
        lower,
        device,
    } = ladder();
    let configured = anchors(&[&root, &lower]);
    for order in [
        [&root, &upper, &lower],
        [&upper, &lower, &root],
        [&lower, &root, &upper],
    ] {
        let presented = chain(&[&device, order[0], order[1], order[2]]);
        assert_eq!(
            names(&paths(&presented, &configured, NOW)),
            ["D", "D I2", "D I2 I1", "D I2 I1 R"]
        );
    }
}

#[test]
fn lets_a_disabled_group_below_the_root_be_seen_when_the_root_is_presented_before_it() {
    let root = Spec::ca("R").self_signed();
    let lower = Spec::ca("I2").signed_by(&root);
    let device = Spec::leaf("D").signed_by(&lower);
    let found = paths(&chain(&[&device, &root, &lower]), &anchors(&[&root, &lower]), NOW);
    assert_eq!(names(&found), ["D", "D I2", "D I2 R"]);
}

#[test]
fn shows_a_self_signed_leaf_as_a_path_of_one() {
    let device = Spec::leaf("D").self_signed();
    assert_eq!(names(&paths(&chain(&[&device]), &anchors(&[]), NOW)), ["D"]);
    assert_eq!(reason(&[&device], &[]), "root-not-configured");
}

#[test]
fn ignores_strangers_among_the_presented() {
    let Ladder {
        root,
        upper,
        lower,
        device,
    } = ladder();
    let stranger = Spec::ca("public CA").self_signed();
    let presented = chain(&[&device, &stranger, &lower, &upper]);
    assert_eq!(verdict(&presented, &anchors(&[&root, &stranger]), NOW), Ok(4));
    // A configured certificate that is only appended opens nothing.
    assert_eq!(reason(&[&device, &stranger], &[&stranger]), "chain-incomplete");
}

#[test]
fn goes_on_past_unreadable_ones() {
    let Ladder {
        root,
        upper,
        lower,
        device,
    } = ladder();
    let ders = [
        device.certificate.der(),
        b"junk",
        lower.certificate.der(),
        b"",
        upper.certificate.der(),
    ];
    let presented = Chain::from_ders(ders).unwrap();
    assert_eq!(verdict(&presented, &anchors(&[&root]), NOW), Ok(4));
}

#[test]
fn merges_what_is_presented_and_configured() {
    let root = Spec::ca("R").self_signed();
    let device = Spec::leaf("D").signed_by(&root);
    let found = paths(&chain(&[&device, &root, &root]), &anchors(&[&root]), NOW);
    assert_eq!(names(&found), ["D", "D R"]);
    let origin = found[1].top().origin;
    assert_eq!((origin.presented_at, origin.configured), (Some(1), true));
}

#[test]
fn knows_the_interval_in_which_a_path_holds() {
    let root = Spec::ca("R")
        .dates(Time::from_unix(5), NOW.plus_days(3))
        .self_signed();
    let device = Spec::leaf("D")
        .dates(Time::from_unix(9), NOW.plus_days(9))
        .signed_by(&root);
    let found = paths(&chain(&[&device]), &anchors(&[&root]), NOW);
    assert_eq!(
        (found[1].valid_from(), found[1].valid_until()),
        (Time::from_unix(9), NOW.plus_days(3))
    );
}

// Who may issue.

#[test]
fn refuses_a_leaf_that_signs_another_name() {
    let root = Spec::ca("R").self_signed();
    let robber = Spec::leaf("robber").signed_by(&root);
    let victim = Spec::leaf("victim").signed_by(&robber);
    assert_eq!(reason(&[&victim, &robber], &[&root]), "issuer-not-a-ca");
    // Configured or not: CA:FALSE never issues.
    assert_eq!(reason(&[&victim, &robber], &[&root, &robber]), "issuer-not-a-ca");
}

#[test]
fn lets_an_extensionless_issuer_issue_only_when_configured() {
    let plain = Spec::ca("plain").extensionless().self_signed();
    let device = Spec::leaf("D").signed_by(&plain);
    assert_eq!(verdict(&chain(&[&device]), &anchors(&[&plain]), NOW), Ok(2));
    assert_eq!(
        verdict(&chain(&[&device, &plain]), &anchors(&[&plain]), NOW),
        Ok(2)
    );
    let root = Spec::ca("R").self_signed();
    let presented_only = Spec::ca("plain").extensionless().signed_by(&root);
    let device = Spec::leaf("D").signed_by(&presented_only);
    assert_eq!(
        reason(&[&device, &presented_only], &[&root]),
        "extensionless-issuer-not-configured"
    );
}

#[test]
fn lets_a_version_1_issuer_issue_only_when_configured() {
    let bench = Bench::new();
    bench.openssl("genpkey -out ca.key -algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    bench.openssl("req -new -key ca.key -subj /CN=v1 -out ca.csr");
    bench.openssl("x509 -req -in ca.csr -signkey ca.key -days 30 -out ca.pem");
    bench.openssl("req -new -key ca.key -subj /CN=D -out d.csr");
    bench.openssl("x509 -req -in d.csr -CA ca.pem -CAkey ca.key -set_serial 7 -days 30 -out d.pem");
    let (ca, device) = (bench.certificate("ca.pem"), bench.certificate("d.pem"));
    assert_eq!((ca.version(), device.version()), (1, 1));
    let now = device.not_before();
    let presented = Chain::from_certificates([device, ca.clone()]).unwrap();
    assert_eq!(verdict(&presented, &[ca].into_iter().collect(), now), Ok(2));
    assert_eq!(
        verdict(&presented, &anchors(&[]), now),
        Err("extensionless-issuer-not-configured")
    );
}

#[test]
fn lets_a_leaf_with_ca_true_issue() {
    let root = Spec::ca("R").self_signed();
    let device = Spec::ca("device").signed_by(&root);
    let below = Spec::leaf("below").signed_by(&device);
    assert_eq!(
        verdict(&chain(&[&below, &device]), &anchors(&[&root]), NOW),
        Ok(3)
    );
}

#[test]
fn takes_a_device_whose_own_key_identifier_is_its_issuers() {
    // The command line's test helper copies the issuer's key identifier into what it signs.
    let root = Spec::ca("R").self_signed();
    let copied = root.certificate.subject_key_id().expect("a key identifier");
    let value = [&[0x04, u8::try_from(copied.len()).unwrap()], copied].concat();
    let mut spec = Spec::leaf("D");
    spec.ca = IsCa::NoCa;
    spec.extensions = vec![rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 14], value)];
    let device = spec.signed_by(&root);
    assert_eq!(device.certificate.subject_key_id(), Some(copied));
    assert_eq!(verdict(&chain(&[&device, &root]), &anchors(&[&root]), NOW), Ok(2));
    assert_eq!(verdict(&chain(&[&device]), &anchors(&[&root]), NOW), Ok(2));
}

#[test]
fn demands_the_right_to_sign_certificates_where_key_usage_is_stated() {
    let mut spec = Spec::ca("R");
    spec.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign];
    let root = spec.self_signed();
    let device = Spec::leaf("D").signed_by(&root);
    assert_eq!(reason(&[&device], &[&root]), "issuer-key-usage");
    spec.key_usages = Vec::new();
    let root = spec.self_signed();
    let device = Spec::leaf("D").signed_by(&root);
    assert_eq!(verdict(&chain(&[&device]), &anchors(&[&root]), NOW), Ok(2));
}

#[test]
fn honours_path_lengths_the_anchors_own_included() {
    let root = Spec::ca("R").path_len(0).self_signed();
    let device = Spec::leaf("D").signed_by(&root);
    assert_eq!(verdict(&chain(&[&device]), &anchors(&[&root]), NOW), Ok(2));
    let lower = Spec::ca("I").signed_by(&root);
    let device = Spec::leaf("D").signed_by(&lower);
    assert_eq!(reason(&[&device, &lower], &[&root]), "issuer-path-length");
    // A leaf that is a CA is still the leaf, and does not count.
    let device = Spec::ca("D").signed_by(&root);
    assert_eq!(verdict(&chain(&[&device]), &anchors(&[&root]), NOW), Ok(2));
}

#[test]
fn does_not_count_self_issued_intermediates() {
    let root = Spec::ca("R").path_len(0).self_signed();
    let renewed = Spec::ca("R").signed_by(&root);
    let device = Spec::leaf("D").signed_by(&renewed);
    assert_eq!(
        verdict(&chain(&[&device, &renewed]), &anchors(&[&root]), NOW),
        Ok(3)
    );
}

#[test]
fn takes_a_path_length_on_every_level_as_the_powershell_script_writes_it() {
    let root = Spec::ca("Azure IoT CA TestOnly Root CA")
        .path_len(12)
        .self_signed();
    let one = Spec::ca("Azure IoT CA TestOnly Intermediate 1 CA")
        .path_len(12)
        .signed_by(&root);
    let two = Spec::ca("Azure IoT CA TestOnly Intermediate 2 CA")
        .path_len(12)
        .signed_by(&one);
    let device = Spec::leaf("D").signed_by(&two);
    assert_eq!(
        verdict(&chain(&[&device, &two, &one]), &anchors(&[&root]), NOW),
        Ok(4)
    );
}

#[test]
fn refuses_every_certificate_outside_its_dates() {
    let root = Spec::ca("R").self_signed();
    let cases = [
        (Spec::leaf("D").expired(), Spec::ca("I"), "leaf-expired"),
        (Spec::leaf("D").future(), Spec::ca("I"), "leaf-not-yet-valid"),
        (Spec::leaf("D"), Spec::ca("I").expired(), "issuer-expired"),
        (Spec::leaf("D"), Spec::ca("I").future(), "issuer-not-yet-valid"),
    ];
    for (leaf, intermediate, code) in cases {
        let intermediate = intermediate.signed_by(&root);
        let device = leaf.signed_by(&intermediate);
        assert_eq!(reason(&[&device, &intermediate], &[&root]), code);
        assert_eq!(reason(&[&device], &[&root, &intermediate]), code);
    }
    let expired = Spec::ca("R").expired().self_signed();
    let device = Spec::leaf("D").signed_by(&expired);
    assert_eq!(reason(&[&device], &[&expired]), "issuer-expired");
}

#[test]
fn counts_the_first_and_the_last_second_as_valid() {
    let root = Spec::ca("R").self_signed();
    let (from, to) = (NOW, NOW.plus_days(1));
    let device = Spec::leaf("D").dates(from, to).signed_by(&root);
    let judge = |now| verdict(&chain(&[&device]), &anchors(&[&root]), now);
    assert_eq!(judge(from), Ok(2));
    assert_eq!(judge(to), Ok(2));
    assert_eq!(judge(from.plus_seconds(-1)), Err("leaf-not-yet-valid"));
    assert_eq!(judge(to.plus_seconds(1)), Err("leaf-expired"));
}

#[test]
fn refuses_critical_extensions_that_nobody_knows_anywhere_on_a_path() {
    let root = Spec::ca("R").self_signed();
    let odd = Spec::ca("I").critical_unknown().signed_by(&root);
    let device = Spec::leaf("D").signed_by(&odd);
    assert_eq!(reason(&[&device, &odd], &[&root]), "unknown-critical-extension");
    let device = Spec::leaf("D").critical_unknown().signed_by(&root);
    assert_eq!(reason(&[&device], &[&root]), "unknown-critical-extension");
}

#[test]
fn refuses_an_issuer_whose_constraints_cannot_be_read() {
    let stated = |value: &[u8]| rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 19], value.to_vec());
    let mut twice = Spec::ca("R");
    twice.extensions.push(stated(&[0x30, 0x03, 0x01, 0x01, 0xff]));
    let mut broken = Spec::ca("R").extensionless();
    broken.extensions.push(stated(&[0x01, 0x01, 0xff]));
    let mut trailing = broken.clone();
    trailing.extensions = vec![stated(&[0x30, 0x03, 0x01, 0x01, 0xff, 0x00])];
    let mut negative = broken.clone();
    negative.extensions = vec![stated(&[0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, 0xff])];
    for spec in [twice, broken, trailing, negative] {
        let root = spec.self_signed();
        let device = Spec::leaf("D").signed_by(&root);
        assert_eq!(reason(&[&device], &[&root]), "issuer-constraints-unreadable");
    }
}

// Explaining.

#[test]
fn tells_for_each_candidate_where_it_came_from_and_why_it_was_not_taken() {
    let root = Spec::ca("R").self_signed();
    let expired = Spec::ca("I").expired().signed_by(&root);
    let namesake = Spec::ca("I").self_signed();
    let device = Spec::leaf("D").signed_by(&expired);
    let mut recorder = Recorder::new();
    walk(
        &chain(&[&device, &expired]),
        &anchors(&[&root, &namesake]),
        NOW,
        Budget::default(),
        &mut recorder,
        |_| ControlFlow::<()>::Continue(()),
    );
    let candidates: Vec<_> = recorder
        .events()
        .iter()
        .filter_map(|event| match event {
            Event::Candidate {
                issuer,
                origin,
                signature,
                rejected,
                ..
            } => {
                let code = rejected.as_ref().map(Reason::code);
                Some((
                    issuer.clone(),
                    origin.presented_at,
                    origin.configured,
                    *signature,
                    code,
                ))
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        candidates,
        [
            (
                expired.certificate,
                Some(1),
                false,
                SignatureSeen::Right,
                Some("issuer-expired")
            ),
            (
                namesake.certificate,
                None,
                true,
                SignatureSeen::Wrong,
                Some("issuer-signature-wrong")
            ),
        ]
    );
    let Some(Event::Ended { reason, .. }) = recorder.events().last() else {
        panic!("an end")
    };
    assert_eq!(
        reason.to_string(),
        "The issuer CN=I expired at 2027-01-05T08:00:00Z, 10 d 0 h ago."
    );
}

#[test]
fn says_nothing_is_wrong_where_a_path_ends_in_a_configured_root() {
    let root = Spec::ca("R").self_signed();
    let device = Spec::leaf("D").signed_by(&root);
    let walked = walk(
        &chain(&[&device]),
        &anchors(&[&root]),
        NOW,
        Budget::default(),
        &mut Silent,
        |_| ControlFlow::<()>::Continue(()),
    );
    assert_eq!(walked, Walked::Undecided(None));
}

#[test]
fn takes_a_self_signed_root_as_complete_though_its_cross_certificate_stands_below_it() {
    let root = Spec::ca("R").self_signed();
    let other = Spec::ca("S").self_signed();
    let crossed = Spec::ca("R").with_key(&root.key).signed_by(&other);
    let back = Spec::ca("S").with_key(&other.key).signed_by(&root);
    let device = Spec::leaf("D").signed_by(&root);
    let presented = chain(&[&device, &crossed, &back]);
    let configured = anchors(&[&root]);
    let mut found = names(&paths(&presented, &configured, NOW));
    found.sort_by_key(String::len);
    assert_eq!(found, ["D", "D R", "D R", "D R S", "D R R", "D R S R", "D R R S"]);
    let all = |_: &Path| ControlFlow::<()>::Continue(());
    let walked = walk(&presented, &configured, NOW, Budget::default(), &mut Silent, all);
    assert_eq!(walked, Walked::Undecided(None));
}

#[test]
fn tells_the_same_reason_with_and_without_a_listener_among_many_namesakes() {
    let mut spec = Spec::leaf("D");
    spec.authority_key_id = false;
    let signer = Spec::ca("R").expired().self_signed();
    let device = spec.signed_by(&signer);
    let mut configured: Vec<Entity> = (0..40).map(|_| Spec::ca("R").expired().self_signed()).collect();
    configured.push(signer);
    // `verdict` walks with and without a listener and compares.
    let code = reason(&[&device], &configured.iter().collect::<Vec<_>>());
    assert_eq!(code, "issuer-expired");
}

#[test]
fn gives_every_reason_a_code_of_its_own() {
    let name = Spec::ca("N").self_signed().certificate.subject().clone();
    let algorithm = muster_pki::SignatureAlgorithm::Ed25519;
    let (certificate, issuer) = (name.clone(), name.clone());
    let reasons = [
        Reason::ChainIncomplete {
            certificate: name.clone(),
            issuer: name.clone(),
        },
        Reason::ChainTooDeep { limit: 1 },
        Reason::ExtensionlessIssuerNotConfigured { issuer: name.clone() },
        Reason::IssuerConstraintsUnreadable { issuer: name.clone() },
        Reason::IssuerExpired {
            issuer: name.clone(),
            not_after: NOW,
            now: NOW,
        },
        Reason::IssuerKeyUsage { issuer: name.clone() },
        Reason::IssuerLoop {
            certificate: name.clone(),
            issuer: name.clone(),
        },
        Reason::IssuerNotACa { issuer: name.clone() },
        Reason::IssuerNotYetValid {
            issuer: name.clone(),
            not_before: NOW,
            now: NOW,
        },
        Reason::IssuerPathLength {
            issuer: name.clone(),
            allowed: 0,
            found: 1,
        },
        Reason::IssuerSignatureWrong {
            certificate: name.clone(),
            issuer,
        },
        Reason::LeafExpired {
            not_after: NOW,
            now: NOW,
        },
        Reason::LeafNotYetValid {
            not_before: NOW,
            now: NOW,
        },
        Reason::RootNotConfigured { root: name.clone() },
        Reason::SignatureAlgorithmsDiffer {
            certificate: name.clone(),
        },
        Reason::TooManyCandidates {
            signatures: 1,
            candidates: 1,
        },
        Reason::UnknownCriticalExtension {
            certificate: name.clone(),
            oid: "1.2".into(),
        },
        Reason::UnsupportedAlgorithm {
            certificate: name.clone(),
            algorithm: algorithm.clone(),
        },
        Reason::WeakIssuerKey {
            issuer: name.clone(),
            bits: 1024,
        },
        Reason::WeakSignatureAlgorithm {
            certificate,
            algorithm,
        },
    ];
    let codes: BTreeSet<_> = reasons.iter().map(Reason::code).collect();
    let sentences: BTreeSet<_> = reasons.iter().map(ToString::to_string).collect();
    assert_eq!((codes.len(), sentences.len()), (reasons.len(), reasons.len()));
    for code in codes {
        assert!(
            code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
            "{code}"
        );
    }
}

#[test]
fn refuses_no_ca_flag_in_the_middle_of_a_path() {
    let root = Spec::ca("R").self_signed();
    let mut spec = Spec::ca("I");
    spec.ca = IsCa::ExplicitNoCa;
    let middle = spec.signed_by(&root);
    let device = Spec::leaf("D").signed_by(&middle);
    assert_eq!(reason(&[&device, &middle, &root], &[&root]), "issuer-not-a-ca");
}
