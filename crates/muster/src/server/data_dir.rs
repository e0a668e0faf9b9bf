//! The data directory: what lies where, with which modes, and who may use it.
//!
//! Everything is created closed to others, and a start with looser modes is refused: the directory holds private keys.
//! One server at a time holds the lock.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use data_encoding::BASE64URL_NOPAD;
use muster_model::Random;
use zeroize::Zeroizing;

/// Largest file that is read whole from the data directory, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// A data directory that can't be used, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    /// A file or folder could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// What was touched.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Others may read or write what only the server may.
    #[error("{path} has mode {mode:04o}, open to others; type: chmod {wanted:o} {path}")]
    Loose {
        /// What is open.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode that it should have.
        wanted: u32,
    },
    /// A file does not hold what it should.
    #[error("{path}: {what}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// Another server runs on it.
    #[error("another server uses {0}")]
    Taken(PathBuf),
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> DataDirError + '_ {
    |source| DataDirError::Io {
        path: path.to_owned(),
        source,
    }
}

/// A data directory.
#[derive(Clone, Debug)]
pub(crate) struct DataDir {
    root: PathBuf,
}

/// Holds the data directory for one server; ends when dropped.
#[derive(Debug)]
pub(crate) struct DataDirLock {
    _file: File,
}

impl DataDir {
    /// Names a data directory without touching it.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Creates the directory and its folders where they are missing, and checks the modes of everything in it.
    ///
    /// # Errors
    /// [`DataDirError::Io`], [`DataDirError::Loose`].
    pub(crate) fn prepare(&self) -> Result<(), DataDirError> {
        for folder in [self.root.clone(), self.registry(), self.log(), self.refusals()] {
            match DirBuilder::new().recursive(true).mode(0o700).create(&folder) {
                Ok(()) => {}
                Err(source) => return Err(DataDirError::Io { path: folder, source }),
            }
        }
        self.check_modes()
    }

    /// Checks that nobody else may read or write what is secret here.
    ///
    /// # Errors
    /// [`DataDirError::Io`], [`DataDirError::Loose`].
    pub(crate) fn check_modes(&self) -> Result<(), DataDirError> {
        for folder in [self.root.clone(), self.registry(), self.log(), self.refusals()] {
            check_mode(&folder, 0o700)?;
        }
        for entry in fs::read_dir(&self.root).map_err(io_error(&self.root))? {
            let path = entry.map_err(io_error(&self.root))?.path();
            let secret = path
                .extension()
                .is_some_and(|extension| extension == "key" || extension == "token");
            if secret {
                check_mode(&path, 0o600)?;
            }
        }
        Ok(())
    }

    /// Takes the directory for this process.
    ///
    /// # Errors
    /// [`DataDirError::Taken`] while another server holds it, [`DataDirError::Io`].
    pub(crate) fn lock(&self) -> Result<DataDirLock, DataDirError> {
        let path = self.root.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(io_error(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(DataDirLock { _file: file }),
            Err(fs::TryLockError::WouldBlock) => Err(DataDirError::Taken(self.root.clone())),
            Err(fs::TryLockError::Error(source)) => Err(DataDirError::Io { path, source }),
        }
    }

    /// The directory itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The registry's folder.
    pub(crate) fn registry(&self) -> PathBuf {
        self.root.join("registry")
    }

    /// The event log's folder.
    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// The refusals' folder.
    pub(crate) fn refusals(&self) -> PathBuf {
        self.root.join("refusals")
    }

    /// The server's root certificate, to be trusted by clients.
    pub(crate) fn root_certificate(&self) -> PathBuf {
        self.root.join("ca.pem")
    }

    /// The operator's token.
    pub(crate) fn operator_token(&self) -> PathBuf {
        self.root.join("operator.token")
    }

    /// Where a running server says how it can be reached.
    pub(crate) fn endpoints(&self) -> PathBuf {
        self.root.join("endpoints.json")
    }

    /// Reads a file of the directory whole; `None` when it is not there.
    ///
    /// # Errors
    /// [`DataDirError::Io`], also for a file over 1 MiB.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, DataDirError> {
        read_file(&self.root.join(name))
    }

    /// Writes a file of the directory so that it is there whole or not at all, with the given mode, and durable.
    ///
    /// # Errors
    /// [`DataDirError::Io`].
    pub(crate) fn write(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), DataDirError> {
        let path = self.root.join(name);
        let draft = self.root.join(format!("{name}.new"));
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(true)
                .write(true)
                .mode(mode)
                .open(&draft)?;
            file.set_permissions(fs::Permissions::from_mode(mode))?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            File::open(&self.root)?.sync_all()
        };
        write().map_err(io_error(&path))
    }

    /// Reads the key that seals secrets, or draws it at the first start.
    ///
    /// # Errors
    /// [`DataDirError::Malformed`] when the file does not hold 32 bytes, [`DataDirError::Io`].
    pub(crate) fn master_key(&self, random: &Random) -> Result<Zeroizing<[u8; 32]>, DataDirError> {
        self.secret("master.key", random)
    }

    /// Reads 32 secret bytes from a file, or draws and keeps them.
    ///
    /// # Errors
    /// [`DataDirError::Malformed`] when the file does not hold 32 bytes, [`DataDirError::Io`].
    pub(crate) fn secret(
        &self,
        name: &'static str,
        random: &Random,
    ) -> Result<Zeroizing<[u8; 32]>, DataDirError> {
        let path = self.root.join(name);
        if let Some(bytes) = read_file(&path)? {
            let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| DataDirError::Malformed {
                path,
                what: "32 bytes are due here",
            })?;
            return Ok(Zeroizing::new(bytes));
        }
        let mut bytes = Zeroizing::new([0; 32]);
        random.draw(|rng| rng.fill_bytes(&mut *bytes));
        self.write(name, &*bytes, 0o600)?;
        Ok(bytes)
    }

    /// Reads the operator's token as it is typed: one line of printable text. `None` when the file is not there.
    ///
    /// # Errors
    /// [`DataDirError::Malformed`], [`DataDirError::Io`].
    pub(crate) fn read_operator_token(&self) -> Result<Option<Zeroizing<String>>, DataDirError> {
        read_token(&self.operator_token())
    }

    /// Draws a new operator's token (256 random bits) and keeps it.
    ///
    /// # Errors
    /// [`DataDirError::Io`].
    pub(crate) fn new_operator_token(&self, random: &Random) -> Result<Zeroizing<String>, DataDirError> {
        let mut bytes = Zeroizing::new([0; 32]);
        random.draw(|rng| rng.fill_bytes(&mut *bytes));
        let token = Zeroizing::new(BASE64URL_NOPAD.encode(&*bytes));
        self.write("operator.token", format!("{}\n", *token).as_bytes(), 0o600)?;
        Ok(token)
    }
}

/// Reads a token from a file: one line of printable text. `None` when the file is not there.
///
/// # Errors
/// [`DataDirError::Malformed`], [`DataDirError::Io`].
pub(crate) fn read_token(path: &Path) -> Result<Option<Zeroizing<String>>, DataDirError> {
    let Some(bytes) = read_file(path)? else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes).map(str::trim).unwrap_or_default();
    if text.len() < 20 || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(DataDirError::Malformed {
            path: path.to_owned(),
            what: "a token of one line is due here",
        });
    }
    Ok(Some(Zeroizing::new(text.to_owned())))
}

fn read_file(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, DataDirError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(DataDirError::Io {
                path: path.to_owned(),
                source,
            });
        }
    };
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_FILE)
        .read_to_end(&mut bytes)
        .map_err(io_error(path))?;
    Ok(Some(bytes))
}

fn check_mode(path: &Path, wanted: u32) -> Result<(), DataDirError> {
    let mode = fs::metadata(path).map_err(io_error(path))?.mode() & 0o777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(DataDirError::Loose {
            path: path.to_owned(),
            mode,
            wanted,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> (tempfile::TempDir, DataDir) {
        let parent = tempfile::tempdir().unwrap();
        let data = DataDir::new(parent.path().join("data"));
        data.prepare().unwrap();
        (parent, data)
    }

    #[test]
    fn everything_is_created_closed_to_others() {
        let (_parent, data) = fresh();
        let random = Random::from_number(1);
        data.master_key(&random).unwrap();
        data.new_operator_token(&random).unwrap();
        for name in ["master.key", "operator.token"] {
            assert_eq!(
                fs::metadata(data.root().join(name)).unwrap().mode() & 0o777,
                0o600,
                "{name}"
            );
        }
        assert_eq!(fs::metadata(data.root()).unwrap().mode() & 0o777, 0o700);
        data.check_modes().unwrap();
    }

    #[test]
    fn a_key_that_others_may_read_is_refused_with_the_command_that_mends_it() {
        let (_parent, data) = fresh();
        data.master_key(&Random::from_number(1)).unwrap();
        let key = data.root().join("master.key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let error = data.prepare().unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn secrets_stay_the_same_over_starts() {
        let (_parent, data) = fresh();
        let first = data.master_key(&Random::from_number(1)).unwrap();
        let second = data.master_key(&Random::from_number(2)).unwrap();
        assert_eq!(*first, *second);
    }

    #[test]
    fn one_server_at_a_time() {
        let (_parent, data) = fresh();
        let held = data.lock().unwrap();
        assert!(matches!(data.lock(), Err(DataDirError::Taken(_))));
        drop(held);
        data.lock().unwrap();
    }
}
