//! The device's half of the texts: what it writes into user names and topics, and the answers that it reads.

use std::fmt::Write as _;

use crate::sas;

/// The version that devices speak to hubs. It is the first with model ids. Source: IoT Hub, "Communicate with an IoT
/// hub using the MQTT protocol", read 2026-11.
const HUB_VERSION: &str = "2021-04-12";

/// The version that devices speak to provisioning services, as the SDKs do. Source: azure-iot-device for Python 2.14.0.
const PROVISIONING_VERSION: &str = "2019-03-31";

/// Writes the user name of a device of a hub.
pub fn hub_user_name(host: &str, device: &str, model_id: Option<&str>, program: &str) -> String {
    let mut text = format!("{host}/{device}/?api-version={HUB_VERSION}");
    if let Some(model_id) = model_id {
        let _ = write!(text, "&model-id={}", sas::encode(model_id));
    }
    let _ = write!(text, "&DeviceClientType={}", sas::encode(program));
    text
}

/// Writes the user name of a device that registers.
pub fn provisioning_user_name(scope: &str, registration: &str, program: &str) -> String {
    format!(
        "{scope}/registrations/{registration}/api-version={PROVISIONING_VERSION}&ClientVersion={}",
        sas::encode(program)
    )
}

/// The topic of a message, with its bag.
pub fn telemetry(device: &str, bag: &str) -> String {
    format!("devices/{device}/messages/events/{bag}")
}

/// The topic of the wish to be registered.
pub fn register(rid: &str) -> String {
    format!("$dps/registrations/PUT/iotdps-register/?$rid={rid}")
}

/// The topic of the question what became of an operation.
pub fn operation_status(rid: &str, operation: &str) -> String {
    format!("$dps/registrations/GET/iotdps-get-operationstatus/?$rid={rid}&operationId={operation}")
}

/// What the topic of an answer to a registering device says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProvisioningResponse<'a> {
    /// The status, as over HTTP.
    pub status: u16,
    /// The id of the request that is answered.
    pub rid: &'a str,
    /// Seconds to wait before the next question.
    pub retry_after: Option<u64>,
}

impl<'a> ProvisioningResponse<'a> {
    /// Reads a topic; `None` for one of another kind.
    pub fn parse(topic: &'a str) -> Option<Self> {
        let rest = topic.strip_prefix("$dps/registrations/res/")?;
        let (status, query) = rest.split_once("/?")?;
        let value = |name: &str| {
            query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
        };
        Some(Self {
            status: status.parse().ok()?,
            rid: value("$rid")?,
            retry_after: value("retry-after").and_then(|text| text.parse().ok()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::{HubTopic, ProvisioningTopic, UserName, provisioning_response};

    #[test]
    fn user_names_are_read_as_they_were_meant() {
        let text = hub_user_name("h.example", "d/?", Some("dtmi:com:x;1"), "muster/0.1.0");
        let UserName::Hub(user) = UserName::parse(&text).unwrap() else {
            panic!("a device of a hub")
        };
        assert_eq!(
            (user.host.as_str(), user.model_id.as_deref()),
            ("h.example", Some("dtmi:com:x;1"))
        );
        let text = provisioning_user_name("0ne00AABBCC", "d-1", "muster/0.1.0");
        let UserName::Provisioning(user) = UserName::parse(&text).unwrap() else {
            panic!("a device that registers")
        };
        assert_eq!(
            (user.scope.as_str(), user.registration.as_str()),
            ("0ne00AABBCC", "d-1")
        );
    }

    #[test]
    fn topics_are_read_as_they_were_meant() {
        assert_eq!(
            HubTopic::parse(&telemetry("d", "a=b")),
            Some(HubTopic::Telemetry {
                device: "d",
                bag: "a=b"
            })
        );
        assert_eq!(
            ProvisioningTopic::parse(&register("1")),
            Some(ProvisioningTopic::Register { rid: "1" })
        );
        assert_eq!(
            ProvisioningTopic::parse(&operation_status("2", "5.x")),
            Some(ProvisioningTopic::Status {
                rid: "2",
                operation: "5.x"
            })
        );
    }

    #[test]
    fn answers_are_read_with_and_without_a_wait() {
        for wait in [None, Some(3)] {
            let topic = provisioning_response(202, "7", wait);
            let response = ProvisioningResponse::parse(&topic).unwrap();
            assert_eq!((response.status, response.rid), (202, "7"));
            assert_eq!(response.retry_after, wait.map(u64::from));
        }
        for other in [
            "",
            "$dps/registrations/res/x/?$rid=1",
            "$dps/registrations/res/200",
            "devices/d",
        ] {
            assert_eq!(ProvisioningResponse::parse(other), None, "{other}");
        }
    }
}
