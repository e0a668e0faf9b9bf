//! Checks that a client holds the key of the certificate that it sends, and nothing else.
//!
//! Any chain within the caps passes: expired, self-signed, X.509 version 1, with critical extensions that
//! nobody knows. Only the handshake's signature is checked, against the key in the leaf. The TLS library's
//! own reader refuses some of those leaves, so a second, lenient reading finds the key where the first
//! does not; the signature check itself is the same and as strict.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerMisbehaved,
    SignatureScheme,
};
use x509_parser::certificate::X509CertificateParser;
use x509_parser::nom::Parser;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::failures::HandshakeCode;
use crate::limits::Limits;

/// The content of the algorithm identifier of RSA keys, with the NULL that belongs there.
/// Source: RFC 8017 appendix A.1, read 2026-11-25.
const RSA_WITH_NULL: &[u8] = &[
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/// Remembers of one handshake what the TLS library forgets when it fails.
#[derive(Debug, Default)]
pub(crate) struct Witness(Mutex<Seen>);

#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) server_name: Option<String>,
    pub(crate) chain: Option<Arc<[Bytes]>>,
    pub(crate) refusal: Option<HandshakeCode>,
}

impl Witness {
    pub(crate) fn seen(&self) -> Seen {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn note(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn refuse(&self, code: HandshakeCode) {
        self.note(|seen| seen.refusal = Some(code));
    }
}

/// Verifies possession for one connection.
#[derive(Debug)]
pub(super) struct PossessionVerifier {
    algorithms: WebPkiSupportedAlgorithms,
    witness: Arc<Witness>,
    max_certificates: usize,
    max_bytes: usize,
}

impl PossessionVerifier {
    pub(super) fn new(algorithms: WebPkiSupportedAlgorithms, witness: Arc<Witness>, limits: &Limits) -> Self {
        Self {
            algorithms,
            witness,
            max_certificates: limits.max_chain_certificates,
            max_bytes: limits.max_chain_bytes,
        }
    }

    /// Decides after the ordinary reading said `ordinary`.
    fn or_leniently(
        &self,
        ordinary: Result<HandshakeSignatureValid, Error>,
        leniently: impl FnOnce() -> Result<HandshakeSignatureValid, Error>,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verdict = match ordinary {
            Err(Error::InvalidCertificate(error)) if error != CertificateError::BadSignature => leniently(),
            verdict => verdict,
        };
        if let Err(Error::InvalidCertificate(error)) = &verdict {
            self.witness.refuse(if *error == CertificateError::BadSignature {
                HandshakeCode::PossessionNotProven
            } else {
                HandshakeCode::LeafKeyUnusable
            });
        }
        verdict
    }

    /// The algorithms that a scheme may mean, as the provider maps them.
    fn meant_by(
        &self,
        scheme: SignatureScheme,
    ) -> Result<&'static [&'static dyn SignatureVerificationAlgorithm], Error> {
        let mapped = self
            .algorithms
            .mapping
            .iter()
            .find(|(mapped, _)| *mapped == scheme);
        let (_, algorithms) = mapped.ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        Ok(algorithms)
    }
}

impl ClientCertVerifier for PossessionVerifier {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let chain = || std::iter::once(end_entity).chain(intermediates);
        if intermediates.len() >= self.max_certificates {
            self.witness.refuse(HandshakeCode::ChainTooLong);
            return Err(Error::InvalidCertificate(CertificateError::Other(OtherError(
                Arc::new(OverCap),
            ))));
        }
        if chain().map(|der| der.len()).sum::<usize>() > self.max_bytes {
            self.witness.refuse(HandshakeCode::ChainTooLarge);
            return Err(Error::InvalidCertificate(CertificateError::Other(OtherError(
                Arc::new(OverCap),
            ))));
        }
        let chain = chain().map(|der| Bytes::copy_from_slice(der)).collect();
        self.witness.note(|seen| seen.chain = Some(chain));
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.or_leniently(
            verify_tls12_signature(message, cert, dss, &self.algorithms),
            || {
                verify_leniently(
                    message,
                    cert,
                    dss,
                    self.meant_by(dss.scheme)?,
                    self.algorithms.all,
                )
            },
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.or_leniently(
            verify_tls13_signature(message, cert, dss, &self.algorithms),
            || {
                if !is_of_tls13(dss.scheme) {
                    return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
                }
                // In TLS 1.3 a scheme names the curve too: the first algorithm is the one it means.
                verify_leniently(
                    message,
                    cert,
                    dss,
                    self.meant_by(dss.scheme)?.get(..1).unwrap_or_default(),
                    self.algorithms.all,
                )
            },
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Says that a chain is over a cap; which, stands in the witness.
#[derive(Debug, thiserror::Error)]
#[error("the presented chain is over a limit of this server")]
struct OverCap;

/// The schemes that may sign a TLS 1.3 handshake. Source: RFC 8446 §4.2.3, read 2026-11-25.
fn is_of_tls13(scheme: SignatureScheme) -> bool {
    matches!(
        scheme,
        SignatureScheme::ECDSA_NISTP256_SHA256
            | SignatureScheme::ECDSA_NISTP384_SHA384
            | SignatureScheme::ECDSA_NISTP521_SHA512
            | SignatureScheme::ED25519
            | SignatureScheme::RSA_PSS_SHA256
            | SignatureScheme::RSA_PSS_SHA384
            | SignatureScheme::RSA_PSS_SHA512
    )
}

/// Checks the signature against the key in `cert`, of which nothing but the key is looked at. The scheme
/// means one of `algorithms`; `known` are those of all schemes.
fn verify_leniently(
    message: &[u8],
    cert: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
    algorithms: &[&dyn SignatureVerificationAlgorithm],
    known: &[&dyn SignatureVerificationAlgorithm],
) -> Result<HandshakeSignatureValid, Error> {
    let refuse = |error| Err(Error::InvalidCertificate(error));
    let mut reader = X509CertificateParser::new().with_deep_parse_extensions(false);
    let Ok((_, certificate)) = reader.parse(cert) else {
        return refuse(CertificateError::BadEncoding);
    };
    let key = &certificate.tbs_certificate.subject_pki;
    let Some(identifier) = key_algorithm(key) else {
        return refuse(CertificateError::BadEncoding);
    };
    let fits = |algorithm: &&&dyn SignatureVerificationAlgorithm| {
        algorithm.public_key_alg_id().as_ref() == identifier
    };
    let Some(algorithm) = algorithms.iter().find(fits) else {
        return refuse(if known.iter().any(|algorithm| fits(&algorithm)) {
            // The key is of another kind than the signature: it was not this key that made it.
            CertificateError::BadSignature
        } else {
            CertificateError::Other(OtherError(Arc::new(KeyKind)))
        });
    };
    match algorithm.verify_signature(&key.subject_public_key.data, message, dss.signature()) {
        Ok(()) => Ok(HandshakeSignatureValid::assertion()),
        Err(_) => refuse(CertificateError::BadSignature),
    }
}

/// Says that nothing can be checked with the leaf's key.
#[derive(Debug, thiserror::Error)]
#[error("the key of the presented certificate is of an unsupported kind")]
struct KeyKind;

/// The content of the key's algorithm identifier, as the provider's algorithms spell theirs.
fn key_algorithm<'a>(key: &SubjectPublicKeyInfo<'a>) -> Option<&'a [u8]> {
    let identifier = sequence(sequence(key.raw)?)?;
    // Some issuers leave out the NULL of RSA keys.
    let without_null = RSA_WITH_NULL.strip_suffix(&[0x05, 0x00])?;
    Some(if identifier == without_null {
        RSA_WITH_NULL
    } else {
        identifier
    })
}

/// The content of the DER sequence that `bytes` begins with.
fn sequence(bytes: &[u8]) -> Option<&[u8]> {
    let (&[tag, first], mut rest) = bytes.split_first_chunk()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let (digits, behind) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.len() > 4 {
            return None;
        }
        length = digits
            .iter()
            .fold(0, |length, digit| (length << 8) | usize::from(*digit));
        rest = behind;
    }
    if tag == 0x30 { rest.get(..length) } else { None }
}
