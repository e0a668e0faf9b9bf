//! Bodies, content types, ids and credentials that break their rules, from callers who may call.

use muster_tests::{Answer, Curl, sas_token};

use super::{DPS, GLOBAL, HOUR, HUB, has_form, stored, tells_nothing, unharmed};
use crate::odd::Odd;
use crate::stage::Stage;

/// Who calls, and what for.
struct Target {
    surface: &'static str,
    verb: &'static str,
    host: &'static str,
    path: String,
    token: String,
}

impl Target {
    fn curl(&self, stage: &Stage) -> Curl {
        let curl = stage.server.curl_as(self.host, &self.path);
        let curl = if self.token.is_empty() {
            curl.client(
                &stage.folder().join("device-01.pem"),
                &stage.folder().join("device-01.key"),
            )
        } else {
            curl.authorization(&self.token)
        };
        curl.method(self.verb)
    }
}

/// A device that is enrolled, and calls that take a JSON body.
fn targets(stage: &Stage) -> Vec<Target> {
    Odd::new("device-01").make(stage.folder());
    stage.json(
        "muster iot dps enrollment create --dps-name muster-dps --enrollment-id device-01 --attestation-type x509 \
         --certificate-path device-01.pem",
    );
    let thumbprint =
        stage.ok("openssl x509 -in device-01.pem -noout -fingerprint -sha256 | cut -d= -f2 | tr -d ':\\n'");
    stage.json(&format!(
        "muster iot hub device-identity create --hub-name muster-hub --device-id device-01 --auth-method x509_thumbprint \
         --primary-thumbprint {thumbprint}"
    ));
    let key = |command: &str| {
        let shown = stage.json(command);
        let text = shown["connectionString"]
            .as_str()
            .expect("a connection string")
            .to_owned();
        text.split("SharedAccessKey=").nth(1).expect("a key").to_owned()
    };
    let hub_key =
        key("muster iot hub connection-string show --hub-name muster-hub --policy-name iothubowner");
    let dps_key = key("muster iot dps connection-string show --dps-name muster-dps");
    let hub_token = sas_token(HUB, &hub_key, Some("iothubowner"), HOUR);
    let dps_token = sas_token(DPS, &dps_key, Some("provisioningserviceowner"), HOUR);
    let operator = format!("Bearer {}", stage.server.operator_token());
    let base = stage.json("muster iot hub show --name muster-hub")["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let service = stage.json("muster iot dps show --name muster-dps")["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let scope = stage.id_scope();
    let hub = |verb, path: &str| Target {
        surface: "hub",
        verb,
        host: HUB,
        path: format!("{path}?api-version=2021-04-12"),
        token: hub_token.clone(),
    };
    let dps = |verb, path: &str| Target {
        surface: "dps",
        verb,
        host: DPS,
        path: format!("{path}?api-version=2021-10-01"),
        token: dps_token.clone(),
    };
    let arm = |verb, path: &str| Target {
        surface: "arm",
        verb,
        host: "localhost",
        path: format!("{path}?api-version=2022-02-05"),
        token: operator.clone(),
    };
    vec![
        hub("PUT", "/devices/device-77"),
        hub("POST", "/devices"),
        dps("PUT", "/enrollments/device-77"),
        dps("POST", "/enrollments"),
        dps("PUT", "/enrollmentGroups/group-77"),
        dps("POST", "/enrollmentGroups"),
        arm("PUT", &base.replace("muster-hub", "plant-7")),
        arm("PUT", &format!("{base}/certificates/ca")),
        arm("PUT", &format!("{service}/certificates/ca")),
        arm("PUT", &service.replace("muster-dps", "plant-7")),
        Target {
            surface: "dps",
            verb: "PUT",
            host: GLOBAL,
            path: format!("/{scope}/registrations/device-01/register?api-version=2021-06-01"),
            token: String::new(),
        },
    ]
}

fn refused(stage: &Stage, target: &Target, what: &str, answer: &Answer, statuses: &[u16]) {
    let text = String::from_utf8_lossy(&answer.body);
    assert!(
        statuses.contains(&answer.status),
        "{} {} with {what}: {} {text}",
        target.verb,
        target.path,
        answer.status
    );
    has_form(target.surface, answer.status, &text);
    assert!(answer.header("x-ms-request-id").is_some(), "{what}");
    tells_nothing(stage, &text);
}

#[test]
fn bodies_that_are_no_document_are_refused_everywhere() {
    let stage = Stage::new();
    let targets = targets(&stage);
    let before = stored(&stage);
    let deep =
        |open: &str, close: &str, times: usize| format!("{}1{}", open.repeat(times), close.repeat(times));
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("half an object", b"{\"registrationId\": \"device-77\"".to_vec()),
        ("a bracket", b"{".to_vec()),
        ("words", b"hello".to_vec()),
        ("a number", b"7".to_vec()),
        ("a text", b"\"device-77\"".to_vec()),
        ("bytes", vec![0xff, 0xfe, 0x00, 0x80]),
        ("a text that is not UTF-8", b"{\"tags\": \"\xff\xfe\"}".to_vec()),
        ("two documents", b"{} {}".to_vec()),
        ("nothing but NUL", vec![0; 64]),
        ("half a surrogate", b"{\"tags\": \"\\ud800\"}".to_vec()),
        ("a number beyond all", b"{\"tags\": {\"a\": 1e99999}}".to_vec()),
        ("a hundred thousand brackets", b"[".repeat(100_000)),
        ("deep arrays", deep("{\"tags\": [", "]}", 200).into_bytes()),
        ("deep objects", deep("{\"tags\":", "}", 5_000).into_bytes()),
        ("one name twice", b"{\"deviceId\":\"device-77\",\"deviceId\":\"device-78\",\"registrationId\":\"device-77\",\"registrationId\":\"a\",\"enrollmentGroupId\":\"a\",\"enrollmentGroupId\":\"group-77\",\"properties\":{},\"properties\":{},\"mode\":\"create\",\"mode\":\"delete\"}".to_vec()),
        ("names of the wrong type", b"{\"deviceId\":7,\"registrationId\":[],\"enrollmentGroupId\":{},\"properties\":\"x\",\"location\":7,\"payload\":1,\"mode\":7}".to_vec()),
    ];
    for target in &targets {
        for (what, body) in &bodies {
            let answer = target
                .curl(&stage)
                .header("Content-Type: application/json")
                .body(body)
                .send();
            refused(&stage, target, what, &answer, &[400, 413]);
        }
    }
    unharmed(&stage, &before);
}

#[test]
fn bodies_beyond_the_bound_are_refused_before_they_are_kept() {
    let stage = Stage::new();
    let targets = targets(&stage);
    let before = stored(&stage);
    let large = format!("{{\"tags\": \"{}\"}}", "x".repeat(8 << 20));
    for target in &targets {
        for chunked in [false, true] {
            let curl = target
                .curl(&stage)
                .header("Content-Type: application/json")
                .body(large.as_bytes());
            let curl = if chunked {
                curl.header("Transfer-Encoding: chunked")
            } else {
                curl
            };
            // A caller that still sends when the answer is there may see the connection end in place of it.
            match curl.try_send() {
                Ok(answer) => refused(&stage, target, "eight mebibytes", &answer, &[413]),
                Err(failure) => assert!(matches!(failure.code, Some(55 | 56)), "{failure:?}"),
            }
        }
    }
    // Telemetry has a bound of its own, and any bytes as its body.
    let events = Target {
        surface: "hub",
        verb: "POST",
        host: HUB,
        path: "/devices/device-01/messages/events?api-version=2020-03-13".to_owned(),
        token: String::new(),
    };
    let answer = events.curl(&stage).body(&vec![0xff; 256 * 1024 + 1]).send();
    refused(&stage, &events, "a message that is too large", &answer, &[413]);
    let batches = [
        "{}",
        "[",
        "[1]",
        "[{}]",
        "[{\"body\":7}]",
        "[{\"body\":\"!\"}]",
        "[{\"body\":\"AA==\",\"properties\":[]}]",
        "[{\"body\":\"AA==\",\"properties\":{\"iothub-app-a\":{}}}]",
        "[{\"body\":\"AA==\",\"body\":\"AA==\"}]",
    ];
    for batch in batches {
        let curl = events
            .curl(&stage)
            .header("Content-Type: application/vnd.microsoft.iothub.json");
        refused(
            &stage,
            &events,
            batch,
            &curl.body(batch.as_bytes()).send(),
            &[400],
        );
    }
    unharmed(&stage, &before);
}

#[test]
fn content_types_and_versions_that_are_none_are_refused() {
    let stage = Stage::new();
    let targets = targets(&stage);
    let before = stored(&stage);
    let register = targets.last().expect("the registration");
    for kind in [
        "text/plain",
        "application/xml",
        "multipart/form-data",
        "application/jsonx",
        "\u{fc}",
    ] {
        let curl = register.curl(&stage).header(&format!("Content-Type: {kind}"));
        refused(&stage, register, kind, &curl.body(b"{}").send(), &[415]);
    }
    for target in &targets {
        let bare = target.path.split('?').next().unwrap_or_default();
        for query in [
            "",
            "?api-version=",
            "?api-version=latest",
            "?api-version=2021-13-45",
            "?api-version=1999-01-01",
            "?API=1",
        ] {
            let target = Target {
                surface: target.surface,
                verb: target.verb,
                host: target.host,
                path: format!("{bare}{query}"),
                token: target.token.clone(),
            };
            // Management serves every version that is one.
            let answer = target
                .curl(&stage)
                .header("Content-Type: application/json")
                .body(b"[")
                .send();
            refused(&stage, &target, query, &answer, &[400]);
        }
    }
    unharmed(&stage, &before);
}

#[test]
fn ids_that_break_their_rules_are_refused() {
    let stage = Stage::new();
    let targets = targets(&stage);
    let before = stored(&stage);
    let long = "x".repeat(129);
    let ids = [
        "a%20b", "%C3%BC", "a%22b", "a%3Cb", "a%2Fb", "a%5Cb", "a%25b", "a%00b", "%FF", "%zz", "%", &long,
        "a%0Ab",
    ];
    for target in &targets {
        let Some((path, query)) = target.path.split_once('?') else {
            continue;
        };
        // Only what ends in an id: the last segment, or that before `register`.
        let (head, tail) = match path.strip_suffix("/register") {
            Some(path) => (path, "/register"),
            None => (path, ""),
        };
        let Some((head, last)) = head.rsplit_once('/') else {
            continue;
        };
        if matches!(last, "devices" | "enrollments" | "enrollmentGroups") {
            continue;
        }
        for id in ids {
            let target = Target {
                surface: target.surface,
                verb: target.verb,
                host: target.host,
                path: format!("{head}/{id}{tail}?{query}"),
                token: target.token.clone(),
            };
            let answer = target
                .curl(&stage)
                .header("Content-Type: application/json")
                .body(b"{}")
                .send();
            refused(&stage, &target, id, &answer, &[400, 404]);
        }
    }
    unharmed(&stage, &before);
}

#[test]
fn certificates_that_are_none_are_refused_wherever_one_is_due() {
    let stage = Stage::new();
    let targets = targets(&stage);
    stage.ok(
        "openssl x509 -in device-01.pem -outform DER -out whole.der; head -c 200 whole.der > half.der; \
         (cat whole.der; echo trailing) > longer.der; head -c 20000 /dev/zero > zero.der; \
         openssl req -new -key device-01.key -subj /CN=a -out request.pem; \
         sed 's/^M/!/' device-01.pem > damaged.pem; sed '$d' device-01.pem > endless.pem; : > empty.pem; \
         printf '%s' '-----BEGIN CERTIFICATE-----' > begin.pem",
    );
    let before = stored(&stage);
    let files = [
        "half.der",
        "longer.der",
        "zero.der",
        "request.pem",
        "device-01.key",
        "damaged.pem",
        "endless.pem",
        "empty.pem",
        "begin.pem",
    ];
    for file in files {
        let bytes = std::fs::read(stage.folder().join(file)).expect("the file");
        let encoded = data_encoding::BASE64.encode(&bytes);
        let texts = [
            Some(encoded),
            String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')),
        ];
        for text in texts.into_iter().flatten() {
            for target in targets.iter().filter(|target| target.verb == "PUT") {
                let body = match target.path.split('?').next().unwrap_or_default() {
                    path if path.ends_with("/certificates/ca") => {
                        serde_json::json!({"properties": {"certificate": text, "isVerified": true}})
                    }
                    "/enrollments/device-77" => serde_json::json!({
                        "registrationId": "device-77",
                        "attestation": {"type": "x509", "x509": {"clientCertificates": {"primary": {"certificate": text}}}},
                    }),
                    "/enrollmentGroups/group-77" => serde_json::json!({
                        "enrollmentGroupId": "group-77",
                        "attestation": {"type": "x509", "x509": {"signingCertificates": {"primary": {"certificate": text}}}},
                    }),
                    _ => continue,
                };
                refused(
                    &stage,
                    target,
                    file,
                    &target.curl(&stage).json(&body).method(target.verb).send(),
                    &[400],
                );
            }
        }
    }
    unharmed(&stage, &before);
}
