//! Copies of the registry: taking one while the server runs, checking one, and beginning a new life from one.

use std::fs::File;
use std::path::Path;

use muster_resources::StoreError;
use rusqlite::{Connection, OpenFlags};

use super::unit::Meta;
use super::{MIGRATIONS, Registry, WRITER_CACHE_KIB, open};
use crate::fault::Fault;

impl Registry {
    /// Writes a consistent copy to `to`, which must not exist, and syncs it. The server goes on; the calling thread is
    /// kept busy for as long as the copy takes.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the copy can't be written; what was written of it is worthless.
    pub fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let failed = |error: std::io::Error| {
            StoreError::Unavailable(format!("{} can't be written: {error}", to.display()))
        };
        if to.exists() {
            return Err(StoreError::Unavailable(format!(
                "{} exists already",
                to.display()
            )));
        }
        open::file(to).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let name = to
            .to_str()
            .ok_or_else(|| StoreError::Unavailable("the path is not text".to_owned()))?;
        // A connection of its own: the copy may take minutes, and readers must not wait for it.
        let sql = open::reader(&self.path)?;
        sql.execute("VACUUM INTO ?1", [name]).map_err(Fault::from)?;
        // The database does not sync what it vacuums into.
        File::open(to).and_then(|file| file.sync_all()).map_err(failed)?;
        Ok(())
    }
}

/// Looks for damage in a registry file, which may be in use. An empty list means that none was found.
///
/// # Errors
/// [`open::OpenError`] when it can't be opened at all.
pub fn check(path: &Path) -> Result<Vec<String>, open::OpenError> {
    let failed = |error: rusqlite::Error| open::OpenError::file(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sql = Connection::open_with_flags(path, flags).map_err(failed)?;
    let mut statement = sql.prepare("PRAGMA quick_check(20)").map_err(failed)?;
    let findings = statement
        .query_map([], |row| row.get::<_, String>(0))
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(failed)?;
    Ok(findings.into_iter().filter(|finding| finding != "ok").collect())
}

/// Makes a copied registry the beginning of a new life: its versions from now on can't meet those of any life before.
/// `above` is the incarnation of the data that it replaces, 0 when that is not known. Leases and remembered requests of
/// the old life are dropped. Answers the new incarnation.
///
/// # Errors
/// [`open::OpenError`]; the copy is unchanged then.
pub fn begin_new_incarnation(path: &Path, above: u64) -> Result<u64, open::OpenError> {
    if !path.exists() {
        return Err(open::OpenError::file(path, "it is not there"));
    }
    let sql = open::writer(path, open::Durability::Synced, WRITER_CACHE_KIB)?;
    open::migrate(path, &sql, MIGRATIONS)?;
    let begin = || -> Result<u64, Fault> {
        let transaction = sql.unchecked_transaction()?;
        let mut meta = Meta::load(&transaction)?;
        meta.incarnation = meta.incarnation.max(above) + 1;
        meta.request_first = meta.request_next;
        meta.request_bytes = 0;
        meta.save(&transaction)?;
        transaction.execute_batch("DELETE FROM lease; DELETE FROM request;")?;
        transaction.commit()?;
        // Leaves one file behind, which can be moved as a whole.
        sql.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(meta.incarnation)
    };
    begin().map_err(|fault| open::OpenError::fault(path, fault))
}
