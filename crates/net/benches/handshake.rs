//! What a fresh mutual TLS handshake costs the server, against the TLS library by itself.
//!
//! Ours is the whole way: accept, limits, handshake with our verifier, hand-over to a service, and the trust
//! decision, which the service makes anew for each connection. The peer is the same TLS library with its own `WebPkiClientVerifier`, in as
//! short a loop as can be written. Both serve the same clients the same P-256 chain of three certificates,
//! in turns, on one thread, whose CPU time is read from the system. Neither sends tickets.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::error::Error;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use muster_net::{
    Binds, BoxFuture, Drain, IgnoreHandshakeFailures, Limits, Listener, Peer, Server, ServerCertificates,
    ServerIdentity, Stream, StreamService, Tls, TlsSettings,
};
use muster_pki::verify::{AnchorSet, Anchors as _, Budget, Silent, walk};
use muster_pki::{Certificate, Chain, Time};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, SupportedProtocolVersion};

type Fault = Box<dyn Error + Send + Sync>;

/// Handshakes in one turn of one server.
const TURN: usize = 400;
/// Turns of each server; the best counts, for what disturbs a turn only ever makes it slower.
const TURNS: usize = 7;
/// Inside the validity of the certificates, which the certificate writer makes last for centuries.
const NOW: Time = Time::from_unix(1_800_000_001);
/// Least part of the peer's rate that ours should reach.
const GOAL: f64 = 0.75;

/// The trust decision, on the presented chain.
type Trust = Arc<dyn Fn(&[Bytes]) -> bool + Send + Sync>;

struct Certificates {
    client_chain: Vec<CertificateDer<'static>>,
    client_key: PrivateKeyDer<'static>,
    client_root: CertificateDer<'static>,
    server: CertificateDer<'static>,
    server_key: PrivateKeyDer<'static>,
}

fn main() -> Result<(), Fault> {
    let certificates = certificates()?;
    let trust = decision(&certificates)?;
    let (ours, theirs) = (
        Side::start(our_server(&certificates, trust)?)?,
        Side::start(peer_server(&certificates)?)?,
    );
    for (name, version) in [
        ("TLS 1.2", &rustls::version::TLS12),
        ("TLS 1.3", &rustls::version::TLS13),
    ] {
        let client = client(&certificates, version)?;
        let (mut best, mut best_peer) = (f64::MAX, f64::MAX);
        for _ in 0..TURNS {
            best = best.min(ours.turn(&client)?);
            best_peer = best_peer.min(theirs.turn(&client)?);
        }
        let ratio = best_peer / best;
        let reached = if ratio >= GOAL { "reached" } else { "not reached" };
        println!(
            "row: Fresh mutual handshake with the trust decision, {name}, P-256 chain of three | ≥ {:.0} % of the TLS \
             library with its own verifier | {:.0} % ({best:.0} µs against {best_peer:.0} µs) | {reached}",
            GOAL * 100.0,
            ratio * 100.0
        );
    }
    Ok(())
}

/// Decides as a hub does: the presented certificates are read, and a path by signature to the one CA that is known is
/// found anew for each connection.
fn decision(certificates: &Certificates) -> Result<Trust, Fault> {
    let anchors: AnchorSet = [Certificate::from_der(&certificates.client_root)?]
        .into_iter()
        .collect();
    Ok(Arc::new(move |presented| {
        let Ok(chain) = Chain::from_ders(presented.iter().map(|der| &der[..])) else {
            return false;
        };
        let decided = walk(&chain, &anchors, NOW, Budget::default(), &mut Silent, |path| {
            let anchor = path.issuers().last().map(|top| top.certificate.sha256());
            if anchor.is_some_and(|anchor| anchors.is_configured(&anchor)) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        decided.decided().is_some()
    }))
}

/// A server on a thread of its own, which tells its CPU time when asked.
struct Side {
    addr: SocketAddr,
    ask: SyncSender<()>,
    told: Receiver<Duration>,
}

impl Side {
    fn start(
        server: impl Future<Output = Result<SocketAddr, Fault>> + Send + 'static,
    ) -> Result<Self, Fault> {
        let (ask, asked) = sync_channel::<()>(1);
        let (tell, told) = sync_channel(1);
        let (say_addr, addr) = sync_channel(1);
        std::thread::spawn(move || -> Result<(), Fault> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async move {
                say_addr.send(server.await?)?;
                let (wake, mut woken) = tokio::sync::mpsc::channel(1);
                std::thread::spawn(move || while asked.recv().is_ok() && wake.blocking_send(()).is_ok() {});
                while woken.recv().await.is_some() {
                    tell.send(thread_cpu()?)?;
                }
                Ok(())
            })
        });
        Ok(Self {
            addr: addr.recv_timeout(Duration::from_secs(10))?,
            ask,
            told,
        })
    }

    fn cpu(&self) -> Result<Duration, Fault> {
        self.ask.send(())?;
        Ok(self.told.recv_timeout(Duration::from_secs(10))?)
    }

    /// Microseconds of the server's CPU for one handshake.
    #[expect(clippy::cast_precision_loss, reason = "a count of handshakes")]
    fn turn(&self, client: &Arc<ClientConfig>) -> Result<f64, Fault> {
        let before = self.cpu()?;
        for _ in 0..TURN {
            handshake(self.addr, client)?;
        }
        Ok(self.cpu()?.saturating_sub(before).as_secs_f64() * 1e6 / TURN as f64)
    }
}

/// One handshake, and a byte back to be sure that it was accepted.
fn handshake(addr: SocketAddr, client: &Arc<ClientConfig>) -> Result<(), Fault> {
    use std::io::Read as _;
    let mut socket = std::net::TcpStream::connect(addr)?;
    socket.set_nodelay(true)?;
    let mut session = ClientConnection::new(Arc::clone(client), ServerName::try_from("localhost")?)?;
    let mut stream = rustls::Stream::new(&mut session, &mut socket);
    stream.read_exact(&mut [0])?;
    Ok(())
}

/// CPU time of the calling thread, in user and kernel.
fn thread_cpu() -> Result<Duration, Fault> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = text.split(' ').next().ok_or("schedstat is empty")?;
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}

/// Sends one byte to a peer whose chain is trusted.
struct OneByte(Trust);

impl StreamService for OneByte {
    fn serve(&self, mut stream: Stream, peer: Arc<Peer>, _drain: Drain) -> BoxFuture<()> {
        let trusted = (self.0)(&peer.chain);
        Box::pin(async move {
            if trusted && stream.write(&[b"x"]).await.is_ok() {
                // The client has what it came for and may be gone.
                let _ = stream.shutdown().await;
            }
        })
    }
}

fn our_server(
    certificates: &Certificates,
    trust: Trust,
) -> Result<impl Future<Output = Result<SocketAddr, Fault>> + Send + 'static, Fault> {
    let chain = [Bytes::copy_from_slice(&certificates.server)];
    let identity = ServerIdentity::new(chain, certificates.server_key.secret_der())?;
    let tls = Arc::new(Tls::new(TlsSettings {
        certificates: Arc::new(ServerCertificates::new(vec![identity])?),
        tickets: None,
        alpn: vec!["http/1.1".to_owned()],
        wall: Arc::new(|| Duration::from_secs(1_800_000_001)),
    })?);
    Ok(async move {
        let listener = Listener::bind(&Binds::loopback(0))?;
        let addr = *listener.local_addrs().first().ok_or("nothing is bound")?;
        let server = Server::new(Limits::default(), Arc::new(IgnoreHandshakeFailures));
        server.serve(listener, Some(&tls), &(Arc::new(OneByte(trust)) as _));
        // The accept loops live as long as the runtime, which lives as long as the process.
        std::mem::forget(server);
        Ok(addr)
    })
}

fn peer_server(
    certificates: &Certificates,
) -> Result<impl Future<Output = Result<SocketAddr, Fault>> + Send + 'static, Fault> {
    let mut roots = RootCertStore::empty();
    roots.add(certificates.client_root.clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![certificates.server.clone()],
            certificates.server_key.clone_key(),
        )?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    Ok(async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    use tokio::io::AsyncWriteExt as _;
                    socket.set_nodelay(true)?;
                    let mut stream = acceptor.accept(socket).await?;
                    stream.write_all(b"x").await?;
                    stream.shutdown().await
                });
            }
        });
        Ok(addr)
    })
}

fn client(
    certificates: &Certificates,
    version: &'static SupportedProtocolVersion,
) -> Result<Arc<ClientConfig>, Fault> {
    let mut roots = RootCertStore::empty();
    roots.add(certificates.server.clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])?
        .with_root_certificates(roots)
        .with_client_auth_cert(
            certificates.client_chain.clone(),
            certificates.client_key.clone_key(),
        )?;
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

fn certificates() -> Result<Certificates, Fault> {
    let params = |name: &str| -> Result<CertificateParams, Fault> {
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        Ok(params)
    };
    let ca = |name: &str| -> Result<CertificateParams, Fault> {
        let mut params = params(name)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(params)
    };
    let key = |pair: &KeyPair| PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pair.serialize_der()));
    let root = CertifiedIssuer::self_signed(ca("root")?, KeyPair::generate()?)?;
    let intermediate = CertifiedIssuer::signed_by(ca("intermediate")?, KeyPair::generate()?, &root)?;
    let client_pair = KeyPair::generate()?;
    let mut device = params("device")?;
    device
        .extended_key_usages
        .push(ExtendedKeyUsagePurpose::ClientAuth);
    let leaf = device.signed_by(&client_pair, &intermediate)?;
    let server_pair = KeyPair::generate()?;
    let server = params("localhost")?.self_signed(&server_pair)?;
    Ok(Certificates {
        client_chain: vec![leaf.der().clone(), intermediate.der().clone(), root.der().clone()],
        client_key: key(&client_pair),
        client_root: root.der().clone(),
        server: server.der().clone(),
        server_key: key(&server_pair),
    })
}
