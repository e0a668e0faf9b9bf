//! How links come and go: a peer asks for one, the caller answers or asks itself, either side detaches.

use super::event::{Cause, Event};
use super::id::LinkId;
use super::link::{Link, LinkState};
use super::session::{Fault, Session, SessionState, Shared};
use crate::condition::AmqpError;
use crate::error::Error;
use crate::performative::{Attach, Attached, Detach, ReceiverSettleMode, Role, SenderSettleMode};
use crate::symbol::Symbol;
use crate::terminus::{Source, Target};
use crate::value::Map;

/// What this side says of a link that the peer asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkAnswer {
    /// Where deliveries come from.
    pub source: Option<Source>,
    /// Where deliveries go.
    pub target: Option<Target>,
    /// Whether the sender settles.
    pub snd_settle_mode: SenderSettleMode,
    /// Who settles first.
    pub rcv_settle_mode: ReceiverSettleMode,
    /// Octets of the largest delivery that this side takes; 0 is no limit on the wire, and the engine's own bound
    /// still holds.
    pub max_message_size: u64,
    /// Deliveries that the peer may send at once, if it is the sender.
    pub credit: u32,
    /// Extensions that this side has.
    pub offered_capabilities: Vec<Symbol>,
    /// Extensions that this side can use.
    pub desired_capabilities: Vec<Symbol>,
    /// What else there is to say.
    pub properties: Option<Map>,
}

/// A link that this side asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkRequest {
    /// The name of the link, one of its kind between the two containers.
    pub name: String,
    /// The end that this side is to be.
    pub role: Role,
    /// What this side says of it.
    pub terms: LinkAnswer,
}

impl LinkAnswer {
    /// Takes the link as the peer asked for it.
    pub fn echo(attach: &Attach) -> Self {
        Self {
            source: attach.source.clone(),
            target: attach.target.clone(),
            snd_settle_mode: attach.snd_settle_mode,
            rcv_settle_mode: attach.rcv_settle_mode,
            max_message_size: 0,
            credit: 0,
            offered_capabilities: Vec::new(),
            desired_capabilities: Vec::new(),
            properties: None,
        }
    }

    fn into_attach(self, name: String, handle: u32, role: Role) -> Attach {
        Attach {
            name,
            handle,
            role,
            snd_settle_mode: self.snd_settle_mode,
            rcv_settle_mode: self.rcv_settle_mode,
            source: self.source,
            target: self.target,
            initial_delivery_count: (role == Role::Sender).then_some(0),
            max_message_size: Some(self.max_message_size),
            offered_capabilities: self.offered_capabilities,
            desired_capabilities: self.desired_capabilities,
            properties: self.properties,
        }
    }
}

impl LinkRequest {
    /// Asks to send to an address.
    pub fn sender(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self::new(name.into(), Role::Sender, Source::default(), Target::at(address))
    }

    /// Asks to receive from an address.
    pub fn receiver(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self::new(
            name.into(),
            Role::Receiver,
            Source::at(address),
            Target::default(),
        )
    }

    fn new(name: String, role: Role, source: Source, target: Target) -> Self {
        Self {
            name,
            role,
            terms: LinkAnswer {
                source: Some(source),
                target: Some(target),
                snd_settle_mode: SenderSettleMode::Mixed,
                rcv_settle_mode: ReceiverSettleMode::First,
                max_message_size: 0,
                credit: 0,
                offered_capabilities: Vec::new(),
                desired_capabilities: Vec::new(),
                properties: None,
            },
        }
    }
}

impl Session {
    pub(super) fn on_attach(&mut self, shared: &mut Shared, attached: Attached) -> Result<(), Fault> {
        let Attached { attach, coordinator } = attached;
        let remote = attach.handle;
        if remote > shared.config.handle_max {
            return Err(Fault::Connection(Error::HandleTooLarge(remote)));
        }
        if self.handle_of(remote).is_some() {
            return Err(Fault::Session(Error::HandleInUse(remote)));
        }
        let role = attach.role.opposite();
        let namesake = self.links.iter().enumerate().find_map(|(place, slot)| {
            let link = slot.as_ref()?;
            (link.role == role && *link.name == *attach.name).then_some((
                place,
                link.state,
                link.remote_handle,
            ))
        });
        let refusal = match namesake {
            Some((place, LinkState::AwaitAttach | LinkState::AwaitDetach { .. }, None)) => {
                self.confirmed(shared, u32::try_from(place).unwrap_or(u32::MAX), attach);
                return Ok(());
            }
            // One that is on its way out makes room for the next of its name.
            Some((_, LinkState::AwaitDetach { .. }, _)) | None => None,
            Some(_) => Some(Error::NameInUse),
        };
        if shared.links >= shared.config.max_links.saturating_mul(2) {
            return Err(Fault::Connection(Error::TooManyLinks));
        }
        let refusal = refusal
            .or(coordinator.then_some(Error::NotOffered))
            .or((shared.links >= shared.config.max_links).then_some(Error::TooManyLinks));
        let mut link = Link::new(
            shared.next_generation(),
            &attach.name,
            role,
            LinkState::AwaitAnswer,
        );
        link.remote_handle = Some(remote);
        link.snd_settle_mode = attach.snd_settle_mode;
        link.rcv_settle_mode = attach.rcv_settle_mode;
        if role == Role::Sender {
            link.max_message_size = attach.max_message_size.unwrap_or(0);
        } else {
            link.delivery_count = attach.initial_delivery_count.unwrap_or(0);
            link.ceiling = link.delivery_count;
        }
        let generation = link.generation;
        let handle = self.add_link(shared, link);
        self.map_handle(remote, handle);
        if handle > self.peer_handle_max {
            return Err(Fault::Session(Error::TooManyLinks));
        }
        if let Some(error) = refusal {
            self.write_refusal(shared, handle, Some(Box::new(error.into())), false);
            return Ok(());
        }
        shared.tell(Event::AttachRequested {
            link: LinkId {
                channel: self.id.channel,
                handle,
                generation,
            },
            session: self.id,
            attach: Box::new(attach),
        });
        Ok(())
    }

    /// Takes the peer's answer to a link that this side asked for.
    fn confirmed(&mut self, shared: &mut Shared, handle: u32, attach: Attach) {
        let channel = self.id.channel;
        self.map_handle(attach.handle, handle);
        let Some(link) = self.link_mut(handle) else {
            return;
        };
        link.remote_handle = Some(attach.handle);
        if matches!(link.state, LinkState::AwaitDetach { .. }) {
            return;
        }
        link.snd_settle_mode = attach.snd_settle_mode;
        link.rcv_settle_mode = attach.rcv_settle_mode;
        let terminus = if link.role == Role::Sender {
            link.max_message_size = attach.max_message_size.unwrap_or(0);
            attach.target.is_some()
        } else {
            link.delivery_count = attach.initial_delivery_count.unwrap_or(0);
            link.ceiling = link.delivery_count;
            attach.source.is_some()
        };
        if !terminus {
            link.state = LinkState::AwaitRefusal;
            return;
        }
        link.state = LinkState::Attached;
        let generation = link.generation;
        let credit = (link.role == Role::Receiver)
            .then_some(link.credit)
            .filter(|credit| *credit > 0);
        if let Some(credit) = credit {
            link.grant(credit);
            self.write_flow(shared, Some(handle), false);
        }
        shared.tell(Event::Attached {
            link: LinkId {
                channel,
                handle,
                generation,
            },
            attach: Box::new(attach),
        });
    }

    pub(super) fn on_detach(&mut self, shared: &mut Shared, detach: Detach) {
        // Clients send detaches of links that went with a detach or an end of this side.
        let Some(handle) = self.handle_of(detach.handle) else {
            return;
        };
        let channel = self.id.channel;
        let Some(link) = self.link_mut(handle) else {
            return;
        };
        let (state, generation) = (link.state, link.generation);
        let cause = match state {
            LinkState::AwaitDetach { announce: false } => None,
            LinkState::AwaitDetach { announce: true } => Some(Cause::Local),
            _ => Some(Cause::Peer(detach.error)),
        };
        match state {
            LinkState::AwaitDetach { .. } => {}
            LinkState::AwaitAnswer => self.write_refusal(shared, handle, None, false),
            _ => {
                let answer = Detach {
                    handle,
                    closed: detach.closed,
                    error: None,
                };
                shared.out.frame(channel, |out| answer.write(out));
            }
        }
        self.free_link(shared, handle);
        if let Some(cause) = cause {
            shared.tell(Event::Detached {
                link: LinkId {
                    channel,
                    handle,
                    generation,
                },
                cause,
            });
        }
        // The window counts what is unsettled, and that went with the link.
        self.replenish(shared);
        self.go_on(shared);
    }

    pub(super) fn attach(&mut self, shared: &mut Shared, request: LinkRequest) -> Result<LinkId, Error> {
        if matches!(self.state, SessionState::AwaitEnd { .. }) {
            return Err(Error::NoSuchSession);
        }
        if shared.links >= shared.config.max_links {
            return Err(Error::TooManyLinks);
        }
        let LinkRequest { name, role, terms } = request;
        let taken = |link: &Link| link.role == role && *link.name == *name;
        if self.links.iter().flatten().any(|link| taken(link)) {
            return Err(Error::NameInUse);
        }
        let generation = shared.next_generation();
        let mut link = Link::new(generation, &name, role, LinkState::AwaitAttach);
        if role == Role::Receiver {
            link.max_message_size = terms.max_message_size;
            link.credit = terms.credit;
        }
        let handle = self.add_link(shared, link);
        if handle > self.peer_handle_max {
            self.free_link(shared, handle);
            return Err(Error::TooManyLinks);
        }
        let attach = terms.into_attach(name, handle, role);
        shared.out.frame(self.id.channel, |out| attach.write(out));
        Ok(LinkId {
            channel: self.id.channel,
            handle,
            generation,
        })
    }

    pub(super) fn accept(
        &mut self,
        shared: &mut Shared,
        id: LinkId,
        answer: LinkAnswer,
    ) -> Result<(), Error> {
        let channel = self.id.channel;
        let link = self.named(id)?;
        if link.state != LinkState::AwaitAnswer {
            return Err(Error::WrongState);
        }
        link.state = LinkState::Attached;
        link.snd_settle_mode = answer.snd_settle_mode;
        link.rcv_settle_mode = answer.rcv_settle_mode;
        let granted = (link.role == Role::Receiver).then_some(answer.credit);
        if link.role == Role::Receiver {
            link.max_message_size = answer.max_message_size;
        }
        let (credit, drain) = (link.sendable(), link.drain);
        let attach = answer.into_attach(link.name.to_string(), id.handle, link.role);
        shared.out.frame(channel, |out| attach.write(out));
        match granted {
            Some(0) => {}
            Some(granted) => self.grant(shared, id, granted)?,
            None if credit > 0 || drain => shared.tell(Event::LinkFlow {
                link: id,
                credit,
                drain,
            }),
            None => {}
        }
        Ok(())
    }

    pub(super) fn refuse(&mut self, shared: &mut Shared, id: LinkId, error: AmqpError) -> Result<(), Error> {
        if self.named(id)?.state != LinkState::AwaitAnswer {
            return Err(Error::WrongState);
        }
        self.write_refusal(shared, id.handle, Some(Box::new(error)), false);
        Ok(())
    }

    pub(super) fn detach(
        &mut self,
        shared: &mut Shared,
        id: LinkId,
        error: Option<AmqpError>,
    ) -> Result<(), Error> {
        let error = error.map(Box::new);
        match self.named(id)?.state {
            LinkState::AwaitAnswer => self.write_refusal(shared, id.handle, error, true),
            LinkState::AwaitDetach { .. } => return Err(Error::NoSuchLink),
            LinkState::AwaitAttach | LinkState::AwaitRefusal | LinkState::Attached => {
                self.write_detach(shared, id.handle, error, true);
            }
        }
        self.replenish(shared);
        self.go_on(shared);
        Ok(())
    }

    /// Refuses a link: an attach without source and target, which says that there is none, and a detach with the
    /// reason.
    pub(super) fn write_refusal(
        &mut self,
        shared: &mut Shared,
        handle: u32,
        error: Option<Box<AmqpError>>,
        announce: bool,
    ) {
        let channel = self.id.channel;
        let Some(link) = self.link_mut(handle) else {
            return;
        };
        let attach = Attach {
            name: link.name.to_string(),
            handle,
            role: link.role,
            snd_settle_mode: link.snd_settle_mode,
            rcv_settle_mode: link.rcv_settle_mode,
            source: None,
            target: None,
            initial_delivery_count: (link.role == Role::Sender).then_some(0),
            max_message_size: Some(0),
            offered_capabilities: Vec::new(),
            desired_capabilities: Vec::new(),
            properties: None,
        };
        shared.out.frame(channel, |out| attach.write(out));
        self.write_detach(shared, handle, error, announce);
    }
}
