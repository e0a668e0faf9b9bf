//! The one list that gives each error code its surface, numbers, outcomes, default text and help.
//!
//! Codes, numbers and formats are interface. Default texts are ours, except where [`Entry::read_by`] names a client that
//! parses them. A number is used by one entry of a surface only, unless [`SHARED_NUMBERS`] says that Azure reuses it.

use muster_model::ErrorCode;

use crate::error::Surface;

/// What an MQTT client sees of an error. Version 3.1.1 has no room for more.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum MqttOutcome {
    /// CONNACK with this return code.
    Connack(u8),
    /// The connection is closed without a packet.
    Close,
    /// It cannot arise over MQTT.
    None,
    /// A publish on `$dps/registrations/res/{status}/…` with the fault as payload.
    Response(u16),
}

impl std::fmt::Display for MqttOutcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connack(code) => write!(f, "CONNACK {code}"),
            Self::Close => f.write_str("close"),
            Self::None => f.write_str("-"),
            Self::Response(status) => write!(f, "res/{status}"),
        }
    }
}

/// What each surface makes of an error code.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The code.
    pub code: ErrorCode,
    /// The surface that it belongs to.
    pub surface: Surface,
    /// Its name on the wire.
    pub name: &'static str,
    /// Azure's number: six digits, the first three are the status unless the contract says otherwise.
    pub number: u32,
    /// The HTTP status.
    pub status: u16,
    /// The AMQP condition; empty on the management surface, which AMQP does not reach.
    pub amqp: &'static str,
    /// What MQTT shows.
    pub mqtt: MqttOutcome,
    /// The text where no better one is at hand. Without `;`, at which a client splits.
    pub text: &'static str,
    /// What the reader of the error can do.
    pub help: &'static str,
    /// A named client that parses the text or the name; empty when none does.
    pub read_by: &'static str,
}

/// Numbers that more than one entry of a surface has, because Azure reuses them.
pub const SHARED_NUMBERS: &[(Surface, u32)] = &[
    // An unknown hub is answered like any unknown path, with a name of its own.
    (Surface::Hub, 404_000),
    // Every refused certificate has one number.
    (Surface::Dps, 401_002),
    // A registration id that breaks its grammar is an invalid argument.
    (Surface::Dps, 400_004),
    // Management tells these apart by name; only certificate resources print numbers.
    (Surface::Arm, 404_000),
];

/// Finds the entry of a code.
pub fn entry(code: ErrorCode) -> &'static Entry {
    ENTRIES
        .iter()
        .find(|entry| entry.code == code)
        .unwrap_or(&INTERNAL)
}

/// Every entry, in the order of the reference page.
pub fn entries() -> &'static [Entry] {
    ENTRIES
}

/// Finds the entry of a surface by its name on the wire, for a client that reads an answer.
pub fn by_name(surface: Surface, name: &str) -> Option<&'static Entry> {
    ENTRIES
        .iter()
        .find(|entry| entry.surface == surface && entry.name == name)
}

/// Stands for a code without an entry. A test keeps that from happening.
const INTERNAL: Entry = Entry {
    code: ErrorCode::ServerError,
    surface: Surface::Hub,
    name: "ServerError",
    number: 500_001,
    status: 500,
    amqp: "amqp:internal-error",
    mqtt: Close,
    text: "internal error",
    help: "Look up the tracking id in the server's log.",
    read_by: "",
};

const ARGUMENT: &str = "com.microsoft:argument-error";
const FORBIDDEN: &str = "amqp:not-allowed";
const INTERNAL_ERROR: &str = "amqp:internal-error";
const NOT_FOUND: &str = "amqp:not-found";
const PRECONDITION: &str = "com.microsoft:precondition-failed";
const SIZE: &str = "amqp:link:message-size-exceeded";
const TIMEOUT: &str = "com.microsoft:timeout";
const UNAUTHORIZED: &str = "amqp:unauthorized-access";

/// What only the Node SDK reads: it maps the name in `ErrorCode:{Name};…` to an error class.
/// Source: Azure/azure-iot-sdk-node, common/transport/http, read 2026-11.
const NODE: &str = "Node SDK (name)";

const LOOK_UP: &str = "Look up the tracking id in the server's log.";
const RETRY: &str = "Send the request again after the time in Retry-After.";
const EXPLAIN: &str =
    "Run `muster explain` with the tracking id: it names the rule that failed and what mends it.";

macro_rules! entries {
    ($($surface:ident {$(
        $code:ident $name:literal $number:literal $status:literal $amqp:expr, $mqtt:expr,
        $text:literal, $help:expr $(, $read_by:expr)?;
    )*})*) => {
        const ENTRIES: &[Entry] = &[$($(Entry {
            code: ErrorCode::$code,
            surface: Surface::$surface,
            name: $name,
            number: $number,
            status: $status,
            amqp: $amqp,
            mqtt: $mqtt,
            text: $text,
            help: $help,
            read_by: first!($($read_by,)? ""),
        },)*)*];
    };
}

macro_rules! first {
    ($one:expr $(, $rest:expr)*) => {
        $one
    };
}

use MqttOutcome::{Close, Connack, None as Nothing, Response};

// Sources: "Troubleshoot Azure IoT Hub error codes", the service model of the Azure CLI, the troubleshooting pages of
// DPS and public captures, read 2026-11.
entries! {
    Hub {
        GenericBadRequest "GenericBadRequest" 400_000 400 ARGUMENT, Nothing,
            "the request is not understood", "Compare the request with the API reference.";
        InvalidProtocolVersion "InvalidProtocolVersion" 400_001 400 ARGUMENT, Connack(1),
            "api-version is missing, malformed or older than 2016-11-14",
            "Send api-version=2021-04-12 or another date in that form.";
        ArgumentInvalid "ArgumentInvalid" 400_004 400 ARGUMENT, Close,
            "an argument breaks its rule", "The message names the argument and its rule.", NODE;
        ArgumentNull "ArgumentNull" 400_005 400 ARGUMENT, Close,
            "an argument is missing", "The message names the argument.", NODE;
        DeviceDefinedMultipleTimes "DeviceDefinedMultipleTimes" 400_011 400 ARGUMENT, Nothing,
            "a device stands twice in one call", "Send each device once in a call.";
        DeserializationError "DeserializationError" 400_012 400 ARGUMENT, Nothing,
            "the body is not what this call takes", "The message names the member that does not fit.";
        BulkRegistryOperationFailure "BulkRegistryOperationFailure" 400_013 400 ARGUMENT, Nothing,
            "items of the call failed", "The answer lists each item that failed and why.";
        InvalidDeviceScope "InvalidDeviceScope" 400_028 400 ARGUMENT, Nothing,
            "the device scope is wrong", "Take the scope from the identity of the edge device.";
        IotHubUnauthorizedAccess "IotHubUnauthorizedAccess" 401_002 401 UNAUTHORIZED, Connack(5),
            "Unauthorized", EXPLAIN, NODE;
        IotHubQuotaExceeded "IotHubQuotaExceeded" 403_002 403 "amqp:resource-limit-exceeded", Close,
            "the hub's quota is used up", "Wait for the next day or raise the quota.", NODE;
        GenericNotFound "GenericNotFound" 404_000 404 NOT_FOUND, Nothing,
            "no such path", "Compare the path with the API reference.";
        IotHubNotFound "IotHubNotFound" 404_000 404 "com.microsoft:iot-hub-not-found-error", Connack(5),
            "no hub of that name", "`muster iot hub list` shows the hubs and their host names.", NODE;
        DeviceNotFound "DeviceNotFound" 404_001 404 NOT_FOUND, Connack(5),
            "no such device", "`muster iot device list` shows the devices. The case of a device id matters.", NODE;
        FeatureNotSupported "FeatureNotSupported" 404_013 404 "amqp:not-implemented", Close,
            "this server does not offer that", "The page on differences lists what is not offered.";
        GenericMethodNotAllowed "GenericMethodNotAllowed" 405_000 405 FORBIDDEN, Nothing,
            "the path does not take this method", "Compare the method with the API reference.";
        DeviceAlreadyExists "DeviceAlreadyExists" 409_001 409 "com.microsoft:device-already-exists", Nothing,
            "Conflict", "Send If-Match to change a device that is there.", NODE;
        PreconditionFailed "PreconditionFailed" 412_001 412 PRECONDITION, Nothing,
            "the version in If-Match is not the current one", "Read it again, then change what was read.", NODE;
        RequestEntityTooLarge "GenericRequestEntityTooLarge" 413_000 413 SIZE, Close,
            "the body is larger than allowed", "Send less in one request.";
        MessageTooLarge "MessageTooLarge" 413_001 413 SIZE, Close,
            "the message is larger than 262144 bytes", "Send a smaller message, properties included.", NODE;
        TooManyDevices "TooManyDevices" 413_002 413 SIZE, Nothing,
            "more than 100 devices in one call", "Send 100 devices at most in a call.", NODE;
        GenericUnsupportedMediaType "GenericUnsupportedMediaType" 415_000 415 ARGUMENT, Nothing,
            "the content type is not taken", "Send application/json.";
        ThrottlingException "ThrottlingException" 429_001 429 "com.microsoft:device-container-throttled", Close,
            "too many requests", RETRY, NODE;
        ServerError "ServerError" 500_001 500 INTERNAL_ERROR, Close,
            "internal error", LOOK_UP, NODE;
        ServiceUnavailable "ServiceUnavailable" 503_001 503 TIMEOUT, Connack(3),
            "the server can't do it now", RETRY, NODE;
    }
    Dps {
        DpsInvalidArgument "InvalidArgument" 400_004 400 ARGUMENT, Response(400),
            "Invalid argument", "The message names the member and its rule.";
        DpsInvalidRegistrationId "InvalidRegistrationId" 400_004 400 ARGUMENT, Response(400),
            "Invalid RegistrationId",
            "A registration id has 1 to 128 letters, digits, '-', '.', '_' or ':' and ends with a letter, a digit or '-'.";
        DpsCustomAllocationFailed "CustomAllocationFailed" 400_207 400 ARGUMENT, Response(400),
            "Custom allocation failed", "Custom allocation is not offered here, choose another policy.";
        DpsNoHub "NoHub" 400_208 400 ARGUMENT, Response(400),
            "No IoT hub to assign", "Link a hub to the provisioning service, or name one that is linked.";
        DpsUnauthorized "Unauthorized" 401_000 401 UNAUTHORIZED, Response(401),
            "Unauthorized", EXPLAIN, "C# SDK (number: tries the secondary key)";
        DpsInvalidCertificate "InvalidCertificate" 401_002 401 UNAUTHORIZED, Response(401),
            "Invalid certificate.", EXPLAIN;
        DpsCaNotFound "CaNotFound" 401_002 401 UNAUTHORIZED, Response(401),
            "CA certificate not found", EXPLAIN;
        DpsForbidden "Forbidden" 403_000 403 FORBIDDEN, Response(403),
            "The policy lacks the right", "Use a policy that has the right which the message names.";
        DpsNotFound "NotFound" 404_000 404 NOT_FOUND, Response(404),
            "Not found", "Compare the path and the id scope with `muster iot dps show`.";
        DpsEnrollmentNotFound "EnrollmentNotFound" 404_201 404 NOT_FOUND, Response(404),
            "Not found", "`muster iot dps enrollment list` shows the enrollments.";
        DpsRegistrationNotFound "RegistrationNotFound" 404_202 404 NOT_FOUND, Response(404),
            "Not found", "The device has not registered, or its record was deleted.";
        DpsMethodNotAllowed "MethodNotAllowed" 405_000 405 FORBIDDEN, Response(405),
            "Method not allowed", "Compare the method with the API reference.";
        DpsConflict "Conflict" 409_203 409 PRECONDITION, Response(409),
            "Precondition failed.", "Another change was under way, send the request again.";
        DpsPreconditionFailed "PreconditionFailed" 412_001 412 PRECONDITION, Response(412),
            "The version in If-Match is not the current one", "Read it again, then change what was read.";
        DpsRequestTooLarge "RequestTooLarge" 413_000 413 SIZE, Close,
            "The body is larger than 98304 bytes", "Send a smaller body.";
        DpsUnsupportedMediaType "UnsupportedMediaType" 415_000 415 ARGUMENT, Nothing,
            "Unsupported media type", "Send application/json.";
        DpsServerError "ServerError" 500_001 500 INTERNAL_ERROR, Response(500),
            "Internal error", LOOK_UP;
        DpsServiceUnavailable "ServiceUnavailable" 503_001 503 TIMEOUT, Response(503),
            "The server can't do it now", RETRY;
    }
    Arm {
        ArmBadRequest "BadRequest" 400_000 400 "", Nothing,
            "An argument breaks its rule.", "The message names the member and its rule.";
        ArmProofOfPossessionFailed "ProofOfPossessionFailed" 400_053 400 "", Nothing,
            "Proof-Of-Possession failed.",
            "Sign a certificate whose common name is the newest code with the key of the uploaded certificate.";
        ArmUnauthenticated "InvalidAuthenticationToken" 401_000 401 "", Nothing,
            "The access token is missing or not valid.", "Log in again.", "Azure CLI (name)";
        ArmForbidden "AuthorizationFailed" 403_000 403 "", Nothing,
            "The caller may not do this.", "Use the operator's credential.";
        ArmNotFound "NotFound" 404_000 404 "", Nothing,
            "No such path.", "Compare the path with the API reference.";
        ArmResourceGroupNotFound "ResourceGroupNotFound" 404_000 404 "", Nothing,
            "The resource group could not be found.", "`muster iot hub list` shows where resources stand.",
            "Azure CLI (name)";
        ArmResourceNotFound "ResourceNotFound" 404_000 404 "", Nothing,
            "The resource was not found.", "`muster iot hub list` and `muster iot dps list` show what is there.",
            "Azure CLI (name)";
        ArmSubscriptionNotFound "SubscriptionNotFound" 404_000 404 "", Nothing,
            "The subscription could not be found.", "This server shows one subscription: see `GET /subscriptions`.";
        ArmCertificateNotFound "CertificateNotFound" 404_008 404 "", Nothing,
            "The certificate was not found.", "List the certificates of the hub or provisioning service.";
        ArmMethodNotAllowed "MethodNotAllowed" 405_000 405 "", Nothing,
            "The path does not take this method.", "Compare the method with the API reference.";
        ArmConflict "Conflict" 409_000 409 "", Nothing,
            "The name is taken.", "Choose another name.";
        ArmPreconditionFailed "PreconditionFailed" 412_001 412 "", Nothing,
            "Invalid ETag supplied.", "Send the newest etag in If-Match: each change gives another one.";
        ArmRequestTooLarge "RequestEntityTooLarge" 413_000 413 "", Nothing,
            "The body is larger than allowed.", "Send less in one request.";
        ArmServerError "InternalServerError" 500_001 500 "", Nothing,
            "Internal error.", LOOK_UP;
        ArmServiceUnavailable "ServiceUnavailable" 503_001 503 "", Nothing,
            "The server can't do it now.", RETRY;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn every_code_has_exactly_one_entry() {
        for code in ErrorCode::ALL {
            let found = ENTRIES.iter().filter(|entry| entry.code == *code).count();
            assert_eq!(found, 1, "{code:?}");
        }
        assert_eq!(ENTRIES.len(), ErrorCode::ALL.len());
    }

    #[test]
    fn numbers_are_shared_only_where_azure_shares_them() {
        let mut counts: HashMap<(Surface, u32), usize> = HashMap::new();
        for entry in ENTRIES {
            *counts.entry((entry.surface, entry.number)).or_default() += 1;
        }
        for (key, count) in counts {
            assert_eq!(count > 1, SHARED_NUMBERS.contains(&key), "{key:?}");
        }
    }

    #[test]
    fn names_are_distinct_within_a_surface() {
        for entry in ENTRIES {
            let same = ENTRIES
                .iter()
                .filter(|other| other.surface == entry.surface && other.name == entry.name);
            assert_eq!(same.count(), 1, "{}", entry.name);
            assert_eq!(
                by_name(entry.surface, entry.name).map(|e| e.code),
                Some(entry.code)
            );
        }
    }

    #[test]
    fn the_status_is_the_number_without_its_last_three_digits() {
        for entry in ENTRIES {
            assert_eq!(entry.number / 1000, u32::from(entry.status), "{}", entry.name);
        }
    }

    #[test]
    fn no_text_breaks_the_form_that_clients_split() {
        for entry in ENTRIES {
            assert!(
                !entry.text.contains(';') && !entry.name.contains([';', ':']),
                "{}",
                entry.name
            );
            assert!(!entry.help.is_empty() && !entry.text.is_empty());
        }
    }
}
