//! A peer's bytes to a server's end of an AMQP connection that takes whatever is asked for.
//!
//! The first octet chooses whether bytes come as they are or as frames that were begun for them: the second way gets
//! past the headers, open and begin at once. The next octet says how the bytes are cut. Holds that the end of a broken
//! connection is always told by a frame, that what is held stays within its bounds, and that messages and batches that
//! arrive are read without a crash and come back as they went.

#![no_main]

mod support;

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use muster_amqp_engine::message::{BATCH_FORMAT, Batch, Message};
use muster_amqp_engine::{
    Cause, Config, Delivery, DeliveryState, DeliveryTag, Engine, Event, LinkAnswer, LinkId, Outgoing, Role,
    SaslCode, Symbol,
};

/// Small, so that the limits are met often.
static CONFIG: LazyLock<Arc<Config>> = LazyLock::new(|| {
    let mut config = Config {
        sasl_mechanisms: vec![Symbol::from_static("PLAIN"), Symbol::from_static("ANONYMOUS")],
        incoming_window: 16,
        max_unsettled: 8,
        handle_max: 7,
        max_links: 6,
        max_delivery: 4096,
        max_assembling: 8192,
        max_pending_output: 65_536,
        ..Config::default()
    };
    config.open.max_frame_size = 4096;
    config.open.channel_max = 3;
    Arc::new(config)
});

/// What a well-behaved peer begins with: header, open, begin.
const HELLO: &[u8] = b"AMQP\x00\x01\x00\x00\
    \x00\x00\x00\x11\x02\x00\x00\x00\x00\x53\x10\xc0\x04\x01\xa1\x01c\
    \x00\x00\x00\x16\x02\x00\x00\x00\x00\x53\x11\xc0\x09\x05\x40\x43\x52\x08\x52\x08\x52\x07";

/// Octets that an engine of this configuration may hold once nothing waits to be written: unfinished deliveries, one
/// frame, and the links with their names.
const HELD: usize = 8192 + 2 * 65_536 + 8 * 4096;

fuzz_target!(|bytes: &[u8]| {
    let Some((way, rest)) = support::choose(bytes, 2) else {
        return;
    };
    let Some((&cut, input)) = rest.split_first() else {
        return;
    };
    let mut engine = Engine::server(Arc::clone(&CONFIG), 0);
    let mut now = 0;
    if way == 1 {
        engine.receive(HELLO, now);
        answer(&mut engine);
        for framed in input.chunks(usize::from(cut).max(4)) {
            let [channel, body @ ..] = framed else { continue };
            let mut frame = u32::try_from(body.len() + 8)
                .expect("short")
                .to_be_bytes()
                .to_vec();
            frame.extend_from_slice(&[2, 0, 0, channel % 5]);
            frame.extend_from_slice(body);
            step(&mut engine, &frame, &mut now);
        }
    } else {
        for chunk in input.chunks(usize::from(cut).max(1)) {
            step(&mut engine, chunk, &mut now);
        }
    }
    // Whatever came, time ends it.
    let _ = engine.close(None);
    while let Some(deadline) = engine.next_deadline() {
        engine.tick(deadline);
    }
    while engine.next_event().is_some() {}
    written(&mut engine);
    assert!(engine.is_finished());
    assert_eq!(engine.pending_output(), 0);
});

fn step(engine: &mut Engine, chunk: &[u8], now: &mut u64) {
    *now += 1;
    engine.receive(chunk, *now);
    answer(engine);
    engine.tick(*now);
    written(engine);
    assert!(
        engine.heap_size() <= HELD,
        "{} octets are held",
        engine.heap_size()
    );
}

/// Takes what waits to be written, and returns it.
fn written(engine: &mut Engine) -> Vec<u8> {
    let bytes: Vec<u8> = engine.transmit().flatten().copied().collect();
    engine.transmitted(bytes.len());
    bytes
}

/// Answers every event with a yes.
fn answer(engine: &mut Engine) {
    while let Some(event) = engine.next_event() {
        match event {
            Event::SaslInit(_) => {
                let _ = engine.sasl_challenge(&b"more"[..]);
            }
            Event::SaslResponse(_) => {
                let _ = engine.sasl_outcome(SaslCode::Ok, None);
            }
            Event::AttachRequested { link, attach, .. } => {
                let answer = LinkAnswer {
                    credit: 4,
                    max_message_size: 2048,
                    ..LinkAnswer::echo(&attach)
                };
                if engine.accept(link, answer).is_ok() && attach.role == Role::Receiver {
                    send(engine, link);
                }
            }
            Event::LinkFlow { link, drain, .. } => {
                send(engine, link);
                if drain {
                    let _ = engine.drained(link);
                }
            }
            Event::Delivery(delivery) => delivered(engine, &delivery),
            Event::Disposition {
                link,
                first,
                last,
                settled: false,
                state,
            } => {
                let state = state.unwrap_or(DeliveryState::Released);
                let _ = engine.settle(link, first, last, &state);
            }
            Event::Closed { cause } => {
                assert!(engine.is_finished());
                if matches!(cause, Cause::Violation(_)) {
                    assert!(engine.pending_output() > 0, "the peer is not told why");
                }
            }
            _ => {}
        }
    }
}

fn send(engine: &mut Engine, link: LinkId) {
    let delivery = Outgoing {
        tag: DeliveryTag::from(7),
        message_format: 0,
        settled: false,
        payload: Message::data(vec![7; 700]).to_bytes(),
    };
    if engine.credit(link).is_ok_and(|credit| credit > 0) {
        let _ = engine.send(link, delivery);
    }
}

fn delivered(engine: &mut Engine, delivery: &Delivery) {
    if delivery.message_format == BATCH_FORMAT {
        for message in Batch::new(delivery.payload.clone()).flatten() {
            let _ = Message::decode(&message);
        }
    } else if let Ok(message) = Message::decode(&delivery.payload) {
        let again = Message::decode(&message.to_bytes()).expect("what was written is read");
        assert_eq!(again.to_bytes(), message.to_bytes());
    }
    if !delivery.settled {
        let _ = engine.settle(delivery.link, delivery.id, delivery.id, &DeliveryState::Accepted);
    }
    let _ = engine.grant(delivery.link, 4);
}
