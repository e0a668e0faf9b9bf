//! A server that echoes and tells what it saw, and a client that shows whatever it is given.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use muster_net::{
    Binds, BoxFuture, Drain, HandshakeFailure, HandshakeFailures, Limits, Listener, Peer, Server,
    ServerCertificates, ServerIdentity, Stream, StreamService, TicketKey, TicketKeys, Tickets, Tls,
    TlsSettings, WallClock,
};
use rcgen::{CertificateParams, KeyPair};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::certificates::{Credential, by_openssl, params, self_signed};

pub(crate) const NAME: &str = "muster-hub.azure-devices.muster.localhost";

/// Longest wait of any test for anything; only reached when something is broken.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A running server and all that it saw.
pub(crate) struct Fixture {
    pub(crate) server: Server,
    pub(crate) addr: SocketAddr,
    pub(crate) roots: RootCertStore,
    /// The EC certificate as a file, for clients that read files.
    pub(crate) ca_file: PathBuf,
    pub(crate) certificates: Arc<ServerCertificates>,
    pub(crate) tickets: Arc<Tickets>,
    pub(crate) peers: mpsc::Receiver<Arc<Peer>>,
    pub(crate) failures: mpsc::Receiver<HandshakeFailure>,
    _folder: tempfile::TempDir,
}

pub(crate) fn wall() -> WallClock {
    #[expect(clippy::disallowed_methods, reason = "the outermost caller owns the clock")]
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Arc::new(move || started)
}

pub(crate) fn ticket_keys(current: u8, previous: Option<u8>) -> TicketKeys {
    let key = |byte| TicketKey::new([byte; 32].into());
    TicketKeys {
        current: key(current),
        previous: previous.map(key),
    }
}

fn server_params() -> CertificateParams {
    let mut named = params("server");
    let names = [NAME.to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned()];
    named.subject_alt_names = CertificateParams::new(names).unwrap().subject_alt_names;
    named
}

/// A server certificate for [`NAME`], localhost and 127.0.0.1 that is its own anchor.
pub(crate) fn server_ec() -> Credential {
    self_signed(&server_params())
}

/// The same with an RSA key.
pub(crate) fn server_rsa() -> Credential {
    let mut credential = by_openssl("rsa:2048");
    let pair = KeyPair::try_from(credential.key.secret_der()).unwrap();
    credential.chain = vec![server_params().self_signed(&pair).unwrap().der().clone()];
    credential
}

pub(crate) fn identity(credential: &Credential) -> ServerIdentity {
    let chain = credential.chain.iter().map(|der| Bytes::copy_from_slice(der));
    ServerIdentity::new(chain, credential.key.secret_der()).unwrap()
}

impl Fixture {
    pub(crate) fn start() -> Self {
        Self::start_with(Limits::default(), |service| service)
    }

    pub(crate) fn start_with(
        limits: Limits,
        wrap: impl FnOnce(Arc<dyn StreamService>) -> Arc<dyn StreamService>,
    ) -> Self {
        Self::start_of(limits, &[server_ec()], wrap)
    }

    pub(crate) fn start_of(
        limits: Limits,
        identities: &[Credential],
        wrap: impl FnOnce(Arc<dyn StreamService>) -> Arc<dyn StreamService>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        for identity in identities {
            roots.add(identity.chain[0].clone()).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("server.der");
        std::fs::write(&ca_file, &identities[0].chain[0]).unwrap();
        crate::certificates::openssl(folder.path(), "x509 -inform DER -in server.der -out server.pem");
        let certificates =
            Arc::new(ServerCertificates::new(identities.iter().map(identity).collect::<Vec<_>>()).unwrap());
        let tickets =
            Arc::new(Tickets::new(&ticket_keys(1, None), Duration::from_hours(24), wall()).unwrap());
        let tls = Tls::new(TlsSettings {
            certificates: Arc::clone(&certificates),
            tickets: Some(Arc::clone(&tickets)),
            alpn: vec!["http/1.1".to_owned()],
            wall: wall(),
        })
        .unwrap();
        let (peer, peers) = mpsc::channel(1024);
        let (failure, failures) = mpsc::channel(1024);
        let server = Server::new(limits, Arc::new(Failures(failure)));
        let listener = Listener::bind(&Binds::loopback(0)).unwrap();
        let addr = listener.local_addrs()[0];
        server.serve(listener, Some(&Arc::new(tls)), &wrap(Arc::new(Echo(peer))));
        Self {
            server,
            addr,
            roots,
            ca_file: folder.path().join("server.pem"),
            certificates,
            tickets,
            peers,
            failures,
            _folder: folder,
        }
    }

    pub(crate) async fn peer(&mut self) -> Arc<Peer> {
        tokio::time::timeout(PATIENCE, self.peers.recv())
            .await
            .unwrap()
            .unwrap()
    }

    pub(crate) async fn failure(&mut self) -> HandshakeFailure {
        tokio::time::timeout(PATIENCE, self.failures.recv())
            .await
            .unwrap()
            .unwrap()
    }

    pub(crate) fn client(
        &self,
        credential: Option<&Credential>,
        version: &'static SupportedProtocolVersion,
    ) -> Client {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(self.roots.clone());
        let mut config = match credential {
            Some(credential) => builder.with_client_cert_resolver(Arc::new(Shows(credential.certified()))),
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        Client {
            config,
            addr: self.addr,
        }
    }
}

/// A client that can be changed before it connects.
pub(crate) struct Client {
    pub(crate) config: ClientConfig,
    pub(crate) addr: SocketAddr,
}

impl Client {
    pub(crate) async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        let socket = TcpStream::connect(self.addr).await?;
        let connector = TlsConnector::from(Arc::new(self.config.clone()));
        connector
            .connect(ServerName::try_from(NAME).unwrap(), socket)
            .await
    }

    /// Connects, has a word echoed, and ends. With TLS 1.3 a refusal shows only here.
    pub(crate) async fn echo(&self) -> io::Result<TlsStream<TcpStream>> {
        let work = async {
            let mut stream = self.connect().await?;
            assert_eq!(echo(&mut stream, b"ping").await?, b"ping");
            Ok(stream)
        };
        tokio::time::timeout(PATIENCE, work).await.unwrap()
    }
}

pub(crate) async fn echo(stream: &mut TlsStream<TcpStream>, word: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(word).await?;
    stream.flush().await?;
    let mut answer = vec![0; word.len()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

/// Shows one certificate, whatever is asked for, and signs with whatever key it has.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

struct Failures(mpsc::Sender<HandshakeFailure>);

impl HandshakeFailures for Failures {
    fn failed(&self, failure: HandshakeFailure) {
        self.0.try_send(failure).unwrap();
    }
}

/// Tells who came, then sends everything back until the peer or the server ends.
struct Echo(mpsc::Sender<Arc<Peer>>);

impl StreamService for Echo {
    fn serve(&self, mut stream: Stream, peer: Arc<Peer>, drain: Drain) -> BoxFuture<()> {
        self.0.try_send(peer).unwrap();
        Box::pin(async move {
            loop {
                let read = tokio::select! {
                    read = stream.read() => read,
                    () = drain.begun() => break,
                };
                let Ok(Some(chunk)) = read else { break };
                if stream.write(&[&chunk]).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
            let _ = stream.shutdown().await;
        })
    }
}

pub(crate) fn same(chain: &[Bytes], credential: &[CertificateDer<'_>]) -> bool {
    chain
        .iter()
        .map(|der| &der[..])
        .eq(credential.iter().map(|der| &der[..]))
}
