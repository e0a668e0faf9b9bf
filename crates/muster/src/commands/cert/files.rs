//! Reading and writing the files of certificates, with the modes that the script gives them.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use muster_pki::issue::Issuer;
use muster_pki::{Certificate, PrivateKey};
use zeroize::Zeroizing;

use crate::cli::Failure;

/// A file that others may read and nobody may change.
pub(super) const READ_ONLY: u32 = 0o444;
/// A file for its owner alone, who may not change it either.
pub(super) const PRIVATE: u32 = 0o400;
/// A private file that its owner may change.
pub(super) const OWNER: u32 = 0o600;
/// An ordinary file.
pub(super) const ORDINARY: u32 = 0o644;

/// Most bytes of a file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Writes a file under its final mode, in place of an earlier one even when that is read-only.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let write = || -> io::Result<()> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        remove_if_there(path)?;
        // Closed to others from the first moment: it may hold a key.
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(bytes)?;
        file.set_permissions(fs::Permissions::from_mode(mode))
    };
    write().map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

/// Removes a file; one that is not there is no failure.
pub(super) fn remove(path: &Path) -> Result<(), Failure> {
    remove_if_there(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Reads a file of at most 1 MiB.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let about = |what: &dyn std::fmt::Display| Failure::new(format!("{}: {what}", path.display()));
    let mut bytes = Vec::new();
    // Bounded while reading: the size of a pipe is not known before.
    fs::File::open(path)
        .map_err(|e| about(&e))?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| about(&e))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(about(&"larger than 1 MiB, which no certificate file is"));
    }
    Ok(bytes)
}

/// Reads the first certificate of a file.
pub(super) fn certificate(path: &Path) -> Result<Certificate, Failure> {
    Certificate::from_text(&read(path)?).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

/// Reads every certificate of a file.
pub(super) fn certificates(path: &Path) -> Result<Vec<Certificate>, Failure> {
    Certificate::all_from_text(&read(path)?)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

/// Reads a CA certificate with its key.
pub(super) fn issuer(certificate_file: &Path, key_file: &Path, pass_phrase: &str) -> Result<Issuer, Failure> {
    let about = |error: &dyn std::fmt::Display| Failure::new(format!("{}: {error}", key_file.display()));
    if !certificate_file.exists() {
        return Err(Failure::new(format!(
            "{} is not there; `muster cert chain` makes a root and an intermediate, and --dir, --ca and --ca-key name \
             others",
            certificate_file.display()
        )));
    }
    let certificate = certificate(certificate_file)?;
    let text = Zeroizing::new(read(key_file)?);
    let key = PrivateKey::from_text(&text, Some(pass_phrase)).map_err(|error| about(&error))?;
    Issuer::new(certificate, key).map_err(|error| about(&error))
}
