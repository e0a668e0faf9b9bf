//! Device-to-cloud messages as the domain sees them.

use crate::clock::Wall;

/// Most bytes of one device-to-cloud message, properties included. Source: IoT Hub quotas, read 2026-11.
pub const MAX_MESSAGE: usize = 262_144;

/// Longest message id and correlation id, in characters.
pub const MAX_MESSAGE_ID: usize = 128;

/// A device-to-cloud message before it is stamped.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Message {
    /// What the protocol's own fields said.
    pub system: SystemProperties,
    /// The sender's own properties, in the order in which they came. A name can come once only.
    pub application: Vec<(String, String)>,
    /// The bytes of the sender.
    pub body: Vec<u8>,
}

impl Message {
    /// Its size as the quota counts it: body, values of system properties, names and values of application properties.
    pub fn size(&self) -> usize {
        let system: usize = self.system.texts().map(str::len).sum();
        let application: usize = self
            .application
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        self.body.len() + system + application
    }
}

/// Properties with a meaning of their own.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SystemProperties {
    /// `message-id`.
    pub message_id: Option<String>,
    /// `correlation-id`.
    pub correlation_id: Option<String>,
    /// `user-id`.
    pub user_id: Option<String>,
    /// `to`; kept and not acted on.
    pub to: Option<String>,
    /// `content-type`.
    pub content_type: Option<String>,
    /// `content-encoding`.
    pub content_encoding: Option<String>,
    /// `absolute-expiry-time`.
    pub expiry: Option<Wall>,
    /// `iothub-creation-time-utc`, as the device wrote it.
    pub creation_time: Option<String>,
    /// `iothub-ack`, as the device wrote it.
    pub ack: Option<String>,
    /// `iothub-interface-id`.
    pub interface_id: Option<String>,
    /// `dt-dataschema`: the model id of the connection.
    pub data_schema: Option<String>,
    /// `dt-subject`: the component.
    pub subject: Option<String>,
}

impl SystemProperties {
    /// Every text that is there.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        [
            &self.message_id,
            &self.correlation_id,
            &self.user_id,
            &self.to,
            &self.content_type,
            &self.content_encoding,
            &self.creation_time,
            &self.ack,
            &self.interface_id,
            &self.data_schema,
            &self.subject,
        ]
        .into_iter()
        .filter_map(Option::as_deref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_counts_body_values_and_application_names() {
        let message = Message {
            system: SystemProperties {
                message_id: Some("1234".into()),
                ..Default::default()
            },
            application: vec![("ab".into(), "cde".into())],
            body: vec![0; 10],
        };
        assert_eq!(message.size(), 10 + 4 + 5);
    }
}
