//! What a peer can do wrong, how far it reaches, and in which words it is told.

use super::*;
use crate::condition;
use crate::symbol::Symbol;

fn close_of(engine: &mut Engine) -> Symbol {
    let mut written = performatives(engine);
    let Some(Performative::Close(close)) = written.pop() else {
        panic!("no close");
    };
    assert!(engine.is_finished());
    close.error.unwrap().condition
}

fn end_of(engine: &mut Engine) -> Symbol {
    let mut written = performatives(engine);
    let Some(Performative::End(end)) = written.pop() else {
        panic!("no end");
    };
    assert!(!engine.is_finished());
    end.error.unwrap().condition
}

fn detach_of(engine: &mut Engine) -> Symbol {
    let mut written = performatives(engine);
    let Some(Performative::Detach(detach)) = written.pop() else {
        panic!("no detach: {written:?}");
    };
    assert!(!engine.is_finished());
    detach.error.unwrap().condition
}

#[test]
fn frames_that_cannot_be_closes_the_connection() {
    let cases: Vec<(Vec<u8>, Symbol)> = vec![
        // Larger than agreed, smaller than a header, a body outside, a kind that there is not, SASL after SASL.
        (
            b"\x00\x01\x00\x01\x02\x00\x00\x00".to_vec(),
            condition::FRAMING_ERROR,
        ),
        (
            b"\x00\x00\x00\x07\x02\x00\x00\x00".to_vec(),
            condition::FRAMING_ERROR,
        ),
        (
            b"\x00\x00\x00\x08\x01\x00\x00\x00".to_vec(),
            condition::FRAMING_ERROR,
        ),
        (
            b"\x00\x00\x00\x08\x03\x00\x00\x00".to_vec(),
            condition::FRAMING_ERROR,
        ),
        (
            b"\x00\x00\x00\x08\x02\x02\x00\x00".to_vec(),
            condition::FRAMING_ERROR,
        ),
        (
            b"\x00\x00\x00\x08\x02\x01\x00\x00".to_vec(),
            condition::ILLEGAL_STATE,
        ),
        // Nonsense, unknown performatives, fields of other types, fields that are not there.
        (frame_of(0, |out| out.push(0xff)), condition::DECODE_ERROR),
        (
            frame_of(0, |out| out.extend_from_slice(b"\x00\x53\x19\x45")),
            condition::DECODE_ERROR,
        ),
        (
            frame_of(0, |out| out.extend_from_slice(b"\x00\x53\x16\x45")),
            condition::INVALID_FIELD,
        ),
        (
            frame_of(0, |out| {
                out.extend_from_slice(b"\x00\x53\x16\xc0\x04\x01\xa1\x01x");
            }),
            condition::DECODE_ERROR,
        ),
        (
            [
                detach_frame(9),
                frame_of(0, |out| out.extend_from_slice(b"\x00\x53\x17\x45\x40")),
            ]
            .concat(),
            condition::DECODE_ERROR,
        ),
        (open_frame(&peer_open()), condition::ILLEGAL_STATE),
        (begin_frame(0), condition::ILLEGAL_STATE),
        (begin_frame(256), condition::FRAMING_ERROR),
        (
            frame_of(5, |out| attach_of(0, "a", Role::Sender).write(out)),
            condition::FRAMING_ERROR,
        ),
        (attach_frame(8192, "a", Role::Sender), condition::FRAMING_ERROR),
    ];
    for (input, expected) in cases {
        let (mut engine, _) = begun(config());
        engine.receive(&input, 0);
        let told = events(&mut engine);
        assert!(
            matches!(
                told[..],
                [Event::Closed {
                    cause: Cause::Violation(_)
                }]
            ),
            "{told:?}"
        );
        assert_eq!(close_of(&mut engine), expected, "{input:02x?}");
        engine.receive(&input, 0);
        assert_eq!((events(&mut engine), take(&mut engine)), (vec![], vec![]));
    }
}

#[test]
fn values_without_end_are_a_resource_limit() {
    let (mut engine, _) = begun(config());
    engine.receive(&frame_of(0, |out| out.extend_from_slice(&[0; 1000])), 0);
    assert_eq!(close_of(&mut engine), condition::DECODE_ERROR);
    let (mut engine, _) = begun(config());
    let properties = b"\x00\x53\x18\xc0\x0e\x01\x00\x53\x1d\xd0\x00\x00\x00\x05\x00\x00\x00\x01\x40";
    engine.receive(&frame_of(0, |out| out.extend_from_slice(properties)), 0);
    assert!(engine.is_finished());
}

#[test]
fn before_the_open_a_fault_still_gets_open_and_close() {
    let mut engine = server(config());
    engine.receive(&[&Layer::Amqp.header()[..], &begin_frame(0)].concat(), 0);
    let written = performatives(&mut engine);
    assert!(matches!(
        written[..],
        [Performative::Open(_), Performative::Close(_)]
    ));
    assert!(engine.is_finished());
}

#[test]
fn a_transfer_beyond_the_window_ends_the_session() {
    let (mut engine, _) = attached(
        Config {
            incoming_window: 3,
            ..config()
        },
        Role::Sender,
        50,
    );
    for number in 0..4 {
        engine.receive(&transfer_frame(&transfer_of(0, number), b"x"), 0);
    }
    let told = events(&mut engine);
    assert!(matches!(
        told.last(),
        Some(Event::SessionEnded {
            cause: Cause::Violation(Error::WindowViolation),
            ..
        })
    ));
    assert_eq!(end_of(&mut engine), condition::WINDOW_VIOLATION);
    // What the peer had under way is passed over until it has ended the session.
    engine.receive(&transfer_frame(&transfer_of(0, 5), b"x"), 0);
    engine.receive(&frame_of(0, |out| End::default().write(out)), 0);
    assert_eq!((events(&mut engine), take(&mut engine)), (vec![], vec![]));
    assert!(engine.sessions.is_empty());
}

#[test]
fn handles_that_are_wrong_end_the_session() {
    let (mut engine, _) = begun(config());
    engine.receive(&transfer_frame(&transfer_of(3, 0), b"x"), 0);
    assert_eq!(end_of(&mut engine), condition::UNATTACHED_HANDLE);
    let (mut engine, _) = attached(config(), Role::Sender, 0);
    engine.receive(&attach_frame(0, "other", Role::Sender), 0);
    assert_eq!(end_of(&mut engine), condition::HANDLE_IN_USE);
    let (mut engine, _) = attached(config(), Role::Sender, 9);
    let again = [transfer_of(0, 5), transfer_of(0, 5)].map(|transfer| transfer_frame(&transfer, b"x"));
    engine.receive(&again.concat(), 0);
    assert_eq!(end_of(&mut engine), condition::ILLEGAL_STATE);
}

#[test]
fn what_is_wrong_on_a_link_detaches_it_alone() {
    let part = Transfer {
        more: true,
        ..transfer_of(0, 0)
    };
    let other = Transfer {
        delivery_id: Some(1),
        ..part.clone()
    };
    let cases: Vec<(Vec<Vec<u8>>, u32, Symbol)> = vec![
        (
            vec![transfer_frame(&transfer_of(0, 0), b"x")],
            0,
            condition::TRANSFER_LIMIT_EXCEEDED,
        ),
        (
            vec![transfer_frame(&transfer_of(0, 0), &[0; 1001])],
            9,
            condition::MESSAGE_SIZE_EXCEEDED,
        ),
        (
            vec![transfer_frame(&part, &[0; 600]), transfer_frame(&part, &[0; 401])],
            9,
            condition::MESSAGE_SIZE_EXCEEDED,
        ),
        (
            vec![transfer_frame(&part, b"a"), transfer_frame(&other, b"b")],
            9,
            condition::NOT_ALLOWED,
        ),
    ];
    for (input, credit, expected) in cases {
        let (mut engine, link) = attached(config(), Role::Sender, credit);
        engine.receive(&input.concat(), 0);
        let told = events(&mut engine);
        assert!(
            matches!(told[..], [Event::Detached { link: gone, cause: Cause::Violation(_) }] if gone == link),
            "{told:?}"
        );
        assert_eq!(detach_of(&mut engine), expected);
        assert_eq!(engine.shared.assembling, 0);
        engine.receive(&transfer_frame(&transfer_of(0, 7), b"late"), 0);
        engine.receive(&detach_frame(0), 0);
        assert_eq!((events(&mut engine), take(&mut engine)), (vec![], vec![]));
        assert_eq!(engine.shared.links, 0);
    }
    let (mut engine, _) = attached(config(), Role::Receiver, 0);
    engine.receive(&transfer_frame(&transfer_of(0, 0), b"x"), 0);
    assert_eq!(detach_of(&mut engine), condition::NOT_ALLOWED);
}

#[test]
fn unfinished_deliveries_are_bounded_over_all_links() {
    let (mut engine, _) = begun(Config {
        max_assembling: 2_500,
        ..config()
    });
    for (handle, name) in ["a", "b", "c"].into_iter().enumerate() {
        attach(&mut engine, u32::try_from(handle).unwrap(), name, Role::Sender, 5);
    }
    for handle in 0..3 {
        let part = Transfer {
            more: true,
            ..transfer_of(handle, handle)
        };
        engine.receive(&transfer_frame(&part, &[0; 1000]), 0);
    }
    assert_eq!(detach_of(&mut engine), condition::RESOURCE_LIMIT_EXCEEDED);
    assert_eq!(engine.shared.assembling, 2_000);
    engine.receive(&frame_of(0, |out| End::default().write(out)), 0);
    assert_eq!(engine.shared.assembling, 0);
}

#[test]
fn a_delivery_on_a_link_that_was_not_answered_is_a_fault() {
    let (mut engine, _) = begun(config());
    let frames = [
        attach_frame(0, "a", Role::Sender),
        transfer_frame(&transfer_of(0, 0), b"x"),
    ];
    engine.receive(&frames.concat(), 0);
    let Some(Event::AttachRequested { link, attach, .. }) = engine.next_event() else {
        panic!("no attach");
    };
    assert!(engine.accept(link, LinkAnswer::echo(&attach)).is_err());
    let written = performatives(&mut engine);
    assert!(
        matches!(written[..], [Performative::Attach(_), Performative::Detach(_)]),
        "a detach needs its attach: {written:?}"
    );
}

#[test]
fn output_that_is_not_read_stops_the_reading() {
    let (mut engine, _) = begun(Config {
        max_pending_output: 1000,
        ..config()
    });
    let mut flow = credit_frame(0, 0, 0);
    flow.handle = None;
    flow.echo = true;
    let flow = frame_of(0, |out| flow.write(out));
    let mut count = 0;
    while engine.wants_input() {
        engine.receive(&flow, 0);
        count += 1;
    }
    assert!((10..100).contains(&count));
    take(&mut engine);
    assert!(engine.wants_input());
}
