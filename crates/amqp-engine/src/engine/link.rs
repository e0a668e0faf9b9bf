//! One link: its state, its credit, and the delivery that is on its way in or out.

use bytes::Bytes;

use super::id::is_after;
use crate::performative::{DeliveryTag, ReceiverSettleMode, Role, SenderSettleMode};

/// What a link awaits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkState {
    /// The peer asked; the caller's answer.
    AwaitAnswer,
    /// This side asked; the peer's attach.
    AwaitAttach,
    /// The peer's attach had no terminus; the detach that says why.
    AwaitRefusal,
    /// Deliveries.
    Attached,
    /// This side has detached; the peer's detach. What else comes is passed over.
    AwaitDetach {
        /// Whether the caller is to be told.
        announce: bool,
    },
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) generation: u32,
    pub(super) name: Box<str>,
    /// The role of this side.
    pub(super) role: Role,
    pub(super) state: LinkState,
    pub(super) remote_handle: Option<u32>,
    pub(super) snd_settle_mode: SenderSettleMode,
    pub(super) rcv_settle_mode: ReceiverSettleMode,
    /// Octets of the largest delivery; of a receiver this side's bound, of a sender the peer's.
    pub(super) max_message_size: u64,
    pub(super) delivery_count: u32,
    /// Deliveries that may still be sent, as last told.
    pub(super) credit: u32,
    /// Of a receiver: the delivery count up to which the peer may have been told to send, whatever was told since.
    pub(super) ceiling: u32,
    pub(super) drain: bool,
    pub(super) partial: Option<Box<Partial>>,
    pub(super) rest: Option<Box<Rest>>,
}

/// A delivery of which more transfers are to come.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) id: u32,
    pub(super) tag: DeliveryTag,
    pub(super) message_format: u32,
    pub(super) settled: bool,
    pub(super) second: bool,
    pub(super) payload: Vec<u8>,
}

/// A delivery of which more transfers are to be sent.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) id: u32,
    pub(super) tag: DeliveryTag,
    pub(super) message_format: u32,
    pub(super) settled: bool,
    pub(super) payload: Bytes,
}

impl Link {
    pub(super) fn new(generation: u32, name: &str, role: Role, state: LinkState) -> Self {
        Self {
            generation,
            name: name.into(),
            role,
            state,
            remote_handle: None,
            snd_settle_mode: SenderSettleMode::Mixed,
            rcv_settle_mode: ReceiverSettleMode::First,
            max_message_size: 0,
            delivery_count: 0,
            credit: 0,
            ceiling: 0,
            drain: false,
            partial: None,
            rest: None,
        }
    }

    pub(super) fn heap(&self) -> usize {
        size_of::<Self>()
            + self.name.len()
            + self
                .partial
                .as_ref()
                .map_or(0, |partial| size_of::<Partial>() + partial.payload.capacity())
            + self
                .rest
                .as_ref()
                .map_or(0, |rest| size_of::<Rest>() + rest.payload.len())
    }

    /// Of a receiver: begins a delivery, if the peer may.
    pub(super) fn take_credit(&mut self) -> bool {
        if self.delivery_count == self.ceiling {
            return false;
        }
        self.delivery_count = self.delivery_count.wrapping_add(1);
        self.credit = self.credit.saturating_sub(1);
        true
    }

    /// Of a receiver: allows this many deliveries from now on.
    pub(super) fn grant(&mut self, credit: u32) {
        let credit = credit.min(i32::MAX.unsigned_abs());
        self.credit = credit;
        let limit = self.delivery_count.wrapping_add(credit);
        if is_after(limit, self.ceiling) {
            self.ceiling = limit;
        }
    }

    /// Of a receiver: takes over the sender's count, if it gave credit back. Says whether it did.
    pub(super) fn give_back(&mut self, delivery_count: u32) -> bool {
        let passed = delivery_count.wrapping_sub(self.delivery_count);
        let allowed = self.ceiling.wrapping_sub(self.delivery_count);
        if passed == 0 || passed > allowed {
            return false;
        }
        self.delivery_count = delivery_count;
        self.credit = self.credit.saturating_sub(passed);
        true
    }

    /// Of a sender: takes the receiver's word on how much may be sent.
    pub(super) fn take_word(&mut self, delivery_count: Option<u32>, credit: u32, initial: u32) {
        let seen = delivery_count.unwrap_or(initial);
        let on_the_way = self.delivery_count.wrapping_sub(seen);
        self.credit = credit.saturating_sub(on_the_way);
    }

    /// Of a sender: deliveries that may be begun now.
    pub(super) fn sendable(&self) -> u32 {
        match (&self.rest, self.state) {
            (None, LinkState::Attached) => self.credit,
            _ => 0,
        }
    }
}
