//! A folder with a server beside it, and lines that are run in it as a user would type them.

use std::fs;
use std::path::Path;

use muster_tests::{Ended, Launch, Server, sh};
use serde_json::Value;
use tempfile::TempDir;

/// A running server and a user's folder.
pub(crate) struct Stage {
    /// The server.
    pub(crate) server: Server,
    folder: TempDir,
}

impl Stage {
    /// Starts a server beside an empty folder.
    pub(crate) fn new() -> Self {
        Self {
            server: Server::start(),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    /// Starts a server with a configuration file.
    pub(crate) fn configured(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("muster.toml");
        fs::write(&file, config).expect("to write the configuration");
        let server = Launch::new()
            .arguments(&["--config", &file.to_string_lossy()])
            .start();
        Self { server, folder }
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a line. `muster` is the built binary and finds this server; `curl` trusts it and finds it under every name.
    pub(crate) fn run(&self, line: &str) -> Ended {
        let binary = self.server.muster(&[]);
        let binary = binary
            .get_args()
            .last()
            .expect("the binary")
            .to_string_lossy()
            .into_owned();
        let prelude = format!(
            "muster() {{ '{binary}' \"$@\"; }}; \
             curl() {{ command curl --silent --show-error --max-time 60 --cacert '{}' --connect-to '::{}' \"$@\"; }}; ",
            self.server.root().display(),
            self.server.https(),
        );
        let data = self.server.data().to_string_lossy().into_owned();
        sh(
            self.folder(),
            &format!("{prelude}{line}"),
            &[("MUSTER_DATA", &data)],
        )
    }

    /// Runs a line that must succeed, and returns its output.
    pub(crate) fn ok(&self, line: &str) -> String {
        self.run(line).succeeded(line)
    }

    /// Runs a line that must succeed and print JSON.
    pub(crate) fn json(&self, line: &str) -> Value {
        let text = self.ok(line);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}: {text}"))
    }

    /// Writes a file into the folder.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder().join(name), text).expect("to write a file");
    }

    /// The id scope of the ready-made provisioning service.
    pub(crate) fn id_scope(&self) -> String {
        let service = self.json("muster iot dps show --name muster-dps");
        service["properties"]["idScope"]
            .as_str()
            .expect("an id scope")
            .to_owned()
    }
}

/// An answer of curl with `-i`: the last status, headers in lower case, body.
pub(crate) struct Http {
    /// The status.
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: String,
}

impl Http {
    /// Takes the output of `curl -i` apart.
    pub(crate) fn parse(output: &str) -> Self {
        let (head, body) = output
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no head in: {output}"));
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .and_then(|text| text.parse().ok());
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Self {
            status: status.unwrap_or_else(|| panic!("no status in: {output}")),
            headers,
            body: body.to_owned(),
        }
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Demands a status.
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }
}
