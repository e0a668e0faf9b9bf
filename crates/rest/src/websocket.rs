//! WebSockets: HTTP asks for them, and what is spoken inside is another gateway's.
//!
//! A device that reaches nothing but port 443 carries MQTT (later AMQP) in binary frames. Which frame begins where says
//! nothing about the packets inside, so that what comes out is a `net::Stream` like any other. The library keeps the
//! frames; who is let in is decided by the protocol inside, and any `Host` and `Origin` is taken. Source: RFC 6455; the
//! paths and subprotocols are those of the device SDKs, read 2026-11.

mod carrier;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use aws_lc_rs::digest;
use bytes::Bytes;
use data_encoding::BASE64;
use futures_core::Stream as _;
use futures_sink::Sink as _;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use muster_net::{Chunk, Drain, HyperStream, Peer, Stream, StreamService, Transport};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Error as FrameError};

use crate::backend::Backend;
use crate::body::Answer;
use carrier::Carrier;

/// Largest message, in bytes: larger than any packet inside, which is bounded by its own gateway.
const MAX_MESSAGE: usize = 512 * 1024;

/// Most bytes that are read at once, and kept for it while a connection lives.
const READ: usize = 4 * 1024;

/// What RFC 6455, section 1.3, has hashed behind the client's key.
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Paths on which an upgrade is taken. The C# client asks for `/`.
const PATHS: [&str; 2] = ["/", "/$iothub/websocket"];

/// A connection that has been promised to another protocol, once its answer is out.
#[derive(Default)]
pub(crate) struct Promise(Mutex<Option<(OnUpgrade, Arc<dyn StreamService>)>>);

impl Promise {
    /// Keeps the promise: speaks the other protocol until its end. Without one, nothing happens.
    pub(crate) async fn keep(&self, peer: Arc<Peer>, drain: Drain) {
        // A panic while it was written leaves a promise or none.
        let promised = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((upgrade, service)) = promised else {
            return;
        };
        let upgraded = match upgrade.await {
            Ok(upgraded) => upgraded,
            Err(error) => {
                tracing::debug!(peer.address = %peer.addr, %error, "an upgrade came to nothing");
                return;
            }
        };
        let Ok(parts) = upgraded.downcast::<HyperStream>() else {
            tracing::error!(peer.address = %peer.addr, "an upgraded connection is not one of ours");
            return;
        };
        let (stream, chunk) = parts.io.into_parts();
        let carrier = Carrier::new(stream, parts.read_buf, chunk);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ)
            .write_buffer_size(0)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let socket = WebSocketStream::from_raw_socket(carrier, Role::Server, Some(config)).await;
        let inside = Stream::new(Frames {
            socket,
            held: Bytes::new(),
            ended: false,
        });
        service.serve(inside, peer, drain).await;
    }
}

/// Tells whether a request asks for a WebSocket where one is offered.
pub(crate) fn is_asked(request: &Request<Incoming>) -> bool {
    let headers = request.headers();
    request.method() == Method::GET
        && PATHS
            .iter()
            .any(|path| request.uri().path().trim_end_matches('/') == path.trim_end_matches('/'))
        && has_token(headers, &UPGRADE, "websocket")
        && has_token(headers, &CONNECTION, "upgrade")
}

/// Answers a request for a WebSocket, and promises the connection where it is taken.
pub(crate) fn answer(
    backend: &Backend,
    promise: &Promise,
    request: &mut Request<Incoming>,
) -> Response<Answer> {
    let headers = request.headers();
    if !has_token(headers, &SEC_WEBSOCKET_VERSION, "13") {
        let mut response = plain(StatusCode::UPGRADE_REQUIRED);
        response
            .headers_mut()
            .insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return response;
    }
    let key = headers
        .get(SEC_WEBSOCKET_KEY)
        .filter(|key| BASE64.decode(key.as_bytes()).is_ok_and(|key| key.len() == 16));
    let (Some(key), Some((spelt, service))) = (key, subprotocol(backend, headers)) else {
        return plain(StatusCode::BAD_REQUEST);
    };
    let accept = accepting(key.as_bytes());
    let upgrade = hyper::upgrade::on(request);
    *promise.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((upgrade, service));
    let mut response = Response::new(Answer::Whole(None));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_PROTOCOL, spelt);
    // Base64 is a header value by its form.
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// The first subprotocol that is offered here, spelt as the client spelt it.
fn subprotocol(backend: &Backend, headers: &HeaderMap) -> Option<(HeaderValue, Arc<dyn StreamService>)> {
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter();
    let mut names = offered
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .map(str::trim);
    let name = names.find(|name| name.eq_ignore_ascii_case("mqtt"))?;
    Some((HeaderValue::from_str(name).ok()?, Arc::clone(&backend.mqtt)))
}

fn accepting(key: &[u8]) -> String {
    let mut hashed = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hashed.update(key);
    hashed.update(MAGIC);
    BASE64.encode(hashed.finish().as_ref())
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .any(|one| one.trim().eq_ignore_ascii_case(token))
}

fn plain(status: StatusCode) -> Response<Answer> {
    let mut response = Response::new(Answer::Whole(None));
    *response.status_mut() = status;
    response
}

/// The bytes inside the frames of a WebSocket.
struct Frames {
    socket: WebSocketStream<Carrier>,
    /// What came and was not taken yet.
    held: Bytes,
    ended: bool,
}

impl Transport for Frames {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.held.is_empty() && !self.ended {
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.held = bytes,
                // The library answers pings and a Close itself, while it is asked on; after a Close it says that it ends.
                Some(Ok(Message::Close(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Text(_))) => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                None => self.ended = true,
                Some(Err(error)) => return Poll::Ready(Err(of_frames(error))),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut Chunk) -> Poll<io::Result<()>> {
        ready!(self.poll_readable(cx))?;
        let taken = into.append(&self.held);
        let _ = self.held.split_to(taken);
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(of_frames)?;
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let count = bytes.len();
        if count > 0 {
            Pin::new(&mut self.socket)
                .start_send(Message::binary(bytes))
                .map_err(of_frames)?;
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(of_frames)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.socket).poll_close(cx)) {
            Ok(()) | Err(FrameError::ConnectionClosed | FrameError::AlreadyClosed) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(of_frames(error))),
        }
    }
}

fn of_frames(error: tungstenite::Error) -> io::Error {
    match error {
        FrameError::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accepting_hash_is_that_of_the_standard() {
        // RFC 6455, section 1.3.
        assert_eq!(
            accepting(b"dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn tokens_are_found_in_lists_without_case() {
        let mut headers = HeaderMap::new();
        headers.append(CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        assert!(has_token(&headers, &CONNECTION, "upgrade"));
        assert!(!has_token(&headers, &CONNECTION, "close"));
        assert!(!has_token(&headers, &UPGRADE, "websocket"));
    }
}
