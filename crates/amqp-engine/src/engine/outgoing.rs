//! Deliveries that go out. The queue is the caller's; only what remains of a delivery that was begun waits here.

use bytes::Bytes;

use super::event::Event;
use super::id::{DeliveryId, LinkId};
use super::link::{LinkState, Rest};
use super::session::{Session, Shared};
use super::unsettled::{Stage, Step};
use crate::error::Error;
use crate::performative::{DeliveryTag, Role, SenderSettleMode, Transfer};

/// A delivery to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its name, unique among what the link has unsettled.
    pub tag: DeliveryTag,
    /// How the payload is to be read; 0 is a message.
    pub message_format: u32,
    /// Whether it is settled at once. A link that settles all or none overrules it.
    pub settled: bool,
    /// The sections of the message.
    pub payload: Bytes,
}

impl Session {
    pub(super) fn send(
        &mut self,
        shared: &mut Shared,
        id: LinkId,
        outgoing: Outgoing,
    ) -> Result<DeliveryId, Error> {
        let link = self.named(id)?;
        if link.role != Role::Sender {
            return Err(Error::WrongRole);
        }
        let settled = match link.snd_settle_mode {
            SenderSettleMode::Settled => true,
            SenderSettleMode::Unsettled => false,
            SenderSettleMode::Mixed => outgoing.settled,
        };
        let limit = link.max_message_size;
        if limit > 0 && u64::try_from(outgoing.payload.len()).is_ok_and(|length| length > limit) {
            return Err(Error::DeliveryTooLarge { limit });
        }
        if link.sendable() == 0 {
            return Err(Error::NoCredit);
        }
        if self.outgoing_window == 0 || (!settled && !self.has_room(shared)) {
            self.starved = true;
            return Err(Error::NoWindow);
        }
        let delivery = self.next_delivery;
        self.next_delivery = delivery.wrapping_add(1);
        if !settled {
            self.outgoing.push(delivery, id.handle, false, Stage::Whole);
        }
        let link = self.named(id)?;
        link.delivery_count = link.delivery_count.wrapping_add(1);
        link.credit -= 1;
        let mut rest = Rest {
            id: delivery,
            tag: outgoing.tag,
            message_format: outgoing.message_format,
            settled,
            payload: outgoing.payload,
        };
        if !self.write_transfers(shared, id.handle, &mut rest) {
            self.resting = true;
            if let Some(link) = self.link_mut(id.handle) {
                link.rest = Some(Box::new(rest));
            }
        }
        Ok(DeliveryId(delivery))
    }

    /// Gives back the credit that a link has left, since the peer asked for that.
    pub(super) fn drained(&mut self, shared: &mut Shared, id: LinkId) -> Result<(), Error> {
        let link = self.named(id)?;
        if link.role != Role::Sender {
            return Err(Error::WrongRole);
        }
        if !link.drain || link.rest.is_some() || link.state != LinkState::Attached {
            return Err(Error::WrongState);
        }
        link.delivery_count = link.delivery_count.wrapping_add(link.credit);
        link.credit = 0;
        self.write_flow(shared, Some(id.handle), false);
        if let Some(link) = self.link_mut(id.handle) {
            link.drain = false;
        }
        Ok(())
    }

    /// Gives up a delivery that has been begun and is not wholly sent.
    pub(super) fn abort(&mut self, shared: &mut Shared, id: LinkId) -> Result<DeliveryId, Error> {
        if self.outgoing_window == 0 {
            return Err(Error::NoWindow);
        }
        let rest = self.named(id)?.rest.take().ok_or(Error::WrongState)?;
        self.outgoing_window -= 1;
        self.next_outgoing = self.next_outgoing.wrapping_add(1);
        let transfer = Transfer {
            aborted: true,
            ..transfer(id.handle, &rest, false)
        };
        shared.out.frame(self.id.channel, |out| transfer.write(out));
        self.outgoing.walk(rest.id, rest.id, |_| Step::Remove);
        self.tell_credit(shared, id.handle);
        Ok(DeliveryId(rest.id))
    }

    /// Goes on where the window ended, and tells the caller who had to wait.
    pub(super) fn go_on(&mut self, shared: &mut Shared) {
        if self.resting && self.outgoing_window > 0 {
            self.resting = false;
            for place in 0..self.links.len() {
                let handle = u32::try_from(place).unwrap_or(u32::MAX);
                let Some(mut rest) = self.link_mut(handle).and_then(|link| link.rest.take()) else {
                    continue;
                };
                if self.write_transfers(shared, handle, &mut rest) {
                    self.tell_credit(shared, handle);
                } else {
                    self.resting = true;
                    if let Some(link) = self.link_mut(handle) {
                        link.rest = Some(rest);
                    }
                }
            }
        }
        if self.starved && self.outgoing_window > 0 && self.has_room(shared) {
            self.starved = false;
            shared.tell(Event::WindowOpened { session: self.id });
        }
    }

    fn has_room(&self, shared: &Shared) -> bool {
        self.outgoing.len() < shared.config.max_unsettled && !self.outgoing.spans_too_far(self.next_delivery)
    }

    fn tell_credit(&mut self, shared: &mut Shared, handle: u32) {
        let channel = self.id.channel;
        let Some(link) = self.link_mut(handle) else {
            return;
        };
        shared.tell(Event::LinkFlow {
            link: LinkId {
                channel,
                handle,
                generation: link.generation,
            },
            credit: link.sendable(),
            drain: link.drain,
        });
    }

    /// Writes transfers as long as there is window; says whether it was the last.
    fn write_transfers(&mut self, shared: &mut Shared, handle: u32, rest: &mut Rest) -> bool {
        let limit = usize::try_from(shared.peer_max_frame).unwrap_or(usize::MAX);
        let last = transfer(handle, rest, false);
        let other = transfer(handle, rest, true);
        while self.outgoing_window > 0 {
            self.outgoing_window -= 1;
            self.next_outgoing = self.next_outgoing.wrapping_add(1);
            let written = shared
                .out
                .transfer(self.id.channel, limit, &rest.payload, |out, is_last| {
                    if is_last { &last } else { &other }.write(out);
                });
            if written == rest.payload.len() {
                return true;
            }
            rest.payload = rest.payload.slice(written..);
        }
        false
    }
}

/// A transfer of a delivery. Frames behind the first repeat what the first said, which the standard allows.
fn transfer(handle: u32, rest: &Rest, more: bool) -> Transfer {
    Transfer {
        handle,
        delivery_id: Some(rest.id),
        delivery_tag: Some(rest.tag),
        message_format: Some(rest.message_format),
        settled: Some(rest.settled),
        more,
        rcv_settle_mode: None,
        state: None,
        resume: false,
        aborted: false,
        batchable: false,
    }
}
