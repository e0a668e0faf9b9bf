//! What an idle TLS connection costs the server in memory.
//!
//! The clients are another process (this program again), so that the resident set is the server's alone.
//! What the kernel holds for the sockets is not counted. Each client shows a P-256 certificate of its own
//! making, and stays.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use muster_net::{
    Binds, BoxFuture, Drain, IgnoreHandshakeFailures, Limits, Listener, Peer, Server, ServerCertificates,
    ServerIdentity, Stream, StreamService, Tls, TlsSettings,
};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};

type Fault = Box<dyn Error + Send + Sync>;

const CONNECTIONS: usize = 1_000;
/// Most KiB that an idle connection should cost.
const GOAL: f64 = 8.0;

fn main() -> Result<(), Fault> {
    let args: Vec<String> = std::env::args().collect();
    if let [_, word, addr, version, folder] = args.as_slice()
        && word == "clients"
    {
        return clients(addr.parse()?, version, folder.as_ref());
    }
    if let [_, word, version] = args.as_slice()
        && word == "server"
    {
        let each = measure(version)?;
        let reached = if each <= GOAL { "reached" } else { "not reached" };
        println!(
            "row: Resident memory of an idle TLS {version} connection, of {CONNECTIONS} | ≤ {GOAL:.0} KiB | {each:.1} KiB \
             | {reached}"
        );
        return Ok(());
    }
    for version in ["1.2", "1.3"] {
        // Each in a process of its own, so that none reuses what another has freed.
        let status = Command::new(std::env::current_exe()?)
            .args(["server", version])
            .status()?;
        if !status.success() {
            return Err(format!("the server for TLS {version} failed").into());
        }
    }
    Ok(())
}

/// Reads until the end, as a session that waits for its device does.
struct Waits;

impl StreamService for Waits {
    fn serve(&self, mut stream: Stream, peer: Arc<Peer>, _drain: Drain) -> BoxFuture<()> {
        Box::pin(async move {
            let _kept = peer;
            while let Ok(Some(word)) = stream.read().await {
                if stream.write(&[&word]).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of connections")]
fn measure(version: &str) -> Result<f64, Fault> {
    let folder = tempfile::tempdir()?;
    let pair = KeyPair::generate()?;
    let certificate = CertificateParams::new(["localhost".to_owned()])?.self_signed(&pair)?;
    std::fs::write(folder.path().join("server.der"), certificate.der())?;
    let identity = ServerIdentity::new([Bytes::copy_from_slice(certificate.der())], &pair.serialize_der())?;
    let tls = Arc::new(Tls::new(TlsSettings {
        certificates: Arc::new(ServerCertificates::new(vec![identity])?),
        tickets: None,
        alpn: Vec::new(),
        wall: Arc::new(|| Duration::from_secs(1_800_000_001)),
    })?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let _entered = runtime.enter();
    let listener = Listener::bind(&Binds::loopback(0))?;
    let addr = *listener.local_addrs().first().ok_or("nothing is bound")?;
    let server = Server::new(Limits::default(), Arc::new(IgnoreHandshakeFailures));
    server.serve(listener, Some(&tls), &(Arc::new(Waits) as _));

    let mut child = Command::new(std::env::current_exe()?)
        .args(["clients", &addr.to_string(), version])
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = child.stdout.take().ok_or("the clients say nothing")?;
    // One connection first, so that what is made once does not count.
    said.read_exact(&mut [0])?;
    let before = resident_kib()?;
    let mut heard = child.stdin.take().ok_or("the clients hear nothing")?;
    heard.write_all(b"g")?;
    said.read_exact(&mut [0])?;
    let after = resident_kib()?;
    drop(heard);
    child.wait()?;
    runtime.block_on(server.drain(Duration::from_secs(5)));
    Ok((after - before) / CONNECTIONS as f64)
}

fn resident_kib() -> Result<f64, Fault> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .ok_or("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).ok_or("VmRSS is empty")?.parse()?)
}

/// Opens the connections and keeps them until its input ends.
fn clients(addr: SocketAddr, version: &str, folder: &std::path::Path) -> Result<(), Fault> {
    let server = CertificateDer::from(std::fs::read(folder.join("server.der"))?);
    let version: &'static SupportedProtocolVersion = if version == "1.2" {
        &rustls::version::TLS12
    } else {
        &rustls::version::TLS13
    };
    let mut roots = RootCertStore::empty();
    roots.add(server)?;
    let pair = KeyPair::generate()?;
    let own = CertificateParams::new(["device".to_owned()])?.self_signed(&pair)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pair.serialize_der()));
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![own.der().clone()], key)?;
    let config = Arc::new(config);
    let mut held = vec![open(addr, &config)?];
    std::io::stdout().write_all(b"1")?;
    std::io::stdout().flush()?;
    std::io::stdin().read_exact(&mut [0])?;
    for _ in 0..CONNECTIONS {
        held.push(open(addr, &config)?);
    }
    std::io::stdout().write_all(b"2")?;
    std::io::stdout().flush()?;
    // Ends when the server's process is done with it.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Connects, and has a byte echoed to be sure that the session stands.
fn open(addr: SocketAddr, config: &Arc<ClientConfig>) -> Result<(TcpStream, ClientConnection), Fault> {
    let mut socket = TcpStream::connect(addr)?;
    let mut session = ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost")?)?;
    let mut stream = rustls::Stream::new(&mut session, &mut socket);
    stream.write_all(b"x")?;
    stream.read_exact(&mut [0])?;
    Ok((socket, session))
}
