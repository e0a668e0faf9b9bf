//! The little database that `openssl ca` keeps beside the certificates of a hierarchy: the next serial number, an index
//! of what was issued, and a copy of each certificate, so that `openssl ca` can go on where this command stopped.
//!
//! Source of the forms: openssl-ca(1), "database" and "serial", read 2026-11-25.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use muster_model::Random;
use muster_pki::Certificate;
use muster_pki::issue::Serial;

use super::files;
use crate::cli::Failure;

const INDEX: &str = "index.txt";
const ATTRIBUTES: &str = "index.txt.attr";
const SERIAL: &str = "serial";
const COPIES: &str = "newcerts";

/// The database of one hierarchy.
#[derive(Debug)]
pub(super) struct Database {
    folder: PathBuf,
}

impl Database {
    /// The database in `folder`, which may not have one.
    pub(super) const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Begins it anew.
    pub(super) fn create(&self, first: &Serial) -> Result<(), Failure> {
        for old in ["index.txt.old", "index.txt.attr.old", "serial.old"] {
            files::remove(&self.folder.join(old))?;
        }
        self.put(SERIAL, &format!("{}\n", first.hex()))?;
        self.put(INDEX, "")?;
        // A device may get another certificate of the same name; openssl would refuse such an index otherwise.
        self.put(ATTRIBUTES, "unique_subject = no\n")
    }

    /// Takes the next serial number and counts it up. Where there is no count, one is drawn.
    pub(super) fn take_serial(&self, random: &Random) -> Result<Serial, Failure> {
        let path = self.folder.join(SERIAL);
        if !path.exists() {
            return Ok(random.draw(|rng| Serial::random(rng)));
        }
        let about = |what: &dyn std::fmt::Display| Failure::new(format!("{}: {what}", path.display()));
        let text = files::read(&path)?;
        let text = std::str::from_utf8(&text)
            .map_err(|e| about(&e))?
            .trim()
            .to_ascii_uppercase();
        let bytes = data_encoding::HEXUPPER
            .decode(text.as_bytes())
            .map_err(|e| about(&e))?;
        let serial = Serial::from_bytes(&bytes).map_err(|e| about(&e))?;
        self.put(SERIAL, &format!("{}\n", serial.next()?.hex()))?;
        Ok(serial)
    }

    /// Notes an issued certificate and keeps a copy of it.
    pub(super) fn record(&self, certificate: &Certificate) -> Result<(), Failure> {
        let serial = certificate.serial_hex();
        let copy = self.folder.join(COPIES).join(format!("{serial}.pem"));
        files::write(&copy, certificate.pem().as_bytes(), files::ORDINARY)?;
        let index = self.folder.join(INDEX);
        let line = format!(
            "V\t{}\t\t{serial}\tunknown\t{}\n",
            ending(certificate),
            one_line(certificate.common_name().unwrap_or_default())
        );
        let append = || -> io::Result<()> {
            let mut file = OpenOptions::new().create(true).append(true).open(&index)?;
            file.write_all(line.as_bytes())
        };
        append().map_err(|error| Failure::new(format!("{}: {error}", index.display())))
    }

    /// Deletes what earlier hierarchies left in the folders of this one: certificates, keys, requests and containers,
    /// and nothing else that may lie there.
    pub(super) fn sweep(&self, folders: &[&str]) -> Result<(), Failure> {
        for folder in folders {
            let folder = self.folder.join(folder);
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Failure::new(format!("{}: {error}", folder.display()))),
            };
            for entry in entries {
                let path = entry?.path();
                let is_ours = path
                    .extension()
                    .is_some_and(|ending| ending == "pem" || ending == "pfx");
                if is_ours && path.is_file() {
                    files::remove(&path)?;
                }
            }
        }
        Ok(())
    }

    fn put(&self, name: &str, text: &str) -> Result<(), Failure> {
        files::write(&self.folder.join(name), text.as_bytes(), files::ORDINARY)
    }
}

/// The last second of validity as the certificate itself writes it: two-digit years to 2049, four-digit ones after.
fn ending(certificate: &Certificate) -> String {
    let digits: String = certificate
        .not_after()
        .to_string()
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    let short = digits
        .strip_prefix("20")
        .filter(|rest| rest.as_bytes().first().is_some_and(|decade| *decade < b'5'));
    format!("{}Z", short.unwrap_or(&digits))
}

/// A common name as openssl writes names on one line: what is not printable ASCII, as hex.
fn one_line(common_name: &str) -> String {
    let mut line = "/CN=".to_owned();
    for byte in common_name.bytes() {
        if (b' '..=b'~').contains(&byte) {
            line.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(line, "\\x{byte:02X}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use muster_pki::issue::{Profile, Template};
    use muster_pki::{NewKey, PrivateKey, Time};

    use super::*;

    fn certificate(number: u8, until: i64) -> Certificate {
        let key = PrivateKey::generate(NewKey::EcP256).unwrap();
        let serial = Serial::from_bytes(&[number]).unwrap();
        Template::new(
            "d\u{e9}vice\t1",
            serial,
            Time::from_unix(0),
            Time::from_unix(until),
            Profile::Bare,
        )
        .unwrap()
        .self_signed(&key)
        .unwrap()
    }

    #[test]
    fn counts_in_hex_and_keeps_an_index_that_openssl_reads() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::new(folder.path().to_owned());
        let random = Random::from_number(1);
        database.create(&Serial::from_bytes(&[0xff]).unwrap()).unwrap();
        assert_eq!(database.take_serial(&random).unwrap().hex(), "FF");
        assert_eq!(fs::read_to_string(folder.path().join(SERIAL)).unwrap(), "0100\n");
        database.record(&certificate(1, 1_801_299_600)).unwrap();
        database.record(&certificate(0x80, 2_524_608_000)).unwrap();
        assert_eq!(
            fs::read_to_string(folder.path().join(INDEX)).unwrap(),
            "V\t270130090000Z\t\t01\tunknown\t/CN=d\\xC3\\xA9vice\\x091\n\
             V\t20500101000000Z\t\t80\tunknown\t/CN=d\\xC3\\xA9vice\\x091\n"
        );
        assert!(folder.path().join("newcerts/80.pem").is_file());
    }

    #[test]
    fn draws_a_number_where_nobody_counts() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::new(folder.path().to_owned());
        let serial = database.take_serial(&Random::from_number(1)).unwrap();
        assert_eq!(serial.hex().len(), 32);
        assert!(!folder.path().join(SERIAL).exists());
    }

    #[test]
    fn sweeps_away_certificates_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let certs = folder.path().join("certs");
        fs::create_dir(&certs).unwrap();
        for name in ["old.pem", "old.pfx", "notes.txt"] {
            fs::write(certs.join(name), "x").unwrap();
        }
        Database::new(folder.path().to_owned())
            .sweep(&["certs", "private"])
            .unwrap();
        let left: Vec<_> = fs::read_dir(&certs)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["notes.txt"]);
    }
}
