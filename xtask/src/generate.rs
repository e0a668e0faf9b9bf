//! Files that the binary writes about itself: reference pages, the example configuration, its schema.
//!
//! They are kept in the tree so that readers need not build anything; `--check` fails when one no longer says what
//! the code says. The texts come from the code that they describe, never from here.

use std::fs;
use std::path::Path;

use clap::Args;

use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::shell;

/// A file, and what `muster generate` is asked for to get its content.
struct Generated {
    path: &'static str,
    what: &'static str,
}

/// Every generated file, in the order of their paths.
const FILES: &[Generated] = &[
    Generated {
        path: "docs/reference/config.md",
        what: "config-reference",
    },
    Generated {
        path: "docs/reference/config.schema.json",
        what: "config-schema",
    },
    Generated {
        path: "docs/reference/errors.md",
        what: "errors",
    },
    Generated {
        path: "muster.example.toml",
        what: "config-example",
    },
];

/// How the files are treated.
#[derive(Args)]
pub(crate) struct Options {
    /// Write nothing; fail when a file differs from what the code says
    #[arg(long)]
    check: bool,
}

/// Writes or checks the generated files.
///
/// # Errors
/// When the binary cannot be built, a file cannot be written, or with `--check` one differs.
pub(crate) fn run(options: &Options) -> Result<()> {
    let binary = build()?;
    let mut stale = 0;
    for file in FILES {
        let text = shell::output(shell::command(&binary).args(["generate", file.what]))?;
        let path = shell::root().join(file.path);
        if !differs(&path, &text) {
            continue;
        }
        if options.check {
            println!("{}: differs from the code; run `cargo xtask generate`", file.path);
            stale += 1;
        } else {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(Error::file(folder))?;
            }
            fs::write(&path, &text).map_err(Error::file(&path))?;
            println!("{}: written", file.path);
        }
    }
    if stale == 0 {
        Ok(())
    } else {
        Err(Error::Findings {
            chore: "generate",
            count: stale,
        })
    }
}

/// Builds the binary as the tests do and returns its path.
///
/// # Errors
/// When it does not build.
pub(crate) fn build() -> Result<std::path::PathBuf> {
    // All members are named, so that features are those of the tests and nothing is compiled twice.
    shell::run(shell::cargo().args(["build", "--release", "--locked", "--workspace", "--bin", "muster"]))?;
    Ok(Metadata::read()?.binary())
}

fn differs(path: &Path, text: &[u8]) -> bool {
    fs::read(path).map_or(true, |found| found != text)
}

#[cfg(test)]
mod tests {
    use super::differs;

    #[test]
    fn an_absent_or_different_file_is_stale() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page.md");
        assert!(differs(&path, b"a"));
        std::fs::write(&path, "a").unwrap();
        assert!(!differs(&path, b"a"));
        assert!(differs(&path, b"b"));
    }
}
