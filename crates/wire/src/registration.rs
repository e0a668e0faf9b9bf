//! Registrations: what a device sends, and what it and a back end read about the outcome.
//!
//! The same documents serve both ends: the server writes them from the nouns, a client reads them with every member
//! optional. Source: DPS device and service API definitions, read 2026-11.

use muster_model::dps::{AttestationKind, RegistrationState, RegistrationStatus, Substatus};
use muster_model::{IdScope, Json, OperationId, RegistrationId};
use muster_pki::Sha256;
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::api_version::ApiVersion;
use crate::body::{self, DPS_BODY};
use crate::error::Error;
use crate::secret::Secret;
use crate::{etag, sas, time};

/// Seconds that an answer with `assigning` asks a device to wait. Devices must read an integer from 1 to 300.
pub const RETRY_AFTER: u32 = 3;

/// The body of a registration request and of a status lookup.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeviceRegistration {
    /// The registration id, once more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_id: Option<String>,
    /// The keys of a TPM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tpm: Option<TpmKeys>,
    /// What custom allocation is to see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Json>,
    /// A certificate signing request, base64 of DER.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csr: Option<String>,
}

/// The public keys of a TPM.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TpmKeys {
    /// Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endorsement_key: Option<String>,
    /// Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_root_key: Option<String>,
}

impl DeviceRegistration {
    /// The request of a device that sends nothing but its id.
    pub fn of(id: &RegistrationId) -> Self {
        Self {
            registration_id: Some(id.as_str().to_owned()),
            ..Self::default()
        }
    }

    /// Reads a body; an empty one, and one that is `null`, counts as `{}`. `id` is that of the path.
    ///
    /// # Errors
    /// [`Error::Json`], [`Error::Type`]; [`Error::Field`] when the id in the body is another one.
    pub fn parse(body: &[u8], id: &RegistrationId) -> Result<Self, Error> {
        if body.len() <= DPS_BODY.bytes && body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        // The reader of JSON would take a list for the members in their order.
        if body.trim_ascii_start().starts_with(b"[") {
            return Err(Error::Type("the document".into()));
        }
        let document = body::read::<Option<Self>>(body, DPS_BODY)?.unwrap_or_default();
        match &document.registration_id {
            Some(text) if !text.eq_ignore_ascii_case(id.as_str()) => Err(Error::field(
                "registrationId",
                "must be the registration id of the path",
            )),
            _ => Ok(document),
        }
    }

    /// Writes the body.
    pub fn to_json(&self) -> String {
        body::write(self)
    }
}

/// The answer to a registration request and to an operation lookup.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OperationStatus {
    /// The attempt; empty for a disabled enrollment.
    pub operation_id: String,
    /// Where it stands.
    pub status: String,
    /// The outcome, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_state: Option<RegistrationResult>,
}

impl OperationStatus {
    /// The answer to a request that goes on.
    pub fn assigning(operation: &OperationId) -> Self {
        Self {
            operation_id: operation.as_str().to_owned(),
            status: RegistrationStatus::Assigning.to_string(),
            registration_state: None,
        }
    }

    /// The answer about `state` to a device that speaks `version`.
    pub fn of(state: &RegistrationState, version: ApiVersion) -> Self {
        match state.status {
            RegistrationStatus::Assigning | RegistrationStatus::Unassigned => {
                Self::assigning(&state.operation)
            }
            RegistrationStatus::Disabled => Self {
                operation_id: String::new(),
                status: state.status.to_string(),
                registration_state: Some(RegistrationResult {
                    registration_id: state.id.as_str().to_owned(),
                    status: state.status.to_string(),
                    ..RegistrationResult::default()
                }),
            },
            RegistrationStatus::Assigned | RegistrationStatus::Failed => Self {
                operation_id: state.operation.as_str().to_owned(),
                status: state.status.to_string(),
                registration_state: Some(RegistrationResult::of(state, version)),
            },
        }
    }

    /// Tells whether the attempt goes on, so that the answer is 202 with `Retry-After`.
    pub fn is_assigning(&self) -> bool {
        self.status == "assigning"
    }

    /// Writes the body, in plain ASCII: it is the payload over MQTT too.
    pub fn to_json(&self) -> String {
        body::escape_non_ascii(&body::write(self))
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// [`Error::Json`], [`Error::Type`].
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        body::read(body, DPS_BODY)
    }
}

/// What a device reads about its registration.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RegistrationResult {
    /// There, and empty, when a certificate admitted the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x509: Option<Json>,
    /// The registration id.
    pub registration_id: String,
    /// When the first attempt came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_date_time_utc: Option<String>,
    /// The full host name of the hub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assigned_hub: Option<String>,
    /// The device id there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// Where it stands.
    pub status: String,
    /// How the assignment came about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub substatus: Option<String>,
    /// Why it failed, as a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<u32>,
    /// Why it failed, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// When it last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated_date_time_utc: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// What custom allocation handed out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Json>,
    /// The key that a TPM is to import.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tpm: Option<TpmResult>,
    /// Certificates that were issued, base64 of DER, leaf first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_certificate_chain: Option<Vec<String>>,
}

/// What a TPM device reads.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TpmResult {
    /// Base64 of the key, encrypted to the TPM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication_key: Option<Secret>,
}

impl RegistrationResult {
    /// The outcome as a device that speaks `version` reads it.
    pub fn of(state: &RegistrationState, version: ApiVersion) -> Self {
        let assignment = shown_assignment(state);
        let substatus = shown_substatus(state).map(|substatus| match substatus {
            Substatus::ReprovisionedToInitialAssignment if !version.shows_repeats() => {
                Substatus::InitialAssignment
            }
            other => other,
        });
        let failure = shown_failure(state);
        Self {
            x509: (state.attestation == AttestationKind::X509
                && state.status == RegistrationStatus::Assigned)
                .then(Json::empty_object),
            registration_id: state.id.as_str().to_owned(),
            created_date_time_utc: Some(time::iso(state.created)),
            assigned_hub: assignment.map(|assignment| assignment.host_name.clone()),
            device_id: assignment.map(|assignment| assignment.device_id.as_str().to_owned()),
            status: state.status.to_string(),
            substatus: substatus.map(|substatus| substatus_text(substatus).to_owned()),
            error_code: failure.map(|failure| failure.code),
            error_message: failure.map(|failure| failure.message.clone()),
            last_updated_date_time_utc: Some(time::iso(state.updated)),
            etag: Some(etag::dps(state.etag, state.updated)),
            payload: state.payload.clone(),
            tpm: None,
            issued_certificate_chain: None,
        }
    }

    /// Writes the body of a status lookup, in plain ASCII.
    pub fn to_json(&self) -> String {
        body::escape_non_ascii(&body::write(self))
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// [`Error::Json`], [`Error::Type`].
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        body::read(body, DPS_BODY)
    }
}

/// What a back end reads about a registration.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeviceRegistrationState {
    /// The registration id.
    pub registration_id: String,
    /// When the first attempt came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_date_time_utc: Option<String>,
    /// The full host name of the hub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assigned_hub: Option<String>,
    /// The device id there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// Where it stands.
    pub status: String,
    /// How the assignment came about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub substatus: Option<String>,
    /// Why it failed, as a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<u32>,
    /// Why it failed, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// When it last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated_date_time_utc: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// What custom allocation handed out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Json>,
}

impl From<&RegistrationState> for DeviceRegistrationState {
    fn from(state: &RegistrationState) -> Self {
        let assignment = shown_assignment(state);
        let failure = shown_failure(state);
        Self {
            registration_id: state.id.as_str().to_owned(),
            created_date_time_utc: Some(time::iso(state.created)),
            assigned_hub: assignment.map(|assignment| assignment.host_name.clone()),
            device_id: assignment.map(|assignment| assignment.device_id.as_str().to_owned()),
            status: state.status.to_string(),
            substatus: shown_substatus(state).map(|substatus| substatus_text(substatus).to_owned()),
            error_code: failure.map(|failure| failure.code),
            error_message: failure.map(|failure| failure.message.clone()),
            last_updated_date_time_utc: Some(time::iso(state.updated)),
            etag: Some(etag::dps(state.etag, state.updated)),
            payload: state.payload.clone(),
        }
    }
}

impl DeviceRegistrationState {
    /// Writes the body.
    pub fn to_json(&self) -> String {
        body::write(self)
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// [`Error::Json`], [`Error::Type`].
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        body::read(body, DPS_BODY)
    }
}

/// Writes the body of a query for registration states.
pub fn states_json<'a>(states: impl IntoIterator<Item = &'a RegistrationState>) -> String {
    let documents: Vec<_> = states.into_iter().map(DeviceRegistrationState::from).collect();
    body::write(&documents)
}

/// Draws the id of an attempt: `5.`, 16 hex digits that a registration keeps, and a GUID.
pub fn operation_id(scope: &IdScope, id: &RegistrationId, rng: &mut dyn Rng) -> OperationId {
    let digest = Sha256::of(format!("{}/{}", scope.folded(), id.folded()).as_bytes());
    let stable = data_encoding::HEXLOWER.encode(digest.as_bytes().get(..8).unwrap_or_default());
    let guid = muster_model::RequestId::random(rng);
    #[expect(
        clippy::expect_used,
        reason = "16 hex digits and a GUID are the grammar of the id"
    )]
    OperationId::parse(&format!("5.{stable}.{guid}")).expect("made by its own grammar")
}

/// The path of the registration request.
pub fn register_path(scope: &IdScope, id: &RegistrationId) -> String {
    format!("{}/register", registration_path(scope, id))
}

/// The path of an operation lookup.
pub fn operation_path(scope: &IdScope, id: &RegistrationId, operation: &str) -> String {
    format!(
        "{}/operations/{}",
        registration_path(scope, id),
        sas::encode(operation)
    )
}

/// The path of a status lookup.
pub fn registration_path(scope: &IdScope, id: &RegistrationId) -> String {
    format!("/{}/registrations/{}", scope.as_str(), sas::encode(id.as_str()))
}

/// The resource that the token of a device names.
pub fn sas_resource(scope: &IdScope, id: &RegistrationId) -> String {
    format!("{}/registrations/{}", scope.as_str(), id.as_str())
}

/// The text of a substatus.
pub const fn substatus_text(substatus: Substatus) -> &'static str {
    match substatus {
        Substatus::DeviceDataMigrated => "deviceDataMigrated",
        Substatus::DeviceDataReset => "deviceDataReset",
        Substatus::InitialAssignment => "initialAssignment",
        Substatus::ReprovisionedToInitialAssignment => "reprovisionedToInitialAssignment",
    }
}

/// An earlier assignment is kept while a later attempt is refused or fails, and not shown then.
fn shown_assignment(state: &RegistrationState) -> Option<&muster_model::dps::Assignment> {
    state
        .assignment
        .as_ref()
        .filter(|_| state.status == RegistrationStatus::Assigned)
}

fn shown_substatus(state: &RegistrationState) -> Option<Substatus> {
    state
        .substatus
        .filter(|_| state.status == RegistrationStatus::Assigned)
}

fn shown_failure(state: &RegistrationState) -> Option<&muster_model::dps::RegistrationFailure> {
    state
        .failure
        .as_ref()
        .filter(|_| state.status == RegistrationStatus::Failed)
}

#[cfg(test)]
mod tests;
