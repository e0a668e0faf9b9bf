//! `muster cert check` on chains that something is wrong with: its code, its exit code and its JSON. Certificates are
//! made by openssl.

use std::path::Path;

use serde_json::Value;

use crate::odd::{Odd, chain};
use crate::stage::Stage;

/// Runs a check and demands its end: 0 without a reason, else 1.
fn verdict(stage: &Stage, arguments: &str, reason: Option<&str>) -> Value {
    let line = format!("muster cert check -o json {arguments}");
    let ended = stage.run(&line);
    let code = i32::from(reason.is_some());
    assert_eq!(
        ended.code,
        Some(code),
        "{line}\n{}\n{}",
        ended.stdout,
        ended.stderr
    );
    let verdict: Value = serde_json::from_str(&ended.stdout)
        .unwrap_or_else(|error| panic!("{line}: {error}: {}", ended.stdout));
    assert_eq!(verdict["reason"].as_str(), reason, "{line}: {verdict}");
    assert_eq!(verdict["admitted"], reason.is_none());
    assert!(
        verdict["sentence"].as_str().is_some_and(|text| !text.is_empty()),
        "{verdict}"
    );
    if let Some(reason) = reason {
        assert!(ended.stderr.contains(reason), "{}", ended.stderr);
    }
    verdict
}

/// A root, an intermediate and a device below them.
fn hierarchy(stage: &Stage) {
    let folder = stage.folder();
    Odd::ca("root").make(folder);
    Odd::ca("middle").by("root").make(folder);
    Odd::new("device-01").by("middle").make(folder);
}

#[test]
fn chains_of_any_order_and_with_strangers_are_put_together() {
    let stage = Stage::new();
    hierarchy(&stage);
    let folder = stage.folder();
    Odd::ca("stranger").make(folder);
    // Another root of the same name, with another key.
    Odd::ca("root").file("namesake").make(folder);
    for (parts, anchors) in [
        (&["device-01", "middle"][..], "root.pem"),
        (&["device-01", "middle", "root"], "root.pem"),
        (&["device-01", "root", "stranger", "middle"], "root.pem"),
        (&["device-01", "namesake", "middle"], "namesake.pem root.pem"),
        (&["device-01"], "middle.pem"),
    ] {
        chain(folder, "chain.pem", parts);
        for by in ["dps-group", "hub-ca"] {
            let seen = verdict(
                &stage,
                &format!("--chain chain.pem --anchor {anchors} --as {by}"),
                None,
            );
            let path: Vec<_> = seen["path"]
                .as_array()
                .expect("a path")
                .iter()
                .map(|step| step["subject"].as_str().expect("a subject"))
                .collect();
            assert!(path.starts_with(&["CN=device-01", "CN=middle"]), "{path:?}");
        }
    }
}

/// Makes certificates around the hierarchy, each with one fault.
fn faulty(folder: &Path) {
    Odd::ca("stranger").make(folder);
    Odd::ca("root").file("namesake").make(folder);
    let narrow = "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\n";
    Odd::ca("narrow").by("root").extensions(narrow).make(folder);
    Odd::ca("below").by("narrow").make(folder);
    Odd::new("deep").by("below").make(folder);
    Odd::new("forged").by("device-01").make(folder);
    Odd::new("old").by("middle").validity(-20, -10).make(folder);
    Odd::new("young").by("middle").validity(10, 20).make(folder);
    Odd::ca("expired-middle")
        .by("root")
        .validity(-20, -10)
        .make(folder);
    Odd::new("orphan").by("expired-middle").make(folder);
    let no_sign = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,digitalSignature\n";
    Odd::ca("mute").by("root").extensions(no_sign).make(folder);
    Odd::new("muted").by("mute").make(folder);
    Odd::new("weak").by("middle").digest("-sha1").make(folder);
    Odd::new("nameless")
        .subject("/O=nobody")
        .by("middle")
        .make(folder);
    Odd::new("not one").file("spaced").by("middle").make(folder);
    Odd::new("ca-device")
        .extensions(crate::odd::CA)
        .by("middle")
        .make(folder);
}

#[test]
fn each_fault_of_a_chain_has_its_code() {
    let stage = Stage::new();
    hierarchy(&stage);
    let folder = stage.folder();
    faulty(folder);
    for (parts, more, reason) in [
        (&["device-01"][..], "--anchor root.pem", "chain-incomplete"),
        (
            &["device-01", "middle"],
            "--anchor stranger.pem",
            "chain-incomplete",
        ),
        (
            &["device-01", "middle", "root"],
            "--anchor stranger.pem",
            "anchor-unknown",
        ),
        (
            &["device-01", "middle"],
            "--anchor namesake.pem",
            "issuer-signature-wrong",
        ),
        (
            &["device-01", "middle"],
            "--anchor root.pem --id other",
            "common-name-differs",
        ),
        (
            &["device-01", "middle"],
            "--anchor root.pem --id 'not one'",
            "registration-id-invalid",
        ),
        (
            &["spaced", "middle"],
            "--anchor root.pem",
            "registration-id-invalid",
        ),
        (&["deep", "below", "narrow"], "--anchor root.pem", "path-length"),
        (
            &["forged", "device-01", "middle"],
            "--anchor root.pem",
            "issuer-not-a-ca",
        ),
        (&["old", "middle"], "--anchor root.pem", "expired"),
        (&["young", "middle"], "--anchor root.pem", "not-yet-valid"),
        (
            &["orphan", "expired-middle"],
            "--anchor root.pem",
            "issuer-expired",
        ),
        (&["muted", "mute"], "--anchor root.pem", "issuer-key-usage"),
        (&["weak", "middle"], "--anchor root.pem", "weak-algorithm"),
        (
            &["nameless", "middle"],
            "--anchor root.pem",
            "common-name-missing",
        ),
        (
            &["device-01", "middle"],
            "--anchor root.pem --as dps-individual",
            "leaf-not-enrolled",
        ),
        (
            &["device-01", "middle"],
            "--anchor root.pem --as hub-ca --id DEVICE-01",
            "common-name-differs-in-case",
        ),
        (
            &["ca-device", "middle"],
            "--anchor root.pem --as hub-ca",
            "leaf-is-a-ca",
        ),
        (
            &["device-01", "middle"],
            "--anchor middle.pem --as hub-thumbprint",
            "thumbprint-differs",
        ),
        (&["old"], "--as hub-thumbprint", "expired"),
        (&["device-01"; 17], "--anchor root.pem", "chain-too-long"),
    ] {
        chain(folder, "chain.pem", parts);
        let seen = verdict(&stage, &format!("--chain chain.pem {more}"), Some(reason));
        if reason != "chain-too-long" {
            assert!(
                seen["steps"].as_array().is_some_and(|steps| !steps.is_empty()),
                "{seen}"
            );
        }
    }
}

#[test]
fn the_time_may_be_another_one() {
    let stage = Stage::new();
    hierarchy(&stage);
    chain(stage.folder(), "chain.pem", &["device-01", "middle"]);
    let check = "--chain chain.pem --anchor root.pem";
    verdict(
        &stage,
        &format!("{check} --at 2001-01-01T00:00:00Z"),
        Some("not-yet-valid"),
    );
    let seen = verdict(
        &stage,
        &format!("{check} --at 2099-01-01T00:00:00Z"),
        Some("expired"),
    );
    assert_eq!(seen["at"], "2099-01-01T00:00:00Z");
    verdict(&stage, check, None);
}

#[test]
fn a_verdict_names_each_certificate_of_the_path_and_where_it_came_from() {
    let stage = Stage::new();
    hierarchy(&stage);
    chain(stage.folder(), "chain.pem", &["device-01", "middle"]);
    let seen = verdict(&stage, "--chain chain.pem --anchor root.pem", None);
    assert_eq!(seen["as"], "dps-group");
    assert_eq!(seen["id"], "device-01");
    let path = seen["path"].as_array().expect("a path");
    assert_eq!(path.len(), 3);
    assert_eq!(path[1]["presentedAt"], 1);
    assert_eq!(path[1]["issuer"], "CN=root");
    assert_eq!(path[2]["anchor"], "root.pem");
    let line = stage.ok("openssl x509 -noout -fingerprint -sha256 -in root.pem");
    let digits = line
        .trim()
        .rsplit('=')
        .next()
        .expect("a thumbprint")
        .replace(':', "");
    assert_eq!(path[2]["sha256"], digits.as_str());
    // For people, the same; and the members keep their order for those who compare texts.
    let text = stage.ok("muster cert check --chain chain.pem --anchor root.pem");
    for part in [
        "admitted  device-01",
        "CN=middle",
        &digits,
        "certificate 1 of the chain",
        "anchor root.pem",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let refused = stage.run("muster cert check --chain device-01.pem --anchor root.pem");
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stdout.starts_with("chain-incomplete  device-01"),
        "{}",
        refused.stdout
    );
}

#[test]
fn what_is_no_chain_ends_with_words_and_no_verdict() {
    let stage = Stage::new();
    hierarchy(&stage);
    stage.write("empty.pem", "");
    stage.write("noise.pem", "not a certificate\n");
    for (line, code, words) in [
        ("--chain absent.pem", 1, "absent.pem"),
        ("--chain empty.pem", 1, "the input is empty"),
        ("--chain noise.pem", 1, "noise.pem"),
        ("--chain device-01.key", 1, "no X.509 certificate found"),
        ("--chain device-01.pem --anchor noise.pem", 1, "noise.pem"),
        ("--chain device-01.pem --as hub-ca --id 'no id'", 1, "a device id"),
        ("--anchor root.pem", 2, "--chain"),
        ("--chain device-01.pem --at tomorrow", 2, "2027-01-31T09:00:00Z"),
        ("--chain device-01.pem --as somebody", 2, "possible values"),
    ] {
        let ended = stage.run(&format!("muster cert check {line}"));
        assert_eq!(ended.code, Some(code), "{line}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{line}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{line}");
    }
}

/// The check says what the server says, and the server's word is what counts.
#[test]
fn the_check_agrees_with_the_server() {
    let stage = Stage::new();
    hierarchy(&stage);
    let folder = stage.folder();
    let narrow = "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign\n";
    Odd::ca("narrow").by("root").extensions(narrow).make(folder);
    Odd::ca("below").by("narrow").make(folder);
    Odd::new("deep").by("below").make(folder);
    Odd::new("CASED").by("middle").make(folder);
    super::trust(&stage, "root.pem", "root.pem");
    for (parts, id) in [
        (&["device-01", "middle"][..], "device-01"),
        (&["device-01"], "device-01"),
        (&["device-01", "middle"], "other"),
        (&["deep", "below", "narrow"], "deep"),
        (&["CASED", "middle"], "cased"),
    ] {
        chain(folder, "chain.pem", parts);
        let check = stage.run(&format!(
            "muster cert check --chain chain.pem --anchor root.pem --id {id}"
        ));
        let credential = format!("--cert chain.pem --key {}.key", parts[0]);
        let wanted = if check.code == Some(0) { 202 } else { 401 };
        assert_eq!(
            super::register(&stage, &credential, id),
            wanted,
            "{parts:?} as {id}: {}",
            check.stdout
        );
    }
}
