//! Processes under measurement: pinned to their core, with what the system says of them.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Fault;

/// The core of what is measured.
pub(crate) const SERVER_CORE: &str = "0";
/// The core that the load is made on.
pub(crate) const GENERATOR_CORE: &str = "1";

/// Ticks of the system's account of processor time in a second: fixed in the interface of Linux on all machines that
/// the product is built for. Source: proc(5), `USER_HZ`, read 2026-11-25.
const TICKS: u64 = 100;

/// A process under measurement. Dropping it kills it.
pub(crate) struct Child {
    process: std::process::Child,
    https: SocketAddr,
    mqtt: SocketAddr,
}

/// Pins a process that runs already, with all its threads.
pub(crate) fn pin(process: u32, core: &str) -> Result<(), Fault> {
    let status = Command::new("taskset")
        .args(["--all-tasks", "--cpu-list", "--pid", core, &process.to_string()])
        .stdout(Stdio::null())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("core {core} is not to be had: this bench needs two").into())
    }
}

/// A command that runs `program` on the measured core.
pub(crate) fn pinned(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", SERVER_CORE]).arg(program);
    command
}

/// The binary that is measured: as named by `cargo xtask bench`, else the one that was built with this program.
#[expect(
    clippy::disallowed_methods,
    reason = "a bench finds the binary by the environment"
)]
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("MUSTER_BIN").map_or_else(|| env!("CARGO_BIN_EXE_muster").into(), PathBuf::from)
}

impl Child {
    /// Starts the server on a data directory and returns when it says that it is ready.
    pub(crate) fn serve(data: &Path) -> Result<Self, Fault> {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(data.with_extension("log"))?;
        let mut process = pinned(binary())
            .args([
                "serve",
                "--port",
                "0",
                "--metrics-listen",
                "127.0.0.1:0",
                "--data",
            ])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let mut lines = BufReader::new(process.stdout.take().ok_or("the server says nothing")?);
        let mut first = String::new();
        lines.read_line(&mut first)?;
        if !first.starts_with("Muster is ready") {
            return Err(format!(
                "the server did not start: see {}",
                data.with_extension("log").display()
            )
            .into());
        }
        let endpoints: serde_json::Value =
            serde_json::from_slice(&std::fs::read(data.join("endpoints.json"))?)?;
        let https = endpoints.get("https").and_then(serde_json::Value::as_str);
        let https = https.ok_or("no HTTPS endpoint")?.parse()?;
        let mqtt = endpoints.get("mqtt").and_then(serde_json::Value::as_str);
        let mqtt = mqtt.ok_or("no MQTT endpoint")?.parse()?;
        // What it prints further fits into the pipe.
        process.stdout = Some(lines.into_inner());
        Ok(Self { process, https, mqtt })
    }

    /// Takes over a process that was started otherwise.
    pub(crate) fn new(process: std::process::Child, address: SocketAddr) -> Self {
        Self {
            process,
            https: address,
            mqtt: address,
        }
    }

    /// Where it answers.
    pub(crate) fn https(&self) -> SocketAddr {
        self.https
    }

    /// Where it speaks MQTT.
    pub(crate) fn mqtt(&self) -> SocketAddr {
        self.mqtt
    }

    /// Time on processors since its start, in user and kernel.
    pub(crate) fn processor_time(&self) -> Result<Duration, Fault> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // The name stands in parentheses and may hold spaces; utime and stime are fields 14 and 15 of the line.
        let (_, fields) = text.rsplit_once(") ").ok_or("no fields")?;
        let mut fields = fields.split(' ').skip(11);
        let mut ticks = || -> Result<u64, Fault> { Ok(fields.next().ok_or("too few fields")?.parse()?) };
        Ok(Duration::from_millis((ticks()? + ticks()?) * 1_000 / TICKS))
    }

    /// Memory that is held now.
    pub(crate) fn resident_mib(&self) -> Result<f64, Fault> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = text
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .ok_or("no VmRSS")?;
        let kib: f64 = line.split_whitespace().nth(1).ok_or("VmRSS is empty")?.parse()?;
        Ok(kib / 1_024.0)
    }

    /// Asks it to end, and waits for that.
    pub(crate) fn stop(&mut self) -> Result<(), Fault> {
        rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.process),
            rustix::process::Signal::TERM,
        )?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
