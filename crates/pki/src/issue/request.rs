//! Certificate requests (PKCS#10): made for the files that the scripts leave, and read to be signed.
//!
//! Attributes are neither written nor looked at. A request that is not signed by the key it carries is
//! refused.

use x509_parser::asn1_rs::FromDer;
use x509_parser::certification_request::X509CertificationRequest;

use crate::algorithm::{KeyAlgorithm, SignatureAlgorithm};
use crate::certificate::text::{decode_base64, next_block, pem};
use crate::der;
use crate::error::IssueError;
use crate::key::PrivateKey;
use crate::name::Name;

/// Largest request that is read, in bytes.
const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// A certificate request, signed by the key it carries.
#[derive(Clone, Debug)]
pub struct CertificateRequest {
    der: Vec<u8>,
    subject: Name,
    spki: Vec<u8>,
}

impl CertificateRequest {
    /// Makes a request for a key.
    ///
    /// # Errors
    /// [`IssueError::Key`] when the key cannot sign.
    pub fn new(subject: &Name, key: &PrivateKey) -> Result<Self, IssueError> {
        let info = der::write_sequence(&[
            vec![0x02, 0x01, 0x00],
            subject.der().to_vec(),
            key.spki_der().to_vec(),
            vec![0xa0, 0x00],
        ]);
        let signature = der::write_bits(&key.sign(&info)?);
        let der = der::write_sequence(&[info, key.signature_algorithm_der().to_vec(), signature]);
        Ok(Self {
            der,
            subject: subject.clone(),
            spki: key.spki_der().to_vec(),
        })
    }

    /// Reads a request from PEM or DER.
    ///
    /// # Errors
    /// [`IssueError::Request`] when it is none, or its signature is not its own key's.
    pub fn from_text(input: &[u8]) -> Result<Self, IssueError> {
        if input.len() > MAX_REQUEST_BYTES {
            return Err(IssueError::Request("too many bytes"));
        }
        if let Ok(text) = std::str::from_utf8(input) {
            let mut rest = text;
            while let Some((block, after)) =
                next_block(rest).map_err(|_| IssueError::Request("damaged PEM text"))?
            {
                if matches!(block.label, "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") {
                    let der = decode_base64(block.body.as_bytes())
                        .ok_or(IssueError::Request("text that is not base64"))?;
                    return Self::from_der(&der);
                }
                rest = after;
            }
        }
        Self::from_der(input)
    }

    fn from_der(der: &[u8]) -> Result<Self, IssueError> {
        let (rest, request) =
            X509CertificationRequest::from_der(der).map_err(|_| IssueError::Request("not PKCS#10"))?;
        if !rest.is_empty() {
            return Err(IssueError::Request("bytes follow after it"));
        }
        let info = &request.certification_request_info;
        let (key, bits) = KeyAlgorithm::read(&info.subject_pki);
        let check = SignatureAlgorithm::read(&request.signature_algorithm)
            .check_with(&key, bits)
            .map_err(|_| IssueError::Request("its key or signature algorithm does not count here"))?;
        check
            .verify_sig(
                &info.subject_pki.subject_public_key.data,
                info.raw,
                &request.signature_value.data,
            )
            .map_err(|_| IssueError::Request("it is not signed by its own key"))?;
        Ok(Self {
            der: der.to_vec(),
            subject: Name::from_raw(info.subject.as_raw()),
            spki: info.subject_pki.raw.to_vec(),
        })
    }

    /// Answers the subject that is asked for.
    pub fn subject(&self) -> &Name {
        &self.subject
    }

    /// Answers the public key as `SubjectPublicKeyInfo` DER.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// Writes the request as PEM, 64 columns and LF.
    pub fn pem(&self) -> String {
        pem("CERTIFICATE REQUEST", &self.der)
    }
}
