//! Deliveries both ways: credit, windows, many frames, settlement.

use super::*;
use crate::{ReceiverSettleMode, SenderSettleMode};

fn deliveries(told: &[Event]) -> Vec<Delivery> {
    told.iter()
        .filter_map(|event| match event {
            Event::Delivery(delivery) => Some(delivery.clone()),
            _ => None,
        })
        .collect()
}

fn dispositions(engine: &mut Engine) -> Vec<(u32, u32, bool)> {
    performatives(engine)
        .into_iter()
        .filter_map(|performative| match performative {
            Performative::Disposition(disposition) => {
                Some((disposition.first, disposition.last.unwrap(), disposition.settled))
            }
            _ => None,
        })
        .collect()
}

fn id(number: u32) -> DeliveryId {
    DeliveryId(number)
}

#[test]
fn a_range_is_settled_in_one_frame() {
    let (mut engine, link) = attached(config(), Role::Sender, 50);
    for number in 0..10 {
        engine.receive(&transfer_frame(&transfer_of(0, number), b"x"), 0);
    }
    let told = deliveries(&events(&mut engine));
    assert_eq!(told.len(), 10);
    assert_eq!(told[3].id.number(), 3);
    assert_eq!(&told[3].payload[..], b"x");
    assert_eq!(engine.credit(link), Ok(40));
    assert_eq!(engine.settle(link, id(0), id(6), &DeliveryState::Accepted), Ok(7));
    assert_eq!(dispositions(&mut engine), [(0, 6, true)]);
    assert_eq!(engine.settle(link, id(0), id(6), &DeliveryState::Accepted), Ok(0));
    assert_eq!(engine.settle(link, id(8), id(8), &DeliveryState::Released), Ok(1));
    // What is settled in between may be named again.
    assert_eq!(
        engine.settle(link, id(0), id(u32::MAX / 2), &DeliveryState::Accepted),
        Ok(2)
    );
    assert_eq!(dispositions(&mut engine), [(8, 8, true), (7, 9, true)]);
}

#[test]
fn a_range_leaves_deliveries_of_other_links_and_unfinished_ones_alone() {
    let (mut engine, _) = begun(config());
    let first = attach(&mut engine, 0, "a", Role::Sender, 50);
    let second = attach(&mut engine, 1, "b", Role::Sender, 50);
    let third = attach(&mut engine, 2, "c", Role::Sender, 50);
    let unfinished = Transfer {
        more: true,
        ..transfer_of(2, 5)
    };
    let transfers = [
        transfer_frame(&transfer_of(0, 1), b"1"),
        transfer_frame(&transfer_of(0, 2), b"2"),
        transfer_frame(&transfer_of(1, 3), b"3"),
        transfer_frame(&transfer_of(0, 4), b"4"),
        transfer_frame(&unfinished, b"5"),
        transfer_frame(&transfer_of(0, 6), b"6"),
    ];
    engine.receive(&transfers.concat(), 0);
    assert_eq!(deliveries(&events(&mut engine)).len(), 5);
    assert_eq!(
        engine.settle(first, id(0), id(9), &DeliveryState::Accepted),
        Ok(4)
    );
    assert_eq!(
        dispositions(&mut engine),
        [(1, 2, true), (4, 4, true), (6, 6, true)]
    );
    assert_eq!(
        engine.settle(third, id(0), id(9), &DeliveryState::Accepted),
        Ok(0)
    );
    let last = Transfer {
        delivery_id: None,
        delivery_tag: None,
        message_format: None,
        ..transfer_of(2, 5)
    };
    engine.receive(&transfer_frame(&last, b"!"), 0);
    let told = deliveries(&events(&mut engine));
    assert_eq!((told[0].id, &told[0].payload[..]), (id(5), &b"5!"[..]));
    assert_eq!(
        engine.settle(third, id(5), id(5), &DeliveryState::Accepted),
        Ok(1)
    );
    assert_eq!(
        engine.settle(second, id(3), id(3), &DeliveryState::Accepted),
        Ok(1)
    );
}

#[test]
fn large_deliveries_go_in_frames_that_the_peer_takes() {
    let mut small = config();
    small.open.max_frame_size = 512;
    let (mut pair, session) = Pair::begun(small.clone(), config());
    let (up, _) = pair.attach(session, LinkRequest::sender("up", "x"), 9);
    let (down, of_server) = pair.attach(session, LinkRequest::receiver("down", "x"), 0);
    pair.client.grant(down, 9).unwrap();
    let large: Vec<u8> = (0..20_000_u32).flat_map(u32::to_be_bytes).take(30_000).collect();
    pair.client.send(up, outgoing(1, large.clone())).unwrap();
    let bytes = take(&mut pair.client);
    let sizes: Vec<usize> = frames(&bytes)
        .iter()
        .map(|(_, _, payload)| payload.len())
        .collect();
    assert!(sizes.len() > 60 && sizes.iter().all(|size| *size < 512));
    pair.server.receive(&bytes, 0);
    pair.told_by_server.extend(events(&mut pair.server));
    pair.settle_down();
    let told = deliveries(pair.told_by_server.make_contiguous());
    assert_eq!(&told[0].payload[..], large);
    // In the other direction one frame is enough, and its payload is not copied.
    pair.settle_down();
    let large = Bytes::from(large);
    pair.server.send(of_server, outgoing(1, large.clone())).unwrap();
    assert!(
        pair.server
            .transmit()
            .any(|slice| slice.as_ptr() == large.as_ptr())
    );
    pair.settle_down();
    let told = deliveries(pair.told_by_client.make_contiguous());
    assert_eq!(told[0].payload, large);
}

#[test]
fn a_delivery_waits_for_the_window_and_can_be_given_up() {
    let mut narrow = config();
    narrow.open.max_frame_size = 512;
    narrow.incoming_window = 4;
    let (mut pair, session) = Pair::begun(narrow, config());
    let (link, of_server) = pair.attach(session, LinkRequest::sender("up", "x"), 100);
    let first = pair.client.send(link, outgoing(1, vec![1; 5000])).unwrap();
    assert_eq!(pair.client.credit(link), Ok(0), "the link is busy");
    assert_eq!(
        pair.client.send(link, outgoing(2, vec![2; 5])),
        Err(Error::NoCredit)
    );
    pair.told_by_client.clear();
    pair.settle_down();
    let told = deliveries(pair.told_by_server.make_contiguous());
    assert_eq!(told[0].payload, vec![1; 5000]);
    assert!(pair.told_by_client.contains(&Event::LinkFlow {
        link,
        credit: 99,
        drain: false
    }));
    let state = DeliveryState::Accepted;
    pair.server
        .settle(of_server, told[0].id, told[0].id, &state)
        .unwrap();
    pair.told_by_server.clear();
    pair.settle_down();
    assert!(pair.told_by_client.contains(&Event::Disposition {
        link,
        first,
        last: first,
        settled: true,
        state: Some(state),
    }));
    // Given up half way, the next one goes through.
    pair.client.send(link, outgoing(3, vec![3; 900])).unwrap();
    assert_eq!(
        pair.client.abort(link),
        Err(Error::WrongState),
        "that one is all written"
    );
    let third = pair.client.send(link, outgoing(4, vec![4; 5000])).unwrap();
    let bytes = take(&mut pair.client);
    pair.server.receive(&bytes, 0);
    let flow = take(&mut pair.server);
    pair.client.shared.peer_max_frame = 1_000_000;
    let session_of_client = pair.client.sessions[0].as_mut().unwrap();
    session_of_client.resting = false;
    pair.client.receive(&flow, 0);
    assert_eq!(pair.client.abort(link), Ok(third));
    pair.client.send(link, outgoing(5, vec![5; 5])).unwrap();
    pair.settle_down();
    let told = deliveries(pair.told_by_server.make_contiguous());
    let payloads: Vec<usize> = told.iter().map(|delivery| delivery.payload.len()).collect();
    assert!(
        payloads.ends_with(&[5]) && !payloads.contains(&5000),
        "{payloads:?}"
    );
    assert_eq!(pair.server.shared.assembling, 0);
    assert_eq!(pair.client.unsettled(session).unwrap().1, 2);
}

#[test]
fn what_is_unsettled_narrows_the_window_and_settling_opens_it() {
    let (mut pair, session) = Pair::begun(
        Config {
            incoming_window: 8,
            ..config()
        },
        config(),
    );
    let (link, of_server) = pair.attach(session, LinkRequest::sender("up", "x"), 1000);
    let mut sent = 0;
    loop {
        match pair.client.send(link, outgoing(sent, "x")) {
            Ok(_) => sent += 1,
            Err(error) => {
                assert_eq!(error, Error::NoWindow);
                let before = sent;
                pair.settle_down();
                if pair.client.send(link, outgoing(sent, "x")).is_ok() {
                    sent += 1;
                }
                if before == sent {
                    break;
                }
            }
        }
    }
    assert!((8..=16).contains(&sent), "{sent} are unsettled");
    pair.told_by_client.clear();
    pair.server
        .settle(of_server, id(0), id(sent), &DeliveryState::Accepted)
        .unwrap();
    pair.settle_down();
    assert!(pair.told_by_client.contains(&Event::WindowOpened { session }));
    assert!(pair.client.send(link, outgoing(sent, "x")).is_ok());
}

#[test]
fn a_sender_has_no_more_unsettled_than_its_bound() {
    let (mut pair, session) = Pair::begun(
        config(),
        Config {
            max_unsettled: 3,
            ..config()
        },
    );
    let (link, of_server) = pair.attach(session, LinkRequest::sender("up", "x"), 50);
    for number in 0..3 {
        pair.client.send(link, outgoing(number, "x")).unwrap();
    }
    assert_eq!(pair.client.send(link, outgoing(3, "x")), Err(Error::NoWindow));
    let settled = Outgoing {
        settled: true,
        ..outgoing(3, "x")
    };
    assert!(pair.client.send(link, settled).is_ok());
    pair.settle_down();
    pair.told_by_client.clear();
    pair.server
        .settle(of_server, id(0), id(0), &DeliveryState::Accepted)
        .unwrap();
    pair.settle_down();
    assert!(pair.told_by_client.contains(&Event::WindowOpened { session }));
    assert_eq!(pair.client.unsettled(session), Ok((0, 2)));
}

#[test]
fn a_given_up_delivery_is_never_told() {
    let (mut engine, link) = attached(config(), Role::Sender, 50);
    let part = Transfer {
        more: true,
        ..transfer_of(0, 0)
    };
    let aborted = Transfer {
        aborted: true,
        ..part.clone()
    };
    engine.receive(&transfer_frame(&part, b"half"), 0);
    assert_eq!(engine.shared.assembling, 4);
    engine.receive(&transfer_frame(&aborted, b""), 0);
    assert_eq!(engine.shared.assembling, 0);
    engine.receive(&transfer_frame(&transfer_of(0, 1), b"whole"), 0);
    let told = deliveries(&events(&mut engine));
    assert_eq!(told.len(), 1);
    assert_eq!(&told[0].payload[..], b"whole");
    assert_eq!(engine.credit(link), Ok(48));
    let session = engine.sessions[0].as_ref().unwrap();
    assert_eq!(session.incoming.len(), 1);
}

#[test]
fn where_the_sender_settles_last_an_outcome_is_only_told() {
    let (mut pair, session) = Pair::begun(config(), config());
    let mut request = LinkRequest::sender("up", "x");
    request.terms.rcv_settle_mode = ReceiverSettleMode::Second;
    let (link, of_server) = pair.attach(session, request, 10);
    for number in 0..3 {
        pair.client.send(link, outgoing(number, "x")).unwrap();
    }
    pair.settle_down();
    pair.told_by_client.clear();
    pair.told_by_server.clear();
    let state = DeliveryState::Accepted;
    assert_eq!(pair.server.settle(of_server, id(0), id(2), &state), Ok(3));
    assert_eq!(
        pair.server.settle(of_server, id(0), id(2), &state),
        Ok(0),
        "it was told"
    );
    assert_eq!(pair.server.sessions[0].as_ref().unwrap().incoming.len(), 3);
    pair.settle_down();
    let told = Event::Disposition {
        link,
        first: id(0),
        last: id(2),
        settled: false,
        state: Some(state.clone()),
    };
    assert_eq!(pair.told_by_client, [told]);
    assert_eq!(pair.client.settle(link, id(0), id(2), &state), Ok(3));
    pair.settle_down();
    let told = Event::Disposition {
        link: of_server,
        first: id(0),
        last: id(2),
        settled: true,
        state: Some(state),
    };
    assert_eq!(pair.told_by_server, [told]);
    assert_eq!(pair.server.sessions[0].as_ref().unwrap().incoming.len(), 0);
    assert_eq!(pair.client.unsettled(session), Ok((0, 0)));
}

#[test]
fn a_link_that_settles_all_or_none_overrules_the_call() {
    for (mode, settled) in [
        (SenderSettleMode::Settled, true),
        (SenderSettleMode::Unsettled, false),
    ] {
        let (mut pair, session) = Pair::begun(config(), config());
        let mut request = LinkRequest::sender("up", "x");
        request.terms.snd_settle_mode = mode;
        let (link, _) = pair.attach(session, request, 10);
        let other = Outgoing {
            settled: !settled,
            ..outgoing(0, "x")
        };
        pair.client.send(link, other).unwrap();
        pair.settle_down();
        let told = deliveries(pair.told_by_server.make_contiguous());
        assert_eq!(told[0].settled, settled);
        assert_eq!(pair.client.unsettled(session), Ok((0, usize::from(!settled))));
    }
}

#[test]
fn a_disposition_of_every_number_costs_what_is_there_and_is_told_once() {
    let (mut engine, link) = attached(config(), Role::Receiver, 0);
    engine.receive(&frame_of(0, |out| credit_frame(0, 0, 50).write(out)), 0);
    for number in 0..10 {
        engine.send(link, outgoing(number, "x")).unwrap();
    }
    events(&mut engine);
    let all = |settled, state| disposition_frame(Role::Receiver, 0, u32::MAX >> 1, settled, state);
    let frame = all(false, Some(DeliveryState::Accepted));
    engine.receive(&frame.repeat(1000), 0);
    let told = |settled, state| Event::Disposition {
        link,
        first: id(0),
        last: id(9),
        settled,
        state,
    };
    assert_eq!(events(&mut engine), [told(false, Some(DeliveryState::Accepted))]);
    // A state that is no outcome says nothing; settlement is told once more.
    engine.receive(&all(false, None), 0);
    engine.receive(&all(true, None).repeat(1000), 0);
    assert_eq!(events(&mut engine), [told(true, None)]);
}

#[test]
fn a_disposition_is_told_by_link_and_gap() {
    let (mut engine, _) = begun(config());
    let first = attach(&mut engine, 0, "a", Role::Receiver, 0);
    let second = attach(&mut engine, 1, "b", Role::Receiver, 0);
    for handle in [0, 1] {
        engine.receive(&frame_of(0, |out| credit_frame(handle, 0, 50).write(out)), 0);
    }
    events(&mut engine);
    for link in [first, first, second, first, first, first] {
        engine.send(link, outgoing(0, "x")).unwrap();
    }
    let released = Some(DeliveryState::Released);
    engine.receive(&disposition_frame(Role::Receiver, 4, 4, true, released), 0);
    events(&mut engine);
    engine.receive(&disposition_frame(Role::Receiver, 0, 100, true, None), 0);
    let runs: Vec<(LinkId, u32, u32)> = events(&mut engine)
        .into_iter()
        .map(|event| match event {
            Event::Disposition {
                link, first, last, ..
            } => (link, first.number(), last.number()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        runs,
        [(first, 0, 1), (second, 2, 2), (first, 3, 3), (first, 5, 5)]
    );
}

#[test]
fn credit_can_be_drained() {
    let (mut pair, session) = Pair::begun(config(), config());
    let (link, of_server) = pair.attach(session, LinkRequest::receiver("down", "x"), 0);
    pair.client.grant(link, 10).unwrap();
    pair.settle_down();
    let flow = Event::LinkFlow {
        link: of_server,
        credit: 10,
        drain: false,
    };
    assert_eq!(pair.told_by_server.pop_back(), Some(flow));
    assert_eq!(pair.server.drained(of_server), Err(Error::WrongState));
    pair.client.drain(link).unwrap();
    pair.settle_down();
    let flow = Event::LinkFlow {
        link: of_server,
        credit: 10,
        drain: true,
    };
    assert_eq!(pair.told_by_server.pop_back(), Some(flow));
    pair.server.send(of_server, outgoing(0, "x")).unwrap();
    pair.server.drained(of_server).unwrap();
    assert_eq!(pair.server.credit(of_server), Ok(0));
    pair.told_by_client.clear();
    pair.settle_down();
    assert!(matches!(
        pair.told_by_client.make_contiguous(),
        [Event::Delivery(_), Event::Drained { .. }]
    ));
    assert_eq!(pair.client.credit(link), Ok(0));
    // Afterwards credit is given as ever.
    pair.client.grant(link, 2).unwrap();
    pair.settle_down();
    assert_eq!(pair.server.credit(of_server), Ok(2));
    // Draining what is empty is confirmed at once.
    pair.server.send(of_server, outgoing(0, "x")).unwrap();
    pair.server.send(of_server, outgoing(1, "x")).unwrap();
    pair.settle_down();
    pair.told_by_client.clear();
    pair.client.drain(link).unwrap();
    pair.settle_down();
    assert_eq!(pair.told_by_client, [Event::Drained { link }]);
}

#[test]
fn an_echo_is_answered_once() {
    let (mut engine, _) = attached(config(), Role::Sender, 7);
    let mut flow = credit_frame(0, 0, 0);
    flow.echo = true;
    engine.receive(&frame_of(0, |out| flow.write(out)), 0);
    let written = performatives(&mut engine);
    assert!(
        matches!(&written[..], [Performative::Flow(flow)] if flow.link_credit == Some(7) && !flow.echo),
        "{written:?}"
    );
    flow.handle = None;
    engine.receive(&frame_of(0, |out| flow.write(out)), 0);
    let written = performatives(&mut engine);
    assert!(
        matches!(&written[..], [Performative::Flow(flow)] if flow.handle.is_none() && flow.link_credit.is_none())
    );
}

#[test]
fn credit_that_is_taken_back_does_not_make_a_fault_of_what_is_on_its_way() {
    let (mut engine, link) = attached(config(), Role::Sender, 5);
    engine.grant(link, 0).unwrap();
    for number in 0..5 {
        engine.receive(&transfer_frame(&transfer_of(0, number), b"x"), 0);
    }
    assert_eq!(deliveries(&events(&mut engine)).len(), 5);
    assert_eq!(engine.credit(link), Ok(0));
    engine.receive(&transfer_frame(&transfer_of(0, 5), b"x"), 0);
    let cause = Cause::Violation(Error::CreditExceeded);
    assert_eq!(events(&mut engine), [Event::Detached { link, cause }]);
}

#[test]
fn counters_wrap_around() {
    let (mut engine, session) = begun(config());
    let mut asked = attach_of(0, "a", Role::Sender);
    asked.initial_delivery_count = Some(u32::MAX - 2);
    engine.receive(&frame_of(0, |out| asked.write(out)), 0);
    let Some(Event::AttachRequested { link, attach, .. }) = engine.next_event() else {
        panic!("no attach");
    };
    let answer = LinkAnswer {
        credit: 6,
        ..LinkAnswer::echo(&attach)
    };
    engine.accept(link, answer).unwrap();
    let ids = [u32::MAX - 1, u32::MAX, 0, 1, 2, 3];
    for number in ids {
        engine.receive(&transfer_frame(&transfer_of(0, number), b"x"), 0);
    }
    assert_eq!(deliveries(&events(&mut engine)).len(), 6);
    take(&mut engine);
    assert_eq!(
        engine.settle(link, id(u32::MAX - 1), id(3), &DeliveryState::Accepted),
        Ok(6)
    );
    assert_eq!(dispositions(&mut engine), [(u32::MAX - 1, 3, true)]);
    assert_eq!(engine.unsettled(session), Ok((0, 0)));
    assert!(id(1).is_after(id(u32::MAX)) && !id(u32::MAX).is_after(id(1)));
}

#[test]
fn what_a_detached_link_had_unsettled_is_forgotten() {
    let (mut pair, session) = Pair::begun(config(), config());
    let (link, of_server) = pair.attach(session, LinkRequest::sender("up", "x"), 10);
    for number in 0..4 {
        pair.client.send(link, outgoing(number, "x")).unwrap();
    }
    pair.settle_down();
    pair.server.detach(of_server, None).unwrap();
    assert_eq!(pair.server.sessions[0].as_ref().unwrap().incoming.len(), 0);
    pair.settle_down();
    assert_eq!(pair.client.unsettled(session), Ok((0, 0)));
    assert_eq!(
        pair.server
            .settle(of_server, id(0), id(3), &DeliveryState::Accepted),
        Err(Error::NoSuchLink)
    );
}

#[test]
fn a_delivery_above_what_the_peer_takes_is_not_sent() {
    let (mut engine, _) = begun(config());
    let mut asked = attach_of(0, "a", Role::Receiver);
    asked.max_message_size = Some(10);
    engine.receive(&frame_of(0, |out| asked.write(out)), 0);
    engine.receive(&frame_of(0, |out| credit_frame(0, 0, 5).write(out)), 0);
    let Some(Event::AttachRequested { link, attach, .. }) = engine.next_event() else {
        panic!("no attach");
    };
    engine.accept(link, LinkAnswer::echo(&attach)).unwrap();
    assert_eq!(
        engine.send(link, outgoing(0, vec![0; 11])),
        Err(Error::DeliveryTooLarge { limit: 10 })
    );
    assert!(engine.send(link, outgoing(0, vec![0; 10])).is_ok());
    assert_eq!(engine.grant(link, 1), Err(Error::WrongRole));
}
