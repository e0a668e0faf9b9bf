//! Two engines back to back, byte streams cut at random, random calls: what one sent the other got, once and in order,
//! and both agree on credit and settlement in the end.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::{ReceiverSettleMode, SenderSettleMode};

/// One thing that may happen.
#[derive(Clone, Debug)]
enum Action {
    /// Moves this many bytes from the client, or from the server.
    Move(bool, u16),
    /// Attaches a link if there is room: the client's role, who settles last, credit.
    Attach(Role, bool, u8),
    /// Sends this many octets on one of the links, settled or not.
    Send(u8, u16, bool),
    Grant(u8, u8),
    /// Settles what the receiver of one of the links has got, as a range over so many.
    Settle(u8, u8, u8),
    Drain(u8),
    Abort(u8),
    /// Detaches one of the links, from the client or from the server.
    Detach(u8, bool),
    Tick(u16),
}

fn any_action() -> impl Strategy<Value = Action> {
    let role = any::<bool>().prop_map(|sender| if sender { Role::Sender } else { Role::Receiver });
    prop_oneof![
        16 => (any::<bool>(), 1..2000_u16).prop_map(|(up, count)| Action::Move(up, count)),
        1 => (role, any::<bool>(), 0..20_u8).prop_map(|(role, second, credit)| Action::Attach(role, second, credit)),
        16 => (any::<u8>(), 0..3000_u16, any::<bool>()).prop_map(|(link, size, settled)| Action::Send(link, size, settled)),
        5 => (any::<u8>(), 0..30_u8).prop_map(|(link, credit)| Action::Grant(link, credit)),
        8 => (any::<u8>(), 0..9_u8, 0..4_u8).prop_map(|(link, count, state)| Action::Settle(link, count, state)),
        1 => any::<u8>().prop_map(Action::Drain),
        1 => any::<u8>().prop_map(Action::Abort),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(link, client)| Action::Detach(link, client)),
        1 => (0..1000_u16).prop_map(Action::Tick),
    ]
}

/// A link as the model knows it, by its name.
#[derive(Debug, Default)]
struct Model {
    client: Option<LinkId>,
    server: Option<LinkId>,
    client_sends: bool,
    /// Payloads that were sent and have not arrived, with whether they were settled.
    on_the_way: VecDeque<(u32, Vec<u8>)>,
    /// By the sender's number: what the receiver decided, once it has.
    decided: BTreeMap<u32, DeliveryState>,
    /// Deliveries that the receiver has and has not decided on, in its order: its id and the tag.
    open: VecDeque<(DeliveryId, u32)>,
    /// Deliveries that the sender waits for: its id and the tag.
    waiting: BTreeMap<u32, DeliveryId>,
    gone: bool,
}

struct World {
    pair: Pair,
    session: Option<SessionId>,
    links: Vec<Model>,
    sent: u32,
    now: u64,
    arrived: usize,
}

impl World {
    fn new(frame: u32, window: u32) -> Self {
        let mut of_server = config();
        of_server.open.max_frame_size = frame;
        of_server.incoming_window = window;
        of_server.open.idle_time_out = Some(500_000);
        let mut of_client = config();
        of_client.open.max_frame_size = 512 + window * 7;
        of_client.incoming_window = 200 - window;
        of_client.max_unsettled = 40;
        Self {
            pair: Pair::new(of_server, of_client),
            session: None,
            links: Vec::new(),
            sent: 0,
            now: 0,
            arrived: 0,
        }
    }

    /// Opens, and attaches some links before anything is left to chance.
    fn begin(&mut self, links: usize) {
        self.carry(true, usize::MAX);
        self.carry(false, usize::MAX);
        for number in 0..links {
            let role = if number % 2 == 0 {
                Role::Sender
            } else {
                Role::Receiver
            };
            self.attach(role, number > 1, 20);
        }
        for up in [true, false, true, false] {
            self.carry(up, usize::MAX);
        }
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::Move(up, count) => self.carry(up, count.into()),
            Action::Attach(role, second, credit) => self.attach(role, second, credit),
            Action::Send(link, size, settled) => self.send(link, size.into(), settled),
            Action::Grant(link, credit) => {
                self.with_receiver(link, |engine, link| engine.grant(link, credit.into()).is_ok());
            }
            Action::Settle(link, count, state) => self.settle(link, count.into(), state),
            Action::Drain(link) => {
                self.with_receiver(link, |engine, link| engine.drain(link).is_ok());
            }
            Action::Abort(link) => self.abort(link),
            Action::Detach(link, client) => self.detach(link, client),
            Action::Tick(milliseconds) => {
                self.now += u64::from(milliseconds);
                let now = self.now;
                self.pair.server.tick(now);
                self.pair.client.tick(now);
            }
        }
    }

    /// Moves some of what one side has to write, and looks at what that told the other.
    fn carry(&mut self, up: bool, count: usize) {
        let now = self.now;
        let (from, to) = if up {
            (&mut self.pair.client, &mut self.pair.server)
        } else {
            (&mut self.pair.server, &mut self.pair.client)
        };
        let bytes: Vec<u8> = from.transmit().flatten().copied().take(count).collect();
        from.transmitted(bytes.len());
        to.receive(&bytes, now);
        while let Some(event) = {
            let to = if up {
                &mut self.pair.server
            } else {
                &mut self.pair.client
            };
            to.next_event()
        } {
            self.told(up, event);
        }
    }

    fn told(&mut self, server: bool, event: Event) {
        match event {
            Event::Opened(_) if !server => self.session = Some(self.pair.client.begin().unwrap()),
            Event::Opened(_) | Event::SessionBegun { .. } | Event::WindowOpened { .. } => {}
            Event::Attached { link, .. } => assert!(self.find(server, link).is_some()),
            Event::AttachRequested { link, attach, .. } => {
                let number: usize = attach.name.parse().unwrap();
                let model = &mut self.links[number];
                model.server = Some(link);
                let answer = LinkAnswer {
                    credit: 3,
                    ..LinkAnswer::echo(&attach)
                };
                // It may have been taken back meanwhile.
                if self.pair.server.accept(link, answer).is_err() {
                    model.gone = true;
                }
            }
            Event::LinkFlow { link, drain, .. } => {
                if drain {
                    let engine = self.engine(server);
                    let _ = engine.drained(link);
                }
            }
            Event::Drained { link } => {
                let engine = self.engine(server);
                // It may have gone already.
                assert_eq!(engine.credit(link).unwrap_or(0), 0);
            }
            Event::Delivery(delivery) => self.arrived(server, &delivery),
            Event::Disposition {
                link,
                first,
                last,
                settled,
                state,
            } => self.disposed(server, link, (first, last), settled, state.as_ref()),
            Event::Detached { link, cause } => {
                assert!(!matches!(cause, Cause::Violation(_)), "{cause:?}");
                if let Some(number) = self.find(server, link) {
                    self.links[number].gone = true;
                }
            }
            other => panic!("{other:?}"),
        }
    }

    fn arrived(&mut self, server: bool, delivery: &Delivery) {
        let number = self.find(server, delivery.link).unwrap();
        let model = &mut self.links[number];
        let tag = u32::from_be_bytes(delivery.tag.as_bytes().try_into().unwrap());
        let expected = model.on_the_way.pop_front();
        assert_eq!(
            expected,
            Some((tag, delivery.payload.to_vec())),
            "in order, and whole"
        );
        if !delivery.settled {
            model.open.push_back((delivery.id, tag));
        }
        self.arrived += 1;
    }

    fn disposed(
        &mut self,
        server: bool,
        link: LinkId,
        (first, last): (DeliveryId, DeliveryId),
        settled: bool,
        state: Option<&DeliveryState>,
    ) {
        let Some(number) = self.find(server, link) else {
            return;
        };
        let model = &mut self.links[number];
        if model.client_sends == server {
            // The receiver hears that the sender has settled last.
            assert!(settled);
            return;
        }
        let covered: Vec<u32> = model
            .waiting
            .iter()
            .filter(|(_, id)| !first.is_after(**id) && !id.is_after(last))
            .map(|(tag, _)| *tag)
            .collect();
        assert_eq!(
            covered.len(),
            usize::try_from(last.number().wrapping_sub(first.number())).unwrap() + 1,
            "a run has no gaps"
        );
        for tag in covered {
            assert_eq!(model.decided.get(&tag), state, "the outcome is the receiver's");
            model.waiting.remove(&tag);
        }
        if !settled {
            let engine = self.engine(server);
            // The link may have gone with what came behind.
            let _ = engine.settle(link, first, last, state.unwrap());
        }
    }

    fn engine(&mut self, server: bool) -> &mut Engine {
        if server {
            &mut self.pair.server
        } else {
            &mut self.pair.client
        }
    }

    fn find(&self, server: bool, link: LinkId) -> Option<usize> {
        self.links.iter().position(|model| {
            if server {
                model.server == Some(link)
            } else {
                model.client == Some(link)
            }
        })
    }

    fn pick(&self, link: u8) -> Option<usize> {
        (!self.links.is_empty()).then(|| usize::from(link) % self.links.len())
    }

    fn attach(&mut self, role: Role, second: bool, credit: u8) {
        let Some(session) = self.session.filter(|_| self.links.len() < 7) else {
            return;
        };
        let name = self.links.len().to_string();
        let mut request = match role {
            Role::Sender => LinkRequest::sender(name, "x"),
            Role::Receiver => LinkRequest::receiver(name, "x"),
        };
        request.terms.credit = credit.into();
        request.terms.snd_settle_mode = SenderSettleMode::Mixed;
        if second {
            request.terms.rcv_settle_mode = ReceiverSettleMode::Second;
        }
        self.links.push(Model {
            client: Some(self.pair.client.attach(session, request).unwrap()),
            client_sends: role == Role::Sender,
            ..Model::default()
        });
    }

    fn send(&mut self, link: u8, size: usize, settled: bool) {
        let Some(number) = self.pick(link) else { return };
        let model = &mut self.links[number];
        let (engine, link) = if model.client_sends {
            (&mut self.pair.client, model.client)
        } else {
            (&mut self.pair.server, model.server)
        };
        let Some(link) = link else { return };
        let tag = self.sent;
        let payload: Vec<u8> = (0..size)
            .map(|place| u8::try_from((place * 7 + number) % 251).unwrap())
            .collect();
        let delivery = Outgoing {
            settled,
            ..outgoing(tag, payload.clone())
        };
        let credit = engine.credit(link);
        match engine.send(link, delivery) {
            Ok(id) => {
                assert!(credit.unwrap() > 0);
                self.sent += 1;
                model.on_the_way.push_back((tag, payload));
                if !settled {
                    model.waiting.insert(tag, id);
                }
            }
            Err(Error::NoCredit) => assert_eq!(credit, Ok(0)),
            Err(Error::NoWindow) => {}
            Err(Error::NoSuchLink) => assert!(credit.is_err() || model.gone),
            Err(other) => panic!("{other}"),
        }
    }

    fn abort(&mut self, link: u8) {
        let Some(number) = self.pick(link) else { return };
        let model = &mut self.links[number];
        let (engine, link) = if model.client_sends {
            (&mut self.pair.client, model.client)
        } else {
            (&mut self.pair.server, model.server)
        };
        let Some(link) = link else { return };
        if let Ok(id) = engine.abort(link) {
            model.on_the_way.pop_back();
            model.waiting.retain(|_, waiting| *waiting != id);
        }
    }

    fn with_receiver(&mut self, link: u8, call: impl FnOnce(&mut Engine, LinkId) -> bool) {
        let Some(number) = self.pick(link) else { return };
        let model = &self.links[number];
        if model.client_sends {
            if let Some(link) = model.server {
                call(&mut self.pair.server, link);
            }
        } else if let Some(link) = model.client {
            call(&mut self.pair.client, link);
        }
    }

    fn settle(&mut self, link: u8, count: usize, state: u8) {
        let Some(number) = self.pick(link) else { return };
        let model = &mut self.links[number];
        let taken: Vec<_> = model.open.iter().take(count).copied().collect();
        let (Some(first), Some(last)) = (taken.first(), taken.last()) else {
            return;
        };
        let state = match state {
            0 => DeliveryState::Accepted,
            1 => DeliveryState::Released,
            2 => DeliveryState::rejected(AmqpError::new(crate::condition::NOT_FOUND, "no")),
            _ => DeliveryState::Modified {
                delivery_failed: true,
                undeliverable_here: false,
                annotations: None,
            },
        };
        let (engine, link) = if model.client_sends {
            (&mut self.pair.server, model.server)
        } else {
            (&mut self.pair.client, model.client)
        };
        match engine.settle(link.unwrap(), first.0, last.0, &state) {
            Ok(settled) => assert_eq!(settled, taken.len()),
            Err(error) => {
                assert_eq!(error, Error::NoSuchLink);
                return;
            }
        }
        model.open.drain(..taken.len());
        model
            .decided
            .extend(taken.iter().map(|(_, tag)| (*tag, state.clone())));
    }

    fn detach(&mut self, link: u8, client: bool) {
        let Some(number) = self.pick(link) else { return };
        let model = &mut self.links[number];
        let (engine, link) = if client {
            (&mut self.pair.client, model.client)
        } else {
            (&mut self.pair.server, model.server)
        };
        if let Some(link) = link
            && engine.detach(link, None).is_ok()
        {
            model.gone = true;
            model.open.clear();
        }
    }

    /// Lets everything arrive and settles all of it; then both sides must agree.
    fn finish(&mut self) {
        loop {
            let mut moved = false;
            for up in [true, false] {
                moved |= self.engine(!up).pending_output() > 0;
                self.carry(up, usize::MAX);
            }
            for number in 0..self.links.len() {
                let open = self.links[number].open.len();
                if open > 0 && !self.links[number].gone {
                    self.settle(u8::try_from(number).unwrap(), open, 0);
                    moved = true;
                }
            }
            if !moved {
                break;
            }
        }
        for model in self.links.iter().filter(|model| !model.gone) {
            let (Some(client), Some(server)) = (model.client, model.server) else {
                panic!("a link was not answered");
            };
            assert_eq!(model.on_the_way, [], "all has arrived");
            assert!(model.waiting.is_empty(), "all was decided");
            assert_eq!(
                self.pair.client.credit(client),
                self.pair.server.credit(server),
                "credit is the same at both ends"
            );
        }
        if let Some(session) = self.session {
            assert_eq!(self.pair.client.unsettled(session), Ok((0, 0)));
            let of_server = self.pair.server.sessions[0].as_ref().unwrap();
            let of_client = self.pair.client.sessions[0].as_ref().unwrap();
            assert_eq!((of_server.incoming.len(), of_server.outgoing.len()), (0, 0));
            assert_eq!(of_server.next_outgoing, of_client.next_incoming);
            assert_eq!(of_client.next_outgoing, of_server.next_incoming);
        }
        assert_eq!(self.pair.server.shared.assembling, 0);
        assert_eq!(self.pair.client.shared.assembling, 0);
        assert_eq!(self.pair.server.shared.links, self.pair.client.shared.links);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn two_engines_agree_whatever_happens_between_them(
        frame in 512_u32..2000,
        window in 4_u32..100,
        early in 0_usize..5,
        actions in vec(any_action(), 1..300),
    ) {
        let mut world = World::new(frame, window);
        world.begin(early);
        for action in &actions {
            world.act(action);
        }
        world.finish();
    }

    #[test]
    fn arbitrary_bytes_end_in_a_close_and_never_in_a_panic(bytes in vec(any::<u8>(), 0..2000), cut in 1_usize..100) {
        let (mut engine, _) = attached(config(), Role::Sender, 100);
        for chunk in bytes.chunks(cut) {
            engine.receive(chunk, 0);
        }
        prop_assert!(engine.heap_size() < 100_000);
        while engine.next_event().is_some() {}
        if engine.is_finished() {
            let written = performatives(&mut engine);
            prop_assert!(matches!(written.last(), Some(Performative::Close(_))));
        }
    }

    #[test]
    fn frames_with_changed_octets_never_panic(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in 1_usize..300,
    ) {
        let mut stream = [
            attach_frame(1, "other", Role::Receiver),
            transfer_frame(&Transfer { more: true, ..transfer_of(0, 0) }, &[7; 100]),
            frame_of(0, |out| credit_frame(1, 0, 5).write(out)),
            transfer_frame(&transfer_of(0, 0), &[7; 100]),
            disposition_frame(Role::Receiver, 0, 9, true, Some(DeliveryState::Accepted)),
            begin_frame(1),
            detach_frame(0),
            frame_of(0, |out| End::default().write(out)),
        ]
        .concat();
        for (place, octet) in changes {
            let place = place.index(stream.len());
            stream[place] = octet;
        }
        let (mut engine, _) = attached(config(), Role::Sender, 100);
        for chunk in stream.chunks(cut) {
            engine.receive(chunk, 0);
            while let Some(event) = engine.next_event() {
                if let Event::AttachRequested { link, attach, .. } = event {
                    let _ = engine.accept(link, LinkAnswer { credit: 5, ..LinkAnswer::echo(&attach) });
                    let _ = engine.send(link, outgoing(0, vec![1; 700]));
                }
            }
        }
        frames(&take(&mut engine));
    }
}
