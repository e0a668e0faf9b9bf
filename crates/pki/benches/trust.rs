//! What a trust decision costs above its signature checks, for chains of three P-256 certificates.
//!
//! Each line is measured in turn with the bare checks in the same run, round by round, so that the ratio
//! holds on a busy machine. The decision includes reading all presented certificates. Goal: 1.15 with one CA,
//! with 10,000 CAs, and with 10,000 CAs of one subject.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench prints, and stops where it cannot go on"
)]

use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::Instant;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use muster_pki::issue::{Issuer, Profile, Serial, Template};
use muster_pki::verify::{AnchorSet, Anchors, Budget, Silent, walk};
use muster_pki::{Certificate, Chain, NewKey, PrivateKey, Time};
use x509_parser::prelude::{FromDer, X509Certificate};

const GOAL: f64 = 1.15;
const MANY: usize = 10_000;
const ROUNDS: usize = 41;
const PER_ROUND: usize = 50;

const NOW: Time = Time::from_unix(1_800_000_000);

fn main() {
    let root = authority("Root");
    let intermediate_key = key();
    let intermediate = root
        .issue(&template("Intermediate", 2, Profile::ScriptCa), &intermediate_key)
        .expect("an intermediate");
    let intermediate = Issuer::new(intermediate, intermediate_key).expect("its own key");
    let leaf = intermediate
        .issue(&template("device-01", 3, Profile::ScriptLeaf), &key())
        .expect("a leaf");
    let chain = [&leaf, intermediate.certificate(), root.certificate()].map(|one| one.der().to_vec());

    let one: AnchorSet = [root.certificate().clone()].into_iter().collect();
    let many: AnchorSet = (0..MANY)
        .map(|number| self_signed(&format!("Root {number}")))
        .chain([root.certificate().clone()])
        .collect();
    let namesakes: AnchorSet = (0..MANY)
        .map(|_| self_signed("Root"))
        .chain([root.certificate().clone()])
        .collect();

    let bare = Bare::new(&leaf, intermediate.certificate(), root.certificate());
    println!("chain of three P-256 certificates, two signature checks; medians of {ROUNDS} rounds");
    for (name, anchors, presented) in [
        ("1 CA", &one, &chain[..]),
        ("1 CA, root not presented", &one, &chain[..2]),
        ("10,000 CAs of different subjects", &many, &chain[..]),
        ("10,000 CAs of one subject", &namesakes, &chain[..]),
        (
            "10,000 CAs of one subject, root not presented",
            &namesakes,
            &chain[..2],
        ),
    ] {
        report(name, &bare, anchors, presented);
    }
    for (name, anchors) in [("different subjects", &many), ("one subject", &namesakes)] {
        let added = self_signed("Root");
        let cost = microseconds(|| {
            let mut changed = anchors.clone();
            assert!(changed.insert(black_box(added.clone())));
        });
        println!("one change to a shared set of 10,000 CAs of {name}: {cost:.0} µs");
    }
}

/// The two signature checks with nothing around them.
struct Bare {
    checks: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)>,
}

impl Bare {
    fn new(leaf: &Certificate, intermediate: &Certificate, root: &Certificate) -> Self {
        let check = |certificate: &Certificate, issuer: &Certificate| {
            let (_, parsed) = X509Certificate::from_der(certificate.der()).expect("readable");
            (
                issuer.public_key_bytes().to_vec(),
                parsed.tbs_certificate.as_ref().to_vec(),
                parsed.signature_value.data.to_vec(),
            )
        };
        Self {
            checks: vec![check(leaf, intermediate), check(intermediate, root)],
        }
    }

    fn run(&self) {
        for (key, message, signature) in &self.checks {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key)
                .verify(black_box(message), black_box(signature))
                .expect("a right signature");
        }
    }
}

fn decide(anchors: &AnchorSet, presented: &[Vec<u8>]) {
    let chain = Chain::from_ders(presented.iter().map(Vec::as_slice)).expect("a chain");
    let decided = walk(&chain, anchors, NOW, Budget::default(), &mut Silent, |path| {
        if path
            .issuers()
            .last()
            .is_some_and(|top| anchors.is_configured(&top.certificate.sha256()))
        {
            ControlFlow::Break(path.len())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert_eq!(decided.decided(), Some(3));
}

fn report(name: &str, bare: &Bare, anchors: &AnchorSet, presented: &[Vec<u8>]) {
    let mut rounds: Vec<(f64, f64)> = (0..ROUNDS)
        .map(|_| {
            (
                microseconds(|| bare.run()),
                microseconds(|| decide(anchors, black_box(presented))),
            )
        })
        .collect();
    rounds.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
    let (floor, decision) = rounds[ROUNDS / 2];
    let ratio = decision / floor;
    let verdict = if ratio <= GOAL { "reached" } else { "not reached" };
    println!(
        "row: Trust decision for a chain of three P-256 certificates, {name} | ≤ {GOAL} × its signature checks | \
         {ratio:.3} × ({decision:.0} µs over {floor:.0} µs) | {verdict}"
    );
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
#[expect(clippy::cast_precision_loss, reason = "fifty is exact")]
fn microseconds(mut work: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..PER_ROUND {
        work();
    }
    start.elapsed().as_secs_f64() * 1e6 / PER_ROUND as f64
}

fn key() -> PrivateKey {
    PrivateKey::generate(NewKey::EcP256).expect("a key")
}

fn template(name: &str, serial: u8, profile: Profile) -> Template {
    let serial = Serial::from_bytes(&[serial]).expect("a serial number");
    Template::new(name, serial, NOW.plus_days(0), NOW.plus_days(30), profile).expect("a template")
}

fn self_signed(name: &str) -> Certificate {
    template(name, 1, Profile::ScriptCa)
        .self_signed(&key())
        .expect("a root")
}

fn authority(name: &str) -> Issuer {
    let key = key();
    let certificate = template(name, 1, Profile::ScriptCa)
        .self_signed(&key)
        .expect("a root");
    Issuer::new(certificate, key).expect("its own key")
}
