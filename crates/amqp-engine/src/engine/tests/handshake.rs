//! Headers, SASL, open, time and close.

use super::*;
use crate::condition;
use crate::sasl::{SaslCode, SaslFrame, SaslInit};
use crate::symbol::Symbol;

const PLAIN: Symbol = Symbol::from_static("PLAIN");
const TPM: Symbol = Symbol::from_static("TPM");

fn with_sasl(required: bool) -> Config {
    Config {
        sasl_mechanisms: vec![PLAIN, TPM],
        sasl_required: required,
        ..config()
    }
}

fn sasl_frame(frame: &SaslFrame) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write(&mut out, FrameKind::Sasl, 0, |out| frame.write(out));
    out
}

fn init() -> SaslInit {
    SaslInit {
        mechanism: PLAIN,
        initial_response: Some(Bytes::from_static(b"\0user\0token")),
        hostname: None,
    }
}

#[test]
fn a_plain_header_is_answered_and_so_is_open() {
    let mut engine = server(with_sasl(false));
    engine.receive(b"AMQ", 0);
    assert_eq!(engine.pending_output(), 0);
    engine.receive(b"P\x00\x01\x00\x00", 0);
    assert_eq!(take(&mut engine), b"AMQP\x00\x01\x00\x00");
    engine.receive(&open_frame(&peer_open()), 0);
    assert_eq!(events(&mut engine), [Event::Opened(Box::new(peer_open()))]);
    let [Performative::Open(open)] = &performatives(&mut engine)[..] else {
        panic!("no open");
    };
    assert_eq!(open.max_frame_size, 65_536);
}

#[test]
fn a_wrong_header_is_answered_by_the_right_one() {
    for (required, input, answer) in [
        (false, &b"GET / HTTP/1.1\r\n"[..], Layer::Amqp),
        (false, b"AMQP\x02\x01\x00\x00", Layer::Amqp),
        (false, b"AMQP\x00\x00\x09\x01", Layer::Amqp),
        (true, b"AMQP\x00\x01\x00\x00", Layer::Sasl),
        (true, b"\x16\x03\x01", Layer::Sasl),
    ] {
        let mut engine = server(with_sasl(required));
        engine.receive(input, 0);
        assert_eq!(take(&mut engine), answer.header(), "{input:?}");
        assert!(engine.is_finished());
        let cause = Cause::Violation(Error::Header);
        assert_eq!(events(&mut engine), [Event::Closed { cause }]);
    }
    let mut engine = server(config());
    engine.receive(&Layer::Sasl.header(), 0);
    assert_eq!(take(&mut engine), Layer::Amqp.header(), "no mechanisms, no layer");
}

#[test]
fn sasl_goes_step_by_step_whatever_the_mechanism() {
    let mut client_config = config();
    client_config.sasl_required = true;
    let mut pair = Pair::new(with_sasl(true), client_config);
    pair.settle_down();
    let offered = Event::SaslMechanisms(vec![PLAIN, TPM]);
    assert_eq!(pair.told_by_client.pop_front(), Some(offered));
    let init = SaslInit {
        mechanism: TPM,
        initial_response: Some(Bytes::from_static(b"\0scope\0id\0ek")),
        hostname: Some("scope/registrations/id".to_owned()),
    };
    pair.client.sasl_init(init.clone()).unwrap();
    assert_eq!(pair.client.sasl_init(init.clone()), Err(Error::WrongState));
    pair.settle_down();
    assert_eq!(
        pair.told_by_server.pop_front(),
        Some(Event::SaslInit(Box::new(init)))
    );
    pair.server.sasl_challenge(&b"\0"[..]).unwrap();
    assert_eq!(pair.server.sasl_challenge(&b"\0"[..]), Err(Error::WrongState));
    pair.settle_down();
    let challenge = Event::SaslChallenge(Bytes::from_static(b"\0"));
    assert_eq!(pair.told_by_client.pop_front(), Some(challenge));
    pair.client.sasl_response(&b"\0srk"[..]).unwrap();
    pair.settle_down();
    let response = Event::SaslResponse(Bytes::from_static(b"\0srk"));
    assert_eq!(pair.told_by_server.pop_front(), Some(response));
    let data = Some(Bytes::from_static(b"Welcome!"));
    pair.server.sasl_outcome(SaslCode::Ok, data.clone()).unwrap();
    pair.settle_down();
    let code = SaslCode::Ok;
    assert_eq!(
        pair.told_by_client.pop_front(),
        Some(Event::SaslOutcome { code, data })
    );
    assert!(matches!(pair.told_by_client.pop_front(), Some(Event::Opened(_))));
    assert!(matches!(pair.told_by_server.pop_front(), Some(Event::Opened(_))));
}

#[test]
fn a_client_that_does_not_wait_for_the_outcome_is_heard_after_it() {
    let mut engine = server(with_sasl(true));
    let hello = [
        &Layer::Sasl.header()[..],
        &sasl_frame(&SaslFrame::Init(init())),
        &Layer::Amqp.header(),
        &open_frame(&peer_open()),
        &begin_frame(0),
    ];
    for octet in hello.concat() {
        engine.receive(&[octet], 0);
    }
    assert_eq!(events(&mut engine), [Event::SaslInit(Box::new(init()))]);
    take(&mut engine);
    engine.sasl_outcome(SaslCode::Ok, None).unwrap();
    let told = events(&mut engine);
    assert!(
        matches!(told[..], [Event::Opened(_), Event::SessionBegun { .. }]),
        "{told:?}"
    );
    let outcome = sasl_frame(&SaslFrame::Outcome(SaslCode::Ok, None));
    let written = take(&mut engine);
    assert!(written.starts_with(&outcome));
    assert_eq!(frames(&written[outcome.len()..]).len(), 2);
}

#[test]
fn what_comes_before_an_answer_is_bounded() {
    let mut engine = server(with_sasl(true));
    engine.receive(&Layer::Sasl.header(), 0);
    engine.receive(&sasl_frame(&SaslFrame::Init(init())), 0);
    for _ in 0..100 {
        engine.receive(&[0; 1000], 0);
    }
    assert!(engine.is_finished() && engine.heap_size() < 20_000);
    assert!(events(&mut engine).contains(&Event::Closed {
        cause: Cause::Violation(Error::Flooded)
    }));
}

#[test]
fn a_failed_outcome_ends_both_sides() {
    let mut client_config = config();
    client_config.sasl_required = true;
    let mut pair = Pair::new(with_sasl(true), client_config);
    pair.settle_down();
    pair.client.sasl_init(init()).unwrap();
    pair.settle_down();
    pair.server.sasl_outcome(SaslCode::Auth, None).unwrap();
    pair.settle_down();
    assert!(pair.server.is_finished() && pair.client.is_finished());
    let code = SaslCode::Auth;
    assert!(
        pair.told_by_client
            .contains(&Event::SaslOutcome { code, data: None })
    );
}

#[test]
fn nonsense_in_the_sasl_layer_gets_an_outcome() {
    for nonsense in [
        open_frame(&peer_open()),
        sasl_frame(&SaslFrame::Response(Bytes::new())),
        b"\x00\x00\x00\x09\x02\x01\x00\x00\xff".to_vec(),
        b"\x00\x10\x00\x00\x02\x01\x00\x00".to_vec(),
    ] {
        let mut engine = server(with_sasl(true));
        engine.receive(&Layer::Sasl.header(), 0);
        take(&mut engine);
        engine.receive(&nonsense, 0);
        assert_eq!(
            take(&mut engine),
            sasl_frame(&SaslFrame::Outcome(SaslCode::SysPerm, None))
        );
        assert!(engine.is_finished());
    }
}

#[test]
fn a_peer_that_does_not_open_in_time_is_given_up() {
    let mut engine = server(config());
    assert_eq!(engine.next_deadline(), Some(30_000));
    engine.receive(&Layer::Amqp.header(), 10);
    engine.tick(29_999);
    assert!(!engine.is_finished());
    take(&mut engine);
    engine.tick(30_000);
    assert!(engine.is_finished());
    let written = performatives(&mut engine);
    assert!(
        matches!(&written[..], [Performative::Open(_), Performative::Close(close)] if close.error.is_some())
    );
    let mut silent = server(config());
    silent.tick(40_000);
    assert!(silent.is_finished());
    assert_eq!(take(&mut silent), b"");
}

#[test]
fn empty_frames_go_out_at_half_of_what_the_peer_waits() {
    let mut engine = server(config());
    let open = Open {
        idle_time_out: Some(60_000),
        ..peer_open()
    };
    engine.receive(&[&Layer::Amqp.header()[..], &open_frame(&open)].concat(), 1000);
    take(&mut engine);
    assert_eq!(engine.next_deadline(), Some(31_000));
    engine.tick(30_999);
    assert_eq!(take(&mut engine), b"");
    engine.tick(31_000);
    assert_eq!(take(&mut engine), b"\x00\x00\x00\x08\x02\x00\x00\x00");
    assert_eq!(engine.next_deadline(), Some(61_000));
    // What is not read is not added to.
    engine.tick(61_000);
    engine.tick(91_000);
    assert_eq!(engine.pending_output(), 8);
    assert_eq!(engine.next_deadline(), Some(121_000));
}

#[test]
fn a_silent_peer_is_told_and_given_up() {
    let mut config = config();
    config.open.idle_time_out = Some(10_000);
    let (mut engine, _) = begun(config);
    assert_eq!(engine.next_deadline(), Some(20_000));
    engine.receive(b"\x00\x00\x00\x08\x02\x00\x00\x00", 15_000);
    assert_eq!(engine.next_deadline(), Some(35_000));
    engine.tick(35_000);
    let [Performative::Close(close)] = &performatives(&mut engine)[..] else {
        panic!("no close");
    };
    let error = close.error.as_ref().unwrap();
    assert_eq!(error.condition, condition::RESOURCE_LIMIT_EXCEEDED);
    assert!(engine.is_finished());
    assert_eq!(engine.next_deadline(), None);
}

#[test]
fn a_close_is_confirmed_and_its_error_told() {
    let (mut pair, _) = Pair::begun(config(), config());
    let error = AmqpError::new(condition::CONNECTION_FORCED, "stop");
    pair.server.close(Some(error.clone())).unwrap();
    assert_eq!(pair.server.close(None), Err(Error::WrongState));
    assert!(!pair.server.is_finished());
    pair.settle_down();
    assert!(pair.server.is_finished() && pair.client.is_finished());
    let cause = Cause::Peer(Some(Box::new(error)));
    assert_eq!(pair.told_by_client, [Event::Closed { cause }]);
    let cause = Cause::Local;
    assert_eq!(pair.told_by_server, [Event::Closed { cause }]);
}

#[test]
fn a_close_that_is_not_confirmed_ends_by_itself() {
    let (mut engine, _) = begun(config());
    engine.tick(1_000);
    engine.close(None).unwrap();
    take(&mut engine);
    // What still comes is passed over.
    engine.receive(&begin_frame(7), 1_001);
    engine.receive(b"\x00\x00\x00\x09\x02\x00\x00\x00\xff", 1_001);
    assert_eq!(engine.next_deadline(), Some(6_000));
    engine.tick(6_000);
    assert!(engine.is_finished());
    assert_eq!(take(&mut engine), b"");
}

#[test]
fn a_server_can_close_before_it_was_opened_to() {
    let mut engine = server(config());
    engine.receive(&Layer::Amqp.header(), 0);
    take(&mut engine);
    engine
        .close(Some(AmqpError::new(condition::CONNECTION_FORCED, "later")))
        .unwrap();
    let written = performatives(&mut engine);
    assert!(matches!(
        written[..],
        [Performative::Open(_), Performative::Close(_)]
    ));
    // The peer's open and close arrive afterwards.
    let late = [
        open_frame(&peer_open()),
        frame_of(0, |out| Close::default().write(out)),
    ];
    engine.receive(&late.concat(), 0);
    assert!(engine.is_finished());
    assert_eq!(take(&mut engine), b"");
}

#[test]
fn bytes_may_be_cut_anywhere() {
    let hello = [
        &Layer::Amqp.header()[..],
        &open_frame(&peer_open()),
        &begin_frame(0),
        &attach_frame(0, "link", Role::Sender),
    ]
    .concat();
    for size in 1..40 {
        let mut engine = server(config());
        for chunk in hello.chunks(size) {
            engine.receive(chunk, 0);
        }
        let told = events(&mut engine);
        assert!(
            matches!(
                told[..],
                [
                    Event::Opened(_),
                    Event::SessionBegun { .. },
                    Event::AttachRequested { .. }
                ]
            ),
            "{told:?}"
        );
        assert_eq!(engine.inbox.capacity(), 0);
    }
}
