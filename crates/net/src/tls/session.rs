//! The record layer: the one file that knows the TLS library's unbuffered interface.
//!
//! The library holds the session's state and no bytes. Bytes on their way in or out rest in buffers that
//! exist only while there are some: an idle session holds a socket, the library's state and empty vectors.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, ReadTraffic, UnbufferedStatus,
};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use crate::chunk::Chunk;
use crate::stream::Transport;
use crate::tcp::{poll_receive, poll_send};

/// Most plaintext in one record. Source: RFC 8446 §5.1, read 2026-11-25.
const MAX_PLAINTEXT: usize = 16 * 1024;

/// What a record needs besides its plaintext, generously: header, nonce, content type and tag.
const RECORD_OVERHEAD: usize = 64;

/// Sealed bytes that may wait for the socket before a writer is held up.
const MAX_WAITING: usize = 64 * 1024;

/// A session in the library's hands, with what it wants to send.
pub(super) struct Session {
    conn: UnbufferedServerConnection,
    /// Sealed bytes for the peer, of which the first `sent` have left.
    out: Vec<u8>,
    sent: usize,
    /// Plaintext that arrived with the end of the handshake.
    early: Option<Chunk>,
    peer_closed: bool,
    close_sent: bool,
}

/// What to do when the library can seal data.
enum Intent<'a> {
    /// Nothing: only take in what has arrived.
    Read(&'a mut Chunk),
    /// Finish the handshake; what comes after it goes to `early`.
    Handshake,
    /// Seal this as one record.
    Write(&'a [u8]),
    /// Seal the notice that no more comes.
    Close,
}

impl Session {
    pub(super) fn new(conn: UnbufferedServerConnection) -> Self {
        Self {
            conn,
            out: Vec::new(),
            sent: 0,
            early: None,
            peer_closed: false,
            close_sent: false,
        }
    }

    pub(super) fn library(&self) -> &UnbufferedServerConnection {
        &self.conn
    }

    /// Goes on with the handshake with `arrived`, and says how many of its bytes were used up.
    pub(super) fn shake(&mut self, arrived: &mut [u8]) -> (usize, Result<(), rustls::Error>) {
        let (used, result) = self.advance(arrived, Intent::Handshake);
        (used, result.map(|_| ()))
    }

    /// Lets the library take in `arrived` and do what is intended. Says how many bytes were used up, and
    /// whether what was to be sealed was sealed.
    fn advance(
        &mut self,
        arrived: &mut [u8],
        mut intent: Intent<'_>,
    ) -> (usize, Result<bool, rustls::Error>) {
        let mut used = 0;
        let mut failure = None;
        loop {
            let rest = arrived.get_mut(used..).unwrap_or_default();
            let UnbufferedStatus { discard, state } = self.conn.process_tls_records(rest);
            used += discard;
            let sealed = match state {
                Ok(ConnectionState::EncodeTlsData(mut record)) => {
                    match seal(&mut self.out, RECORD_OVERHEAD, |room| record.encode(room)) {
                        Ok(()) => continue,
                        Err(error) => Err(error),
                    }
                }
                Ok(ConnectionState::TransmitTlsData(sent)) => {
                    // It stands in `out`, which leaves in order.
                    sent.done();
                    continue;
                }
                Ok(ConnectionState::ReadTraffic(mut records)) => {
                    let into = match &mut intent {
                        Intent::Read(chunk) => &mut **chunk,
                        _ => self.early.get_or_insert_with(Chunk::lend),
                    };
                    match take(&mut records, into) {
                        Ok(()) => continue,
                        Err(error) => Err(error),
                    }
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.peer_closed = true;
                    continue;
                }
                Ok(ConnectionState::WriteTraffic(mut traffic)) => match &intent {
                    Intent::Write(plain) => {
                        let guess = plain.len() + RECORD_OVERHEAD;
                        seal(&mut self.out, guess, |room| traffic.encrypt(plain, room)).map(|()| true)
                    }
                    Intent::Close => seal(&mut self.out, RECORD_OVERHEAD, |room| {
                        traffic.queue_close_notify(room)
                    })
                    .map(|()| true),
                    Intent::Handshake | Intent::Read(_) => Ok(false),
                },
                // Blocked, or closed both ways. Early data is never offered, so it is never accepted.
                Ok(_) => Ok(false),
                Err(error) if failure.is_none() => {
                    // Once more, for the alert.
                    failure = Some(error);
                    continue;
                }
                Err(error) => Err(error),
            };
            return (used, failure.map_or(sealed, Err));
        }
    }

    /// Whether anything waits for the socket.
    pub(super) fn has_output(&self) -> bool {
        self.sent < self.out.len()
    }

    /// Sends what waits, and frees its buffer.
    pub(super) fn poll_send(&mut self, socket: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(waiting @ [_, ..]) = self.out.get(self.sent..) {
            match ready!(poll_send(socket, cx, waiting))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.sent += count,
            }
        }
        self.out = Vec::new();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}

/// Takes the plaintext that has arrived.
fn take<Data>(records: &mut ReadTraffic<'_, '_, Data>, into: &mut Chunk) -> Result<(), rustls::Error> {
    while let Some(record) = records.next_record() {
        let payload = record?.payload;
        if into.append(payload) < payload.len() {
            // Cannot happen: a chunk of records never holds more than a chunk of plaintext.
            return Err(rustls::Error::General("plaintext outgrew its records".to_owned()));
        }
    }
    Ok(())
}

/// Appends to `out` what `write` puts into a room of at least `guess` bytes.
fn seal<E: Into<NoRecord>>(
    out: &mut Vec<u8>,
    guess: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Result<(), rustls::Error> {
    let start = out.len();
    let mut room = guess;
    loop {
        out.resize(start + room, 0);
        match write(out.get_mut(start..).unwrap_or_default()).map_err(Into::into) {
            Ok(count) => {
                out.truncate(start + count);
                return Ok(());
            }
            Err(NoRecord::NeedsRoom(needed)) if needed > room => room = needed,
            Err(_) => {
                out.truncate(start);
                return Err(rustls::Error::EncryptError);
            }
        }
    }
}

/// Why no record was made, alike for the library's two kinds of them.
enum NoRecord {
    NeedsRoom(usize),
    /// The library will make no more.
    Spent,
}

impl From<EncodeError> for NoRecord {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => {
                Self::NeedsRoom(required_size)
            }
            EncodeError::AlreadyEncoded => Self::Spent,
        }
    }
}

impl From<EncryptError> for NoRecord {
    fn from(error: EncryptError) -> Self {
        match error {
            EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => {
                Self::NeedsRoom(required_size)
            }
            EncryptError::EncryptExhausted => Self::Spent,
        }
    }
}

/// A finished handshake's bytes over its socket.
pub(crate) struct TlsStream {
    socket: TcpStream,
    session: Session,
    /// The start of a record whose end has not arrived.
    partial: Vec<u8>,
    /// Whether `partial` may hold whole records that came with the end of the handshake.
    undigested: bool,
}

impl TlsStream {
    /// Takes over after the handshake, with what arrived behind it.
    pub(super) fn new(socket: TcpStream, session: Session, behind: Vec<u8>) -> Self {
        let undigested = !behind.is_empty();
        Self {
            socket,
            session,
            partial: behind,
            undigested,
        }
    }

    /// Lets the library take in what is left over and do what is intended. What arrives meanwhile goes to
    /// the session's `early`.
    fn with_leftover(&mut self, intent: Intent<'_>) -> io::Result<bool> {
        let (used, result) = self.session.advance(&mut self.partial, intent);
        self.partial.drain(..used.min(self.partial.len()));
        result.map_err(broken)
    }
}

impl Transport for TlsStream {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.undigested || self.session.early.is_some() || self.session.peer_closed {
            return Poll::Ready(Ok(()));
        }
        self.socket.poll_read_ready(cx)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut Chunk) -> Poll<io::Result<()>> {
        if let Some(early) = self.session.early.take() {
            into.append(&early);
            return Poll::Ready(Ok(()));
        }
        loop {
            if self.session.peer_closed {
                return Poll::Ready(Ok(()));
            }
            let mut sealed = Chunk::lend();
            sealed.append(&self.partial);
            if !self.undigested {
                if sealed.room() == 0 {
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "a record has no end",
                    )));
                }
                let count = ready!(poll_receive(&mut self.socket, cx, sealed.room_mut()))?;
                if count == 0 {
                    // Without the peer's notice, anyone on the way may have cut the stream.
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                sealed.filled(count);
            }
            self.undigested = false;
            let (used, result) = self.session.advance(sealed.held_mut(), Intent::Read(into));
            sealed.advance(used);
            // Also when nothing was used up: records are opened in place.
            self.partial = sealed.to_vec();
            // What the library wants to say (an alert, a key update) leaves as far as it can now, and with
            // the next flush otherwise. A failure to send shows itself to whoever writes.
            if self.session.has_output() {
                let _ = self.session.poll_send(&self.socket, cx);
            }
            match result {
                // The error comes up again once the data in front of it is read.
                Err(_) if !into.is_empty() => self.undigested = true,
                Err(error) => return Poll::Ready(Err(broken(error))),
                Ok(_) => {}
            }
            if !into.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.session.out.len() >= MAX_WAITING {
            ready!(self.session.poll_send(&self.socket, cx))?;
        }
        let mut filled = slices.iter().filter(|slice| !slice.is_empty());
        let Some(first) = filled.next() else {
            return Poll::Ready(Ok(0));
        };
        let sealed;
        let count;
        if filled.next().is_none() || first.len() >= MAX_PLAINTEXT {
            let plain = first.get(..MAX_PLAINTEXT).unwrap_or(first);
            count = plain.len();
            sealed = self.with_leftover(Intent::Write(plain))?;
        } else {
            // Several small slices leave as one record.
            let mut gathered = Chunk::lend();
            for slice in slices {
                let room = MAX_PLAINTEXT - gathered.len();
                gathered.append(slice.get(..room).unwrap_or(slice));
            }
            count = gathered.len();
            sealed = self.with_leftover(Intent::Write(&gathered))?;
        }
        Poll::Ready(if sealed {
            Ok(count)
        } else {
            Err(io::ErrorKind::BrokenPipe.into())
        })
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session.poll_send(&self.socket, cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.session.close_sent {
            self.session.close_sent = true;
            self.with_leftover(Intent::Close)?;
        }
        ready!(self.session.poll_send(&self.socket, cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

fn broken(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
