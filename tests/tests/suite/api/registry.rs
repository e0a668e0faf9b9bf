//! Device identities at a hub.

use muster_tests::Credential;
use serde_json::{Value, json};

use super::{BackEnd, JSON, text};
use crate::stage::Stage;

fn device(id: &str) -> Value {
    json!({"deviceId": id})
}

#[test]
#[expect(clippy::too_many_lines, reason = "one walk, read from top to bottom")]
fn an_identity_is_made_read_changed_and_deleted() {
    let stage = Stage::new();
    let hub = BackEnd::at_hub(&stage);
    let missing = hub.get("/devices/device-01").expect(404);
    assert_eq!(missing.header("iothub-errorcode"), Some("DeviceNotFound"));
    assert!(text(&missing.json(), "Message").starts_with("ErrorCode:DeviceNotFound;"));
    let made = hub
        .send("PUT", "/devices/device-01", &device("device-01"), &[])
        .expect(200);
    assert_eq!(made.header("content-type"), Some(JSON));
    let etag_header = made.header("etag").expect("an etag").to_owned();
    let made = made.json();
    assert_eq!(etag_header, format!("\"{}\"", text(&made, "etag")));
    assert_eq!(made["deviceId"], "device-01");
    assert_eq!(made["status"], "enabled");
    assert_eq!(made["connectionState"], "Disconnected");
    assert_eq!(made["cloudToDeviceMessageCount"], 0);
    assert!(
        text(&made, "generationId").bytes().all(|b| b.is_ascii_digit()),
        "{made}"
    );
    assert!(
        text(&made, "lastActivityTime").starts_with("0001-01-01T00:00:00"),
        "{made}"
    );
    let authentication = &made["authentication"];
    assert_eq!(authentication["type"], "sas");
    assert_eq!(
        text(&authentication["symmetricKey"], "primaryKey").len(),
        44,
        "32 bytes in base64"
    );
    assert_eq!(
        authentication["x509Thumbprint"],
        json!({"primaryThumbprint": null, "secondaryThumbprint": null})
    );
    let decoded = data_encoding::BASE64
        .decode(text(&made, "etag").as_bytes())
        .expect("base64");
    assert!(
        decoded.iter().all(u8::is_ascii_digit),
        "a decimal number: {decoded:?}"
    );
    // Making it again conflicts; changing it needs to say so.
    let conflict = hub
        .send("PUT", "/devices/device-01", &device("device-01"), &[])
        .expect(409);
    assert_eq!(conflict.header("iothub-errorcode"), Some("DeviceAlreadyExists"));
    let mut changed = made.clone();
    changed["status"] = "disabled".into();
    changed["statusReason"] = "in repair".into();
    changed["generationId"] = "7".into();
    changed["connectionState"] = "Connected".into();
    let stale = hub
        .send("PUT", "/devices/device-01", &changed, &["If-Match: \"bm9uZQ==\""])
        .expect(412);
    assert_eq!(stale.header("iothub-errorcode"), Some("PreconditionFailed"));
    let second = hub
        .send(
            "PUT",
            "/devices/device-01",
            &changed,
            &[&format!("If-Match: {etag_header}")],
        )
        .expect(200)
        .json();
    assert_eq!(second["statusReason"], "in repair");
    assert_eq!(second["generationId"], made["generationId"]);
    assert_eq!(second["connectionState"], "Disconnected");
    assert_ne!(second["etag"], made["etag"]);
    assert_eq!(second["authentication"], made["authentication"]);
    let _ = hub
        .send("PUT", "/devices/device-01", &changed, &["If-Match: \"*\""])
        .expect(200);
    let _ = hub
        .send("PUT", "/devices/device-01", &changed, &["If-Match: *"])
        .expect(200);
    let _ = hub
        .send("PUT", "/devices/absent", &device("absent"), &["If-Match: \"*\""])
        .expect(404);
    let _ = hub
        .send(
            "PUT",
            "/devices/device-01",
            &device("device-02"),
            &["If-Match: *"],
        )
        .expect(400);
    // Ids differ by case here.
    let _ = hub.get("/devices/DEVICE-01").expect(404);
    let _ = hub
        .delete("/devices/device-01", &["If-Match: \"bm9uZQ==\""])
        .expect(412);
    let _ = hub.delete("/devices/device-01", &["If-Match: \"*\""]).expect(204);
    let _ = hub.delete("/devices/device-01", &[]).expect(404);
    // A name that is used again stands for another device.
    let again = hub
        .send("PUT", "/devices/device-01", &device("device-01"), &[])
        .expect(200)
        .json();
    assert_ne!(again["generationId"], made["generationId"]);
    assert_eq!(again["status"], "enabled");
    assert!(again["statusReason"].is_null(), "{again}");
    assert_ne!(
        again["authentication"]["symmetricKey"],
        made["authentication"]["symmetricKey"]
    );
}

#[test]
fn each_kind_of_authentication_is_kept_as_it_was_given() {
    let stage = Stage::new();
    let hub = BackEnd::at_hub(&stage);
    let one = Credential::self_signed(stage.folder(), "device-01");
    let put = |id: &str, authentication: Value| {
        hub.send(
            "PUT",
            &format!("/devices/{id}"),
            &json!({"deviceId": id, "authentication": authentication}),
            &[],
        )
    };
    for (hash, id) in [("sha1", "by-sha1"), ("sha256", "by-sha256")] {
        let thumbprint = one.thumbprint(hash);
        let made = put(
            id,
            json!({"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": thumbprint}}),
        )
        .expect(200)
        .json();
        assert_eq!(made["authentication"]["type"], "selfSigned");
        assert_eq!(
            made["authentication"]["x509Thumbprint"]["primaryThumbprint"],
            thumbprint.as_str()
        );
        assert_eq!(
            made["authentication"]["symmetricKey"],
            json!({"primaryKey": null, "secondaryKey": null})
        );
    }
    // A thumbprint without a type says what is meant.
    let guessed = put(
        "guessed",
        json!({"x509Thumbprint": {"primaryThumbprint": one.thumbprint("sha1")}}),
    )
    .expect(200)
    .json();
    assert_eq!(guessed["authentication"]["type"], "selfSigned");
    let by_ca = put("by-ca", json!({"type": "certificateAuthority"}))
        .expect(200)
        .json();
    assert_eq!(
        by_ca["authentication"],
        json!({"type": "certificateAuthority", "symmetricKey": {"primaryKey": null, "secondaryKey": null},
            "x509Thumbprint": {"primaryThumbprint": null, "secondaryThumbprint": null}})
    );
    // As one client sends what it leaves to the server.
    let made = put(
        "empty",
        json!({"type": "sas", "symmetricKey": {"primaryKey": "", "secondaryKey": ""}}),
    )
    .expect(200)
    .json();
    assert_eq!(
        text(&made["authentication"]["symmetricKey"], "secondaryKey").len(),
        44
    );
    let key = "MDEyMzQ1Njc4OWFiY2RlZg==";
    let given = put(
        "given",
        json!({"type": "sas", "symmetricKey": {"primaryKey": key, "secondaryKey": key}}),
    )
    .expect(200)
    .json();
    assert_eq!(given["authentication"]["symmetricKey"]["primaryKey"], key);
    for (id, bad) in [
        (
            "bad-1",
            json!({"type": "sas", "symmetricKey": {"primaryKey": "c2hvcnQ=", "secondaryKey": "c2hvcnQ="}}),
        ),
        (
            "bad-2",
            json!({"type": "sas", "symmetricKey": {"primaryKey": "no base64 !!", "secondaryKey": key}}),
        ),
        (
            "bad-3",
            json!({"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": "AA:BB"}}),
        ),
        (
            "bad-4",
            json!({"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": "ABCD"}}),
        ),
        ("bad-5", json!({"type": "magic"})),
    ] {
        let _ = put(id, bad).expect(400);
        let _ = hub.get(&format!("/devices/{id}")).expect(404);
    }
}

#[test]
fn identities_are_listed_counted_and_written_in_bulk() {
    let stage = Stage::new();
    let hub = BackEnd::at_hub(&stage);
    let bulk = |items: Value| hub.send("POST", "/devices", &items, &[]);
    let entry = |id: &str, mode: &str| json!({"id": id, "importMode": mode});
    let made = bulk(json!([
        entry("a", "create"),
        entry("b", "create"),
        entry("c", "create")
    ]))
    .expect(200)
    .json();
    assert_eq!(made["isSuccessful"], true);
    assert_eq!(made["errors"], json!([]));
    let failed = bulk(json!([entry("a", "create"), entry("d", "create")]))
        .expect(400)
        .json();
    assert_eq!(failed["isSuccessful"], false);
    assert_eq!(failed["errors"][0]["deviceId"], "a");
    assert!(
        !failed["errors"][0]["errorCode"].is_null() && !failed["errors"][0]["errorStatus"].is_null(),
        "{failed}"
    );
    let _ = bulk(json!([{"id": "b", "importMode": "update", "status": "disabled"}])).expect(200);
    assert_eq!(hub.get("/devices/b").expect(200).json()["status"], "disabled");
    let twice = bulk(json!([entry("e", "create"), entry("e", "create")])).expect(400);
    assert_eq!(
        twice.header("iothub-errorcode"),
        Some("DeviceDefinedMultipleTimes")
    );
    let _ = hub.get("/devices/e").expect(404);
    for (mode, etag, number) in [
        ("update", "MA==", "404001"),
        ("updateIfMatchETag", "bm9uZQ==", "412001"),
        ("deleteIfMatchETag", "bm9uZQ==", "412001"),
    ] {
        let id = if mode == "update" { "nosuch" } else { "c" };
        let failed = bulk(json!([{"id": id, "importMode": mode, "eTag": etag}]))
            .expect(400)
            .json();
        let code = failed["errors"][0]["errorCode"].to_string();
        let named = match number {
            "404001" => "DeviceNotFound",
            _ => "PreconditionFailed",
        };
        assert!(code.contains(number) || code.contains(named), "{mode}: {failed}");
    }
    let _ = hub.get("/devices/c").expect(200);
    let listed = hub.get("/devices/?top=2").expect(200).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed}");
    let all = hub.get("/devices?top=5000").expect(200).json();
    let ids: Vec<&str> = all
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| text(one, "deviceId"))
        .collect();
    assert!(["a", "b", "c"].iter().all(|id| ids.contains(id)), "{ids:?}");
    let total = u64::try_from(ids.len()).expect("a count");
    let counted = hub.get("/statistics/devices").expect(200).json();
    assert_eq!(
        counted,
        json!({"totalDeviceCount": total, "enabledDeviceCount": total - 1, "disabledDeviceCount": 1})
    );
    let _ = bulk(json!([
        entry("a", "delete"),
        entry("b", "delete"),
        entry("c", "delete")
    ]))
    .expect(200);
    let _ = hub.get("/devices/a").expect(404);
    let many: Vec<Value> = (0..101)
        .map(|number| entry(&format!("many-{number}"), "create"))
        .collect();
    let _ = bulk(Value::Array(many)).expect(413);
    let _ = hub.get("/devices/many-0").expect(404);
}

#[test]
fn what_is_not_offered_is_refused_by_its_name() {
    let stage = Stage::new();
    let hub = BackEnd::at_hub(&stage);
    let _ = hub
        .send("PUT", "/devices/device-01", &device("device-01"), &[])
        .expect(200);
    for (verb, path) in [
        ("GET", "/twins/device-01"),
        ("GET", "/devices/device-01/modules"),
        ("POST", "/twins/device-01/methods"),
        ("POST", "/devices/query"),
        ("GET", "/jobs/v2/query"),
        ("GET", "/configurations"),
        ("DELETE", "/devices/device-01/commands"),
    ] {
        let answer = hub.call(verb, path).send();
        assert!(
            matches!(answer.status, 400 | 404 | 405 | 501),
            "{verb} {path}: {}",
            answer.status
        );
        assert!(
            text(&answer.json(), "Message").starts_with("ErrorCode:"),
            "{verb} {path}"
        );
    }
}
