//! Bulk calls over enrollments: up to ten items, each of which succeeds or fails by itself.

use muster_model::{EnrollmentGroupId, IfMatch, RegistrationId};
use serde::{Deserialize, Serialize};

use super::{GroupDocument, GroupInput, IndividualDocument, IndividualInput};
use crate::body::{self, DPS_BODY};
use crate::error::Error;
use crate::etag::{self, Kind};
use crate::fault;
use crate::host::Domain;

/// Most items of a call. Source: DPS service API, bulk operations, read 2026-11.
pub const MAX_BULK: usize = 10;

/// What a bulk call does with its items.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BulkMode {
    /// Each must be new.
    Create,
    /// Each must be there and goes.
    Delete,
    /// Each must be there and is overwritten.
    Update,
    /// Each must be there in the version that it names.
    UpdateIfMatchEtag,
}

impl BulkMode {
    /// Its text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Update => "update",
            Self::UpdateIfMatchEtag => "updateIfMatchETag",
        }
    }

    /// Reads it without case: clients differ in the last word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Create, Self::Delete, Self::Update, Self::UpdateIfMatchEtag]
            .into_iter()
            .find(|mode| mode.as_str().eq_ignore_ascii_case(text))
    }
}

/// A bulk call, read.
#[derive(Clone, Debug)]
pub struct Bulk<T, I> {
    /// What it does.
    pub mode: BulkMode,
    /// Its items in order.
    pub items: Vec<BulkItem<T, I>>,
}

/// An item of a bulk call.
#[derive(Clone, Debug)]
pub struct BulkItem<T, I> {
    /// Its id as written, for the answer.
    pub id: String,
    /// The version that it names; [`IfMatch::Foreign`] where the mode demands one and none is there.
    pub if_match: IfMatch,
    /// What is to be done, or why it cannot be.
    pub change: Result<BulkChange<T, I>, Error>,
}

/// What is to be done with an item.
#[derive(Clone, Debug)]
pub enum BulkChange<T, I> {
    /// It goes.
    Delete(I),
    /// It is written.
    Put(Box<T>),
}

/// The body of a bulk call.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct BulkDocument {
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enrollments: Option<Vec<IndividualDocument>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enrollment_groups: Option<Vec<GroupDocument>>,
}

impl Bulk<IndividualInput, RegistrationId> {
    /// Reads a call over individual enrollments.
    ///
    /// # Errors
    /// Those of the call as a whole; what is wrong with an item stands in the item.
    pub fn individuals(body: &[u8], domain: &Domain) -> Result<Self, Error> {
        let document: BulkDocument = body::read(body, DPS_BODY)?;
        let mode = mode(&document)?;
        let items = bounded(document.enrollments, "enrollments")?
            .into_iter()
            .map(|item| BulkItem {
                id: item.registration_id.clone().unwrap_or_default(),
                if_match: demand(mode, item.etag.as_deref()),
                change: match mode {
                    BulkMode::Delete => {
                        RegistrationId::parse(item.registration_id.as_deref().unwrap_or_default())
                            .map(BulkChange::Delete)
                            .map_err(Error::RegistrationId)
                    }
                    BulkMode::Create | BulkMode::Update | BulkMode::UpdateIfMatchEtag => {
                        item.check(domain).map(|input| BulkChange::Put(Box::new(input)))
                    }
                },
            })
            .collect();
        Ok(Self { mode, items })
    }
}

impl Bulk<GroupInput, EnrollmentGroupId> {
    /// Reads a call over enrollment groups.
    ///
    /// # Errors
    /// Those of the call as a whole; what is wrong with an item stands in the item.
    pub fn groups(body: &[u8], domain: &Domain) -> Result<Self, Error> {
        let document: BulkDocument = body::read(body, DPS_BODY)?;
        let mode = mode(&document)?;
        let items = bounded(document.enrollment_groups, "enrollmentGroups")?
            .into_iter()
            .map(|item| BulkItem {
                id: item.enrollment_group_id.clone().unwrap_or_default(),
                if_match: demand(mode, item.etag.as_deref()),
                change: match mode {
                    BulkMode::Delete => {
                        EnrollmentGroupId::parse(item.enrollment_group_id.as_deref().unwrap_or_default())
                            .map(BulkChange::Delete)
                            .map_err(|invalid| Error::id("enrollmentGroupId", &invalid))
                    }
                    BulkMode::Create | BulkMode::Update | BulkMode::UpdateIfMatchEtag => {
                        item.check(domain).map(|input| BulkChange::Put(Box::new(input)))
                    }
                },
            })
            .collect();
        Ok(Self { mode, items })
    }
}

/// Writes a bulk call over individual enrollments, for a client.
pub fn individuals_request(mode: BulkMode, enrollments: Vec<IndividualDocument>) -> String {
    body::write(&BulkDocument {
        mode: Some(mode.as_str().to_owned()),
        enrollments: Some(enrollments),
        enrollment_groups: None,
    })
}

/// Writes a bulk call over enrollment groups, for a client.
pub fn groups_request(mode: BulkMode, groups: Vec<GroupDocument>) -> String {
    body::write(&BulkDocument {
        mode: Some(mode.as_str().to_owned()),
        enrollments: None,
        enrollment_groups: Some(groups),
    })
}

/// The answer to a bulk call.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BulkResult {
    /// Whether every item succeeded.
    pub is_successful: bool,
    /// Those that did not.
    pub errors: Vec<BulkError>,
}

/// An item that failed.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BulkError {
    /// The id of an individual enrollment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_id: Option<String>,
    /// The id of a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enrollment_group_id: Option<String>,
    /// The number.
    pub error_code: u32,
    /// The text.
    pub error_status: String,
}

impl BulkError {
    /// Tells why an individual enrollment failed.
    pub fn individual(id: &str, code: muster_model::ErrorCode, text: Option<String>) -> Self {
        Self {
            registration_id: Some(id.to_owned()),
            ..Self::coded(code, text)
        }
    }

    /// Tells why a group failed.
    pub fn group(id: &str, code: muster_model::ErrorCode, text: Option<String>) -> Self {
        Self {
            enrollment_group_id: Some(id.to_owned()),
            ..Self::coded(code, text)
        }
    }

    fn coded(code: muster_model::ErrorCode, text: Option<String>) -> Self {
        let entry = fault::entry(code);
        Self {
            error_code: entry.number,
            error_status: text.unwrap_or_else(|| entry.text.to_owned()),
            ..Self::default()
        }
    }
}

impl BulkResult {
    /// Makes the answer of what failed.
    pub fn of(errors: Vec<BulkError>) -> Self {
        Self {
            is_successful: errors.is_empty(),
            errors,
        }
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
        body::read(body, body::HUB_BODY)
    }
}

fn mode(document: &BulkDocument) -> Result<BulkMode, Error> {
    let text = document
        .mode
        .as_deref()
        .ok_or_else(|| Error::Missing("mode".into()))?;
    BulkMode::parse(text)
        .ok_or_else(|| Error::field("mode", "must be create, update, updateIfMatchETag or delete"))
}

fn bounded<T>(items: Option<Vec<T>>, path: &str) -> Result<Vec<T>, Error> {
    let items = items.ok_or_else(|| Error::Missing(path.to_owned()))?;
    if items.len() > MAX_BULK {
        return Err(Error::TooMany {
            path: path.to_owned(),
            limit: MAX_BULK,
        });
    }
    Ok(items)
}

fn demand(mode: BulkMode, tag: Option<&str>) -> IfMatch {
    match mode {
        BulkMode::Create => IfMatch::Absent,
        BulkMode::Delete | BulkMode::Update => IfMatch::Any,
        BulkMode::UpdateIfMatchEtag => match etag::if_match(Kind::Dps, tag) {
            IfMatch::Absent => IfMatch::Foreign,
            other => other,
        },
    }
}
