//! The other end: a TLS client that writes whole requests and reads whole answers, as little work as can be.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Fault;

/// The name that every call is made to.
pub(crate) const HOST: &str = "localhost";

/// One device's way to make connections.
pub(crate) struct Client(pub(crate) Arc<ClientConfig>);

/// A connection that is kept.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

/// What was answered.
pub(crate) struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Client {
    /// Connects, with a full handshake.
    pub(crate) async fn connect(&self, address: SocketAddr) -> Result<Connection, Fault> {
        Ok(Connection {
            stream: self.tls(address).await?,
            buffer: Vec::new(),
        })
    }

    /// Makes a TLS connection, with a full handshake.
    pub(crate) async fn tls(&self, address: SocketAddr) -> Result<TlsStream<TcpStream>, Fault> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let connector = TlsConnector::from(Arc::clone(&self.0));
        Ok(connector.connect(ServerName::try_from(HOST)?, socket).await?)
    }
}

impl Connection {
    /// Writes a request and reads its answer to the end.
    pub(crate) async fn call(&mut self, request: &[u8]) -> Result<Answer, Fault> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.buffer.clear();
        loop {
            if let Some(answer) = parse(&self.buffer)? {
                return Ok(answer);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the connection ended before the answer".into());
            }
        }
    }

    /// Writes a request and counts the line ends in the chunks of its answer.
    pub(crate) async fn count_lines(&mut self, request: &[u8]) -> Result<usize, Fault> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.buffer.clear();
        let mut lines = 0;
        let mut begun = false;
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the connection ended before the answer".into());
            }
            if !begun {
                let Some(end) = find(&self.buffer, b"\r\n\r\n") else {
                    continue;
                };
                if status(&self.buffer)? != 200 {
                    return Err(String::from_utf8_lossy(&self.buffer).into_owned().into());
                }
                self.buffer.drain(..end + 4);
                begun = true;
            }
            // Whole chunks only: a size in hex, the data, a line end after each.
            while let Some(line) = find(&self.buffer, b"\r\n") {
                let size = self.buffer.get(..line).unwrap_or_default();
                let size = usize::from_str_radix(std::str::from_utf8(size)?, 16)?;
                if size == 0 {
                    return Ok(lines);
                }
                let data = line + 2..line + 2 + size;
                if self.buffer.len() < data.end + 2 {
                    break;
                }
                let text = self.buffer.get(data.clone()).unwrap_or_default();
                lines += text.split(|&byte| byte == b'\n').count() - 1;
                self.buffer.drain(..data.end + 2);
            }
        }
    }

    /// Ends the session as a device does.
    pub(crate) async fn close(mut self) -> Result<(), Fault> {
        Ok(self.stream.shutdown().await?)
    }
}

impl Answer {
    /// Takes the body of an answer with this status.
    pub(crate) fn expect(self, status: u16) -> Result<Vec<u8>, Fault> {
        if self.status == status {
            Ok(self.body)
        } else {
            Err(format!(
                "status {} where {status} is due: {}",
                self.status,
                String::from_utf8_lossy(&self.body)
            )
            .into())
        }
    }
}

/// A request with its body, ready to be written.
pub(crate) fn request(method: &str, target: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {target} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: bench\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Reads an answer, once all of it is there.
fn parse(bytes: &[u8]) -> Result<Option<Answer>, Fault> {
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    let status = status(bytes)?;
    let (head, body) = (
        bytes.get(..end).unwrap_or_default(),
        bytes.get(end + 4..).unwrap_or_default(),
    );
    let answer = |body: &[u8]| {
        Some(Answer {
            status,
            body: body.to_vec(),
        })
    };
    if status == 204 {
        return Ok(answer(&[]));
    }
    let head = std::str::from_utf8(head)?.to_ascii_lowercase();
    if let Some((_, rest)) = head.split_once("content-length:") {
        let length: usize = rest.lines().next().unwrap_or_default().trim().parse()?;
        return Ok(body.get(..length).and_then(answer));
    }
    // One chunk, as the server sends what it knows whole.
    if !body.ends_with(b"0\r\n\r\n") {
        return Ok(None);
    }
    let start = find(body, b"\r\n").map_or(0, |at| at + 2);
    Ok(answer(body.get(start..).unwrap_or_default()))
}

fn status(bytes: &[u8]) -> Result<u16, Fault> {
    let digits = bytes.get(9..12).ok_or("no status")?;
    Ok(std::str::from_utf8(digits)?.parse()?)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
