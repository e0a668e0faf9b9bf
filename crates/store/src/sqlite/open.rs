//! Opening database files: their modes, settings and migrations.
//!
//! Migrations are numbered, forward only, and each runs in one transaction with the mark that it ran. A file that a
//! newer release has migrated is refused: this release does not know what its columns mean.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::fault::Fault;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A file or directory could not be made or read.
    #[error("{path} can't be used: {detail}")]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system or the database says.
        detail: String,
    },
    /// Another process has it open for writing.
    #[error("{path} is in use by another process")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The master key does not open what is sealed in it.
    #[error("{path} was sealed under another master key")]
    MasterKey {
        /// The file.
        path: PathBuf,
    },
    /// A newer release has written it.
    #[error("{path} has form {found}, this release knows forms up to {known}; start the newer release")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The form of the file.
        found: u32,
        /// The newest form that this release knows.
        known: u32,
    },
}

impl OpenError {
    pub(crate) fn file(path: &Path, detail: &(impl ToString + ?Sized)) -> Self {
        Self::File {
            path: path.to_owned(),
            detail: detail.to_string(),
        }
    }

    pub(crate) fn fault(path: &Path, fault: Fault) -> Self {
        Self::file(path, &muster_resources::StoreError::from(fault))
    }
}

/// A numbered change of a database's form.
pub(crate) type Migration = &'static str;

/// Makes a directory and the ones above it, for its owner only.
pub(crate) fn directory(path: &Path) -> Result<(), OpenError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| OpenError::file(path, &error))
}

/// Makes an empty file for its owner only unless it is there; tells whether it made it. Its entry in the directory is
/// on disk afterwards.
pub(crate) fn file(path: &Path) -> Result<bool, OpenError> {
    let failed = |error| OpenError::file(path, &error);
    if path.exists() {
        return Ok(false);
    }
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .and_then(|file| file.sync_all())
        .map_err(failed)?;
    if let Some(parent) = path.parent() {
        File::open(parent)
            .and_then(|directory| directory.sync_all())
            .map_err(failed)?;
    }
    Ok(true)
}

/// How far a commit reaches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Durability {
    /// To the disk.
    Synced,
    /// To the kernel: a crash of the process loses nothing, one of the machine loses the newest.
    Written,
}

/// Opens the one connection that writes.
pub(crate) fn writer(path: &Path, durability: Durability, cache_kib: i64) -> Result<Connection, OpenError> {
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => OpenError::InUse {
            path: path.to_owned(),
        },
        _ => OpenError::file(path, &error),
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sql = Connection::open_with_flags(path, flags).map_err(failed)?;
    sql.execute_batch(&format!(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = {};
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -{cache_kib};",
        match durability {
            Durability::Synced => "FULL",
            Durability::Written => "NORMAL",
        }
    ))
    .map_err(failed)?;
    stable_plans(&sql).map_err(failed)?;
    sql.set_prepared_statement_cache_capacity(128);
    Ok(sql)
}

/// Opens a connection that only reads.
pub(crate) fn reader(path: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sql = Connection::open_with_flags(path, flags)?;
    sql.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -1024;")?;
    stable_plans(&sql)?;
    sql.set_prepared_statement_cache_capacity(64);
    Ok(sql)
}

/// Has a statement planned once. By default a bound `LIMIT` counts for the plan, and a cached statement is parsed
/// anew whenever a value is bound to it, which costs more than to run it.
fn stable_plans(sql: &Connection) -> Result<(), rusqlite::Error> {
    sql.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map(|_| ())
}

/// Brings a database to the newest form.
pub(crate) fn migrate(path: &Path, sql: &Connection, migrations: &[Migration]) -> Result<(), OpenError> {
    let failed = |error: rusqlite::Error| OpenError::file(path, &error);
    let found: u32 = sql
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(failed)?;
    let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    for (number, migration) in (1_u32..).zip(migrations).skip(found as usize) {
        sql.execute_batch(&format!(
            "BEGIN IMMEDIATE; {migration}; PRAGMA user_version = {number}; COMMIT;"
        ))
        .map_err(|error| {
            // The error of the migration is the one to tell; a rollback that fails as well ends with the connection.
            let _ = sql.execute_batch("ROLLBACK");
            failed(error)
        })?;
    }
    Ok(())
}
