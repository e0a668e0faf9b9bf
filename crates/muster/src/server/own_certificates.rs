//! Server certificates that the operator gives, beside those that the server makes for itself.
//!
//! Each comes with the CA certificates that its clients trust. That makes two things possible: a chain that lacks an
//! intermediate is refused at the start instead of by every client, and the CA goes into `ca.pem`, so that whoever trusts
//! that file believes these certificates too. The files are read again while the server runs; what can't be used then
//! leaves the present ones in place.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use muster_model::Wall;
use muster_net::{ServerIdentities, ServerIdentity};
use muster_pki::key::PrivateKey;
use muster_pki::verify::{AnchorSet, Budget, Silent, walk};
use muster_pki::{Certificate, Chain, Sha256};
use zeroize::Zeroizing;

use super::config::OwnCertificate;

/// The name for which the server shows a certificate of its own making in any case: commands on the same machine connect
/// by it, and need nothing but the data directory.
const RESERVED: &str = "localhost";

/// A certificate of the operator's own that can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OwnCertificateError {
    /// The certificates are not a chain that can be shown.
    #[error("{file}: {source}", file = .file.display())]
    Chain {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: muster_pki::ChainError,
    },
    /// A file can't be read.
    #[error("{file}: {source}", file = .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A key can't be read.
    #[error("{file}: {source}; a key without a pass phrase is due, in PEM", file = .file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: muster_pki::KeyError,
    },
    /// Nothing leads from the certificate to what its clients trust.
    #[error(
        "{file}: no path leads from the first certificate to one of {ca}; the file must hold the server's certificate \
         first, then each intermediate",
        file = .file.display(),
        ca = .ca.display()
    )]
    NoPath {
        /// The file of the chain.
        file: PathBuf,
        /// The file of what clients trust.
        ca: PathBuf,
    },
    /// A certificate can't be read.
    #[error("{file}: {source}", file = .file.display())]
    Parse {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: muster_pki::ParseError,
    },
    /// The TLS library did not take it.
    #[error("{file}: {source}", file = .file.display())]
    Serve {
        /// The file.
        file: PathBuf,
        /// What it said.
        source: muster_net::Error,
    },
    /// The key is that of another certificate.
    #[error("{key}: not the key of the first certificate in {file}", key = .key.display(), file = .file.display())]
    Stranger {
        /// The file of the key.
        key: PathBuf,
        /// The file of the chain.
        file: PathBuf,
    },
}

/// One certificate of the operator's own, read and checked.
#[derive(Debug)]
pub(crate) struct Own {
    file: PathBuf,
    chain: Chain,
    trusted: Vec<Certificate>,
    identity: ServerIdentity,
    nameless: bool,
    /// Of the bytes that all of it was read from.
    read: Sha256,
}

/// What stands in the files of one certificate.
struct Files {
    certificate: Vec<u8>,
    ca: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Files {
    fn read(one: &OwnCertificate) -> Result<Self, OwnCertificateError> {
        Ok(Self {
            certificate: read(&one.certificate)?,
            ca: read(&one.ca)?,
            key: Zeroizing::new(read(&one.key)?),
        })
    }

    fn digest(&self) -> Sha256 {
        let parts = [&self.certificate[..], &self.ca, &self.key].map(Sha256::of);
        Sha256::of(&parts.map(|Sha256(digest)| digest).concat())
    }
}

impl Own {
    /// Reads and checks one. That its dates do not hold is no reason to leave it out: a client that is told "expired"
    /// knows more than one that finds another certificate.
    ///
    /// # Errors
    /// [`OwnCertificateError`].
    pub(crate) fn load(one: &OwnCertificate, now: Wall) -> Result<Self, OwnCertificateError> {
        Self::of(one, &Files::read(one)?, now)
    }

    fn of(one: &OwnCertificate, files: &Files, now: Wall) -> Result<Self, OwnCertificateError> {
        let file = &one.certificate;
        let trusted = certificates(&one.ca, &files.ca)?;
        let chain = Chain::from_certificates(certificates(file, &files.certificate)?).map_err(|source| {
            OwnCertificateError::Chain {
                file: file.clone(),
                source,
            }
        })?;
        let key = PrivateKey::from_text(&files.key, None).map_err(|source| OwnCertificateError::Key {
            file: one.key.clone(),
            source,
        })?;
        if !key.belongs_to(chain.leaf()) {
            return Err(OwnCertificateError::Stranger {
                key: one.key.clone(),
                file: file.clone(),
            });
        }
        if !leads_to(&chain, &trusted, now) {
            return Err(OwnCertificateError::NoPath {
                file: file.clone(),
                ca: one.ca.clone(),
            });
        }
        let ders = chain.ders().map(Bytes::copy_from_slice);
        let identity =
            ServerIdentity::new(ders, key.pkcs8_der()).map_err(|source| OwnCertificateError::Serve {
                file: file.clone(),
                source,
            })?;
        Ok(Self {
            file: file.clone(),
            chain,
            trusted,
            identity,
            nameless: one.nameless,
            read: files.digest(),
        })
    }

    /// The file that it was read from.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Says for which of `names`, those of the server, it is shown, and until when it is valid.
    pub(crate) fn told(&self, names: &[String], now: Wall) -> String {
        if let Some(lapsed) = self.lapsed(now) {
            return format!("NOT VALID NOW: {lapsed}");
        }
        let mut shown_for = self.shown_for(names);
        if self.nameless {
            shown_for.push("clients that name no server");
        }
        if shown_for.is_empty() {
            return "shown to nobody: no name of this server stands in it".to_owned();
        }
        format!("shown for {} until {}", shown_for.join(", "), self.not_after())
    }

    fn shown_for<'a>(&self, names: &'a [String]) -> Vec<&'a str> {
        names
            .iter()
            .map(String::as_str)
            .filter(|name| !name.eq_ignore_ascii_case(RESERVED) && self.identity.carries(name))
            .collect()
    }

    /// Whether some client is shown it, given the `names` of the server.
    pub(crate) fn is_of_use(&self, names: &[String]) -> bool {
        self.nameless || !self.shown_for(names).is_empty()
    }

    /// The first of its certificates that is not valid at `now`, with what is to be said of it.
    pub(crate) fn lapsed(&self, now: Wall) -> Option<String> {
        let now = now.to_pki();
        self.chain
            .certificates()
            .find(|one| !one.is_valid_at(now))
            .map(|one| {
                format!(
                    "{}: the certificate of {} is valid from {} to {}",
                    self.file.display(),
                    one.subject(),
                    one.not_before(),
                    one.not_after()
                )
            })
    }

    /// When the server's certificate in it ends.
    fn not_after(&self) -> muster_pki::Time {
        self.chain.leaf().not_after()
    }
}

/// Every certificate of the operator's own, as last read.
pub(crate) struct OwnCertificates {
    configured: Vec<OwnCertificate>,
    present: Vec<Own>,
    /// What was last said of each, so that it is said once.
    said: Vec<Option<String>>,
}

impl OwnCertificates {
    /// Reads and checks them.
    ///
    /// # Errors
    /// [`OwnCertificateError`] of the first that can't be used.
    pub(crate) fn load(configured: &[OwnCertificate], now: Wall) -> Result<Self, OwnCertificateError> {
        let load = |one| Own::load(one, now);
        Ok(Self {
            configured: configured.to_vec(),
            present: configured.iter().map(load).collect::<Result<_, _>>()?,
            said: vec![None; configured.len()],
        })
    }

    /// Reads them again; tells whether one has changed. One that can't be used any more stays as it was.
    pub(crate) fn refresh(&mut self, now: Wall) -> bool {
        let mut changed = false;
        let places = self.configured.iter().zip(&mut self.present).zip(&mut self.said);
        for ((configured, present), said) in places {
            let read = Files::read(configured).and_then(|files| {
                // What has not changed is not taken apart again.
                if files.digest() == present.read {
                    return Ok(None);
                }
                Own::of(configured, &files, now).map(Some)
            });
            let trouble = match read {
                Ok(read) => {
                    if let Some(read) = read {
                        tracing::info!(file = %read.file.display(), until = %read.not_after(), "a server certificate was read anew");
                        *present = read;
                        changed = true;
                    }
                    present.lapsed(now)
                }
                Err(error) => Some(format!("{error}; the one read before stays")),
            };
            if trouble != *said {
                if let Some(trouble) = &trouble {
                    tracing::warn!("a server certificate must be replaced: {trouble}");
                }
                *said = trouble;
            }
        }
        changed
    }

    /// The certificates, in the order of the configuration.
    pub(crate) fn present(&self) -> &[Own] {
        &self.present
    }

    /// What clients of these certificates trust.
    pub(crate) fn trusted(&self) -> impl Iterator<Item = &Certificate> {
        self.present.iter().flat_map(|one| &one.trusted)
    }

    /// Adds these to the certificates that the server made.
    pub(crate) fn beside(&self, general: Vec<ServerIdentity>) -> ServerIdentities {
        let identities = |take: fn(&&Own) -> bool| {
            let chosen = self.present.iter().filter(take);
            chosen.map(|one| one.identity.clone()).collect()
        };
        ServerIdentities {
            named: identities(|_| true),
            reserved: vec![RESERVED.to_owned()],
            nameless: identities(|one| one.nameless),
            general,
        }
    }
}

/// Whether a path leads from the leaf to one of `trusted`, now or at an end of the leaf's life: an intermediate that is
/// missing is a mistake, a date that has passed is told apart.
fn leads_to(chain: &Chain, trusted: &[Certificate], now: Wall) -> bool {
    let anchors: AnchorSet = trusted.iter().cloned().collect();
    let leaf = chain.leaf();
    [now.to_pki(), leaf.not_before(), leaf.not_after()]
        .into_iter()
        .any(|at| {
            let reached = |path: &muster_pki::verify::Path| {
                if path.top().origin.configured {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            };
            walk(chain, &anchors, at, Budget::default(), &mut Silent, reached)
                .decided()
                .is_some()
        })
}

fn read(file: &Path) -> Result<Vec<u8>, OwnCertificateError> {
    std::fs::read(file).map_err(|source| OwnCertificateError::Io {
        file: file.to_owned(),
        source,
    })
}

fn certificates(file: &Path, bytes: &[u8]) -> Result<Vec<Certificate>, OwnCertificateError> {
    Certificate::all_from_text(bytes).map_err(|source| OwnCertificateError::Parse {
        file: file.to_owned(),
        source,
    })
}
