//! Bulk calls over device identities: up to 100 items, each of which succeeds or fails by itself.

use std::collections::HashSet;

use muster_model::{DeviceId, ErrorCode, IfMatch, Json};
use serde::{Deserialize, Serialize};

use super::{AuthenticationDocument, DeviceCapabilities, DeviceInput, Written};
use crate::body::{self, HUB_BODY};
use crate::error::Error;
use crate::etag::{self, Kind};
use crate::fault;

/// Most items of a call. Source: IoT Hub quotas, "devices per bulk call", read 2026-11.
pub const MAX_BULK: usize = 100;

/// What becomes of an item.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ImportMode {
    /// It must be new.
    Create,
    /// It may be new or there.
    CreateOrUpdate,
    /// It may be new, or there in the version that it names.
    CreateOrUpdateIfMatchEtag,
    /// It must be there and goes.
    Delete,
    /// It must be there in the version that it names and goes.
    DeleteIfMatchEtag,
    /// It must be there.
    Update,
    /// It must be there in the version that it names.
    UpdateIfMatchEtag,
    /// Its twin is changed.
    UpdateTwin,
    /// Its twin is changed, if it is in the version that it names.
    UpdateTwinIfMatchEtag,
}

impl ImportMode {
    const ALL: [Self; 9] = [
        Self::Create,
        Self::CreateOrUpdate,
        Self::CreateOrUpdateIfMatchEtag,
        Self::Delete,
        Self::DeleteIfMatchEtag,
        Self::Update,
        Self::UpdateIfMatchEtag,
        Self::UpdateTwin,
        Self::UpdateTwinIfMatchEtag,
    ];

    /// Its text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::CreateOrUpdate => "createOrUpdate",
            Self::CreateOrUpdateIfMatchEtag => "createOrUpdateIfMatchETag",
            Self::Delete => "delete",
            Self::DeleteIfMatchEtag => "deleteIfMatchETag",
            Self::Update => "update",
            Self::UpdateIfMatchEtag => "updateIfMatchETag",
            Self::UpdateTwin => "updateTwin",
            Self::UpdateTwinIfMatchEtag => "updateTwinIfMatchETag",
        }
    }

    /// Reads it without case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.as_str().eq_ignore_ascii_case(text))
    }
}

/// An item of a bulk call as it is written.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExportImportDevice {
    /// The device id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The module id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module_id: Option<String>,
    /// Its version.
    #[serde(rename = "eTag", skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// What becomes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import_mode: Option<String>,
    /// `enabled` or `disabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The operator's reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
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
    /// Notes in the twin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Json>,
    /// Properties in the twin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub properties: Option<Json>,
}

/// An item of a bulk call, read.
#[derive(Clone, Debug)]
pub struct BulkDevice {
    /// Its id as written, for the answer.
    pub id: String,
    /// The version that it names; [`IfMatch::Foreign`] where the mode demands one and none is there.
    pub if_match: IfMatch,
    /// Whether it carried twin content, which such a call does not write; a warning in the answer is due.
    pub has_twin: bool,
    /// What is to be done, or why it cannot be.
    pub change: Result<BulkDeviceChange, Error>,
}

/// What is to be done with an item.
#[derive(Clone, Debug)]
pub enum BulkDeviceChange {
    /// It must be new.
    Create(DeviceInput),
    /// It is written over or made.
    CreateOrUpdate(DeviceInput),
    /// It goes.
    Delete(DeviceId),
    /// It must be there.
    Update(DeviceInput),
}

/// Reads a bulk call.
///
/// # Errors
/// [`Error::TooMany`], [`Error::Twice`] and those of the document as a whole; what is wrong with an item stands in it.
pub fn parse_bulk(body: &[u8]) -> Result<Vec<BulkDevice>, Error> {
    let items: Vec<ExportImportDevice> = body::read(body, HUB_BODY)?;
    if items.len() > MAX_BULK {
        return Err(Error::TooMany {
            path: "the call".into(),
            limit: MAX_BULK,
        });
    }
    let mut seen = HashSet::new();
    for item in &items {
        let id = item.id.as_deref().unwrap_or_default();
        // Modules of one device count as the same device here.
        if !seen.insert(id) {
            return Err(Error::Twice(id.chars().take(128).collect()));
        }
    }
    Ok(items.iter().map(ExportImportDevice::check).collect())
}

/// Writes a bulk call, for a client.
pub fn bulk_request(items: &[ExportImportDevice]) -> String {
    body::write(&items)
}

impl ExportImportDevice {
    fn check(&self) -> BulkDevice {
        let mode = match self.import_mode.as_deref() {
            None => Ok(ImportMode::CreateOrUpdate),
            Some(text) => ImportMode::parse(text)
                .ok_or_else(|| Error::field("importMode", "must be one of the modes of the API reference")),
        };
        let tag = etag::if_match(Kind::Identity, self.etag.as_deref());
        BulkDevice {
            id: self.id.clone().unwrap_or_default(),
            if_match: match mode {
                Ok(
                    ImportMode::CreateOrUpdateIfMatchEtag
                    | ImportMode::DeleteIfMatchEtag
                    | ImportMode::UpdateIfMatchEtag,
                ) => match tag {
                    IfMatch::Absent => IfMatch::Foreign,
                    other => other,
                },
                Ok(ImportMode::Create) | Err(_) => IfMatch::Absent,
                Ok(_) => IfMatch::Any,
            },
            has_twin: self.tags.is_some() || self.properties.is_some(),
            change: mode.and_then(|mode| self.change(mode)),
        }
    }

    fn change(&self, mode: ImportMode) -> Result<BulkDeviceChange, Error> {
        if self.module_id.as_deref().is_some_and(|id| !id.is_empty()) {
            return Err(Error::Unsupported("moduleId".into()));
        }
        let id = self.id.as_deref().ok_or_else(|| Error::Missing("id".into()))?;
        let id = DeviceId::parse(id).map_err(|invalid| Error::id("id", &invalid))?;
        let input = || {
            Written {
                status: self.status.as_deref(),
                status_reason: self.status_reason.as_deref(),
                authentication: self.authentication.as_ref(),
                iot_edge: self
                    .capabilities
                    .as_ref()
                    .and_then(|capabilities| capabilities.iot_edge),
                device_scope: self.device_scope.as_deref(),
                parent_scopes: self.parent_scopes.as_deref(),
            }
            .check(&id)
        };
        match mode {
            ImportMode::Create => input().map(BulkDeviceChange::Create),
            ImportMode::CreateOrUpdate | ImportMode::CreateOrUpdateIfMatchEtag => {
                input().map(BulkDeviceChange::CreateOrUpdate)
            }
            ImportMode::Delete | ImportMode::DeleteIfMatchEtag => Ok(BulkDeviceChange::Delete(id)),
            ImportMode::Update | ImportMode::UpdateIfMatchEtag => input().map(BulkDeviceChange::Update),
            ImportMode::UpdateTwin | ImportMode::UpdateTwinIfMatchEtag => {
                Err(Error::Unsupported(format!("importMode {}", mode.as_str())))
            }
        }
    }
}

/// The answer to a bulk call.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BulkDeviceResult {
    /// Whether every item succeeded.
    pub is_successful: bool,
    /// Those that did not.
    pub errors: Vec<BulkDeviceError>,
    /// Those that succeeded in part.
    pub warnings: Vec<BulkDeviceWarning>,
}

/// An item that failed.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BulkDeviceError {
    /// Its id.
    pub device_id: String,
    /// The name of the error.
    pub error_code: String,
    /// The text.
    pub error_status: String,
}

/// An item that succeeded in part.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BulkDeviceWarning {
    /// Its id.
    pub device_id: String,
    /// The name of the warning.
    pub warning_code: String,
    /// The text.
    pub warning_status: String,
}

impl BulkDeviceError {
    /// Tells why an item failed.
    pub fn new(id: &str, code: ErrorCode, text: Option<String>) -> Self {
        let entry = fault::entry(code);
        Self {
            device_id: id.to_owned(),
            error_code: entry.name.to_owned(),
            error_status: text.unwrap_or_else(|| entry.text.to_owned()),
        }
    }
}

impl BulkDeviceWarning {
    /// Says that a device was made and its twin content was not written.
    pub fn without_twin(id: &str) -> Self {
        Self {
            device_id: id.to_owned(),
            warning_code: "DeviceRegisteredWithoutTwin".to_owned(),
            warning_status: "the twin content of a bulk call is not written by this server".to_owned(),
        }
    }
}

impl BulkDeviceResult {
    /// Makes the answer of what failed and of what to warn of.
    pub fn of(errors: Vec<BulkDeviceError>, warnings: Vec<BulkDeviceWarning>) -> Self {
        Self {
            is_successful: errors.is_empty(),
            errors,
            warnings,
        }
    }

    /// The HTTP status that goes with it.
    pub fn status(&self) -> u16 {
        if self.is_successful { 200 } else { 400 }
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
}
