//! The built binary as a child: started on ports that the kernel chooses, in a data directory of its own, and ended
//! with the value that stands for it.
//!
//! The server says where it listens in a file of its data directory, which it writes when it is ready.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::curl::Curl;
use crate::namespace::Namespace;
use crate::run::{clean, tool};

/// How long a start or a drain may take. It bounds a hang, it measures nothing.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often is looked whether something has happened that nobody tells us of.
const GLANCE: Duration = Duration::from_millis(5);
/// Where a ready server writes its endpoints, in its data directory: an object of name and address.
const ENDPOINTS: &str = "endpoints.json";
/// Ports that the kernel chooses, so that servers stand beside each other.
const FREE_PORTS: &[&str] = &["--port", "0", "--metrics-listen", "127.0.0.1:0"];

/// How a server is to be started.
#[derive(Debug)]
pub struct Launch<'a> {
    program: OsString,
    data: Option<PathBuf>,
    arguments: Vec<OsString>,
    free_ports: bool,
    inside: Option<&'a Namespace>,
    variables: Vec<(OsString, OsString)>,
}

/// A running server. Dropping it kills it, and removes the data directory unless one was given.
#[derive(Debug)]
pub struct Server {
    child: Child,
    data: PathBuf,
    endpoints: BTreeMap<String, SocketAddr>,
    log: Arc<Mutex<String>>,
    _own: TempDir,
}

impl Default for Launch<'_> {
    fn default() -> Self {
        Self {
            program: binary().into_os_string(),
            data: None,
            arguments: Vec::new(),
            free_ports: true,
            inside: None,
            variables: Vec::new(),
        }
    }
}

impl<'a> Launch<'a> {
    /// Begins with the built binary, a fresh data directory and free ports.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps the data here, and leaves it when the server is gone.
    #[must_use]
    pub fn data(mut self, folder: &Path) -> Self {
        self.data = Some(folder.to_path_buf());
        self
    }

    /// Adds arguments of `muster serve`.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(OsString::from));
        self
    }

    /// Sets a variable of the server's environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Starts it in a namespace, on the well-known ports.
    #[must_use]
    pub fn inside(mut self, namespace: &'a Namespace) -> Self {
        self.inside = Some(namespace);
        self.free_ports = false;
        self
    }

    /// Starts another program in the binary's place, such as strace with the binary as its argument.
    #[must_use]
    pub fn program(mut self, program: impl AsRef<OsStr>) -> Self {
        program.as_ref().clone_into(&mut self.program);
        self
    }

    /// Starts the server and waits until it is ready.
    ///
    /// # Panics
    /// When it is not ready in time or ends before; the message holds its log.
    pub fn start(self) -> Server {
        match self.try_start() {
            Ok(server) => server,
            Err((status, log)) => panic!("the server ended with {status:?} before it was ready:\n{log}"),
        }
    }

    /// Starts the server, for a test that expects a refused start.
    ///
    /// # Errors
    /// When it ends before it is ready: how, and its log. `None` when it had to be killed for being late.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn try_start(self) -> Result<Server, (Option<ExitStatus>, String)> {
        let own = tempfile::tempdir().expect("a folder of its own");
        // Not the folder itself: the server makes its data directory, with the modes that it wants.
        let data = self.data.unwrap_or_else(|| own.path().join("data"));
        // What an earlier server wrote there must not be taken for this one's.
        let _ = fs::remove_file(data.join(ENDPOINTS));
        let mut command = match self.inside {
            Some(namespace) => namespace.command(&self.program),
            None => Command::new(&self.program),
        };
        clean(&mut command);
        command.arg("serve").arg("--data").arg(&data);
        if self.free_ports {
            command.args(FREE_PORTS);
        }
        command.args(&self.arguments).envs(self.variables);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("{} could not be started: {error}", self.program.display()),
        };
        let log = Arc::new(Mutex::new(String::new()));
        let readers = [
            child.stdout.take().map(|stream| follow(stream, Arc::clone(&log))),
            child.stderr.take().map(|stream| follow(stream, Arc::clone(&log))),
        ];
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(endpoints) = endpoints(&data.join(ENDPOINTS)) {
                return Ok(Server {
                    child,
                    data,
                    endpoints,
                    log,
                    _own: own,
                });
            }
            if let Some(status) = child.try_wait().expect("to ask for the child") {
                break Some(status);
            }
            if Instant::now() >= deadline {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            thread::sleep(GLANCE);
        };
        for reader in readers.into_iter().flatten() {
            let _ = reader.join();
        }
        Err((status, text(&log)))
    }
}

impl Server {
    /// Starts the built binary with a fresh data directory and free ports.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start() -> Self {
        Launch::new().start()
    }

    /// Returns an endpoint by its name.
    ///
    /// # Panics
    /// When the server named no such endpoint.
    pub fn endpoint(&self, name: &str) -> SocketAddr {
        match self.endpoints.get(name) {
            Some(address) => *address,
            None => panic!("no endpoint `{name}` in {:?}", self.endpoints),
        }
    }

    /// Returns the address of the HTTPS listener.
    pub fn https(&self) -> SocketAddr {
        self.endpoint("https")
    }

    /// Returns the data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Returns the file of the server's root.
    pub fn root(&self) -> PathBuf {
        self.data.join("ca.pem")
    }

    /// Returns the operator's credential.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn operator_token(&self) -> String {
        let text = fs::read_to_string(self.data.join("operator.token")).expect("the operator's token");
        text.trim_end().to_owned()
    }

    /// Begins a request to a path under `localhost`.
    pub fn curl(&self, path: &str) -> Curl {
        self.curl_as("localhost", path)
    }

    /// Begins a request to a path under a host name, which leads to this server whatever the system says.
    pub fn curl_as(&self, host: &str, path: &str) -> Curl {
        let address = self.https();
        Curl::new(format!("https://{host}:{}{path}", address.port()))
            .root(&self.root())
            .connect_to(address)
    }

    /// Returns a command of the binary that talks to this server, bounded in time.
    pub fn muster(&self, arguments: &[&str]) -> Command {
        let mut command = tool(binary());
        command.env("MUSTER_DATA", &self.data).args(arguments);
        command
    }

    /// Returns what the server has written so far, to both of its outputs.
    pub fn log(&self) -> String {
        text(&self.log)
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks the server to drain and waits for its end.
    ///
    /// # Panics
    /// When it does not end in time; the message holds its log.
    pub fn terminate(&mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("to send the signal");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("to ask for the child") {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "the server does not end:\n{}",
                self.log()
            );
            thread::sleep(GLANCE);
        }
    }

    /// Kills the server without a word, as a power cut would end it, and waits for its end.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn kill(&mut self) {
        // It may have ended by itself a moment ago.
        let _ = self.child.kill();
        self.child.wait().expect("to wait for the server");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            // The test runner shows it, because the test has failed.
            println!("log of the server:\n{}", self.log());
        }
    }
}

/// Returns the binary under test: as named by `cargo xtask test`, else the one beside this test program.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("MUSTER_BIN") {
        return path.into();
    }
    let own = std::env::current_exe().expect("the path of this program");
    // target/release/deps/test-0123: two folders up.
    own.parent()
        .and_then(Path::parent)
        .map_or_else(|| PathBuf::from("muster"), |folder| folder.join("muster"))
}

/// Reads the endpoints, once they are written; a file of which half is there is not yet JSON.
fn endpoints(path: &Path) -> Option<BTreeMap<String, SocketAddr>> {
    let value: serde_json::Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let entries = value.as_object()?.iter();
    Some(
        entries
            .filter_map(|(name, address)| Some((name.clone(), address.as_str()?.parse().ok()?)))
            .collect(),
    )
}

/// Gathers what a stream brings, line by line, until it ends.
fn follow(stream: impl Read + Send + 'static, log: Arc<Mutex<String>>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut lines = BufReader::new(stream);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    })
}

fn text(log: &Mutex<String>) -> String {
    log.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::Launch;
    use crate::run::sh;

    /// Writes a program that is called as the binary is: `serve --data FOLDER ...`.
    fn stand_in(folder: &Path, body: &str) -> PathBuf {
        // By a child, since a file that another test's child inherited for writing could not be executed.
        let write = "printf '#!/bin/sh\\n%s\\n' \"$BODY\" > stand-in && chmod 755 stand-in";
        sh(folder, write, &[("BODY", body)]).succeeded(write);
        folder.join("stand-in")
    }

    #[test]
    fn a_server_is_ready_when_it_says_where_and_drains_when_told() {
        let folder = tempfile::tempdir().unwrap();
        let body = "mkdir -p \"$3\"; echo \"data in $3\"; trap 'echo drained; exit 0' TERM\n\
                    echo '{\"https\":\"127.0.0.1:7\"}' > \"$3/endpoints.json\"; while :; do sleep 0.01; done";
        let mut server = Launch::new().program(stand_in(folder.path(), body)).start();
        assert_eq!(server.https().port(), 7);
        assert!(server.data().is_dir());
        assert!(server.terminate().success());
    }

    #[test]
    fn a_start_that_is_refused_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let program = stand_in(folder.path(), "echo 'modes are too loose' >&2; exit 1");
        let (status, log) = Launch::new().program(program).try_start().unwrap_err();
        assert_eq!(status.and_then(|status| status.code()), Some(1));
        assert_eq!(log, "modes are too loose\n");
    }
}
