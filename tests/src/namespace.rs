//! A private piece of the machine: a network with nothing but loopback, and a hosts file of its own.
//!
//! Foreign clients resolve names as the system does and dial the well-known ports; in here they may, without a change to
//! the machine and beside any other test. Needs root, or a kernel that lets users make namespaces.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::run::{clean, tool};

/// What is done inside before the namespace is ready: loopback up, the hosts file laid over the system's. `cat` holds
/// the namespace until its input ends, which it does with the test at the latest.
const SET_UP: &str = "ip link set lo up && mount --bind \"$1\" /etc/hosts && echo ready && exec cat";

/// A mount and network namespace, held until dropped.
#[derive(Debug)]
pub struct Namespace {
    holder: Child,
    is_root: bool,
    _hosts: TempDir,
}

impl Namespace {
    /// Makes a namespace in which the names lead to loopback.
    ///
    /// # Panics
    /// When the system does not let it be made; the message is the system's.
    pub fn new(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the hosts file");
        let hosts = folder.path().join("hosts");
        let text = format!("127.0.0.1 localhost {}\n::1 localhost\n", names.join(" "));
        fs::write(&hosts, text).expect("to write the hosts file");
        let is_root = rustix::process::geteuid().is_root();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net"]);
        if !is_root {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["sh", "-c", SET_UP, "sh"]).arg(&hosts);
        clean(&mut command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().expect("unshare starts");
        let mut line = String::new();
        let answer = holder.stdout.as_mut().expect("its output is piped");
        BufReader::new(answer)
            .read_line(&mut line)
            .expect("to read its output");
        assert_eq!(
            line, "ready\n",
            "the namespace could not be made; it needs root or user namespaces"
        );
        Self {
            holder,
            is_root,
            _hosts: folder,
        }
    }

    /// Returns a command that runs inside, without a bound on its time; it has the process id of the program itself.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        self.enter(&mut command);
        command.arg(program);
        clean(&mut command);
        command
    }

    /// Returns a command that runs inside, bounded in time.
    pub fn tool(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = tool("nsenter");
        self.enter(&mut command);
        command.arg(program);
        command
    }

    fn enter(&self, command: &mut Command) {
        command
            .arg(format!("--target={}", self.holder.id()))
            .args(["--mount", "--net"]);
        if !self.is_root {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is waited for.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::Namespace;
    use crate::run::output;

    #[test]
    fn names_lead_to_loopback_and_nowhere_else() {
        let inside = Namespace::new(&["hub.azure-devices.muster.localhost"]);
        let found = output(
            inside
                .tool("getent")
                .args(["hosts", "hub.azure-devices.muster.localhost"]),
        );
        assert!(found.succeeded("getent").starts_with("127.0.0.1"));
        let links = output(inside.tool("ip").args(["-oneline", "link"])).succeeded("ip link");
        assert_eq!(links.lines().count(), 1, "only loopback: {links}");
    }
}
