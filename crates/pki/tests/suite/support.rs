//! Certificates made by other hands: by rcgen for odd hierarchies, by the `openssl` command for
//! compatibility.

use std::path::{Path as FilePath, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use muster_pki::verify::{AnchorSet, Budget, Path, Recorder, Silent, Walked, walk};
use muster_pki::{Certificate, Chain, Time};
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SerialNumber,
};
use std::ops::ControlFlow;

/// The moment of all decisions, unless a test moves it.
pub(crate) const NOW: Time = Time::from_unix(1_800_000_000);

/// A certificate with its key and the parameters it was made from.
#[derive(Clone)]
pub(crate) struct Entity {
    pub(crate) certificate: Certificate,
    pub(crate) key: Arc<KeyPair>,
    params: CertificateParams,
}

/// What a certificate shall be. Starts as a CA without limits, valid for a year around [`NOW`].
#[derive(Clone)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) ca: IsCa,
    pub(crate) key_usages: Vec<KeyUsagePurpose>,
    pub(crate) not_before: Time,
    pub(crate) not_after: Time,
    pub(crate) authority_key_id: bool,
    pub(crate) extensions: Vec<CustomExtension>,
    pub(crate) key: Option<Arc<KeyPair>>,
}

impl Spec {
    pub(crate) fn ca(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ca: IsCa::Ca(rcgen::BasicConstraints::Unconstrained),
            key_usages: vec![KeyUsagePurpose::KeyCertSign],
            not_before: Time::from_unix(NOW.unix() - 180 * 86_400),
            not_after: NOW.plus_days(180),
            authority_key_id: true,
            extensions: Vec::new(),
            key: None,
        }
    }

    pub(crate) fn leaf(name: &str) -> Self {
        Self {
            ca: IsCa::ExplicitNoCa,
            key_usages: Vec::new(),
            ..Self::ca(name)
        }
    }

    pub(crate) fn path_len(mut self, limit: u8) -> Self {
        self.ca = IsCa::Ca(rcgen::BasicConstraints::Constrained(limit));
        self
    }

    pub(crate) fn dates(mut self, not_before: Time, not_after: Time) -> Self {
        (self.not_before, self.not_after) = (not_before, not_after);
        self
    }

    pub(crate) fn expired(self) -> Self {
        let (from, to) = (NOW.unix() - 20 * 86_400, NOW.unix() - 10 * 86_400);
        self.dates(Time::from_unix(from), Time::from_unix(to))
    }

    pub(crate) fn future(self) -> Self {
        self.dates(NOW.plus_days(10), NOW.plus_days(20))
    }

    pub(crate) fn with_key(mut self, key: &Arc<KeyPair>) -> Self {
        self.key = Some(Arc::clone(key));
        self
    }

    /// Without any of the extensions that rcgen writes by itself, but still version 3 (which needs one
    /// extension).
    pub(crate) fn extensionless(mut self) -> Self {
        self.ca = IsCa::NoCa;
        self.key_usages = Vec::new();
        self.authority_key_id = false;
        self
    }

    pub(crate) fn critical_unknown(mut self) -> Self {
        let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![0x05, 0x00]);
        extension.set_criticality(true);
        self.extensions.push(extension);
        self
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = name_of(&self.name);
        params.is_ca = self.ca;
        params.key_usages.clone_from(&self.key_usages);
        params.not_before = calendar(self.not_before);
        params.not_after = calendar(self.not_after);
        params.use_authority_key_identifier_extension = self.authority_key_id;
        params.custom_extensions.clone_from(&self.extensions);
        params.serial_number = Some(SerialNumber::from(rand_serial()));
        params
    }

    pub(crate) fn self_signed(&self) -> Entity {
        let key = self.key.clone().unwrap_or_else(new_key);
        let params = self.params();
        let made = params.self_signed(&*key).expect("self-signed");
        Entity {
            certificate: read(made.der()),
            key,
            params,
        }
    }

    pub(crate) fn signed_by(&self, issuer: &Entity) -> Entity {
        self.signed_with(issuer, &issuer.key)
    }

    /// Names `issuer` and is signed with another key.
    pub(crate) fn signed_with(&self, issuer: &Entity, signer: &Arc<KeyPair>) -> Entity {
        let key = self.key.clone().unwrap_or_else(new_key);
        let params = self.params();
        let signing = Issuer::from_params(&issuer.params, &**signer);
        let made = params.signed_by(&*key, &signing).expect("signed");
        Entity {
            certificate: read(made.der()),
            key,
            params,
        }
    }
}

pub(crate) fn new_key() -> Arc<KeyPair> {
    Arc::new(KeyPair::generate().expect("a P-256 key"))
}

fn name_of(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn calendar(at: Time) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(at.unix()).expect("a calendar date")
}

/// Every certificate gets a number of its own, so that no two are byte-equal by accident.
fn rand_serial() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

pub(crate) fn read(der: &[u8]) -> Certificate {
    Certificate::from_der(der).expect("a readable certificate")
}

pub(crate) fn chain(presented: &[&Entity]) -> Chain {
    Chain::from_ders(presented.iter().map(|one| one.certificate.der())).expect("a chain")
}

pub(crate) fn anchors(configured: &[&Entity]) -> AnchorSet {
    configured.iter().map(|one| one.certificate.clone()).collect()
}

/// All paths that a walk shows, in its order.
pub(crate) fn paths(chain: &Chain, anchors: &AnchorSet, now: Time) -> Vec<Path> {
    let mut found = Vec::new();
    walk(chain, anchors, now, Budget::default(), &mut Silent, |path| {
        found.push(path.clone());
        ControlFlow::<()>::Continue(())
    });
    found
}

/// The simplest rule of trust: some issuer on a path is configured. Answers that path's length, else the
/// reason's code.
pub(crate) fn verdict(chain: &Chain, anchors: &AnchorSet, now: Time) -> Result<usize, &'static str> {
    verdict_within(chain, anchors, now, Budget::default())
}

pub(crate) fn verdict_within(
    chain: &Chain,
    anchors: &AnchorSet,
    now: Time,
    budget: Budget,
) -> Result<usize, &'static str> {
    let decide = |path: &Path| {
        if path.issuers().last().is_some_and(|top| top.origin.configured) {
            ControlFlow::Break(path.len())
        } else {
            ControlFlow::Continue(())
        }
    };
    let mut recorder = Recorder::new();
    let silent = walk(chain, anchors, now, budget, &mut Silent, decide);
    let explained = walk(chain, anchors, now, budget, &mut recorder, decide);
    assert_eq!(silent, explained, "listening changes nothing");
    match silent {
        Walked::Decided(length) => Ok(length),
        Walked::Undecided(reason) => Err(reason.map_or("nothing", |reason| reason.code())),
    }
}

/// A directory of its own in which `openssl` works.
pub(crate) struct Bench {
    directory: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().expect("a directory"),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("written");
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect("read")
    }

    pub(crate) fn certificate(&self, name: &str) -> Certificate {
        Certificate::from_text(&self.read(name)).expect("a certificate")
    }

    /// Runs `openssl` with these words and answers whether it liked it, and what it said.
    pub(crate) fn try_openssl(&self, words: &[&str]) -> (bool, String) {
        let output = Command::new("openssl")
            .args(words)
            .current_dir(self.directory.path())
            .env("OPENSSL_CONF", default_configuration(self.directory.path()))
            .stdin(Stdio::null())
            .output()
            .expect("the openssl command");
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        (output.status.success(), said)
    }

    /// Runs `openssl`, one command written as in a shell without quoting.
    pub(crate) fn openssl(&self, command: &str) -> String {
        let words: Vec<_> = command.split_whitespace().collect();
        let (ok, said) = self.try_openssl(&words);
        assert!(ok, "openssl {command}\n{said}");
        said
    }
}

/// A default configuration as distributions ship it, so that tests do not depend on the machine's.
fn default_configuration(directory: &FilePath) -> PathBuf {
    let file = directory.join("default-openssl.cnf");
    if !file.exists() {
        std::fs::write(&file, DEFAULT_CONFIGURATION).expect("written");
    }
    file
}

const DEFAULT_CONFIGURATION: &str = "
[req]
distinguished_name = dn
string_mask = utf8only
x509_extensions = v3_ca
[dn]
[v3_ca]
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always,issuer
basicConstraints = critical,CA:true
[usr_cert]
basicConstraints = CA:FALSE
nsComment = OpenSSL Generated Certificate
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid,issuer
";
