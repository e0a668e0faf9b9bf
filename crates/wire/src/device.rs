//! Device identities: the document of one, bulk calls, lists and counts.
//!
//! Members that only the registry sets are ignored on the way in, for clients send back whole documents. What is not
//! offered (parents of devices, modules, twins in bulk calls) is refused by name.

mod bulk;

use muster_model::identity::{
    Authentication, AuthenticationKind, DeviceCounts, DeviceIdentity, DeviceStatus, StatusReason,
};
use muster_model::{DeviceId, Wall};
use muster_pki::Thumbprint;
use serde::{Deserialize, Serialize};

use crate::body::{self, HUB_BODY};
use crate::error::Error;
use crate::secret::Secret;
use crate::{etag, sas, time};

pub use bulk::{
    BulkDevice, BulkDeviceChange, BulkDeviceError, BulkDeviceResult, BulkDeviceWarning, ExportImportDevice,
    ImportMode, MAX_BULK, bulk_request, parse_bulk,
};

/// The document of a device identity.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeviceDocument {
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// New at each creation; a decimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation_id: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// `Connected` or `Disconnected`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_state: Option<String>,
    /// `enabled` or `disabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The operator's reason; shown as null where there is none.
    pub status_reason: Option<String>,
    /// When it last connected or left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_state_updated_time: Option<String>,
    /// When the status last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_updated_time: Option<String>,
    /// When it last did something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_activity_time: Option<String>,
    /// Messages that wait for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_to_device_message_count: Option<i64>,
    /// How it proves who it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<AuthenticationDocument>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<DeviceCapabilities>,
    /// The scope of an edge gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_scope: Option<String>,
    /// The scopes of parents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_scopes: Option<Vec<String>>,
}

/// How a device proves who it is. Members of other kinds are shown as nulls.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuthenticationDocument {
    /// The kind.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Two keys.
    pub symmetric_key: Option<SymmetricKeyPair>,
    /// Two thumbprints.
    pub x509_thumbprint: Option<ThumbprintPair>,
}

/// Two keys in base64.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SymmetricKeyPair {
    /// The first.
    pub primary_key: Option<Secret>,
    /// The second.
    pub secondary_key: Option<Secret>,
}

/// Two thumbprints in hex.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ThumbprintPair {
    /// The first.
    pub primary_thumbprint: Option<String>,
    /// The second.
    pub secondary_thumbprint: Option<String>,
}

/// What a device is.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeviceCapabilities {
    /// Whether it is an edge gateway.
    pub iot_edge: Option<bool>,
}

/// Whether a device is connected, as far as the server that answers knows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Connection {
    /// Whether it is.
    pub connected: bool,
    /// Since when; `None` means never.
    pub since: Option<Wall>,
}

/// A device identity as a caller wants it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeviceInput {
    /// Its id.
    pub id: DeviceId,
    /// Whether it may connect.
    pub status: DeviceStatus,
    /// The caller's reason for the status.
    pub status_reason: Option<StatusReason>,
    /// How it proves who it is; `None` where the caller said nothing.
    pub authentication: Option<AuthenticationInput>,
    /// Whether it is an edge gateway.
    pub iot_edge: bool,
}

/// A credential as a caller wants it, with keys that are still to be drawn.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AuthenticationInput {
    /// Complete.
    Given(Authentication),
    /// Two new keys.
    NewKeys,
}

impl DeviceDocument {
    /// Shows an identity, keys and all: the caller may read the registry.
    pub fn of(identity: &DeviceIdentity, connection: Connection) -> Self {
        Self {
            device_id: Some(identity.id.as_str().to_owned()),
            generation_id: Some(identity.generation.to_string()),
            etag: Some(etag::identity(identity.etag)),
            connection_state: Some(
                if connection.connected {
                    "Connected"
                } else {
                    "Disconnected"
                }
                .to_owned(),
            ),
            status: Some(status_text(identity.status).to_owned()),
            status_reason: identity
                .status_reason
                .as_ref()
                .map(|reason| reason.as_str().to_owned()),
            connection_state_updated_time: Some(time::iso_or_never(connection.since)),
            status_updated_time: Some(time::iso_or_never(identity.status_updated)),
            last_activity_time: Some(time::iso_or_never(identity.last_activity)),
            cloud_to_device_message_count: Some(0),
            authentication: Some(AuthenticationDocument::from(&identity.authentication)),
            capabilities: Some(DeviceCapabilities {
                iot_edge: Some(identity.iot_edge),
            }),
            device_scope: identity
                .iot_edge
                .then(|| format!("ms-azure-iot-edge://{}-{}", identity.id, identity.generation)),
            parent_scopes: None,
        }
    }

    /// Reads the body of a write. `id` is that of the path.
    ///
    /// # Errors
    /// Every variant of [`Error`] that a document can break.
    pub fn parse(body: &[u8], id: &DeviceId) -> Result<DeviceInput, Error> {
        let document: Self = body::read(body, HUB_BODY)?;
        match document.device_id.as_deref() {
            None => return Err(Error::Missing("deviceId".into())),
            Some(text) if text != id.as_str() => {
                return Err(Error::field("deviceId", "must be the device id of the path"));
            }
            Some(_) => {}
        }
        Written {
            status: document.status.as_deref(),
            status_reason: document.status_reason.as_deref(),
            authentication: document.authentication.as_ref(),
            iot_edge: document
                .capabilities
                .and_then(|capabilities| capabilities.iot_edge),
            device_scope: document.device_scope.as_deref(),
            parent_scopes: document.parent_scopes.as_deref(),
        }
        .check(id)
    }

    /// Writes the body.
    pub fn to_json(&self) -> String {
        body::write(self)
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// [`Error::Json`], [`Error::Type`].
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        body::read(body, HUB_BODY)
    }

    /// Reads the answer of a list.
    ///
    /// # Errors
    /// [`Error::Json`], [`Error::Type`].
    pub fn read_list(body: &[u8]) -> Result<Vec<Self>, Error> {
        body::read(body, HUB_BODY)
    }
}

/// Writes the answer of a list.
pub fn list_json(devices: &[DeviceDocument]) -> String {
    body::write(&devices)
}

/// The path of a device identity.
pub fn path(id: &DeviceId) -> String {
    format!("/devices/{}", sas::encode(id.as_str()))
}

/// What the members that two kinds of document share say.
struct Written<'a> {
    status: Option<&'a str>,
    status_reason: Option<&'a str>,
    authentication: Option<&'a AuthenticationDocument>,
    iot_edge: Option<bool>,
    device_scope: Option<&'a str>,
    parent_scopes: Option<&'a [String]>,
}

impl Written<'_> {
    fn check(&self, id: &DeviceId) -> Result<DeviceInput, Error> {
        let iot_edge = self.iot_edge.unwrap_or(false);
        // An edge gateway's own scope comes back with what was read; a leaf's would name a parent.
        if !iot_edge && self.device_scope.is_some_and(|scope| !scope.is_empty()) {
            return Err(Error::Unsupported("deviceScope of a device with a parent".into()));
        }
        if self.parent_scopes.is_some_and(|scopes| !scopes.is_empty()) {
            return Err(Error::Unsupported("parentScopes".into()));
        }
        Ok(DeviceInput {
            id: id.clone(),
            status: match self.status {
                None => DeviceStatus::Enabled,
                Some(text) if text.eq_ignore_ascii_case("enabled") => DeviceStatus::Enabled,
                Some(text) if text.eq_ignore_ascii_case("disabled") => DeviceStatus::Disabled,
                Some(_) => return Err(Error::field("status", "must be enabled or disabled")),
            },
            status_reason: self
                .status_reason
                .filter(|text| !text.is_empty())
                .map(|text| {
                    StatusReason::new(text.to_owned())
                        .ok_or_else(|| Error::field("statusReason", "must have 128 characters at most"))
                })
                .transpose()?,
            authentication: self
                .authentication
                .map(AuthenticationDocument::check)
                .transpose()?,
            iot_edge,
        })
    }
}

impl From<&Authentication> for AuthenticationDocument {
    fn from(authentication: &Authentication) -> Self {
        let (mut keys, mut thumbprints) = (SymmetricKeyPair::default(), ThumbprintPair::default());
        match authentication {
            Authentication::Sas { primary, secondary } => {
                keys.primary_key = Some(Secret::from(primary));
                keys.secondary_key = Some(Secret::from(secondary));
            }
            Authentication::SelfSigned { primary, secondary } => {
                thumbprints.primary_thumbprint = primary.map(|thumbprint| thumbprint.to_string());
                thumbprints.secondary_thumbprint = secondary.map(|thumbprint| thumbprint.to_string());
            }
            Authentication::CertificateAuthority | Authentication::None => {}
        }
        Self {
            kind: Some(authentication_text(authentication.kind()).to_owned()),
            symmetric_key: Some(keys),
            x509_thumbprint: Some(thumbprints),
        }
    }
}

impl AuthenticationDocument {
    fn check(&self) -> Result<AuthenticationInput, Error> {
        let pair = self.x509_thumbprint.as_ref();
        let primary = thumbprint(
            pair.and_then(|pair| pair.primary_thumbprint.as_deref()),
            "authentication.x509Thumbprint.primaryThumbprint",
        );
        let secondary = thumbprint(
            pair.and_then(|pair| pair.secondary_thumbprint.as_deref()),
            "authentication.x509Thumbprint.secondaryThumbprint",
        );
        let kind = match self.kind.as_deref() {
            // Some clients name no kind and give a thumbprint.
            None if matches!((&primary, &secondary), (Ok(None), Ok(None))) => AuthenticationKind::Sas,
            None => AuthenticationKind::SelfSigned,
            Some(text) => parse_authentication(text).ok_or_else(|| {
                Error::field(
                    "authentication.type",
                    "must be sas, selfSigned, certificateAuthority or none",
                )
            })?,
        };
        Ok(match kind {
            AuthenticationKind::CertificateAuthority => {
                AuthenticationInput::Given(Authentication::CertificateAuthority)
            }
            AuthenticationKind::None => AuthenticationInput::Given(Authentication::None),
            AuthenticationKind::SelfSigned => {
                let (primary, secondary) = (primary?, secondary?);
                if primary.is_none() && secondary.is_none() {
                    return Err(Error::Missing(
                        "authentication.x509Thumbprint.primaryThumbprint".into(),
                    ));
                }
                AuthenticationInput::Given(Authentication::SelfSigned { primary, secondary })
            }
            AuthenticationKind::Sas => self.keys()?,
        })
    }

    fn keys(&self) -> Result<AuthenticationInput, Error> {
        let path = "authentication.symmetricKey";
        let pair = self.symmetric_key.clone().unwrap_or_default();
        let primary = Secret::optional_key(pair.primary_key.as_ref(), &format!("{path}.primaryKey"))?;
        let secondary = Secret::optional_key(pair.secondary_key.as_ref(), &format!("{path}.secondaryKey"))?;
        match (primary, secondary) {
            (Some(primary), Some(secondary)) => Ok(AuthenticationInput::Given(Authentication::Sas {
                primary,
                secondary,
            })),
            (None, None) => Ok(AuthenticationInput::NewKeys),
            (Some(_), None) => Err(Error::Missing(format!("{path}.secondaryKey"))),
            (None, Some(_)) => Err(Error::Missing(format!("{path}.primaryKey"))),
        }
    }
}

/// The text of a kind of credential.
pub const fn authentication_text(kind: AuthenticationKind) -> &'static str {
    match kind {
        AuthenticationKind::CertificateAuthority => "certificateAuthority",
        AuthenticationKind::None => "none",
        AuthenticationKind::Sas => "sas",
        AuthenticationKind::SelfSigned => "selfSigned",
    }
}

/// Reads a kind of credential without case.
pub fn parse_authentication(text: &str) -> Option<AuthenticationKind> {
    [
        AuthenticationKind::CertificateAuthority,
        AuthenticationKind::None,
        AuthenticationKind::Sas,
        AuthenticationKind::SelfSigned,
    ]
    .into_iter()
    .find(|kind| authentication_text(*kind).eq_ignore_ascii_case(text))
}

/// The text of a status.
pub const fn status_text(status: DeviceStatus) -> &'static str {
    match status {
        DeviceStatus::Disabled => "disabled",
        DeviceStatus::Enabled => "enabled",
    }
}

fn thumbprint(text: Option<&str>, path: &str) -> Result<Option<Thumbprint>, Error> {
    match text {
        None | Some("") => Ok(None),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|_| Error::field(path, "must be 40 or 64 hex digits, without colons or blanks")),
    }
}

/// How many devices a hub has.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeviceStatistics {
    /// All of them.
    pub total_device_count: u64,
    /// Those that may connect.
    pub enabled_device_count: u64,
    /// Those that may not.
    pub disabled_device_count: u64,
}

impl From<DeviceCounts> for DeviceStatistics {
    fn from(counts: DeviceCounts) -> Self {
        Self {
            total_device_count: counts.total,
            enabled_device_count: counts.enabled,
            disabled_device_count: counts.disabled,
        }
    }
}

impl DeviceStatistics {
    /// Writes the body.
    pub fn to_json(&self) -> String {
        body::write(self)
    }
}

/// How many devices are connected.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatistics {
    /// That many.
    pub connected_device_count: u64,
}

impl ServiceStatistics {
    /// Writes the body.
    pub fn to_json(&self) -> String {
        body::write(self)
    }
}

#[cfg(test)]
mod tests;
