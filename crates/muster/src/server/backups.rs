//! Backups of registry and event log, taken while the server runs or from files at rest.
//!
//! The registry goes first: an event whose device the registry does not know yet is no harm, the other way round would
//! be. A backup holds neither private keys nor tokens; `master.key` has to be kept apart from it.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use muster_bus::local::LocalEventLog;
use muster_rest::Maintenance;
use muster_store::Registry;

/// Takes backups.
pub(crate) struct Backups {
    registry: Arc<Registry>,
    log: Arc<LocalEventLog>,
}

impl Backups {
    /// Takes backups of these.
    pub(crate) fn new(registry: Arc<Registry>, log: Arc<LocalEventLog>) -> Self {
        Self { registry, log }
    }
}

impl Maintenance for Backups {
    fn backup(&self, folder: &Path) -> Result<(), String> {
        let about = |what: &dyn std::fmt::Display| format!("{}: {what}", folder.display());
        let parent = folder
            .parent()
            .ok_or_else(|| about(&"a backup goes into a new folder"))?;
        std::fs::create_dir_all(parent).map_err(|e| about(&e))?;
        // Made by us and nobody else: what another put there could be open to him.
        for part in [folder.to_owned(), folder.join("registry"), folder.join("log")] {
            DirBuilder::new()
                .mode(0o700)
                .create(&part)
                .map_err(|error| match error.kind() {
                    ErrorKind::AlreadyExists => {
                        about(&"it is there already; a backup goes into a new folder")
                    }
                    _ => about(&error),
                })?;
        }
        self.registry
            .backup(&folder.join("registry/registry.db"))
            .map_err(|e| about(&e))?;
        self.log
            .log()
            .backup(&folder.join("log"))
            .map_err(|e| about(&e))?;
        sync(folder, parent).map_err(|e| about(&e))
    }
}

fn sync(folder: &Path, parent: &Path) -> std::io::Result<()> {
    for part in [&folder.join("registry"), &folder.join("log"), folder, parent] {
        std::fs::File::open(part)?.sync_all()?;
    }
    Ok(())
}
