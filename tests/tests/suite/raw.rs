//! Requests that no HTTP library would send: bytes on a TLS connection, by Python's own `ssl`.

use std::fs;

use data_encoding::HEXLOWER;
use muster_tests::python;
use serde_json::{Value, json};

use crate::stage::Stage;

/// Sends each case on a connection of its own and reads until the server hangs up, or for a while where it need not.
/// A case with a pause trickles: it sends its last part byte by byte, and counts how far it came.
const PROGRAM: &str = r"
import json, socket, ssl, sys, time
host, port, root = sys.argv[1], int(sys.argv[2]), sys.argv[3]
answers = []
for case in json.load(open('cases.json')):
    plain = socket.create_connection((host, port), timeout=30)
    stream, answer, ended, sent = plain, b'', False, 0
    try:
        if case['tls']:
            context = ssl.create_default_context(cafile=root)
            stream = context.wrap_socket(plain, server_hostname=case['name'])
        stream.sendall(bytes.fromhex(case['bytes']))
        for byte in bytes.fromhex(case['trickle']):
            stream.settimeout(0.05)
            try:
                part = stream.recv(65536)
                answer += part
                if not part:
                    ended = True
                    break
            except (socket.timeout, ssl.SSLWantReadError):
                pass
            stream.settimeout(30)
            stream.sendall(bytes([byte]))
            sent += 1
        stream.settimeout(case['patience'])
        while not ended:
            part = stream.recv(65536)
            answer += part
            ended = not part
    except (socket.timeout, TimeoutError):
        pass
    except (ssl.SSLError, OSError):
        ended = True
    finally:
        stream.close()
    answers.append({'answer': answer.hex(), 'ended': ended, 'sent': sent})
print(json.dumps(answers))
";

/// Bytes to send, and how.
pub(crate) struct Case {
    value: Value,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    /// Everything that came, as text.
    pub(crate) text: String,
    /// Whether the server hung up.
    pub(crate) ended: bool,
    /// How many bytes of a trickle were taken.
    pub(crate) sent: u64,
}

impl Case {
    /// Sends bytes behind a handshake with this server name.
    pub(crate) fn new(name: &str, bytes: impl AsRef<[u8]>) -> Self {
        Self {
            value: json!({
                "tls": true, "name": name, "bytes": HEXLOWER.encode(bytes.as_ref()), "trickle": "", "patience": 2,
            }),
        }
    }

    /// Sends bytes without a handshake.
    pub(crate) fn plain(bytes: impl AsRef<[u8]>) -> Self {
        let mut case = Self::new("", bytes);
        case.value["tls"] = false.into();
        case
    }

    /// Sends more, byte by byte.
    pub(crate) fn trickle(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.value["trickle"] = HEXLOWER.encode(bytes.as_ref()).into();
        self
    }

    /// Waits so many seconds for the end, in place of two: for a case that the server has to end.
    pub(crate) fn patience(mut self, seconds: u32) -> Self {
        self.value["patience"] = seconds.into();
        self
    }
}

impl Reply {
    /// The statuses of all answers, in order.
    pub(crate) fn statuses(&self) -> Vec<u16> {
        self.text
            .split("HTTP/1.")
            .skip(1)
            .filter_map(|answer| answer.get(2..5)?.parse().ok())
            .collect()
    }

    /// The body of the last answer.
    pub(crate) fn body(&self) -> &str {
        self.text.rsplit("\r\n\r\n").next().unwrap_or_default()
    }
}

/// Sends every case in order.
pub(crate) fn send(stage: &Stage, cases: &[Case]) -> Vec<Reply> {
    let list: Vec<&Value> = cases.iter().map(|case| &case.value).collect();
    fs::write(stage.folder().join("cases.json"), json!(list).to_string()).expect("to write the cases");
    let address = stage.server.https();
    let root = stage.server.root().display().to_string();
    let arguments = [&address.ip().to_string(), &address.port().to_string(), &root];
    let output = python(stage.folder(), PROGRAM, &arguments.map(String::as_str)).succeeded("the raw client");
    let replies: Vec<Value> = serde_json::from_str(&output).expect("JSON of the raw client");
    replies
        .iter()
        .map(|reply| {
            let hex = reply["answer"].as_str().expect("an answer");
            Reply {
                text: String::from_utf8_lossy(&HEXLOWER.decode(hex.as_bytes()).expect("hex")).into_owned(),
                ended: reply["ended"].as_bool().expect("whether it ended"),
                sent: reply["sent"].as_u64().expect("a count"),
            }
        })
        .collect()
}
