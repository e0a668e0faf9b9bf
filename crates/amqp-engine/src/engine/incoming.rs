//! Deliveries that come in, in one transfer or many.

use bytes::Bytes;

use super::event::{Delivery, Event};
use super::id::{DeliveryId, LinkId, is_after};
use super::link::{Link, LinkState, Partial};
use super::session::{Fault, Session, Shared};
use super::unsettled::{Stage, Step};
use crate::error::Error;
use crate::performative::{DeliveryTag, ReceiverSettleMode, Role, Transfer};

/// What a transfer leads to, once its link has taken it.
enum Taken {
    /// More of it is to come.
    Part,
    /// It was given up.
    GivenUp,
    Whole(Partial, Bytes),
}

impl Session {
    pub(super) fn on_transfer(
        &mut self,
        shared: &mut Shared,
        transfer: &Transfer,
        payload: &[u8],
    ) -> Result<(), Fault> {
        self.incoming_window = self
            .incoming_window
            .checked_sub(1)
            .ok_or(Fault::Session(Error::WindowViolation))?;
        self.next_incoming = self.next_incoming.wrapping_add(1);
        let handle = self
            .handle_of(transfer.handle)
            .ok_or(Fault::Session(Error::UnattachedHandle(transfer.handle)))?;
        let last = self.last_delivery;
        let Some(link) = self.link_mut(handle) else {
            return Ok(());
        };
        let generation = link.generation;
        if matches!(link.state, LinkState::AwaitDetach { .. }) {
            self.replenish(shared);
            return Ok(());
        }
        if link.role != Role::Receiver {
            self.link_fault(shared, handle, Error::WrongRole);
            return Ok(());
        }
        let continued = link.partial.as_ref().map(|partial| partial.id);
        if continued.is_none() {
            let follows = |id| last.is_none_or(|last| is_after(id, last));
            match transfer.delivery_id {
                Some(id) if follows(id) && !self.incoming.spans_too_far(id) => self.last_delivery = Some(id),
                _ => return Err(Fault::Session(Error::DeliveryId)),
            }
        }
        let Some(link) = self.link_mut(handle) else {
            return Ok(());
        };
        match link.take(shared, transfer, payload) {
            Ok(Taken::Part) => {
                let begun = link.partial.as_ref().filter(|partial| !partial.settled);
                if let (Some(partial), None) = (begun, continued) {
                    let (id, second) = (partial.id, partial.second);
                    self.incoming.push(id, handle, second, Stage::Part);
                }
            }
            Ok(Taken::GivenUp) => {
                if let Some(id) = continued {
                    self.incoming.walk(id, id, |_| Step::Remove);
                }
            }
            Ok(Taken::Whole(delivery, payload)) => {
                let settled = delivery.settled;
                match continued {
                    Some(id) => self.incoming.walk(id, id, |entry| {
                        entry.stage = Stage::Whole;
                        if settled { Step::Remove } else { Step::Keep }
                    }),
                    None if settled => {}
                    None => self
                        .incoming
                        .push(delivery.id, handle, delivery.second, Stage::Whole),
                }
                shared.tell(Event::Delivery(Delivery {
                    link: LinkId {
                        channel: self.id.channel,
                        handle,
                        generation,
                    },
                    id: DeliveryId(delivery.id),
                    tag: delivery.tag,
                    message_format: delivery.message_format,
                    settled,
                    payload,
                }));
            }
            Err(error) => self.link_fault(shared, handle, error),
        }
        self.replenish(shared);
        Ok(())
    }
}

impl Link {
    fn take(&mut self, shared: &mut Shared, transfer: &Transfer, payload: &[u8]) -> Result<Taken, Error> {
        let limit = match self.max_message_size {
            0 => shared.config.max_delivery,
            advertised => advertised.min(shared.config.max_delivery),
        };
        let limit = |length: usize| {
            if u64::try_from(length).is_ok_and(|length| length <= limit) {
                Ok(())
            } else {
                Err(Error::DeliveryTooLarge { limit })
            }
        };
        let Some(mut partial) = self.partial.take() else {
            return self.begin(shared, transfer, payload, limit);
        };
        let same = transfer.delivery_id.is_none_or(|id| id == partial.id)
            && transfer.delivery_tag.is_none_or(|tag| tag == partial.tag);
        if !same || transfer.aborted {
            shared.assembling -= partial.payload.len();
            return if same {
                Ok(Taken::GivenUp)
            } else {
                Err(Error::TransferMismatch)
            };
        }
        shared.assembling -= partial.payload.len();
        limit(partial.payload.len() + payload.len())?;
        partial.settled |= transfer.settled.unwrap_or(false);
        partial.payload.extend_from_slice(payload);
        if !transfer.more {
            let payload = Bytes::from(std::mem::take(&mut partial.payload));
            return Ok(Taken::Whole(*partial, payload));
        }
        self.hold(shared, partial)
    }

    fn begin(
        &mut self,
        shared: &mut Shared,
        transfer: &Transfer,
        payload: &[u8],
        limit: impl Fn(usize) -> Result<(), Error>,
    ) -> Result<Taken, Error> {
        if !self.take_credit() {
            return Err(Error::CreditExceeded);
        }
        if transfer.aborted {
            return Ok(Taken::GivenUp);
        }
        limit(payload.len())?;
        let id = transfer.delivery_id.unwrap_or_default();
        let mut partial = Partial {
            id,
            // The standard wants a tag; a sender that leaves it out does without.
            tag: transfer.delivery_tag.unwrap_or(DeliveryTag::from(id)),
            message_format: transfer.message_format.unwrap_or(0),
            settled: transfer.settled.unwrap_or(false),
            second: transfer.rcv_settle_mode.unwrap_or(self.rcv_settle_mode) == ReceiverSettleMode::Second,
            payload: Vec::new(),
        };
        if !transfer.more {
            return Ok(Taken::Whole(partial, Bytes::copy_from_slice(payload)));
        }
        partial.payload.extend_from_slice(payload);
        self.hold(shared, Box::new(partial))
    }

    fn hold(&mut self, shared: &mut Shared, partial: Box<Partial>) -> Result<Taken, Error> {
        if shared.assembling + partial.payload.len() > shared.config.max_assembling {
            return Err(Error::Assembling);
        }
        shared.assembling += partial.payload.len();
        self.partial = Some(partial);
        Ok(Taken::Part)
    }
}
