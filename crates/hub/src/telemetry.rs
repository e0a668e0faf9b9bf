//! Device-to-cloud messages on their way into the event log.
//!
//! What ends well here is durable. A device's messages all go to one partition, in the order in which it sent them; the
//! messages of one call are acknowledged together or not at all. Property names and values were read by the gateway;
//! what does not depend on a protocol is checked here.

use std::sync::Arc;

use muster_model::Wall;
use muster_model::message::{MAX_MESSAGE, MAX_MESSAGE_ID, Message};

use crate::error::Error;
use crate::event_log::{Event, EventLog, Lane, MessageSource, TARGET_BUILT_IN, durable};
use crate::partition::partition_of;
use crate::permit::DevicePermit;

/// The interface of security agents: its messages are accepted and go to no endpoint.
/// Source: `SECURITY_INTERFACE_ID` of the device SDKs, read 2026-11.
pub const SECURITY_INTERFACE: &str = "urn:azureiot:Security:SecurityAgent:1";

/// Takes what devices send.
#[derive(Clone)]
pub struct Telemetry {
    log: Arc<dyn EventLog>,
}

impl Telemetry {
    /// Makes the verbs over `log`.
    pub const fn new(log: Arc<dyn EventLog>) -> Self {
        Self { log }
    }

    /// Stores the messages of one request, all or none, and answers when they are durable. Cancelling it leaves open
    /// whether they are stored.
    ///
    /// # Errors
    /// [`Error::MessageTooLarge`] when one of them, or all together, are larger than one message may be;
    /// [`Error::Argument`] when a property breaks its rule; [`Error::Busy`] when the log takes nothing more;
    /// [`Error::NotDurable`] when they may or may not be stored. In the last two cases the device sends again.
    pub async fn ingest(
        &self,
        permit: &DevicePermit,
        messages: Vec<Message>,
        received: Wall,
    ) -> Result<(), Error> {
        check(&messages)?;
        // A request is kept as a whole or not at all: its device knows of one answer only.
        let events: Vec<Event> = messages
            .into_iter()
            .map(|message| event(permit, message, received))
            .collect();
        let mut lane = self.lane(permit);
        let last = lane.submit_all(&events).map_err(|_| Error::Busy)?;
        durable(lane.as_mut(), last)
            .await
            .map_err(|closed| Error::NotDurable(closed.to_string()))
    }

    /// Opens the lane of a device that stays attached: its messages are submitted one after the other and acknowledged as
    /// they become durable.
    pub fn lane(&self, permit: &DevicePermit) -> Box<dyn Lane> {
        let partition = partition_of(permit.device(), permit.hub().partitions);
        self.log.open_lane(permit.hub_key(), partition)
    }

    /// Makes the event of one message, to be submitted to the device's lane.
    ///
    /// # Errors
    /// [`Error::MessageTooLarge`]; [`Error::Argument`] when a property breaks its rule.
    pub fn event(permit: &DevicePermit, message: Message, received: Wall) -> Result<Event, Error> {
        check(std::slice::from_ref(&message))?;
        Ok(event(permit, message, received))
    }
}

fn event(permit: &DevicePermit, message: Message, received: Wall) -> Event {
    Event {
        device: permit.device().clone(),
        generation: permit.generation(),
        auth: permit.auth_method(),
        received,
        source: MessageSource::Telemetry,
        targets: targets(&message),
        message,
    }
}

/// Decides where a message goes. Without routes of one's own, everything goes to the built-in endpoint.
fn targets(message: &Message) -> u64 {
    if message.system.interface_id.as_deref() == Some(SECURITY_INTERFACE) {
        0
    } else {
        TARGET_BUILT_IN
    }
}

fn check(messages: &[Message]) -> Result<(), Error> {
    let mut all = 0_usize;
    for message in messages {
        all = all.saturating_add(message.size());
        if all > MAX_MESSAGE {
            return Err(Error::MessageTooLarge {
                size: all,
                limit: MAX_MESSAGE,
            });
        }
        for (what, text) in [
            ("message id", &message.system.message_id),
            ("correlation id", &message.system.correlation_id),
        ] {
            if text
                .as_deref()
                .is_some_and(|text| text.chars().count() > MAX_MESSAGE_ID)
            {
                return Err(Error::Argument(format!(
                    "the {what} has more than {MAX_MESSAGE_ID} characters"
                )));
            }
        }
    }
    Ok(())
}
