//! Enrollments: the documents of both kinds, in both directions, and bulk calls.
//!
//! What a caller left out takes the service's defaults here, so that a draft is complete but for the gaps of its
//! attestation. Whether a hub is linked and whether the caller's version is current is decided behind this.

mod bulk;

use muster_model::dps::{
    AllocationPolicy, Attestation, CustomAllocation, EnrollmentGroup, EnrollmentTerms, GroupChange,
    IndividualChange, IndividualEnrollment, ProvisioningStatus, RegistrationState, ReprovisionPolicy,
    TermsChange,
};
use muster_model::{DeviceId, ETag, EnrollmentGroupId, HubName, Json, RegistrationId, Wall};
use serde::{Deserialize, Serialize};

use crate::attestation::{AttestationDocument, AttestationInput, EnrollmentKind};
use crate::body::{self, DPS_BODY};
use crate::error::Error;
use crate::host::Domain;
use crate::registration::DeviceRegistrationState;
use crate::twin::InitialTwinDocument;
use crate::{etag, time};

pub use bulk::{
    Bulk, BulkChange, BulkError, BulkItem, BulkMode, BulkResult, MAX_BULK, groups_request,
    individuals_request,
};

/// Most hubs that an enrollment names. Source: DPS quotas, linked hubs, read 2026-11.
const MAX_HUBS: usize = 50;
/// Most bytes of the operator's notes.
const MAX_DEVICE_INFORMATION: usize = 32 * 1024;
/// Longest web address of custom allocation, in bytes.
const MAX_URL: usize = 2048;

macro_rules! enrollment_document {
    (
        $(#[$meta:meta])* $name:ident {
            $($(#[$own_meta:meta])* $own:ident: $own_type:ty,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name {
            $($(#[$own_meta])* #[serde(skip_serializing_if = "Option::is_none")] pub $own: $own_type,)*
            /// How a device proves who it is.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub attestation: Option<AttestationDocument>,
            /// The legacy form of a lone hub.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub iot_hub_host_name: Option<String>,
            /// Full host names of the hubs to choose from.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub iot_hubs: Option<Vec<String>>,
            /// The twin that a new device gets.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub initial_twin: Option<InitialTwinDocument>,
            /// Its version.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub etag: Option<String>,
            /// `enabled` or `disabled`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub provisioning_status: Option<String>,
            /// What happens when a device registers again.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub reprovision_policy: Option<ReprovisionPolicyDocument>,
            /// When it was made.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub created_date_time_utc: Option<String>,
            /// When it last changed.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub last_updated_date_time_utc: Option<String>,
            /// How a hub is chosen.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub allocation_policy: Option<String>,
            /// The web call that chooses.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub custom_allocation_definition: Option<CustomAllocationDocument>,
            /// What the device becomes.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub capabilities: Option<CapabilitiesDocument>,
        }

        impl $name {
            fn with_terms(mut self, terms: &EnrollmentTerms, domain: &Domain) -> Self {
                self.iot_hubs = Some(terms.hubs.iter().map(|hub| domain.hub(hub)).collect());
                self.initial_twin = terms.initial_twin.as_ref().map(InitialTwinDocument::from);
                self.etag = Some(etag::dps(terms.etag, terms.updated));
                self.provisioning_status = Some(status_text(terms.status).to_owned());
                self.reprovision_policy = Some(ReprovisionPolicyDocument {
                    update_hub_assignment: Some(terms.reprovision.update_hub_assignment),
                    migrate_device_data: Some(terms.reprovision.migrate_device_data),
                });
                self.created_date_time_utc = Some(time::iso(terms.created));
                self.last_updated_date_time_utc = Some(time::iso(terms.updated));
                self.allocation_policy = terms.allocation.map(|policy| allocation_text(policy).to_owned());
                self.custom_allocation_definition =
                    terms.custom_allocation.as_ref().map(CustomAllocationDocument::from);
                self.capabilities = Some(CapabilitiesDocument { iot_edge: Some(terms.iot_edge) });
                self
            }

            fn terms(&self, domain: &Domain) -> Result<EnrollmentTerms, Error> {
                parse_terms(
                    &Written {
                        host_name: self.iot_hub_host_name.as_deref(),
                        hubs: self.iot_hubs.as_deref().unwrap_or_default(),
                        twin: self.initial_twin.as_ref(),
                        status: self.provisioning_status.as_deref(),
                        reprovision: self.reprovision_policy.as_ref(),
                        allocation: self.allocation_policy.as_deref(),
                        custom: self.custom_allocation_definition.as_ref(),
                        iot_edge: self.capabilities.as_ref().and_then(|c| c.iot_edge),
                    },
                    domain,
                )
            }

            fn attestation(&self, kind: EnrollmentKind) -> Result<AttestationInput, Error> {
                self.attestation
                    .as_ref()
                    .ok_or_else(|| Error::Missing("attestation".into()))?
                    .parse(kind)
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
    };
}

enrollment_document! {
    /// An enrollment of one device.
    IndividualDocument {
        /// The registration that it admits.
        registration_id: Option<String>,
        /// The device id that the hub is to use.
        device_id: Option<String>,
        /// What became of the registration; only when one enrollment is read.
        registration_state: Option<DeviceRegistrationState>,
        /// The operator's notes.
        optional_device_information: Option<Json>,
    }
}

enrollment_document! {
    /// An enrollment of many devices.
    GroupDocument {
        /// Its id.
        enrollment_group_id: Option<String>,
    }
}

/// What happens when a device registers again.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReprovisionPolicyDocument {
    /// Whether the hub is chosen anew; true where absent.
    pub update_hub_assignment: Option<bool>,
    /// Whether the twin is carried along; true where absent.
    pub migrate_device_data: Option<bool>,
}

/// What the device becomes.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CapabilitiesDocument {
    /// Whether it becomes an edge gateway.
    pub iot_edge: Option<bool>,
}

/// The web call of custom allocation.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CustomAllocationDocument {
    /// Where it goes.
    pub webhook_url: Option<String>,
    /// The shape of its request.
    pub api_version: Option<String>,
}

impl From<&CustomAllocation> for CustomAllocationDocument {
    fn from(custom: &CustomAllocation) -> Self {
        Self {
            webhook_url: Some(custom.webhook_url.clone()),
            api_version: Some(custom.api_version.clone()),
        }
    }
}

/// An individual enrollment as a caller wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct IndividualInput {
    /// The registration that it admits.
    pub id: RegistrationId,
    /// The device id that the hub is to use.
    pub device_id: Option<DeviceId>,
    /// The operator's notes.
    pub device_information: Option<Json>,
    /// How the device proves who it is, with the gaps that the caller left.
    pub attestation: AttestationInput,
    /// The rest; its version and times are those of nothing and are not to be used.
    pub terms: EnrollmentTerms,
}

/// An enrollment group as a caller wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupInput {
    /// Its id.
    pub id: EnrollmentGroupId,
    /// How devices prove who they are, with the gaps that the caller left.
    pub attestation: AttestationInput,
    /// The rest; its version and times are those of nothing and are not to be used.
    pub terms: EnrollmentTerms,
}

impl IndividualInput {
    /// Makes of it what the domain takes. `stored` is the mechanism under the same id.
    ///
    /// # Errors
    /// As for [`AttestationInput::change`].
    pub fn change(self, stored: Option<&Attestation>) -> Result<IndividualChange, Error> {
        Ok(IndividualChange {
            id: self.id,
            device_id: self.device_id,
            device_information: self.device_information,
            attestation: self.attestation.change(stored)?,
            terms: terms_change(self.terms),
        })
    }
}

impl GroupInput {
    /// Makes of it what the domain takes. `stored` is the mechanism under the same id.
    ///
    /// # Errors
    /// As for [`AttestationInput::change`].
    pub fn change(self, stored: Option<&Attestation>) -> Result<GroupChange, Error> {
        Ok(GroupChange {
            id: self.id,
            attestation: self.attestation.change(stored)?,
            terms: terms_change(self.terms),
        })
    }
}

impl IndividualDocument {
    /// Shows an enrollment; keys only where `secrets` says so, and `state` when one enrollment is read.
    pub fn of(
        enrollment: &IndividualEnrollment,
        state: Option<&RegistrationState>,
        secrets: bool,
        domain: &Domain,
    ) -> Self {
        Self {
            registration_id: Some(enrollment.id.as_str().to_owned()),
            device_id: enrollment.device_id.as_ref().map(|id| id.as_str().to_owned()),
            registration_state: state.map(DeviceRegistrationState::from),
            optional_device_information: enrollment.device_information.clone(),
            attestation: Some(AttestationDocument::of(&enrollment.attestation, secrets)),
            ..Self::default()
        }
        .with_terms(&enrollment.terms, domain)
    }

    /// Reads the body of a write. `id` is that of the path.
    ///
    /// # Errors
    /// Every variant of [`Error`] that a document can break.
    pub fn parse(body: &[u8], id: &RegistrationId, domain: &Domain) -> Result<IndividualInput, Error> {
        let input = body::read::<Self>(body, DPS_BODY)?.check(domain)?;
        if input.id == *id {
            Ok(input)
        } else {
            Err(Error::field(
                "registrationId",
                "must be the registration id of the path",
            ))
        }
    }

    /// Checks the document and takes it.
    ///
    /// # Errors
    /// Every variant of [`Error`] that a document can break.
    pub fn check(&self, domain: &Domain) -> Result<IndividualInput, Error> {
        let id = self
            .registration_id
            .as_deref()
            .ok_or_else(|| Error::Missing("registrationId".into()))?;
        let device_id = self
            .device_id
            .as_deref()
            .filter(|text| !text.is_empty())
            .map(|text| DeviceId::parse(text).map_err(|invalid| Error::id("deviceId", &invalid)))
            .transpose()?;
        let information = body::object(
            "optionalDeviceInformation",
            self.optional_device_information.clone(),
        )?;
        if information
            .as_ref()
            .is_some_and(|json| json.as_str().len() > MAX_DEVICE_INFORMATION)
        {
            return Err(Error::field(
                "optionalDeviceInformation",
                format!("must have {MAX_DEVICE_INFORMATION} bytes at most"),
            ));
        }
        Ok(IndividualInput {
            id: RegistrationId::parse(id).map_err(Error::RegistrationId)?,
            device_id,
            device_information: information,
            attestation: self.attestation(EnrollmentKind::Individual)?,
            terms: self.terms(domain)?,
        })
    }
}

impl GroupDocument {
    /// Shows a group; keys only where `secrets` says so.
    pub fn of(group: &EnrollmentGroup, secrets: bool, domain: &Domain) -> Self {
        Self {
            enrollment_group_id: Some(group.id.as_str().to_owned()),
            attestation: Some(AttestationDocument::of(&group.attestation, secrets)),
            ..Self::default()
        }
        .with_terms(&group.terms, domain)
    }

    /// Reads the body of a write. `id` is that of the path.
    ///
    /// # Errors
    /// Every variant of [`Error`] that a document can break.
    pub fn parse(body: &[u8], id: &EnrollmentGroupId, domain: &Domain) -> Result<GroupInput, Error> {
        let input = body::read::<Self>(body, DPS_BODY)?.check(domain)?;
        if input.id == *id {
            Ok(input)
        } else {
            Err(Error::field(
                "enrollmentGroupId",
                "must be the enrollment group id of the path",
            ))
        }
    }

    /// Checks the document and takes it.
    ///
    /// # Errors
    /// Every variant of [`Error`] that a document can break.
    pub fn check(&self, domain: &Domain) -> Result<GroupInput, Error> {
        let id = self
            .enrollment_group_id
            .as_deref()
            .ok_or_else(|| Error::Missing("enrollmentGroupId".into()))?;
        Ok(GroupInput {
            id: EnrollmentGroupId::parse(id).map_err(|invalid| Error::id("enrollmentGroupId", &invalid))?,
            attestation: self.attestation(EnrollmentKind::Group)?,
            terms: self.terms(domain)?,
        })
    }
}

/// Writes the answer of `attestationmechanism`, keys and all.
pub fn mechanism_json(attestation: &Attestation) -> String {
    body::write(&AttestationDocument::of(attestation, true))
}

/// Writes the answer of a query for individual enrollments.
pub fn individuals_json<'a>(
    enrollments: impl IntoIterator<Item = &'a IndividualEnrollment>,
    domain: &Domain,
) -> String {
    let documents: Vec<_> = enrollments
        .into_iter()
        .map(|enrollment| IndividualDocument::of(enrollment, None, false, domain))
        .collect();
    body::write(&documents)
}

/// Writes the answer of a query for enrollment groups.
pub fn groups_json<'a>(groups: impl IntoIterator<Item = &'a EnrollmentGroup>, domain: &Domain) -> String {
    let documents: Vec<_> = groups
        .into_iter()
        .map(|group| GroupDocument::of(group, false, domain))
        .collect();
    body::write(&documents)
}

/// Reads the body of a query. Any text means "everything", as clients send texts that are none; only its bounds count.
///
/// # Errors
/// [`Error::Json`].
pub fn check_query(body: &[u8]) -> Result<(), Error> {
    if body.iter().all(u8::is_ascii_whitespace) && body.len() <= DPS_BODY.bytes {
        return Ok(());
    }
    body::read::<serde::de::IgnoredAny>(body, DPS_BODY).map(|_| ())
}

/// The text of an allocation policy in an enrollment.
pub const fn allocation_text(policy: AllocationPolicy) -> &'static str {
    match policy {
        AllocationPolicy::Custom => "custom",
        AllocationPolicy::GeoLatency => "geoLatency",
        AllocationPolicy::Hashed => "hashed",
        AllocationPolicy::Static => "static",
    }
}

/// Reads an allocation policy without case.
pub fn parse_allocation(text: &str) -> Option<AllocationPolicy> {
    [
        AllocationPolicy::Custom,
        AllocationPolicy::GeoLatency,
        AllocationPolicy::Hashed,
        AllocationPolicy::Static,
    ]
    .into_iter()
    .find(|policy| allocation_text(*policy).eq_ignore_ascii_case(text))
}

/// The text of a provisioning status.
pub const fn status_text(status: ProvisioningStatus) -> &'static str {
    match status {
        ProvisioningStatus::Disabled => "disabled",
        ProvisioningStatus::Enabled => "enabled",
    }
}

fn terms_change(terms: EnrollmentTerms) -> TermsChange {
    TermsChange {
        status: terms.status,
        iot_edge: terms.iot_edge,
        initial_twin: terms.initial_twin,
        reprovision: terms.reprovision,
        allocation: terms.allocation,
        hubs: terms.hubs,
        custom_allocation: terms.custom_allocation,
    }
}

/// What both kinds of document hold of the terms.
struct Written<'a> {
    host_name: Option<&'a str>,
    hubs: &'a [String],
    twin: Option<&'a InitialTwinDocument>,
    status: Option<&'a str>,
    reprovision: Option<&'a ReprovisionPolicyDocument>,
    allocation: Option<&'a str>,
    custom: Option<&'a CustomAllocationDocument>,
    iot_edge: Option<bool>,
}

fn parse_terms(written: &Written<'_>, domain: &Domain) -> Result<EnrollmentTerms, Error> {
    let mut allocation = written
        .allocation
        .map(|text| {
            parse_allocation(text).ok_or_else(|| {
                Error::field("allocationPolicy", "must be hashed, geoLatency, static or custom")
            })
        })
        .transpose()?;
    let mut hubs = parse_hubs(written.hubs, domain)?;
    if let Some(host) = written.host_name.filter(|host| !host.is_empty()) {
        // The legacy form: a lone hub is a static allocation to it. Beside the newer list it says nothing new.
        let hub = parse_hub(host, "iotHubHostName", domain)?;
        if hubs.is_empty() {
            hubs.push(hub);
            allocation = allocation.or(Some(AllocationPolicy::Static));
        }
    }
    if allocation == Some(AllocationPolicy::Static) && hubs.len() > 1 {
        return Err(Error::field(
            "iotHubs",
            "must name one hub under the policy static",
        ));
    }
    let custom = written.custom.map(parse_custom).transpose()?.flatten();
    if allocation == Some(AllocationPolicy::Custom) && custom.is_none() {
        return Err(Error::Missing("customAllocationDefinition".into()));
    }
    let default = ReprovisionPolicy::default();
    Ok(EnrollmentTerms {
        status: match written.status {
            None => ProvisioningStatus::Enabled,
            Some(text) if text.eq_ignore_ascii_case("enabled") => ProvisioningStatus::Enabled,
            Some(text) if text.eq_ignore_ascii_case("disabled") => ProvisioningStatus::Disabled,
            Some(_) => return Err(Error::field("provisioningStatus", "must be enabled or disabled")),
        },
        iot_edge: written.iot_edge.unwrap_or(false),
        initial_twin: written
            .twin
            .map(|twin| twin.clone().parse("initialTwin"))
            .transpose()?,
        reprovision: ReprovisionPolicy {
            update_hub_assignment: written
                .reprovision
                .and_then(|policy| policy.update_hub_assignment)
                .unwrap_or(default.update_hub_assignment),
            migrate_device_data: written
                .reprovision
                .and_then(|policy| policy.migrate_device_data)
                .unwrap_or(default.migrate_device_data),
        },
        allocation,
        hubs,
        custom_allocation: custom,
        etag: ETag::default(),
        created: Wall::EPOCH,
        updated: Wall::EPOCH,
    })
}

fn parse_hubs(hosts: &[String], domain: &Domain) -> Result<Vec<HubName>, Error> {
    if hosts.len() > MAX_HUBS {
        return Err(Error::TooMany {
            path: "iotHubs".into(),
            limit: MAX_HUBS,
        });
    }
    let mut hubs: Vec<HubName> = Vec::with_capacity(hosts.len());
    for (index, host) in hosts.iter().enumerate() {
        let hub = parse_hub(host, &format!("iotHubs[{index}]"), domain)?;
        if !hubs.contains(&hub) {
            hubs.push(hub);
        }
    }
    Ok(hubs)
}

fn parse_hub(host: &str, path: &str, domain: &Domain) -> Result<HubName, Error> {
    domain
        .hub_name(host)
        .ok_or_else(|| Error::field(path, "must be the host name of a linked hub"))
}

/// Two absent members, which clients write for "none", are none.
fn parse_custom(custom: &CustomAllocationDocument) -> Result<Option<CustomAllocation>, Error> {
    let path = "customAllocationDefinition";
    match (custom.webhook_url.as_deref(), custom.api_version.as_deref()) {
        (None | Some(""), None | Some("")) => Ok(None),
        (Some(url), Some(version)) if !url.is_empty() && !version.is_empty() => {
            if url.len() > MAX_URL || !(url.starts_with("https://") || url.starts_with("http://")) {
                return Err(Error::field(
                    format!("{path}.webhookUrl"),
                    "must be a web address",
                ));
            }
            if crate::api_version::ApiVersion::parse(version).is_none() {
                return Err(Error::field(
                    format!("{path}.apiVersion"),
                    "must have the form yyyy-MM-dd or yyyy-MM-dd-preview",
                ));
            }
            Ok(Some(CustomAllocation {
                webhook_url: url.to_owned(),
                api_version: version.to_owned(),
            }))
        }
        (None | Some(""), _) => Err(Error::Missing(format!("{path}.webhookUrl"))),
        _ => Err(Error::Missing(format!("{path}.apiVersion"))),
    }
}

#[cfg(test)]
mod tests;
