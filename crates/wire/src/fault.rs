//! Errors as clients see them: one catalogue, and the bodies and headers of each surface.
//!
//! Only this module renders an error for an API or a device. What went wrong inside stays in the log; the caller gets
//! the code, a sentence that is meant for him, and the tracking id by which an operator finds the rest.

mod catalogue;

use muster_model::{ErrorCode, TrackingId, Wall};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::{Error, Surface};
use crate::{body, time};

pub use catalogue::{Entry, MqttOutcome, SHARED_NUMBERS, by_name, entries, entry};

/// Longest message that a fault shows, in characters.
const LONGEST_MESSAGE: usize = 1024;

/// An error on its way to a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// The code; the catalogue knows the rest.
    pub code: ErrorCode,
    /// The attempt, from socket to store.
    pub tracking: TrackingId,
    /// When it was refused.
    pub at: Wall,
    /// A sentence for the caller; the catalogue's text where there is none.
    pub message: Option<String>,
    /// More facts, as names and values.
    pub info: Vec<(&'static str, String)>,
    /// Seconds after which it makes sense to try again.
    pub retry_after: Option<u32>,
}

impl Fault {
    /// Makes a fault with the catalogue's text.
    pub fn new(code: ErrorCode, tracking: TrackingId, at: Wall) -> Self {
        Self {
            code,
            tracking,
            at,
            message: None,
            info: Vec::new(),
            retry_after: None,
        }
    }

    /// Makes a fault for a text that was not taken.
    pub fn from_error(error: &Error, surface: Surface, tracking: TrackingId, at: Wall) -> Self {
        let fault = Self::new(error.code(surface), tracking, at);
        match error {
            // A client knows this text; what exactly is wrong is plain from the grammar.
            Error::RegistrationId(_) => fault,
            other => fault.with_message(other.to_string()),
        }
    }

    /// Replaces the catalogue's text.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn with_info(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.info.push((name, value.into()));
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The catalogue's entry of its code.
    pub fn entry(&self) -> &'static Entry {
        entry(self.code)
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.entry().status
    }

    /// The name and value of the header in which the surface repeats the code.
    pub fn header(&self) -> Option<(&'static str, String)> {
        let entry = self.entry();
        match entry.surface {
            Surface::Arm => None,
            Surface::Dps => Some(("x-ms-error-code", entry.number.to_string())),
            Surface::Hub => Some(("iothub-errorcode", entry.name.to_owned())),
        }
    }

    /// The JSON body in the form of the surface that the code belongs to.
    pub fn body(&self) -> String {
        match self.entry().surface {
            Surface::Arm => self.arm_body(),
            Surface::Dps => self.numbered_body(&self.tracking.to_string()),
            Surface::Hub => self.hub_body(),
        }
    }

    /// The JSON body of certificate resources: the flat form that older clients read, and beside it the wrapper that
    /// all other management answers have.
    pub fn certificate_body(&self) -> String {
        let entry = self.entry();
        let sentence = self.text();
        let stop = if sentence.ends_with('.') { "" } else { "." };
        let message = format!(
            "{sentence}{stop} If you contact a support representative please include this correlation identifier: {}, \
             timestamp: {}, errorcode: IH{}.",
            self.tracking,
            time::correlation(self.at),
            entry.number
        );
        json!({
            "code": entry.number,
            "httpStatusCode": status_name(entry.status),
            "message": message,
            "error": {"code": entry.name, "message": message},
        })
        .to_string()
    }

    /// The JSON that AMQP carries in an error's description, and provisioning over MQTT as payload: plain ASCII.
    pub fn description(&self) -> String {
        let tracking = match self.entry().surface {
            Surface::Hub => self.hub_tracking(),
            Surface::Arm | Surface::Dps => self.tracking.to_string(),
        };
        body::escape_non_ascii(&self.numbered_body(&tracking))
    }

    /// The text for the caller, within bounds.
    pub fn text(&self) -> String {
        let text = self.message.as_deref().unwrap_or(self.entry().text);
        text.chars().take(LONGEST_MESSAGE).collect()
    }

    fn numbered_body(&self, tracking: &str) -> String {
        let mut fields = Map::new();
        fields.insert("errorCode".into(), self.entry().number.into());
        fields.insert("trackingId".into(), tracking.into());
        fields.insert("message".into(), self.text().into());
        if !self.info.is_empty() {
            let info = self
                .info
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())));
            fields.insert("info".into(), Value::Object(info.collect()));
        }
        fields.insert("timestampUtc".into(), time::iso(self.at).into());
        Value::Object(fields).to_string()
    }

    fn hub_body(&self) -> String {
        // Clients split at ';' and then at ':', so the text may hold the second, not the first.
        let text = self.text().replace(';', ",");
        json!({
            "Message": format!("ErrorCode:{};{text}", self.entry().name),
            "ExceptionMessage": format!("Tracking ID:{}", self.hub_tracking()),
        })
        .to_string()
    }

    fn arm_body(&self) -> String {
        json!({"error": {"code": self.entry().name, "message": self.text()}}).to_string()
    }

    fn hub_tracking(&self) -> String {
        format!(
            "{}-G:0-TimeStamp:{}",
            data_encoding::HEXLOWER.encode(&self.tracking.bytes()),
            time::fault(self.at)
        )
    }
}

/// An error as a client reads it from an answer, whatever surface it came from.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ReceivedFault {
    /// The number, where the surface prints one.
    pub number: Option<u32>,
    /// The name, where the surface prints one.
    pub name: Option<String>,
    /// The text; the body as it came when it is none of the known forms.
    pub message: String,
    /// The tracking id, as printed.
    pub tracking: Option<String>,
}

impl ReceivedFault {
    /// Reads the body of an answer that was no success. Never fails: what is not understood becomes the message.
    pub fn read(body: &[u8]) -> Self {
        let bytes = body.get(..body.len().min(64 * 1024)).unwrap_or_default();
        let text = String::from_utf8_lossy(bytes);
        let Ok(all) = serde_json::from_str::<Received>(&text) else {
            return Self {
                message: text.chars().take(LONGEST_MESSAGE).collect(),
                ..Self::default()
            };
        };
        if let Some(inner) = all.hub_message {
            return Self::read_hub(&inner, all.exception_message.as_deref());
        }
        let (name, message) = match all.error {
            Some(error) => (error.code, error.message.or(all.message)),
            None => (None, all.message),
        };
        let number = all.error_code.or(all.code).and_then(|code| match code {
            Value::Number(number) => number.as_u64().and_then(|n| u32::try_from(n).ok()),
            Value::String(text) => text.parse().ok(),
            _ => None,
        });
        Self {
            number,
            name,
            message: message.unwrap_or_else(|| text.chars().take(LONGEST_MESSAGE).collect()),
            tracking: all.tracking_id,
        }
    }

    /// The entry of the catalogue that it matches, where one does.
    pub fn entry(&self, surface: Surface) -> Option<&'static Entry> {
        if let Some(entry) = self.name.as_deref().and_then(|name| by_name(surface, name)) {
            return Some(entry);
        }
        let number = self.number?;
        entries()
            .iter()
            .find(|entry| entry.surface == surface && entry.number == number)
    }

    fn read_hub(message: &str, exception: Option<&str>) -> Self {
        if let Ok(inner) = serde_json::from_str::<Received>(message)
            && inner.error_code.is_some()
        {
            return Self {
                number: inner
                    .error_code
                    .as_ref()
                    .and_then(Value::as_u64)
                    .and_then(|n| u32::try_from(n).ok()),
                name: None,
                message: inner.message.unwrap_or_default(),
                tracking: inner.tracking_id,
            };
        }
        let (name, text) = match message
            .strip_prefix("ErrorCode:")
            .and_then(|rest| rest.split_once(';'))
        {
            Some((name, text)) => (Some(name.to_owned()), text),
            None => (None, message),
        };
        let tracking = exception.map(|exception| {
            let id = exception.strip_prefix("Tracking ID:").unwrap_or(exception);
            id.split_once("-G:").map_or(id, |(id, _)| id).to_owned()
        });
        Self {
            number: None,
            name,
            message: text.to_owned(),
            tracking,
        }
    }
}

/// The union of the known forms.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Received {
    #[serde(default, rename = "Message")]
    hub_message: Option<String>,
    #[serde(default, rename = "ExceptionMessage")]
    exception_message: Option<String>,
    #[serde(default)]
    error_code: Option<Value>,
    #[serde(default)]
    code: Option<Value>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    tracking_id: Option<String>,
    #[serde(default)]
    error: Option<ReceivedInner>,
}

#[derive(Deserialize, Serialize)]
struct ReceivedInner {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

/// The name that .NET gives a status, as certificate resources print it.
fn status_name(status: u16) -> &'static str {
    match status {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        405 => "MethodNotAllowed",
        409 => "Conflict",
        412 => "PreconditionFailed",
        413 => "RequestEntityTooLarge",
        415 => "UnsupportedMediaType",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalServerError",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AT: Wall = Wall::from_micros(1_552_678_982_790_445);

    fn tracking() -> TrackingId {
        TrackingId::parse("f40da7ba-8c91-4796-8fc3-89e1dfbdbe05").unwrap()
    }

    #[test]
    fn provisioning_faults_have_the_form_of_the_contract() {
        let fault = Fault::new(ErrorCode::DpsInvalidCertificate, tracking(), AT);
        assert_eq!(fault.status(), 401);
        assert_eq!(fault.header(), Some(("x-ms-error-code", "401002".into())));
        assert_eq!(
            fault.body(),
            "{\"errorCode\":401002,\"trackingId\":\"f40da7ba-8c91-4796-8fc3-89e1dfbdbe05\",\
             \"message\":\"Invalid certificate.\",\"timestampUtc\":\"2019-03-15T19:43:02.7904450Z\"}"
        );
    }

    #[test]
    fn hub_faults_have_the_form_that_node_splits() {
        let fault = Fault::new(ErrorCode::DeviceNotFound, tracking(), AT).with_message("no device; dev:1");
        assert_eq!(
            fault.header(),
            Some(("iothub-errorcode", "DeviceNotFound".into()))
        );
        assert_eq!(
            fault.body(),
            "{\"Message\":\"ErrorCode:DeviceNotFound;no device, dev:1\",\"ExceptionMessage\":\
             \"Tracking ID:f40da7ba8c9147968fc389e1dfbdbe05-G:0-TimeStamp:03/15/2019 19:43:02\"}"
        );
    }

    #[test]
    fn certificate_faults_have_both_forms() {
        let fault = Fault::new(ErrorCode::ArmPreconditionFailed, tracking(), AT);
        let body: Value = serde_json::from_str(&fault.certificate_body()).unwrap();
        assert_eq!(body["code"], 412_001);
        assert_eq!(body["httpStatusCode"], "PreconditionFailed");
        assert_eq!(
            body["message"],
            "Invalid ETag supplied. If you contact a support representative please include this correlation \
             identifier: f40da7ba-8c91-4796-8fc3-89e1dfbdbe05, timestamp: 2019-03-15 19:43:02Z, errorcode: IH412001."
        );
        assert_eq!(body["error"]["code"], "PreconditionFailed");
        assert_eq!(
            Fault::new(ErrorCode::ArmResourceGroupNotFound, tracking(), AT)
                .with_message("Resource group 'RG' could not be found.")
                .body(),
            "{\"error\":{\"code\":\"ResourceGroupNotFound\",\"message\":\"Resource group 'RG' could not be found.\"}}"
        );
    }

    #[test]
    fn descriptions_are_plain_ascii() {
        let description = Fault::new(ErrorCode::DeviceNotFound, tracking(), AT)
            .with_message("Gerät")
            .with_info("timeout", "00:00:00")
            .description();
        assert!(description.is_ascii());
        assert!(description.contains("\"errorCode\":404001"));
        assert!(description.contains("-G:0-TimeStamp:"));
        assert!(description.contains("\"info\":{\"timeout\":\"00:00:00\"}"));
    }

    #[test]
    fn clients_read_every_form_that_is_written() {
        for code in ErrorCode::ALL {
            let fault = Fault::new(*code, tracking(), AT);
            let surface = fault.entry().surface;
            let read = ReceivedFault::read(fault.body().as_bytes());
            assert_eq!(read.message, fault.text(), "{code:?}");
            let entry = read.entry(surface).unwrap();
            assert_eq!(entry.number, fault.entry().number, "{code:?}");
        }
        let read = ReceivedFault::read(
            Fault::new(ErrorCode::ArmPreconditionFailed, tracking(), AT)
                .certificate_body()
                .as_bytes(),
        );
        assert_eq!(read.number, Some(412_001));
        assert_eq!(read.name.as_deref(), Some("PreconditionFailed"));
        let b = br#"{"Message":"{\"errorCode\":404103,\"trackingId\":\"x\",\"message\":\"gone\"}","ExceptionMessage":""}"#;
        let read = ReceivedFault::read(b);
        assert_eq!((read.number, read.message.as_str()), (Some(404_103), "gone"));
        assert_eq!(ReceivedFault::read(b"<html>").message, "<html>");
    }

    #[test]
    fn a_broken_field_becomes_a_fault_that_names_it() {
        let error = Error::field("attestation.type", "must be x509");
        let fault = Fault::from_error(&error, Surface::Dps, tracking(), AT);
        assert_eq!(fault.code, ErrorCode::DpsInvalidArgument);
        assert_eq!(fault.text(), "attestation.type must be x509");
    }

    proptest! {
        #[test]
        fn any_message_leaves_the_bodies_parseable(message in "\\PC{0,80}") {
            for code in [ErrorCode::DeviceNotFound, ErrorCode::DpsNotFound, ErrorCode::ArmNotFound] {
                let fault = Fault::new(code, tracking(), AT).with_message(message.clone());
                for body in [fault.body(), fault.certificate_body(), fault.description()] {
                    prop_assert!(serde_json::from_str::<Value>(&body).is_ok());
                }
            }
        }

        #[test]
        fn any_answer_is_read_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = ReceivedFault::read(&body);
        }
    }
}
