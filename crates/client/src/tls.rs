//! Which servers are believed, and which certificate is presented.

use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
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

/// The protocol that a connection announces in its handshake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Alpn {
    /// HTTP, also where it is only the way to a WebSocket.
    Http,
    /// Nothing: no client of MQTT or AMQP announces one to a hub.
    None,
}

/// The certificates that are trusted, read once for all connections.
#[derive(Debug)]
pub(crate) struct Anchors {
    trust: Trust,
    /// Settings without a client certificate, which thousands of devices share: with HTTP announced, and without.
    plain: [OnceLock<Arc<ClientConfig>>; 2],
    read: OnceLock<Arc<RootCertStore>>,
    provider: Arc<CryptoProvider>,
}

impl Anchors {
    /// Trusts servers as told.
    pub(crate) fn new(trust: Trust) -> Self {
        Self {
            trust,
            plain: [OnceLock::new(), OnceLock::new()],
            read: OnceLock::new(),
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
        }
    }

    /// The TLS settings of a connection.
    ///
    /// # Errors
    /// [`Error::Identity`] when the certificate and the key do not belong together, [`Error::Tls`] when the trusted
    /// certificates can't be read.
    pub(crate) fn settings(
        &self,
        alpn: Alpn,
        identity: Option<&ClientIdentity>,
    ) -> Result<Arc<ClientConfig>, Error> {
        let [http, bare] = &self.plain;
        let plain = match alpn {
            Alpn::Http => http,
            Alpn::None => bare,
        };
        if let (None, Some(plain)) = (identity, plain.get()) {
            return Ok(Arc::clone(plain));
        }
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| trouble(e.to_string()))?
            .with_root_certificates(self.roots()?);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder
                .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
                .map_err(|e| Error::Identity(e.to_string()))?,
        };
        // A session of one device must not serve another, and a simulated device handshakes as a real one would.
        config.resumption = Resumption::disabled();
        if alpn == Alpn::Http {
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
        }
        let config = Arc::new(config);
        Ok(match identity {
            None => Arc::clone(plain.get_or_init(|| config)),
            Some(_) => config,
        })
    }

    fn roots(&self) -> Result<Arc<RootCertStore>, Error> {
        if let Some(roots) = self.read.get() {
            return Ok(Arc::clone(roots));
        }
        let mut roots = RootCertStore::empty();
        match &self.trust {
            Trust::Roots(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    let certificate = certificate
                        .map_err(|e| trouble(format!("a trusted certificate can't be read: {e}")))?;
                    roots
                        .add(certificate)
                        .map_err(|e| trouble(format!("a trusted certificate can't be used: {e}")))?;
                }
                if roots.is_empty() {
                    return Err(trouble("the file of trusted certificates holds none".to_owned()));
                }
            }
            Trust::System => {
                let found = rustls_native_certs::load_native_certs();
                let (good, _) = roots.add_parsable_certificates(found.certs);
                if good == 0 {
                    return Err(trouble(
                        "the system's store of trusted certificates is empty".to_owned(),
                    ));
                }
            }
        }
        Ok(Arc::clone(self.read.get_or_init(|| Arc::new(roots))))
    }
}

fn trouble(detail: String) -> Error {
    Error::Tls {
        host: "any server".into(),
        detail,
    }
}
