//! The stored form of what a device proves itself by and of where it came from, inside documents of devices and of
//! registrations.

use data_encoding::BASE64;
use muster_model::identity::{Authentication, EnrollmentRef, Provenance};
use muster_model::{DpsKey, EnrollmentGroupId, RegistrationId, SymmetricKey};
use muster_pki::{Sha256, Thumbprint};
use serde::{Deserialize, Serialize};

use crate::fault::{Fault, checked, present};
use crate::seal::{Place, Sealed, Sealer};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum AuthenticationRow {
    CertificateAuthority,
    None,
    Sas(KeysRow),
    SelfSigned {
        primary: Option<String>,
        secondary: Option<String>,
    },
}

impl AuthenticationRow {
    /// `place` is that of the row; which key it is comes on top.
    pub(crate) fn new(
        authentication: &Authentication,
        place: Place<'_>,
        sealer: &Sealer,
    ) -> Result<Self, Fault> {
        Ok(match authentication {
            Authentication::CertificateAuthority => Self::CertificateAuthority,
            Authentication::None => Self::None,
            Authentication::Sas { primary, secondary } => {
                Self::Sas(KeysRow::new(primary, secondary, place, sealer)?)
            }
            Authentication::SelfSigned { primary, secondary } => Self::SelfSigned {
                primary: primary.map(|thumbprint| thumbprint.to_string()),
                secondary: secondary.map(|thumbprint| thumbprint.to_string()),
            },
        })
    }

    pub(crate) fn read(self, place: Place<'_>, sealer: &Sealer) -> Result<Authentication, Fault> {
        Ok(match self {
            Self::CertificateAuthority => Authentication::CertificateAuthority,
            Self::None => Authentication::None,
            Self::Sas(keys) => {
                let (primary, secondary) = keys.read(place, sealer)?;
                Authentication::Sas { primary, secondary }
            }
            Self::SelfSigned { primary, secondary } => {
                let parse = |text: Option<String>| {
                    text.map(|text| checked(place.table, place.column, text.parse::<Thumbprint>()))
                        .transpose()
                };
                Authentication::SelfSigned {
                    primary: parse(primary)?,
                    secondary: parse(secondary)?,
                }
            }
        })
    }
}

/// A pair of keys, sealed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeysRow {
    primary: Sealed,
    secondary: Sealed,
}

impl KeysRow {
    pub(crate) fn new(
        primary: &SymmetricKey,
        secondary: &SymmetricKey,
        place: Place<'_>,
        sealer: &Sealer,
    ) -> Result<Self, Fault> {
        Ok(Self {
            primary: within(place, "primary", |place| sealer.seal(place, primary.bytes()))?,
            secondary: within(place, "secondary", |place| sealer.seal(place, secondary.bytes()))?,
        })
    }

    pub(crate) fn read(
        &self,
        place: Place<'_>,
        sealer: &Sealer,
    ) -> Result<(SymmetricKey, SymmetricKey), Fault> {
        let open = |which, sealed| {
            let bytes = within(place, which, |place| sealer.open(place, sealed))?;
            present(
                place.table,
                place.column,
                SymmetricKey::new(bytes),
                "a key has 16 to 64 bytes",
            )
        };
        Ok((
            open("primary", &self.primary)?,
            open("secondary", &self.secondary)?,
        ))
    }
}

/// The place of one secret of a row.
fn within<T>(place: Place<'_>, which: &str, work: impl FnOnce(Place<'_>) -> T) -> T {
    let row: Vec<&str> = place.row.iter().copied().chain([which]).collect();
    work(Place { row: &row, ..place })
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProvenanceRow {
    service: u64,
    registration: String,
    enrollment: EnrollmentRefRow,
    chain: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum EnrollmentRefRow {
    Group(String),
    Individual(String),
}

impl ProvenanceRow {
    pub(crate) fn new(provenance: &Provenance) -> Self {
        Self {
            service: provenance.service.get(),
            registration: provenance.registration.as_str().to_owned(),
            enrollment: match &provenance.enrollment {
                EnrollmentRef::Group(id) => EnrollmentRefRow::Group(id.as_str().to_owned()),
                EnrollmentRef::Individual(id) => EnrollmentRefRow::Individual(id.as_str().to_owned()),
            },
            chain: digests_to_text(&provenance.chain),
        }
    }

    pub(crate) fn read(self, table: &'static str, column: &'static str) -> Result<Provenance, Fault> {
        let registration = |text: &str| checked(table, column, RegistrationId::parse(text));
        Ok(Provenance {
            service: DpsKey::new(self.service),
            registration: registration(&self.registration)?,
            enrollment: match self.enrollment {
                EnrollmentRefRow::Group(id) => {
                    EnrollmentRef::Group(checked(table, column, EnrollmentGroupId::parse(&id))?)
                }
                EnrollmentRefRow::Individual(id) => EnrollmentRef::Individual(registration(&id)?),
            },
            chain: digests_from_text(table, column, &self.chain)?,
        })
    }
}

/// Digests as documents hold them: base64.
pub(crate) fn digests_to_text(digests: &[Sha256]) -> Vec<String> {
    digests
        .iter()
        .map(|digest| BASE64.encode(digest.as_bytes()))
        .collect()
}

/// Reads digests of a document.
pub(crate) fn digests_from_text(
    table: &'static str,
    column: &'static str,
    texts: &[String],
) -> Result<Vec<Sha256>, Fault> {
    texts
        .iter()
        .map(|text| {
            let bytes = BASE64
                .decode(text.as_bytes())
                .ok()
                .and_then(|bytes| bytes.try_into().ok());
            present(table, column, bytes, "a SHA-256 has 32 bytes").map(Sha256)
        })
        .collect()
}
