//! Clients that nobody should have: slow, silent, deaf, at the limit, or sending noise. They are cut off, others are
//! served, and the server's memory stays bounded.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;

use super::bytes::{ACCEPTED, Hello, ack, packet, publish, publish1, suback, subscribe};
use super::wire::Wire;
use super::{GLANCE, Hall, LOOKS, bodies};

/// Kilobytes that a server may grow by under a client that misbehaves: buffers of both kernels are not among them.
const GROWTH: u64 = 64 * 1024;

/// Kilobytes of memory that the server holds.
fn memory(hall: &Hall) -> u64 {
    let path = format!("/proc/{}/status", hall.ground.server().pid());
    let text = fs::read_to_string(path).expect("the server's status");
    text.lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|number| number.trim().parse().ok())
        .expect("a number of kilobytes")
}

#[test]
pub(super) fn who_takes_too_long_to_connect_is_cut_off_and_others_are_served() {
    let hall = Hall::new();
    let mut bystander = hall.connected(&hall.device("bystander"));
    let device = hall.device("d");
    let hello = Hello::of(&device).bytes();
    let mut slow: Vec<Wire> = (0..20).map(|_| hall.wire()).collect();
    // Silent, silent within the header, and within the packet.
    for (place, wire) in slow.iter_mut().enumerate() {
        wire.send(&hello[..place.min(3)]);
    }
    let mut half = hall.wire();
    half.send(&hello[..hello.len() - 1]);
    slow.push(half);
    // One sends on and on, slowly enough that it would take minutes.
    let mut dripping = hall.wire();
    let mut rest = hello.iter();
    let mut dripped = true;
    for _ in 0..LOOKS {
        bystander.is_quiet();
        slow.retain_mut(|wire| !wire.has_ended(GLANCE));
        dripped = dripped
            && rest.next().is_some_and(|byte| dripping.offer([*byte]))
            && !dripping.has_ended(GLANCE * 10);
        if slow.is_empty() && !dripped {
            break;
        }
    }
    assert!(slow.is_empty() && !dripped, "{} are left", slow.len());
    assert!(rest.next().is_some(), "it was cut off before it was done");
    hall.unharmed();
}

#[test]
pub(super) fn a_client_that_never_reads_is_cut_off_and_costs_no_memory() {
    let hall = Hall::new();
    let device = hall.device("deaf");
    let mut bystander = hall.connected(&hall.device("bystander"));
    let mut deaf = hall.connected(&device);
    deaf.ask(subscribe(1, &[("$iothub/twin/res/#", 1)]), suback(1, &[0x1]));
    let before = memory(&hall);
    // Each question is answered at ten times its length.
    let questions = publish("$iothub/twin/GET/?$rid=1", "").repeat(400);
    let asking = thread::spawn(move || {
        let mut offered = 0_usize;
        while deaf.offer(&questions) {
            offered += questions.len();
        }
        offered
    });
    let mut most = before;
    for _ in 0..LOOKS * 4 {
        bystander.is_quiet();
        most = most.max(memory(&hall));
        if asking.is_finished() {
            break;
        }
        thread::sleep(GLANCE);
    }
    assert!(asking.is_finished(), "it is never cut off");
    asking.join().expect("a deaf client");
    assert!(most < before + GROWTH, "grown from {before} kB to {most} kB");
    // Its place is free.
    hall.connected(&device).is_quiet();
    hall.unharmed();
}

#[test]
pub(super) fn half_open_connections_at_the_limit_keep_nobody_out_for_long() {
    let hall = Hall::configured("[limits]\nconnections = 30\nhandshake_time = \"3s\"\n");
    let device = hall.device("d");
    let mut early = hall.connected(&device);
    let address = hall.ground.server().endpoint("mqtt");
    let mut open: Vec<TcpStream> = (0..29)
        .map(|_| TcpStream::connect(address).expect("a connection"))
        .collect();
    // One more is closed at once, in place of waiting.
    let mut turned_away = false;
    for _ in 0..LOOKS {
        let mut late = TcpStream::connect(address).expect("a connection");
        // Long before a handshake is given up.
        late.set_read_timeout(Some(GLANCE * 10))
            .expect("to bound reading");
        // Whether the words are still taken does not matter.
        let _ = late.write_all(&[0x16, 3, 1]);
        match late.read(&mut [0]) {
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                open.push(late);
            }
            _ => {
                turned_away = true;
                break;
            }
        }
    }
    assert!(turned_away);
    // Who is in is served.
    early.ask(publish1(&device.topic(""), 1, "x"), ack(0x40, 1));
    // The others are given up, and there is room again.
    for stream in &mut open {
        stream
            .set_read_timeout(Some(GLANCE * LOOKS))
            .expect("to bound reading");
        let end = stream.read(&mut [0; 64]);
        assert!(end.is_err() || end.is_ok_and(|count| count < 64));
    }
    let served = (0..LOOKS).any(|_| {
        thread::sleep(GLANCE);
        hall.ground.server().curl("/readyz").try_send().is_ok()
    });
    assert!(served);
    hall.connected(&hall.device("late")).is_quiet();
    hall.unharmed();
}

#[test]
pub(super) fn noise_in_every_state_ends_at_most_its_own_connection() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut bystander = hall.connected(&hall.device("bystander"));
    let mut noise = Noise(20_111);
    let hello = Hello::of(&device).bytes();
    for round in 0..150 {
        let bytes = noise.bytes();
        match round % 5 {
            // Before TLS.
            0 => {
                let address = hall.ground.server().endpoint("mqtt");
                let mut stream = TcpStream::connect(address).expect("a connection");
                // It may have ended it by now.
                let _ = stream.write_all(&bytes);
            }
            // Before CONNECT, within it, and behind its name.
            1 => says_and_ends(hall.wire(), &bytes),
            2 => {
                let cut = noise.below(hello.len());
                says_and_ends(hall.wire(), &[&hello[..cut], &bytes].concat());
            }
            // In a session, and within a packet.
            3 => says_and_ends(hall.connected(&device), &bytes),
            _ => {
                let whole = publish1("a/b", 1, "");
                let cut = noise.below(whole.len() - 1) + 1;
                says_and_ends(hall.connected(&device), &[&whole[..cut], &bytes].concat());
            }
        }
    }
    // Packets whose outer form is right and whose inside is noise.
    for kind in 0..16 {
        for _ in 0..6 {
            let bytes = noise.bytes();
            let flags = if matches!(kind, 6 | 8 | 10) { 2 } else { 0 };
            says_and_ends(hall.connected(&device), &packet(kind << 4 | flags, &bytes));
            says_and_ends(hall.wire(), &packet(kind << 4 | flags, &bytes));
        }
    }
    bystander.is_quiet();
    hall.connected(&device).is_quiet();
    assert_eq!(hall.events(), []);
    hall.unharmed();
}

/// Sends, says that nothing follows, and waits for the end.
fn says_and_ends(mut wire: Wire, bytes: &[u8]) {
    if wire.offer(bytes) {
        wire.half_close();
    }
    wire.rest();
}

/// Bytes that follow from a seed.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        // SplitMix64. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("a small number")
    }

    fn bytes(&mut self) -> Vec<u8> {
        let count = self.below(300) + 1;
        (0..count).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

#[test]
pub(super) fn ten_thousand_messages_in_a_burst_are_kept_and_acknowledged_in_order() {
    let hall = Hall::new();
    let device = hall.device("d");
    let mut wire = hall.connected(&device);
    let all: Vec<u8> = (1..=10_000)
        .flat_map(|id| publish1(&device.topic(""), id, id.to_string()))
        .collect();
    wire.send(all);
    for id in 1..=10_000 {
        wire.expect(ack(0x40, id));
    }
    wire.is_quiet();
    let wanted: Vec<String> = (1..=10_000).map(|id| id.to_string()).collect();
    assert_eq!(bodies(&hall.events()), wanted);
}

#[test]
pub(super) fn lengths_that_are_announced_and_never_come_cost_nothing() {
    let hall = Hall::new();
    // More than a packet may have ends the connection as soon as it is known.
    let device = hall.device("d");
    for announced in [
        &[0x30, 0xff, 0xff, 0xff, 0x7f][..],
        &[0x32, 0x80, 0x80, 0x20],
        &[0x82, 0xff, 0xff, 0xff, 0x7f],
        &[0xc0, 0xff, 0xff, 0xff, 0x7f],
    ] {
        hall.connected(&device).ended_by(announced);
    }
    for announced in [&[0x10, 0xff, 0xff, 0xff, 0x7f][..], &[0x10, 0x80, 0x80, 0x08]] {
        hall.wire().ended_by(announced);
    }
    // As much as it may have is waited for; no room is made before it comes.
    let before = memory(&hall);
    let open: Vec<Wire> = (0..300)
        .map(|_| {
            let mut wire = hall.wire();
            // 80,000 bytes of CONNECT.
            wire.send([0x10, 0x80, 0xf1, 0x04, 0, 4]);
            wire
        })
        .collect();
    let mut wire = hall.connected(&device);
    wire.send([0x32, 0x80, 0x80, 0x10, 0, 9]);
    let after = memory(&hall);
    // A connection has its TLS; 300 announced packets would be 24 MB more.
    assert!(after < before + 24_000, "grown from {before} kB to {after} kB");
    drop(open);
    hall.connected(&device).is_quiet();
    hall.unharmed();
}

#[test]
pub(super) fn a_packet_that_is_cut_off_leaves_nothing_behind() {
    let hall = Hall::new();
    let device = hall.device("d");
    let whole = publish1(&device.topic(""), 2, "x".repeat(50_000));
    for cut in [1, 2, 3, 4, 5, 10, 20_000, whole.len() - 1] {
        let mut wire = hall.connected(&device);
        wire.ask(publish1(&device.topic(""), 1, cut.to_string()), ack(0x40, 1));
        wire.send(&whole[..cut]);
        wire.vanish();
    }
    let mut wire = hall.wire();
    wire.ask(Hello::of(&device).bytes(), ACCEPTED);
    assert_eq!(bodies(&hall.events()).len(), 8);
    assert!(bodies(&hall.events()).iter().all(|body| body.len() < 10));
    hall.unharmed();
}
