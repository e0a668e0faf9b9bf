//! Backups of registry and event log, taken while the server runs or from files at rest.
//!
//! The registry goes first: an event whose device the registry does not know yet is no harm, the other way round would
//! be. A backup holds neither private keys nor tokens; `master.key` has to be kept apart from it.

use std::fs::DirBuilder;
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
        if folder.exists() {
            return Err(about(&"it is there already; a backup goes into a new folder"));
        }
        for part in [folder.to_owned(), folder.join("registry"), folder.join("log")] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&part)
                .map_err(|e| about(&e))?;
        }
        self.registry
            .backup(&folder.join("registry/registry.db"))
            .map_err(|e| about(&e))?;
        self.log
            .log()
            .backup(&folder.join("log"))
            .map_err(|e| about(&e))?;
        sync(folder).map_err(|e| about(&e))
    }
}

fn sync(folder: &Path) -> std::io::Result<()> {
    for part in [folder.join("registry"), folder.join("log"), folder.to_owned()] {
        std::fs::File::open(part)?.sync_all()?;
    }
    Ok(())
}
