//! Carries a connection through its TLS handshake.
//!
//! Runs in a future of its own that is dropped before the session's task goes on, so that an idle session
//! does not carry the handshake's buffers. A peer that sends nothing costs no buffer at all.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use rustls::server::{Acceptor, UnbufferedServerConnection};
use rustls::{CertificateError, Error as TlsError, HandshakeKind, InvalidMessage, ProtocolVersion};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::Tls;
use super::session::{Session, TlsStream};
use super::verifier::Witness;
use crate::failures::HandshakeCode;
use crate::limits::Limits;
use crate::peer::{Peer, TlsVersion};

/// Bytes taken from the socket at a time. Small, since most messages are, and since what arrives behind
/// the handshake must fit into a chunk.
const STEP: usize = 4 * 1024;

/// Bytes of a handshake that may wait for their message's end: the library's own limit for a message, and
/// the records around it.
const MAX_WAITING: usize = 64 * 1024 + 20 * 1024;

/// Bytes of a refused peer that are read so that the refusal reaches it.
const MAX_LINGER: usize = 128 * 1024;

/// Says why a handshake failed, and leaves the socket for the refusal to arrive.
pub(crate) struct Rejection {
    pub(crate) code: HandshakeCode,
    pub(crate) detail: String,
    pub(crate) socket: Option<TcpStream>,
}

/// Does the handshake on an accepted connection. `witness` keeps what was seen, however this ends.
pub(crate) async fn accept(
    socket: TcpStream,
    addr: SocketAddr,
    local_addr: SocketAddr,
    tls: &Tls,
    limits: &Limits,
    witness: &Arc<Witness>,
) -> Result<(TlsStream, Peer), Rejection> {
    match shake(&socket, tls, limits, witness).await {
        Ok((session, behind)) => {
            let peer = peer(&session, addr, local_addr, witness);
            Ok((TlsStream::new(socket, session, behind), peer))
        }
        Err(Failure::Tls(error)) => {
            let code = witness.seen().refusal.unwrap_or_else(|| code_of(&error));
            Err(Rejection {
                code,
                detail: error.to_string(),
                socket: Some(socket),
            })
        }
        Err(Failure::Garbage) => Err(Rejection {
            code: HandshakeCode::NotTls,
            detail: "the first bytes are not a TLS handshake".to_owned(),
            socket: Some(socket),
        }),
        Err(Failure::Ended) => Err(Rejection {
            code: HandshakeCode::ClosedByPeer,
            detail: "the peer closed the connection during the handshake".to_owned(),
            socket: None,
        }),
        Err(Failure::Socket(error)) => Err(Rejection {
            code: HandshakeCode::SocketFailed,
            detail: error.to_string(),
            socket: None,
        }),
    }
}

/// Ends a refused connection so that the refusal arrives: a socket closed with unread bytes would be reset,
/// and a reset overtakes the alert. Bounded in bytes; the caller bounds the time.
pub(crate) async fn linger(mut socket: TcpStream) {
    if socket.shutdown().await.is_err() {
        return;
    }
    let mut left = MAX_LINGER;
    let mut scratch = [0; 512];
    while left > 0 && socket.readable().await.is_ok() {
        match socket.try_read(&mut scratch) {
            Ok(0) => return,
            Ok(count) => left = left.saturating_sub(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

enum Failure {
    Ended,
    Garbage,
    Socket(io::Error),
    Tls(TlsError),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Ended,
            _ => Self::Socket(error),
        }
    }
}

/// Finishes the handshake; gives the session and the bytes that came behind it.
async fn shake(
    socket: &TcpStream,
    tls: &Tls,
    limits: &Limits,
    witness: &Arc<Witness>,
) -> Result<(Session, Vec<u8>), Failure> {
    let mut waiting = Vec::new();
    let alpn = hello(socket, tls, witness, &mut waiting).await?;
    let config = tls.config(witness, limits, alpn).map_err(Failure::Tls)?;
    let conn = UnbufferedServerConnection::new(config).map_err(Failure::Tls)?;
    let mut session = Session::new(conn);
    loop {
        let (used, result) = session.shake(&mut waiting);
        waiting.drain(..used.min(waiting.len()));
        if session.has_output() {
            let sent = std::future::poll_fn(|cx| session.poll_send(socket, cx)).await;
            // A peer that is gone does not hide why it was refused.
            if result.is_ok() {
                sent?;
            }
        }
        result.map_err(Failure::Tls)?;
        if !session.library().is_handshaking() {
            return Ok((session, waiting));
        }
        if waiting.len() >= MAX_WAITING {
            return Err(Failure::Tls(InvalidMessage::HandshakePayloadTooLarge.into()));
        }
        receive(socket, &mut waiting).await?;
    }
}

/// Reads the client's first message, which stays in `waiting` for the session; notes the server name and
/// gives the protocols to negotiate.
async fn hello<'a>(
    socket: &TcpStream,
    tls: &'a Tls,
    witness: &Witness,
    waiting: &mut Vec<u8>,
) -> Result<&'a [Vec<u8>], Failure> {
    let mut acceptor = Acceptor::default();
    let mut read = 0;
    loop {
        receive(socket, waiting).await?;
        while let Some(mut rest @ [_, ..]) = waiting.get(read..) {
            match acceptor.read_tls(&mut rest) {
                Ok(0) | Err(_) => return Err(Failure::Garbage),
                Ok(count) => read += count,
            }
            match acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    let hello = accepted.client_hello();
                    let server_name = hello.server_name().map(str::to_ascii_lowercase);
                    witness.note(|seen| seen.server_name = server_name);
                    let offered: Vec<&[u8]> = hello.alpn().into_iter().flatten().collect();
                    return Ok(tls.alpn_for(offered.iter().copied()));
                }
                Err((error, mut alert)) => {
                    let mut words = Vec::new();
                    if alert.write_all(&mut words).is_ok() {
                        // The peer may be gone; then nobody misses the alert.
                        let _ = socket.try_write(&words);
                    }
                    return Err(match error {
                        TlsError::InvalidMessage(_) => Failure::Garbage,
                        error => Failure::Tls(error),
                    });
                }
            }
        }
        if waiting.len() >= MAX_WAITING {
            return Err(Failure::Garbage);
        }
    }
}

/// Appends what has arrived to `waiting`, holding no more room than before while nothing has.
async fn receive(socket: &TcpStream, waiting: &mut Vec<u8>) -> Result<(), Failure> {
    loop {
        socket.readable().await?;
        let held = waiting.len();
        waiting.resize(held + STEP, 0);
        let result = socket.try_read(waiting.get_mut(held..).unwrap_or_default());
        waiting.truncate(held + result.as_ref().map_or(0, |count| *count));
        match result {
            Ok(0) => return Err(Failure::Ended),
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads off a finished handshake who is there.
fn peer(session: &Session, addr: SocketAddr, local_addr: SocketAddr, witness: &Witness) -> Peer {
    let library = session.library();
    let seen = witness.seen();
    let kept = || library.peer_certificates().unwrap_or_default();
    Peer {
        addr,
        local_addr,
        server_name: seen.server_name,
        // A resumed session was not seen by the verifier: its chain comes out of the ticket.
        chain: seen
            .chain
            .unwrap_or_else(|| kept().iter().map(|der| Bytes::copy_from_slice(der)).collect()),
        tls_version: match library.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => Some(TlsVersion::V1_2),
            Some(ProtocolVersion::TLSv1_3) => Some(TlsVersion::V1_3),
            _ => None,
        },
        cipher: library
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str()),
        resumed: library.handshake_kind() == Some(HandshakeKind::Resumed),
        alpn: library
            .alpn_protocol()
            .map(|name| String::from_utf8_lossy(name).into_owned()),
    }
}

/// The stable code of what the library said.
fn code_of(error: &TlsError) -> HandshakeCode {
    match error {
        TlsError::AlertReceived(_) => HandshakeCode::PeerAlert,
        TlsError::InvalidCertificate(CertificateError::BadSignature) => HandshakeCode::PossessionNotProven,
        TlsError::InvalidCertificate(_) => HandshakeCode::LeafKeyUnusable,
        TlsError::InvalidMessage(
            InvalidMessage::CertificatePayloadTooLarge | InvalidMessage::HandshakePayloadTooLarge,
        ) => HandshakeCode::ChainTooLarge,
        TlsError::NoApplicationProtocol => HandshakeCode::AlpnUnsupported,
        TlsError::PeerIncompatible(_) => HandshakeCode::NothingInCommon,
        TlsError::DecryptError
        | TlsError::InappropriateHandshakeMessage { .. }
        | TlsError::InappropriateMessage { .. }
        | TlsError::InvalidMessage(_)
        | TlsError::PeerMisbehaved(_)
        | TlsError::PeerSentOversizedRecord => HandshakeCode::ProtocolViolation,
        _ => HandshakeCode::Internal,
    }
}
