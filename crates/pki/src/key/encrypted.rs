//! Keys under a pass phrase: PKCS#8 with PBES2, and what OpenSSL 1.x wrote into PEM headers.
//!
//! Of the traditional form only AES is read. Its key derivation (one round of MD5) is weak, and it is never
//! written.

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use data_encoding::HEXUPPER_PERMISSIVE;
use md5::{Digest as _, Md5};
use pkcs8::pkcs5::{EncryptionScheme, pbes2};
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use rand::Rng;
use zeroize::Zeroizing;

use crate::error::KeyError;

/// Iterations of PBKDF2, as OpenSSL 3 writes them. Source: openssl-pkcs8(1), option `-iter`, read 2026-11-25.
const ITERATIONS: u32 = 2_048;

/// Most iterations of PBKDF2 that a key file may ask for: about half a second.
const MAX_ITERATIONS: u32 = 1_000_000;

/// Most bytes that a key file may make scrypt work through, all its passes together: about half a second. OpenSSL's own
/// are 16 MiB in one pass.
const MAX_SCRYPT_BYTES: u64 = 128 * 1024 * 1024;

/// The command that rewrites a key in a form that is read here.
const CONVERT: &str = "openssl pkcs8 -topk8 -v2 aes-256-cbc -in old.key -out new.key";

/// Says whether these bytes have the shape of an `EncryptedPrivateKeyInfo`.
pub(super) fn looks_encrypted(der: &[u8]) -> bool {
    EncryptedPrivateKeyInfoRef::try_from(der).is_ok()
}

/// Opens an `EncryptedPrivateKeyInfo`.
pub(super) fn open(der: &[u8], pass_phrase: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let Ok(info) = EncryptedPrivateKeyInfoRef::try_from(der) else {
        return Err(if crate::der::expect(der, crate::der::SEQUENCE).is_some() {
            KeyError::UnsupportedEncryption {
                algorithm: "not PBES2".into(),
                convert: CONVERT,
            }
        } else {
            KeyError::Unreadable
        });
    };
    if !is_well_formed(&info.encryption_algorithm) {
        return Err(KeyError::Unreadable);
    }
    if !is_affordable(&info.encryption_algorithm) {
        return Err(KeyError::TooCostly);
    }
    match info.decrypt(pass_phrase) {
        Ok(document) => Ok(document.to_bytes()),
        // What is decrypted with a wrong pass phrase is bad padding, or rarely, something that is no key.
        Err(pkcs8::Error::EncryptedPrivateKey(error)) if is_unsupported(error) => {
            Err(KeyError::UnsupportedEncryption {
                algorithm: error.to_string().into(),
                convert: CONVERT,
            })
        }
        Err(_) => Err(KeyError::PassPhraseWrong),
    }
}

/// Says whether the parameters of the derivation are such as can be: scrypt's cost is a power of two (RFC 7914, section 2).
/// The library would subtract beyond zero for a cost of 0 (pkcs5 0.8.1).
fn is_well_formed(scheme: &EncryptionScheme) -> bool {
    match scheme {
        EncryptionScheme::Pbes2(parameters) => match &parameters.kdf {
            pbes2::Kdf::Scrypt(scrypt) => scrypt.cost_parameter.is_power_of_two(),
            _ => true,
        },
        _ => true,
    }
}

/// Says whether deriving the key costs no more than a file from outside may cost.
fn is_affordable(scheme: &EncryptionScheme) -> bool {
    let EncryptionScheme::Pbes2(parameters) = scheme else {
        return true;
    };
    match &parameters.kdf {
        pbes2::Kdf::Pbkdf2(pbkdf2) => pbkdf2.iteration_count <= MAX_ITERATIONS,
        pbes2::Kdf::Scrypt(scrypt) => {
            let bytes = scrypt
                .cost_parameter
                .saturating_mul(u64::from(scrypt.block_size))
                .saturating_mul(128)
                .saturating_mul(u64::from(scrypt.parallelization));
            bytes <= MAX_SCRYPT_BYTES
        }
        _ => false,
    }
}

fn is_unsupported(error: pkcs8::pkcs5::Error) -> bool {
    use pkcs8::pkcs5::Error;
    matches!(
        error,
        Error::NoPbes1CryptSupport
            | Error::UnsupportedAlgorithm { .. }
            | Error::AlgorithmParametersInvalid { .. }
    )
}

/// Makes an `EncryptedPrivateKeyInfo`.
pub(super) fn seal(pkcs8: &[u8], pass_phrase: &str, rng: &mut dyn Rng) -> Result<Vec<u8>, KeyError> {
    let failed = |_| KeyError::Encryption;
    let (mut salt, mut iv) = ([0; 8], [0; 16]);
    rng.fill_bytes(&mut salt);
    rng.fill_bytes(&mut iv);
    let parameters = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(ITERATIONS, &salt, iv)
        .map_err(|_| KeyError::Encryption)?;
    let info = PrivateKeyInfoRef::try_from(pkcs8).map_err(|_| KeyError::Encryption)?;
    info.encrypt_with_params(parameters, pass_phrase)
        .map(|sealed| sealed.as_bytes().to_vec())
        .map_err(failed)
}

/// Splits the headers of a traditional PEM body off, where it has any.
pub(super) fn split_headers(body: &str) -> (Option<&str>, &str) {
    if !body.contains("Proc-Type:") {
        return (None, body);
    }
    let (headers, base64) = body
        .split_once("\r\n\r\n")
        .or_else(|| body.split_once("\n\n"))
        .unwrap_or((body, ""));
    (Some(headers), base64)
}

/// Opens the traditional PEM encryption: AES-CBC under a key made of pass phrase and first half of the vector
/// by MD5.
pub(super) fn open_traditional(
    headers: &str,
    sealed: &[u8],
    pass_phrase: &str,
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let info = headers
        .lines()
        .find_map(|line| line.trim().strip_prefix("DEK-Info:"))
        .and_then(|value| value.trim().split_once(','))
        .ok_or(KeyError::Unreadable)?;
    let (cipher, key_length): (&'static Algorithm, usize) = match info.0 {
        "AES-128-CBC" => (&AES_128, 16),
        "AES-192-CBC" => (&AES_192, 24),
        "AES-256-CBC" => (&AES_256, 32),
        other => {
            return Err(KeyError::UnsupportedEncryption {
                algorithm: other.into(),
                convert: CONVERT,
            });
        }
    };
    let iv: [u8; 16] = HEXUPPER_PERMISSIVE
        .decode(info.1.trim().as_bytes())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(KeyError::Unreadable)?;
    let key = derive(
        pass_phrase.as_bytes(),
        *iv.first_chunk().ok_or(KeyError::Unreadable)?,
        key_length,
    );
    let wrong = |_| KeyError::PassPhraseWrong;
    let key = UnboundCipherKey::new(cipher, &key)
        .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
        .map_err(|_| KeyError::Unreadable)?;
    let mut buffer = Zeroizing::new(sealed.to_vec());
    let plain = key
        .decrypt(&mut buffer, DecryptionContext::Iv128(FixedLength::from(iv)))
        .map_err(wrong)?;
    Ok(Zeroizing::new(plain.to_vec()))
}

/// Derives a key as `EVP_BytesToKey` with one round of MD5. Source: its manual page of OpenSSL, read
/// 2026-11-25.
fn derive(pass_phrase: &[u8], salt: [u8; 8], length: usize) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(Vec::with_capacity(length + 16));
    let mut last = Zeroizing::new(Vec::new());
    while key.len() < length {
        let mut hash = Md5::new();
        hash.update(&*last);
        hash.update(pass_phrase);
        hash.update(salt);
        last = Zeroizing::new(hash.finalize().to_vec());
        key.extend_from_slice(&last);
    }
    key.truncate(length);
    key
}
