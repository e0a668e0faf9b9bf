//! Every refusal explains itself: for each reason there is a device or a caller that is broken in just that way. It is
//! refused on the wire in the vendor's form, `muster explain` names the one reason, the printed command mends it when it
//! is typed word for word, and somebody else who is broken in another way stays out.
//!
//! What no command can mend, the explanation says in words.

mod fixtures;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::odd::{Odd, chain};
use crate::stage::{Http, Stage};

/// The name under which devices register.
pub(crate) const GLOBAL: &str = "global.azure-devices-provisioning.muster.localhost";
/// The ready-made hub.
pub(crate) const HUB: &str = "muster-hub.azure-devices.muster.localhost";

/// Somebody who asks, as curl is told.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// A device that registers: its id, curl's arguments for its credential.
    Registers {
        scope: String,
        id: String,
        credential: String,
    },
    /// A device that sends telemetry.
    Sends {
        hub: String,
        id: String,
        credential: String,
    },
    /// Any other call.
    Asks { arguments: String },
    /// Any line at all, for handshakes that fail: it succeeds only when it got through.
    Connects { line: String },
}

impl Caller {
    /// Registers at the ready-made provisioning service.
    pub(crate) fn registers(stage: &Stage, id: &str, credential: &str) -> Self {
        Self::Registers {
            scope: stage.id_scope(),
            id: id.into(),
            credential: credential.into(),
        }
    }

    /// Sends to the ready-made hub.
    pub(crate) fn sends(id: &str, credential: &str) -> Self {
        Self::Sends {
            hub: HUB.into(),
            id: id.into(),
            credential: credential.into(),
        }
    }

    /// Asks once. `None` where there was no answer at all.
    pub(crate) fn ask(&self, stage: &Stage) -> Option<Http> {
        let line = match self {
            Self::Registers {
                scope,
                id,
                credential,
            } => format!(
                "curl -i -X PUT {credential} -H 'Content-Type: application/json' -d '{{\"registrationId\": \"{id}\"}}' \
                 'https://{GLOBAL}/{scope}/registrations/{id}/register?api-version=2021-06-01'"
            ),
            Self::Sends { hub, id, credential } => format!(
                "curl -i -X POST {credential} -d '{{\"temperature\": 30}}' \
                 'https://{hub}/devices/{id}/messages/events?api-version=2020-03-13'"
            ),
            Self::Asks { arguments } => format!("curl -i {arguments}"),
            Self::Connects { line } => {
                let ended = stage.run(line);
                return (ended.code == Some(0)).then(|| Http::parse("HTTP/1.1 200 OK\r\n\r\n"));
            }
        };
        Some(Http::parse(&stage.ok(&line)))
    }

    /// Asks, and says whether the caller got what it wanted: for a device that registers, a hub.
    pub(crate) fn succeeds(&self, stage: &Stage) -> Result<(), String> {
        let Some(answer) = self.ask(stage) else {
            return Err("no answer".to_owned());
        };
        if answer.status >= 300 {
            return Err(format!("{} {}", answer.status, answer.body));
        }
        let Self::Registers {
            scope,
            id,
            credential,
        } = self
        else {
            return Ok(());
        };
        let operation = answer.json()["operationId"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if operation.is_empty() {
            return Err(answer.body);
        }
        let poll = Http::parse(&stage.ok(&format!(
            "curl -i {credential} 'https://{GLOBAL}/{scope}/registrations/{id}/operations/{operation}?api-version=2021-06-01'"
        )));
        if poll.status == 200 && poll.json()["status"] == "assigned" {
            Ok(())
        } else {
            Err(poll.body)
        }
    }
}

/// What a printed command does for the caller.
pub(crate) enum Mend {
    /// All that is needed.
    Runs,
    /// It prints or writes what the caller needs; this makes the caller that has it.
    Shows(fn(&Stage, &str, &Caller) -> Caller),
}

/// A caller that is broken in one way.
pub(crate) struct Fixture {
    pub(crate) caller: Caller,
    /// The status and a part of the body that the vendor would send; `None` where no answer comes.
    pub(crate) answer: Option<(u16, &'static str)>,
    /// Another caller that is broken in another way.
    pub(crate) stranger: Caller,
    /// One for each command that is printed, in their order.
    pub(crate) mends: Vec<Mend>,
    /// Words that the explanation must hold.
    pub(crate) words: &'static str,
}

/// Breaks, explains and mends; once for each command that is printed.
fn check(code: &str, launch: fn() -> Stage, make: fn(&Stage) -> Fixture) {
    let mut turn = 0;
    loop {
        let stage = launch();
        let fixture = make(&stage);
        let answer = fixture.caller.ask(&stage);
        let record = match (&answer, fixture.answer) {
            (Some(answer), Some((status, part))) => {
                assert_eq!(answer.status, status, "{}", answer.body);
                assert!(answer.body.contains(part), "{part} in {}", answer.body);
                explained(&stage, &tracking(answer))
            }
            (None, None) => latest(&stage),
            (answer, _) => panic!(
                "another end than was expected: {:?}",
                answer.as_ref().map(|one| &one.body)
            ),
        };
        shape(&stage, &record, code);
        let told = told(&record);
        assert!(told.contains(fixture.words), "{:?} in {told}", fixture.words);
        let remedies: Vec<&str> = record["remedies"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(remedies.len(), fixture.mends.len(), "{remedies:#?}\n{told}");
        assert!(
            fixture.stranger.succeeds(&stage).is_err(),
            "the stranger {:?} was not refused before",
            fixture.stranger
        );
        let Some((remedy, mend)) = remedies.get(turn).zip(fixture.mends.get(turn)) else {
            assert!(
                told.contains("No command "),
                "nothing says that no command mends it: {told}"
            );
            return;
        };
        let output = stage.ok(remedy);
        let caller = match mend {
            Mend::Runs => fixture.caller.clone(),
            Mend::Shows(then) => then(&stage, &output, &fixture.caller),
        };
        if let Err(why) = caller.succeeds(&stage) {
            panic!("`{remedy}` did not help: {why}\nexplained as: {record:#}");
        }
        assert!(
            fixture.stranger.succeeds(&stage).is_err(),
            "`{remedy}` let the stranger {:?} in",
            fixture.stranger
        );
        turn += 1;
        if turn == remedies.len() {
            return;
        }
    }
}

/// The tracking id of an answer, which is the same wherever it stands.
fn tracking(answer: &Http) -> String {
    let id = answer.header("x-ms-request-id").expect("a request id").to_owned();
    assert_eq!(id.len(), 36, "{id}");
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let short = id.replace('-', "");
    if let Some(within) = body["trackingId"].as_str() {
        assert_eq!(within, id);
    } else if let Some(text) = body["ExceptionMessage"].as_str() {
        assert!(text.contains(&id) || text.contains(&short), "{id} in {text}");
    } else if answer.status >= 400 && !body["error"].is_object() {
        // Management says it in the header alone.
        assert!(
            answer.body.contains(&id) || answer.body.contains(&short),
            "{id} in {}",
            answer.body
        );
    }
    id
}

/// The record of a refusal.
pub(crate) fn explained(stage: &Stage, tracking: &str) -> Value {
    let record = stage.json(&format!("muster explain {tracking} -o json"));
    assert_eq!(record["trackingId"], tracking);
    record
}

/// The latest record. It is written beside the path, and so it may come a moment later.
fn latest(stage: &Stage) -> Value {
    for _ in 0..100 {
        let records = stage.json("muster explain --last 1 -o json");
        if records[0].is_object() {
            return records[0].clone();
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("nothing is recorded")
}

/// Everything that a record says in words.
fn told(record: &Value) -> String {
    let steps = record["steps"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    std::iter::once(record["sentence"].as_str().unwrap_or_default())
        .chain(steps)
        .collect::<Vec<_>>()
        .join("\n")
}

/// What every record has, and how people see it.
fn shape(stage: &Stage, record: &Value, code: &str) {
    assert_eq!(record["reason"], code, "{record:#}");
    let sentence = record["sentence"].as_str().expect("a sentence");
    assert!(sentence.ends_with('.') && sentence.len() > 20, "{sentence}");
    assert!(
        !sentence.ends_with(&format!("{code}.")),
        "the sentence only repeats the code: {sentence}"
    );
    let told = told(record);
    for one in record["chain"].as_array().into_iter().flatten() {
        let sha256 = one["sha256"].as_str().expect("a thumbprint");
        assert!(told.contains(sha256), "the steps do not name {sha256}: {told}");
    }
    let id = record["trackingId"].as_str().expect("an id");
    let text = stage.ok(&format!("muster explain {id}"));
    assert!(text.contains(code) && text.contains(sentence), "{text}");
    for remedy in record["remedies"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        assert!(
            text.contains(&format!("$ {remedy}\n")) || text.ends_with(&format!("$ {remedy}\n")),
            "{remedy} in {text}"
        );
    }
}

macro_rules! fixtures {
    ($($code:literal $name:ident $(($launch:path))?;)*) => {
        /// The codes that have a fixture.
        const COVERED: &[&str] = &[$($code,)*];

        $(fixtures!(@test $code, $name $(, $launch)?);)*
    };
    // Other ways to the same code: in another domain, or with another credential.
    (again $($code:literal $name:ident;)*) => {
        $(fixtures!(@test $code, $name);)*
    };
    (@test $code:literal, $name:ident) => { fixtures!(@test $code, $name, Stage::new); };
    (@test $code:literal, $name:ident, $launch:path) => {
        mod $name {
            use super::*;

            #[test]
            fn is_refused_and_explained() {
                check($code, $launch, fixtures::$name);
            }
        }
    };
}

fixtures! {
    "anchor-not-verified" a_chain_to_an_unverified_ca;
    "anchor-unknown" a_chain_to_a_strange_root;
    "audience-wrong" a_token_for_another_device;
    "ca-reference-missing" a_group_whose_ca_is_gone;
    "certificate-disabled" a_leaf_of_a_disabled_enrollment;
    "certificate-unreadable" a_leaf_that_is_no_certificate;
    "chain-incomplete" a_leaf_without_its_issuer;
    "chain-too-long" a_chain_of_seventeen;
    "client-id-differs" a_client_of_another_id;
    "common-name-differs" a_leaf_of_another_name;
    "common-name-differs-in-case" a_leaf_in_another_case;
    "common-name-missing" a_leaf_without_a_name;
    "device-disabled" a_disabled_device;
    "device-unknown" a_device_that_nobody_made;
    "enrollment-disabled" a_disabled_enrollment;
    "expired" an_expired_leaf;
    "group-disabled" a_disabled_group;
    "handshake-failed" a_client_of_an_old_protocol;
    "handshake-server-refused" a_client_that_does_not_trust_the_server;
    "handshake-timed-out" a_client_that_says_nothing(impatient);
    "hub-unknown" a_hub_that_nobody_made;
    "issuer-expired" an_expired_issuer;
    "issuer-key-usage" an_issuer_that_may_not_sign;
    "issuer-not-a-ca" a_device_that_signed_another;
    "issuer-not-yet-valid" an_issuer_of_tomorrow;
    "issuer-signature-wrong" an_issuer_that_did_not_sign;
    "leaf-is-a-ca" a_ca_that_plays_a_device;
    "leaf-not-enrolled" a_leaf_that_is_not_the_enrolled_one;
    "modules-unsupported" a_client_that_is_a_module;
    "no-credential" a_device_with_nothing;
    "no-enrollment" a_device_that_nobody_enrolled;
    "no-hub-to-assign" a_service_without_hubs;
    "not-yet-valid" a_leaf_of_tomorrow;
    "operator-token-wrong" an_operator_with_another_token;
    "path-length" a_chain_longer_than_its_root_allows;
    "policy-lacks-right" a_policy_without_the_right;
    "policy-unknown" a_policy_that_nobody_made;
    "proof-of-key-wrong" a_client_without_the_key;
    "protocol-level-unsupported" a_client_of_an_older_mqtt;
    "registration-id-invalid" a_registration_id_with_blanks;
    "sas-disabled" a_token_where_tokens_are_off;
    "scope-unknown" an_id_scope_that_nobody_has;
    "thumbprint-differs" a_leaf_of_another_thumbprint;
    "token-expired" an_expired_token;
    "token-malformed" a_token_that_is_none;
    "token-signature-wrong" a_token_of_another_key;
    "too-many-candidates" a_hundred_cas_of_one_name;
    "tpm-unsupported" a_device_with_a_tpm;
    "unsupported-algorithm" an_issuer_with_a_strange_demand;
    "user-name-malformed" a_client_without_a_device_in_its_user_name;
    "weak-algorithm" a_signature_with_sha1;
    "will-misplaced" a_will_for_another_device;
    "wrong-attestation-type" a_certificate_where_a_key_is_enrolled;
    "wrong-credential-type" a_certificate_where_a_key_is_registered;
}

fixtures! { again
    "device-unknown" over_mqtt_a_device_that_nobody_made;
    "device-disabled" over_mqtt_a_disabled_device;
    "hub-unknown" over_mqtt_a_hub_that_nobody_made;
    "scope-unknown" over_mqtt_an_id_scope_that_nobody_has;
    "thumbprint-differs" over_mqtt_a_leaf_of_another_thumbprint;
    "anchor-not-verified" at_a_hub_a_chain_to_an_unverified_ca;
    "anchor-unknown" at_a_hub_a_chain_to_a_strange_root;
    "audience-wrong" a_registration_token_for_another_device;
    "chain-incomplete" at_a_hub_a_leaf_without_its_issuer;
    "common-name-differs" at_a_hub_a_leaf_of_another_name;
    "enrollment-disabled" a_key_of_a_disabled_enrollment;
    "issuer-expired" at_a_hub_an_expired_issuer;
    "no-enrollment" a_token_that_nobody_enrolled;
    "policy-unknown" at_a_service_a_policy_that_nobody_made;
    "token-expired" an_expired_registration_token;
    "token-signature-wrong" a_registration_token_of_another_key;
    "token-signature-wrong" a_registration_token_of_the_groups_own_key;
    "wrong-attestation-type" a_token_where_a_certificate_is_enrolled;
    "wrong-credential-type" at_a_hub_a_token_where_a_certificate_is_registered;
}

/// Codes that no call over HTTPS can cause, each with the reason. The list may only shrink.
const UNREACHABLE: &[(&str, &str)] = &[];

fn impatient() -> Stage {
    Stage::configured("[limits]\nhandshake_time = \"300ms\"\n")
}

#[test]
fn every_reason_of_the_catalogue_has_a_fixture() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/model/src/reason.rs");
    let source = fs::read_to_string(path).expect("the catalogue");
    let catalogue: BTreeSet<&str> = source
        .lines()
        .filter_map(|line| line.trim().strip_suffix("\";")?.split_once(" = \""))
        .map(|(_, code)| code)
        .collect();
    assert!(catalogue.len() > 40, "the catalogue was not read: {catalogue:?}");
    let covered: BTreeSet<&str> = COVERED.iter().copied().collect();
    assert_eq!(covered.len(), COVERED.len(), "a code has two fixtures");
    let unreachable: BTreeSet<&str> = UNREACHABLE.iter().map(|(code, _)| *code).collect();
    assert!(
        covered.is_disjoint(&unreachable),
        "a code is reached after all: shorten the list"
    );
    let all: BTreeSet<&str> = covered.union(&unreachable).copied().collect();
    assert_eq!(all, catalogue);
}

#[test]
fn refusals_are_found_by_number_device_registration_and_address() {
    let stage = Stage::new();
    let registers = Caller::registers(&stage, "device-01", "");
    let sends = Caller::sends("device-09", "");
    for _ in 0..3 {
        registers.ask(&stage).expect("an answer").expect(401);
        sends.ask(&stage).expect("an answer").expect(401);
    }
    let last = sends.ask(&stage).expect("an answer").expect(401);
    // The records are written beside the path, in the order of the calls: the last one there, all are.
    let last = explained(&stage, &tracking(&last));
    assert_eq!(last["device"], "device-09");
    let count = |line: &str| stage.json(line).as_array().map(Vec::len);
    assert_eq!(count("muster explain --last 5 -o json"), Some(5));
    assert_eq!(count("muster explain --last 500 -o json"), Some(7));
    assert_eq!(
        count("muster explain --device device-09 --last 500 -o json"),
        Some(4)
    );
    assert_eq!(
        count("muster explain --registration device-01 --last 500 -o json"),
        Some(3)
    );
    assert_eq!(
        count("muster explain --address 127.0.0.1 --last 500 -o json"),
        Some(7)
    );
    assert_eq!(count("muster explain --address 192.0.2.1 -o json"), Some(0));
    let text = stage.ok("muster explain --last 5");
    assert_eq!(text.matches("no-credential").count(), 5, "{text}");
    let unknown = stage.run("muster explain 00000000-0000-4000-8000-000000000000");
    assert_eq!(unknown.code, Some(1), "{}", unknown.stderr);
    // What is forgotten is gone, and nothing else is.
    let forget = "curl --fail -X DELETE -H \"Authorization: Bearer $(cat \"$MUSTER_DATA/operator.token\")\" \
                  'https://localhost/muster/refusals?device=device-09'";
    assert_eq!(stage.json(forget)["forgotten"], 4);
    assert_eq!(
        count("muster explain --device device-09 --last 500 -o json"),
        Some(0)
    );
    assert_eq!(
        count("muster explain --registration device-01 --last 500 -o json"),
        Some(3)
    );
    // Only the operator reads them.
    for header in ["", "-H 'Authorization: Bearer wrong'"] {
        let line = format!("curl -i {header} 'https://localhost/muster/refusals?last=1'");
        Http::parse(&stage.ok(&line)).expect(401);
    }
}

/// A stranger chooses names, and an operator types what is printed: nothing of a name may run.
#[test]
fn a_printed_command_runs_nothing_that_a_stranger_wrote() {
    let stage = Stage::new();
    let folder = stage.folder();
    let name = "r$(touch pwned)`touch pwned`'; touch pwned; '&& touch pwned #\"\\\\";
    Odd::ca("root").subject(&format!("/CN={name}")).make(folder);
    Odd::new("device-01").by("root").make(folder);
    chain(folder, "device-01-chain.pem", &["device-01", "root"]);
    let registers = Caller::registers(
        &stage,
        "device-01",
        "--cert device-01-chain.pem --key device-01.key",
    );
    let refused = registers.ask(&stage).expect("an answer").expect(401);
    let record = explained(&stage, &tracking(&refused));
    assert_eq!(record["reason"], "anchor-unknown");
    stage.ok(record["remedies"][0].as_str().expect("a command"));
    registers.succeeds(&stage).expect("a hub");
    // Device ids may hold nearly everything that a shell takes for itself.
    let id = "d$(touch)'!*?#()=@,%";
    let path = "d$(touch)%27!*%3F%23()=@,%25";
    let url = format!("https://{HUB}/devices/{path}/messages/events?api-version=2020-03-13");
    stage.write("url", &format!("url = \"{url}\"\n"));
    let sends = Caller::Asks {
        arguments: "-X POST -d '{}' --cert device-01.pem --key device-01.key --config url".into(),
    };
    let refused = sends.ask(&stage).expect("an answer").expect(404);
    let record = explained(&stage, &tracking(&refused));
    assert_eq!(
        (&record["reason"], &record["device"]),
        (&"device-unknown".into(), &id.into())
    );
    stage.ok(record["remedies"][0].as_str().expect("a command"));
    sends.succeeds(&stage).expect("its message taken");
    assert!(!folder.join("pwned").exists());
}

#[test]
fn records_hold_no_key_no_signature_no_token_and_no_body() {
    let stage = Stage::new();
    let (secrets, callers) = fixtures::with_secrets(&stage);
    let mut last = String::new();
    for caller in &callers {
        let answer = caller.ask(&stage).expect("an answer");
        assert!(answer.status == 401 || answer.status == 404, "{}", answer.body);
        last = tracking(&answer);
    }
    explained(&stage, &last);
    let records = stage.ok("muster explain --last 500 -o json");
    let texts = stage.ok("muster explain --last 500");
    let kept: Vec<u8> = fs::read_dir(stage.server.data().join("refusals"))
        .expect("the folder of refusals")
        .flat_map(|entry| fs::read(entry.expect("an entry").path()).expect("to read it"))
        .collect();
    assert!(
        contains(&kept, b"token-signature-wrong") || contains(&kept, b"device-01"),
        "the records were not found"
    );
    let log = stage.server.log();
    for secret in &secrets {
        assert!(secret.len() >= 16, "too short to be sure: {secret}");
        for (place, text) in [("-o json", &records), ("the text", &texts), ("the log", &log)] {
            assert!(!text.contains(secret.as_str()), "{secret} in {place}: {text}");
        }
        assert!(
            !contains(&kept, secret.as_bytes()),
            "{secret} in the file of refusals"
        );
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
