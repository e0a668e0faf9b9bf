//! A certificate as this server holds it: its bytes, and the facts that decisions need.
//!
//! Reading takes all that the service takes, which is more than validation libraries do: version 1, missing
//! extensions, serial numbers of any length and sign, critical extensions that nobody knows, CA:FALSE with a
//! path length. A fact that cannot be read (a damaged extension) is kept as damaged and hurts only whoever
//! needs it: a certificate that issues. Nothing in here decides trust. A `Certificate` is always whole DER
//! without trailing bytes.

mod parse;
pub(crate) mod text;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::signature::ParsedPublicKey;
use data_encoding::HEXUPPER;

use crate::algorithm::{KeyAlgorithm, SignatureAlgorithm, Unfit};
use crate::error::ParseError;
use crate::name::Name;
use crate::thumbprint::{Sha256, Thumbprint};
use crate::time::Time;

pub use text::MAX_FILE_CERTIFICATES;

/// Largest certificate that is read, in bytes of DER. An RSA-8192 certificate with a page of names has a
/// sixth of it.
pub const MAX_CERTIFICATE_BYTES: usize = 32 * 1024;

/// An X.509 certificate. Cloning shares it; equality is that of the DER bytes.
#[derive(Clone)]
pub struct Certificate {
    inner: Arc<Inner>,
}

struct Inner {
    der: Box<[u8]>,
    facts: Facts,
    sha1: OnceLock<Thumbprint>,
    sha256: OnceLock<Sha256>,
    /// The public key ready for use, with the signature algorithm that it was prepared for.
    prepared: OnceLock<(SignatureAlgorithm, Option<ParsedPublicKey>)>,
}

/// What the reader takes out of the DER; ranges point into it.
struct Facts {
    tbs: Range<usize>,
    signature: Option<Range<usize>>,
    spki: Range<usize>,
    key: Range<usize>,
    serial: Range<usize>,
    version: u8,
    issuer: Name,
    subject: Name,
    not_before: Time,
    not_after: Time,
    signature_algorithm: SignatureAlgorithm,
    /// Whether the signed and the unsigned statement of the signature algorithm are the same bytes.
    algorithms_agree: bool,
    key_algorithm: KeyAlgorithm,
    key_bits: u32,
    basic_constraints: Fact<BasicConstraints>,
    key_usage: Fact<KeyUsage>,
    subject_key_id: Option<Range<usize>>,
    authority_key_id: Option<Range<usize>>,
    /// First critical extension that this server does not know, in dots.
    unknown_critical: Option<Box<str>>,
}

/// A fact that a certificate may state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact<T> {
    /// Not stated.
    Absent,
    /// Stated, but unreadable or stated twice.
    Damaged,
    /// Stated.
    Stated(T),
}

impl<T: Copy> Fact<T> {
    fn stated(self) -> Option<T> {
        match self {
            Self::Absent | Self::Damaged => None,
            Self::Stated(value) => Some(value),
        }
    }
}

/// The basicConstraints extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BasicConstraints {
    /// Whether the certificate says that it is a CA.
    pub ca: bool,
    /// How many non-self-issued intermediates may stand between it and the leaf. Also kept where `ca` is
    /// false.
    pub path_len: Option<u32>,
}

/// The keyUsage extension, as far as anybody here asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUsage {
    /// Whether keyCertSign is set.
    pub cert_sign: bool,
}

/// Why a signature over a certificate does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignatureFailure {
    /// The algorithm is not one to trust, or not this key's.
    Unfit(Unfit),
    /// The two statements of the algorithm inside the certificate differ.
    AlgorithmsDiffer,
    /// Everything fits but the signature.
    Wrong,
}

impl Certificate {
    /// Reads one certificate from exactly these DER bytes.
    ///
    /// # Errors
    /// [`ParseError`] when they are too many, not a certificate, or followed by others.
    pub fn from_der(der: &[u8]) -> Result<Self, ParseError> {
        if der.len() > MAX_CERTIFICATE_BYTES {
            return Err(ParseError::TooLarge {
                size: der.len(),
                limit: MAX_CERTIFICATE_BYTES,
            });
        }
        let facts = parse::facts(der)?;
        Ok(Self {
            inner: Arc::new(Inner {
                der: der.into(),
                facts,
                sha1: OnceLock::new(),
                sha256: OnceLock::new(),
                prepared: OnceLock::new(),
            }),
        })
    }

    /// Reads the first certificate of a file in whatever form operators have it: PEM (with text before the
    /// armour, with any line ends), base64 of DER, base64 of a PEM file, or raw DER.
    ///
    /// # Errors
    /// [`ParseError`] when no certificate is found or the first one is damaged.
    pub fn from_text(input: &[u8]) -> Result<Self, ParseError> {
        text::first(input)
    }

    /// Reads all certificates of a file in the file's order, in the same forms as [`Certificate::from_text`];
    /// other PEM blocks, such as keys, are skipped.
    ///
    /// # Errors
    /// [`ParseError`] when there is none, one is damaged, or there are more than [`MAX_FILE_CERTIFICATES`].
    pub fn all_from_text(input: &[u8]) -> Result<Vec<Self>, ParseError> {
        text::all(input)
    }

    /// Answers the DER bytes.
    pub fn der(&self) -> &[u8] {
        &self.inner.der
    }

    /// Writes the certificate as PEM, 64 columns and LF.
    pub fn pem(&self) -> String {
        text::pem("CERTIFICATE", self.der())
    }

    /// Answers the SHA-1 thumbprint; computed once.
    pub fn sha1(&self) -> Thumbprint {
        *self.inner.sha1.get_or_init(|| Thumbprint::sha1(self.der()))
    }

    /// Answers the SHA-256 of the DER; computed once.
    pub fn sha256(&self) -> Sha256 {
        *self.inner.sha256.get_or_init(|| Sha256::of(self.der()))
    }

    /// Answers the subject.
    pub fn subject(&self) -> &Name {
        &self.inner.facts.subject
    }

    /// Answers the issuer's name.
    pub fn issuer(&self) -> &Name {
        &self.inner.facts.issuer
    }

    /// Answers the most specific common name of the subject; `None` when absent or not text.
    pub fn common_name(&self) -> Option<&str> {
        self.subject().common_name()
    }

    /// Answers the first second of validity.
    pub fn not_before(&self) -> Time {
        self.inner.facts.not_before
    }

    /// Answers the last second of validity.
    pub fn not_after(&self) -> Time {
        self.inner.facts.not_after
    }

    /// Answers the serial number in upper-case hex, an even number of digits, as its bytes stand in the
    /// certificate without the leading zero that only keeps it positive.
    pub fn serial_hex(&self) -> String {
        let bytes = self.serial_der();
        let shown = match bytes {
            [0, rest @ ..] if !rest.is_empty() => rest,
            _ => bytes,
        };
        HEXUPPER.encode(shown)
    }

    /// Answers the bytes of the serial number as they stand in the certificate.
    pub(crate) fn serial_der(&self) -> &[u8] {
        self.slice(&self.inner.facts.serial)
    }

    /// Answers the X.509 version, 1 to 3.
    pub fn version(&self) -> u8 {
        self.inner.facts.version
    }

    /// Answers the basicConstraints extension, when it is there and readable.
    pub fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.inner.facts.basic_constraints.stated()
    }

    /// Answers the keyUsage extension, when it is there and readable.
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.inner.facts.key_usage.stated()
    }

    /// Answers the subject key identifier. A hint for ordering only: tools are known to copy the issuer's.
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.inner
            .facts
            .subject_key_id
            .as_ref()
            .map(|range| self.slice(range))
    }

    /// Answers the key identifier of the authority key identifier extension. A hint for ordering only.
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        self.inner
            .facts
            .authority_key_id
            .as_ref()
            .map(|range| self.slice(range))
    }

    /// Answers how the certificate was signed.
    pub fn signature_algorithm(&self) -> &SignatureAlgorithm {
        &self.inner.facts.signature_algorithm
    }

    /// Answers the kind of its public key.
    pub fn public_key_algorithm(&self) -> &KeyAlgorithm {
        &self.inner.facts.key_algorithm
    }

    /// Answers the size of its public key in bits; 0 for kinds this server does not know.
    pub fn public_key_bits(&self) -> u32 {
        self.inner.facts.key_bits
    }

    /// Answers the DER of the `SubjectPublicKeyInfo`.
    pub fn spki_der(&self) -> &[u8] {
        self.slice(&self.inner.facts.spki)
    }

    /// Answers the bits of the public key itself, without algorithm: a point, a raw key, or an
    /// `RSAPublicKey`.
    pub fn public_key_bytes(&self) -> &[u8] {
        self.slice(&self.inner.facts.key)
    }

    /// Says whether subject and issuer are the same bytes. Says nothing about the signature.
    pub fn is_self_issued(&self) -> bool {
        self.subject() == self.issuer()
    }

    /// Says whether `now` lies inside the validity period, both ends included.
    pub fn is_valid_at(&self, now: Time) -> bool {
        self.not_before() <= now && now <= self.not_after()
    }

    pub(crate) fn basic_constraints_fact(&self) -> Fact<BasicConstraints> {
        self.inner.facts.basic_constraints
    }

    pub(crate) fn key_usage_fact(&self) -> Fact<KeyUsage> {
        self.inner.facts.key_usage
    }

    pub(crate) fn unknown_critical(&self) -> Option<&str> {
        self.inner.facts.unknown_critical.as_deref()
    }

    /// Finds out, without computing anything, whether a signature by `issuer`'s key could count at all.
    pub(crate) fn could_be_signed_by(&self, issuer: &Self) -> Result<(), SignatureFailure> {
        if !self.inner.facts.algorithms_agree {
            return Err(SignatureFailure::AlgorithmsDiffer);
        }
        self.signature_algorithm()
            .check_with(issuer.public_key_algorithm(), issuer.public_key_bits())
            .map(|_| ())
            .map_err(SignatureFailure::Unfit)
    }

    /// Checks this certificate's signature with `issuer`'s public key; that and nothing else.
    pub(crate) fn check_signed_by(&self, issuer: &Self) -> Result<(), SignatureFailure> {
        self.could_be_signed_by(issuer)?;
        let facts = &self.inner.facts;
        let signature = facts
            .signature
            .as_ref()
            .map(|range| self.slice(range))
            .ok_or(SignatureFailure::Wrong)?;
        let message = self.slice(&facts.tbs);
        let algorithm = &facts.signature_algorithm;
        let (prepared_for, prepared) = issuer
            .inner
            .prepared
            .get_or_init(|| (algorithm.clone(), issuer.prepare(algorithm)));
        let outcome = if prepared_for == algorithm {
            prepared.as_ref().map(|key| key.verify_sig(message, signature))
        } else {
            issuer
                .prepare(algorithm)
                .map(|key| key.verify_sig(message, signature))
        };
        match outcome {
            Some(Ok(())) => Ok(()),
            // A key that cannot be prepared has signed nothing.
            Some(Err(_)) | None => Err(SignatureFailure::Wrong),
        }
    }

    fn prepare(&self, algorithm: &SignatureAlgorithm) -> Option<ParsedPublicKey> {
        let check = algorithm
            .check_with(self.public_key_algorithm(), self.public_key_bits())
            .ok()?;
        ParsedPublicKey::new(check, self.public_key_bytes()).ok()
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        // The reader made the ranges from slices of these very bytes; an empty slice stands for what cannot
        // happen.
        self.inner.der.get(range.clone()).unwrap_or_default()
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner) || self.inner.der == other.inner.der
    }
}

impl Eq for Certificate {}

impl Hash for Certificate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.sha256().hash(state);
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, {})", self.subject(), self.sha1())
    }
}
