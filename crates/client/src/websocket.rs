//! A stream of bytes in the binary messages of a WebSocket, for protocols that hubs carry so: MQTT, and AMQP.
//!
//! Where one message ends and the next begins means nothing to the protocol inside. Pings are answered by the library,
//! buffers are small, since there may be thousands of connections.
//!
//! Source: RFC 6455; IoT Hub's path and subprotocols as the device SDKs for Python (2.14.0) and Node (1.18.4) use them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_core::Stream;
use futures_sink::Sink;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{HeaderValue, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::error::Error;
use crate::http::Reply;
use crate::link::Link;

/// The path at which hubs and provisioning services take WebSockets.
const PATH: &str = "/$iothub/websocket";

/// Bytes that one read can bring.
const READ_BUFFER: usize = 4 * 1024;

/// Most bytes of a message that is sent; more are split.
const SENT: usize = 64 * 1024;

/// Largest message that is taken, in bytes: a packet or frame with a message of 256 KiB, and some more.
const TAKEN: usize = 1 << 20;

/// A stream of bytes in a WebSocket.
pub(crate) struct WebSocket<S> {
    inner: WebSocketStream<S>,
    /// What is left of the last message.
    rest: Bytes,
}

/// Upgrades a connection that `link` opened.
///
/// # Errors
/// [`Error::Refused`] when the server answers with another status, [`Error::Unexpected`] when it picks another
/// subprotocol, [`Error::Broken`].
pub(crate) async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    link: &Link,
    stream: S,
    subprotocol: &'static str,
) -> Result<WebSocket<S>, Error> {
    let request = Request::get(format!("wss://{}{PATH}", link.authority()))
        .header("Host", link.authority())
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", generate_key())
        .header(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol))
        .body(())
        .map_err(|e| Error::Unexpected(format!("the upgrade can't be written: {e}")))?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * SENT)
        .max_message_size(Some(TAKEN))
        .max_frame_size(Some(TAKEN));
    let upgraded = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await;
    let (inner, answer) = upgraded.map_err(|error| failed(link, error))?;
    if chosen(&answer) != Some(subprotocol) {
        return Err(Error::Unexpected(format!(
            "the subprotocol is {}, not {subprotocol}",
            chosen(&answer).unwrap_or("none")
        )));
    }
    Ok(WebSocket {
        inner,
        rest: Bytes::new(),
    })
}

fn chosen<T>(answer: &Response<T>) -> Option<&str> {
    answer.headers().get(SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()
}

fn failed(link: &Link, error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Http(answer) => {
            let (head, body) = answer.into_parts();
            let reply = Reply {
                status: head.status.as_u16(),
                headers: head.headers,
                body: body.unwrap_or_default().into(),
            };
            match reply.accepted() {
                Err(refused) => refused,
                Ok(reply) => Error::Unexpected(format!("status {} in place of an upgrade", reply.status)),
            }
        }
        // The library counts a missing or different subprotocol among the faults of the protocol.
        tungstenite::Error::Protocol(fault) => Error::Unexpected(fault.to_string()),
        other => Error::Broken {
            host: link.place(),
            detail: other.to_string(),
        },
    }
}

fn broken(error: tungstenite::Error) -> io::Error {
    match error {
        tungstenite::Error::Io(error) => error,
        other => io::Error::other(other),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.rest.is_empty() {
            match ready!(Pin::new(&mut this.inner).poll_next(context)) {
                Some(Ok(Message::Binary(bytes))) => this.rest = bytes,
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Text(_))) => {
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "a message of text came, where bytes are spoken",
                    )));
                }
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
            }
        }
        let length = this.rest.len().min(buffer.remaining());
        buffer.put_slice(this.rest.get(..length).unwrap_or_default());
        this.rest.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let inner = &mut self.get_mut().inner;
        ready!(Pin::new(&mut *inner).poll_ready(context)).map_err(broken)?;
        let part = bytes.get(..bytes.len().min(SENT)).unwrap_or(bytes);
        let message = Message::Binary(Bytes::copy_from_slice(part));
        Pin::new(inner).start_send(message).map_err(broken)?;
        Poll::Ready(Ok(part.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner)
            .poll_flush(context)
            .map_err(broken)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner)
            .poll_close(context)
            .map_err(broken)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio_tungstenite::accept_hdr_async;
    use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

    use super::*;
    use crate::tls::{Alpn, Anchors, Trust};

    fn link() -> Link {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let anchors = Anchors::new(Trust::Roots(certified.cert.pem().into_bytes()));
        Link {
            host: "h.localhost".to_owned(),
            port: 8443,
            address: None,
            through: None,
            config: anchors.settings(Alpn::Http, None).unwrap(),
        }
    }

    /// Serves one connection that echoes bytes, and tells the path and the host that were asked for.
    #[expect(clippy::result_large_err, reason = "the form that the library takes")]
    async fn echo(stream: tokio::io::DuplexStream, chosen: Option<&'static str>) -> (String, String) {
        let mut asked = (String::new(), String::new());
        let accepted = accept_hdr_async(stream, |request: &Request, mut response: Response| {
            asked.0 = request.uri().path().to_owned();
            asked.1 = request.headers()["host"].to_str().unwrap().to_owned();
            assert_eq!(request.headers()["sec-websocket-protocol"], "mqtt");
            if let Some(chosen) = chosen {
                let value = HeaderValue::from_static(chosen);
                response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, value);
            }
            Ok(response)
        })
        .await;
        if let Ok(inner) = accepted {
            let mut socket = WebSocket {
                inner,
                rest: Bytes::new(),
            };
            let mut chunk = vec![0; 100_000];
            while let Ok(length @ 1..) = socket.read(&mut chunk).await {
                socket.write_all(&chunk[..length]).await.unwrap();
                socket.flush().await.unwrap();
            }
            let _ = socket.shutdown().await;
        }
        asked
    }

    #[tokio::test]
    async fn bytes_pass_whatever_the_messages_are() {
        let (near, far) = duplex(1000);
        let server = tokio::spawn(echo(far, Some("mqtt")));
        let socket = upgrade(&link(), near, "mqtt").await.unwrap();
        let sent: Vec<u8> = (0..=u8::MAX).cycle().take(150_000).collect();
        let (mut reader, mut writer) = tokio::io::split(socket);
        let write = async {
            writer.write_all(&sent).await.unwrap();
            writer.flush().await.unwrap();
        };
        let mut got = vec![0; sent.len()];
        let ((), read) = tokio::join!(write, reader.read_exact(&mut got));
        read.unwrap();
        assert!(got == sent);
        writer.shutdown().await.unwrap();
        assert_eq!(reader.read(&mut got).await.unwrap(), 0);
        let asked = server.await.unwrap();
        assert_eq!(
            asked,
            ("/$iothub/websocket".to_owned(), "h.localhost:8443".to_owned())
        );
    }

    #[tokio::test]
    async fn another_subprotocol_is_refused() {
        for chosen in [None, Some("amqp")] {
            let (near, far) = duplex(1000);
            let server = tokio::spawn(echo(far, chosen));
            let upgraded = upgrade(&link(), near, "mqtt").await;
            assert!(matches!(upgraded, Err(Error::Unexpected(_))), "{chosen:?}");
            drop(upgraded);
            server.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_server_without_websockets_is_told_by_its_status() {
        let (near, mut far) = duplex(1000);
        let server = tokio::spawn(async move {
            let mut chunk = [0; 1000];
            assert!(far.read(&mut chunk).await.unwrap() > 0);
            far.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                .await
                .unwrap();
        });
        let upgraded = upgrade(&link(), near, "mqtt").await;
        assert!(matches!(upgraded, Err(Error::Refused { status: 404, .. })));
        server.await.unwrap();
    }
}
