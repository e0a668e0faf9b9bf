//! The machine against itself and against frames written by hand.

mod deliveries;
mod handshake;
mod links;
mod model;
mod violations;

use std::collections::VecDeque;
use std::sync::Arc;

use super::*;
use crate::codec::Reader;
use crate::frame::{self, FrameKind, Layer};
use crate::performative::{
    Attach, Begin, Close, Detach, Disposition, End, Flow, Open, Performative, Role, Transfer,
};
use crate::terminus::{Source, Target};

/// A configuration for tests: no SASL, no idle time-out, small numbers.
fn config() -> Config {
    let mut config = Config::default();
    config.open.container_id = "test".to_owned();
    config.open.idle_time_out = None;
    config.incoming_window = 100;
    config
}

fn server(config: Config) -> Engine {
    Engine::server(Arc::new(config), 0)
}

fn client(config: Config) -> Engine {
    Engine::client(Arc::new(config), 0)
}

/// What an engine has to write, written.
fn take(engine: &mut Engine) -> Vec<u8> {
    let bytes: Vec<u8> = engine.transmit().flatten().copied().collect();
    assert_eq!(bytes.len(), engine.pending_output());
    engine.transmitted(bytes.len());
    assert_eq!(engine.pending_output(), 0);
    bytes
}

fn events(engine: &mut Engine) -> Vec<Event> {
    std::iter::from_fn(|| engine.next_event()).collect()
}

/// The frames in some bytes, with their payloads; a protocol header may come first.
fn frames(bytes: &[u8]) -> Vec<(u16, Performative, Vec<u8>)> {
    let mut rest = bytes;
    if rest.starts_with(b"AMQP") {
        rest = &rest[8..];
    }
    let mut found = Vec::new();
    while let Some(size) = frame::size(rest, u32::MAX).unwrap() {
        let frame = frame::parse(&rest[..size]).unwrap();
        rest = &rest[size..];
        assert_eq!(frame.kind, FrameKind::Amqp);
        if frame.body.is_empty() {
            continue;
        }
        let mut reader = Reader::new(frame.body);
        let performative = Performative::read(&mut reader).unwrap();
        found.push((frame.channel, performative, reader.rest().to_vec()));
    }
    assert!(rest.is_empty(), "half a frame");
    found
}

fn performatives(engine: &mut Engine) -> Vec<Performative> {
    let bytes = take(engine);
    frames(&bytes)
        .into_iter()
        .map(|(_, performative, _)| performative)
        .collect()
}

/// A frame by hand.
fn frame_of(channel: u16, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write(&mut out, FrameKind::Amqp, channel, body);
    out
}

fn open_frame(open: &Open) -> Vec<u8> {
    frame_of(0, |out| open.write(out))
}

fn peer_open() -> Open {
    Open {
        container_id: "peer".to_owned(),
        ..Open::default()
    }
}

fn begin_frame(channel: u16) -> Vec<u8> {
    let begin = Begin {
        next_outgoing_id: 0,
        incoming_window: 100,
        outgoing_window: 100,
        ..Begin::default()
    };
    frame_of(channel, |out| begin.write(out))
}

fn attach_of(handle: u32, name: &str, role: Role) -> Attach {
    Attach {
        name: name.to_owned(),
        handle,
        role,
        snd_settle_mode: crate::SenderSettleMode::Mixed,
        rcv_settle_mode: crate::ReceiverSettleMode::First,
        source: Some(Source::at("here")),
        target: Some(Target::at("there")),
        initial_delivery_count: (role == Role::Sender).then_some(0),
        max_message_size: None,
        offered_capabilities: Vec::new(),
        desired_capabilities: Vec::new(),
        properties: None,
    }
}

fn attach_frame(handle: u32, name: &str, role: Role) -> Vec<u8> {
    let attach = attach_of(handle, name, role);
    frame_of(0, |out| attach.write(out))
}

fn detach_frame(handle: u32) -> Vec<u8> {
    let detach = Detach {
        handle,
        closed: true,
        error: None,
    };
    frame_of(0, |out| detach.write(out))
}

fn transfer_of(handle: u32, id: u32) -> Transfer {
    Transfer {
        handle,
        delivery_id: Some(id),
        delivery_tag: Some(id.into()),
        message_format: Some(0),
        settled: Some(false),
        more: false,
        rcv_settle_mode: None,
        state: None,
        resume: false,
        aborted: false,
        batchable: false,
    }
}

fn transfer_frame(transfer: &Transfer, payload: &[u8]) -> Vec<u8> {
    frame_of(0, |out| {
        transfer.write(out);
        out.extend_from_slice(payload);
    })
}

fn disposition_frame(
    role: Role,
    first: u32,
    last: u32,
    settled: bool,
    state: Option<DeliveryState>,
) -> Vec<u8> {
    let disposition = Disposition {
        role,
        first,
        last: Some(last),
        settled,
        state,
        batchable: false,
    };
    frame_of(0, |out| disposition.write(out))
}

fn credit_frame(handle: u32, delivery_count: u32, credit: u32) -> Flow {
    Flow {
        next_incoming_id: None,
        incoming_window: 100,
        next_outgoing_id: 0,
        outgoing_window: 100,
        handle: Some(handle),
        delivery_count: Some(delivery_count),
        link_credit: Some(credit),
        available: None,
        drain: false,
        echo: false,
        properties: None,
    }
}

/// A server whose peer has opened, begun a session, and been heard.
fn begun(config: Config) -> (Engine, SessionId) {
    let mut engine = server(config);
    let hello = [
        &Layer::Amqp.header()[..],
        &open_frame(&peer_open()),
        &begin_frame(0),
    ];
    engine.receive(&hello.concat(), 0);
    let mut told = events(&mut engine);
    let Some(Event::SessionBegun { session, .. }) = told.pop() else {
        panic!("no session");
    };
    take(&mut engine);
    (engine, session)
}

/// Such a server with a link that the peer asked for, taken with some credit.
fn attached(config: Config, role: Role, credit: u32) -> (Engine, LinkId) {
    let (mut engine, _) = begun(config);
    let link = attach(&mut engine, 0, "link", role, credit);
    (engine, link)
}

fn attach(engine: &mut Engine, handle: u32, name: &str, role: Role, credit: u32) -> LinkId {
    engine.receive(&attach_frame(handle, name, role), 0);
    let told = events(engine);
    let [Event::AttachRequested { link, attach, .. }] = &told[..] else {
        panic!("no attach: {told:?}");
    };
    let answer = LinkAnswer {
        credit,
        max_message_size: 1000,
        ..LinkAnswer::echo(attach)
    };
    engine.accept(*link, answer).unwrap();
    take(engine);
    *link
}

fn outgoing(tag: u32, payload: impl Into<Bytes>) -> Outgoing {
    Outgoing {
        tag: tag.into(),
        message_format: 0,
        settled: false,
        payload: payload.into(),
    }
}

/// Two engines and what was told by each.
struct Pair {
    server: Engine,
    client: Engine,
    told_by_server: VecDeque<Event>,
    told_by_client: VecDeque<Event>,
}

impl Pair {
    fn new(of_server: Config, of_client: Config) -> Self {
        Self {
            server: server(of_server),
            client: client(of_client),
            told_by_server: VecDeque::new(),
            told_by_client: VecDeque::new(),
        }
    }

    /// Moves bytes until both are silent.
    fn settle_down(&mut self) {
        loop {
            let (up, down) = (take(&mut self.client), take(&mut self.server));
            if up.is_empty() && down.is_empty() {
                return;
            }
            self.server.receive(&up, 0);
            self.client.receive(&down, 0);
            self.told_by_server.extend(events(&mut self.server));
            self.told_by_client.extend(events(&mut self.client));
        }
    }

    /// Two that have opened, and a session that the client has begun.
    fn begun(of_server: Config, of_client: Config) -> (Self, SessionId) {
        let mut pair = Self::new(of_server, of_client);
        pair.settle_down();
        let session = pair.client.begin().unwrap();
        pair.settle_down();
        pair.told_by_client.clear();
        pair.told_by_server.clear();
        (pair, session)
    }

    /// Attaches a link that the client asks for; the link of the client and of the server.
    fn attach(&mut self, session: SessionId, request: LinkRequest, credit: u32) -> (LinkId, LinkId) {
        let of_client = self.client.attach(session, request).unwrap();
        self.settle_down();
        let Some(Event::AttachRequested { link, attach, .. }) = self.told_by_server.pop_back() else {
            panic!("no attach");
        };
        let answer = LinkAnswer {
            credit,
            ..LinkAnswer::echo(&attach)
        };
        self.server.accept(link, answer).unwrap();
        self.settle_down();
        let taken = std::mem::take(&mut self.told_by_client);
        assert!(
            taken
                .iter()
                .any(|event| matches!(event, Event::Attached { link, .. } if *link == of_client))
        );
        (of_client, link)
    }
}

#[test]
fn engines_can_be_sent_between_threads() {
    fn sendable<T: Send>() {}
    sendable::<Engine>();
    sendable::<Event>();
}

#[test]
fn an_idle_connection_holds_at_most_2_kib() {
    let (mut pair, session) = Pair::begun(config(), config());
    let (sender, _) = pair.attach(
        session,
        LinkRequest::sender("up", "/devices/dev1/messages/events"),
        100,
    );
    let receiver = LinkRequest::receiver("down", "/devices/dev1/messages/devicebound");
    let (_, down) = pair.attach(session, receiver, 0);
    // After traffic, and at rest again.
    for number in 0..50 {
        pair.client.send(sender, outgoing(number, vec![0; 1000])).unwrap();
    }
    pair.settle_down();
    for event in std::mem::take(&mut pair.told_by_server) {
        if let Event::Delivery(delivery) = event {
            pair.server
                .settle(delivery.link, delivery.id, delivery.id, &DeliveryState::Accepted)
                .unwrap();
        }
    }
    pair.settle_down();
    assert_eq!(pair.server.credit(down), Ok(0));
    let inline = size_of::<Engine>();
    for engine in [&pair.server, &pair.client] {
        assert!(
            inline + engine.heap_size() <= 2048,
            "{inline} + {}",
            engine.heap_size()
        );
    }
}
