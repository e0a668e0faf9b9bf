//! Which signature and key algorithms exist in certificates, and which of them this server trusts.
//!
//! Reading is lenient: an unknown algorithm is named, not refused, for a device known by thumbprint needs no
//! signature check. Checking is strict: RSA from 2,048 bits (PKCS#1 v1.5 and PSS), P-256, P-384, P-521 and
//! Ed25519 with SHA-256 or better. Source of the accepted set: IoT Hub, "TLS support", and RFC 5280 profiles
//! of the vendor's tools, read 2026-11-25. SHA-1 and MD5 never count.

use std::fmt;

use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1,
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1,
    ECDSA_P521_SHA512_ASN1, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaParameters, RsaPssSaltLength, VerificationAlgorithm,
};
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use crate::der;
use crate::name::oid_text;

/// Smallest RSA modulus whose signatures count, in bits.
pub const MIN_RSA_BITS: u32 = 2_048;
/// Largest RSA modulus whose signatures are computed, in bits: the cost grows with the square.
pub const MAX_RSA_BITS: u32 = 8_192;

/// A hash function inside a signature algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Digest {
    /// MD5, broken.
    Md5,
    /// SHA-1, broken.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// How a certificate was signed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// ECDSA with this digest, over whichever curve the issuer's key has.
    Ecdsa(Digest),
    /// Ed25519.
    Ed25519,
    /// RSA PKCS#1 v1.5 with this digest.
    RsaPkcs1(Digest),
    /// RSA-PSS with this digest for message and mask, and this salt length in bytes.
    RsaPss(Digest, u32),
    /// Anything else, by its object identifier in dots.
    Other(Box<str>),
}

/// What kind of public key a certificate holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyAlgorithm {
    /// The NIST curve P-256.
    EcP256,
    /// The NIST curve P-384.
    EcP384,
    /// The NIST curve P-521.
    EcP521,
    /// Ed25519.
    Ed25519,
    /// RSA for any padding.
    Rsa,
    /// RSA that may only sign with PSS.
    RsaPss,
    /// Anything else, by its object identifier in dots.
    Other(Box<str>),
}

/// Why a signature algorithm and a key do not go together here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// Known to be broken: MD5 or SHA-1.
    WeakDigest,
    /// RSA below [`MIN_RSA_BITS`].
    WeakKey,
    /// Not an algorithm that this server checks.
    Unsupported,
    /// An algorithm of another key kind than the issuer has: the signature cannot be this issuer's.
    Mismatch,
}

const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const RSASSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const MGF1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08];

// The library's constants have the digest's length as salt length. OpenSSL 3.0 signs with the longest salt
// that fits unless told otherwise, so both forms are checked. Source: openssl-pkeyutl(1), "rsa_pss_saltlen",
// read 2026-11-25.
static PSS_SHA256_LONGEST: RsaParameters =
    RSA_PSS_2048_8192_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);
static PSS_SHA384_LONGEST: RsaParameters =
    RSA_PSS_2048_8192_SHA384.with_pss_salt_length(RsaPssSaltLength::Max);
static PSS_SHA512_LONGEST: RsaParameters =
    RSA_PSS_2048_8192_SHA512.with_pss_salt_length(RsaPssSaltLength::Max);

impl Digest {
    /// Says whether collisions are known, so that a signature over this digest proves nothing.
    pub const fn is_weak(self) -> bool {
        matches!(self, Self::Md5 | Self::Sha1)
    }

    const fn length(self) -> u32 {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        }
    }

    fn from_oid(oid: &[u8]) -> Option<Self> {
        match oid {
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x05] => Some(Self::Md5),
            [0x2b, 0x0e, 0x03, 0x02, 0x1a] => Some(Self::Sha1),
            [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01] => Some(Self::Sha256),
            [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02] => Some(Self::Sha384),
            [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03] => Some(Self::Sha512),
            _ => None,
        }
    }
}

impl SignatureAlgorithm {
    /// Reads an `AlgorithmIdentifier` of a signature; never fails, for what is unknown is `Other`.
    pub(crate) fn read(algorithm: &AlgorithmIdentifier<'_>) -> Self {
        let oid = algorithm.algorithm.as_bytes();
        let known = match oid {
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last] => match last {
                0x04 => Some(Self::RsaPkcs1(Digest::Md5)),
                0x05 => Some(Self::RsaPkcs1(Digest::Sha1)),
                0x0b => Some(Self::RsaPkcs1(Digest::Sha256)),
                0x0c => Some(Self::RsaPkcs1(Digest::Sha384)),
                0x0d => Some(Self::RsaPkcs1(Digest::Sha512)),
                0x0a => read_pss(algorithm),
                _ => None,
            },
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01] => Some(Self::Ecdsa(Digest::Sha1)),
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, last] => match last {
                0x02 => Some(Self::Ecdsa(Digest::Sha256)),
                0x03 => Some(Self::Ecdsa(Digest::Sha384)),
                0x04 => Some(Self::Ecdsa(Digest::Sha512)),
                _ => None,
            },
            ED25519 => Some(Self::Ed25519),
            _ => None,
        };
        known.unwrap_or_else(|| Self::Other(oid_text(oid).into()))
    }

    /// Answers the hash that is signed, where the algorithm names one.
    pub const fn digest(&self) -> Option<Digest> {
        match self {
            Self::Ecdsa(digest) | Self::RsaPkcs1(digest) | Self::RsaPss(digest, _) => Some(*digest),
            Self::Ed25519 | Self::Other(_) => None,
        }
    }

    /// Finds how to check a signature of this algorithm by a key of that kind.
    pub(crate) fn check_with(
        &self,
        key: &KeyAlgorithm,
        key_bits: u32,
    ) -> Result<&'static dyn VerificationAlgorithm, Unfit> {
        if self.digest().is_some_and(Digest::is_weak) {
            return Err(Unfit::WeakDigest);
        }
        match (self, key) {
            (Self::Other(_), _) | (_, KeyAlgorithm::Other(_)) => Err(Unfit::Unsupported),
            (Self::Ed25519, KeyAlgorithm::Ed25519) => Ok(&signature::ED25519),
            (Self::Ecdsa(digest), KeyAlgorithm::EcP256) => match digest {
                Digest::Sha256 => Ok(&ECDSA_P256_SHA256_ASN1),
                Digest::Sha384 => Ok(&ECDSA_P256_SHA384_ASN1),
                _ => Ok(&ECDSA_P256_SHA512_ASN1),
            },
            (Self::Ecdsa(digest), KeyAlgorithm::EcP384) => match digest {
                Digest::Sha256 => Ok(&ECDSA_P384_SHA256_ASN1),
                Digest::Sha384 => Ok(&ECDSA_P384_SHA384_ASN1),
                _ => Ok(&ECDSA_P384_SHA512_ASN1),
            },
            (Self::Ecdsa(digest), KeyAlgorithm::EcP521) => match digest {
                Digest::Sha256 => Ok(&ECDSA_P521_SHA256_ASN1),
                Digest::Sha384 => Ok(&ECDSA_P521_SHA384_ASN1),
                _ => Ok(&ECDSA_P521_SHA512_ASN1),
            },
            (Self::RsaPkcs1(_) | Self::RsaPss(..), KeyAlgorithm::Rsa | KeyAlgorithm::RsaPss)
                if key_bits < MIN_RSA_BITS =>
            {
                Err(Unfit::WeakKey)
            }
            (Self::RsaPkcs1(_) | Self::RsaPss(..), KeyAlgorithm::Rsa | KeyAlgorithm::RsaPss)
                if key_bits > MAX_RSA_BITS =>
            {
                Err(Unfit::Unsupported)
            }
            (Self::RsaPkcs1(digest), KeyAlgorithm::Rsa) => match digest {
                Digest::Sha256 => Ok(&RSA_PKCS1_2048_8192_SHA256),
                Digest::Sha384 => Ok(&RSA_PKCS1_2048_8192_SHA384),
                _ => Ok(&RSA_PKCS1_2048_8192_SHA512),
            },
            (Self::RsaPss(digest, salt), KeyAlgorithm::Rsa | KeyAlgorithm::RsaPss) => {
                check_pss_with(*digest, *salt, key_bits)
            }
            _ => Err(Unfit::Mismatch),
        }
    }
}

fn check_pss_with(
    digest: Digest,
    salt: u32,
    key_bits: u32,
) -> Result<&'static dyn VerificationAlgorithm, Unfit> {
    // RFC 8017 §9.1.1: the encoded message has ceil((bits - 1) / 8) bytes, two of which are neither salt nor
    // digest.
    let longest = (key_bits + 6) / 8 - digest.length() - 2;
    if salt == digest.length() {
        match digest {
            Digest::Sha256 => Ok(&RSA_PSS_2048_8192_SHA256),
            Digest::Sha384 => Ok(&RSA_PSS_2048_8192_SHA384),
            _ => Ok(&RSA_PSS_2048_8192_SHA512),
        }
    } else if salt == longest {
        match digest {
            Digest::Sha256 => Ok(&PSS_SHA256_LONGEST),
            Digest::Sha384 => Ok(&PSS_SHA384_LONGEST),
            _ => Ok(&PSS_SHA512_LONGEST),
        }
    } else {
        Err(Unfit::Unsupported)
    }
}

/// Reads PSS parameters; `None` for combinations that nobody uses (another mask hash, another trailer).
fn read_pss(algorithm: &AlgorithmIdentifier<'_>) -> Option<SignatureAlgorithm> {
    let parameters = RsaSsaPssParams::try_from(algorithm.parameters.as_ref()?).ok()?;
    let digest = Digest::from_oid(parameters.hash_algorithm_oid().as_bytes())?;
    let mask = parameters.mask_gen_algorithm().ok()?;
    let same = mask.mgf.as_bytes() == MGF1 && Digest::from_oid(mask.hash.as_bytes()) == Some(digest);
    (same && parameters.trailer_field() == 1)
        .then(|| SignatureAlgorithm::RsaPss(digest, parameters.salt_length()))
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ecdsa(digest) => write!(f, "ECDSA with {}", digest.name()),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::RsaPkcs1(digest) => write!(f, "RSA with {}", digest.name()),
            Self::RsaPss(digest, _) => write!(f, "RSA-PSS with {}", digest.name()),
            Self::Other(oid) => write!(f, "algorithm {oid}"),
        }
    }
}

impl KeyAlgorithm {
    /// Reads the kind of a public key and its size in bits (0 where that is not known).
    pub(crate) fn read(spki: &SubjectPublicKeyInfo<'_>) -> (Self, u32) {
        let oid = spki.algorithm.algorithm.as_bytes();
        let other = |oid: &[u8]| (Self::Other(oid_text(oid).into()), 0);
        match oid {
            RSA_ENCRYPTION => (Self::Rsa, rsa_bits(&spki.subject_public_key.data)),
            RSASSA_PSS => (Self::RsaPss, rsa_bits(&spki.subject_public_key.data)),
            ED25519 => (Self::Ed25519, 256),
            EC_PUBLIC_KEY => {
                let curve = spki
                    .algorithm
                    .parameters
                    .as_ref()
                    .map_or(&[][..], |curve| curve.data);
                match curve {
                    [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07] => (Self::EcP256, 256),
                    [0x2b, 0x81, 0x04, 0x00, 0x22] => (Self::EcP384, 384),
                    [0x2b, 0x81, 0x04, 0x00, 0x23] => (Self::EcP521, 521),
                    _ => other(oid),
                }
            }
            _ => other(oid),
        }
    }
}

/// Counts the bits of the modulus of an `RSAPublicKey`, or answers 0 when it is not one.
fn rsa_bits(key: &[u8]) -> u32 {
    let modulus = der::expect(key, der::SEQUENCE)
        .and_then(|(sequence, _)| der::expect(sequence.content, 0x02))
        .map_or(&[][..], |(modulus, _)| modulus.content);
    let significant = modulus
        .iter()
        .position(|&byte| byte != 0)
        .map_or(&[][..], |at| modulus.split_at(at).1);
    match significant.first() {
        Some(first) => u32::try_from(significant.len()).map_or(0, |bytes| bytes * 8 - first.leading_zeros()),
        None => 0,
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EcP256 => f.write_str("EC P-256"),
            Self::EcP384 => f.write_str("EC P-384"),
            Self::EcP521 => f.write_str("EC P-521"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Rsa => f.write_str("RSA"),
            Self::RsaPss => f.write_str("RSA-PSS"),
            Self::Other(oid) => write!(f, "key algorithm {oid}"),
        }
    }
}
