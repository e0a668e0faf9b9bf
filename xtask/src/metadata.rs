//! What cargo knows of the workspace, as far as the chores ask: packages, their direct dependencies, their targets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::shell;

/// The workspace's own packages and where they are built.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    /// Members of the workspace, in cargo's order.
    pub(crate) packages: Vec<Package>,
    /// The target directory in force, `CARGO_TARGET_DIR` respected.
    pub(crate) target_directory: PathBuf,
}

/// A member of the workspace.
#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
    pub(crate) features: BTreeMap<String, Vec<String>>,
}

/// A direct dependency, by the name it has in the registry.
#[derive(Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Option<String>,
}

/// Something that cargo builds from a package.
#[derive(Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
    pub(crate) doctest: bool,
}

impl Metadata {
    /// Asks cargo.
    ///
    /// # Errors
    /// When a manifest is broken or `Cargo.lock` does not match the manifests.
    pub(crate) fn read() -> Result<Self> {
        let mut command = shell::cargo();
        command.args(["metadata", "--format-version", "1", "--no-deps", "--locked"]);
        let bytes = shell::output(&mut command)?;
        serde_json::from_slice(&bytes).map_err(|source| Error::Form {
            command: shell::spelled(&command),
            source,
        })
    }

    /// Returns the path of the built binary.
    pub(crate) fn binary(&self) -> PathBuf {
        self.target_directory.join("release").join("muster")
    }
}

impl Package {
    /// Returns the folder that holds the package.
    pub(crate) fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(&self.manifest_path)
    }
}

impl Dependency {
    /// Says whether only tests, benches and examples see it.
    pub(crate) fn is_dev(&self) -> bool {
        self.kind.as_deref() == Some("dev")
    }
}
