//! Private keys: made, read in the forms that tools leave them in, used for signing, and written.
//!
//! Read are PKCS#8, PKCS#1 and SEC1 as PEM or DER, PKCS#8 under a pass phrase (PBES2), and the traditional
//! PEM encryption of OpenSSL 1.x. Written is PKCS#8, plain or under PBES2. A key's bytes are wiped when it is
//! dropped, and no form of it prints them. Key generation and signing take their randomness from the crypto
//! library; salts are an argument.

mod encrypted;

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rand::Rng;
use zeroize::Zeroizing;

use crate::certificate::Certificate;
use crate::certificate::text::{decode_base64, next_block, pem};
use crate::error::KeyError;

/// Largest key file that is read, in bytes; an RSA-16384 key has a tenth of it.
const MAX_KEY_BYTES: usize = 128 * 1024;

/// What kinds of key are made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NewKey {
    /// EC on P-256: small and fast, the default for servers.
    EcP256,
    /// EC on P-384.
    EcP384,
    /// RSA with 2,048 bits.
    Rsa2048,
    /// RSA with 3,072 bits.
    Rsa3072,
    /// RSA with 4,096 bits: what the tutorials make. Takes seconds.
    Rsa4096,
}

/// A private key, ready to sign.
pub struct PrivateKey {
    pkcs8: Zeroizing<Vec<u8>>,
    spki: Vec<u8>,
    pair: Pair,
}

enum Pair {
    Ecdsa(EcdsaKeyPair, Curve),
    Ed25519(Box<Ed25519KeyPair>),
    Rsa(Box<RsaKeyPair>),
}

#[derive(Clone, Copy)]
enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
            Self::P521 => &ECDSA_P521_SHA512_ASN1_SIGNING,
        }
    }
}

impl PrivateKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// [`KeyError::Generation`] when the crypto library cannot.
    pub fn generate(kind: NewKey) -> Result<Self, KeyError> {
        let failed = |_| KeyError::Generation;
        let rsa = |size| {
            RsaKeyPair::generate(size)
                .map(|pair| Pair::Rsa(Box::new(pair)))
                .map_err(failed)
        };
        let ecdsa = |curve: Curve| {
            EcdsaKeyPair::generate(curve.signing())
                .map(|pair| Pair::Ecdsa(pair, curve))
                .map_err(failed)
        };
        Self::from_pair(match kind {
            NewKey::EcP256 => ecdsa(Curve::P256)?,
            NewKey::EcP384 => ecdsa(Curve::P384)?,
            NewKey::Rsa2048 => rsa(KeySize::Rsa2048)?,
            NewKey::Rsa3072 => rsa(KeySize::Rsa3072)?,
            NewKey::Rsa4096 => rsa(KeySize::Rsa4096)?,
        })
    }

    /// Reads a key from PKCS#8 DER without a pass phrase.
    ///
    /// # Errors
    /// [`KeyError::Unreadable`] when it is none, or of a kind that does not sign certificates here.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        if let Ok(pair) = RsaKeyPair::from_pkcs8(der) {
            return Self::from_pair(Pair::Rsa(Box::new(pair)));
        }
        for curve in Curve::ALL {
            if let Ok(pair) = EcdsaKeyPair::from_pkcs8(curve.signing(), der) {
                return Self::from_pair(Pair::Ecdsa(pair, curve));
            }
        }
        match Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            Ok(pair) => Self::from_pair(Pair::Ed25519(Box::new(pair))),
            Err(_) => Err(KeyError::Unreadable),
        }
    }

    /// Reads the first private key of a file: PEM in any of the forms named at the head of this module
    /// (certificates and parameters before it are skipped), or DER.
    ///
    /// # Errors
    /// [`KeyError`] when there is no key, the pass phrase is missing or wrong, or the form is not one of
    /// those.
    pub fn from_text(input: &[u8], pass_phrase: Option<&str>) -> Result<Self, KeyError> {
        if input.len() > MAX_KEY_BYTES {
            return Err(KeyError::TooLarge {
                size: input.len(),
                limit: MAX_KEY_BYTES,
            });
        }
        let Ok(text) = std::str::from_utf8(input) else {
            return Self::from_der(input, pass_phrase);
        };
        let mut rest = text;
        while let Some((block, after)) = next_block(rest).map_err(|_| KeyError::Unreadable)? {
            if let Some(known) = Form::of_label(block.label) {
                return Self::from_block(known, block.body, pass_phrase);
            }
            rest = after;
        }
        Self::from_der(input, pass_phrase)
    }

    fn from_der(der: &[u8], pass_phrase: Option<&str>) -> Result<Self, KeyError> {
        if let Ok(key) = Self::from_pkcs8_der(der)
            .or_else(|_| Self::from_pkcs1(der))
            .or_else(|_| Self::from_sec1(der))
        {
            return Ok(key);
        }
        encrypted::looks_encrypted(der)
            .then_some(())
            .ok_or(KeyError::NoKey)?;
        Self::from_pkcs8_der(&encrypted::open(
            der,
            pass_phrase.ok_or(KeyError::PassPhraseMissing)?,
        )?)
    }

    fn from_block(form: Form, body: &str, pass_phrase: Option<&str>) -> Result<Self, KeyError> {
        let (headers, base64) = encrypted::split_headers(body);
        let der = Zeroizing::new(decode_base64(base64.as_bytes()).ok_or(KeyError::Unreadable)?);
        let der = match headers {
            None => der,
            Some(headers) => {
                encrypted::open_traditional(headers, &der, pass_phrase.ok_or(KeyError::PassPhraseMissing)?)?
            }
        };
        match form {
            Form::Pkcs8 => Self::from_pkcs8_der(&der),
            Form::EncryptedPkcs8 => {
                let plain = encrypted::open(&der, pass_phrase.ok_or(KeyError::PassPhraseMissing)?)?;
                Self::from_pkcs8_der(&plain)
            }
            Form::Pkcs1 => Self::from_pkcs1(&der),
            Form::Sec1 => Self::from_sec1(&der),
        }
    }

    fn from_pkcs1(der: &[u8]) -> Result<Self, KeyError> {
        RsaKeyPair::from_der(der)
            .map_err(|_| KeyError::Unreadable)
            .and_then(|pair| Self::from_pair(Pair::Rsa(Box::new(pair))))
    }

    fn from_sec1(der: &[u8]) -> Result<Self, KeyError> {
        for curve in Curve::ALL {
            if let Ok(pair) = EcdsaKeyPair::from_private_key_der(curve.signing(), der) {
                return Self::from_pair(Pair::Ecdsa(pair, curve));
            }
        }
        Err(KeyError::Unreadable)
    }

    fn from_pair(pair: Pair) -> Result<Self, KeyError> {
        let failed = |_| KeyError::Unreadable;
        let (pkcs8, spki) = match &pair {
            Pair::Ecdsa(pair, _) => (
                pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
                AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key())
                    .map_err(failed)?
                    .as_ref()
                    .to_vec(),
            ),
            Pair::Ed25519(pair) => (
                pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
                AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key())
                    .map_err(failed)?
                    .as_ref()
                    .to_vec(),
            ),
            Pair::Rsa(pair) => (
                AsDer::<Pkcs8V1Der<'_>>::as_der(pair.as_ref())
                    .map_err(failed)?
                    .as_ref()
                    .to_vec(),
                AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key())
                    .map_err(failed)?
                    .as_ref()
                    .to_vec(),
            ),
        };
        Ok(Self {
            pkcs8: Zeroizing::new(pkcs8),
            spki,
            pair,
        })
    }

    /// Answers the key as PKCS#8 DER. A secret: wipe what is made of it.
    pub fn pkcs8_der(&self) -> &[u8] {
        &self.pkcs8
    }

    /// Writes the key as PKCS#8 PEM without a pass phrase.
    pub fn pkcs8_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(pem("PRIVATE KEY", &self.pkcs8))
    }

    /// Writes the key as PKCS#8 PEM under a pass phrase, as OpenSSL 3 does: PBES2, PBKDF2 with HMAC-SHA-256,
    /// 2,048 iterations and a salt of 8 bytes, AES-256-CBC. The iterations are few by today's measure; the
    /// tutorials' tools use this number, and with the tutorials' pass phrase more would not help.
    ///
    /// # Errors
    /// [`KeyError::Encryption`] when the crypto library cannot.
    pub fn encrypted_pkcs8_pem(&self, pass_phrase: &str, rng: &mut dyn Rng) -> Result<String, KeyError> {
        Ok(pem(
            "ENCRYPTED PRIVATE KEY",
            &encrypted::seal(&self.pkcs8, pass_phrase, rng)?,
        ))
    }

    /// Answers the public key as `SubjectPublicKeyInfo` DER.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// Says whether the certificate holds this key's public half.
    pub fn belongs_to(&self, certificate: &Certificate) -> bool {
        // Compared by the key's own bytes: parameters are written in more than one way.
        crate::der::expect(&self.spki, crate::der::SEQUENCE)
            .and_then(|(spki, _)| crate::der::split(spki.content))
            .and_then(|(_, rest)| crate::der::expect(rest, crate::der::BIT_STRING))
            .and_then(|(bits, _)| bits.content.strip_prefix(&[0]))
            .is_some_and(|key| key == certificate.public_key_bytes())
    }

    /// Answers the DER of the `AlgorithmIdentifier` of this key's signatures.
    pub(crate) fn signature_algorithm_der(&self) -> &'static [u8] {
        match &self.pair {
            Pair::Ecdsa(_, Curve::P256) => &[
                0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02,
            ],
            Pair::Ecdsa(_, Curve::P384) => &[
                0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03,
            ],
            Pair::Ecdsa(_, Curve::P521) => &[
                0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04,
            ],
            Pair::Ed25519(_) => &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70],
            Pair::Rsa(_) => &[
                0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00,
            ],
        }
    }

    /// Signs a message with the key's usual algorithm: RSA PKCS#1 v1.5 with SHA-256, ECDSA with the curve's
    /// digest, Ed25519.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let failed = |_| KeyError::Signing;
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair, _) => Ok(pair.sign(&random, message).map_err(failed)?.as_ref().to_vec()),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(failed)?;
                Ok(signature)
            }
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.pair {
            Pair::Ecdsa(..) => "EC",
            Pair::Ed25519(_) => "Ed25519",
            Pair::Rsa(_) => "RSA",
        };
        write!(f, "PrivateKey({kind})")
    }
}

/// What a PEM label says about the DER inside.
#[derive(Clone, Copy)]
enum Form {
    EncryptedPkcs8,
    Pkcs1,
    Pkcs8,
    Sec1,
}

impl Form {
    fn of_label(label: &str) -> Option<Self> {
        match label {
            "PRIVATE KEY" => Some(Self::Pkcs8),
            "ENCRYPTED PRIVATE KEY" => Some(Self::EncryptedPkcs8),
            "RSA PRIVATE KEY" => Some(Self::Pkcs1),
            "EC PRIVATE KEY" => Some(Self::Sec1),
            _ => None,
        }
    }
}
