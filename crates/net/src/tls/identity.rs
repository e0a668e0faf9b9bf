//! The server's own certificates, which can be replaced while the server runs.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use rustls::SignatureScheme;
use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
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

    /// Whether a client that asks for `name`, a host name or an address, finds it in the certificate.
    pub fn carries(&self, name: &str) -> bool {
        ServerName::try_from(name).is_ok_and(|name| self.holds(&name))
    }

    fn holds(&self, name: &ServerName<'_>) -> bool {
        let Ok(leaf) = self.0.end_entity_cert() else {
            return false;
        };
        ParsedCertificate::try_from(leaf).is_ok_and(|leaf| verify_server_name(&leaf, name).is_ok())
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

/// Which certificates are shown to whom. In each list the first that a client can check is shown to it.
#[derive(Clone, Debug, Default)]
pub struct ServerIdentities {
    /// Shown to a client that asks for a name which stands in their certificate.
    pub named: Vec<ServerIdentity>,
    /// Names for which `named` is not looked at, in lower case: a client that asks for one of these gets the
    /// general ones.
    pub reserved: Vec<String>,
    /// Shown to a client that names no server, as those do that connect by address.
    pub nameless: Vec<ServerIdentity>,
    /// Shown to everyone else. With an EC P-256 identity before an RSA one, every client that offers ECDSA
    /// gets the cheaper one.
    pub general: Vec<ServerIdentity>,
}

impl From<Vec<ServerIdentity>> for ServerIdentities {
    fn from(general: Vec<ServerIdentity>) -> Self {
        Self {
            general,
            ..Self::default()
        }
    }
}

impl ServerIdentities {
    /// The identity for a client that asks for `name` and takes signatures of the schemes `offered`.
    fn choose(&self, name: Option<&str>, offered: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let usable = |identity: &&ServerIdentity| identity.0.key.choose_scheme(offered).is_some();
        let special = match name {
            None => self.nameless.iter().find(usable),
            Some(name) => self.named_for(name).find(usable),
        };
        special
            .or_else(|| self.general.iter().find(usable))
            .map(|identity| Arc::clone(&identity.0))
    }

    fn named_for(&self, name: &str) -> impl Iterator<Item = &ServerIdentity> {
        let reserved = self.reserved.iter().any(|one| one.eq_ignore_ascii_case(name));
        let name = ServerName::try_from(name).ok().filter(|_| !reserved);
        self.named
            .iter()
            .filter(move |identity| name.as_ref().is_some_and(|name| identity.holds(name)))
    }
}

/// The server's certificates, replaceable while the server runs.
#[derive(Debug)]
pub struct ServerCertificates {
    identities: ArcSwap<ServerIdentities>,
}

impl ServerCertificates {
    /// Takes the identities.
    ///
    /// # Errors
    /// [`Error::NoIdentity`] if there is no general one.
    pub fn new(identities: impl Into<ServerIdentities>) -> Result<Self, Error> {
        let identities = identities.into();
        if identities.general.is_empty() {
            return Err(Error::NoIdentity);
        }
        Ok(Self {
            identities: ArcSwap::from_pointee(identities),
        })
    }

    /// Shows these from the next handshake on; open connections stay as they are.
    ///
    /// # Errors
    /// [`Error::NoIdentity`] if there is no general one; the present ones stay.
    pub fn replace(&self, identities: impl Into<ServerIdentities>) -> Result<(), Error> {
        let identities = identities.into();
        if identities.general.is_empty() {
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
        self.identities.load().choose(client_hello.server_name(), offered)
    }
}
