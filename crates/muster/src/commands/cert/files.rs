//! Reading and writing the files of certificates, with the modes that the script gives them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use muster_pki::issue::Issuer;
use muster_pki::{Certificate, PrivateKey};

use crate::cli::Failure;

/// A file that others may read and nobody may change.
pub(super) const READ_ONLY: u32 = 0o444;
/// A file for its owner alone, who may not change it either.
pub(super) const PRIVATE: u32 = 0o400;
/// A private file that its owner may change.
pub(super) const OWNER: u32 = 0o600;
/// An ordinary file.
pub(super) const ORDINARY: u32 = 0o644;

/// Writes a file under its final mode, in place of an earlier one even when that is read-only.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let write = || -> io::Result<()> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        match fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
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

/// Reads a file of at most 1 MiB.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let about = |what: &dyn std::fmt::Display| Failure::new(format!("{}: {what}", path.display()));
    let size = fs::metadata(path).map_err(|e| about(&e))?.len();
    if size > 1 << 20 {
        return Err(about(&"larger than 1 MiB, which no certificate file is"));
    }
    fs::read(path).map_err(|e| about(&e))
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

/// Reads a private key.
pub(super) fn key(path: &Path, pass_phrase: Option<&str>) -> Result<PrivateKey, Failure> {
    PrivateKey::from_text(&read(path)?, pass_phrase)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

/// Reads a CA certificate with its key.
pub(super) fn issuer(certificate_file: &Path, key_file: &Path, pass_phrase: &str) -> Result<Issuer, Failure> {
    Ok(Issuer::new(
        certificate(certificate_file)?,
        key(key_file, Some(pass_phrase))?,
    )?)
}
