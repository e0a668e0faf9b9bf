//! The server's own certificates, which can be replaced while the server runs.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::error::Error;

/// One certificate chain of the server with its private key.
#[derive(Clone)]
pub struct ServerIdentity(Arc<CertifiedKey>);

impl ServerIdentity {
    /// Takes a chain of DER certificates, leaf first, and the leaf's private key as DER (PKCS#8, SEC 1 or
    /// PKCS#1).
    ///
    /// # Errors
    /// [`Error::PrivateKey`] if the key cannot be read, is of an unsupported kind or belongs to another
    /// certificate; [`Error::NoIdentity`] if the chain is empty.
    pub fn new(chain: impl IntoIterator<Item = Bytes>, private_key: &[u8]) -> Result<Self, Error> {
        let refuse = |reason: String| Error::PrivateKey { reason };
        let chain: Vec<CertificateDer<'static>> = chain
            .into_iter()
            .map(|der| CertificateDer::from(der.to_vec()))
            .collect();
        if chain.is_empty() {
            return Err(Error::NoIdentity);
        }
        let key = PrivateKeyDer::try_from(private_key).map_err(|reason| refuse(reason.to_owned()))?;
        let key = any_supported_type(&key).map_err(|error| refuse(error.to_string()))?;
        let certified = CertifiedKey::new(chain, key);
        certified
            .keys_match()
            .map_err(|error| refuse(error.to_string()))?;
        Ok(Self(Arc::new(certified)))
    }
}

/// Shows nothing of the key.
impl fmt::Debug for ServerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerIdentity")
            .field("certificates", &self.0.cert.len())
            .finish_non_exhaustive()
    }
}

/// The server's certificates in order of preference: the first that a client can check is shown to it.
///
/// With an EC P-256 identity before an RSA one, every client that offers ECDSA gets the cheaper one.
#[derive(Debug)]
pub struct ServerCertificates {
    identities: ArcSwap<Vec<ServerIdentity>>,
}

impl ServerCertificates {
    /// Takes the identities, the preferred one first.
    ///
    /// # Errors
    /// [`Error::NoIdentity`] if there is none.
    pub fn new(identities: Vec<ServerIdentity>) -> Result<Self, Error> {
        if identities.is_empty() {
            return Err(Error::NoIdentity);
        }
        Ok(Self {
            identities: ArcSwap::from_pointee(identities),
        })
    }

    /// Shows these from the next handshake on; open connections stay as they are.
    ///
    /// # Errors
    /// [`Error::NoIdentity`] if there is none; the present ones stay.
    pub fn replace(&self, identities: Vec<ServerIdentity>) -> Result<(), Error> {
        if identities.is_empty() {
            return Err(Error::NoIdentity);
        }
        self.identities.store(Arc::new(identities));
        Ok(())
    }
}

impl ResolvesServerCert for ServerCertificates {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // The library has left out the schemes that no shared cipher suite could use.
        let offered = client_hello.signature_schemes();
        let identities = self.identities.load();
        let usable = identities
            .iter()
            .find(|identity| identity.0.key.choose_scheme(offered).is_some());
        usable.map(|identity| Arc::clone(&identity.0))
    }
}
