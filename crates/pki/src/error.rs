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

/// Why a private key was not made, read or used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The crypto library could not make a key.
    #[error("the key could not be generated")]
    Generation,
    /// More bytes than a key file may have.
    #[error("the key file has {size} bytes, at most {limit} are read")]
    TooLarge {
        /// Bytes given.
        size: usize,
        /// Bytes taken at most.
        limit: usize,
    },
    /// The file holds no private key.
    #[error("no private key found in the input")]
    NoKey,
    /// There is a key, but not in a form or of a kind that is read.
    #[error("the private key cannot be read: RSA from 2048 bits, P-256, P-384, P-521 and Ed25519 are")]
    Unreadable,
    /// The key is encrypted and no pass phrase was given.
    #[error("the private key is encrypted and needs a pass phrase")]
    PassPhraseMissing,
    /// The pass phrase does not open the key.
    #[error("the pass phrase does not open the private key")]
    PassPhraseWrong,
    /// The file asks for more work to open the key than a file may.
    #[error("opening the private key would take too long: the file asks for too many iterations")]
    TooCostly,
    /// The key is encrypted in a way that is not read.
    #[error("the private key's encryption ({algorithm}) is not read; convert it: {convert}")]
    UnsupportedEncryption {
        /// The algorithm, as far as the file tells.
        algorithm: Box<str>,
        /// A command that converts it.
        convert: &'static str,
    },
    /// The key could not be encrypted.
    #[error("the private key could not be encrypted")]
    Encryption,
    /// The crypto library could not sign.
    #[error("the signature could not be made")]
    Signing,
}

/// Why a certificate or a request was not issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// The common name is empty or longer than X.520 allows.
    #[error("a common name has 1 to 64 characters, not {0}")]
    CommonName(usize),
    /// The end of validity lies before its beginning, or a date is outside the years 1950 to 9999.
    #[error("the validity from {not_before} to {not_after} cannot be written")]
    Validity {
        /// First second asked for.
        not_before: crate::Time,
        /// Last second asked for.
        not_after: crate::Time,
    },
    /// A serial number is longer than 20 bytes or not positive.
    #[error("a serial number is positive and has at most 20 bytes")]
    Serial,
    /// A name for a server certificate is not a DNS name in ASCII.
    #[error("{0:?} is not a DNS name")]
    DnsName(String),
    /// The key is not the one of the issuing certificate.
    #[error("the private key does not belong to the issuing certificate")]
    KeyDiffers,
    /// The key could not sign.
    #[error("the certificate could not be signed")]
    Key(#[from] KeyError),
    /// The certificate request is damaged or not signed by its own key.
    #[error("not a valid certificate request: {0}")]
    Request(&'static str),
    /// What was issued cannot be read back; a fault of this crate.
    #[error("the issued certificate cannot be read back")]
    ReadBack(#[from] ParseError),
}

/// Why a PFX container was not written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PfxError {
    /// More bytes than a container may have.
    #[error("the container has {size} bytes, at most {limit} are read")]
    TooLarge {
        /// Bytes given.
        size: usize,
        /// Bytes taken at most.
        limit: usize,
    },
    /// The container cannot be opened: wrong pass phrase, or damage.
    #[error("the container cannot be opened: wrong pass phrase, or damaged ({0})")]
    Unopened(String),
    /// The container has no private key.
    #[error("the container holds no private key")]
    NoKey,
    /// No certificate of the container belongs to its key.
    #[error("no certificate in the container belongs to its private key")]
    NoLeaf,
    /// The key inside is not one that is read.
    #[error("the private key in the container cannot be used")]
    Key(#[from] KeyError),
    /// A certificate inside is damaged.
    #[error("a certificate in the container cannot be used")]
    Certificate(#[from] ParseError),
    /// The container could not be written.
    #[error("the container could not be written: {0}")]
    Unwritten(String),
}
