//! Packets one by one, and random ones against a model that knows nothing of the machine.

use std::collections::BTreeMap;

use muster_model::subscription::Channel;
use muster_mqtt_codec::{Frames, disconnect, pingreq, puback, publish, subscribe, unsubscribe};
use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1 << 20;

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

fn machine() -> Machine {
    Machine::new("d", Some("dtmi:a:b;1".into()), Subscriptions::default())
}

/// Hands the machine a packet as it comes over the wire.
fn hand(machine: &mut Machine, bytes: &[u8]) -> Result<Action, Breach> {
    let mut input = bytes;
    let mut frames = Frames::default();
    let frame = frames.next(&mut input, LIMIT)?.expect("a whole packet");
    let packet = frame.packet()?;
    let outcome = machine.on(&packet);
    assert!(input.is_empty(), "one packet");
    outcome
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

fn published(topic: &str, qos: Qos, number: u16, retain: bool) -> Vec<u8> {
    let delivery = (qos != Qos::AtMostOnce).then(|| (qos, id(number)));
    let sent = Publish {
        dup: false,
        delivery,
        retain,
        topic,
        payload: b"body",
    };
    written(|out| publish(out, &sent))
}

#[test]
fn a_message_is_ingested_with_its_model_and_acknowledged_by_its_identifier() {
    let mut machine = machine();
    let bytes = published("devices/d/messages/events/a=1", Qos::AtLeastOnce, 7, true);
    let Ok(Action::Ingest(message, Some(ack))) = hand(&mut machine, &bytes) else {
        panic!("a message")
    };
    assert_eq!(ack, id(7));
    assert_eq!(message.body, b"body");
    assert_eq!(message.system.data_schema.as_deref(), Some("dtmi:a:b;1"));
    let retained = ("mqtt-retain".to_owned(), "true".to_owned());
    assert_eq!(message.application, [("a".to_owned(), "1".to_owned()), retained]);
    let bytes = published("devices/d/messages/events/", Qos::AtMostOnce, 7, false);
    assert!(matches!(hand(&mut machine, &bytes), Ok(Action::Ingest(_, None))));
}

#[test]
fn each_breach_says_what_it_is() {
    let topic = "devices/d/messages/events/";
    let large = Publish {
        dup: false,
        delivery: None,
        retain: false,
        topic,
        payload: &vec![0; 262_145],
    };
    for (bytes, what) in [
        (published(topic, Qos::ExactlyOnce, 1, false), "qos-2"),
        (
            published("devices/e/messages/events/", Qos::AtMostOnce, 1, false),
            "topic",
        ),
        (
            published("devices/d/messages/events/a=%ff", Qos::AtMostOnce, 1, false),
            "message",
        ),
        (written(|out| publish(out, &large)), "message"),
        (vec![0x20, 2, 0, 0], "out-of-place"),
        (vec![0x50, 2, 0, 1], "out-of-place"),
        (vec![0x62, 2, 0, 1], "out-of-place"),
        (vec![0xd0, 0], "out-of-place"),
        (vec![0xf0, 0], "malformed"),
        (vec![0x82, 2, 0, 1], "malformed"),
    ] {
        let breach = hand(&mut machine(), &bytes).unwrap_err();
        assert_eq!(breach.as_str(), what, "{breach}");
    }
}

#[test]
fn subscriptions_of_an_earlier_connection_count_from_the_first_packet() {
    let kept: Subscriptions = [(Channel::TwinResponses, Assurance::AtMostOnce)]
        .into_iter()
        .collect();
    let mut machine = Machine::new("d", None, kept.clone());
    let bytes = published("$iothub/twin/GET/?$rid=1", Qos::AtMostOnce, 1, false);
    assert_eq!(
        hand(&mut machine, &bytes),
        Ok(Action::TwinRefused {
            rid: "1".into(),
            ack: None,
            heard: true
        })
    );
    // The same once more changes nothing, so nothing needs to be stored.
    let same = written(|out| subscribe(out, id(1), &[("$iothub/twin/res/#", Qos::AtMostOnce)]));
    let Ok(Action::Subscribed { changed: false, .. }) = hand(&mut machine, &same) else {
        panic!("nothing has changed")
    };
    assert_eq!(*machine.subscriptions(), kept);
}

/// Filters, and what lies behind those that are offered.
const FILTERS: &[(&str, Option<Channel>)] = &[
    ("$iothub/twin/res/#", Some(Channel::TwinResponses)),
    (
        "$iothub/twin/PATCH/properties/desired/#",
        Some(Channel::DesiredProperties),
    ),
    ("$iothub/methods/POST/#", Some(Channel::MethodRequests)),
    ("devices/d/messages/devicebound/#", Some(Channel::DeviceBound)),
    ("devices/e/messages/devicebound/#", None),
    ("$iothub/#", None),
    ("#", None),
    ("a/+/b", None),
];

/// What a topic is for.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    Answer,
    Message,
    Nothing,
    Twin,
    Unreadable,
}

const TOPICS: &[(&str, Purpose)] = &[
    ("devices/d/messages/events/", Purpose::Message),
    ("devices/d/messages/events", Purpose::Message),
    ("devices/d/messages/events/a=b/", Purpose::Message),
    ("$iothub/twin/GET/?$rid=42", Purpose::Twin),
    (
        "$iothub/twin/PATCH/properties/reported/?$rid=42&$version=3",
        Purpose::Twin,
    ),
    ("$iothub/methods/res/200/?$rid=1", Purpose::Answer),
    ("devices/d/messages/events/a=%ff", Purpose::Unreadable),
    ("devices/e/messages/events/", Purpose::Nothing),
    ("$iothub/twin/GET/", Purpose::Nothing),
    ("a/b", Purpose::Nothing),
];

/// What a client does.
#[derive(Clone, Debug)]
enum Step {
    Acknowledge(u16),
    Goodbye,
    Ping,
    Publish {
        topic: usize,
        qos: u8,
        id: u16,
        retain: bool,
    },
    /// A packet that only servers send, or that belongs to delivery exactly once.
    Strange(u8),
    Subscribe(u16, Vec<(usize, u8)>),
    Unsubscribe(u16, Vec<usize>),
}

fn step() -> impl Strategy<Value = Step> {
    let number = 1..=u16::MAX;
    let filter = 0..FILTERS.len();
    prop_oneof![
        number.clone().prop_map(Step::Acknowledge),
        Just(Step::Goodbye),
        Just(Step::Ping),
        (0..TOPICS.len(), 0..3_u8, number.clone(), any::<bool>()).prop_map(|(topic, qos, id, retain)| {
            Step::Publish {
                topic,
                qos,
                id,
                retain,
            }
        }),
        prop::sample::select(vec![0x50_u8, 0x62, 0x70, 0xb0]).prop_map(Step::Strange),
        (
            number.clone(),
            prop::collection::vec((filter.clone(), 0..3_u8), 1..5)
        )
            .prop_map(|(id, filters)| Step::Subscribe(id, filters)),
        (number, prop::collection::vec(filter, 1..5))
            .prop_map(|(id, filters)| Step::Unsubscribe(id, filters)),
    ]
}

fn bytes_of(step: &Step) -> Vec<u8> {
    written(|out| match step {
        Step::Acknowledge(number) => puback(out, id(*number)),
        Step::Goodbye => disconnect(out),
        Step::Ping => pingreq(out),
        Step::Publish {
            topic,
            qos,
            id,
            retain,
        } => {
            out.extend(published(TOPICS[*topic].0, Qos::of(*qos).unwrap(), *id, *retain));
        }
        Step::Strange(first) => out.extend([*first, 2, 0, 9]),
        Step::Subscribe(number, filters) => {
            let filters: Vec<_> = filters
                .iter()
                .map(|(filter, qos)| (FILTERS[*filter].0, Qos::of(*qos).unwrap()))
                .collect();
            subscribe(out, id(*number), &filters);
        }
        Step::Unsubscribe(number, filters) => {
            let filters: Vec<_> = filters.iter().map(|filter| FILTERS[*filter].0).collect();
            unsubscribe(out, id(*number), &filters);
        }
    })
}

/// What the standard and the vendor's documents make of a session: each filter that is offered, with what was granted.
#[derive(Default)]
struct Model(BTreeMap<Channel, u8>);

impl Model {
    /// Tells in a text what is to be done.
    fn on(&mut self, step: &Step) -> String {
        match step {
            Step::Acknowledge(_) => "nothing".into(),
            Step::Goodbye => "end".into(),
            Step::Ping => "pong".into(),
            Step::Publish { topic, qos, id, .. } => {
                let ack = if *qos == 0 { 0 } else { *id };
                match TOPICS[*topic].1 {
                    _ if *qos == 2 => "close qos-2".into(),
                    Purpose::Answer if ack == 0 => "nothing".into(),
                    Purpose::Answer => format!("acknowledge {ack}"),
                    Purpose::Message => format!("keep, then acknowledge {ack}"),
                    Purpose::Nothing => "close topic".into(),
                    Purpose::Twin => {
                        let heard = self.0.contains_key(&Channel::TwinResponses);
                        format!("acknowledge {ack}, refuse 42 to {heard}")
                    }
                    Purpose::Unreadable => "close message".into(),
                }
            }
            Step::Strange(_) => "close out-of-place".into(),
            Step::Subscribe(id, filters) => {
                let before = self.0.clone();
                let mut codes = Vec::new();
                for (filter, qos) in filters {
                    let granted = (*qos).min(1);
                    codes.push(match FILTERS[*filter].1 {
                        Some(channel) => {
                            self.0.insert(channel, granted);
                            granted
                        }
                        None => 0x80,
                    });
                }
                format!("suback {id} {codes:?} store {}", self.0 != before)
            }
            Step::Unsubscribe(id, filters) => {
                let before = self.0.len();
                self.0
                    .retain(|channel, _| !filters.iter().any(|filter| FILTERS[*filter].1 == Some(*channel)));
                format!("unsuback {id} store {}", self.0.len() != before)
            }
        }
    }
}

fn told(outcome: &Result<Action, Breach>) -> String {
    let number = |id: &Option<PacketId>| id.map_or(0, PacketId::get);
    match outcome {
        Ok(Action::Acknowledged(id)) => format!("acknowledge {id}"),
        Ok(Action::Done) => "nothing".into(),
        Ok(Action::End) => "end".into(),
        Ok(Action::Ingest(_, id)) => format!("keep, then acknowledge {}", number(id)),
        Ok(Action::Pong) => "pong".into(),
        Ok(Action::Subscribed { id, codes, changed }) => format!("suback {id} {codes:?} store {changed}"),
        Ok(Action::TwinRefused { rid, ack, heard }) => {
            format!("acknowledge {}, refuse {rid} to {heard}", number(ack))
        }
        Ok(Action::Unsubscribed { id, changed }) => format!("unsuback {id} store {changed}"),
        Err(breach) => format!("close {}", breach.as_str()),
    }
}

proptest! {
    #[test]
    fn machine_and_model_agree_on_every_packet(steps in prop::collection::vec(step(), 0..60)) {
        let mut machine = machine();
        let mut model = Model::default();
        for step in steps {
            let outcome = hand(&mut machine, &bytes_of(&step));
            prop_assert_eq!(told(&outcome), model.on(&step), "{:?}", step);
            let held: Vec<_> = machine
                .subscriptions()
                .iter()
                .map(|(channel, assurance)| (channel, u8::from(assurance == Assurance::AtLeastOnce)))
                .collect();
            let wanted: Vec<_> = model.0.iter().map(|(channel, qos)| (*channel, *qos)).collect();
            prop_assert_eq!(held, wanted);
        }
    }

    #[test]
    fn arbitrary_bodies_of_packets_never_panic_and_a_refused_one_changes_nothing(
        first in any::<u8>(), body in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        let mut bytes = vec![first, body.len().to_le_bytes()[0]];
        bytes.extend(&body);
        let mut machine = machine();
        if hand(&mut machine, &bytes).is_err() {
            prop_assert!(machine.subscriptions().is_empty());
        }
    }
}
