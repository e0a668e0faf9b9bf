//! A connection as seen by a client that decides itself which byte goes into which TLS record and when.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::bytes::{PINGREQ, PINGRESP};

/// How long anything may take. It bounds a hang, it measures nothing.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a client trusts, and what it presents: a chain and its key, in PEM.
pub(super) fn tls(root: &Path, identity: Option<(&Path, &Path)>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(root).expect("the root") {
        roots
            .add(certificate.expect("a certificate of the root"))
            .expect("a root that is taken");
    }
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = CertificateDer::pem_file_iter(chain)
                .expect("the chain")
                .map(|one| one.expect("a certificate of the chain"))
                .collect();
            let key = PrivateKeyDer::from_pem_file(key).expect("the key");
            builder.with_client_auth_cert(chain, key).expect("a pair")
        }
    };
    Arc::new(config)
}

/// A connection.
pub(super) struct Wire {
    socket: TcpStream,
    tls: ClientConnection,
    /// What came and was not looked at yet.
    held: Vec<u8>,
}

impl Wire {
    /// Connects and shakes hands.
    pub(super) fn open(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> Self {
        let socket = TcpStream::connect(address).expect("a connection");
        socket.set_nodelay(true).expect("to send at once");
        socket.set_read_timeout(Some(PATIENCE)).expect("to bound reading");
        socket
            .set_write_timeout(Some(PATIENCE))
            .expect("to bound writing");
        let name = ServerName::try_from(name.to_owned()).expect("a server name");
        let mut tls = ClientConnection::new(Arc::clone(config), name).expect("a client");
        let mut socket = socket;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket).expect("a handshake");
        }
        Self {
            socket,
            tls,
            held: Vec::new(),
        }
    }

    /// Sends bytes, in as few records as they fit into.
    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        assert!(self.offer(bytes), "the server took it all");
    }

    /// Sends bytes; `false` when the server is gone before it has taken all of them.
    pub(super) fn offer(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        // As much as the client's own buffer takes.
        for part in bytes.as_ref().chunks(16 * 1024) {
            self.tls.writer().write_all(part).expect("room for a record");
            while self.tls.wants_write() {
                match self.tls.write_tls(&mut self.socket) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => {
                        assert!(!is_late(error.kind()), "the server takes nothing more: {error}");
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Sends each byte in a record of its own.
    pub(super) fn send_bytewise(&mut self, bytes: impl AsRef<[u8]>) {
        for byte in bytes.as_ref() {
            self.send([*byte]);
        }
    }

    /// Sends the first half of a TLS record, and never the rest.
    pub(super) fn send_half_a_record(&mut self, bytes: impl AsRef<[u8]>) {
        self.tls
            .writer()
            .write_all(bytes.as_ref())
            .expect("room for a record");
        let mut record = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut record).expect("a record");
        }
        self.socket
            .write_all(&record[..record.len() / 2])
            .expect("the server takes it");
    }

    /// Takes more of what the server sends; `false` at the end.
    fn fill(&mut self) -> bool {
        loop {
            let mut part = [0; 16 * 1024];
            match self.tls.reader().read(&mut part) {
                Ok(0) => return false,
                Ok(count) => {
                    self.held.extend_from_slice(&part[..count]);
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The end of the connection without the end of TLS.
                Err(_) => return false,
            }
            match self.tls.read_tls(&mut self.socket) {
                Ok(_) => {
                    self.tls.process_new_packets().expect("records that are read");
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    assert!(
                        !is_late(error.kind()),
                        "the server says nothing, after {:02x?}",
                        self.held
                    );
                    return false;
                }
            }
        }
    }

    /// The next packet.
    pub(super) fn packet(&mut self) -> Vec<u8> {
        self.next()
            .unwrap_or_else(|| panic!("the server ended the connection, after {:02x?}", self.held))
    }

    /// The next packet; `None` when the server ends the connection instead.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(total) = total(&self.held)
                && self.held.len() >= total
            {
                let rest = self.held.split_off(total);
                return Some(std::mem::replace(&mut self.held, rest));
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// The next bytes, so many of them.
    pub(super) fn take(&mut self, count: usize) -> Vec<u8> {
        while self.held.len() < count {
            assert!(
                self.fill(),
                "{count} bytes wanted, and the end after {:02x?}",
                self.held
            );
        }
        let rest = self.held.split_off(count);
        std::mem::replace(&mut self.held, rest)
    }

    /// Demands these packets next, byte by byte.
    pub(super) fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        while self.held.len() < bytes.len() {
            assert!(
                self.fill(),
                "{bytes:02x?} wanted, and the end after {:02x?}",
                self.held
            );
        }
        let rest = self.held.split_off(bytes.len());
        assert_eq!(
            format!("{:02x?}", self.held),
            format!("{bytes:02x?}"),
            "what the server sends"
        );
        self.held = rest;
    }

    /// Sends, and demands what comes next.
    pub(super) fn ask(&mut self, bytes: impl AsRef<[u8]>, answer: impl AsRef<[u8]>) {
        self.send(bytes);
        self.expect(answer);
    }

    /// Demands that everything sent so far was answered already and that the connection lives: the answer to a ping is
    /// the next that comes.
    pub(super) fn is_quiet(&mut self) {
        self.ask(PINGREQ, PINGRESP);
    }

    /// Everything that comes before the server ends the connection.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.held)
    }

    /// Demands that the server ends the connection without another byte.
    pub(super) fn ends(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "{rest:02x?} before the end");
    }

    /// Sends, and demands that the server ends the connection for it without another byte.
    pub(super) fn ended_by(&mut self, bytes: impl AsRef<[u8]>) {
        // It may have gone before it has seen all.
        let _ = self.offer(bytes);
        self.ends();
    }

    /// Whether the server has ended the connection by now; takes in what comes, for as long as a glance.
    pub(super) fn has_ended(&mut self, glance: Duration) -> bool {
        self.socket
            .set_read_timeout(Some(glance))
            .expect("to bound reading");
        let outcome = self.tls.read_tls(&mut self.socket);
        self.socket
            .set_read_timeout(Some(PATIENCE))
            .expect("to bound reading");
        match outcome {
            Ok(0) => true,
            Ok(_) => {
                let state = self.tls.process_new_packets().expect("records that are read");
                let mut part = vec![0; state.plaintext_bytes_to_read()];
                self.tls.reader().read_exact(&mut part).expect("what came");
                self.held.extend_from_slice(&part);
                state.peer_has_closed()
            }
            Err(error) => !is_late(error.kind()) && error.kind() != ErrorKind::Interrupted,
        }
    }

    /// Ends the sending direction as TLS does, and keeps listening.
    pub(super) fn half_close(&mut self) {
        self.tls.send_close_notify();
        // The server may have ended it from its side by now.
        while self.tls.wants_write() && self.tls.write_tls(&mut self.socket).is_ok() {}
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Goes away without a word, as a device that loses its power.
    pub(super) fn vanish(self) {
        drop(self);
    }
}

/// The length of the packet at the front, as far as it is known.
fn total(bytes: &[u8]) -> Option<usize> {
    let mut length = 0;
    for (place, byte) in bytes.iter().skip(1).take(4).enumerate() {
        length += usize::from(byte % 128) << (7 * place);
        if *byte < 128 {
            return Some(2 + place + length);
        }
    }
    None
}

/// Whether an error is that of a bounded wait.
fn is_late(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
