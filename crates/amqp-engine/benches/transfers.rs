//! How many small deliveries one core takes in and settles, and how many it sends and hears settled, against copying
//! the same octets.
//!
//! Each row is measured beside its primitive, a copy of the octets of the same frames to a buffer, in turns; the best
//! of three turns counts, so that a busy machine disturbs the ratio little. `per chunk` is how many transfers arrive in
//! one read. The last rows are what a connection at rest holds, by the process's resident memory. Takes about twenty
//! seconds.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::unwrap_used, reason = "a bench ends at the first failure")]
#![expect(clippy::disallowed_methods, reason = "a bench measures time")]
#![expect(clippy::cast_precision_loss, reason = "rates are shown with three digits")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use muster_amqp_engine::message::Message;
use muster_amqp_engine::{
    Config, DeliveryId, DeliveryState, Engine, Event, LinkAnswer, LinkId, LinkRequest, Outgoing,
};

const SPAN: Duration = Duration::from_millis(700);
const ROUNDS: usize = 3;
const BODY: usize = 256;
/// Credit and window: enough for the largest chunk.
const CREDIT: u32 = 4_000;
const IDLE: usize = 20_000;

fn main() {
    println!("deliveries of {BODY} octets, best of {ROUNDS} turns");
    println!(
        "{:>10} {:>18} {:>14} {:>14} {:>8}",
        "per chunk", "row", "deliveries /s", "copies /s", "ratio"
    );
    for chunk in [1, 8, 64, 512] {
        for (row, run) in [
            ("take and settle", take_and_settle as fn(usize) -> f64),
            ("… and decode", take_decode_and_settle),
            ("send and hear", send_and_hear),
        ] {
            let (mut rate, mut primitive) = (0.0_f64, 0.0_f64);
            for _ in 0..ROUNDS {
                primitive = primitive.max(copy(chunk));
                rate = rate.max(run(chunk));
            }
            let ratio = rate / primitive;
            println!("{chunk:>10} {row:>18} {rate:>14.0} {primitive:>14.0} {ratio:>8.3}");
        }
    }
    idle();
}

/// A server and a client with one link that the client sends on.
struct Pair {
    server: Engine,
    client: Engine,
    link: LinkId,
    buffer: Vec<u8>,
}

impl Pair {
    fn new(config: &Arc<Config>) -> Self {
        let mut pair = Self {
            server: Engine::server(Arc::clone(config), 0),
            client: Engine::client(Arc::clone(config), 0),
            link: placeholder(config),
            buffer: Vec::new(),
        };
        pair.exchange();
        let session = pair.client.begin().unwrap();
        pair.link = pair
            .client
            .attach(
                session,
                LinkRequest::sender("up", "/devices/dev1/messages/events"),
            )
            .unwrap();
        let down = LinkRequest::receiver("down", "/devices/dev1/messages/devicebound");
        pair.client.attach(session, down).unwrap();
        pair.exchange();
        pair
    }

    fn exchange(&mut self) {
        while self.client.pending_output() + self.server.pending_output() > 0 {
            carry(&mut self.client, &mut self.server, &mut self.buffer);
            while let Some(event) = self.server.next_event() {
                if let Event::AttachRequested { link, attach, .. } = event {
                    let answer = LinkAnswer {
                        credit: CREDIT,
                        ..LinkAnswer::echo(&attach)
                    };
                    self.server.accept(link, answer).unwrap();
                }
            }
            carry(&mut self.server, &mut self.client, &mut self.buffer);
            while self.client.next_event().is_some() {}
        }
    }
}

/// Any link's name, until there is one.
fn placeholder(config: &Arc<Config>) -> LinkId {
    let mut server = Engine::server(Arc::clone(config), 0);
    let mut client = Engine::client(Arc::clone(config), 0);
    let mut buffer = Vec::new();
    carry(&mut client, &mut server, &mut buffer);
    carry(&mut server, &mut client, &mut buffer);
    let session = client.begin().unwrap();
    client.attach(session, LinkRequest::sender("x", "x")).unwrap()
}

fn config() -> Arc<Config> {
    Arc::new(Config {
        incoming_window: CREDIT,
        ..Config::default()
    })
}

fn carry(from: &mut Engine, to: &mut Engine, buffer: &mut Vec<u8>) {
    buffer.clear();
    for slice in from.transmit() {
        buffer.extend_from_slice(slice);
    }
    from.transmitted(buffer.len());
    to.receive(buffer, 0);
}

fn payload() -> Bytes {
    let mut message = Message::data(vec![0x5a; BODY]);
    let properties = ["temperatureAlert", "level"].map(|name| (name.to_owned(), "true".into()));
    message.application_properties = Some(properties.into());
    message.to_bytes()
}

fn delivery(payload: &Bytes, number: usize) -> Outgoing {
    Outgoing {
        tag: u32::try_from(number).unwrap().into(),
        message_format: 0,
        settled: false,
        payload: payload.clone(),
    }
}

fn take_and_settle(chunk: usize) -> f64 {
    server_side(chunk, |payload| drop(black_box(payload)))
}

fn take_decode_and_settle(chunk: usize) -> f64 {
    server_side(chunk, |payload| {
        black_box(Message::decode(&payload).unwrap());
    })
}

/// Measures the server alone: events taken, settled in one range a chunk, credit renewed.
fn server_side(chunk: usize, mut each: impl FnMut(Bytes)) -> f64 {
    let mut pair = Pair::new(&config());
    let payload = payload();
    let (mut spent, mut count) = (Duration::ZERO, 0_u64);
    let mut input = Vec::new();
    while spent < SPAN {
        for number in 0..chunk {
            pair.client.send(pair.link, delivery(&payload, number)).unwrap();
        }
        input.clear();
        for slice in pair.client.transmit() {
            input.extend_from_slice(slice);
        }
        pair.client.transmitted(input.len());

        let begun = Instant::now();
        pair.server.receive(&input, 0);
        let mut range: Option<(LinkId, DeliveryId, DeliveryId)> = None;
        while let Some(event) = pair.server.next_event() {
            if let Event::Delivery(delivery) = event {
                let first = range.map_or(delivery.id, |range| range.1);
                range = Some((delivery.link, first, delivery.id));
                each(delivery.payload);
                count += 1;
            }
        }
        let (link, first, last) = range.unwrap();
        pair.server
            .settle(link, first, last, &DeliveryState::Accepted)
            .unwrap();
        if pair.server.credit(link).unwrap() < CREDIT / 2 {
            pair.server.grant(link, CREDIT).unwrap();
        }
        input.clear();
        for slice in pair.server.transmit() {
            input.extend_from_slice(slice);
        }
        pair.server.transmitted(input.len());
        spent += begun.elapsed();

        pair.client.receive(&input, 0);
        while pair.client.next_event().is_some() {}
    }
    count as f64 / spent.as_secs_f64()
}

/// Measures the client alone: deliveries written, one disposition a chunk taken.
fn send_and_hear(chunk: usize) -> f64 {
    let mut pair = Pair::new(&config());
    let payload = payload();
    let (mut spent, mut count) = (Duration::ZERO, 0_u64);
    let (mut output, mut input) = (Vec::new(), Vec::new());
    while spent < SPAN {
        let begun = Instant::now();
        pair.client.receive(&input, 0);
        while pair.client.next_event().is_some() {}
        for number in 0..chunk {
            pair.client.send(pair.link, delivery(&payload, number)).unwrap();
        }
        output.clear();
        for slice in pair.client.transmit() {
            output.extend_from_slice(slice);
        }
        pair.client.transmitted(output.len());
        spent += begun.elapsed();
        count += chunk as u64;

        pair.server.receive(&output, 0);
        let mut range: Option<(LinkId, DeliveryId, DeliveryId)> = None;
        while let Some(event) = pair.server.next_event() {
            if let Event::Delivery(delivery) = event {
                let first = range.map_or(delivery.id, |range| range.1);
                range = Some((delivery.link, first, delivery.id));
            }
        }
        let (link, first, last) = range.unwrap();
        pair.server
            .settle(link, first, last, &DeliveryState::Accepted)
            .unwrap();
        pair.server.grant(link, CREDIT).unwrap();
        input.clear();
        for slice in pair.server.transmit() {
            input.extend_from_slice(slice);
        }
        pair.server.transmitted(input.len());
    }
    count as f64 / spent.as_secs_f64()
}

/// Copies the octets of as many transfers to a buffer of their own each, as the least that any receiver does.
fn copy(chunk: usize) -> f64 {
    let frame = vec![0x5a_u8; payload().len() + 40];
    let input = frame.repeat(chunk);
    let begun = Instant::now();
    let mut count = 0_u64;
    while begun.elapsed() < SPAN {
        for frame in input.chunks_exact(frame.len()) {
            black_box(Bytes::copy_from_slice(black_box(frame)));
            count += 1;
        }
    }
    count as f64 / begun.elapsed().as_secs_f64()
}

fn idle() {
    let config = config();
    let mut engines = Vec::with_capacity(IDLE);
    let before = resident();
    for _ in 0..IDLE {
        let pair = Pair::new(&config);
        engines.push(pair.server);
    }
    let each = resident().saturating_sub(before) / IDLE;
    let counted = engines.first().map_or(0, Engine::heap_size);
    println!(
        "idle, 1 session and 2 links: {each} octets resident each, {} of them in place, {counted} counted on the heap",
        size_of::<Engine>()
    );
}

/// Resident memory of this process in octets. Source: `proc_pid_statm(5)`, read 2026-11-25.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096
}
