//! Checks what no compiler checks: heads of modules, sizes, words, line endings, names of tests, and a few pages that
//! must be there. A rule that a machine can check lives here and not in a reader's memory.
//!
//! Only files that belong to the tree are read: those git knows, and new ones it would take. Captured bytes
//! (vectors, corpora, old data directories) are left as they came.

mod rules;
#[cfg(test)]
mod tests;
mod words;

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::shell;

/// Checks the tree and prints each finding with its place.
///
/// # Errors
/// When there is a finding, or a file cannot be read.
pub(crate) fn run() -> Result<()> {
    let root = shell::root();
    let files = listed()?;
    let mut findings = Vec::new();
    for name in &files {
        let path = root.join(name);
        // A link is judged where it leads; a file that was just deleted is no longer part of the tree.
        if !path.is_file() {
            continue;
        }
        let bytes = fs::read(&path).map_err(Error::file(&path))?;
        findings.extend(rules::file(name, &bytes, is_executable(&path)?));
    }
    findings.extend(rules::tree(&files));
    findings.extend(rules::readme(
        &fs::read_to_string(root.join("README.md")).unwrap_or_default(),
    ));
    findings.extend(rules::targets(&Metadata::read()?.packages));
    for finding in &findings {
        println!("{finding}");
    }
    println!("tidy: {} files, {} finding(s)", files.len(), findings.len());
    if findings.is_empty() {
        Ok(())
    } else {
        Err(Error::Findings {
            chore: "tidy",
            count: findings.len(),
        })
    }
}

/// Returns the files of the tree, new ones included, ignored ones left out.
fn listed() -> Result<Vec<String>> {
    let mut command = shell::command("git");
    command.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let bytes = shell::output(&mut command)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut names: Vec<String> = text
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}

#[cfg(unix)]
fn is_executable(path: &Path) -> Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = fs::metadata(path)
        .map_err(Error::file(path))?
        .permissions()
        .mode();
    Ok(mode & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(_: &Path) -> Result<bool> {
    Ok(false)
}
