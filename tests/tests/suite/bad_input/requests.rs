//! Requests that are none, or not quite: targets, heads, framing, and callers that take their time.

use super::{DPS, GLOBAL, HUB, has_form, stored, tells_nothing, unharmed};
use crate::raw::{Case, Reply, send};
use crate::stage::Stage;

fn get(host: &str, target: &str) -> Case {
    Case::new(
        host,
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
    )
}

/// Asserts one answer with one of the statuses.
fn one(reply: &Reply, what: &str, statuses: &[u16]) {
    let found = reply.statuses();
    let [status] = found.as_slice() else {
        panic!("{what}: {found:?} in {reply:?}")
    };
    assert!(statuses.contains(status), "{what}: {reply:?}");
}

#[test]
fn targets_that_play_tricks_lead_nowhere() {
    let stage = Stage::new();
    let before = stored(&stage);
    let long = format!("/devices/{}", "x".repeat(9_000));
    let many = "/a".repeat(2_000);
    let targets = [
        "/%2e%2e/devices/device-01?api-version=2021-04-12",
        "/devices/../devices/device-01?api-version=2021-04-12",
        "/devices/%2e%2e%2fdevices?api-version=2021-04-12",
        "/devices/..%2f..%2f..%2fetc%2fpasswd?api-version=2021-04-12",
        "/devices%2Fdevice-01?api-version=2021-04-12",
        "/devices/device-01%00?api-version=2021-04-12",
        "/devices/%ff%fe?api-version=2021-04-12",
        "/devices/%?api-version=2021-04-12",
        "/devices/device-01%0d%0aX-Injected:%201?api-version=2021-04-12",
        "/./devices?api-version=2021-04-12",
        "/muster/refusals?last=1",
        "/subscriptions?api-version=2022-01-01",
        "/.git/config",
        "/registry/registry.db",
        &long,
        &many,
    ];
    for (host, surface) in [(HUB, "hub"), (DPS, "dps"), (GLOBAL, "dps")] {
        let cases: Vec<Case> = targets.iter().map(|target| get(host, target)).collect();
        for (target, reply) in targets.iter().zip(send(&stage, &cases)) {
            let what = format!("{host} {}", target.get(..60).unwrap_or(target));
            one(&reply, &what, &[400, 401, 404, 405, 414]);
            let status = reply.statuses()[0];
            has_form(surface, status, reply.body());
            assert!(
                !reply.text.to_ascii_lowercase().contains("x-injected"),
                "{reply:?}"
            );
            tells_nothing(&stage, &reply.text);
        }
    }
    // Slashes that are doubled or trail are what clients send, and change nothing.
    let cases = [
        get(HUB, "//devices//device-01/?api-version=2021-04-12"),
        get(HUB, "/DEVICES/device-01?api-version=2021-04-12"),
    ];
    for reply in send(&stage, &cases) {
        one(&reply, "doubled slashes", &[401]);
    }
    unharmed(&stage, &before);
}

#[test]
fn heads_that_are_none_end_the_connection() {
    let stage = Stage::new();
    let before = stored(&stage);
    let flood = "X-Flood: 1\r\n".repeat(300);
    let wide = format!("X-Wide: {}\r\n", "x".repeat(200_000));
    let line = format!("GET /{} HTTP/1.1\r\nHost: {HUB}\r\n\r\n", "x".repeat(200_000));
    let bad: Vec<(&str, Vec<u8>)> = vec![
        ("garbage", b"\x00\x01\x02\x03\xff\xff\r\n\r\n".to_vec()),
        ("a line without a version", b"GET /devices\r\n\r\n".to_vec()),
        ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("a version that is none", format!("GET / HTTP/9.9\r\nHost: {HUB}\r\n\r\n").into_bytes()),
        ("a name with a blank", format!("GET / HTTP/1.1\r\nHost : {HUB}\r\n\r\n").into_bytes()),
        ("a folded header", format!("GET / HTTP/1.1\r\nHost: {HUB}\r\nX: a\r\n b\r\n\r\n").into_bytes()),
        ("a NUL in a header", format!("GET / HTTP/1.1\r\nHost: {HUB}\r\nX: a\0b\r\n\r\n").into_bytes()),
        ("three hundred headers", format!("GET / HTTP/1.1\r\nHost: {HUB}\r\n{flood}\r\n").into_bytes()),
        ("a header that is too wide", format!("GET / HTTP/1.1\r\nHost: {HUB}\r\n{wide}\r\n").into_bytes()),
        ("a line that is too long", line.into_bytes()),
        ("two lengths", format!("POST /devices HTTP/1.1\r\nHost: {HUB}\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!").into_bytes()),
        ("two lengths in one", format!("POST /devices HTTP/1.1\r\nHost: {HUB}\r\nContent-Length: 5, 6\r\n\r\nhello!").into_bytes()),
        ("a length below nothing", format!("POST /devices HTTP/1.1\r\nHost: {HUB}\r\nContent-Length: -1\r\n\r\n").into_bytes()),
        ("a length with a sign", format!("POST /devices HTTP/1.1\r\nHost: {HUB}\r\nContent-Length: +5\r\n\r\nhello").into_bytes()),
        ("a length beyond all", format!("POST /devices HTTP/1.1\r\nHost: {HUB}\r\nContent-Length: 99999999999999999999\r\n\r\n").into_bytes()),
        ("a coding that is not the last", format!("POST /devices HTTP/1.1\r\nHost: {HUB}\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n").into_bytes()),
        ("a coding that is none", format!("POST /devices HTTP/1.1\r\nHost: {HUB}\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n").into_bytes()),
        ("plain HTTP/1.0 in chunks", format!("POST /devices HTTP/1.0\r\nHost: {HUB}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").into_bytes()),
        ("two hosts", format!("GET /devices?api-version=2021-04-12 HTTP/1.1\r\nHost: {HUB}\r\nHost: localhost\r\nConnection: close\r\n\r\n").into_bytes()),
    ];
    let cases: Vec<Case> = bad
        .iter()
        .map(|(_, bytes)| Case::new(HUB, bytes).patience(30))
        .collect();
    for ((what, _), reply) in bad.iter().zip(send(&stage, &cases)) {
        assert!(reply.ended, "{what}: the connection is still open: {reply:?}");
        // Some are not even answered; none is answered as if it were good.
        assert!(
            reply
                .statuses()
                .iter()
                .all(|status| matches!(status, 400 | 414 | 431 | 505)),
            "{what}: {reply:?}"
        );
        tells_nothing(&stage, &reply.text);
    }
    unharmed(&stage, &before);
}

/// A request with both framings must not carry a second one past whoever stands before the server.
#[test]
fn nothing_is_smuggled_behind_two_framings() {
    let stage = Stage::new();
    let before = stored(&stage);
    let hidden = format!("GET /healthz HTTP/1.1\r\nHost: {HUB}\r\n\r\n");
    let both = |first: &str, second: &str, body: &str| {
        format!(
            "POST /devices?api-version=2021-04-12 HTTP/1.1\r\nHost: {HUB}\r\n{first}\r\n{second}\r\n\r\n{body}"
        )
    };
    let in_chunks = format!("0\r\n\r\n{hidden}");
    let length = format!("Content-Length: {}", in_chunks.len());
    let cases = [
        Case::new(HUB, both(&length, "Transfer-Encoding: chunked", &in_chunks)).patience(30),
        Case::new(HUB, both("Transfer-Encoding: chunked", &length, &in_chunks)).patience(30),
        Case::new(HUB, both(&length, "transfer-encoding : chunked", &in_chunks)).patience(30),
        Case::new(HUB, both(&length, "Transfer-Encoding:\u{b}chunked", &in_chunks)).patience(30),
    ];
    for (number, reply) in send(&stage, &cases).iter().enumerate() {
        assert!(reply.ended, "{number}: {reply:?}");
        assert!(
            reply.statuses().len() <= 1 && !reply.text.contains("alive"),
            "{number}: {reply:?}"
        );
    }
    unharmed(&stage, &before);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a list of requests, one after the other")]
fn unusual_requests_are_answered_all_the_same() {
    let stage = Stage::new();
    let before = stored(&stage);
    let request = |head: &str| format!("{head}\r\nConnection: close\r\n\r\n");
    let list = "/devices?api-version=2021-04-12";
    let cases: Vec<(&str, Case, &[u16])> = vec![
        (
            "an absolute target",
            Case::new(
                "localhost",
                request(&format!("GET https://{HUB}{list} HTTP/1.1\r\nHost: localhost")),
            ),
            &[401],
        ),
        (
            "HTTP/1.0",
            Case::new(HUB, request(&format!("GET {list} HTTP/1.0\r\nHost: {HUB}"))),
            &[401],
        ),
        (
            "no Host, and the name of the handshake",
            Case::new(HUB, request(&format!("GET {list} HTTP/1.0"))),
            &[401],
        ),
        (
            "an empty Host",
            Case::new(HUB, request(&format!("GET {list} HTTP/1.1\r\nHost:"))),
            &[400, 401, 404],
        ),
        (
            "a Host of nowhere",
            Case::new(
                HUB,
                request(&format!("GET {list} HTTP/1.1\r\nHost: nowhere.example")),
            ),
            &[404],
        ),
        (
            "a Host that is none",
            Case::new(
                HUB,
                request(&format!("GET {list} HTTP/1.1\r\nHost: a b/c@d:99999")),
            ),
            &[400, 404],
        ),
        (
            "OPTIONS",
            Case::new(HUB, request(&format!("OPTIONS {list} HTTP/1.1\r\nHost: {HUB}"))),
            &[405],
        ),
        (
            "OPTIONS of all",
            Case::new(HUB, request(&format!("OPTIONS * HTTP/1.1\r\nHost: {HUB}"))),
            &[400, 404, 405],
        ),
        (
            "TRACE",
            Case::new(HUB, request(&format!("TRACE {list} HTTP/1.1\r\nHost: {HUB}"))),
            &[405],
        ),
        (
            "CONNECT",
            Case::new(
                HUB,
                request(&format!("CONNECT {HUB}:443 HTTP/1.1\r\nHost: {HUB}")),
            ),
            &[400, 404, 405],
        ),
        (
            "a method of its own",
            Case::new(HUB, request(&format!("BREW {list} HTTP/1.1\r\nHost: {HUB}"))),
            &[405],
        ),
        (
            "a small method",
            Case::new(HUB, request(&format!("get {list} HTTP/1.1\r\nHost: {HUB}"))),
            &[405],
        ),
        (
            "an expectation of its own",
            Case::new(
                HUB,
                request(&format!("GET {list} HTTP/1.1\r\nHost: {HUB}\r\nExpect: rain")),
            ),
            &[401, 417],
        ),
        (
            "an upgrade",
            Case::new(
                HUB,
                request(&format!("GET {list} HTTP/1.1\r\nHost: {HUB}\r\nUpgrade: h2c")),
            ),
            &[401],
        ),
    ];
    let (told, cases): (Vec<_>, Vec<_>) = cases
        .into_iter()
        .map(|(what, case, statuses)| ((what, statuses), case))
        .unzip();
    for ((what, statuses), reply) in told.iter().zip(send(&stage, &cases)) {
        one(&reply, what, statuses);
        tells_nothing(&stage, &reply.text);
        if !reply.text.starts_with("HTTP/1.1 400") && !reply.text.starts_with("HTTP/1.0 400") {
            has_form("hub", reply.statuses()[0], reply.body());
        }
    }
    // HEAD has the head alone.
    let head = Case::new("localhost", request("HEAD /healthz HTTP/1.1\r\nHost: localhost"));
    let reply = send(&stage, &[head]).remove(0);
    assert_eq!(reply.statuses().len(), 1, "{reply:?}");
    assert!(reply.text.ends_with("\r\n\r\n"), "{reply:?}");
    // An expected `100 Continue` comes when the body is wanted, and only then.
    let continued = format!(
        "PUT /{}/registrations/device-01/register?api-version=2021-06-01 HTTP/1.1\r\nHost: {GLOBAL}\r\nContent-Length: 2\r\n\
         Content-Type: application/json\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n{{}}",
        stage.id_scope()
    );
    let reply = send(&stage, &[Case::new(GLOBAL, continued)]).remove(0);
    assert_eq!(reply.statuses().last(), Some(&401), "{reply:?}");
    unharmed(&stage, &before);
}

#[test]
fn who_takes_too_long_is_let_go() {
    let stage = Stage::configured(
        "[limits]\nhandshake_time = \"400ms\"\nidle_time = \"700ms\"\nbody_time = \"700ms\"\n",
    );
    let before = stored(&stage);
    let head = format!(
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {}",
        "x".repeat(2_000)
    );
    let body = format!(
        "PUT /{}/registrations/device-01/register?api-version=2021-06-01 HTTP/1.1\r\nHost: {GLOBAL}\r\n\
         Content-Type: application/json\r\nContent-Length: 4000\r\n\r\n",
        stage.id_scope()
    );
    // The first bytes of a handshake, whose rest never comes.
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let cases = [
        Case::plain("").patience(60),
        Case::plain(hello).patience(60),
        Case::plain(hello).trickle([0; 400]).patience(60),
        Case::plain("GET / HTTP/1.1\r\n\r\n").patience(60),
        Case::new("localhost", "").patience(60),
        Case::new("localhost", "GET /healthz HT").patience(60),
        Case::new("localhost", "").trickle(&head).patience(60),
        Case::new(GLOBAL, &body).patience(60),
        Case::new(GLOBAL, &body).trickle([b' '; 4_000]).patience(60),
    ];
    for (number, reply) in send(&stage, &cases).iter().enumerate() {
        assert!(reply.ended, "{number} is still connected: {reply:?}");
        assert!(reply.sent < 1_900, "{number} could send for ever: {reply:?}");
        assert!(
            reply.statuses().iter().all(|status| (400..500).contains(status)),
            "{number}: {reply:?}"
        );
    }
    unharmed(&stage, &before);
}
