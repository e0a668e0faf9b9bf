//! Enrollments, groups and registration states at a provisioning service.

use muster_tests::Credential;
use serde_json::{Value, json};

use super::{BackEnd, JSON, is_iso, text};
use crate::explain::Caller;
use crate::stage::Stage;

const KEYED: &str = "symmetricKey";

fn enrollment(id: &str) -> Value {
    json!({"registrationId": id, "attestation": {"type": KEYED}})
}

fn group(id: &str) -> Value {
    json!({"enrollmentGroupId": id, "attestation": {"type": KEYED}})
}

#[test]
#[expect(clippy::too_many_lines, reason = "one walk, read from top to bottom")]
fn an_enrollment_is_written_read_changed_and_deleted() {
    let stage = Stage::new();
    let service = BackEnd::at_service(&stage);
    let missing = service.get("/enrollments/device-01").expect(404);
    assert_eq!(missing.header("x-ms-error-code"), Some("404201"));
    let body = missing.json();
    assert_eq!(body["errorCode"], 404_201);
    assert_eq!(body["trackingId"].as_str(), missing.header("x-ms-request-id"));
    // Creating is answered with 200, and keys come back this once.
    let made = service
        .send("PUT", "/enrollments/device-01", &enrollment("device-01"), &[])
        .expect(200);
    assert_eq!(made.header("content-type"), Some(JSON));
    let made = made.json();
    assert_eq!(made["registrationId"], "device-01");
    assert_eq!(made["attestation"]["type"], KEYED);
    let primary = text(&made["attestation"]["symmetricKey"], "primaryKey").to_owned();
    assert_eq!(primary.len(), 88, "64 bytes in base64");
    assert_eq!(made["provisioningStatus"], "enabled");
    assert_eq!(
        made["reprovisionPolicy"],
        json!({"updateHubAssignment": true, "migrateDeviceData": true})
    );
    assert_eq!(made["capabilities"], json!({"iotEdge": false}));
    assert!(
        is_iso(&made["createdDateTimeUtc"]) && is_iso(&made["lastUpdatedDateTimeUtc"]),
        "{made}"
    );
    assert!(
        made.as_object()
            .is_some_and(|members| members.values().all(|value| !value.is_null())),
        "{made}"
    );
    let first = text(&made, "etag").to_owned();
    // Reading leaves the keys out; the mechanism is asked for by a call of its own.
    let read = service.get("/enrollments/device-01").expect(200).json();
    assert_eq!(read["etag"], first.as_str());
    assert!(
        read["attestation"]["symmetricKey"]["primaryKey"].is_null(),
        "{read}"
    );
    let mechanism = service
        .call("POST", "/enrollments/device-01/attestationmechanism")
        .send()
        .expect(200)
        .json();
    assert_eq!(mechanism["type"], KEYED);
    assert_eq!(mechanism["symmetricKey"]["primaryKey"], primary.as_str());
    // As one client spells it.
    let _ = service
        .call("POST", "/Enrollments/device-01/attestationMechanism")
        .send()
        .expect(200);
    // Versions: the right one, a stale one, any one, and none.
    let mut changed = read;
    changed["provisioningStatus"] = "disabled".into();
    let second = service
        .send(
            "PUT",
            "/enrollments/device-01",
            &changed,
            &[&format!("If-Match: {first}")],
        )
        .expect(200)
        .json();
    assert_ne!(second["etag"], first.as_str());
    assert_eq!(second["createdDateTimeUtc"], made["createdDateTimeUtc"]);
    let stale = service
        .send(
            "PUT",
            "/enrollments/device-01",
            &changed,
            &[&format!("If-Match: {first}")],
        )
        .expect(412)
        .json();
    assert_eq!(stale["errorCode"].as_u64().map(|code| code / 1_000), Some(412));
    let quoted = format!("If-Match: \"{}\"", text(&second, "etag"));
    let third = service
        .send("PUT", "/enrollments/device-01", &changed, &[&quoted])
        .expect(200)
        .json();
    let _ = service
        .send("PUT", "/enrollments/device-01", &changed, &["If-Match: *"])
        .expect(200);
    let _ = service
        .send("PUT", "/enrollments/device-01", &changed, &[])
        .expect(200);
    // Keys that are not sent are kept.
    let kept = service
        .call("POST", "/enrollments/device-01/attestationmechanism")
        .send()
        .expect(200)
        .json();
    assert_eq!(kept, mechanism);
    let _ = service
        .send(
            "PUT",
            "/enrollments/absent",
            &enrollment("absent"),
            &["If-Match: *"],
        )
        .expect(404);
    // The path and the body name the same, but for case.
    let _ = service
        .send("PUT", "/enrollments/device-01", &enrollment("device-02"), &[])
        .expect(400);
    let _ = service
        .send("PUT", "/enrollments/DEVICE-01", &enrollment("device-01"), &[])
        .expect(200);
    let _ = service
        .delete(
            "/enrollments/device-01",
            &[&format!("If-Match: {}", text(&third, "etag"))],
        )
        .expect(412);
    let gone = service
        .delete("/enrollments/device-01", &["If-Match: *"])
        .expect(204);
    assert!(gone.body.is_empty());
    let _ = service.delete("/enrollments/device-01", &[]).expect(404);
}

#[test]
fn a_group_is_written_read_and_deleted_and_does_without_what_an_individual_has() {
    let stage = Stage::new();
    let service = BackEnd::at_service(&stage);
    let made = service
        .send("PUT", "/enrollmentGroups/plant-7", &group("plant-7"), &[])
        .expect(200)
        .json();
    assert_eq!(made["enrollmentGroupId"], "plant-7");
    for absent in [
        "registrationId",
        "deviceId",
        "registrationState",
        "optionalDeviceInformation",
    ] {
        assert!(made.get(absent).is_none(), "{absent} in {made}");
    }
    assert!(
        made["attestation"]["symmetricKey"]["primaryKey"].is_string(),
        "{made}"
    );
    let read = service.get("/enrollmentgroups/plant-7").expect(200).json();
    assert!(
        read["attestation"]["symmetricKey"]["primaryKey"].is_null(),
        "{read}"
    );
    let mechanism = service
        .call("POST", "/enrollmentgroups/plant-7/attestationmechanism")
        .send()
        .expect(200)
        .json();
    assert_eq!(mechanism["symmetricKey"], made["attestation"]["symmetricKey"]);
    let tpm = json!({"enrollmentGroupId": "plant-7", "attestation": {"type": "tpm", "tpm": {"endorsementKey": "AToAAQALAAMAsgAg"}}});
    let _ = service
        .send("PUT", "/enrollmentGroups/plant-7", &tpm, &[])
        .expect(400);
    let _ = service
        .delete("/enrollmentGroups/plant-7", &["If-Match: \"bm9uZQ==\""])
        .expect(412);
    let _ = service
        .delete(
            "/enrollmentGroups/plant-7",
            &[&format!("If-Match: {}", text(&read, "etag"))],
        )
        .expect(204);
    let _ = service.get("/enrollmentGroups/plant-7").expect(404);
}

#[test]
fn certificates_of_an_enrollment_are_read_as_what_they_say() {
    let stage = Stage::new();
    let service = BackEnd::at_service(&stage);
    let first = Credential::self_signed(stage.folder(), "device-01");
    let second = Credential::self_signed(stage.folder(), "device-01");
    let slot = |one: &Credential| json!({"certificate": one.pem()});
    let x509 = |certificates: Value| json!({"registrationId": "device-01", "attestation": {"type": "x509", "x509": {"clientCertificates": certificates}}});
    let body = x509(json!({"primary": slot(&first), "secondary": slot(&second)}));
    let _ = service
        .send("PUT", "/enrollments/device-01", &body, &[])
        .expect(200);
    let read = service.get("/enrollments/device-01").expect(200).json();
    let slots = &read["attestation"]["x509"]["clientCertificates"];
    let info = &slots["primary"]["info"];
    assert_eq!(
        slots["primary"].as_object().map(serde_json::Map::len),
        Some(1),
        "no certificate text: {slots}"
    );
    assert_eq!(info["subjectName"], "CN=device-01");
    assert_eq!(info["issuerName"], "CN=device-01");
    assert_eq!(info["sha1Thumbprint"], first.thumbprint("sha1").as_str());
    assert_eq!(info["sha256Thumbprint"], first.thumbprint("sha256").as_str());
    assert_eq!(info["version"], 3);
    assert!(
        is_iso(&info["notBeforeUtc"]) && is_iso(&info["notAfterUtc"]),
        "{info}"
    );
    let serial = text(info, "serialNumber");
    assert!(
        serial.len().is_multiple_of(2)
            && serial
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)),
        "{serial}"
    );
    assert_eq!(
        slots["secondary"]["info"]["sha1Thumbprint"],
        second.thumbprint("sha1").as_str()
    );
    // What was read is written back: a slot with nothing but its facts keeps its certificate, an absent one is removed.
    let _ = service
        .send("PUT", "/enrollments/device-01", &read, &[])
        .expect(200);
    let one = x509(json!({"secondary": slots["secondary"]}));
    let _ = service
        .send("PUT", "/enrollments/device-01", &one, &[])
        .expect(200);
    let read = service.get("/enrollments/device-01").expect(200).json();
    let slots = &read["attestation"]["x509"]["clientCertificates"];
    assert!(slots["primary"].is_null(), "{slots}");
    assert_eq!(
        slots["secondary"]["info"]["sha256Thumbprint"],
        second.thumbprint("sha256").as_str()
    );
    let _ = service
        .send("PUT", "/enrollments/device-01", &x509(json!({})), &[])
        .expect(400);
    // The forms in which clients send a certificate.
    let der = data_encoding::BASE64.encode(&pem_to_der(&first.pem()));
    let whole = data_encoding::BASE64.encode(first.pem().as_bytes());
    let both = format!("{}{}", first.pem(), second.pem());
    for form in [first.pem(), der, whole, both] {
        let body = x509(json!({"primary": {"certificate": form}}));
        let written = service
            .send("PUT", "/enrollments/device-01", &body, &[])
            .expect(200)
            .json();
        let info = &written["attestation"]["x509"]["clientCertificates"]["primary"]["info"];
        assert_eq!(
            info["sha1Thumbprint"],
            first.thumbprint("sha1").as_str(),
            "{form}"
        );
    }
}

fn pem_to_der(pem: &str) -> Vec<u8> {
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    data_encoding::BASE64.decode(text.as_bytes()).expect("base64")
}

#[test]
fn policies_that_contradict_themselves_are_refused() {
    let stage = Stage::new();
    let service = BackEnd::at_service(&stage);
    let put = |members: Value| {
        let mut body = enrollment("device-01");
        for (name, value) in members.as_object().expect("members") {
            body[name] = value.clone();
        }
        service.send("PUT", "/enrollments/device-01", &body, &[])
    };
    for bad in [
        json!({"iotHubs": ["nowhere.azure-devices.muster.localhost"]}),
        json!({"allocationPolicy": "static", "iotHubs": [super::HUB, "other.azure-devices.muster.localhost"]}),
        json!({"allocationPolicy": "custom"}),
        json!({"allocationPolicy": "nearest"}),
        json!({"provisioningStatus": "perhaps"}),
        json!({"attestation": {"type": "none of these"}}),
        json!({"attestation": {"type": KEYED, "symmetricKey": {"primaryKey": "c2hvcnQ=", "secondaryKey": "c2hvcnQ="}}}),
        json!({"attestation": null}),
        json!({"deviceId": "a b"}),
    ] {
        let _ = put(bad).expect(400);
    }
    let odd = put(json!({"allocationPolicy": "geolatency", "iotHubs": [super::HUB]}))
        .expect(200)
        .json();
    assert_eq!(odd["allocationPolicy"], "geoLatency");
    assert_eq!(odd["iotHubs"], json!([super::HUB]));
    let custom = json!({"allocationPolicy": "custom",
        "customAllocationDefinition": {"webhookUrl": "https://hook.example/a", "apiVersion": "2019-03-31"}});
    let kept = put(custom).expect(200).json();
    assert_eq!(
        kept["customAllocationDefinition"]["webhookUrl"],
        "https://hook.example/a"
    );
    let twin =
        json!({"initialTwin": {"tags": {"site": "7"}, "properties": {"desired": {"a": [1, {"b": null}]}}}});
    let written = put(twin.clone()).expect(200).json();
    assert_eq!(written["initialTwin"], twin["initialTwin"]);
}

#[test]
fn queries_page_with_continuations() {
    let stage = Stage::new();
    let service = BackEnd::at_service(&stage);
    for (path, kind, key) in [
        ("enrollments", "Enrollment", "registrationId"),
        ("enrollmentGroups", "EnrollmentGroup", "enrollmentGroupId"),
    ] {
        let query = |headers: &[&str]| {
            service
                .send(
                    "POST",
                    &format!("/{path}/query"),
                    &json!({"query": "SELECT *"}),
                    headers,
                )
                .expect(200)
        };
        let empty = query(&[]);
        assert_eq!(empty.json(), json!([]));
        assert_eq!(empty.header("x-ms-item-type"), Some(kind));
        assert_eq!(empty.header("x-ms-continuation"), None);
        let ids: Vec<String> = (0..7).map(|number| format!("one-{number}")).collect();
        for id in &ids {
            let body = json!({key: id, "attestation": {"type": KEYED}});
            let _ = service
                .send("PUT", &format!("/{path}/{id}"), &body, &[])
                .expect(200);
        }
        let mut found = Vec::new();
        let mut sizes = Vec::new();
        let mut next = None;
        loop {
            let mut headers = vec!["x-ms-max-item-count: 3".to_owned()];
            headers.extend(next.map(|token| format!("x-ms-continuation: {token}")));
            let page = query(&headers.iter().map(String::as_str).collect::<Vec<_>>());
            let items = page.json();
            let items = items.as_array().expect("a list");
            sizes.push(items.len());
            for item in items {
                assert!(
                    item["attestation"]["symmetricKey"]["primaryKey"].is_null(),
                    "{item}"
                );
                assert!(item.get("registrationState").is_none(), "{item}");
                found.push(text(item, key).to_owned());
            }
            next = page.header("x-ms-continuation").map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
        for size in ["0", "-1", "many"] {
            let header = format!("x-ms-max-item-count: {size}");
            let call = service.send(
                "POST",
                &format!("/{path}/query"),
                &json!({"query": "SELECT *"}),
                &[&header],
            );
            assert!(matches!(call.status, 200 | 400), "{size}: {}", call.status);
        }
        assert_eq!(sizes, [3, 3, 1]);
        found.sort();
        assert_eq!(found, ids);
        let _ = service
            .send(
                "POST",
                &format!("/{path}/query"),
                &json!({"query": ""}),
                &["x-ms-continuation: not one of ours"],
            )
            .expect(400);
    }
}

#[test]
fn bulk_calls_answer_for_each_item() {
    let stage = Stage::new();
    let service = BackEnd::at_service(&stage);
    let bulk = |mode: &str, items: &[Value]| {
        service.send(
            "POST",
            "/enrollments/",
            &json!({"mode": mode, "enrollments": items}),
            &[],
        )
    };
    let good = |mode: &str, items: &[Value]| {
        let result = bulk(mode, items).expect(200).json();
        assert_eq!(result, json!({"isSuccessful": true, "errors": []}), "{mode}");
    };
    good("create", &[enrollment("a"), enrollment("b")]);
    let mixed = bulk("create", &[enrollment("b"), enrollment("c")])
        .expect(200)
        .json();
    assert_eq!(mixed["isSuccessful"], false);
    let errors = mixed["errors"].as_array().expect("a list");
    assert_eq!(errors.len(), 1, "{mixed}");
    assert_eq!(errors[0]["registrationId"], "b");
    assert!(
        errors[0]["errorCode"].is_u64() && errors[0]["errorStatus"].is_string(),
        "{mixed}"
    );
    // The other one was made all the same.
    let read = service.get("/enrollments/c").expect(200).json();
    good("update", &[enrollment("a")]);
    assert_eq!(
        bulk("update", &[enrollment("z")]).expect(200).json()["isSuccessful"],
        false
    );
    let with = |etag: &str| {
        let mut one = enrollment("c");
        one["etag"] = etag.into();
        one
    };
    assert_eq!(
        bulk("updateIfMatchETag", &[with("bm9uZQ==")]).expect(200).json()["isSuccessful"],
        false
    );
    good("updateIfMatchEtag", &[with(text(&read, "etag"))]);
    let many: Vec<Value> = (0..11)
        .map(|number| enrollment(&format!("many-{number}")))
        .collect();
    let _ = bulk("create", &many).expect(400);
    let _ = service.get("/enrollments/many-0").expect(404);
    let _ = bulk("replace", &[enrollment("a")]).expect(400);
    good("delete", &[enrollment("a"), enrollment("b"), enrollment("c")]);
    let groups = json!({"mode": "create", "enrollmentGroups": [group("g"), group("h")]});
    let made = service
        .send("POST", "/enrollmentGroups", &groups, &[])
        .expect(200)
        .json();
    assert_eq!(made, json!({"isSuccessful": true, "errors": []}));
    let again = service
        .send("POST", "/enrollmentGroups", &groups, &[])
        .expect(200)
        .json();
    assert_eq!(again["errors"][0]["enrollmentGroupId"], "g");
}

#[test]
fn registration_states_are_read_listed_and_deleted() {
    let stage = Stage::new();
    let service = BackEnd::at_service(&stage);
    let root = Credential::root(stage.folder(), "root");
    let file = root.certificate.display();
    stage.json(&format!("muster iot dps certificate create --dps-name muster-dps --certificate-name root --path '{file}' --verified true"));
    let body = json!({"enrollmentGroupId": "plant-7", "attestation": {"type": "x509", "x509": {"caReferences": {"primary": "root"}}}});
    let _ = service
        .send("PUT", "/enrollmentGroups/plant-7", &body, &[])
        .expect(200);
    let query = |group: &str| {
        service
            .call("POST", &format!("/registrations/{group}/query"))
            .send()
            .expect(200)
    };
    let empty = query("plant-7");
    assert_eq!(
        (empty.json(), empty.header("x-ms-item-type")),
        (json!([]), Some("DeviceRegistration"))
    );
    assert_eq!(query("nosuch").json(), json!([]));
    for id in ["device-01", "device-02", "device-03"] {
        let leaf = root.leaf(id);
        let credential = format!(
            "--cert '{}' --key '{}'",
            leaf.certificate.display(),
            leaf.key.display()
        );
        Caller::registers(&stage, id, &credential)
            .succeeds(&stage)
            .expect("a hub");
    }
    let page = service
        .send(
            "POST",
            "/registrations/plant-7/query",
            &json!({"query": "SELECT *"}),
            &["x-ms-max-item-count: 2"],
        )
        .expect(200);
    let states = page.json();
    assert_eq!(states.as_array().map(Vec::len), Some(2));
    assert!(page.header("x-ms-continuation").is_some());
    let state = service.get("/registrations/device-01").expect(200).json();
    assert_eq!(state["registrationId"], "device-01");
    assert_eq!(state["deviceId"], "device-01");
    assert_eq!(state["assignedHub"], super::HUB);
    assert_eq!(state["status"], "assigned");
    assert_eq!(state["substatus"], "initialAssignment");
    assert!(
        is_iso(&state["createdDateTimeUtc"]) && is_iso(&state["lastUpdatedDateTimeUtc"]),
        "{state}"
    );
    assert_eq!(states[0], state);
    let etag = text(&state, "etag");
    let _ = service
        .delete("/registrations/device-01", &["If-Match: bm9uZQ=="])
        .expect(412);
    let _ = service
        .delete("/registrations/device-01", &[&format!("If-Match: {etag}")])
        .expect(204);
    let gone = service.get("/registrations/device-01").expect(404).json();
    assert_eq!(gone["errorCode"], 404_202);
    // Deleting the group leaves the records of its devices, one by one.
    let _ = service.delete("/enrollmentGroups/plant-7", &[]).expect(204);
    assert_eq!(
        service.get("/registrations/device-02").expect(200).json()["status"],
        "assigned"
    );
}
