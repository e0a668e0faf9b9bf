//! The connection against a scripted server in memory.

use muster_model::RegistrationId;
use muster_mqtt_codec::{Connack, connack, pingresp, suback};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::mqtt::registrar::registered;

const OPENING: Opening<'_> = Opening {
    client_id: "d",
    user_name: "h.example/d/?api-version=2021-04-12",
    password: Some("secret"),
    keep_alive: 60,
    window: 3,
};

/// The far end: reads packets, and writes what a test says, in pieces of a size.
struct Far {
    stream: DuplexStream,
    frames: Frames,
    held: Vec<u8>,
    piece: usize,
}

impl Far {
    /// Reads one packet and tells it.
    async fn told(&mut self) -> String {
        loop {
            let mut input = self.held.as_slice();
            let told = self.frames.next(&mut input, LARGEST).unwrap().map(|frame| {
                let packet = frame.packet().unwrap();
                match packet {
                    Packet::Connect(connect) => format!(
                        "CONNECT {} {} {}",
                        connect.client_id,
                        connect.user_name.unwrap_or_default(),
                        String::from_utf8_lossy(connect.password.unwrap_or_default()),
                    ),
                    Packet::Publish(publish) => format!(
                        "PUBLISH {} {} {}",
                        publish.delivery.unwrap().1,
                        publish.topic,
                        String::from_utf8_lossy(publish.payload),
                    ),
                    Packet::Puback(id) => format!("PUBACK {id}"),
                    Packet::Subscribe(id, mut filters) => {
                        format!("SUBSCRIBE {id} {}", filters.next().unwrap().0)
                    }
                    other => other.name().to_owned(),
                }
            });
            self.held = input.to_vec();
            if let Some(told) = told {
                return told;
            }
            let mut chunk = [0; 10_000];
            let length = self.stream.read(&mut chunk).await.unwrap();
            if length == 0 {
                return "end".to_owned();
            }
            self.held.extend_from_slice(&chunk[..length]);
        }
    }

    async fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        write(&mut bytes);
        for piece in bytes.chunks(self.piece) {
            self.stream.write_all(piece).await.unwrap();
            self.stream.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
    }

    async fn accept(&mut self, code: ConnectCode) {
        self.write(|out| {
            connack(
                out,
                Connack {
                    session_present: false,
                    code,
                },
            );
        })
        .await;
    }

    async fn acknowledge(&mut self, id: u16) {
        self.write(|out| puback(out, PacketId::new(id).unwrap())).await;
    }
}

/// A stream that holds `held` bytes, with a far end that writes `piece` bytes at a time.
fn pair(held: usize, piece: usize) -> (Box<dyn Wire>, Far) {
    let (near, stream) = duplex(held);
    let far = Far {
        stream,
        frames: Frames::default(),
        held: Vec::new(),
        piece,
    };
    (Box::new(near), far)
}

async fn opened() -> (Connection, Far) {
    let (near, mut far) = pair(1 << 20, 1 << 20);
    let accept = async {
        let told = far.told().await;
        far.accept(ConnectCode::Accepted).await;
        told
    };
    let (connection, told) = tokio::join!(Connection::open(near, "h:8883".to_owned(), &OPENING), accept);
    assert_eq!(told, "CONNECT d h.example/d/?api-version=2021-04-12 secret");
    (connection.unwrap(), far)
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

#[tokio::test]
async fn every_refusal_is_told_with_its_meaning() {
    for code in ConnectCode::ALL.into_iter().skip(1) {
        let (near, mut far) = pair(1000, 1000);
        let (outcome, ()) = tokio::join!(
            Connection::open(near, "h:8883".to_owned(), &OPENING),
            far.accept(code)
        );
        let Err(error @ Error::NotAccepted { .. }) = outcome else {
            panic!("{code:?} was taken for an acceptance")
        };
        let text = error.to_string();
        assert!(text.contains(&format!("CONNACK {}, ", code.number())), "{text}");
        assert!(!text.contains("does not know"), "{text}");
    }
}

#[tokio::test]
async fn the_window_is_filled_and_opens_as_acknowledgements_come_in_any_order() {
    let (mut connection, mut far) = opened().await;
    for number in 1..=3 {
        assert_eq!(connection.publish("t", b"x").unwrap(), Some(id(number)));
    }
    assert!(!connection.has_room());
    assert_eq!(connection.publish("t", b"x").unwrap(), None);
    let server = async {
        for number in 1..=3 {
            assert_eq!(far.told().await, format!("PUBLISH {number} t x"));
        }
        far.acknowledge(2).await;
        far.acknowledge(1).await;
    };
    let client = async {
        assert_eq!(connection.next().await.unwrap(), Event::Acknowledged(id(2)));
        assert_eq!(connection.next().await.unwrap(), Event::Acknowledged(id(1)));
        assert_eq!(connection.waiting(), 1);
        assert_eq!(connection.publish("t", b"x").unwrap(), Some(id(4)));
    };
    tokio::join!(server, client);
}

#[tokio::test]
async fn numbers_of_waiting_messages_are_not_given_again() {
    let (mut connection, _far) = opened().await;
    assert_eq!(connection.publish("t", b"").unwrap(), Some(id(1)));
    connection.last = u16::MAX;
    assert_eq!(connection.publish("t", b"").unwrap(), Some(id(2)));
}

#[tokio::test]
async fn packets_in_pieces_are_put_together() {
    // One byte at a time in both directions.
    let (near, mut far) = pair(1, 1);
    let body = "b".repeat(9_000);
    let server = async {
        assert!(far.told().await.starts_with("CONNECT d "));
        far.accept(ConnectCode::Accepted).await;
        assert_eq!(
            far.told().await,
            format!("PUBLISH 1 devices/d/messages/events/ {body}")
        );
        let message = Publish {
            dup: false,
            delivery: Some((Qos::AtLeastOnce, id(7))),
            retain: false,
            topic: "t",
            payload: body.as_bytes(),
        };
        far.write(|out| publish(out, &message)).await;
        far.acknowledge(1).await;
        assert_eq!(far.told().await, "PUBACK 7");
    };
    let client = async {
        let mut connection = Connection::open(near, "h:8883".to_owned(), &OPENING)
            .await
            .unwrap();
        connection
            .publish("devices/d/messages/events/", body.as_bytes())
            .unwrap();
        let message = connection.next().await.unwrap();
        let expected = Event::Message {
            topic: "t".to_owned(),
            body: body.clone().into_bytes(),
        };
        assert_eq!(message, expected);
        assert_eq!(connection.next().await.unwrap(), Event::Acknowledged(id(1)));
        // The acknowledgement of the message is written by whoever waits for the next one, which does not come.
        let never = connection.next().await;
        panic!("{never:?}")
    };
    tokio::select! {
        () = server => {}
        () = client => {}
    }
}

#[tokio::test]
async fn a_sent_message_is_waited_for() {
    let (mut connection, mut far) = opened().await;
    let server = async {
        assert_eq!(far.told().await, "PUBLISH 1 t x");
        far.acknowledge(1).await;
    };
    let (sent, ()) = tokio::join!(connection.send("t", b"x"), server);
    sent.unwrap();
    let told = async {
        assert_eq!(far.told().await, "DISCONNECT");
        assert_eq!(far.told().await, "end");
    };
    let (gone, ()) = tokio::join!(connection.disconnect(), told);
    gone.unwrap();
}

#[tokio::test]
async fn what_a_server_may_not_send_ends_the_connection() {
    let scripts: [&[u8]; 5] = [
        // PUBACK for what was not sent, CONNACK again, PINGRESP unasked, a client's packet, more than is taken.
        &[0x40, 2, 0, 9],
        &[0x20, 2, 0, 0],
        &[0xd0, 0],
        &[0xc0, 0],
        &[0x30, 0xff, 0xff, 0xff, 0x7f],
    ];
    for script in scripts {
        let (mut connection, mut far) = opened().await;
        far.write(|out| out.extend_from_slice(script)).await;
        let error = connection.next().await.unwrap_err();
        assert!(matches!(error, Error::Unexpected(_)), "{script:?}: {error}");
    }
    let (mut connection, far) = opened().await;
    drop(far);
    let error = connection.next().await.unwrap_err();
    assert!(error.to_string().contains("the server closed it"), "{error}");
}

#[tokio::test]
async fn a_server_that_died_is_told_in_our_words() {
    let (connection, _far) = opened().await;
    let cut = io::Error::new(io::ErrorKind::UnexpectedEof, "see https://example/manual");
    let told = connection.broken(&cut).to_string();
    assert_eq!(
        told,
        "the connection to h:8883 broke: the server was gone without a goodbye"
    );
}

#[tokio::test]
async fn messages_that_no_server_takes_are_not_sent() {
    let (mut connection, _far) = opened().await;
    assert!(connection.publish(&"t".repeat(LONGEST_TOPIC + 1), b"").is_err());
    assert!(connection.publish("t", &vec![0; MAX_MESSAGE + 1]).is_err());
    assert_eq!(connection.waiting(), 0);
    // Bytes are bounded as messages are.
    let body = vec![0; MAX_MESSAGE];
    assert!(connection.publish("t", &body).unwrap().is_some());
    assert!(connection.publish("t", &body).unwrap().is_none());
}

#[tokio::test]
async fn silence_is_broken_by_a_ping_and_ended_when_no_answer_comes() {
    let (mut connection, mut far) = opened().await;
    // As if the time of keep-alive had passed.
    connection.keep_alive = Duration::from_nanos(1);
    connection.timer = Some(Box::pin(sleep_until(Instant::now())));
    let server = async {
        assert_eq!(far.told().await, "PINGREQ");
        far.write(pingresp).await;
        assert_eq!(far.told().await, "PINGREQ");
        far.accept(ConnectCode::Accepted).await;
    };
    let (ended, ()) = tokio::join!(connection.next(), server);
    let ended = ended.unwrap_err();
    assert!(ended.to_string().contains("CONNACK came unasked"), "{ended}");
    connection.pinged = Instant::now().checked_sub(PATIENCE);
    connection.timer = Some(Box::pin(sleep_until(Instant::now())));
    let error = connection.next().await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn a_subscription_that_is_not_granted_is_told() {
    for (code, granted) in [(1, true), (0x80, false)] {
        let (mut connection, mut far) = opened().await;
        let server = async {
            assert_eq!(far.told().await, "SUBSCRIBE 1 f/#");
            far.write(|out| suback(out, id(1), &[code])).await;
        };
        let (outcome, ()) = tokio::join!(connection.subscribe("f/#"), server);
        assert_eq!(outcome.is_ok(), granted);
    }
}

#[tokio::test]
async fn a_registration_ends_with_what_the_server_says() {
    let assigned = r#"{"operationId":"5.x","status":"assigned","registrationState":{"registrationId":"d","assignedHub":"h.example","deviceId":"d","status":"assigned"}}"#;
    let refused = r#"{"errorCode":401002,"trackingId":"7e1f0b52-1c0e-4bb5-9a52-6c1f0d4e2a11","message":"Unauthorized","timestampUtc":"2026-11-01T00:00:00Z"}"#;
    for (status, body) in [(200, assigned), (401, refused)] {
        let (mut connection, mut far) = opened().await;
        let server = async {
            assert_eq!(far.told().await, "SUBSCRIBE 1 $dps/registrations/res/#");
            far.write(|out| suback(out, id(1), &[1])).await;
            assert_eq!(
                far.told().await,
                "PUBLISH 2 $dps/registrations/PUT/iotdps-register/?$rid=1 {\"registrationId\":\"d\"}"
            );
            far.acknowledge(2).await;
            let topic = format!("$dps/registrations/res/{status}/?$rid=1");
            let answer = Publish {
                dup: false,
                delivery: Some((Qos::AtLeastOnce, id(1))),
                retain: false,
                topic: &topic,
                payload: body.as_bytes(),
            };
            far.write(|out| publish(out, &answer)).await;
        };
        let device = RegistrationId::parse("d").unwrap();
        let (outcome, ()) = tokio::join!(registered(&mut connection, &device, None), server);
        match outcome {
            Ok(outcome) => assert!(status == 200 && outcome.is_assigned()),
            Err(Error::Refused { tracking_id, .. }) => assert!(status == 401 && tracking_id.is_some()),
            Err(other) => panic!("{other}"),
        }
    }
}
