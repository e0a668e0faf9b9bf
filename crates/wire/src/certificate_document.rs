//! The resource of a CA certificate of a hub or a provisioning service.
//!
//! The older surface of provisioning writes its members flat, everything else below `properties`; both are read on both.
//! The certificate is shown as base64 of its PEM text, for clients decode it and read text.

use data_encoding::BASE64;
use muster_model::CaCertificate;
use muster_pki::Certificate;
use serde::{Deserialize, Serialize};

use crate::arm::ARM_BODY;
use crate::attestation::certificate;
use crate::error::Error;
use crate::{body, etag, time};

/// Whose certificate it is, for the type that is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Owner {
    /// A provisioning service's.
    Dps,
    /// A hub's.
    Hub,
}

/// The resource.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct CertificateDocument {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub etag: String,
    /// The type of resource.
    #[serde(rename = "type")]
    pub kind: String,
    /// The rest.
    pub properties: CertificateProperties,
}

/// The properties of the resource.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificateProperties {
    /// The whole subject.
    pub subject: String,
    /// The last second of validity, in RFC 1123.
    pub expiry: String,
    /// SHA-1, 40 upper-case hex digits.
    pub thumbprint: String,
    /// Whether possession was proved or taken for granted.
    pub is_verified: bool,
    /// When it was first uploaded, in RFC 1123.
    pub created: String,
    /// When it last changed, in RFC 1123.
    pub updated: String,
    /// Base64 of PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The code, in the answer that makes it only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification_code: Option<String>,
}

impl CertificateDocument {
    /// Shows a CA certificate. `parent` is the id of its hub or provisioning service. The code is shown only in the
    /// answer that makes it: `with_code`.
    pub fn of(ca: &CaCertificate, parent: &str, owner: Owner, with_code: bool) -> Self {
        let certificate = &ca.certificate;
        Self {
            id: format!("{parent}/certificates/{}", ca.name),
            name: ca.name.as_str().to_owned(),
            etag: etag::arm(ca.etag),
            kind: match owner {
                Owner::Dps => "Microsoft.Devices/ProvisioningServices/Certificates",
                Owner::Hub => "Microsoft.Devices/IotHubs/Certificates",
            }
            .to_owned(),
            properties: CertificateProperties {
                subject: certificate.subject().to_string(),
                expiry: time::rfc1123(muster_model::Wall::from_seconds(certificate.not_after().unix())),
                thumbprint: certificate.sha1().to_string(),
                is_verified: ca.verified,
                created: time::rfc1123(ca.created),
                updated: time::rfc1123(ca.updated),
                certificate: Some(BASE64.encode(certificate.pem().as_bytes())),
                verification_code: ca.code.filter(|_| with_code).map(|code| code.to_string()),
            },
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
        body::read(body, ARM_BODY)
    }
}

/// Writes the answer of a list, which has no pages.
pub fn list_json(certificates: &[CertificateDocument]) -> String {
    #[derive(Serialize)]
    struct Listed<'a> {
        value: &'a [CertificateDocument],
    }

    body::write(&Listed { value: certificates })
}

/// A CA certificate as it is uploaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Upload {
    /// The certificate.
    pub certificate: Certificate,
    /// Whether possession of its key is taken for granted.
    pub verified: bool,
}

impl Upload {
    /// Reads the body of a `PUT`.
    ///
    /// # Errors
    /// [`Error::Json`], [`Error::Type`], [`Error::Missing`]; [`Error::Field`] when it holds no certificate.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let document: UploadDocument = body::read(body, ARM_BODY)?;
        let (members, path) = match document.properties {
            Some(inner) if inner.certificate.is_some() => (inner, "properties.certificate"),
            _ => (
                UploadMembers {
                    certificate: document.certificate,
                    is_verified: document.is_verified,
                },
                "certificate",
            ),
        };
        let text = members
            .certificate
            .filter(|text| !text.is_empty())
            .ok_or_else(|| Error::Missing("properties.certificate".into()))?;
        Ok(Self {
            certificate: certificate(&text, path)?,
            verified: members.is_verified.unwrap_or(false),
        })
    }

    /// Writes the body of a `PUT`, for a client; the flat form where an older surface of provisioning reads it.
    pub fn request(file: &[u8], verified: bool, flat: bool) -> String {
        let members = UploadMembers {
            certificate: Some(BASE64.encode(file)),
            is_verified: verified.then_some(true),
        };
        if flat {
            body::write(&members)
        } else {
            body::write(&serde_json::json!({"properties": members}))
        }
    }
}

/// Reads the body of `verify`: the verification certificate.
///
/// # Errors
/// As for [`Upload::parse`].
pub fn parse_verification(body: &[u8]) -> Result<Certificate, Error> {
    Upload::parse(body).map(|upload| upload.certificate)
}

/// Writes the body of `verify`, for a client.
pub fn verification_request(file: &[u8]) -> String {
    Upload::request(file, false, true)
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct UploadDocument {
    properties: Option<UploadMembers>,
    certificate: Option<String>,
    is_verified: Option<bool>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct UploadMembers {
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_verified: Option<bool>,
}

#[cfg(test)]
mod tests {
    use muster_model::{CertificateName, CertificateOwner, ETag, HubKey, VerificationCode, Wall};
    use proptest::prelude::*;

    use super::*;

    const PEM: &str = include_str!("../tests/data/openssl-self-signed.pem");

    fn ca() -> CaCertificate {
        CaCertificate {
            owner: CertificateOwner::Hub(HubKey::new(1)),
            name: CertificateName::parse("rootca").unwrap(),
            certificate: Certificate::from_text(PEM.as_bytes()).unwrap(),
            verified: false,
            code: Some(VerificationCode::from_bytes([0xab; 24])),
            etag: ETag::new(0x0131_a4db),
            created: Wall::from_seconds(1_507_836_230),
            updated: Wall::from_seconds(1_507_836_230),
        }
    }

    #[test]
    fn the_resource_has_the_shape_of_the_contract() {
        let shown = CertificateDocument::of(&ca(), "/h", Owner::Hub, false);
        assert_eq!(
            shown.to_json(),
            format!(
                "{{\"id\":\"/h/certificates/rootca\",\"name\":\"rootca\",\"etag\":\"AAAAAAExpNs=\",\
                 \"type\":\"Microsoft.Devices/IotHubs/Certificates\",\"properties\":{{\
                 \"subject\":\"CN=device, OU=test, O=Contoso, C=US\",\"expiry\":\"Fri, 01 Nov 2126 07:34:46 GMT\",\
                 \"thumbprint\":\"D01BE9948E395D630DEB2EBA051970B3CC6EF204\",\"isVerified\":false,\
                 \"created\":\"Thu, 12 Oct 2017 19:23:50 GMT\",\"updated\":\"Thu, 12 Oct 2017 19:23:50 GMT\",\
                 \"certificate\":\"{}\"}}}}",
                BASE64.encode(ca().certificate.pem().as_bytes())
            )
        );
        assert_eq!(
            CertificateDocument::read(shown.to_json().as_bytes()).unwrap(),
            shown
        );
        let with_code = CertificateDocument::of(&ca(), "/h", Owner::Dps, true);
        assert_eq!(
            with_code.properties.verification_code.as_deref(),
            Some(&*"AB".repeat(24))
        );
    }

    #[test]
    fn uploads_are_read_flat_and_wrapped_in_every_text_form() {
        let der = Certificate::from_text(PEM.as_bytes()).unwrap();
        for file in [PEM.as_bytes(), der.der()] {
            for flat in [false, true] {
                let upload = Upload::parse(Upload::request(file, true, flat).as_bytes()).unwrap();
                assert!(upload.verified);
                assert_eq!(upload.certificate, der);
            }
        }
        let raw = serde_json::json!({"properties": {"certificate": PEM, "isVerified": null}}).to_string();
        let upload = Upload::parse(raw.as_bytes()).unwrap();
        assert!(!upload.verified);
        assert_eq!(
            parse_verification(verification_request(PEM.as_bytes()).as_bytes()).unwrap(),
            der
        );
    }

    #[test]
    fn what_holds_no_certificate_is_refused() {
        assert!(matches!(Upload::parse(b"{}"), Err(Error::Missing(_))));
        assert!(matches!(
            Upload::parse(b"{\"properties\":{\"certificate\":\"AAAA\"}}"),
            Err(Error::Field { .. })
        ));
        assert!(matches!(
            Upload::parse(b"{\"certificate\":5}"),
            Err(Error::Type(path)) if path == "certificate"
        ));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..120), text in "\\PC{0,80}") {
            let _ = Upload::parse(&body);
            let _ = Upload::parse(serde_json::json!({"certificate": text}).to_string().as_bytes());
        }
    }
}
