//! One session: its windows, its links by handle, and what of it is unsettled.
//!
//! What the peer does wrong here ends the link or the session; only what makes its frames meaningless ends the
//! connection.

use std::collections::VecDeque;
use std::sync::Arc;

use super::config::Config;
use super::event::{Cause, Event};
use super::id::{LinkId, SessionId};
use super::link::{Link, LinkState};
use super::output::Output;
use super::unsettled::Unsettled;
use crate::condition::AmqpError;
use crate::error::Error;
use crate::performative::{Begin, Detach, End, Flow, Role};

/// The number of a session's first transfer.
pub(super) const FIRST_TRANSFER: u32 = 1;

/// What the sessions of a connection share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Arc<Config>,
    pub(super) out: Output,
    pub(super) events: VecDeque<Event>,
    /// Octets of the largest frame that the peer takes.
    pub(super) peer_max_frame: u32,
    /// Octets of unfinished deliveries.
    pub(super) assembling: usize,
    pub(super) links: usize,
    pub(super) generation: u32,
}

/// How far a fault reaches, beyond the link that it happened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Session(Error),
    Connection(Error),
}

/// What a session awaits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionState {
    /// The peer's begin.
    AwaitBegin,
    /// Anything.
    Begun,
    /// The peer's end; what else comes is passed over.
    AwaitEnd {
        /// Whether the caller is to be told.
        announce: bool,
    },
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) state: SessionState,
    pub(super) remote_channel: Option<u16>,
    pub(super) next_outgoing: u32,
    /// Transfers that the peer takes.
    pub(super) outgoing_window: u32,
    pub(super) next_incoming: u32,
    /// Transfers that the peer may still send.
    pub(super) incoming_window: u32,
    pub(super) next_delivery: u32,
    pub(super) last_delivery: Option<u32>,
    pub(super) peer_handle_max: u32,
    /// Whether a delivery was refused for want of window.
    pub(super) starved: bool,
    /// Whether a link has transfers to send.
    pub(super) resting: bool,
    pub(super) incoming: Unsettled,
    pub(super) outgoing: Unsettled,
    pub(super) links: Vec<Option<Box<Link>>>,
    /// This side's handles by the peer's, in the order of these.
    pub(super) by_remote: Vec<(u32, u32)>,
}

impl Shared {
    pub(super) fn next_generation(&mut self) -> u32 {
        self.generation = self.generation.wrapping_add(1);
        self.generation
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }
}

impl Session {
    pub(super) fn new(id: SessionId, state: SessionState, config: &Config) -> Self {
        Self {
            id,
            state,
            remote_channel: None,
            next_outgoing: FIRST_TRANSFER,
            outgoing_window: 0,
            next_incoming: 0,
            incoming_window: config.incoming_window,
            next_delivery: 0,
            last_delivery: None,
            peer_handle_max: u32::MAX,
            starved: false,
            resting: false,
            incoming: Unsettled::default(),
            outgoing: Unsettled::default(),
            links: Vec::new(),
            by_remote: Vec::new(),
        }
    }

    pub(super) fn heap(&self) -> usize {
        size_of::<Self>()
            + self.incoming.heap()
            + self.outgoing.heap()
            + self.links.capacity() * size_of::<Option<Box<Link>>>()
            + self.links.iter().flatten().map(|link| link.heap()).sum::<usize>()
            + self.by_remote.capacity() * size_of::<(u32, u32)>()
    }

    /// Writes this side's begin.
    pub(super) fn write_begin(&self, shared: &mut Shared) {
        let begin = Begin {
            remote_channel: self.remote_channel,
            next_outgoing_id: self.next_outgoing,
            incoming_window: self.incoming_window,
            outgoing_window: shared.config.incoming_window,
            handle_max: shared.config.handle_max,
            ..Begin::default()
        };
        shared.out.frame(self.id.channel, |out| begin.write(out));
    }

    /// Takes the peer's begin.
    pub(super) fn learn(&mut self, channel: u16, begin: &Begin) {
        self.remote_channel = Some(channel);
        self.next_incoming = begin.next_outgoing_id;
        self.outgoing_window = begin.incoming_window;
        self.peer_handle_max = begin.handle_max;
        if self.state == SessionState::AwaitBegin {
            self.state = SessionState::Begun;
        }
    }

    /// Ends the session from this side.
    pub(super) fn write_end(&mut self, shared: &mut Shared, error: Option<Box<AmqpError>>, announce: bool) {
        self.drop_links(shared);
        shared.out.frame(self.id.channel, |out| End { error }.write(out));
        self.state = SessionState::AwaitEnd { announce };
    }

    /// Forgets every link.
    pub(super) fn drop_links(&mut self, shared: &mut Shared) {
        for link in self.links.drain(..).flatten() {
            shared.links -= 1;
            shared.assembling -= link.partial.map_or(0, |partial| partial.payload.len());
        }
        self.links = Vec::new();
        self.by_remote = Vec::new();
        self.incoming = Unsettled::default();
        self.outgoing = Unsettled::default();
    }

    pub(super) fn link_mut(&mut self, handle: u32) -> Option<&mut Link> {
        let slot = self.links.get_mut(usize::try_from(handle).ok()?)?;
        slot.as_deref_mut()
    }

    /// The link that a call is about.
    pub(super) fn named(&mut self, id: LinkId) -> Result<&mut Link, Error> {
        self.link_mut(id.handle)
            .filter(|link| link.generation == id.generation)
            .ok_or(Error::NoSuchLink)
    }

    /// This side's handle of the link that the peer calls `remote`.
    pub(super) fn handle_of(&self, remote: u32) -> Option<u32> {
        let place = self.by_remote.binary_search_by_key(&remote, |pair| pair.0).ok()?;
        self.by_remote.get(place).map(|pair| pair.1)
    }

    pub(super) fn map_handle(&mut self, remote: u32, handle: u32) {
        if let Err(place) = self.by_remote.binary_search_by_key(&remote, |pair| pair.0) {
            self.by_remote.insert(place, (remote, handle));
        }
    }

    /// Puts a link into the first free place.
    pub(super) fn add_link(&mut self, shared: &mut Shared, link: Link) -> u32 {
        shared.links += 1;
        let link = Some(Box::new(link));
        let free = self.links.iter().position(Option::is_none);
        let place = free.unwrap_or(self.links.len());
        match self.links.get_mut(place) {
            Some(slot) => *slot = link,
            None => self.links.push(link),
        }
        u32::try_from(place).unwrap_or(u32::MAX)
    }

    /// Forgets a link and its place.
    pub(super) fn free_link(&mut self, shared: &mut Shared, handle: u32) {
        let slot = usize::try_from(handle)
            .ok()
            .and_then(|place| self.links.get_mut(place));
        if let Some(link) = slot.and_then(Option::take) {
            shared.links -= 1;
            shared.assembling -= link.partial.map_or(0, |partial| partial.payload.len());
            if let Some(remote) = link.remote_handle {
                self.by_remote.retain(|pair| pair.0 != remote);
            }
            self.incoming.remove_link(handle);
            self.outgoing.remove_link(handle);
        }
        while self.links.last().is_some_and(Option::is_none) {
            self.links.pop();
        }
        if self.links.is_empty() {
            self.links = Vec::new();
            self.by_remote = Vec::new();
        }
    }

    /// Detaches a link from this side and waits for the peer's detach.
    pub(super) fn write_detach(
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
        link.state = LinkState::AwaitDetach { announce };
        link.credit = 0;
        link.rest = None;
        if let Some(partial) = link.partial.take() {
            shared.assembling -= partial.payload.len();
        }
        let detach = Detach {
            handle,
            closed: true,
            error,
        };
        shared.out.frame(channel, |out| detach.write(out));
        self.incoming.remove_link(handle);
        self.outgoing.remove_link(handle);
    }

    /// Detaches a link on which the peer broke a rule.
    pub(super) fn link_fault(&mut self, shared: &mut Shared, handle: u32, error: Error) {
        let Some(link) = self.link_mut(handle) else {
            return;
        };
        let (generation, state) = (link.generation, link.state);
        let told = Some(Box::new(error.into()));
        if state == LinkState::AwaitAnswer {
            // A detach without an attach before it would name a link that the peer does not know.
            self.write_refusal(shared, handle, told, false);
        } else {
            self.write_detach(shared, handle, told, false);
        }
        shared.tell(Event::Detached {
            link: LinkId {
                channel: self.id.channel,
                handle,
                generation,
            },
            cause: Cause::Violation(error),
        });
    }

    pub(super) fn on_flow(&mut self, shared: &mut Shared, flow: &Flow) {
        let seen = flow.next_incoming_id.unwrap_or(FIRST_TRANSFER);
        let on_the_way = self.next_outgoing.wrapping_sub(seen);
        self.outgoing_window = flow.incoming_window.saturating_sub(on_the_way);
        self.next_incoming = flow.next_outgoing_id;
        // A flow for a link that has gone says nothing, and neither does one that crossed a detach.
        let handle = flow.handle.and_then(|remote| self.handle_of(remote));
        if let Some(handle) = handle {
            self.on_link_flow(shared, handle, flow);
        } else if flow.echo && flow.handle.is_none() {
            self.write_flow(shared, None, false);
        }
        self.go_on(shared);
    }

    fn on_link_flow(&mut self, shared: &mut Shared, handle: u32, flow: &Flow) {
        let channel = self.id.channel;
        let Some(link) = self.link_mut(handle) else {
            return;
        };
        let id = LinkId {
            channel,
            handle,
            generation: link.generation,
        };
        let mut answer = flow.echo;
        match (link.role, link.state) {
            (_, LinkState::AwaitDetach { .. } | LinkState::AwaitRefusal | LinkState::AwaitAttach)
            | (Role::Receiver, LinkState::AwaitAnswer) => return,
            (Role::Sender, state) => {
                link.take_word(flow.delivery_count, flow.link_credit.unwrap_or(0), 0);
                link.drain = flow.drain;
                // What the peer allowed before it was answered is told with the answer.
                if state == LinkState::AwaitAnswer {
                    return;
                }
                if flow.drain && link.credit == 0 && link.rest.is_none() {
                    link.drain = false;
                    answer = true;
                }
                let credit = link.sendable();
                let drain = link.drain;
                shared.tell(Event::LinkFlow {
                    link: id,
                    credit,
                    drain,
                });
            }
            (Role::Receiver, LinkState::Attached) => {
                if let Some(count) = flow.delivery_count
                    && link.partial.is_none()
                {
                    link.give_back(count);
                }
                if link.drain && link.credit == 0 {
                    link.drain = false;
                    shared.tell(Event::Drained { link: id });
                }
            }
        }
        if answer {
            self.write_flow(shared, Some(handle), false);
        }
    }

    /// Writes the state of the session's windows, and of a link's credit.
    pub(super) fn write_flow(&mut self, shared: &mut Shared, handle: Option<u32>, echo: bool) {
        self.incoming_window = self.allowed(shared);
        let mut flow = Flow {
            next_incoming_id: (self.remote_channel.is_some()).then_some(self.next_incoming),
            incoming_window: self.incoming_window,
            next_outgoing_id: self.next_outgoing,
            outgoing_window: shared.config.incoming_window,
            handle,
            delivery_count: None,
            link_credit: None,
            available: None,
            drain: false,
            echo,
            properties: None,
        };
        if let Some(link) = handle.and_then(|handle| self.link_mut(handle)) {
            flow.delivery_count = Some(link.delivery_count);
            flow.link_credit = Some(link.credit);
            flow.available = Some(0);
            flow.drain = link.drain;
        }
        shared.out.frame(self.id.channel, |out| flow.write(out));
    }

    /// Transfers that the peer may send: the window, less what is unsettled.
    fn allowed(&self, shared: &Shared) -> u32 {
        let unsettled = u32::try_from(self.incoming.len()).unwrap_or(u32::MAX);
        shared.config.incoming_window.saturating_sub(unsettled)
    }

    /// Tells the peer of a window that has become much larger than it knows.
    pub(super) fn replenish(&mut self, shared: &mut Shared) {
        let window = shared.config.incoming_window;
        if self.state == SessionState::Begun
            && self.incoming_window <= window / 2
            && self.allowed(shared).saturating_sub(self.incoming_window) > window / 4
        {
            self.write_flow(shared, None, false);
        }
    }
}
