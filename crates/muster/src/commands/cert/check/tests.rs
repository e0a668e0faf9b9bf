//! Verdicts over chains made here; the black-box suite tries those that openssl makes.

use std::collections::BTreeSet;

use muster_pki::issue::{Issuer, Profile, Serial, Template};
use muster_pki::{NewKey, PrivateKey, Time};

use super::*;

const NOW: Wall = Wall::from_seconds(1_800_000_000);

struct Tree {
    root: Issuer,
    middle: Issuer,
}

fn template(name: &str, number: u8, profile: Profile) -> Template {
    let serial = Serial::from_bytes(&[number]).unwrap();
    let begin = Time::from_unix(NOW.seconds() - 100);
    Template::new(name, serial, begin, begin.plus_days(30), profile).unwrap()
}

fn key() -> PrivateKey {
    PrivateKey::generate(NewKey::EcP256).unwrap()
}

fn issued(by: &Issuer, name: &str, profile: Profile) -> Issuer {
    let key = key();
    let certificate = by.issue(&template(name, 2, profile), &key).unwrap();
    Issuer::new(certificate, key).unwrap()
}

fn tree() -> Tree {
    let key = key();
    let root = template("root", 1, Profile::ScriptCa).self_signed(&key).unwrap();
    let root = Issuer::new(root, key).unwrap();
    let middle = issued(&root, "middle", Profile::ScriptCa);
    Tree { root, middle }
}

impl Tree {
    /// A device below the intermediate, as it presents itself: leaf, intermediate, root.
    fn device(&self, name: &str) -> Vec<Certificate> {
        let leaf = issued(&self.middle, name, Profile::ScriptLeaf);
        [&leaf, &self.middle, &self.root]
            .map(|one| one.certificate().clone())
            .to_vec()
    }
}

fn anchor(name: &str, certificate: &Certificate) -> Anchor {
    Anchor {
        file: PathBuf::from(name),
        certificate: certificate.clone(),
    }
}

fn check(by: Configured, id: Option<&str>, presented: &[Certificate], anchors: &[Anchor]) -> Verdict {
    verdict(by, id, presented.to_vec(), anchors, NOW).unwrap()
}

#[test]
fn a_chain_to_an_anchor_is_admitted_and_its_path_says_where_each_certificate_came_from() {
    let tree = tree();
    let device = tree.device("device-01");
    let anchors = [anchor("root.pem", tree.root.certificate())];
    for by in [Configured::DpsGroup, Configured::HubCa] {
        // The root may be left out, for it is configured.
        let seen = check(by, None, &device[..2], &anchors);
        assert_eq!(seen.reason, None, "{seen:?}");
        let whence: Vec<_> = seen
            .path
            .iter()
            .map(|step| (step.subject.as_str(), step.presented_at, step.anchor.as_deref()))
            .collect();
        assert_eq!(
            whence,
            [
                ("CN=device-01", Some(0), None),
                ("CN=middle", Some(1), None),
                ("CN=root", None, Some("root.pem")),
            ]
        );
        assert!(text(&seen).contains("certificate 1 of the chain"));
    }
}

#[test]
fn the_anchor_nearest_the_leaf_decides_among_several() {
    let tree = tree();
    let device = tree.device("device-01");
    let anchors = [
        anchor("root.pem", tree.root.certificate()),
        anchor("middle.pem", tree.middle.certificate()),
    ];
    let seen = check(Configured::DpsGroup, None, &device, &anchors);
    assert_eq!(seen.reason, None);
    assert!(
        seen.sentence.ends_with("the enrollment group middle."),
        "{}",
        seen.sentence
    );
}

#[test]
fn what_the_server_would_refuse_is_refused_by_the_same_code() {
    let tree = tree();
    let device = tree.device("device-01");
    let root = [anchor("root.pem", tree.root.certificate())];
    let narrow = issued(&tree.root, "narrow", Profile::HubSubCa);
    let below = issued(&narrow, "below", Profile::ScriptCa);
    let deep = issued(&below, "device-02", Profile::ScriptLeaf);
    let deep = [&deep, &below, &narrow].map(|one| one.certificate().clone());
    let stranger = [anchor("stranger.pem", self::tree().root.certificate())];
    let cases = [
        (
            Configured::DpsGroup,
            None,
            &device[..1],
            &root[..],
            "chain-incomplete",
        ),
        (
            Configured::DpsGroup,
            Some("device-09"),
            &device,
            &root,
            "common-name-differs",
        ),
        (
            Configured::DpsGroup,
            Some("not one"),
            &device,
            &root,
            "registration-id-invalid",
        ),
        (Configured::DpsGroup, None, &deep, &root, "path-length"),
        (Configured::DpsGroup, None, &device, &stranger, "anchor-unknown"),
        (Configured::DpsGroup, None, &device, &[], "anchor-unknown"),
        (
            Configured::DpsIndividual,
            None,
            &device,
            &root,
            "leaf-not-enrolled",
        ),
        (
            Configured::HubCa,
            Some("Device-01"),
            &device,
            &root,
            "common-name-differs-in-case",
        ),
        (Configured::HubCa, None, &deep, &root, "path-length"),
        (
            Configured::HubThumbprint,
            None,
            &device,
            &root,
            "thumbprint-differs",
        ),
    ];
    for (by, id, presented, anchors, code) in cases {
        let seen = check(by, id, presented, anchors);
        assert_eq!(seen.reason, Some(code), "{seen:?}");
        assert!(!seen.admitted);
        assert!(!seen.sentence.is_empty());
        assert!(!seen.steps.is_empty());
    }
}

#[test]
fn case_matters_to_a_hub_alone() {
    let tree = tree();
    let device = tree.device("Device-01");
    let root = [anchor("root.pem", tree.root.certificate())];
    let seen = check(Configured::DpsGroup, Some("dEVICE-01"), &device, &root);
    assert_eq!(seen.reason, None);
}

#[test]
fn a_device_known_by_its_own_certificate_needs_no_anchor() {
    let key = key();
    let leaf = template("my-x509-device", 1, Profile::SelfSignedDevice)
        .self_signed(&key)
        .unwrap();
    for by in [Configured::DpsIndividual, Configured::HubThumbprint] {
        let seen = check(by, None, std::slice::from_ref(&leaf), &[]);
        assert_eq!(seen.reason, None, "{seen:?}");
        assert_eq!(seen.path.len(), 1);
        // The second anchor counts as the secondary certificate.
        let anchors = [
            anchor("other.pem", tree().root.certificate()),
            anchor("own.pem", &leaf),
        ];
        assert_eq!(
            check(by, None, std::slice::from_ref(&leaf), &anchors).reason,
            None
        );
    }
}

#[test]
fn the_time_that_is_named_counts() {
    let tree = tree();
    let device = tree.device("device-01");
    let root = [anchor("root.pem", tree.root.certificate())];
    for (at, code) in [
        (NOW.seconds() - 101, Some("not-yet-valid")),
        (NOW.seconds() - 100, None),
        (NOW.seconds() - 100 + 30 * 86_400, None),
        (NOW.seconds() - 99 + 30 * 86_400, Some("expired")),
    ] {
        let seen = verdict(
            Configured::DpsGroup,
            None,
            device.clone(),
            &root,
            Wall::from_seconds(at),
        )
        .unwrap();
        assert_eq!(seen.reason, code, "{at}");
    }
    assert_eq!(moment("2027-01-15T08:00:00Z"), Ok(NOW));
    assert!(moment("tomorrow").is_err());
}

#[test]
fn a_chain_that_no_handshake_takes_is_refused() {
    let tree = tree();
    let many = vec![tree.device("device-01").remove(0); 17];
    let seen = check(Configured::DpsGroup, None, &many, &[]);
    assert_eq!(seen.reason, Some("chain-too-long"));
}

#[test]
fn anchors_of_one_file_or_of_no_name_get_names_of_their_own() {
    let tree = tree();
    let other = self::tree();
    let device = tree.device("device-01");
    let anchors = [
        anchor("anchor-2.pem", other.root.certificate()),
        anchor("a b.pem", other.middle.certificate()),
        anchor("anchor-1.pem", tree.middle.certificate()),
        anchor("anchor-1.pem", tree.root.certificate()),
        anchor(
            "ends.with_.pem",
            issued(&other.root, "x", Profile::ScriptCa).certificate(),
        ),
    ];
    for by in [Configured::DpsGroup, Configured::HubCa] {
        assert_eq!(check(by, None, &device, &anchors).reason, None);
    }
}

#[test]
fn a_verdict_has_the_members_that_programs_read() {
    let tree = tree();
    let device = tree.device("device-01");
    let root = [anchor("root.pem", tree.root.certificate())];
    let seen = check(Configured::DpsGroup, None, &device[..2], &root);
    let value = serde_json::to_value(&seen).unwrap();
    let members: BTreeSet<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let wanted = [
        "admitted", "as", "at", "id", "path", "reason", "sentence", "steps",
    ];
    assert!(members.iter().eq(&wanted), "{members:?}");
    assert_eq!(value["as"], "dps-group");
    assert_eq!(value["at"], "2027-01-15T08:00:00Z");
    assert_eq!(value["path"][2]["anchor"], "root.pem");
    assert_eq!(value["path"][2].get("presentedAt"), None);
    assert_eq!(value["path"][0]["notBefore"], "2027-01-15T07:58:20Z");
}

#[test]
fn what_a_chain_says_of_itself_does_not_write_the_verdict() {
    let evil = "CN=d\n\u{1b}[2Jadmitted  d as dps-group".to_owned();
    let verdict = Verdict {
        admitted: false,
        by: "dps-group".into(),
        id: evil.clone(),
        at: "2027-01-15T08:00:00Z".into(),
        reason: Some("anchor-unknown"),
        sentence: evil.clone(),
        path: vec![PathStep {
            subject: evil.clone(),
            issuer: evil.clone(),
            not_before: String::new(),
            not_after: String::new(),
            sha256: String::new(),
            presented_at: None,
            anchor: Some(evil.clone()),
        }],
        steps: vec![evil],
    };
    let text = text(&verdict);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    assert!(!text.contains("\nadmitted"), "{text:?}");
}
