//! Topics and topic filters: what a device publishes to, and what it may subscribe to.

use muster_model::subscription::Channel;

/// The filter to which a registering device subscribes.
pub const RESPONSES: &str = "$dps/registrations/res/#";

/// Longest request id that is echoed, in bytes.
const LONGEST_RID: usize = 256;

const EVENTS: &str = "messages/events";

/// What a device publishes to at a hub.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HubTopic<'a> {
    /// The answer to a direct method.
    MethodResponse,
    /// A change of reported properties.
    ReportedPatch {
        /// The request id, to be echoed byte for byte.
        rid: &'a str,
    },
    /// A message.
    Telemetry {
        /// The device that the topic names.
        device: &'a str,
        /// The property bag, still encoded.
        bag: &'a str,
    },
    /// A question for the twin.
    TwinGet {
        /// The request id, to be echoed byte for byte.
        rid: &'a str,
    },
}

impl<'a> HubTopic<'a> {
    /// Reads a topic; `None` for one that a device has no business with.
    pub fn parse(topic: &'a str) -> Option<Self> {
        if let Some(rest) = topic.strip_prefix("devices/") {
            return telemetry(rest);
        }
        let rest = topic.strip_prefix("$iothub/")?;
        if let Some(query) = rest.strip_prefix("twin/GET/?") {
            return Some(Self::TwinGet { rid: rid(query)? });
        }
        if let Some(query) = rest.strip_prefix("twin/PATCH/properties/reported/?") {
            return Some(Self::ReportedPatch { rid: rid(query)? });
        }
        rest.strip_prefix("methods/res/").map(|_| Self::MethodResponse)
    }
}

fn telemetry(rest: &str) -> Option<HubTopic<'_>> {
    let (device, rest) = rest.split_once('/')?;
    let bag = rest.strip_prefix(EVENTS)?;
    // Some clients leave out the last slash, others add one behind the bag.
    let bag = match bag.strip_prefix('/') {
        Some(bag) => bag.strip_suffix('/').unwrap_or(bag),
        None if bag.is_empty() => bag,
        None => return None,
    };
    Some(HubTopic::Telemetry { device, bag })
}

/// Tells whether the will of a device may go to a topic, and gives its bag.
pub fn will_goes_to<'a>(topic: &'a str, device: &str) -> Option<&'a str> {
    match HubTopic::parse(topic)? {
        HubTopic::Telemetry { device: named, bag } if named == device => Some(bag),
        _ => None,
    }
}

/// The channel that a device subscribes to by a filter; `None` for a filter that is not offered.
pub fn channel(filter: &str, device: &str) -> Option<Channel> {
    match filter {
        "$iothub/methods/POST/#" => Some(Channel::MethodRequests),
        "$iothub/twin/PATCH/properties/desired/#" => Some(Channel::DesiredProperties),
        "$iothub/twin/res/#" => Some(Channel::TwinResponses),
        _ => filter
            .strip_prefix("devices/")?
            .strip_prefix(device)?
            .eq("/messages/devicebound/#")
            .then_some(Channel::DeviceBound),
    }
}

/// The topic of an answer about a twin.
pub fn twin_response(status: u16, rid: &str) -> String {
    format!("$iothub/twin/res/{status}/?$rid={rid}")
}

/// What a device publishes to while it registers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProvisioningTopic<'a> {
    /// The wish to be registered.
    Register {
        /// The request id, to be echoed byte for byte.
        rid: &'a str,
    },
    /// The question what became of it.
    Status {
        /// The request id, to be echoed byte for byte.
        rid: &'a str,
        /// The operation.
        operation: &'a str,
    },
}

impl<'a> ProvisioningTopic<'a> {
    /// Reads a topic; `None` for one that a registering device has no business with.
    pub fn parse(topic: &'a str) -> Option<Self> {
        let rest = topic.strip_prefix("$dps/registrations/")?;
        if let Some(query) = rest.strip_prefix("PUT/iotdps-register/?") {
            return Some(Self::Register { rid: rid(query)? });
        }
        let query = rest.strip_prefix("GET/iotdps-get-operationstatus/?")?;
        Some(Self::Status {
            rid: rid(query)?,
            operation: value(query, "operationId").unwrap_or_default(),
        })
    }
}

/// The topic of an answer to a registering device. The request id stands first, for clients match what follows it.
pub fn provisioning_response(status: u16, rid: &str, retry_after: Option<u32>) -> String {
    let wait = retry_after.map_or_else(String::new, |seconds| format!("&retry-after={seconds}"));
    format!("$dps/registrations/res/{status}/?$rid={rid}{wait}")
}

fn rid(query: &str) -> Option<&str> {
    value(query, "$rid").filter(|rid| !rid.is_empty() && rid.len() <= LONGEST_RID)
}

fn value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn telemetry_is_read_with_and_without_a_bag() {
        for (topic, bag) in [
            ("devices/d/messages/events", ""),
            ("devices/d/messages/events/", ""),
            ("devices/d/messages/events/%24.mid=1&a=b", "%24.mid=1&a=b"),
            ("devices/d/messages/events/a=b/", "a=b"),
        ] {
            assert_eq!(
                HubTopic::parse(topic),
                Some(HubTopic::Telemetry { device: "d", bag }),
                "{topic}"
            );
            assert_eq!(will_goes_to(topic, "d"), Some(bag));
            assert_eq!(will_goes_to(topic, "e"), None);
        }
    }

    #[test]
    fn requests_keep_their_id() {
        assert_eq!(
            HubTopic::parse("$iothub/twin/GET/?$rid=aB-1"),
            Some(HubTopic::TwinGet { rid: "aB-1" })
        );
        assert_eq!(
            HubTopic::parse("$iothub/twin/PATCH/properties/reported/?$rid=7&$version=3"),
            Some(HubTopic::ReportedPatch { rid: "7" })
        );
        assert_eq!(
            ProvisioningTopic::parse(
                "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=1&operationId=5.x"
            ),
            Some(ProvisioningTopic::Status {
                rid: "1",
                operation: "5.x"
            })
        );
        assert_eq!(
            provisioning_response(202, "1", Some(3)),
            "$dps/registrations/res/202/?$rid=1&retry-after=3"
        );
    }

    #[test]
    fn other_topics_are_none_of_a_devices_business() {
        for topic in [
            "",
            "devices/d",
            "devices/d/messages/eventsx",
            "devices/d/messages/devicebound/",
            "devices/d/modules/m/messages/events/",
            "$iothub/twin/GET/",
            "$iothub/twin/GET/?$rid=",
            "$iothub/twin/res/200/?$rid=1",
            "$SYS/broker",
            "a/b",
        ] {
            assert_eq!(HubTopic::parse(topic), None, "{topic}");
            assert_eq!(ProvisioningTopic::parse(topic), None, "{topic}");
        }
    }

    #[test]
    fn filters_lead_to_channels_of_the_device_itself() {
        assert_eq!(
            channel("devices/d/messages/devicebound/#", "d"),
            Some(Channel::DeviceBound)
        );
        assert_eq!(
            channel("$iothub/methods/POST/#", "d"),
            Some(Channel::MethodRequests)
        );
        assert_eq!(channel("$iothub/twin/res/#", "d"), Some(Channel::TwinResponses));
        for filter in [
            "#",
            "+/d",
            "devices/e/messages/devicebound/#",
            "devices/dd/messages/devicebound/#",
            "$iothub/#",
        ] {
            assert_eq!(channel(filter, "d"), None, "{filter}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,80}") {
            let _ = HubTopic::parse(&text);
            let _ = ProvisioningTopic::parse(&text);
            let _ = channel(&text, "d");
        }
    }
}
