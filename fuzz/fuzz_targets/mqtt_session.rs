//! A device's bytes to its session, behind CONNECT.
//!
//! Holds that each filter gets one code, that subscriptions change where the machine says so and nowhere else, that what
//! was refused changed nothing, that an acknowledgement goes to the packet that asks for one, and that messages keep
//! their bound.

#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_model::message::MAX_MESSAGE;
use muster_model::subscription::Subscriptions;
use muster_mqtt::{Action, Breach, Machine};
use muster_mqtt_codec::{Frames, Packet, Qos};

const LIMIT: usize = MAX_MESSAGE + 65_535 + 16;

fuzz_target!(|bytes: &[u8]| {
    let mut machine = Machine::new("d", None, Subscriptions::default());
    let mut frames = Frames::default();
    let mut input = bytes;
    while let Ok(Some(frame)) = frames.next(&mut input, LIMIT) {
        let Ok(packet) = frame.packet() else { return };
        let before = machine.subscriptions().clone();
        let outcome = machine.on(&packet);
        let kept = machine.subscriptions() == &before;
        match (&packet, outcome) {
            (_, Err(breach)) => {
                assert!(kept, "{breach}");
                if matches!(&packet, Packet::Publish(publish) if publish.qos() == Qos::ExactlyOnce) {
                    assert_eq!(breach, Breach::QosTwo);
                }
                return;
            }
            (
                Packet::Subscribe(id, filters),
                Ok(Action::Subscribed {
                    id: answered,
                    codes,
                    changed,
                }),
            ) => {
                assert_eq!((answered, codes.len()), (*id, filters.clone().count()));
                assert!(codes.iter().all(|code| matches!(code, 0 | 1 | 0x80)));
                assert_eq!(changed, !kept);
            }
            (
                Packet::Unsubscribe(id, _),
                Ok(Action::Unsubscribed {
                    id: answered,
                    changed,
                }),
            ) => {
                assert_eq!(answered, *id);
                assert_eq!(changed, !kept);
            }
            (Packet::Publish(publish), Ok(action)) => {
                assert!(kept);
                let wanted = publish.delivery.map(|(_, id)| id);
                let ack = match action {
                    Action::Acknowledged(id) => Some(id),
                    Action::Done => None,
                    Action::Ingest(message, ack) => {
                        assert!(message.size() <= MAX_MESSAGE);
                        ack
                    }
                    Action::TwinRefused { rid, ack, .. } => {
                        assert!(publish.topic.contains(&rid));
                        ack
                    }
                    other => panic!("{other:?} for a PUBLISH"),
                };
                assert_eq!(ack, wanted);
            }
            (Packet::Disconnect, Ok(Action::End)) => return,
            (Packet::Pingreq, Ok(Action::Pong)) | (Packet::Puback(_), Ok(Action::Done)) => assert!(kept),
            (packet, Ok(action)) => panic!("{action:?} for {}", packet.name()),
        }
    }
});
