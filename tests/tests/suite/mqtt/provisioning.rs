//! Registration over MQTT, as the vendor's provisioning clients do it: section 10 of its device API.

use std::path::PathBuf;

use muster_tests::{Credential, derived_key, sas_token};
use serde_json::{Value, json};

use super::bytes::{
    ACCEPTED, DISCONNECT, Hello, PINGREQ, PINGRESP, Will, ack, publish, publish_with, publish1, refused,
    suback, subscribe, unsubscribe,
};
use super::wire::Wire;
use super::{GLANCE, HOUR, Hall};
use crate::ground::text;

const RESPONSES: &str = "$dps/registrations/res/#";

/// A device that may register, and how it proves itself.
struct Newcomer {
    scope: String,
    id: String,
    token: Option<String>,
    certificate: Option<(PathBuf, PathBuf)>,
}

/// An answer to a request.
#[derive(Debug)]
struct Answer {
    first: u8,
    id: Option<u16>,
    topic: String,
    body: Value,
    raw: Vec<u8>,
}

impl Newcomer {
    /// Enrolled by a key of its own.
    fn by_key(hall: &Hall, id: &str) -> Self {
        enroll(hall, id, &["--attestation-type", "symmetrickey"]);
        let show = ["iot", "dps", "enrollment", "show", "--dps-name", "muster-dps"];
        let shown = hall
            .ground
            .json(&[&show[..], &["--enrollment-id", id, "--show-keys"]].concat());
        let key = text(&shown["attestation"]["symmetricKey"]["primaryKey"]);
        Self::with_key(hall, id, &key)
    }

    fn with_key(hall: &Hall, id: &str, key: &str) -> Self {
        let scope = hall.ground.id_scope();
        let audience = format!("{scope}/registrations/{id}");
        Self {
            token: Some(sas_token(&audience, key, Some("registration"), HOUR)),
            certificate: None,
            id: id.to_owned(),
            scope,
        }
    }

    /// With a certificate that nobody knows yet.
    fn by_certificate(hall: &Hall, id: &str) -> Self {
        let made = Credential::self_signed(hall.ground.folder(), id);
        Self {
            scope: hall.ground.id_scope(),
            id: id.to_owned(),
            token: None,
            certificate: Some((made.certificate, made.key)),
        }
    }

    fn enroll(&self, hall: &Hall) {
        let (certificate, _) = self.certificate.as_ref().expect("a certificate");
        let path = certificate.display().to_string();
        enroll(
            hall,
            &self.id,
            &["--attestation-type", "x509", "--certificate-path", &path],
        );
    }

    fn hello(&self) -> Hello {
        let user = format!(
            "{}/registrations/{}/api-version=2019-03-31&ClientVersion=azure%2Fx",
            self.scope, self.id
        );
        Hello::new(&self.id, &user, self.token.as_deref())
    }

    fn wire(&self, hall: &Hall) -> Wire {
        match &self.certificate {
            Some(pair) => hall.wire_with(pair),
            None => hall.wire(),
        }
    }

    fn connected(&self, hall: &Hall) -> Wire {
        let mut wire = self.wire(hall);
        wire.ask(self.hello().bytes(), ACCEPTED);
        wire
    }

    fn listening(&self, hall: &Hall) -> Wire {
        let mut wire = self.connected(hall);
        wire.ask(subscribe(1, &[(RESPONSES, 1)]), suback(1, &[1]));
        wire
    }

    fn body(&self) -> String {
        json!({"registrationId": self.id}).to_string()
    }

    fn answered(&self, hall: &Hall) -> Vec<u8> {
        let mut wire = self.wire(hall);
        wire.send(self.hello().bytes());
        wire.rest()
    }
}

fn enroll(hall: &Hall, id: &str, how: &[&str]) {
    let create = ["iot", "dps", "enrollment", "create", "--dps-name", "muster-dps"];
    hall.ground
        .json(&[&create[..], &["--enrollment-id", id], how].concat());
}

fn register(rid: &str) -> String {
    format!("$dps/registrations/PUT/iotdps-register/?$rid={rid}")
}

fn status(rid: &str, operation: &str) -> String {
    format!("$dps/registrations/GET/iotdps-get-operationstatus/?$rid={rid}&operationId={operation}")
}

/// Reads the next packet as an answer.
fn answer(wire: &mut Wire) -> Answer {
    let packet = wire.packet();
    assert_eq!(packet[0] & 0xf0, 0x30, "{packet:02x?}");
    let start = 2 + packet
        .iter()
        .skip(1)
        .position(|byte| *byte < 128)
        .expect("a length");
    let (size, rest) = packet[start..].split_at(2);
    let (topic, rest) = rest.split_at(usize::from(u16::from_be_bytes([size[0], size[1]])));
    let (id, raw) = if packet[0] & 0b110 == 0 {
        (None, rest)
    } else {
        (Some(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..])
    };
    Answer {
        first: packet[0],
        id,
        topic: String::from_utf8(topic.to_vec()).expect("UTF-8"),
        body: serde_json::from_slice(raw).unwrap_or_default(),
        raw: raw.to_vec(),
    }
}

/// Polls until the device is assigned.
fn assigned(wire: &mut Wire, operation: &str) -> Value {
    for round in 0..super::LOOKS {
        let rid = format!("poll-{round}");
        wire.ask(publish1(&status(&rid, operation), 2, " "), ack(0x40, 2));
        let answer = answer(wire);
        if answer.topic == format!("$dps/registrations/res/200/?$rid={rid}") {
            return answer.body;
        }
        assert_eq!(
            answer.topic,
            format!("$dps/registrations/res/202/?$rid={rid}&retry-after=3")
        );
        std::thread::sleep(GLANCE);
    }
    panic!("{operation} is never done");
}

/// Walks from CONNECT to the assigned device.
fn registered(hall: &Hall, newcomer: &Newcomer) -> Value {
    let mut wire = newcomer.listening(hall);
    wire.send(publish1(&register("1"), 2, newcomer.body()));
    // The acknowledgement first: one client waits for it before it looks at an answer.
    wire.expect(ack(0x40, 2));
    let first = answer(&mut wire);
    assert_eq!(first.first, 0x32, "at QoS 1, for the first time, not retained");
    assert!(first.id.is_some_and(|id| id != 0));
    assert_eq!(first.topic, "$dps/registrations/res/202/?$rid=1&retry-after=3");
    assert_eq!(first.body["status"], "assigning");
    wire.send(ack(0x40, first.id.unwrap_or_default()));
    let operation = text(&first.body["operationId"]);
    let done = assigned(&mut wire, &operation);
    assert_eq!(done["operationId"], operation.as_str());
    assert_eq!(done["status"], "assigned");
    wire.ask(unsubscribe(3, &[RESPONSES]), ack(0xb0, 3));
    wire.ended_by(DISCONNECT);
    done["registrationState"].clone()
}

#[test]
pub(super) fn a_device_with_a_key_registers_and_sends() {
    let hall = Hall::new();
    let newcomer = Newcomer::by_key(&hall, "device-01");
    let state = registered(&hall, &newcomer);
    assert_eq!(state["registrationId"], "device-01");
    assert_eq!(state["deviceId"], "device-01");
    assert_eq!(state["assignedHub"], crate::ground::HUB);
    // Its own key opens the hub.
    let show = ["iot", "dps", "enrollment", "show", "--dps-name", "muster-dps"];
    let shown = hall
        .ground
        .json(&[&show[..], &["--enrollment-id", "device-01", "--show-keys"]].concat());
    let key = text(&shown["attestation"]["symmetricKey"]["primaryKey"]);
    let audience = format!("{}/devices/device-01", crate::ground::HUB);
    let device = super::Device {
        id: "device-01".into(),
        token: sas_token(&audience, &key, None, HOUR),
    };
    let mut wire = hall.connected(&device);
    wire.ask(publish1(&device.topic(""), 1, "x"), ack(0x40, 1));
    assert_eq!(hall.events().len(), 1);
}

#[test]
pub(super) fn a_device_with_a_certificate_registers_and_sends() {
    let hall = Hall::new();
    let newcomer = Newcomer::by_certificate(&hall, "device-01");
    newcomer.enroll(&hall);
    let state = registered(&hall, &newcomer);
    assert_eq!(state["deviceId"], "device-01");
    assert_eq!(state["x509"], json!({}));
    // The same certificate opens the hub; an empty password is none.
    let user = format!("{}/device-01/?api-version=2021-04-12", crate::ground::HUB);
    for password in [None, Some("")] {
        let mut wire = newcomer.wire(&hall);
        wire.ask(Hello::new("device-01", &user, password).bytes(), ACCEPTED);
        wire.ask(
            publish1("devices/device-01/messages/events/", 1, "x"),
            ack(0x40, 1),
        );
    }
    assert_eq!(hall.events().len(), 2);
}

#[test]
pub(super) fn a_device_of_a_group_registers_by_its_derived_key() {
    let hall = Hall::new();
    let create = [
        "iot",
        "dps",
        "enrollment-group",
        "create",
        "--enrollment-id",
        "group",
    ];
    let group = hall.ground.json(&create);
    let key = text(&group["attestation"]["symmetricKey"]["primaryKey"]);
    let newcomer = Newcomer::with_key(&hall, "device-07", &derived_key(&key, "device-07"));
    assert_eq!(registered(&hall, &newcomer)["deviceId"], "device-07");
}

#[test]
pub(super) fn requests_have_the_forms_that_each_client_sends() {
    let hall = Hall::new();
    let newcomer = Newcomer::by_key(&hall, "device-01");
    let mut wire = newcomer.listening(&hall);
    // At QoS 0; without a body; with an id of any text, echoed byte for byte.
    for rid in ["1", "0f8fad5b-d9cb-469f-a165-70867728950e", "Any:Text.~é%20"] {
        for body in ["", " ", &newcomer.body()] {
            if body == " " {
                continue;
            }
            wire.send(publish(&register(rid), body));
            let answer = answer(&mut wire);
            assert_eq!(
                answer.topic,
                format!("$dps/registrations/res/202/?$rid={rid}&retry-after=3")
            );
        }
    }
    wire.send(publish(&register("x"), newcomer.body()));
    let operation = text(&answer(&mut wire).body["operationId"]);
    // A blank, nothing, or the whole registration come with a question.
    for body in ["", " ", &newcomer.body()] {
        wire.send(publish(&status("y", &operation), body));
        let answer = answer(&mut wire);
        assert!(
            answer.topic.starts_with("$dps/registrations/res/20") && answer.topic.contains("/?$rid=y"),
            "{answer:?}"
        );
    }
    // Many at once are answered in their order.
    let all: Vec<u8> = (10..60)
        .flat_map(|id| publish1(&status(&id.to_string(), &operation), id, ""))
        .collect();
    wire.send(all);
    for id in 10..60 {
        wire.expect(ack(0x40, id));
        let answer = answer(&mut wire);
        assert!(answer.topic.contains(&format!("/?$rid={id}")), "{answer:?}");
    }
}

#[test]
pub(super) fn answers_have_identifiers_that_differ_and_the_qos_that_was_granted() {
    let hall = Hall::new();
    let newcomer = Newcomer::by_key(&hall, "device-01");
    let mut wire = newcomer.listening(&hall);
    let mut ids = std::collections::BTreeSet::new();
    // None is acknowledged, so each needs another.
    for _ in 0..100 {
        wire.send(publish(&register("1"), ""));
        let answer = answer(&mut wire);
        assert_eq!(answer.first, 0x32);
        ids.insert(answer.id.expect("an identifier"));
    }
    assert!(ids.len() == 100 && !ids.contains(&0));
    for (id, qos, granted, first) in [(2, 2, 1, 0x32), (3, 0, 0, 0x30)] {
        wire.ask(subscribe(id, &[(RESPONSES, qos)]), suback(id, &[granted]));
        wire.send(publish(&register("1"), ""));
        assert_eq!(answer(&mut wire).first, first);
    }
}

#[test]
pub(super) fn who_is_not_subscribed_hears_nothing() {
    let hall = Hall::new();
    let newcomer = Newcomer::by_key(&hall, "device-01");
    let mut wire = newcomer.connected(&hall);
    wire.ask(publish1(&register("1"), 1, newcomer.body()), ack(0x40, 1));
    wire.is_quiet();
    for filter in [
        "#",
        "$dps/#",
        "$dps/registrations/res/200/#",
        "$iothub/twin/res/#",
        "a",
    ] {
        wire.ask(subscribe(2, &[(filter, 1)]), suback(2, &[0x80]));
    }
    wire.ask(publish1(&register("2"), 1, ""), ack(0x40, 1));
    wire.is_quiet();
    let mixed = [("a", 1), (RESPONSES, 1), ("#", 0)];
    wire.ask(subscribe(3, &mixed), suback(3, &[0x80, 1, 0x80]));
    wire.send(publish(&register("3"), ""));
    assert!(answer(&mut wire).topic.contains("$rid=3"));
    wire.ask(unsubscribe(4, &["a", RESPONSES]), ack(0xb0, 4));
    wire.ask(publish1(&register("4"), 1, ""), ack(0x40, 1));
    wire.is_quiet();
}

#[test]
pub(super) fn every_session_is_a_clean_one() {
    let hall = Hall::new();
    let newcomer = Newcomer::by_key(&hall, "device-01");
    for _ in 0..2 {
        let mut wire = newcomer.wire(&hall);
        // One client asks for a kept session, another fails when it is told that there is one.
        wire.ask(newcomer.hello().kept().bytes(), ACCEPTED);
        wire.ask(publish1(&register("1"), 1, ""), ack(0x40, 1));
        wire.is_quiet();
        wire.ask(subscribe(1, &[(RESPONSES, 1)]), suback(1, &[1]));
    }
    // A will is passed over.
    let mut wire = newcomer.wire(&hall);
    let hello = newcomer.hello().but(|hello| {
        hello.will = Some(Will {
            topic: b"devices/device-01/messages/events/".to_vec(),
            payload: b"w".to_vec(),
            qos: 1,
            retain: false,
        });
    });
    wire.ask(hello.bytes(), ACCEPTED);
    wire.vanish();
    newcomer.connected(&hall).is_quiet();
    assert_eq!(hall.events(), []);
}

#[test]
pub(super) fn who_proves_nothing_is_refused() {
    let hall = Hall::new();
    let newcomer = Newcomer::by_key(&hall, "device-01");
    let stranger = Newcomer::with_key(
        &hall,
        "device-02",
        "bm90IGEga2V5IG9mIGFueWJvZHkgaW4gdGhpcyBzZXJ2ZXI=",
    );
    assert_eq!(stranger.answered(&hall), refused(5), "not enrolled");
    let forged = Newcomer {
        id: "device-01".into(),
        ..stranger
    };
    assert_eq!(forged.answered(&hall), refused(5), "another's token");
    let nobody = Newcomer {
        token: None,
        ..forged
    };
    assert_eq!(nobody.answered(&hall), refused(5), "no credential");
    let elsewhere = Newcomer {
        scope: "0ne00FFFFFF".into(),
        ..newcomer
    };
    assert_eq!(elsewhere.answered(&hall), refused(5), "no such scope");
    let good = Newcomer::by_key(&hall, "device-03");
    let hello = good.hello().but(|hello| hello.client = b"device-04".to_vec());
    assert_eq!(
        hall.answer(hello.bytes()),
        refused(5),
        "another client identifier"
    );
    for user in ["registrations/device-03", "0ne00FFFFFF/registrations/device-03"] {
        let hello = good.hello().but(|hello| hello.user = Some(user.into()));
        let answer = hall.answer(hello.bytes());
        assert!(
            answer == refused(4) || answer == refused(5),
            "{user}: {answer:02x?}"
        );
    }
    good.connected(&hall).is_quiet();
}

#[test]
pub(super) fn a_certificate_that_is_refused_is_told_so_in_an_answer() {
    let hall = Hall::new();
    let newcomer = Newcomer::by_certificate(&hall, "device-01");
    let mut wire = newcomer.listening(&hall);
    wire.ask(publish1(&register("7"), 2, newcomer.body()), ack(0x40, 2));
    let first = answer(&mut wire);
    assert_eq!(first.topic, "$dps/registrations/res/401/?$rid=7");
    assert!(first.raw.is_ascii());
    assert_eq!(first.body["errorCode"], 401_002);
    for field in ["trackingId", "message", "timestampUtc"] {
        assert!(first.body[field].is_string(), "{field} in {first:?}");
    }
    // By its tracking id the operator finds out why.
    let tracking = text(&first.body["trackingId"]);
    let explained = hall.ground.ok(&["explain", &tracking]);
    assert!(explained.contains("device-01"), "{explained}");
    // The connection lives, and once the device is enrolled the same request succeeds.
    newcomer.enroll(&hall);
    wire.ask(publish1(&register("8"), 3, newcomer.body()), ack(0x40, 3));
    let second = answer(&mut wire);
    assert_eq!(second.topic, "$dps/registrations/res/202/?$rid=8&retry-after=3");
    assigned(&mut wire, &text(&second.body["operationId"]));
}

#[test]
pub(super) fn requests_that_ask_for_nothing_good_are_told_so() {
    let hall = Hall::new();
    let newcomer = Newcomer::by_key(&hall, "device-01");
    let mut wire = newcomer.listening(&hall);
    for (body, code) in [
        ("{", 400),
        ("[]", 400),
        ("{\"registrationId\": \"another\"}", 400),
        ("{\"registrationId\": 7}", 400),
        ("\u{feff}", 400),
    ] {
        wire.ask(publish1(&register("1"), 1, body), ack(0x40, 1));
        let answer = answer(&mut wire);
        assert_eq!(
            answer.topic,
            format!("$dps/registrations/res/{code}/?$rid=1"),
            "{body}"
        );
        assert_eq!(
            answer.body["errorCode"].as_u64().map(|all| all / 1_000),
            Some(code)
        );
    }
    for operation in ["", "x", "5.0123456789abcdef.00000000-0000-4000-8000-000000000000"] {
        wire.ask(publish1(&status("2", operation), 1, ""), ack(0x40, 1));
        let answer = answer(&mut wire);
        assert!(
            answer.topic.starts_with("$dps/registrations/res/4") && answer.topic.ends_with("/?$rid=2"),
            "{operation}: {answer:?}"
        );
    }
    wire.send(publish(&register("3"), newcomer.body()));
    assert!(answer(&mut wire).topic.contains("res/202/"));
}

#[test]
pub(super) fn other_topics_and_packets_end_the_connection() {
    let hall = Hall::new();
    let newcomer = Newcomer::by_key(&hall, "device-01");
    for bad in [
        publish1("devices/device-01/messages/events/", 1, "x"),
        publish1("$iothub/twin/GET/?$rid=1", 1, ""),
        publish1("$dps/registrations/PUT/iotdps-register/", 1, ""),
        publish1("$dps/registrations/PUT/iotdps-register/?$rid=", 1, ""),
        publish1("$dps/registrations/POST/iotdps-register/?$rid=1", 1, ""),
        publish1("$dps/registrations/res/200/?$rid=1", 1, ""),
        publish1("a/b", 1, ""),
        publish_with(0x34, register("1"), 1, "{}"),
        publish1(&register("1"), 1, "x".repeat(200_000)),
        subscribe(1, &[("a#", 1)]),
        newcomer.hello().bytes(),
        ack(0x50, 1),
        ack(0x62, 1),
        ACCEPTED.to_vec(),
        vec![0xf0, 0],
    ] {
        newcomer.connected(&hall).ended_by(bad);
    }
    hall.unharmed();
    assert_eq!(hall.events(), []);
}

#[test]
pub(super) fn a_second_connection_of_a_registration_ends_the_first() {
    let hall = Hall::new();
    let newcomer = Newcomer::by_key(&hall, "device-01");
    let other = Newcomer::by_key(&hall, "device-02");
    let mut bystander = other.connected(&hall);
    let mut old = newcomer.connected(&hall);
    for _ in 0..5 {
        let mut new = newcomer.connected(&hall);
        old.ends();
        new.is_quiet();
        old = new;
    }
    bystander.is_quiet();
    // A device of the hub that has the same name is another client.
    let mut device = hall.connected(&hall.device("device-01"));
    old.is_quiet();
    device.is_quiet();
}

#[test]
pub(super) fn a_silent_registration_is_cut_off_and_half_a_packet_does_not_help() {
    let hall = Hall::new();
    let newcomer = Newcomer::by_key(&hall, "device-01");
    let hello = newcomer.hello().but(|hello| hello.keep_alive = 1);
    let mut wire = newcomer.wire(&hall);
    wire.ask(hello.bytes(), ACCEPTED);
    for _ in 0..4 {
        assert!(!wire.has_ended(GLANCE * 20));
        wire.ask(PINGREQ, PINGRESP);
    }
    wire.ends();
    let mut wire = newcomer.wire(&hall);
    wire.ask(hello.bytes(), ACCEPTED);
    let mut looks = 0;
    for byte in publish(&register("1"), "x".repeat(5_000)) {
        looks += 1;
        if !wire.offer([byte]) || wire.has_ended(GLANCE * 5) {
            break;
        }
    }
    assert!(looks < 200, "kept alive by {looks} bytes");
}
