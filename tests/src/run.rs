//! Programs as children: bounded in time, with an environment that leads nowhere but to what the test says.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// How long a program may take, in seconds, before it is killed. Generous: it bounds a hang, it measures nothing.
const SECONDS: &str = "120";

/// Variables by which a machine tells every program which certificates to trust, or which way to go. They would make a
/// test pass or fail for reasons that are not in it.
const CLEARED: &[&str] = &[
    "ALL_PROXY",
    "CURL_CA_BUNDLE",
    "CURL_HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "MUSTER_DATA",
    "NO_PROXY",
    "OPENSSL_CONF",
    "PYTHONPATH",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// What a program left behind.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output, as text; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
}

impl Ended {
    /// Returns the standard output of a program that must succeed.
    ///
    /// # Panics
    /// When the exit code is not 0; the message holds both outputs.
    pub fn succeeded(self, what: &str) -> String {
        assert_eq!(
            self.code,
            Some(0),
            "{what}\nstdout: {}\nstderr: {}",
            self.stdout,
            self.stderr
        );
        self.stdout
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Returns a command for a program, bounded in time and with a clean environment.
pub fn tool(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", SECONDS]).arg(program);
    clean(&mut command);
    command
}

/// Takes the machine's settings away from a command.
pub(crate) fn clean(command: &mut Command) {
    for name in CLEARED {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
}

/// Runs openssl in a folder and returns its standard output.
///
/// # Panics
/// When it does not succeed.
pub fn openssl(folder: &Path, arguments: &[&str]) -> String {
    try_openssl(folder, arguments).succeeded(&format!("openssl {}", arguments.join(" ")))
}

/// Runs openssl in a folder, for a test that expects it to refuse.
///
/// # Panics
/// When it cannot be started.
pub fn try_openssl(folder: &Path, arguments: &[&str]) -> Ended {
    output(tool("openssl").args(arguments).current_dir(folder))
}

/// Runs a line as a user would type it, in a folder, with further variables; for commands that a page or a program prints.
///
/// # Panics
/// When the shell cannot be started.
pub fn sh(folder: &Path, line: &str, variables: &[(&str, &str)]) -> Ended {
    output(
        tool("bash")
            .args(["-c", line])
            .current_dir(folder)
            .envs(variables.iter().copied()),
    )
}

/// Runs a Python program with the private environment's packages and returns what it left behind.
///
/// # Panics
/// When Python cannot be started.
pub fn python(folder: &Path, program: &str, arguments: &[&str]) -> Ended {
    output(
        tool(interpreter())
            .args(["-c", program])
            .args(arguments)
            .current_dir(folder),
    )
}

/// Runs a command to its end.
pub fn output(command: &mut Command) -> Ended {
    match command.output() {
        Ok(output) => output.into(),
        Err(error) => panic!("{command:?} could not be started: {error}"),
    }
}

/// Returns the interpreter that `cargo xtask test` prepared.
fn interpreter() -> PathBuf {
    std::env::var_os("MUSTER_TEST_PYTHON").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python"),
        PathBuf::from,
    )
}

#[cfg(test)]
mod tests {
    use super::{openssl, sh, try_openssl};

    #[test]
    fn openssl_makes_a_key_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        openssl(
            folder.path(),
            &[
                "genpkey",
                "-algorithm",
                "EC",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-out",
                "k.pem",
            ],
        );
        assert!(folder.path().join("k.pem").is_file());
        let refused = try_openssl(folder.path(), &["x509", "-in", "absent.pem"]);
        assert_ne!(refused.code, Some(0));
        assert!(!refused.stderr.is_empty());
    }

    #[test]
    fn children_do_not_see_the_certificates_of_the_machine() {
        let folder = tempfile::tempdir().unwrap();
        let seen = sh(
            folder.path(),
            "echo \"$SSL_CERT_FILE$CURL_CA_BUNDLE$A\"",
            &[("A", "given")],
        );
        assert_eq!(seen.succeeded("echo"), "given\n");
    }
}
