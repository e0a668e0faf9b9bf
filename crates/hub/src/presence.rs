//! Which devices are attached at this moment: one attachment for each identity, whatever protocol brought it.
//!
//! A connection is not an identity: one AMQP connection carries the attachments of many devices. An attachment has an
//! epoch, ordered for its identity; the highest wins, and the one before is told through its [`Mailbox`] that it was
//! replaced. The same way it is told when its identity was withdrawn or its token has ended. The index lives in memory:
//! what is attached to a server that has stopped is attached no more.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use muster_model::identity::DeviceIdentity;
use muster_model::{DeviceId, HubKey, Wall};
use muster_resources::StoreError;

use crate::permit::DevicePermit;

/// The place of an attachment among those of its identity; a later one is larger.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Epoch(pub u64);

/// Why an attachment has come to an end that its device did not ask for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// The hub is gone.
    HubGone,
    /// A newer attachment of the same identity took its place.
    Replaced,
    /// The token has ended.
    TokenExpired,
    /// The identity was disabled or deleted, or proves itself in another way by now.
    Withdrawn,
}

impl Ending {
    /// Its stable text, for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HubGone => "hub-gone",
            Self::Replaced => "replaced",
            Self::TokenExpired => "token-expired",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// Where an attachment is told what concerns it. Shared by the attachment's session and the index.
#[derive(Debug, Default)]
pub struct Mailbox(Mutex<Letters>);

#[derive(Debug, Default)]
struct Letters {
    ending: Option<Ending>,
    waker: Option<Waker>,
}

impl Mailbox {
    /// Says that the attachment has come to an end; the first reason stays.
    pub fn end(&self, ending: Ending) {
        let waker = {
            // A panic while the letters were written leaves them whole.
            let mut letters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            letters.ending.get_or_insert(ending);
            letters.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits for the end; one waker is kept.
    pub fn poll_ended(&self, context: &mut Context<'_>) -> Poll<Ending> {
        let mut letters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ending) = letters.ending {
            return Poll::Ready(ending);
        }
        match &mut letters.waker {
            Some(waker) => waker.clone_from(context.waker()),
            empty => *empty = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

/// Since when a device is attached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Attached {
    /// When it attached.
    pub since: Wall,
}

/// Keeps which devices are attached, over all servers of an installation.
#[async_trait]
pub trait Presence: Send + Sync {
    /// Attaches the device of `permit`: it gets the next epoch, and the attachment before is told that it was replaced.
    ///
    /// # Errors
    /// [`StoreError`] when it is not known whether another server holds the identity.
    async fn attach(
        &self,
        permit: &DevicePermit,
        mailbox: Arc<Mailbox>,
        now: Wall,
    ) -> Result<Epoch, StoreError>;

    /// Ends an attachment that its session has given up; harmless when a newer one stands in its place.
    fn detach(&self, hub: HubKey, device: &DeviceId, epoch: Epoch);

    /// Tells whether a device is attached.
    fn attached(&self, hub: HubKey, device: &DeviceId) -> Option<Attached>;

    /// Ends the attachment of an identity that has changed so that the permit would not be given any more: it was
    /// disabled, has another generation, or proves itself in another way.
    fn changed(&self, hub: HubKey, identity: &DeviceIdentity);

    /// Ends the attachment of an identity that is gone.
    fn gone(&self, hub: HubKey, device: &DeviceId);

    /// Ends the attachments of hubs that are not among `hubs`.
    fn retain_hubs(&self, hubs: &dyn Fn(HubKey) -> bool);

    /// Ends the attachments that rest on a token whose end lies before `now`.
    fn expire(&self, now: Wall);
}

/// A device's place in the index, until it is dropped.
pub struct Attachment {
    presence: Arc<dyn Presence>,
    hub: HubKey,
    device: DeviceId,
    epoch: Epoch,
}

impl Attachment {
    /// Attaches the device of `permit`.
    ///
    /// # Errors
    /// As [`Presence::attach`].
    pub async fn new(
        presence: &Arc<dyn Presence>,
        permit: &DevicePermit,
        mailbox: &Arc<Mailbox>,
        now: Wall,
    ) -> Result<Self, StoreError> {
        let epoch = presence.attach(permit, Arc::clone(mailbox), now).await?;
        Ok(Self {
            presence: Arc::clone(presence),
            hub: permit.hub_key(),
            device: permit.device().clone(),
            epoch,
        })
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.presence.detach(self.hub, &self.device, self.epoch);
    }
}

impl std::fmt::Debug for Attachment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attachment")
            .field("device", &self.device)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}
