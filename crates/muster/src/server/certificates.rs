//! The server's own certificates: a root that clients trust, and an EC and an RSA certificate below it.
//!
//! The root may vouch only for names of this server. Certificates live 397 days at most and are renewed while the server
//! runs, once a third of their life is left. A name that the root may not vouch for makes a second root beside it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use muster_model::{Random, Wall};
use muster_net::ServerIdentity;
use muster_pki::Certificate;
use muster_pki::issue::{Issuer, Profile, Serial, ServerNames, Template};
use muster_pki::key::{NewKey, PrivateKey};
use serde::{Deserialize, Serialize};

use super::config::Names;
use super::data_dir::{DataDir, DataDirError};

/// Days that the root lives: longer than a machine in a plant.
const ROOT_DAYS: u32 = 30 * 365;

/// Days that a certificate of the server lives. Source: CA/Browser Forum baseline, section 6.3.2, read 2026-11.
const LEAF_DAYS: u32 = 397;

/// Days before its end at which a certificate is renewed.
const RENEW_DAYS: i64 = 132;

/// The server's roots, the present one first.
const ROOTS: &str = "server-root.pem";

/// What clients of the server trust: its roots, and those of certificates that the operator gave.
const TRUSTED: &str = "ca.pem";

const ROOT_KEY: &str = "server-root.key";
const ROOT_NAMES: &str = "server-root.json";

/// A certificate of the server that can't be made or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    /// The data directory failed.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// A certificate could not be issued.
    #[error("a certificate of the server can't be issued")]
    Issue(#[from] muster_pki::IssueError),
    /// A key could not be made or read.
    #[error("a key of the server can't be used")]
    Key(#[from] muster_pki::KeyError),
    /// A file does not hold what it should.
    #[error("{file}: {what}")]
    Malformed {
        /// The file's name in the data directory.
        file: &'static str,
        /// What is wrong.
        what: String,
    },
    /// The TLS library did not take a certificate.
    #[error("a certificate of the server can't be served")]
    Serve(#[from] muster_net::Error),
}

/// What the root may vouch for.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
struct Permitted {
    dns: BTreeSet<String>,
    ips: BTreeSet<IpAddr>,
}

impl Permitted {
    fn covers(&self, wanted: &Self) -> bool {
        wanted.dns.is_subset(&self.dns) && wanted.ips.is_subset(&self.ips)
    }
}

/// The certificates that the server shows, and how they came about.
pub(crate) struct Shown {
    /// EC first.
    pub(crate) identities: Vec<ServerIdentity>,
    /// Whether a root was made because the names of an earlier one did not suffice.
    pub(crate) second_root: bool,
}

/// This machine's own name, where it has one that can stand in a certificate.
pub(crate) fn machine_name() -> Option<String> {
    let name = rustix::system::uname()
        .nodename()
        .to_str()
        .ok()?
        .to_ascii_lowercase();
    let good = (1..=253).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
        && name.parse::<IpAddr>().is_err();
    (good && name != "localhost").then_some(name)
}

/// Every name and address that leads to the machine rather than to one hub.
pub(crate) fn machine_names(names: &Names) -> Vec<String> {
    let mut all = vec!["localhost".to_owned()];
    all.extend(machine_name());
    all.extend(names.hosts.iter().map(|host| host.to_ascii_lowercase()));
    all
}

/// The domains below which hubs and services stand: ours, and the vendor's where they are switched on.
fn service_domains(names: &Names) -> Vec<String> {
    let mut domains = vec![names.domain.to_ascii_lowercase()];
    if names.azure_names && names.domain != "net" {
        domains.push("net".to_owned());
    }
    domains
        .iter()
        .flat_map(|d| {
            [
                format!("azure-devices.{d}"),
                format!("azure-devices-provisioning.{d}"),
            ]
        })
        .collect()
}

fn permitted(names: &Names) -> Permitted {
    let mut permitted = Permitted::default();
    permitted
        .ips
        .extend([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
    permitted.dns.extend(service_domains(names));
    for name in machine_names(names) {
        match name.parse() {
            Ok(ip) => permitted.ips.insert(ip),
            Err(_) => permitted.dns.insert(name),
        };
    }
    permitted
}

fn leaf_names(names: &Names) -> ServerNames {
    let permitted = permitted(names);
    let domains = service_domains(names);
    let wildcards = domains.iter().map(|domain| format!("*.{domain}"));
    let exact = permitted.dns.into_iter().filter(|name| !domains.contains(name));
    ServerNames {
        dns: exact.chain(wildcards).collect(),
        ips: permitted.ips.into_iter().collect(),
    }
}

/// Writes what clients of the server trust: its roots, then `further`, each once.
///
/// # Errors
/// [`CertificateError::DataDir`].
pub(crate) fn publish<'a>(
    data: &DataDir,
    further: impl IntoIterator<Item = &'a Certificate>,
) -> Result<(), CertificateError> {
    let mut text = data
        .read(ROOTS)?
        .map(|roots| String::from_utf8_lossy(&roots).into_owned())
        .unwrap_or_default();
    for certificate in further {
        let pem = certificate.pem();
        if !text.contains(pem.trim_end()) {
            text.push_str(&pem);
        }
    }
    Ok(data.write_if_changed(TRUSTED, text.as_bytes(), 0o644)?)
}

/// Reads the server's certificates, and makes or renews what is missing, too old, or short of a name.
///
/// # Errors
/// [`CertificateError`].
pub(crate) fn ensure(
    data: &DataDir,
    names: &Names,
    random: &Random,
    now: Wall,
) -> Result<Shown, CertificateError> {
    let (root, second_root) = ensure_root(data, names, random, now)?;
    let wanted = leaf_names(names);
    let mut identities = Vec::new();
    for (key_file, certificate_file, kind) in [
        ("server-ec.key", "server-ec.pem", NewKey::EcP256),
        ("server-rsa.key", "server-rsa.pem", NewKey::Rsa2048),
    ] {
        let key = ensure_key(data, key_file, kind)?;
        let certificate = ensure_leaf(data, certificate_file, &root, &key, &wanted, random, now)?;
        let chain = [Bytes::copy_from_slice(certificate.der())];
        identities.push(ServerIdentity::new(chain, key.pkcs8_der())?);
    }
    Ok(Shown {
        identities,
        second_root,
    })
}

fn ensure_key(data: &DataDir, file: &'static str, kind: NewKey) -> Result<PrivateKey, CertificateError> {
    if let Some(pem) = data.read(file)? {
        return Ok(PrivateKey::from_text(&pem, None)?);
    }
    let key = PrivateKey::generate(kind)?;
    data.write(file, key.pkcs8_pem().as_bytes(), 0o600)?;
    Ok(key)
}

fn ensure_root(
    data: &DataDir,
    names: &Names,
    random: &Random,
    now: Wall,
) -> Result<(Issuer, bool), CertificateError> {
    let malformed = |file, what: &dyn std::fmt::Display| CertificateError::Malformed {
        file,
        what: what.to_string(),
    };
    let wanted = permitted(names);
    // Before certificates of the operator's own could be given, both files were one.
    let earlier = match data.read(ROOTS)? {
        Some(roots) => Some(roots),
        None => data.read(TRUSTED)?,
    };
    if let (Some(pem), Some(key), Some(known)) = (&earlier, data.read(ROOT_KEY)?, data.read(ROOT_NAMES)?) {
        let known: Permitted = serde_json::from_slice(&known).map_err(|e| malformed(ROOT_NAMES, &e))?;
        let certificate = Certificate::from_text(pem).map_err(|e| malformed(ROOTS, &e))?;
        if known.covers(&wanted) && certificate.not_after() > now.to_pki().plus_days(LEAF_DAYS) {
            data.write_if_changed(ROOTS, pem, 0o644)?;
            return Ok((
                Issuer::new(certificate, PrivateKey::from_text(&key, None)?)?,
                false,
            ));
        }
    }
    let key = PrivateKey::generate(NewKey::EcP256)?;
    let scope = ServerNames {
        dns: wanted.dns.iter().cloned().collect(),
        ips: wanted.ips.iter().copied().collect(),
    };
    let common_name = format!(
        "Muster server root {}",
        now.to_string().get(..10).unwrap_or_default()
    );
    let template = Template::new(
        &common_name,
        random.draw(|rng| Serial::random(rng)),
        not_before(now),
        now.to_pki().plus_days(ROOT_DAYS),
        Profile::ServerRoot(scope),
    )?;
    let certificate = template.self_signed(&key)?;
    // The new root stands first: it issues from now on. Clients that trust the old one still find it behind.
    let mut trusted = certificate.pem();
    if let Some(pem) = &earlier {
        trusted.push_str(&String::from_utf8_lossy(pem));
    }
    data.write(ROOT_KEY, key.pkcs8_pem().as_bytes(), 0o600)?;
    data.write(ROOTS, trusted.as_bytes(), 0o644)?;
    let names = serde_json::to_vec(&wanted).map_err(|e| malformed(ROOT_NAMES, &e))?;
    data.write(ROOT_NAMES, &names, 0o644)?;
    Ok((Issuer::new(certificate, key)?, earlier.is_some()))
}

#[derive(Deserialize, Eq, PartialEq, Serialize)]
struct LeafNames {
    dns: Vec<String>,
    ips: Vec<IpAddr>,
    root: String,
}

fn ensure_leaf(
    data: &DataDir,
    file: &'static str,
    root: &Issuer,
    key: &PrivateKey,
    names: &ServerNames,
    random: &Random,
    now: Wall,
) -> Result<Certificate, CertificateError> {
    // What stands in the certificate is noted beside it: the names are compared, not parsed out of it again.
    let note_file = format!("{}.json", file.trim_end_matches(".pem"));
    let wanted = LeafNames {
        dns: names.dns.clone(),
        ips: names.ips.clone(),
        root: root.certificate().sha256().to_string(),
    };
    if let (Some(pem), Some(note)) = (data.read(file)?, data.read(&note_file)?)
        && let (Ok(certificate), Ok(note)) = (
            Certificate::from_text(&pem),
            serde_json::from_slice::<LeafNames>(&note),
        )
        && note == wanted
        && key.belongs_to(&certificate)
        && certificate.not_after().seconds_since(now.to_pki()) > RENEW_DAYS * 86_400
        && certificate.not_before() <= now.to_pki()
    {
        return Ok(certificate);
    }
    let template = Template::new(
        "Muster server",
        random.draw(|rng| Serial::random(rng)),
        not_before(now),
        not_before(now).plus_days(LEAF_DAYS),
        Profile::Server(names.clone()),
    )?;
    let certificate = root.issue(&template, key)?;
    data.write(file, certificate.pem().as_bytes(), 0o644)?;
    let note = serde_json::to_vec(&wanted).map_err(|e| CertificateError::Malformed {
        file,
        what: e.to_string(),
    })?;
    data.write(&note_file, &note, 0o644)?;
    Ok(certificate)
}

/// Five minutes back, for clients whose clocks are slow.
fn not_before(now: Wall) -> muster_pki::Time {
    now.to_pki().plus_seconds(-300)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall::from_seconds(1_795_000_000);

    fn fresh() -> (tempfile::TempDir, DataDir) {
        let parent = tempfile::tempdir().unwrap();
        let data = DataDir::new(parent.path().join("data"));
        data.prepare().unwrap();
        (parent, data)
    }

    fn serial(data: &DataDir) -> String {
        Certificate::from_text(&data.read("server-ec.pem").unwrap().unwrap())
            .unwrap()
            .serial_hex()
    }

    #[test]
    fn certificates_stay_until_they_are_due_and_are_renewed_then() {
        let (_parent, data) = fresh();
        let random = Random::from_number(1);
        ensure(&data, &Names::default(), &random, NOW).unwrap();
        let first = serial(&data);
        ensure(&data, &Names::default(), &random, NOW).unwrap();
        assert_eq!(serial(&data), first);
        let later = NOW.plus(std::time::Duration::from_hours(300 * 24));
        let shown = ensure(&data, &Names::default(), &random, later).unwrap();
        assert_ne!(serial(&data), first);
        assert!(!shown.second_root);
        let renewed = Certificate::from_text(&data.read("server-ec.pem").unwrap().unwrap()).unwrap();
        assert!(renewed.not_after() > later.to_pki());
    }

    #[test]
    fn a_name_that_the_root_may_not_vouch_for_makes_a_second_root() {
        let (_parent, data) = fresh();
        let random = Random::from_number(1);
        ensure(&data, &Names::default(), &random, NOW).unwrap();
        let names = Names {
            hosts: vec!["plant-7.example".into()],
            ..Names::default()
        };
        let shown = ensure(&data, &names, &random, NOW).unwrap();
        assert!(shown.second_root);
        publish(&data, []).unwrap();
        let roots = Certificate::all_from_text(&data.read("ca.pem").unwrap().unwrap()).unwrap();
        assert_eq!(roots.len(), 2);
        assert!(!ensure(&data, &names, &random, NOW).unwrap().second_root);
    }

    #[test]
    fn what_clients_trust_follows_the_certificates_that_were_given() {
        let (_parent, data) = fresh();
        ensure(&data, &Names::default(), &Random::from_number(1), NOW).unwrap();
        let given = Certificate::from_text(&data.read("server-ec.pem").unwrap().unwrap()).unwrap();
        let trusted = || Certificate::all_from_text(&data.read(TRUSTED).unwrap().unwrap()).unwrap();
        publish(&data, [&given, &given]).unwrap();
        assert_eq!(trusted().len(), 2);
        publish(&data, []).unwrap();
        assert_eq!(trusted().len(), 1);
        // A data directory from before the roots had a file of their own.
        std::fs::rename(data.root().join(TRUSTED), data.root().join("kept")).unwrap();
        std::fs::remove_file(data.root().join(ROOTS)).unwrap();
        std::fs::rename(data.root().join("kept"), data.root().join(TRUSTED)).unwrap();
        assert!(
            !ensure(&data, &Names::default(), &Random::from_number(2), NOW)
                .unwrap()
                .second_root
        );
        publish(&data, []).unwrap();
        assert_eq!(trusted().len(), 1);
    }
}
