//! Sessions: what is kept between connections, who holds a session, keep-alive, and the ends of connections.

use std::thread;

use super::bytes::{
    ACCEPTED, DISCONNECT, Hello, PINGREQ, PINGRESP, RESUMED, ack, publish, publish1, suback, subscribe,
    unsubscribe,
};
use super::wire::Wire;
use super::{Device, GLANCE, Hall, LOOKS, bodies};

const ANSWERS: &str = "$iothub/twin/res/#";

/// Whether the device is subscribed to answers: a question for the twin is answered then, and only then.
fn is_subscribed(wire: &mut Wire) -> bool {
    wire.send(publish1("$iothub/twin/GET/?$rid=probe", 900, ""));
    wire.expect(ack(0x40, 900));
    wire.send(PINGREQ);
    let next = wire.packet();
    if next == PINGRESP {
        return false;
    }
    assert!(
        next.windows(22)
            .any(|part| part.starts_with(b"$iothub/twin/res/")),
        "{next:02x?}"
    );
    wire.expect(PINGRESP);
    true
}

fn subscribed(wire: &mut Wire) {
    wire.ask(subscribe(1, &[(ANSWERS, 0)]), suback(1, &[0]));
}

/// Demands that a connection ends by itself, waiting as long as it takes.
fn ended_soon(wire: &mut Wire) {
    for _ in 0..LOOKS {
        if wire.has_ended(GLANCE) {
            return;
        }
    }
    panic!("the connection does not end");
}

#[test]
pub(super) fn a_kept_session_outlives_its_connection() {
    let mut hall = Hall::new();
    let device = hall.device("d");
    let (mut wire, present) = hall.resumed(&device);
    assert!(!present, "there was none before");
    subscribed(&mut wire);
    assert!(is_subscribed(&mut wire));
    wire.vanish();
    // It counts before anything was asked for, after any end of the connection, and after one of the server.
    let (mut wire, present) = hall.resumed(&device);
    assert!(present);
    assert!(is_subscribed(&mut wire));
    wire.ended_by(DISCONNECT);
    hall.ground.kill();
    hall.ground.start();
    let (mut wire, present) = hall.resumed(&device);
    assert!(present);
    assert!(is_subscribed(&mut wire));
    // What is unsubscribed stays so, and the session is still one.
    wire.ask(unsubscribe(2, &[ANSWERS]), ack(0xb0, 2));
    wire.vanish();
    let (mut wire, present) = hall.resumed(&device);
    assert!(present && !is_subscribed(&mut wire));
}

#[test]
pub(super) fn a_clean_session_forgets_the_one_before_and_leaves_none() {
    let hall = Hall::new();
    let device = hall.device("d");
    subscribed(&mut hall.resumed(&device).0);
    assert!(hall.resumed(&device).1);
    // `connected` demands that no session is present.
    let mut wire = hall.connected(&device);
    assert!(!is_subscribed(&mut wire));
    subscribed(&mut wire);
    assert!(is_subscribed(&mut wire), "it lasts as long as the connection");
    wire.vanish();
    assert!(!is_subscribed(&mut hall.connected(&device)));
    let (mut wire, present) = hall.resumed(&device);
    assert!(
        !present && !is_subscribed(&mut wire),
        "the clean one left nothing"
    );
}

#[test]
pub(super) fn sessions_belong_to_their_client_identifiers() {
    let hall = Hall::new();
    let (one, other) = (hall.device("one"), hall.device("other"));
    let (mut first, _) = hall.resumed(&one);
    subscribed(&mut first);
    let (mut second, present) = hall.resumed(&other);
    assert!(!present && !is_subscribed(&mut second));
    first.is_quiet();
    assert!(hall.resumed(&one).1);
}

#[test]
pub(super) fn a_device_made_anew_has_no_session_of_the_old_one() {
    let hall = Hall::new();
    let device = hall.device("d");
    let (mut wire, _) = hall.resumed(&device);
    subscribed(&mut wire);
    let delete = [
        "iot",
        "hub",
        "device-identity",
        "delete",
        "--hub-name",
        "muster-hub",
    ];
    hall.ground.ok(&[&delete[..], &["--device-id", "d"]].concat());
    wire.ends();
    let (mut wire, present) = hall.resumed(&hall.device("d"));
    assert!(!present && !is_subscribed(&mut wire));
}

#[test]
pub(super) fn a_second_connection_of_a_device_ends_the_first() {
    let hall = Hall::new();
    let device = hall.device("d");
    let other = hall.device("other");
    let mut bystander = hall.connected(&other);
    let mut old = hall.connected(&device);
    for _ in 0..10 {
        let mut new = hall.connected(&device);
        old.ends();
        new.is_quiet();
        old = new;
    }
    bystander.is_quiet();
    // Who is refused takes nobody's place.
    let hello = Hello::of(&device).but(|hello| hello.password = None);
    hall.answer(hello.bytes());
    old.is_quiet();
}

#[test]
pub(super) fn a_session_is_handed_over_from_one_connection_to_the_next() {
    let hall = Hall::new();
    let device = hall.device("d");
    let (mut old, _) = hall.resumed(&device);
    subscribed(&mut old);
    let (mut new, present) = hall.resumed(&device);
    old.ends();
    assert!(present && is_subscribed(&mut new));
    // Many at once: exactly one is left.
    let mut all: Vec<Wire> = (0..8).map(|_| hall.wire()).collect();
    for wire in &mut all {
        wire.send(Hello::of(&device).kept().bytes());
    }
    new.ends();
    let mut alive = all;
    for _ in 0..LOOKS {
        alive.retain_mut(|wire| !wire.has_ended(GLANCE));
        if alive.len() <= 1 {
            break;
        }
    }
    assert_eq!(alive.len(), 1);
    alive[0].expect(RESUMED);
    alive[0].is_quiet();
}

#[test]
pub(super) fn a_client_silent_for_one_and_a_half_keep_alives_is_cut_off() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.wire();
    let hello = Hello::of(&device).but(|hello| hello.keep_alive = 6);
    wire.ask(hello.bytes(), ACCEPTED);
    // Anything that it sends counts, not pings alone. Longer than the limit altogether, much shorter each time.
    for id in 1..=8 {
        assert!(!wire.has_ended(GLANCE * 60), "after {id}");
        match id % 3 {
            0 => wire.ask(PINGREQ, PINGRESP),
            1 => wire.ask(publish1(&device.topic(""), id, "x"), ack(0x40, id)),
            _ => wire.ask(subscribe(id, &[(ANSWERS, 0)]), suback(id, &[0])),
        }
    }
    // After the keep-alive itself, and well before half of it more.
    assert!(!wire.has_ended(GLANCE * 325), "cut off too early");
    ended_soon(&mut wire);
}

#[test]
pub(super) fn half_a_packet_does_not_keep_a_connection_alive() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.wire();
    let hello = Hello::of(&device).but(|hello| hello.keep_alive = 1);
    wire.ask(hello.bytes(), ACCEPTED);
    // One byte of a packet at a time, each well within the keep-alive.
    let mut looks = 0;
    for byte in publish(&device.topic(""), "x".repeat(5_000)) {
        looks += 1;
        if !wire.offer([byte]) || wire.has_ended(GLANCE * 5) {
            break;
        }
    }
    assert!(looks < 200, "kept alive by {looks} bytes");
}

#[test]
pub(super) fn half_a_record_delays_neither_the_keep_alive_nor_a_newer_connection() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.wire();
    let hello = Hello::of(&device).but(|hello| hello.keep_alive = 1);
    wire.ask(hello.bytes(), ACCEPTED);
    wire.send_half_a_record(PINGREQ);
    ended_soon(&mut wire);
    let mut old = hall.connected(&device);
    old.send_half_a_record(publish(&device.topic(""), "x"));
    hall.connected(&device).is_quiet();
    ended_soon(&mut old);
    assert_eq!(hall.events(), []);
}

#[test]
pub(super) fn a_keep_alive_of_0_demands_nothing() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.wire();
    let hello = Hello::of(&device).but(|hello| hello.keep_alive = 0);
    wire.ask(hello.bytes(), ACCEPTED);
    assert!(!wire.has_ended(GLANCE * 100));
    wire.is_quiet();
}

#[test]
pub(super) fn each_ping_is_answered() {
    let hall = Hall::new();
    let mut wire = hall.connected(&hall.device("d"));
    for count in 1..=100 {
        wire.send(PINGREQ.repeat(count));
        wire.expect(PINGRESP.repeat(count));
    }
}

#[test]
pub(super) fn a_disconnect_ends_the_connection_and_what_follows_is_not_looked_at() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    wire.ended_by([DISCONNECT, &publish1(&device.topic(""), 1, "too late"), PINGREQ].concat());
    hall.connected(&device).is_quiet();
    assert_eq!(hall.events(), []);
}

#[test]
pub(super) fn what_was_sent_before_a_goodbye_is_kept() {
    let hall = Hall::new();
    let device = hall.device("d");
    for round in 0..20 {
        let mut wire = hall.connected(&device);
        let all: Vec<u8> = (0..10)
            .flat_map(|id| publish(&device.topic(""), (round * 10 + id).to_string()))
            .collect();
        wire.ended_by([&all[..], DISCONNECT].concat());
    }
    let wanted: Vec<String> = (0..200).map(|id| id.to_string()).collect();
    assert_eq!(bodies(&hall.events_when(200)), wanted);
}

#[test]
pub(super) fn a_client_that_ends_its_direction_is_gone() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    wire.half_close();
    ended_soon(&mut wire);
    let mut wire = hall.wire();
    wire.half_close();
    ended_soon(&mut wire);
    hall.unharmed();
}

#[test]
pub(super) fn a_device_that_is_withdrawn_is_cut_off() {
    let hall = Hall::new();
    let of = |id: &str, change: &[&str]| {
        let device = hall.device(id);
        let wire = hall.connected(&device);
        let update = [
            "iot",
            "hub",
            "device-identity",
            "update",
            "--hub-name",
            "muster-hub",
        ];
        hall.ground
            .json(&[&update[..], &["--device-id", id], change].concat());
        (wire, device)
    };
    let (mut wire, device) = of("disabled", &["--status", "disabled"]);
    wire.ends();
    assert_eq!(hall.answer(Hello::of(&device).bytes()), super::bytes::refused(5));
    let key = "YW5vdGhlciBrZXkgb2YgdGhlIHNhbWUgZGV2aWNlISE=";
    let keys = ["--primary-key", key, "--secondary-key", key];
    let (mut wire, device) = of("another-key", &keys);
    wire.ends();
    assert_eq!(hall.answer(Hello::of(&device).bytes()), super::bytes::refused(5));
    // What does not concern the proof cuts nobody off.
    let (mut wire, _) = of("a-word", &["--status-reason", "painted green"]);
    wire.is_quiet();
}

#[test]
pub(super) fn a_server_that_stops_has_acknowledged_what_it_kept() {
    let mut hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    let sender = device.clone();
    // As fast as it goes, until the server says goodbye.
    let sending = thread::spawn(move || {
        let mut acknowledged = Vec::new();
        for round in 0..u16::MAX / 100 {
            let first = round * 100 + 1;
            let batch: Vec<u8> = (first..first + 100)
                .flat_map(|id| publish1(&sender.topic(""), id, id.to_string()))
                .collect();
            if !wire.offer(batch) {
                break;
            }
            for id in first..first + 100 {
                match wire.next() {
                    Some(packet) => assert_eq!(packet, ack(0x40, id)),
                    None => return acknowledged,
                }
                acknowledged.push(id.to_string());
            }
        }
        acknowledged
    });
    hall.events_at_least(300);
    hall.ground.stop();
    let acknowledged = sending.join().expect("a sender");
    hall.ground.start();
    let kept = bodies(&hall.events());
    assert!(
        kept.starts_with(&acknowledged),
        "{} of {}",
        kept.len(),
        acknowledged.len()
    );
}

#[test]
pub(super) fn a_device_connects_again_as_often_as_it_likes() {
    let hall = Hall::new();
    let device: Device = hall.device("d");
    for id in 1..=30 {
        let mut wire = hall.connected(&device);
        wire.ask(publish1(&device.topic(""), id, id.to_string()), ack(0x40, id));
        if id % 2 == 0 {
            wire.ended_by(DISCONNECT);
        } else {
            wire.vanish();
        }
    }
    assert_eq!(hall.events().len(), 30);
}
