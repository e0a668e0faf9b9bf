//! The few calls that the log makes to a disk, so that tests can put one under it that forgets and tears.
//!
//! One [`Disk`] is one directory. Names are plain file names, chosen by the log. What a disk promises is what
//! Linux promises and no more: a write is lost or torn unless [`DiskFile::sync_data`] succeeded after it, and a
//! name that was made, moved or removed may come back or vanish unless [`Disk::sync_dir`] succeeded after it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, FlockOperation};

/// One directory of files.
pub trait Disk: Send + Sync {
    /// Returns the names in the directory, in no order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Creates a file that must not exist yet, for the owner alone.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Removes a name. Files already open stay readable.
    fn unlink(&self, name: &str) -> io::Result<()>;
    /// Gives a file another name, in place of what had that name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Gives a file a second name, the same one, in another directory of the same file system.
    fn hard_link(&self, name: &str, directory: &Path) -> io::Result<()>;
    /// Makes the directory's names durable.
    fn sync_dir(&self) -> io::Result<()>;
    /// Returns the bytes that may still be written, as far as the file system tells.
    fn free_space(&self) -> io::Result<u64>;
    /// Returns another directory, made if it is not there.
    fn directory(&self, path: &Path) -> io::Result<Arc<dyn Disk>>;
}

/// One open file.
pub trait DiskFile: Send + Sync {
    /// Returns the file's length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Makes the file at least this long, with room on the disk, reading as zeros.
    fn preallocate(&self, length: u64) -> io::Result<()>;
    /// Writes all bytes at an offset.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Reads until the buffer is full or the file ends; returns how many bytes were read.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Makes content and length durable. After a failure nothing is known of what is on the disk.
    fn sync_data(&self) -> io::Result<()>;
    /// Cuts the file to a length.
    fn truncate(&self, length: u64) -> io::Result<()>;
}

/// A directory of the operating system's file system, which one process has to itself.
#[derive(Debug)]
pub struct RealDisk {
    root: PathBuf,
    directory: File,
}

impl RealDisk {
    /// Opens a directory, making it, readable by its owner alone, if it is not there, and locks it until the
    /// value is dropped: two writers would ruin a log.
    ///
    /// # Errors
    ///
    /// Returns [`io::ErrorKind::ResourceBusy`] while another holds the directory, or what the system answers.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let disk = Self::unlocked(root.into())?;
        match rustix::fs::flock(&disk.directory, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => Err(io::ErrorKind::ResourceBusy.into()),
            other => Ok(other.map(|()| disk)?),
        }
    }

    fn unlocked(root: PathBuf) -> io::Result<Self> {
        if !root.is_dir() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&root)?;
            if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                File::open(parent)?.sync_all()?;
            }
        }
        let directory = File::open(&root)?;
        Ok(Self { root, directory })
    }
}

impl Disk for RealDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            // A name that is not UTF-8 is none of the log's.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.root.join(name))?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.root.join(name))?;
        Ok(Arc::new(RealFile(file)))
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.root.join(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.root.join(from), self.root.join(to))
    }

    fn hard_link(&self, name: &str, directory: &Path) -> io::Result<()> {
        fs::hard_link(self.root.join(name), directory.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.directory.sync_all()
    }

    fn free_space(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn directory(&self, path: &Path) -> io::Result<Arc<dyn Disk>> {
        Ok(Arc::new(Self::unlocked(path.to_owned())?))
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn preallocate(&self, length: u64) -> io::Result<()> {
        if self.size()? >= length {
            return Ok(());
        }
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, length) {
            // A file system without preallocation still works; a full disk then shows at the write.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => self.0.set_len(length),
            other => Ok(other?),
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, offset.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
}
