//! The data directory: what lies where, with which modes, and who may use it.
//!
//! Everything is created closed to others, and a start with looser modes is refused: the directory holds private keys.
//! One server at a time holds the lock.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use data_encoding::BASE64URL_NOPAD;
use muster_model::{Random, Wall};
use zeroize::Zeroizing;

/// Largest file that is read whole from the data directory, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// What a restore replaces, in the order in which it changes places.
const RESTORED: [&str; 2] = ["registry", "log"];

/// How the folder begins that keeps what a restore replaced.
const ASIDE: &str = "before-restore-";

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

    /// Takes the directory for this process. A restore that was cut while it changed places is finished first: nobody
    /// who holds the lock sees half of one.
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
            Ok(()) => {
                self.finish_restore()?;
                Ok(DataDirLock { _file: file })
            }
            Err(fs::TryLockError::WouldBlock) => Err(DataDirError::Taken(self.root.clone())),
            Err(fs::TryLockError::Error(source)) => Err(DataDirError::Io { path, source }),
        }
    }

    /// Puts a whole restored registry and log, in the folders of those names below `draft`, into the place of what is
    /// there, and answers where that is kept. `draft` stands in this directory. From the moment in which it is renamed
    /// there is no way back: a process that ends in between leaves the rest to the next one that takes the lock.
    ///
    /// # Errors
    /// [`DataDirError::Io`].
    pub(crate) fn adopt_restored(
        &self,
        _lock: &DataDirLock,
        draft: &Path,
        now: Wall,
    ) -> Result<PathBuf, DataDirError> {
        let aside = self.free_aside(now);
        let kept = draft.join(&aside);
        DirBuilder::new()
            .mode(0o700)
            .create(&kept)
            .map_err(io_error(&kept))?;
        for folder in RESTORED.map(|part| draft.join(part)) {
            sync_folder(&folder)?;
        }
        sync_folder(draft)?;
        let ready = self.ready();
        fs::rename(draft, &ready).map_err(io_error(&ready))?;
        sync_folder(&self.root)?;
        self.finish_restore()?;
        Ok(self.root.join(aside))
    }

    /// A name for what is kept aside that no earlier restore has taken; two may come within a second.
    fn free_aside(&self, now: Wall) -> String {
        let first = format!("{ASIDE}{}", now.seconds());
        let mut name = first.clone();
        let mut turn = 1_u32;
        while self.root.join(&name).exists() {
            turn += 1;
            name = format!("{first}-{turn}");
        }
        name
    }

    /// Where a restored registry and log wait, whole, for their places.
    fn ready(&self) -> PathBuf {
        self.root.join("restore.ready")
    }

    /// Moves what waits in [`Self::ready`] to its place. Every step can be the last one before the power is cut.
    fn finish_restore(&self) -> Result<(), DataDirError> {
        let ready = self.ready();
        if !ready.exists() {
            return Ok(());
        }
        let mut kept = None;
        for entry in fs::read_dir(&ready).map_err(io_error(&ready))? {
            let entry = entry.map_err(io_error(&ready))?;
            if entry.file_name().to_string_lossy().starts_with(ASIDE) {
                kept = Some(entry.path());
            }
        }
        if let Some(kept) = kept {
            for part in RESTORED {
                let (fresh, place, old) = (ready.join(part), self.root.join(part), kept.join(part));
                if !fresh.exists() {
                    continue;
                }
                if place.exists() {
                    if old.exists() {
                        // An empty folder that a start has made since.
                        fs::remove_dir(&place).map_err(io_error(&place))?;
                    } else {
                        fs::rename(&place, &old).map_err(io_error(&place))?;
                    }
                }
                fs::rename(&fresh, &place).map_err(io_error(&place))?;
            }
            sync_folder(&kept)?;
            let last = self.root.join(kept.file_name().unwrap_or_default());
            fs::rename(&kept, &last).map_err(io_error(&last))?;
            sync_folder(&self.root)?;
        }
        fs::remove_dir(&ready).map_err(io_error(&ready))?;
        sync_folder(&self.root)
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

    /// Writes a file of the directory unless it holds that already.
    ///
    /// # Errors
    /// [`DataDirError::Io`].
    pub(crate) fn write_if_changed(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), DataDirError> {
        if self.read(name)?.is_some_and(|present| *present == bytes) {
            return Ok(());
        }
        self.write(name, bytes, mode)
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

fn sync_folder(folder: &Path) -> Result<(), DataDirError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(io_error(folder))
}

fn check_mode(path: &Path, wanted: u32) -> Result<(), DataDirError> {
    let mode = fs::metadata(path).map_err(io_error(path))?.mode() & 0o777;
    let open_to_others = mode & 0o077;
    if open_to_others == 0 {
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

    /// A directory with old data, and a restored draft beside it.
    fn before_a_restore() -> (tempfile::TempDir, DataDir, PathBuf) {
        let (parent, data) = fresh();
        let draft = data.root().join("restore.new");
        for part in RESTORED {
            fs::write(data.root().join(part).join("life"), "old").unwrap();
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(draft.join(part))
                .unwrap();
            fs::write(draft.join(part).join("life"), "new").unwrap();
        }
        (parent, data, draft)
    }

    fn assert_restored(data: &DataDir, aside: &Path) {
        for part in RESTORED {
            assert_eq!(
                fs::read_to_string(data.root().join(part).join("life")).unwrap(),
                "new"
            );
            assert_eq!(fs::read_to_string(aside.join(part).join("life")).unwrap(), "old");
        }
        assert!(!data.ready().exists());
    }

    #[test]
    fn a_restore_changes_places_and_keeps_what_was_there() {
        let (_parent, data, draft) = before_a_restore();
        let lock = data.lock().unwrap();
        let aside = data.adopt_restored(&lock, &draft, Wall::from_seconds(7)).unwrap();
        assert_eq!(aside, data.root().join("before-restore-7"));
        assert_restored(&data, &aside);
    }

    #[test]
    fn a_second_restore_within_a_second_keeps_what_the_first_one_kept() {
        let (_parent, data, draft) = before_a_restore();
        let lock = data.lock().unwrap();
        let first = data.adopt_restored(&lock, &draft, Wall::from_seconds(7)).unwrap();
        for part in RESTORED {
            fs::create_dir_all(draft.join(part)).unwrap();
            fs::write(draft.join(part).join("life"), "newer").unwrap();
        }
        let second = data.adopt_restored(&lock, &draft, Wall::from_seconds(7)).unwrap();
        let life = |folder: &Path| fs::read_to_string(folder.join("log").join("life")).unwrap();
        assert_eq!(
            [life(&first), life(&second), life(data.root())],
            ["old", "new", "newer"]
        );
    }

    #[test]
    fn a_restore_that_is_cut_between_any_two_renames_is_finished_by_the_next_holder() {
        let renames = |data: &DataDir| -> Vec<(PathBuf, PathBuf)> {
            let (root, ready) = (data.root(), data.ready());
            let kept = ready.join("before-restore-7");
            vec![
                (root.join("registry"), kept.join("registry")),
                (ready.join("registry"), root.join("registry")),
                (root.join("log"), kept.join("log")),
                (ready.join("log"), root.join("log")),
                (kept, root.join("before-restore-7")),
            ]
        };
        for done in 0..=5 {
            let (_parent, data, draft) = before_a_restore();
            fs::create_dir(draft.join("before-restore-7")).unwrap();
            fs::rename(&draft, data.ready()).unwrap();
            for (from, to) in renames(&data).into_iter().take(done) {
                fs::rename(from, to).unwrap();
            }
            // A start makes the folders that it misses before it takes the lock.
            data.prepare().unwrap();
            data.lock().unwrap();
            assert_restored(&data, &data.root().join("before-restore-7"));
        }
    }
}
