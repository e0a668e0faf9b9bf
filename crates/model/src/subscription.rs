//! What a device has asked its hub to send: its subscriptions, which may outlive its connections.
//!
//! Only which channels, and how surely; what goes over a channel is a noun of its own, and how a device asks for one is
//! its gateway's matter.

use std::fmt;

/// A kind of thing that a hub sends to a device.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Channel {
    /// Changes of the desired properties of its twin.
    DesiredProperties,
    /// Cloud-to-device messages.
    DeviceBound,
    /// Calls of direct methods.
    MethodRequests,
    /// Answers to what it asks of its twin.
    TwinResponses,
}

impl Channel {
    /// Every channel, in order.
    pub const ALL: [Self; 4] = [
        Self::DesiredProperties,
        Self::DeviceBound,
        Self::MethodRequests,
        Self::TwinResponses,
    ];
}

/// How surely a hub delivers what it sends. There is no third way: who asks for exactly once gets at least once.
/// Source: IoT Hub developer guide, "Receiving cloud-to-device messages", read 2026-11.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Assurance {
    /// Again until the device has confirmed it.
    AtLeastOnce,
    /// Once, with no word of whether it arrived.
    AtMostOnce,
}

/// The subscriptions of a device: at most one to each channel.
///
/// They outlive a connection when the device wants it so, and count from the first moment of its next one, before it
/// has asked for anything. Source: IoT Hub developer guide, "Receiving cloud-to-device messages", read 2026-11.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Subscriptions {
    desired_properties: Option<Assurance>,
    device_bound: Option<Assurance>,
    method_requests: Option<Assurance>,
    twin_responses: Option<Assurance>,
}

impl Subscriptions {
    /// The assurance of a subscription; `None` when there is none to this channel.
    pub fn get(&self, channel: Channel) -> Option<Assurance> {
        match channel {
            Channel::DesiredProperties => self.desired_properties,
            Channel::DeviceBound => self.device_bound,
            Channel::MethodRequests => self.method_requests,
            Channel::TwinResponses => self.twin_responses,
        }
    }

    /// Subscribes to a channel, or changes the assurance; answers the one before.
    pub fn insert(&mut self, channel: Channel, assurance: Assurance) -> Option<Assurance> {
        self.slot(channel).replace(assurance)
    }

    /// Ends a subscription; answers the assurance that it had.
    pub fn remove(&mut self, channel: Channel) -> Option<Assurance> {
        self.slot(channel).take()
    }

    /// Lists the subscriptions in the order of their channels.
    pub fn iter(&self) -> impl Iterator<Item = (Channel, Assurance)> {
        let entry = |channel| self.get(channel).map(|assurance| (channel, assurance));
        Channel::ALL.into_iter().filter_map(entry)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    fn slot(&mut self, channel: Channel) -> &mut Option<Assurance> {
        match channel {
            Channel::DesiredProperties => &mut self.desired_properties,
            Channel::DeviceBound => &mut self.device_bound,
            Channel::MethodRequests => &mut self.method_requests,
            Channel::TwinResponses => &mut self.twin_responses,
        }
    }
}

impl fmt::Debug for Subscriptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl FromIterator<(Channel, Assurance)> for Subscriptions {
    /// Of two to one channel the later counts.
    fn from_iter<I: IntoIterator<Item = (Channel, Assurance)>>(entries: I) -> Self {
        let mut subscriptions = Self::default();
        for (channel, assurance) in entries {
            subscriptions.insert(channel, assurance);
        }
        subscriptions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_subscription_to_a_channel_and_the_later_counts() {
        let mut subscriptions = Subscriptions::default();
        assert!(subscriptions.is_empty());
        let first = subscriptions.insert(Channel::DeviceBound, Assurance::AtMostOnce);
        let second = subscriptions.insert(Channel::DeviceBound, Assurance::AtLeastOnce);
        assert_eq!((first, second), (None, Some(Assurance::AtMostOnce)));
        assert_eq!(
            subscriptions.get(Channel::DeviceBound),
            Some(Assurance::AtLeastOnce)
        );
        assert_eq!(subscriptions.iter().count(), 1);
        assert_eq!(
            subscriptions.remove(Channel::DeviceBound),
            Some(Assurance::AtLeastOnce)
        );
        assert_eq!(subscriptions.remove(Channel::DeviceBound), None);
        assert_eq!(subscriptions, Subscriptions::default());
    }

    #[test]
    fn subscriptions_stand_in_the_order_of_their_channels_however_they_came() {
        let entries = Channel::ALL.map(|channel| (channel, Assurance::AtLeastOnce));
        let back: Subscriptions = entries.into_iter().rev().collect();
        assert!(back.iter().eq(entries));
        assert!(Channel::ALL.is_sorted());
        for channel in Channel::ALL {
            let mut less = back.clone();
            less.remove(channel);
            assert_eq!((less.get(channel), less.iter().count()), (None, 3));
        }
        assert_eq!(
            format!("{:?}", entries.into_iter().take(1).collect::<Subscriptions>()),
            "{DesiredProperties: AtLeastOnce}"
        );
    }
}
