//! Which servers are believed, and which certificate is presented.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::error::Error;

/// Which servers are believed.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Those whose chain ends at one of these certificates, in PEM.
    Roots(Vec<u8>),
    /// Those that the operating system's store vouches for.
    System,
}

/// The certificate chain and key that are presented.
#[derive(Debug)]
pub struct ClientIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Clone for ClientIdentity {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

impl ClientIdentity {
    /// Takes certificates in DER, leaf first, and a private key as PKCS#8, PKCS#1 or SEC1 in DER.
    ///
    /// # Errors
    /// [`Error::Identity`] when no certificate is there or the key is of no known form.
    pub fn new(chain: impl IntoIterator<Item = Vec<u8>>, key: &[u8]) -> Result<Self, Error> {
        let chain: Vec<_> = chain.into_iter().map(CertificateDer::from).collect();
        if chain.is_empty() {
            return Err(Error::Identity("no certificate is there".into()));
        }
        let key = PrivateKeyDer::try_from(key.to_vec()).map_err(|e| Error::Identity(e.to_owned()))?;
        Ok(Self { chain, key })
    }
}

/// Builds the TLS settings of a connection.
///
/// # Errors
/// [`Error::Identity`] when the certificate and the key do not belong together, [`Error::Tls`] when the trusted
/// certificates can't be read.
pub(crate) fn settings(trust: &Trust, identity: Option<&ClientIdentity>) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = |detail: String| Error::Tls {
        host: "any server".into(),
        detail,
    };
    let mut roots = RootCertStore::empty();
    match trust {
        Trust::Roots(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate =
                    certificate.map_err(|e| tls(format!("a trusted certificate can't be read: {e}")))?;
                roots
                    .add(certificate)
                    .map_err(|e| tls(format!("a trusted certificate can't be used: {e}")))?;
            }
            if roots.is_empty() {
                return Err(tls("the file of trusted certificates holds none".into()));
            }
        }
        Trust::System => {
            let found = rustls_native_certs::load_native_certs();
            let (good, _) = roots.add_parsable_certificates(found.certs);
            if good == 0 {
                return Err(tls("the system's store of trusted certificates is empty".into()));
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| tls(e.to_string()))?
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder
            .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
            .map_err(|e| Error::Identity(e.to_string()))?,
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
