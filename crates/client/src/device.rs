//! The device's end: registering with a provisioning service, and sending telemetry to a hub.
//!
//! Over HTTPS both are plain calls; a registration is polled in the rhythm that the server asks for. Over MQTT:
//! [`crate::mqtt`].

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method};
use muster_model::message::Message;
use muster_model::{IdScope, RegistrationId};
use muster_wire::message::{to_batch, to_headers};
use muster_wire::registration::{OperationStatus, operation_path, register_path};
use serde_json::{Value, json};

use crate::channel::{Channel, segment};
use crate::error::Error;
use crate::http::{Call, Reply};

/// The version that devices speak to provisioning services, as in the tutorials.
const PROVISIONING_VERSION: &str = "2021-06-01";

/// The version that devices speak to hubs, as in the tutorials.
const HUB_VERSION: &str = "2020-03-13";

/// Longest wait that a server can ask for, in seconds. Source: DPS device API, `Retry-After`, read 2026-11.
const LONGEST_WAIT: u64 = 300;

/// Wait where the server names none, in seconds.
const USUAL_WAIT: u64 = 2;

/// Calls that one registration may take, repeats of throttled ones included.
pub(crate) const MAX_CALLS: u32 = 200;

/// The media type of a body that holds several messages.
const BATCH: &str = "application/vnd.microsoft.iothub.json";

/// How a registration ended.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The answer as the server wrote it.
    pub document: Value,
    /// The same, read.
    pub status: OperationStatus,
}

impl Registered {
    /// Tells whether the device has a hub now.
    pub fn is_assigned(&self) -> bool {
        self.status.status == "assigned"
    }
}

/// A device at a provisioning service.
pub struct Registrar {
    channel: Channel,
    scope: IdScope,
}

impl Registrar {
    /// Registers over `channel` in an id scope.
    pub const fn new(channel: Channel, scope: IdScope) -> Self {
        Self { channel, scope }
    }

    /// Registers and waits for the outcome, whatever it is.
    ///
    /// # Errors
    /// As [`Channel::send`]; [`Error::Unexpected`] when the answer is none, or there is no end.
    pub async fn register(&self, id: &RegistrationId, payload: Option<&Value>) -> Result<Registered, Error> {
        let body = registration_body(id, payload);
        let target = format!(
            "{}?api-version={PROVISIONING_VERSION}",
            register_path(&self.scope, id)
        );
        let mut call = Call::new(Method::PUT, target).json(body.to_string());
        for _ in 0..MAX_CALLS {
            let reply = self.channel.ask(call.clone()).await?;
            if reply.status == 429 || reply.status == 503 {
                rest(&reply).await;
                continue;
            }
            let reply = reply.accepted()?;
            let status = OperationStatus::read(&reply.body).map_err(|e| Error::Unexpected(e.to_string()))?;
            if !status.is_assigning() {
                return Ok(Registered {
                    document: reply.json()?,
                    status,
                });
            }
            rest(&reply).await;
            call = Call::new(
                Method::GET,
                format!(
                    "{}?api-version={PROVISIONING_VERSION}",
                    operation_path(&self.scope, id, &status.operation_id)
                ),
            );
        }
        Err(Error::Unexpected("the registration does not end".into()))
    }
}

/// What a device says of itself when it registers.
pub(crate) fn registration_body(id: &RegistrationId, payload: Option<&Value>) -> Value {
    let mut body = json!({ "registrationId": id.as_str() });
    if let (Some(payload), Some(map)) = (payload, body.as_object_mut()) {
        map.insert("payload".into(), payload.clone());
    }
    body
}

/// Waits as long as the server asks.
pub(crate) async fn rest(reply: &Reply) {
    let seconds = reply.retry_after().unwrap_or(USUAL_WAIT).clamp(1, LONGEST_WAIT);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// Puts values into a message as they are typed, `name=value;name=value`. A name that begins with `$.` is one that the
/// hub knows: `$.ct` content type, `$.ce` content encoding, `$.mid` message id, `$.cid` correlation id, `$.uid` user id.
///
/// # Errors
/// [`Error::Target`] when a pair has no `=`, or the hub knows no such name.
pub fn put_properties(message: &mut Message, text: &str) -> Result<(), Error> {
    for pair in text.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| Error::Target(format!("the property {pair} is not of the form name=value")))?;
        let value = value.to_owned();
        let system = &mut message.system;
        let slot = match name {
            "$.ce" => &mut system.content_encoding,
            "$.cid" => &mut system.correlation_id,
            "$.ct" => &mut system.content_type,
            "$.mid" => &mut system.message_id,
            "$.uid" => &mut system.user_id,
            unknown if unknown.starts_with("$.") => {
                return Err(Error::Target(format!("there is no system property {unknown}")));
            }
            own => {
                message.application.push((own.to_owned(), value));
                continue;
            }
        };
        *slot = Some(value);
    }
    Ok(())
}

/// A device at a hub.
pub struct Device {
    channel: Channel,
    id: String,
}

impl Device {
    /// Speaks to the hub that `channel` leads to as the device of that id.
    pub const fn new(channel: Channel, id: String) -> Self {
        Self { channel, id }
    }

    /// Connects now, so that the first message finds a connection.
    ///
    /// # Errors
    /// As [`Channel::open`].
    pub async fn open(&self) -> Result<(), Error> {
        self.channel.open().await
    }

    /// The resource that a token of a device names.
    pub fn sas_resource(hub: &str, id: &str) -> String {
        format!("{hub}/devices/{}", segment(id))
    }

    /// Sends one message; when this returns, the hub has it for good.
    ///
    /// # Errors
    /// As [`Channel::send`]; [`Error::Target`] when a property can't stand in a header.
    pub async fn send(&self, message: &Message) -> Result<(), Error> {
        let mut call = Call::new(Method::POST, self.target());
        call.body = Bytes::copy_from_slice(&message.body);
        for (name, value) in to_headers(message) {
            let bad = || Error::Target(format!("the property {name}={value} can't stand in a header"));
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            call.headers
                .append(header, HeaderValue::from_str(&value).map_err(|_| bad())?);
        }
        self.channel.send(call).await?;
        Ok(())
    }

    /// Sends several messages in one call, all or none.
    ///
    /// # Errors
    /// As [`Channel::send`].
    pub async fn send_batch(&self, messages: &[Message]) -> Result<(), Error> {
        let mut call = Call::new(Method::POST, self.target());
        call.body = to_batch(messages).into();
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static(BATCH));
        self.channel.send(call).await?;
        Ok(())
    }

    fn target(&self) -> String {
        format!(
            "/devices/{}/messages/events?api-version={HUB_VERSION}",
            segment(&self.id)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_as_typed() {
        let mut message = Message::default();
        put_properties(
            &mut message,
            "temperatureAlert=true;$.ct=application/json; key=a=b;",
        )
        .unwrap();
        assert_eq!(
            message.application,
            [
                ("temperatureAlert".to_owned(), "true".to_owned()),
                ("key".to_owned(), "a=b".to_owned()),
            ]
        );
        assert_eq!(message.system.content_type.as_deref(), Some("application/json"));
        assert!(put_properties(&mut message, "novalue").is_err());
        assert!(put_properties(&mut message, "$.nothing=1").is_err());
    }
}
