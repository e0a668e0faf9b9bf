//! What devices write into MQTT: user names, topics, and the property bag that a topic carries.
//!
//! Packets are not known here, only the texts inside them. Ids stand in user names and topics as they are, without
//! percent-encoding; bags are percent-encoded. Source: IoT Hub, "Communicate with an IoT hub using the MQTT protocol",
//! and the device SDKs for Python (2.14.0), Node (1.18.4) and C (2026-08), read 2026-11.

mod bag;
mod device;
mod topic;
mod user_name;

pub use bag::{from_bag, to_bag};
pub use device::{
    ProvisioningResponse, hub_user_name, operation_status, provisioning_user_name, register, telemetry,
};
pub use topic::{
    HubTopic, ProvisioningTopic, RESPONSES, channel, provisioning_response, twin_response, will_goes_to,
};
pub use user_name::{HubUser, ProvisioningUser, UserName};
