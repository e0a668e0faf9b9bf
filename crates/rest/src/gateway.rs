//! Serves HTTP/1.1 on a stream: bounds, keep-alive, drain, and one access line for each request: at `info`, and at
//! `debug` for telemetry that was taken.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use muster_net::{BoxFuture, Drain, HyperTimer, Peer, Stream, StreamService};

use crate::backend::Backend;
use crate::body::Answer;
use crate::caller::Caller;
use crate::dispatch;
use crate::router::Surface;
use crate::websocket::{self, Promise};

/// Largest head of a request, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// Most headers of a request.
const MAX_HEADERS: usize = 128;

/// Bounds of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How long a connection may be idle, or take to send the head of a request.
    pub idle_time: Duration,
    /// How long a caller may take to send a body.
    pub body_time: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            idle_time: Duration::from_mins(2),
            body_time: Duration::from_secs(30),
        }
    }
}

/// The HTTP gateway.
pub struct Gateway {
    backend: Arc<Backend>,
}

impl Gateway {
    /// Makes a gateway over what it calls.
    pub fn new(backend: Arc<Backend>) -> Self {
        Self { backend }
    }
}

impl StreamService for Gateway {
    fn serve(&self, stream: Stream, peer: Arc<Peer>, drain: Drain) -> BoxFuture<()> {
        let backend = Arc::clone(&self.backend);
        Box::pin(async move {
            let caller = Arc::new(Caller::new(&peer));
            let config = backend.config;
            let promise = Arc::new(Promise::default());
            let answer = service_fn({
                let (backend, drain, promise) = (Arc::clone(&backend), drain.clone(), Arc::clone(&promise));
                move |mut request: Request<Incoming>| {
                    let (backend, caller, drain) = (Arc::clone(&backend), Arc::clone(&caller), drain.clone());
                    let promise = Arc::clone(&promise);
                    async move {
                        if websocket::is_asked(&request) {
                            return Ok(upgrade(&backend, &caller, &promise, &mut request));
                        }
                        Ok::<_, Infallible>(answer(&backend, &caller, &drain, request).await)
                    }
                }
            });
            let mut connection = Box::pin(
                http1::Builder::new()
                    .timer(HyperTimer)
                    .header_read_timeout(config.idle_time)
                    .max_buf_size(MAX_HEAD)
                    .max_headers(MAX_HEADERS)
                    .half_close(false)
                    .serve_connection(stream.into_hyper(), answer)
                    .with_upgrades(),
            );
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = drain.begun() => {
                    // The request that is under way is answered; then the connection closes.
                    connection.as_mut().graceful_shutdown();
                    connection.as_mut().await
                }
            };
            drop(connection);
            if let Err(error) = ended {
                tracing::debug!(peer.address = %peer.addr, %error, "a connection ended early");
            } else {
                // It keeps its place among the connections while another protocol is spoken on it.
                promise.keep(peer, drain).await;
            }
        })
    }
}

/// Answers a request for a WebSocket.
fn upgrade(
    backend: &Backend,
    caller: &Caller,
    promise: &Promise,
    request: &mut Request<Incoming>,
) -> Response<Answer> {
    let response = websocket::answer(backend, promise, request);
    let status = response.status().as_u16();
    tracing::info!(
        target: "muster::access",
        {
            peer.address = %caller.address,
            http.method = "GET",
            http.operation = "WebSocket",
            http.status = status,
        },
        "answered"
    );
    crate::metrics::answered(None, status, Duration::ZERO);
    response
}

async fn answer(
    backend: &Arc<Backend>,
    caller: &Arc<Caller>,
    drain: &Drain,
    request: Request<Incoming>,
) -> Response<Answer> {
    let started = backend.clock.mono();
    let method = request.method().clone();
    let size = hyper::body::Body::size_hint(request.body()).exact();
    let done = dispatch::dispatch(backend, caller, drain, request).await;
    let mut response = done.response;
    // A GUID in text is a header value by its form.
    if let Ok(value) = HeaderValue::from_str(&done.tracking.to_string()) {
        response.headers_mut().insert("x-ms-request-id", value);
    }
    response
        .headers_mut()
        .entry(http::header::SERVER)
        .or_insert(HeaderValue::from_static("Muster"));
    response
        .headers_mut()
        .entry(http::header::STRICT_TRANSPORT_SECURITY)
        .or_insert(HeaderValue::from_static("max-age=31536000; includeSubDomains"));
    let status = response.status().as_u16();
    let took = backend.clock.mono().since(started);
    crate::metrics::answered(done.surface, status, took);
    macro_rules! access_line {
        ($level:ident) => {
            tracing::$level!(
                target: "muster::access",
                {
                    peer.address = %caller.address,
                    http.method = %method,
                    http.operation = done.operation,
                    http.status = status,
                    size_bytes = size,
                    duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                    error.code = done.error,
                    error.reason = done.reason.map(muster_model::ReasonCode::as_str),
                    tracking.id = %done.tracking,
                    target.name = done.trail.target.as_deref(),
                    device.id = done.trail.device.as_deref(),
                    registration.id = done.trail.registration.as_deref(),
                },
                "answered"
            )
        };
    }
    // What a device sends all day long and what went well is detail: it is counted, and in the event log.
    if done.surface == Some(Surface::HubDevice) && response.status().is_success() {
        access_line!(debug);
    } else {
        access_line!(info);
    }
    response
}
