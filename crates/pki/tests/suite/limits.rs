//! Hostile and merely large inputs: what a decision may cost.

use std::ops::ControlFlow;

use muster_pki::verify::{AnchorSet, Anchors, Budget, Event, Recorder, SignatureSeen, walk};
use muster_pki::{Certificate, Chain};

use crate::support::{Entity, NOW, Spec, anchors, chain, verdict, verdict_within};

/// How many signatures a walk checks that only stops at a configured issuer.
fn checks(chain: &Chain, anchors: &AnchorSet) -> usize {
    let mut recorder = Recorder::new();
    walk(chain, anchors, NOW, Budget::default(), &mut recorder, |path| {
        if path.issuers().last().is_some_and(|top| top.origin.configured) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    recorder
        .events()
        .iter()
        .filter(|event| {
            matches!(
                event,
                Event::Candidate {
                    signature: SignatureSeen::Right | SignatureSeen::Wrong,
                    ..
                }
            )
        })
        .count()
}

#[test]
fn checks_two_signatures_for_a_chain_of_three_among_ten_thousand_cas() {
    let root = Spec::ca("Root").self_signed();
    let lower = Spec::ca("Intermediate").signed_by(&root);
    let device = Spec::leaf("D").signed_by(&lower);
    let presented = [chain(&[&device, &lower]), chain(&[&device, &lower, &root])];
    let mut different = anchors(&[&root]);
    let mut namesakes = anchors(&[&root]);
    for number in 0..10_000 {
        different.insert(Spec::ca(&format!("Root {number}")).self_signed().certificate);
        namesakes.insert(Spec::ca("Root").self_signed().certificate);
    }
    assert_eq!((different.len(), namesakes.len()), (10_001, 10_001));
    for configured in [&different, &namesakes] {
        for chain in &presented {
            assert_eq!(verdict(chain, configured, NOW), Ok(3));
            assert_eq!(checks(chain, configured), 2);
            let tight = Budget {
                signatures: 2,
                candidates: 2,
                ..Budget::default()
            };
            assert_eq!(verdict_within(chain, configured, NOW, tight), Ok(3));
        }
    }
    // Without a key identifier nothing tells namesakes apart: given up, by name, after the budget.
    let mut spec = Spec::leaf("D");
    spec.authority_key_id = false;
    let stranger = Spec::ca("Root").self_signed();
    let device = spec.signed_by(&stranger);
    assert_eq!(
        verdict(&chain(&[&device]), &namesakes, NOW),
        Err("too-many-candidates")
    );
    assert!(checks(&chain(&[&device]), &namesakes) <= 64);
    assert_eq!(
        verdict(&chain(&[&device]), &different, NOW),
        Err("issuer-signature-wrong")
    );
}

#[test]
fn gives_up_on_namesakes_that_are_not_even_worth_a_check() {
    let mut spec = Spec::leaf("D");
    spec.authority_key_id = false;
    let device = spec.signed_by(&Spec::ca("Root").self_signed());
    let expired: AnchorSet = (0..2_000)
        .map(|_| Spec::ca("Root").expired().self_signed().certificate)
        .collect();
    assert_eq!(
        verdict(&chain(&[&device]), &expired, NOW),
        Err("too-many-candidates")
    );
}

/// Ten CAs, each of which has a certificate from each.
fn mesh() -> Vec<Vec<Entity>> {
    let own: Vec<Entity> = (0..10)
        .map(|number| Spec::ca(&format!("CA {number}")).self_signed())
        .collect();
    own.iter()
        .map(|subject| {
            own.iter()
                .map(|issuer| {
                    let name = subject.certificate.common_name().unwrap();
                    Spec::ca(name).with_key(&subject.key).signed_by(issuer)
                })
                .collect()
        })
        .collect()
}

#[test]
fn ends_on_ten_cas_that_issue_each_other_in_a_circle() {
    let mesh = mesh();
    // CA 0 ← CA 1 ← … ← CA 9 ← CA 0.
    let circle: Vec<&Entity> = (0..10).map(|number| &mesh[number][(number + 1) % 10]).collect();
    let device = Spec::leaf("D").signed_by(circle[0]);
    let mut presented = vec![&device];
    presented.extend(&circle);
    let chain = chain(&presented);
    assert_eq!(verdict(&chain, &anchors(&[]), NOW), Err("issuer-loop"));
    // The leaf's, and one for each CA of the circle.
    assert_eq!(checks(&chain, &anchors(&[])), 11);
}

#[test]
fn ends_within_the_budget_on_a_full_mesh_of_configured_cas() {
    let mesh = mesh();
    let configured: AnchorSet = mesh.iter().flatten().map(|one| one.certificate.clone()).collect();
    let device = Spec::leaf("D").signed_by(&mesh[0][1]);
    let mut paths = 0;
    let mut recorder = Recorder::new();
    let walked = walk(
        &chain(&[&device]),
        &configured,
        NOW,
        Budget::default(),
        &mut recorder,
        |_| {
            paths += 1;
            ControlFlow::<()>::Continue(())
        },
    );
    assert!(walked.decided().is_none());
    assert!(paths <= 256, "{paths}");
    let Some(Event::GaveUp { reason }) = recorder.events().last() else {
        panic!("given up")
    };
    assert_eq!(reason.code(), "too-many-candidates");
}

#[test]
fn refuses_a_chain_deeper_than_the_budget() {
    let mut chain_of = vec![Spec::ca("CA 0").self_signed()];
    for number in 1..20 {
        let next = Spec::ca(&format!("CA {number}")).signed_by(chain_of.last().unwrap());
        chain_of.push(next);
    }
    let device = Spec::leaf("D").signed_by(chain_of.last().unwrap());
    let configured: AnchorSet = chain_of.iter().map(|one| one.certificate.clone()).collect();
    let mut longest = 0;
    let walked = walk(
        &chain(&[&device]),
        &configured,
        NOW,
        Budget::default(),
        &mut muster_pki::verify::Silent,
        |path| {
            longest = longest.max(path.len());
            ControlFlow::<()>::Continue(())
        },
    );
    assert_eq!(longest, 16);
    let muster_pki::verify::Walked::Undecided(Some(reason)) = walked else {
        panic!("a reason")
    };
    assert_eq!(reason.code(), "chain-too-deep");
}

#[test]
fn forged_issuers_cost_one_check_each_and_open_nothing() {
    let root = Spec::ca("Root").self_signed();
    let forged: Vec<Entity> = (0..15).map(|_| Spec::ca("Root").self_signed()).collect();
    let device = Spec::leaf("D").signed_with(&root, &crate::support::new_key());
    let mut presented = vec![&device];
    presented.extend(&forged);
    let chain = chain(&presented);
    assert_eq!(
        verdict(&chain, &anchors(&[&root]), NOW),
        Err("issuer-signature-wrong")
    );
    assert_eq!(checks(&chain, &anchors(&[&root])), 16);
}

#[test]
fn an_anchor_set_keeps_what_was_put_in_and_shares_with_its_clones() {
    let root = Spec::ca("Root").self_signed();
    let namesake = Spec::ca("Root").self_signed();
    let plain = Spec::ca("Root").extensionless().self_signed();
    let mut set = anchors(&[&root, &namesake, &plain]);
    let before = set.clone();
    assert!(!set.insert(root.certificate.clone()));
    let subject = root.certificate.subject().clone();
    let key_id = namesake.certificate.subject_key_id();
    let order: Vec<&Certificate> = set.by_subject(&subject, key_id).collect();
    assert_eq!(order.len(), 3);
    assert_eq!(order[0], &namesake.certificate);
    assert_eq!(set.by_subject(&subject, None).count(), 3);
    assert_eq!(set.by_subject(&subject, Some(b"unknown")).count(), 3);
    assert!(set.remove(&namesake.certificate.sha256()));
    assert!(!set.remove(&namesake.certificate.sha256()));
    assert_eq!(set.by_subject(&subject, key_id).count(), 2);
    assert!(!set.is_configured(&namesake.certificate.sha256()));
    assert!(before.is_configured(&namesake.certificate.sha256()));
    for one in [&root, &plain] {
        assert!(set.remove(&one.certificate.sha256()));
    }
    assert!(set.is_empty());
    assert_eq!(set.by_subject(&subject, key_id).count(), 0);
    assert_eq!(before.len(), 3);
}
