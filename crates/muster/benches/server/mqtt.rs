//! The other end of MQTT: a client that writes its packets by hand and counts what is acknowledged.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::Fault;
use crate::wire::Client;

/// Bytes of a message's payload.
const PAYLOAD: usize = 256;

/// An open MQTT connection.
pub(crate) struct Session {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
    topic: String,
    next: u16,
}

impl Session {
    /// Connects a device: TLS with its certificate, CONNECT, CONNACK.
    pub(crate) async fn open(client: &Client, address: SocketAddr, id: &str) -> Result<Self, Fault> {
        let user = format!("muster-hub.azure-devices.muster.localhost/{id}/?api-version=2021-04-12");
        let mut body = b"\0\x04MQTT\x04\x82\x04\xb0".to_vec();
        text(&mut body, id)?;
        text(&mut body, &user)?;
        let mut packet = vec![0x10];
        length(&mut packet, body.len());
        packet.extend_from_slice(&body);
        let mut stream = client.tls(address).await?;
        stream.write_all(&packet).await?;
        stream.flush().await?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await?;
        if answer != [0x20, 2, 0, 0] {
            return Err(format!("CONNECT was answered by {answer:02x?}").into());
        }
        Ok(Self {
            stream,
            buffer: Vec::new(),
            topic: format!("devices/{id}/messages/events/"),
            next: 0,
        })
    }

    /// Publishes that many messages at least-once, of which at most `window` wait for their acknowledgement.
    pub(crate) async fn publish(&mut self, count: usize, window: usize) -> Result<(), Fault> {
        let (mut sent, mut acknowledged) = (0, 0);
        let mut out = Vec::new();
        while acknowledged < count {
            out.clear();
            while sent < count && sent - acknowledged < window {
                self.message(&mut out)?;
                sent += 1;
            }
            if !out.is_empty() {
                self.stream.write_all(&out).await?;
                self.stream.flush().await?;
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the connection ended before the last acknowledgement".into());
            }
            let whole = self.buffer.len() / 4 * 4;
            for packet in self.buffer.chunks_exact(4) {
                if !packet.starts_with(&[0x40, 2]) {
                    return Err(format!("{packet:02x?} where PUBACK is due").into());
                }
            }
            acknowledged += whole / 4;
            self.buffer.drain(..whole);
        }
        Ok(())
    }

    fn message(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.next = self.next.checked_add(1).unwrap_or(1);
        out.push(0x32);
        length(out, 2 + self.topic.len() + 2 + PAYLOAD);
        text(out, &self.topic)?;
        out.extend_from_slice(&self.next.to_be_bytes());
        out.extend_from_slice(&[b'x'; PAYLOAD]);
        Ok(())
    }

    /// Says goodbye.
    pub(crate) async fn close(mut self) -> Result<(), Fault> {
        self.stream.write_all(&[0xe0, 0]).await?;
        Ok(self.stream.shutdown().await?)
    }
}

fn text(out: &mut Vec<u8>, text: &str) -> Result<(), Fault> {
    out.extend_from_slice(&u16::try_from(text.len())?.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn length(out: &mut Vec<u8>, mut rest: usize) {
    loop {
        let low = u8::try_from(rest & 0x7f).unwrap_or_default();
        rest >>= 7;
        out.push(if rest > 0 { low | 0x80 } else { low });
        if rest == 0 {
            return;
        }
    }
}
