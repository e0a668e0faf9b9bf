//! Credentials of devices, read from the files and texts that operators have.

use muster_model::SymmetricKey;
use muster_pki::key::PrivateKey;
use muster_pki::{Certificate, pfx};
use muster_wire::sas;

use crate::error::Error;
use crate::tls::ClientIdentity;

impl ClientIdentity {
    /// Reads a certificate chain, leaf first, and its key, both as PEM (or DER); the key may be sealed with a pass
    /// phrase, and may stand in the file of the certificates.
    ///
    /// # Errors
    /// [`Error::Identity`] when one of them can't be read, or they do not belong together.
    pub fn from_pem(certificates: &[u8], key: &[u8], pass_phrase: Option<&str>) -> Result<Self, Error> {
        let chain = Certificate::all_from_text(certificates).map_err(|e| Error::Identity(e.to_string()))?;
        let key = PrivateKey::from_text(key, pass_phrase).map_err(|e| Error::Identity(e.to_string()))?;
        let leaf = chain
            .first()
            .ok_or_else(|| Error::Identity("no certificate is there".into()))?;
        if !key.belongs_to(leaf) {
            return Err(Error::Identity(format!(
                "the key is not that of the certificate {}",
                leaf.subject()
            )));
        }
        Self::new(chain.iter().map(|one| one.der().to_vec()), key.pkcs8_der())
    }

    /// Opens a PFX container.
    ///
    /// # Errors
    /// [`Error::Identity`] when it can't be opened, or does not hold a key with its certificate.
    pub fn from_pfx(container: &[u8], pass_phrase: &str) -> Result<Self, Error> {
        let pfx = pfx::read(container, pass_phrase).map_err(|e| Error::Identity(e.to_string()))?;
        let chain = std::iter::once(&pfx.leaf).chain(&pfx.others);
        Self::new(chain.map(|one| one.der().to_vec()), pfx.key.pkcs8_der())
    }
}

/// Computes the key of a device of a group, whose key is given in base64.
///
/// # Errors
/// [`Error::Identity`] when the group's key is not one.
pub fn group_key(group: &str, registration_id: &str) -> Result<SymmetricKey, Error> {
    symmetric_key(group).and_then(|key| {
        sas::derived_key(&key, registration_id)
            .ok_or_else(|| Error::Identity("no key can be computed from the group's".into()))
    })
}

/// Reads a key in base64.
///
/// # Errors
/// [`Error::Identity`] when it is not one.
pub fn symmetric_key(text: &str) -> Result<SymmetricKey, Error> {
    SymmetricKey::from_base64(text)
        .ok_or_else(|| Error::Identity("the key is not base64 of 16 to 64 bytes".into()))
}
