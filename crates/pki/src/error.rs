//! What can go wrong while reading and writing certificates, keys and containers.
//!
//! Trust decisions do not end here: their outcomes are `verify::Reason`s with facts. No text in this
//! file quotes secret input.

/// Why bytes were not taken as a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The input holds nothing at all.
    #[error("the input is empty")]
    Empty,
    /// More bytes than a certificate, or a file of them, may have.
    #[error("the input has {size} bytes, at most {limit} are read")]
    TooLarge {
        /// Bytes given.
        size: usize,
        /// Bytes taken at most.
        limit: usize,
    },
    /// More certificates in one file than are taken.
    #[error("the file holds more than {limit} certificates")]
    TooMany {
        /// Certificates taken at most.
        limit: usize,
    },
    /// Neither PEM nor base64 nor DER of a certificate.
    #[error("no X.509 certificate found in the input")]
    NoCertificate,
    /// PEM armour without its end, or with text between that is not base64.
    #[error("the PEM text is damaged: {0}")]
    Pem(&'static str),
    /// The DER structure of a certificate is broken.
    #[error("not a readable X.509 certificate: {0}")]
    Der(String),
    /// Bytes follow after the certificate.
    #[error("{0} bytes follow after the certificate")]
    TrailingData(usize),
    /// A version that X.509 does not have.
    #[error("X.509 version {0} does not exist")]
    Version(u64),
}

/// Why a presented chain was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// No certificate was presented.
    #[error("no certificate was presented")]
    Empty,
    /// More certificates than a chain may have.
    #[error("the chain holds more than {limit} certificates")]
    TooMany {
        /// Certificates taken at most.
        limit: usize,
    },
    /// More bytes than a chain may have.
    #[error("the chain holds more than {limit} bytes")]
    TooLarge {
        /// Bytes taken at most.
        limit: usize,
    },
    /// The first certificate, the one whose key was proved, cannot be read.
    #[error("the leaf certificate cannot be read")]
    Leaf(#[source] ParseError),
}

/// The text is not 40 or 64 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a thumbprint has 40 or 64 hex digits, without colons or blanks")]
pub struct ThumbprintError;
