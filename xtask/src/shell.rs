//! Commands as a contributor would type them: started in the root of the workspace, without a shell in between.
//!
//! A command that fails is an [`Error`] that prints the whole line, so that it can be pasted and run by hand.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, Result};

/// Returns the root of the workspace: the folder above this package.
///
/// Cargo tells a program that it runs where the package lies. That beats the path known at compile time,
/// which is another clone's when two of them share one target directory.
pub(crate) fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package
        .parent()
        .map_or_else(|| package.clone(), Path::to_path_buf)
}

/// Returns the cargo that runs this program, or the one on the path.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    command(program)
}

/// Returns a command that will run in the root of the workspace.
pub(crate) fn command(program: impl Into<OsString>) -> Command {
    let mut command = Command::new(program.into());
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// Runs a command whose output goes where ours goes.
///
/// # Errors
/// When it cannot be started or ends with anything but success.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|source| Error::Start {
        command: spelled(command),
        source,
    })?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::Ended {
            command: spelled(command),
            status,
        })
    }
}

/// Runs a command and returns what it wrote to its standard output; standard error goes where ours goes.
///
/// # Errors
/// When it cannot be started or ends with anything but success.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Error::Start {
            command: spelled(command),
            source,
        })?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(Error::Ended {
            command: spelled(command),
            status: output.status,
        })
    }
}

/// Returns the command as one would type it.
pub(crate) fn spelled(command: &Command) -> String {
    let program = Path::new(command.get_program());
    // Cargo tells us its own path; nobody types that.
    let mut line = if program.file_stem().is_some_and(|name| name == "cargo") {
        "cargo".to_owned()
    } else {
        program.display().to_string()
    };
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

/// Says whether a program is on the path, or where Debian keeps those for administrators.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .any(|folder| folder.join(program).is_file())
}
