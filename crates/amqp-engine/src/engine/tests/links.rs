//! Sessions and links: how they come, are refused, and go.

use super::*;
use crate::condition;

#[test]
fn what_is_sent_ahead_of_the_answers_is_answered_in_order() {
    let mut engine = server(config());
    let flow = credit_frame(1, 0, 10);
    let ahead = [
        &Layer::Amqp.header()[..],
        &open_frame(&peer_open()),
        &begin_frame(1),
        &frame_of(1, |out| attach_of(0, "$cbs-sender", Role::Sender).write(out)),
        &frame_of(1, |out| attach_of(1, "$cbs-receiver", Role::Receiver).write(out)),
        &frame_of(1, |out| flow.write(out)),
    ];
    engine.receive(&ahead.concat(), 0);
    let told = events(&mut engine);
    let [
        Event::Opened(_),
        Event::SessionBegun { session, .. },
        Event::AttachRequested {
            link: up,
            attach: of_up,
            ..
        },
        Event::AttachRequested {
            link: down,
            attach: of_down,
            ..
        },
    ] = &told[..]
    else {
        panic!("{told:?}");
    };
    assert_eq!((of_up.role, of_down.role), (Role::Sender, Role::Receiver));
    let answer = LinkAnswer {
        credit: 100,
        ..LinkAnswer::echo(of_up)
    };
    engine.accept(*up, answer.clone()).unwrap();
    assert_eq!(engine.accept(*up, answer), Err(Error::WrongState));
    engine.accept(*down, LinkAnswer::echo(of_down)).unwrap();
    let credit = Event::LinkFlow {
        link: *down,
        credit: 10,
        drain: false,
    };
    assert_eq!(
        events(&mut engine),
        [credit],
        "the credit that came before the answer"
    );
    let bytes = take(&mut engine);
    let written = frames(&bytes);
    let [
        (0, Performative::Open(_), _),
        (0, Performative::Begin(begin), _),
        (0, Performative::Attach(first), _),
        (0, Performative::Flow(flow), _),
        (0, Performative::Attach(second), _),
    ] = &written[..]
    else {
        panic!("{written:?}");
    };
    assert_eq!(begin.remote_channel, Some(1));
    assert_eq!((first.attach.role, flow.link_credit), (Role::Receiver, Some(100)));
    assert_eq!(
        second.attach.initial_delivery_count,
        Some(0),
        "of a sender it must be there"
    );
    assert_eq!(first.attach.source, Some(Source::at("here")));
    assert_eq!(engine.unsettled(*session), Ok((0, 0)));
}

#[test]
fn a_refused_link_gets_an_attach_without_termini_and_a_detach_with_the_error() {
    let (mut engine, _) = begun(config());
    engine.receive(&attach_frame(4, "link", Role::Receiver), 0);
    let Some(Event::AttachRequested { link, .. }) = engine.next_event() else {
        panic!("no attach");
    };
    engine
        .refuse(link, AmqpError::new(condition::NOT_FOUND, "no"))
        .unwrap();
    let written = performatives(&mut engine);
    let [Performative::Attach(attached), Performative::Detach(detach)] = &written[..] else {
        panic!("{written:?}");
    };
    let attach = &attached.attach;
    assert_eq!((&attach.source, &attach.target), (&None, &None));
    assert_eq!(attach.name, "link");
    assert!(detach.closed && detach.error.as_ref().unwrap().condition == condition::NOT_FOUND);
    assert_eq!(
        engine.accept(link, LinkAnswer::echo(attach)),
        Err(Error::WrongState)
    );
    // What the peer had under way is passed over until it has detached.
    engine.receive(&frame_of(0, |out| credit_frame(4, 0, 9).write(out)), 0);
    engine.receive(&detach_frame(4), 0);
    assert_eq!(events(&mut engine), []);
    assert_eq!(take(&mut engine), b"");
    assert_eq!(engine.credit(link), Err(Error::NoSuchLink));
}

#[test]
fn a_client_learns_of_a_refusal_with_its_error_and_never_of_an_attach() {
    let (mut pair, session) = Pair::begun(config(), config());
    let asked = pair
        .client
        .attach(session, LinkRequest::sender("a", "nowhere"))
        .unwrap();
    pair.settle_down();
    let Some(Event::AttachRequested { link, .. }) = pair.told_by_server.pop_back() else {
        panic!("no attach");
    };
    let error = AmqpError::new(condition::LINK_REDIRECT, "go there");
    pair.server.refuse(link, error.clone()).unwrap();
    pair.settle_down();
    let cause = Cause::Peer(Some(Box::new(error)));
    assert_eq!(pair.told_by_client, [Event::Detached { link: asked, cause }]);
    assert_eq!(pair.told_by_server, []);
    assert_eq!((pair.server.shared.links, pair.client.shared.links), (0, 0));
}

#[test]
fn transactions_are_refused() {
    let (mut engine, _) = begun(config());
    let body = b"\x00\x53\x12\xc0\x10\x07\xa1\x01n\x43\x42\x40\x40\x00\x53\x28\x45\x00\x53\x30\x45";
    let attach = frame_of(0, |out| out.extend_from_slice(body));
    engine.receive(&attach, 0);
    assert_eq!(events(&mut engine), []);
    let written = performatives(&mut engine);
    let [Performative::Attach(_), Performative::Detach(detach)] = &written[..] else {
        panic!("{written:?}");
    };
    assert_eq!(
        detach.error.as_ref().unwrap().condition,
        condition::NOT_IMPLEMENTED
    );
}

#[test]
fn a_name_is_taken_once_and_free_again_after_the_detach() {
    let (mut engine, link) = attached(config(), Role::Sender, 1);
    engine.receive(&attach_frame(1, "link", Role::Sender), 0);
    let written = performatives(&mut engine);
    assert!(
        matches!(&written[..], [Performative::Attach(_), Performative::Detach(detach)] if detach.error.is_some())
    );
    assert_eq!(engine.credit(link), Ok(1), "the first one stays");
    engine.receive(&detach_frame(1), 0);
    // The other direction is another link.
    attach(&mut engine, 1, "link", Role::Receiver, 0);
    engine.receive(&detach_frame(0), 0);
    let cause = Cause::Peer(None);
    assert_eq!(events(&mut engine), [Event::Detached { link, cause }]);
    take(&mut engine);
    let again = attach(&mut engine, 0, "link", Role::Sender, 0);
    assert_ne!(again, link);
    assert_eq!(
        engine.grant(link, 1),
        Err(Error::NoSuchLink),
        "the old name finds nothing"
    );
    assert_eq!(engine.grant(again, 1), Ok(()));
}

#[test]
fn a_peer_that_goes_before_it_was_answered_gets_both_frames() {
    let (mut engine, _) = begun(config());
    engine.receive(&[attach_frame(0, "a", Role::Sender), detach_frame(0)].concat(), 0);
    let told = events(&mut engine);
    let [
        Event::AttachRequested { link, attach, .. },
        Event::Detached { .. },
    ] = &told[..]
    else {
        panic!("{told:?}");
    };
    assert_eq!(
        engine.accept(*link, LinkAnswer::echo(attach)),
        Err(Error::NoSuchLink)
    );
    let written = performatives(&mut engine);
    assert!(matches!(
        written[..],
        [Performative::Attach(_), Performative::Detach(_)]
    ));
    assert_eq!(engine.shared.links, 0);
}

#[test]
fn detaches_from_both_sides_that_cross_end_once() {
    let (mut pair, session) = Pair::begun(config(), config());
    let (of_client, of_server) = pair.attach(session, LinkRequest::sender("a", "x"), 5);
    pair.told_by_client.clear();
    pair.client.detach(of_client, None).unwrap();
    pair.server
        .detach(of_server, Some(AmqpError::new(condition::LINK_STOLEN, "newer")))
        .unwrap();
    assert_eq!(pair.client.detach(of_client, None), Err(Error::NoSuchLink));
    pair.settle_down();
    let cause = || Cause::Local;
    assert_eq!(
        pair.told_by_client,
        [Event::Detached {
            link: of_client,
            cause: cause()
        }]
    );
    assert_eq!(
        pair.told_by_server,
        [Event::Detached {
            link: of_server,
            cause: cause()
        }]
    );
    assert_eq!((pair.server.shared.links, pair.client.shared.links), (0, 0));
}

#[test]
fn a_client_can_take_its_request_back() {
    let (mut pair, session) = Pair::begun(config(), config());
    let asked = pair
        .client
        .attach(session, LinkRequest::receiver("a", "x"))
        .unwrap();
    pair.client.detach(asked, None).unwrap();
    pair.settle_down();
    let cause = Cause::Local;
    assert_eq!(pair.told_by_client, [Event::Detached { link: asked, cause }]);
    assert_eq!((pair.server.shared.links, pair.client.shared.links), (0, 0));
    assert_eq!(pair.server.sessions[0].as_ref().unwrap().by_remote, []);
}

#[test]
fn sessions_end_with_their_links_and_late_frames_are_passed_over() {
    let (mut engine, session) = begun(config());
    attach(&mut engine, 0, "a", Role::Sender, 1);
    let end = frame_of(0, |out| End::default().write(out));
    engine.receive(&[end, detach_frame(0)].concat(), 0);
    let cause = Cause::Peer(None);
    assert_eq!(events(&mut engine), [Event::SessionEnded { session, cause }]);
    assert!(matches!(performatives(&mut engine)[..], [Performative::End(_)]));
    assert_eq!(engine.shared.links, 0);
    assert_eq!(engine.end(session, None), Err(Error::NoSuchSession));
    // The channel is free for another session, with another name.
    engine.receive(&begin_frame(0), 0);
    let Some(Event::SessionBegun { session: next, .. }) = engine.next_event() else {
        panic!("no session");
    };
    assert_ne!(next, session);
    assert!(!engine.is_finished());
}

#[test]
fn a_session_that_this_side_ends_is_confirmed() {
    let (mut pair, session) = Pair::begun(config(), config());
    pair.attach(session, LinkRequest::sender("a", "x"), 5);
    pair.told_by_client.clear();
    pair.client.end(session, None).unwrap();
    let request = LinkRequest::sender("b", "x");
    assert_eq!(pair.client.attach(session, request), Err(Error::NoSuchSession));
    pair.settle_down();
    let cause = Cause::Local;
    assert_eq!(pair.told_by_client, [Event::SessionEnded { session, cause }]);
    let Some(Event::SessionEnded { cause, .. }) = pair.told_by_server.pop_back() else {
        panic!("no end");
    };
    assert_eq!(cause, Cause::Peer(None));
    assert_eq!((pair.server.sessions.len(), pair.client.sessions.len()), (0, 0));
}

#[test]
fn links_and_sessions_are_bounded() {
    let (mut engine, _) = begun(Config {
        max_links: 2,
        ..config()
    });
    for (handle, name) in ["a", "b"].into_iter().enumerate() {
        attach(&mut engine, u32::try_from(handle).unwrap(), name, Role::Sender, 0);
    }
    engine.receive(&attach_frame(2, "c", Role::Sender), 0);
    let written = performatives(&mut engine);
    let [_, Performative::Detach(detach)] = &written[..] else {
        panic!("{written:?}");
    };
    assert_eq!(
        detach.error.as_ref().unwrap().condition,
        condition::RESOURCE_LIMIT_EXCEEDED
    );
    // A peer that goes on without detaching what was refused is closed.
    engine.receive(&attach_frame(3, "d", Role::Sender), 0);
    engine.receive(&attach_frame(4, "e", Role::Sender), 0);
    assert!(engine.is_finished());

    let mut few = config();
    few.open.channel_max = 1;
    let mut pair = Pair::new(few.clone(), few);
    pair.settle_down();
    for _ in 0..2 {
        pair.client.begin().unwrap();
    }
    assert_eq!(pair.client.begin(), Err(Error::TooManySessions));
    pair.settle_down();
    assert!(!pair.server.is_finished());
}
