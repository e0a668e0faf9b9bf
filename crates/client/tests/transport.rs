//! The transport against a small server on loopback, whose certificate is made for the test.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use muster_client::{Call, Credential, Error, Http, Server, Trust};
use muster_model::{ManualClock, SymmetricKey, Wall};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const HUB: &str = "muster-hub.azure-devices.muster.localhost";

/// What the server saw.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    calls: AtomicUsize,
}

struct Place {
    port: u16,
    ca: Vec<u8>,
    seen: Arc<Seen>,
}

/// Starts a server that closes each connection after `per_connection` calls.
async fn serve(per_connection: usize) -> Place {
    let certified = rcgen::generate_simple_self_signed([HUB.to_owned(), "localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Seen::default());
    let told = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, seen) = (acceptor.clone(), Arc::clone(&told));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(socket).await else {
                    return;
                };
                seen.connections.fetch_add(1, Ordering::SeqCst);
                let served = Arc::new(AtomicUsize::new(0));
                let answering = service_fn(move |request| {
                    seen.calls.fetch_add(1, Ordering::SeqCst);
                    let last = served.fetch_add(1, Ordering::SeqCst) + 1 >= per_connection;
                    answer(request, last)
                });
                // A client that goes ends the connection in its own way.
                let _ = http1::Builder::new()
                    .serve_connection(Stream(stream), answering)
                    .await;
            });
        }
    });
    Place {
        port,
        ca: certified.cert.pem().into_bytes(),
        seen,
    }
}

async fn answer(request: Request<Incoming>, last: bool) -> Result<Response<Full<Bytes>>, Infallible> {
    let header = |name: &str| {
        let value = request.headers().get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let mut response = match request.uri().path() {
        "/slow" => {
            tokio::time::sleep(Duration::from_mins(10)).await;
            Response::new(Full::default())
        }
        "/large" => Response::new(Full::from(vec![b' '; (64 << 20) + 1])),
        "/refused" => {
            let body =
                r#"{"errorCode":401002,"trackingId":"t-1","message":"Unauthorized","timestampUtc":"x"}"#;
            let mut response = Response::new(Full::from(body));
            *response.status_mut() = http::StatusCode::UNAUTHORIZED;
            response
        }
        _ => {
            let body =
                serde_json::json!({ "host": header("host"), "authorization": header("authorization") });
            Response::new(Full::from(body.to_string()))
        }
    };
    if last {
        response
            .headers_mut()
            .insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
    }
    Ok(response)
}

fn client(place: &Place) -> Http {
    Http::new(HUB, place.port, None, &Trust::Roots(place.ca.clone()), None).unwrap()
}

fn get(path: &str) -> Call {
    Call::new(Method::GET, path)
}

#[tokio::test]
async fn a_connection_is_kept_and_opened_anew_when_it_was_closed() {
    let place = serve(3).await;
    let http = client(&place);
    for _ in 0..7 {
        let reply = http.send(&get("/")).await.unwrap();
        assert_eq!(reply.status, 200);
    }
    assert_eq!(place.seen.calls.load(Ordering::SeqCst), 7);
    assert_eq!(place.seen.connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_localhost_name_leads_to_loopback_and_stands_in_host() {
    let place = serve(usize::MAX).await;
    let reply = client(&place).send(&get("/")).await.unwrap();
    let host = format!("{HUB}:{}", place.port);
    assert_eq!(reply.json().unwrap().get("host"), Some(&host.into()));
}

#[tokio::test]
async fn a_name_is_reached_through_another() {
    let place = serve(usize::MAX).await;
    let trust = Trust::Roots(place.ca.clone());
    let http = Http::new(HUB, place.port, None, &trust, None)
        .unwrap()
        .reached_through("127.0.0.1");
    assert_eq!(http.send(&get("/")).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_server_under_another_name_or_root_is_refused() {
    let (place, stranger) = (serve(usize::MAX).await, serve(usize::MAX).await);
    let trust = Trust::Roots(place.ca.clone());
    let wrong_name = Http::new("other.muster.localhost", place.port, None, &trust, None).unwrap();
    assert!(matches!(wrong_name.send(&get("/")).await, Err(Error::Tls { .. })));
    let wrong_root = Http::new(HUB, stranger.port, None, &trust, None).unwrap();
    assert!(matches!(wrong_root.send(&get("/")).await, Err(Error::Tls { .. })));
    assert!(Http::new(HUB, place.port, None, &Trust::Roots(b"none".to_vec()), None).is_err());
}

#[tokio::test]
async fn answers_are_bounded_in_size() {
    let place = serve(usize::MAX).await;
    let error = client(&place).send(&get("/large")).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn answers_are_bounded_in_time_and_the_next_call_works() {
    let place = serve(usize::MAX).await;
    let http = client(&place).with_call_time(Duration::from_millis(300));
    let error = http.send(&get("/slow")).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    let http = http.with_call_time(Duration::from_secs(30));
    assert_eq!(http.send(&get("/")).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_refusal_carries_the_servers_words() {
    let place = serve(usize::MAX).await;
    let reply = client(&place).send(&get("/refused")).await.unwrap();
    let error = reply.accepted().unwrap_err();
    assert_eq!(
        error.to_string(),
        "refused with 401 (401002): Unauthorized; tracking id t-1"
    );
}

#[tokio::test]
async fn a_key_signs_for_the_resource_and_a_bearer_token_goes_as_it_is() {
    let place = serve(usize::MAX).await;
    let server = Server::at("localhost", place.port, Trust::Roots(place.ca.clone()));
    let clock = || Arc::new(ManualClock::at(Wall::from_seconds(1_000)));
    let key = SymmetricKey::new(vec![7; 32]).unwrap();
    let credential = Credential::Key {
        policy: Some("iothubowner".into()),
        key: key.clone(),
    };
    let shown = |reply: serde_json::Value| {
        let value = reply.get("authorization").and_then(serde_json::Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let channel = server.channel(HUB, HUB, credential, clock()).unwrap();
    let token = shown(channel.json(get("/")).await.unwrap());
    let token = muster_wire::sas::parse(&token).unwrap();
    assert!(muster_wire::sas::signature_matches(&token, key.bytes()));
    assert_eq!(token.resource, HUB);
    assert_eq!(token.policy.as_deref(), Some("iothubowner"));
    assert_eq!(token.expiry, Wall::from_seconds(4_600));
    let bearer = Credential::Bearer("secret".to_owned().into());
    let channel = server.channel(HUB, HUB, bearer, clock()).unwrap();
    assert_eq!(shown(channel.json(get("/")).await.unwrap()), "Bearer secret");
}

#[tokio::test]
async fn a_call_never_shows_its_credential_or_body() {
    let call = get("/")
        .authorization("Bearer secret")
        .json("{\"key\":\"secret\"}");
    let shown = format!("{call:?} {:?}", call.headers);
    assert!(!shown.contains("secret"), "{shown}");
}

/// The runtime's stream as the HTTP library takes it.
struct Stream<T>(T);

impl<T: AsyncRead + Unpin> Read for Stream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut space = vec![0; cursor.remaining().min(16 * 1024)];
        let mut buffer = ReadBuf::new(&mut space);
        let read = Pin::new(&mut self.0).poll_read(context, &mut buffer);
        if matches!(read, Poll::Ready(Ok(()))) {
            cursor.put_slice(buffer.filled());
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> Write for Stream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
