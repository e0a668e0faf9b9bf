//! The registry: one SQLite database behind the stores of the control plane, of the hubs and of provisioning.
//!
//! One thread writes and commits for everybody ([`writer`]), a few connections read. An acknowledged write has been
//! synced to the disk. The files of a resource are named as in the other crates: each holds the row's form, its
//! queries, and nothing that another resource's file should know.
//!
//! Not here: deciding who may do what, and the form of anything on the wire.

mod attestation;
mod cells;
mod certificate;
mod copy;
mod credential;
mod device;
mod devices;
mod enrollment_group;
mod hub;
mod individual;
mod lease;
mod open;
mod policy;
mod provisioning;
mod readers;
mod reap;
mod refusal;
mod registration;
mod request;
mod resource_group;
mod resources;
mod rotate;
mod service;
mod stamps;
mod subscription;
#[cfg(test)]
mod tests;
mod trust;
mod twin;
mod unit;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster_model::{Clock, Random};

pub use copy::{begin_new_incarnation, check};
pub use open::OpenError;
pub use refusal::{RefusalBounds, RefusalFile};

use crate::fault::Fault;
use crate::seal::{MasterKeys, Sealer};
use readers::Readers;
use stamps::Stamps;
use unit::{Meta, Unit};
use writer::Writer;

const MIGRATIONS: &[open::Migration] = &[
    include_str!("sqlite/migrations/0001_registry.sql"),
    include_str!("sqlite/migrations/0002_subscriptions.sql"),
];
/// Page cache of the connection that writes, in KiB; that of each reader is 1 MiB.
const WRITER_CACHE_KIB: i64 = 8 * 1024;

/// The registry of a server. Implements [`muster_resources::Store`], [`muster_resources::Leases`],
/// [`muster_hub::ports::Store`] and [`muster_dps::ports::Store`].
///
/// Dropping it waits for the writes that are under way.
pub struct Registry {
    path: PathBuf,
    writer: Writer,
    readers: Readers,
    stamps: Arc<Stamps>,
    sealer: Arc<Sealer>,
}

impl Registry {
    /// Opens `registry.db` in `directory`, and makes both when they are not there.
    ///
    /// # Errors
    /// [`OpenError`]. An error never changes a database that is there.
    pub fn open(
        directory: &Path,
        keys: &MasterKeys,
        random: Arc<Random>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        open::directory(directory)?;
        let path = directory.join("registry.db");
        open::file(&path)?;
        let fault = |fault| OpenError::fault(&path, fault);
        let sealer = Arc::new(Sealer::new(keys, random).map_err(fault)?);
        let sql = open::writer(&path, open::Durability::Synced, WRITER_CACHE_KIB)?;
        open::migrate(&path, &sql, MIGRATIONS)?;
        let drawn: bool = sql
            .query_row("SELECT count(*) FROM meta", [], |row| row.get(0))
            .map_err(|error| OpenError::file(&path, &error))?;
        if drawn {
            let meta = Meta::load(&sql).map_err(fault)?;
            meta.check_seal(&sealer)
                .map_err(|_| OpenError::MasterKey { path: path.clone() })?;
        } else {
            Meta::draw(&sealer)
                .and_then(|meta| meta.save(&sql))
                .map_err(fault)?;
        }
        let readers = Readers::open(&path).map_err(fault)?;
        let stamps = Arc::new(Stamps::new());
        let writer = Writer::start(sql, Arc::clone(&sealer), Arc::clone(&stamps), clock).map_err(fault)?;
        Ok(Self {
            path,
            writer,
            readers,
            stamps,
            sealer,
        })
    }

    /// Runs a unit of work and waits until it is durable.
    async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault>,
        F: FnOnce(&mut Unit<'_>) -> Result<T, Fault> + Send + 'static,
    {
        Ok(self.writer.run(work).await?)
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
