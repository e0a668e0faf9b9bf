//! The stored form of what both kinds of enrollment have: attestation and terms.

use data_encoding::BASE64;
use muster_model::dps::{
    Attestation, AttestationKind, CustomAllocation, EnrollmentTerms, ProvisioningStatus, ReprovisionPolicy,
    X509Attestation,
};
use muster_model::{CertificateName, ETag, HubName, Wall};
use muster_pki::Certificate;
use serde::{Deserialize, Serialize};

use super::certificate::from_base64;
use super::credential::KeysRow;
use super::service::AllocationRow;
use super::twin::InitialTwinRow;
use crate::document::mirror;
use crate::fault::{Fault, checked};
use crate::seal::{Place, Sealer};

mirror! {
    /// See [`AttestationKind`].
    AttestationKindRow = AttestationKind { SymmetricKey, Tpm, X509 }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum AttestationRow {
    SymmetricKey(KeysRow),
    Tpm {
        endorsement_key: String,
        storage_root_key: Option<String>,
    },
    CaReferences {
        primary: Option<String>,
        secondary: Option<String>,
    },
    ClientCertificates {
        primary: Option<String>,
        secondary: Option<String>,
    },
    SigningCertificates {
        primary: Option<String>,
        secondary: Option<String>,
    },
}

impl AttestationRow {
    pub(crate) fn new(attestation: &Attestation, place: Place<'_>, sealer: &Sealer) -> Result<Self, Fault> {
        let der = |certificate: &Option<Certificate>| {
            certificate
                .as_ref()
                .map(|certificate| BASE64.encode(certificate.der()))
        };
        let name = |name: &Option<CertificateName>| name.as_ref().map(|name| name.as_str().to_owned());
        Ok(match attestation {
            Attestation::SymmetricKey { primary, secondary } => {
                Self::SymmetricKey(KeysRow::new(primary, secondary, place, sealer)?)
            }
            Attestation::Tpm {
                endorsement_key,
                storage_root_key,
            } => Self::Tpm {
                endorsement_key: endorsement_key.clone(),
                storage_root_key: storage_root_key.clone(),
            },
            Attestation::X509(X509Attestation::CaReferences { primary, secondary }) => Self::CaReferences {
                primary: name(primary),
                secondary: name(secondary),
            },
            Attestation::X509(X509Attestation::ClientCertificates { primary, secondary }) => {
                Self::ClientCertificates {
                    primary: der(primary),
                    secondary: der(secondary),
                }
            }
            Attestation::X509(X509Attestation::SigningCertificates { primary, secondary }) => {
                Self::SigningCertificates {
                    primary: der(primary),
                    secondary: der(secondary),
                }
            }
        })
    }

    pub(crate) fn read(self, place: Place<'_>, sealer: &Sealer) -> Result<Attestation, Fault> {
        let der = |text: Option<String>| text.map(|text| from_base64(place.table, &text)).transpose();
        let name = |text: Option<String>| {
            text.map(|text| checked(place.table, place.column, CertificateName::parse(&text)))
                .transpose()
        };
        Ok(match self {
            Self::SymmetricKey(keys) => {
                let (primary, secondary) = keys.read(place, sealer)?;
                Attestation::SymmetricKey { primary, secondary }
            }
            Self::Tpm {
                endorsement_key,
                storage_root_key,
            } => Attestation::Tpm {
                endorsement_key,
                storage_root_key,
            },
            Self::CaReferences { primary, secondary } => Attestation::X509(X509Attestation::CaReferences {
                primary: name(primary)?,
                secondary: name(secondary)?,
            }),
            Self::ClientCertificates { primary, secondary } => {
                Attestation::X509(X509Attestation::ClientCertificates {
                    primary: der(primary)?,
                    secondary: der(secondary)?,
                })
            }
            Self::SigningCertificates { primary, secondary } => {
                Attestation::X509(X509Attestation::SigningCertificates {
                    primary: der(primary)?,
                    secondary: der(secondary)?,
                })
            }
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TermsRow {
    enabled: bool,
    iot_edge: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    initial_twin: Option<InitialTwinRow>,
    reprovision: ReprovisionRow,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    allocation: Option<AllocationRow>,
    hubs: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    custom_allocation: Option<CustomAllocationRow>,
    etag: u64,
    created: i64,
    updated: i64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReprovisionRow {
    update_hub_assignment: bool,
    migrate_device_data: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CustomAllocationRow {
    webhook_url: String,
    api_version: String,
}

impl TermsRow {
    pub(crate) fn new(terms: &EnrollmentTerms) -> Result<Self, Fault> {
        Ok(Self {
            enabled: terms.status == ProvisioningStatus::Enabled,
            iot_edge: terms.iot_edge,
            initial_twin: terms.initial_twin.as_ref().map(InitialTwinRow::new).transpose()?,
            reprovision: ReprovisionRow {
                update_hub_assignment: terms.reprovision.update_hub_assignment,
                migrate_device_data: terms.reprovision.migrate_device_data,
            },
            allocation: terms.allocation.map(AllocationRow::from),
            hubs: terms.hubs.iter().map(|hub| hub.as_str().to_owned()).collect(),
            custom_allocation: terms
                .custom_allocation
                .as_ref()
                .map(|custom| CustomAllocationRow {
                    webhook_url: custom.webhook_url.clone(),
                    api_version: custom.api_version.clone(),
                }),
            etag: terms.etag.get(),
            created: terms.created.micros(),
            updated: terms.updated.micros(),
        })
    }

    pub(crate) fn read(self, table: &'static str) -> Result<EnrollmentTerms, Fault> {
        Ok(EnrollmentTerms {
            status: if self.enabled {
                ProvisioningStatus::Enabled
            } else {
                ProvisioningStatus::Disabled
            },
            iot_edge: self.iot_edge,
            initial_twin: self.initial_twin.map(|twin| twin.read(table)).transpose()?,
            reprovision: ReprovisionPolicy {
                update_hub_assignment: self.reprovision.update_hub_assignment,
                migrate_device_data: self.reprovision.migrate_device_data,
            },
            allocation: self.allocation.map(Into::into),
            hubs: self
                .hubs
                .iter()
                .map(|hub| checked(table, "document", HubName::parse(hub)))
                .collect::<Result<_, _>>()?,
            custom_allocation: self.custom_allocation.map(|custom| CustomAllocation {
                webhook_url: custom.webhook_url,
                api_version: custom.api_version,
            }),
            etag: ETag::new(self.etag),
            created: Wall::from_micros(self.created),
            updated: Wall::from_micros(self.updated),
        })
    }
}
