//! One HTTPS request by curl: what is sent as a user would type it, and the answer taken apart.
//!
//! No certificate of the machine is trusted; whoever wants a server trusted names its root.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::run::{output, tool};

/// A request in the making.
#[derive(Debug)]
pub struct Curl {
    command: Command,
    url: String,
    /// Held until the request is sent.
    body: Option<NamedTempFile>,
}

/// What the server answered.
#[derive(Debug)]
pub struct Answer {
    /// The status of the last answer.
    pub status: u16,
    /// Its headers in the order they came, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// There was no answer: no connection, no handshake, or one that broke off.
#[derive(Debug)]
pub struct CurlFailure {
    /// Curl's exit code; 35 and 56 are TLS, 60 is a server that is not trusted.
    pub code: Option<i32>,
    /// Curl's words.
    pub message: String,
}

impl Curl {
    /// Begins a GET of a URL.
    pub fn new(url: impl Into<String>) -> Self {
        let mut command = tool("curl");
        // First of all: no settings of the user's. Then: say errors, and nothing else.
        command.args([
            "--disable",
            "--silent",
            "--show-error",
            "--http1.1",
            "--max-time",
            "60",
        ]);
        Self {
            command,
            url: url.into(),
            body: None,
        }
    }

    /// Chooses the method; for HEAD, asks for no body.
    #[must_use]
    pub fn method(self, method: &str) -> Self {
        if method == "HEAD" {
            self.arguments(&["--head"])
        } else {
            self.arguments(&["--request", method])
        }
    }

    /// Trusts servers below this root.
    #[must_use]
    pub fn root(mut self, file: &Path) -> Self {
        self.command.arg("--cacert").arg(file);
        self
    }

    /// Presents a certificate (or a chain, leaf first) with its key.
    #[must_use]
    pub fn client(mut self, certificate: &Path, key: &Path) -> Self {
        self.command.arg("--cert").arg(certificate).arg("--key").arg(key);
        self
    }

    /// Connects here, whatever name and port the URL has; the name stays in SNI, in `Host` and in the check of the server.
    #[must_use]
    pub fn connect_to(self, address: SocketAddr) -> Self {
        self.arguments(&["--connect-to", &format!("::{address}")])
    }

    /// Adds a header, `Name: value`.
    #[must_use]
    pub fn header(self, line: &str) -> Self {
        self.arguments(&["--header", line])
    }

    /// Adds a credential.
    #[must_use]
    pub fn authorization(self, value: &str) -> Self {
        self.header(&format!("Authorization: {value}"))
    }

    /// Sends a JSON value, as a POST unless a method is chosen.
    #[must_use]
    pub fn json(self, value: &Value) -> Self {
        self.header("Content-Type: application/json")
            .body(value.to_string().as_bytes())
    }

    /// Sends bytes as they are, as a POST unless a method is chosen.
    ///
    /// # Panics
    /// When they cannot be put into a file for curl to read.
    #[must_use]
    pub fn body(mut self, bytes: &[u8]) -> Self {
        let file = NamedTempFile::new().expect("a file for the body");
        fs::write(file.path(), bytes).expect("to write the body");
        self.command
            .arg("--data-binary")
            .arg(format!("@{}", file.path().display()));
        self.body = Some(file);
        self
    }

    /// Adds curl's own arguments.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sends the request and returns the answer.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn send(self) -> Answer {
        let url = self.url.clone();
        match self.try_send() {
            Ok(answer) => answer,
            Err(failure) => panic!("{url}: curl ended with {:?}: {}", failure.code, failure.message),
        }
    }

    /// Sends the request, for a test that expects no answer.
    ///
    /// # Errors
    /// When there is no answer.
    ///
    /// # Panics
    /// When curl cannot be started, or its answer cannot be read back.
    pub fn try_send(mut self) -> Result<Answer, CurlFailure> {
        let folder = tempfile::tempdir().expect("a folder for the answer");
        let head = folder.path().join("head");
        let body = folder.path().join("body");
        self.command
            .arg("--dump-header")
            .arg(&head)
            .arg("--output")
            .arg(&body)
            .arg("--")
            .arg(&self.url);
        let ended = output(&mut self.command);
        if ended.code != Some(0) {
            return Err(CurlFailure {
                code: ended.code,
                message: ended.stderr,
            });
        }
        let head = fs::read(&head).expect("curl wrote the headers");
        // No file is written for an empty body.
        let body = fs::read(&body).unwrap_or_default();
        Ok(Answer::parse(&String::from_utf8_lossy(&head), body))
    }
}

impl Answer {
    /// Takes the last block of headers apart; earlier ones are interim answers such as `100 Continue`.
    fn parse(head: &str, body: Vec<u8>) -> Self {
        let block = head.trim_end().rsplit("\r\n\r\n").next().unwrap_or_default();
        let mut lines = block.lines();
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .and_then(|code| code.parse().ok());
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Self {
            status: status.expect("a status line"),
            headers,
            body,
        }
    }

    /// Returns the first header of a name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the body as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of UTF-8")
    }

    /// Returns the body as JSON.
    ///
    /// # Panics
    /// When it is not JSON; the message holds it.
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("not JSON ({error}): {}", String::from_utf8_lossy(&self.body)),
        }
    }

    /// Asserts the status, showing the whole answer when it is another, and returns the answer.
    ///
    /// # Panics
    /// When the status is another.
    #[must_use]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(
            self.status,
            status,
            "{:?}\n{}",
            self.headers,
            String::from_utf8_lossy(&self.body)
        );
        self
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::{Answer, Curl};

    /// Answers one connection with fixed bytes and returns what was asked.
    fn once(answer: &'static [u8]) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/a", listener.local_addr().unwrap());
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            let mut chunk = [0; 1024];
            while !asked.ends_with(b"\r\n\r\n") {
                let length = stream.read(&mut chunk).unwrap();
                asked.extend_from_slice(&chunk[..length]);
            }
            stream.write_all(answer).unwrap();
            String::from_utf8(asked).unwrap()
        });
        (url, asked)
    }

    #[test]
    fn an_answer_is_taken_apart() {
        let (url, asked) =
            once(b"HTTP/1.1 202 Accepted\r\nRetry-After: 3\r\nContent-Length: 8\r\n\r\n{\"b\": 2}");
        let answer = Curl::new(url).header("X-Mine: 1").send().expect(202);
        assert_eq!(answer.header("retry-after"), Some("3"));
        assert_eq!(answer.json()["b"], 2);
        assert!(asked.join().unwrap().contains("X-Mine: 1"));
    }

    #[test]
    fn no_answer_is_a_failure_with_curls_code() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let failure = Curl::new(format!("http://{address}/")).try_send().unwrap_err();
        assert_eq!(failure.code, Some(7), "{failure:?}");
    }

    #[test]
    fn interim_answers_are_skipped() {
        let head = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nA: b: c\r\n\r\n";
        let answer = Answer::parse(head, Vec::new());
        assert_eq!((answer.status, answer.header("a")), (404, Some("b: c")));
    }
}
