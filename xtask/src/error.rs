//! The one error of the chores. It is printed once, by `main`, and carries what a reader needs to repeat the failed step.

use std::path::PathBuf;
use std::process::ExitStatus;

/// Outcome of a chore.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// What can go wrong in a chore.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A command ended, but not well.
    #[error("`{command}` ended with {status}")]
    Ended {
        /// The command as typed in a shell.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// A check printed findings.
    #[error("{chore}: {count} finding(s), listed above")]
    Findings {
        /// Name of the chore.
        chore: &'static str,
        /// How many findings were printed.
        count: usize,
    },
    /// A file could not be read, written or made.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A command answered something that is not the JSON it promises.
    #[error("`{command}` did not answer in the expected form: {source}")]
    Form {
        /// The command as typed in a shell.
        command: String,
        /// Where the answer departs from the form.
        source: serde_json::Error,
    },
    /// A program that a chore needs is not there and cannot be installed from here.
    #[error("missing on this machine: {programs}; on Debian: apt-get install {packages}")]
    Missing {
        /// The programs looked for.
        programs: String,
        /// Debian's packages that bring them.
        packages: String,
    },
    /// The command line names something that there is not.
    #[error("no {kind} is named `{name}`; there are: {known}")]
    NoSuch {
        /// What was looked for.
        kind: &'static str,
        /// The name given.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A command could not be started.
    #[error("`{command}` could not be started: {source}")]
    Start {
        /// The command as typed in a shell.
        command: String,
        /// Why not.
        source: std::io::Error,
    },
}

impl Error {
    /// Returns a function that says which file an I/O error is about.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
