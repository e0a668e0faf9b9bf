//! The command line: what can be typed, and how a command ends.
//!
//! Data goes to standard output, everything else to standard error. A command ends with 0, with 1 when it was refused or
//! failed, with 2 when it was typed wrongly.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::commands;

/// IoT Hub and its device provisioning service on your own machine.
#[derive(Debug, Parser)]
#[command(name = "muster", version, max_term_width = 110, propagate_version = false)]
#[command(after_help = "Examples:
  muster serve                          start the server on loopback, data in ./muster-data
  muster demo                           watch the whole way from CA certificate to telemetry
  muster iot hub device-identity list   what `az iot hub device-identity list` does, here
  muster explain --last 5               why the last five callers were refused")]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Where the server's data lies.
#[derive(Args, Clone, Debug)]
pub(crate) struct DataArgs {
    /// The data directory.
    #[arg(
        long,
        env = "MUSTER_DATA",
        default_value = "./muster-data",
        value_name = "DIR",
        global = true
    )]
    pub(crate) data: PathBuf,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "one value for each process")]
enum Command {
    /// Writes a backup.
    Backup(commands::backup::BackupArgs),
    /// Prints the certificate that clients must trust.
    Ca(commands::ca::CaArgs),
    /// Makes certificates for devices and CAs, and judges chains.
    Cert(commands::cert::CertArgs),
    /// Writes completions for a shell to standard output.
    Completions(commands::completions::CompletionsArgs),
    /// Looks at the configuration.
    Config(commands::config::ConfigArgs),
    /// Shows the whole way from a CA certificate to telemetry on a fresh server.
    Demo(commands::demo::DemoArgs),
    /// Checks what a server needs around it.
    Doctor(commands::doctor::DoctorArgs),
    /// Tells why a caller was refused, and what mends it.
    Explain(commands::explain::ExplainArgs),
    /// Writes what the binary says about itself.
    #[command(hide = true)]
    Generate(commands::generate::GenerateArgs),
    /// Does what `az iot` does, here.
    Iot(commands::iot::IotArgs),
    /// Looks into the event log of a server that does not run.
    Log(commands::log::LogArgs),
    /// Manages the operator's credential.
    Operator(commands::operator::OperatorArgs),
    /// Puts a backup in place of the data.
    Restore(commands::backup::RestoreArgs),
    /// Starts the server.
    Serve(commands::serve::ServeArgs),
}

/// A command that did not succeed.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
}

impl Failure {
    /// Ends a command with a sentence.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            // A library's own sentence often holds that of its cause.
            let cause_text = cause.to_string();
            if !message.contains(&cause_text) {
                message = format!("{message}: {cause_text}");
            }
            source = cause.source();
        }
        Self { message }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// How commands end.
pub(crate) type Outcome = Result<(), Failure>;

impl Cli {
    /// Runs the command that was typed.
    pub(crate) fn run(self) -> ExitCode {
        let outcome = match self.command {
            Command::Backup(args) => commands::backup::backup(&args),
            Command::Ca(args) => commands::ca::run(&args),
            Command::Cert(args) => commands::cert::run(args),
            Command::Completions(args) => commands::completions::run(&args),
            Command::Config(args) => commands::config::run(args),
            Command::Demo(args) => commands::demo::run(&args),
            Command::Doctor(args) => commands::doctor::run(&args),
            Command::Explain(args) => commands::explain::run(args),
            Command::Generate(args) => commands::generate::run(&args),
            Command::Iot(args) => commands::iot::run(args),
            Command::Log(args) => commands::log::run(&args),
            Command::Operator(args) => commands::operator::run(&args),
            Command::Restore(args) => commands::backup::restore_backup(&args),
            Command::Serve(args) => commands::serve::run(&args),
        };
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                say(&failure.message);
                ExitCode::FAILURE
            }
        }
    }
}

/// Writes a line for people to standard error.
pub(crate) fn say(line: &str) {
    // Standard error that is closed leaves nobody to tell.
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}

/// Writes data to standard output, with a line feed behind it.
///
/// # Errors
/// [`Failure`] when standard output can't be written. A closed pipe ends the process quietly.
pub(crate) fn print(data: &str) -> Outcome {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{data}").and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        // Whoever read has seen enough, as `head` has.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failure::new(format!("standard output: {error}"))),
    }
}
