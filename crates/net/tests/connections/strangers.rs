//! Clients that share no code with this server: openssl and curl.

use std::convert::Infallible;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use muster_net::{BoxFuture, Drain, HandshakeCode, Limits, Peer, Stream, StreamService, TlsVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

use crate::certificates::openssl;
use crate::support::{Fixture, NAME, PATIENCE};

/// Answers each HTTP request with what was asked and who asked.
struct Http;

impl StreamService for Http {
    fn serve(&self, stream: Stream, peer: Arc<Peer>, _drain: Drain) -> BoxFuture<()> {
        Box::pin(async move {
            let answer = |request: Request<Incoming>| {
                let peer = Arc::clone(&peer);
                async move {
                    let path = request.uri().path().to_owned();
                    let sent = request.into_body().collect().await.unwrap().to_bytes().len();
                    let said = format!("{path} {sent} {} {:?}", peer.chain.len(), peer.alpn);
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(said))))
                }
            };
            // A client that goes away is no failure of the test; what it got is looked at there.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(stream.into_hyper(), service_fn(answer))
                .await;
        })
    }
}

async fn run(folder: &Path, program: &str, args: &[&str], input: &[u8]) -> (bool, String) {
    let mut child = Command::new(program)
        .current_dir(folder)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that was refused may have closed its input already.
    let _ = stdin.write_all(input).await;
    let waited = timeout(PATIENCE, child.wait_with_output());
    drop(stdin);
    let output = waited.await.unwrap().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// A device's key and v1 certificate as the older tools make them.
fn device(folder: &Path) {
    openssl(
        folder,
        "req -new -newkey rsa:2048 -nodes -keyout device.key -out device.csr -subj /CN=device",
    );
    openssl(
        folder,
        "x509 -req -in device.csr -signkey device.key -days 3 -out device.pem",
    );
}

#[tokio::test]
async fn curl_speaks_http_with_and_without_a_certificate() {
    let fixture = Fixture::start_with(Limits::default(), |_| Arc::new(Http));
    let folder = tempfile::tempdir().unwrap();
    device(folder.path());
    let url = format!("https://localhost:{}/telemetry", fixture.addr.port());
    let ca = fixture.ca_file.to_str().unwrap();
    for version in [&["--tls-max", "1.2"], &["--tlsv1.3", "--http1.1"]] {
        let (ok, said) = run(
            folder.path(),
            "curl",
            &[&["-sS", "--cacert", ca, &url], &version[..]].concat(),
            b"",
        )
        .await;
        assert!(ok && said.contains("/telemetry 0 0 Some(\"http/1.1\")"), "{said}");
        let with = [
            "-sS",
            "--cacert",
            ca,
            "--cert",
            "device.pem",
            "--key",
            "device.key",
            "--data-binary",
            "@-",
            &url,
        ];
        let (ok, said) = run(
            folder.path(),
            "curl",
            &[&with, &version[..]].concat(),
            &vec![b'x'; 200_000],
        )
        .await;
        assert!(
            ok && said.contains("/telemetry 200000 1 Some(\"http/1.1\")"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn curl_reuses_one_connection() {
    let fixture = Fixture::start_with(Limits::default(), |_| Arc::new(Http));
    let url = format!("https://localhost:{}/[1-3]", fixture.addr.port());
    let ca = fixture.ca_file.to_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (ok, said) = run(folder.path(), "curl", &["-v", "--cacert", ca, &url], b"").await;
    assert!(ok && said.contains("/3 0 0"), "{said}");
    assert!(said.contains("Re-using existing connection"), "{said}");
}

#[tokio::test]
async fn openssl_is_asked_for_a_certificate_of_no_particular_issuer() {
    let mut fixture = Fixture::start();
    let folder = tempfile::tempdir().unwrap();
    device(folder.path());
    let to = fixture.addr.to_string();
    let ca = fixture.ca_file.to_str().unwrap().to_owned();
    for (flag, version) in [("-tls1_2", TlsVersion::V1_2), ("-tls1_3", TlsVersion::V1_3)] {
        let args = [
            "s_client",
            "-connect",
            &to,
            flag,
            "-CAfile",
            &ca,
            "-verify_return_error",
            "-servername",
            NAME,
            "-cert",
            "device.pem",
            "-key",
            "device.key",
        ];
        // `Q` ends the client in order once the handshake is done.
        let (ok, said) = run(folder.path(), "openssl", &args, b"Q\n").await;
        assert!(
            ok && said.contains("No client certificate CA names sent"),
            "{said}"
        );
        assert!(said.contains("Verify return code: 0"), "{said}");
        let peer = fixture.peer().await;
        assert_eq!((peer.chain.len(), peer.tls_version), (1, Some(version)));
        assert_eq!(peer.server_name.as_deref(), Some(NAME));
    }
}

#[tokio::test]
async fn openssl_without_a_certificate_is_served() {
    let mut fixture = Fixture::start();
    let folder = tempfile::tempdir().unwrap();
    let to = fixture.addr.to_string();
    for flag in ["-tls1_2", "-tls1_3"] {
        let args = ["s_client", "-connect", &to, flag, "-noservername"];
        let (ok, said) = run(folder.path(), "openssl", &args, b"Q\n").await;
        assert!(ok, "{said}");
        let peer = fixture.peer().await;
        assert!(peer.chain.is_empty() && peer.server_name.is_none() && peer.alpn.is_none());
    }
}

/// Connects, waits for an echo, which comes behind the tickets, and ends in order.
async fn openssl_visit(folder: &Path, args: &[&str]) {
    let mut child = Command::new("openssl")
        .current_dir(folder)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdin.write_all(b"an echo\n").await.unwrap();
    // What the client says of the session may stand before, behind and around the echo.
    let mut said = Vec::new();
    while !String::from_utf8_lossy(&said).contains("an echo") {
        assert_ne!(
            stdout.read_buf(&mut said).await.unwrap(),
            0,
            "the client ended without an echo"
        );
    }
    stdin.write_all(b"Q\n").await.unwrap();
    stdout.read_to_end(&mut said).await.unwrap();
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test]
async fn openssl_resumes_over_both_versions() {
    for flag in ["-tls1_2", "-tls1_3"] {
        let mut fixture = Fixture::start();
        let folder = tempfile::tempdir().unwrap();
        device(folder.path());
        let to = fixture.addr.to_string();
        let visit = [
            "s_client",
            "-connect",
            &to,
            flag,
            "-cert",
            "device.pem",
            "-key",
            "device.key",
        ];
        openssl_visit(
            folder.path(),
            &[&visit[..], &["-sess_out", "session.pem"]].concat(),
        )
        .await;
        let first = fixture.peer().await;
        assert!(!first.resumed);
        openssl_visit(
            folder.path(),
            &[&visit[..], &["-sess_in", "session.pem"]].concat(),
        )
        .await;
        let second = fixture.peer().await;
        assert!(second.resumed, "{flag}");
        assert_eq!(first.chain, second.chain);
    }
}

#[tokio::test]
async fn old_versions_are_refused() {
    let mut fixture = Fixture::start();
    let folder = tempfile::tempdir().unwrap();
    let to = fixture.addr.to_string();
    let args = [
        "s_client",
        "-connect",
        &to,
        "-tls1_1",
        "-cipher",
        "ALL:@SECLEVEL=0",
    ];
    let (ok, said) = run(folder.path(), "openssl", &args, b"Q\n").await;
    assert!(!ok, "{said}");
    assert_eq!(fixture.failure().await.code, HandshakeCode::NothingInCommon);
}
