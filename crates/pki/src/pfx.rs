//! PFX (PKCS#12) containers: one key with its certificate, and the chain above it.
//!
//! Written as OpenSSL 3 does: PBES2 with AES-256 and a MAC over SHA-256, 2,048 iterations each. Read are
//! those and the older ones (RC2, triple DES, SHA-1). A container without a key and its certificate is not
//! one of ours. The container library does not wipe its copies of the key: this is for commands that end
//! soon, not for the server.

use p12_keystore::{
    Certificate as StoredCertificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm,
    Pkcs12Archive, PrivateKey as StoredKey, PrivateKeyChain,
};

use crate::certificate::Certificate;
use crate::error::PfxError;
use crate::key::PrivateKey;
use crate::thumbprint::Thumbprint;

/// Largest container that is read, in bytes.
const MAX_PFX_BYTES: usize = 256 * 1024;

/// Iterations for key and MAC, as OpenSSL 3 writes them. Source: openssl-pkcs12(1), option `-iter`, read
/// 2026-11-25.
const ITERATIONS: u32 = 2_048;

/// What a container holds.
#[derive(Debug)]
pub struct Pfx {
    /// The private key.
    pub key: PrivateKey,
    /// The certificate of that key.
    pub leaf: Certificate,
    /// The other certificates, in the container's order.
    pub others: Vec<Certificate>,
}

/// Writes a container with a leaf, its key, and any certificates above it.
///
/// # Errors
/// [`PfxError::NoLeaf`] when the key is not the leaf's; [`PfxError::Unwritten`] when it cannot be encoded.
pub fn write(
    leaf: &Certificate,
    others: &[Certificate],
    key: &PrivateKey,
    pass_phrase: &str,
) -> Result<Vec<u8>, PfxError> {
    if !key.belongs_to(leaf) {
        return Err(PfxError::NoLeaf);
    }
    let unwritten = |error: p12_keystore::error::Error| PfxError::Unwritten(error.to_string());
    let certificates = std::iter::once(leaf)
        .chain(others)
        .map(|certificate| StoredCertificate::from_der(certificate.der()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unwritten)?;
    let stored = StoredKey::from_der(key.pkcs8_der()).map_err(unwritten)?;
    // OpenSSL ties key and certificate together by the certificate's SHA-1.
    let Thumbprint::Sha1(key_id) = leaf.sha1() else {
        return Err(PfxError::NoLeaf);
    };
    let chain = PrivateKeyChain::new(key_id.as_slice(), stored, certificates);
    let mut store = KeyStore::new();
    store.add_entry(friendly_name(leaf), KeyStoreEntry::PrivateKeyChain(chain));
    store
        .writer(pass_phrase)
        .encryption_algorithm(EncryptionAlgorithm::PbeWithHmacSha256AndAes256)
        .encryption_iterations(ITERATIONS)
        .mac_algorithm(MacAlgorithm::HmacSha256)
        .mac_iterations(ITERATIONS)
        .write()
        .map_err(unwritten)
}

/// The name that programs show for the entry: the common name, where the container's UCS-2 can hold it.
fn friendly_name(leaf: &Certificate) -> &str {
    let fits = |name: &&str| name.chars().all(|character| u32::from(character) <= 0xffff);
    leaf.common_name().filter(fits).unwrap_or("device")
}

/// Opens a container.
///
/// # Errors
/// [`PfxError`] when the pass phrase is wrong, or key or leaf are missing or unreadable.
pub fn read(pfx: &[u8], pass_phrase: &str) -> Result<Pfx, PfxError> {
    if pfx.len() > MAX_PFX_BYTES {
        return Err(PfxError::TooLarge {
            size: pfx.len(),
            limit: MAX_PFX_BYTES,
        });
    }
    let archive = Pkcs12Archive::from_pkcs12(pfx, pass_phrase)
        .map_err(|error| PfxError::Unopened(error.to_string()))?;
    let stored = archive.keys.first().ok_or(PfxError::NoKey)?;
    let key = PrivateKey::from_pkcs8_der(stored.key.as_der())?;
    let mut others = archive
        .certs
        .iter()
        .map(|bag| Certificate::from_der(bag.cert.as_der()))
        .collect::<Result<Vec<_>, _>>()?;
    let place = others
        .iter()
        .position(|certificate| key.belongs_to(certificate))
        .ok_or(PfxError::NoLeaf)?;
    let leaf = others.remove(place);
    Ok(Pfx { key, leaf, others })
}
