//! How an enrollment says who may register: certificates, references to CA certificates, symmetric keys, TPM keys.
//!
//! Reads of enrollments show certificates as facts without their bytes, and keys not at all; a client that writes back
//! what it read leaves gaps, which the domain fills from what is stored.

use muster_model::dps::{Attestation, AttestationChange, SlotChange, X509Attestation, X509Change};
use muster_model::{CertificateName, SymmetricKey};
use muster_pki::Certificate;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::secret::Secret;
use crate::time;

/// Longest certificate text that is read, in bytes: a whole file of one may come.
const MAX_CERTIFICATE_TEXT: usize = 64 * 1024;
/// Longest key of a TPM, in bytes of base64.
const MAX_TPM_KEY: usize = 4096;

/// The mechanism as it stands in an enrollment.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AttestationDocument {
    /// Which of the members counts.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The keys of a TPM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tpm: Option<TpmDocument>,
    /// Certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x509: Option<X509Document>,
    /// Keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symmetric_key: Option<SymmetricKeyDocument>,
}

/// The public keys of a TPM.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TpmDocument {
    /// Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endorsement_key: Option<String>,
    /// Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_root_key: Option<String>,
}

/// Two keys.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SymmetricKeyDocument {
    /// Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_key: Option<Secret>,
    /// Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secondary_key: Option<Secret>,
}

/// Certificates of a device, of those that sign devices, or references to CA certificates.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct X509Document {
    /// A device's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificates: Option<CertificatesDocument>,
    /// Those that sign devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_certificates: Option<CertificatesDocument>,
    /// Names of CA certificates of the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_references: Option<CaReferencesDocument>,
}

/// Two places for certificates.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificatesDocument {
    /// The first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<CertificateDocument>,
    /// The second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secondary: Option<CertificateDocument>,
}

/// One certificate: its text on the way in, its facts on the way out.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificateDocument {
    /// PEM, base64 of DER, or base64 of PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The facts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<CertificateInfo>,
}

/// The facts of a certificate that enrollments show.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificateInfo {
    /// The subject, most specific part first.
    pub subject_name: String,
    /// 40 upper-case hex digits.
    pub sha1_thumbprint: String,
    /// 64 upper-case hex digits.
    pub sha256_thumbprint: String,
    /// The issuer, as the subject.
    pub issuer_name: String,
    /// The first second of validity.
    pub not_before_utc: String,
    /// The last second of validity.
    pub not_after_utc: String,
    /// Upper-case hex.
    pub serial_number: String,
    /// 1 to 3.
    pub version: u8,
}

/// Two names of CA certificates.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CaReferencesDocument {
    /// The first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<String>,
    /// The second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secondary: Option<String>,
}

/// Which enrollments a mechanism is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EnrollmentKind {
    /// Of many devices.
    Group,
    /// Of one device.
    Individual,
}

/// A mechanism as a caller wants it, with the gaps that he left.
#[expect(clippy::large_enum_variant, reason = "short-lived: one for each request")]
#[derive(Clone, Debug, PartialEq)]
pub enum AttestationInput {
    /// References to CA certificates; at least one is there.
    CaReferences {
        /// The first name.
        primary: Option<CertificateName>,
        /// The second name.
        secondary: Option<CertificateName>,
    },
    /// Certificates: a device's own, or those that sign devices.
    Certificates {
        /// Which of the two.
        kind: EnrollmentKind,
        /// The first place.
        primary: Slot,
        /// The second place.
        secondary: Slot,
    },
    /// Keys; those that are missing are kept or made.
    SymmetricKey {
        /// The first key.
        primary: Option<SymmetricKey>,
        /// The second key.
        secondary: Option<SymmetricKey>,
    },
    /// The keys of a TPM.
    Tpm {
        /// Base64 as written.
        endorsement_key: String,
        /// Base64 as written.
        storage_root_key: Option<String>,
    },
}

/// What becomes of one place for a certificate.
#[derive(Clone, Debug, PartialEq)]
pub enum Slot {
    /// It is emptied.
    Clear,
    /// The stored certificate with these facts stays.
    Keep(CertificateInfo),
    /// This certificate takes it.
    Set(Certificate),
}

impl AttestationDocument {
    /// Shows a stored mechanism; keys only where `secrets` says so.
    pub fn of(attestation: &Attestation, secrets: bool) -> Self {
        let mut document = Self {
            kind: Some(kind_text(attestation).to_owned()),
            ..Self::default()
        };
        match attestation {
            Attestation::SymmetricKey { primary, secondary } => {
                document.symmetric_key = Some(SymmetricKeyDocument {
                    primary_key: secrets.then(|| Secret::from(primary)),
                    secondary_key: secrets.then(|| Secret::from(secondary)),
                });
            }
            Attestation::Tpm {
                endorsement_key,
                storage_root_key,
            } => {
                document.tpm = Some(TpmDocument {
                    endorsement_key: Some(endorsement_key.clone()),
                    storage_root_key: storage_root_key.clone(),
                });
            }
            Attestation::X509(x509) => document.x509 = Some(X509Document::of(x509)),
        }
        document
    }

    /// Checks the mechanism of an enrollment. Members that do not belong to its type are ignored.
    ///
    /// # Errors
    /// [`Error::Missing`] and [`Error::Field`] that name the member.
    pub fn parse(&self, kind: EnrollmentKind) -> Result<AttestationInput, Error> {
        let named = self
            .kind
            .as_deref()
            .ok_or_else(|| Error::Missing("attestation.type".into()))?;
        let is = |name: &str| named.eq_ignore_ascii_case(name);
        if is("symmetricKey") {
            let keys = self.symmetric_key.clone().unwrap_or_default();
            let path = "attestation.symmetricKey";
            Ok(AttestationInput::SymmetricKey {
                primary: Secret::optional_key(keys.primary_key.as_ref(), &format!("{path}.primaryKey"))?,
                secondary: Secret::optional_key(
                    keys.secondary_key.as_ref(),
                    &format!("{path}.secondaryKey"),
                )?,
            })
        } else if is("x509") {
            self.x509
                .as_ref()
                .ok_or_else(|| Error::Missing("attestation.x509".into()))?
                .parse(kind)
        } else if is("tpm") && kind == EnrollmentKind::Individual {
            self.tpm
                .as_ref()
                .ok_or_else(|| Error::Missing("attestation.tpm".into()))?
                .parse()
        } else {
            Err(Error::field(
                "attestation.type",
                match kind {
                    EnrollmentKind::Group => "must be x509 or symmetricKey",
                    EnrollmentKind::Individual => "must be x509, symmetricKey or tpm",
                },
            ))
        }
    }
}

impl AttestationInput {
    /// Makes of it what the domain takes. `stored` is the mechanism under the same id: a certificate that is named by
    /// its facts is looked for in both places, so that a client may swap them.
    ///
    /// # Errors
    /// [`Error::Field`] when a certificate is named by its facts that is not stored.
    pub fn change(self, stored: Option<&Attestation>) -> Result<AttestationChange, Error> {
        Ok(match self {
            Self::CaReferences { primary, secondary } => {
                AttestationChange::X509(X509Change::CaReferences { primary, secondary })
            }
            Self::Certificates {
                kind,
                primary,
                secondary,
            } => {
                let path = certificates_path(kind);
                let (first, second) = match stored {
                    Some(Attestation::X509(
                        X509Attestation::ClientCertificates { primary, secondary }
                        | X509Attestation::SigningCertificates { primary, secondary },
                    )) => (primary.as_ref(), secondary.as_ref()),
                    _ => (None, None),
                };
                let primary = primary.change(first, second, &format!("{path}.primary"))?;
                let secondary = secondary.change(second, first, &format!("{path}.secondary"))?;
                AttestationChange::X509(match kind {
                    EnrollmentKind::Group => X509Change::SigningCertificates { primary, secondary },
                    EnrollmentKind::Individual => X509Change::ClientCertificates { primary, secondary },
                })
            }
            Self::SymmetricKey { primary, secondary } => {
                AttestationChange::SymmetricKey { primary, secondary }
            }
            Self::Tpm {
                endorsement_key,
                storage_root_key,
            } => AttestationChange::Tpm {
                endorsement_key,
                storage_root_key,
            },
        })
    }
}

impl Slot {
    fn change(
        self,
        own: Option<&Certificate>,
        other: Option<&Certificate>,
        path: &str,
    ) -> Result<SlotChange<Certificate>, Error> {
        match self {
            Self::Clear => Ok(SlotChange::Clear),
            Self::Set(certificate) => Ok(SlotChange::Set(certificate)),
            Self::Keep(info) => match (own, other) {
                (Some(own), _) if info.is_of(own) => Ok(SlotChange::Keep),
                (_, Some(other)) if info.is_of(other) => Ok(SlotChange::Set(other.clone())),
                _ => Err(Error::field(
                    path,
                    "names a certificate by its facts that is not stored: send the certificate itself",
                )),
            },
        }
    }
}

impl X509Document {
    fn of(x509: &X509Attestation) -> Self {
        let pair = |primary: &Option<Certificate>, secondary: &Option<Certificate>| CertificatesDocument {
            primary: primary.as_ref().map(CertificateDocument::shown),
            secondary: secondary.as_ref().map(CertificateDocument::shown),
        };
        let mut document = Self::default();
        match x509 {
            X509Attestation::CaReferences { primary, secondary } => {
                let text = |name: &Option<CertificateName>| name.as_ref().map(|n| n.as_str().to_owned());
                document.ca_references = Some(CaReferencesDocument {
                    primary: text(primary),
                    secondary: text(secondary),
                });
            }
            X509Attestation::ClientCertificates { primary, secondary } => {
                document.client_certificates = Some(pair(primary, secondary));
            }
            X509Attestation::SigningCertificates { primary, secondary } => {
                document.signing_certificates = Some(pair(primary, secondary));
            }
        }
        document
    }

    fn parse(&self, kind: EnrollmentKind) -> Result<AttestationInput, Error> {
        let (wanted, stray) = match kind {
            EnrollmentKind::Group => (&self.signing_certificates, &self.client_certificates),
            EnrollmentKind::Individual => (&self.client_certificates, &self.signing_certificates),
        };
        let path = certificates_path(kind);
        let wanted = wanted.as_ref().filter(|pair| !pair.is_empty());
        let references = self
            .ca_references
            .as_ref()
            .filter(|pair| pair.primary.is_some() || pair.secondary.is_some());
        match (wanted, references) {
            (Some(_), Some(_)) => Err(Error::field(
                "attestation.x509",
                "must hold certificates or caReferences, not both",
            )),
            (Some(pair), None) => Ok(AttestationInput::Certificates {
                kind,
                primary: slot(pair.primary.as_ref(), &format!("{path}.primary"))?,
                secondary: slot(pair.secondary.as_ref(), &format!("{path}.secondary"))?,
            }),
            (None, Some(pair)) => Ok(AttestationInput::CaReferences {
                primary: reference(pair.primary.as_deref(), "attestation.x509.caReferences.primary")?,
                secondary: reference(
                    pair.secondary.as_deref(),
                    "attestation.x509.caReferences.secondary",
                )?,
            }),
            (None, None) if stray.as_ref().is_some_and(|pair| !pair.is_empty()) => Err(Error::field(
                "attestation.x509",
                match kind {
                    EnrollmentKind::Group => "must hold signingCertificates in an enrollment group",
                    EnrollmentKind::Individual => "must hold clientCertificates in an individual enrollment",
                },
            )),
            (None, None) => Err(Error::field(path, "must hold a certificate")),
        }
    }
}

impl TpmDocument {
    fn parse(&self) -> Result<AttestationInput, Error> {
        let base64 = |text: &str, path: &str| {
            let fits = text.len() <= MAX_TPM_KEY
                && !text.is_empty()
                && data_encoding::BASE64.decode(text.as_bytes()).is_ok();
            if fits {
                Ok(text.to_owned())
            } else {
                Err(Error::field(path, "must be base64 of a TPM's public key"))
            }
        };
        let endorsement = self
            .endorsement_key
            .as_deref()
            .ok_or_else(|| Error::Missing("attestation.tpm.endorsementKey".into()))?;
        Ok(AttestationInput::Tpm {
            endorsement_key: base64(endorsement, "attestation.tpm.endorsementKey")?,
            storage_root_key: self
                .storage_root_key
                .as_deref()
                .filter(|text| !text.is_empty())
                .map(|text| base64(text, "attestation.tpm.storageRootKey"))
                .transpose()?,
        })
    }
}

impl CertificatesDocument {
    fn is_empty(&self) -> bool {
        let nothing =
            |place: &Option<CertificateDocument>| place.as_ref().is_none_or(CertificateDocument::is_empty);
        nothing(&self.primary) && nothing(&self.secondary)
    }
}

impl CertificateDocument {
    /// The document of a certificate that a client uploads.
    pub fn upload(certificate: &Certificate) -> Self {
        Self {
            certificate: Some(data_encoding::BASE64.encode(certificate.der())),
            info: None,
        }
    }

    fn shown(certificate: &Certificate) -> Self {
        Self {
            certificate: None,
            info: Some(CertificateInfo::of(certificate)),
        }
    }

    fn is_empty(&self) -> bool {
        self.certificate.as_deref().is_none_or(str::is_empty) && self.info.is_none()
    }
}

impl CertificateInfo {
    /// Reads the facts off a certificate.
    pub fn of(certificate: &Certificate) -> Self {
        Self {
            subject_name: certificate.subject().to_string(),
            sha1_thumbprint: certificate.sha1().to_string(),
            sha256_thumbprint: certificate.sha256().to_string(),
            issuer_name: certificate.issuer().to_string(),
            not_before_utc: time::iso_pki(certificate.not_before()),
            not_after_utc: time::iso_pki(certificate.not_after()),
            serial_number: certificate.serial_hex(),
            version: certificate.version(),
        }
    }

    /// Tells whether a certificate is meant: by the stronger thumbprint that is written.
    fn is_of(&self, certificate: &Certificate) -> bool {
        if self.sha256_thumbprint.is_empty() {
            self.sha1_thumbprint
                .eq_ignore_ascii_case(&certificate.sha1().to_string())
        } else {
            self.sha256_thumbprint
                .eq_ignore_ascii_case(&certificate.sha256().to_string())
        }
    }
}

/// Reads a certificate in any of the forms in which clients send one.
///
/// # Errors
/// [`Error::Field`] that names `path`.
pub fn certificate(text: &str, path: &str) -> Result<Certificate, Error> {
    if text.len() > MAX_CERTIFICATE_TEXT {
        return Err(Error::TooLarge {
            what: "the certificate",
            limit: MAX_CERTIFICATE_TEXT,
        });
    }
    Certificate::from_text(text.as_bytes())
        .map_err(|error| Error::field(path, format!("must hold an X.509 certificate: {error}")))
}

/// The text of a mechanism's type.
pub const fn kind_text(attestation: &Attestation) -> &'static str {
    match attestation {
        Attestation::SymmetricKey { .. } => "symmetricKey",
        Attestation::Tpm { .. } => "tpm",
        Attestation::X509(_) => "x509",
    }
}

fn certificates_path(kind: EnrollmentKind) -> &'static str {
    match kind {
        EnrollmentKind::Group => "attestation.x509.signingCertificates",
        EnrollmentKind::Individual => "attestation.x509.clientCertificates",
    }
}

fn slot(place: Option<&CertificateDocument>, path: &str) -> Result<Slot, Error> {
    let Some(place) = place else {
        return Ok(Slot::Clear);
    };
    match (
        place.certificate.as_deref().filter(|text| !text.is_empty()),
        &place.info,
    ) {
        (Some(text), _) => certificate(text, &format!("{path}.certificate")).map(Slot::Set),
        (None, Some(info)) => Ok(Slot::Keep(info.clone())),
        (None, None) => Ok(Slot::Clear),
    }
}

fn reference(text: Option<&str>, path: &str) -> Result<Option<CertificateName>, Error> {
    text.map(|text| CertificateName::parse(text).map_err(|invalid| Error::id(path, &invalid)))
        .transpose()
}

#[cfg(test)]
mod tests;
