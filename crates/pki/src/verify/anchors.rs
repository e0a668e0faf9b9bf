//! The configured certificates of one hub or provisioning service, indexed so that their number does not
//! matter.
//!
//! An anchor here is a certificate that somebody configured; whether it is verified is the caller's
//! knowledge. Lookup is by subject, then by key identifier: ten thousand CAs of different subjects or of one
//! subject cost the same as one, as long as tools write matching key identifiers. Key identifiers order
//! candidates and never exclude one, for they may be absent or wrong.

use std::collections::HashMap;
use std::sync::Arc;

use crate::certificate::Certificate;
use crate::name::Name;
use crate::thumbprint::Sha256;

/// What a walk asks about the configured certificates.
pub trait Anchors {
    /// Answers every configured certificate with that subject, each once, those whose subject key identifier
    /// is `key_id` first. The walk stops asking when it has decided, so the answer should be made step by
    /// step.
    fn by_subject<'a>(
        &'a self,
        subject: &Name,
        key_id: Option<&'a [u8]>,
    ) -> Box<dyn Iterator<Item = &'a Certificate> + 'a>;

    /// Answers the configured certificate with that SHA-256.
    fn configured(&self, sha256: &Sha256) -> Option<&Certificate>;

    /// Says whether a certificate with that SHA-256 is configured.
    fn is_configured(&self, sha256: &Sha256) -> bool {
        self.configured(sha256).is_some()
    }
}

/// Configured certificates in memory.
///
/// Cloning shares everything. A change to a set that is not shared costs a hash-table operation; a change to
/// a shared one first copies the tables of pointers, some tens of nanoseconds a certificate (about half a
/// millisecond at 10,000, as the bench `trust` prints). Public keys are prepared at first use and shared by
/// all clones.
#[derive(Clone, Debug, Default)]
pub struct AnchorSet {
    inner: Arc<Inner>,
}

#[derive(Clone, Debug, Default)]
struct Inner {
    by_sha256: HashMap<Sha256, Certificate>,
    by_subject: HashMap<Name, Arc<Subject>>,
}

/// The certificates of one subject, ordered by subject key identifier (those without one first) and then by
/// SHA-256: found by halving, and the same whatever the order of configuration.
#[derive(Clone, Debug, Default)]
struct Subject {
    ordered: Vec<Certificate>,
}

impl Subject {
    /// Answers the certificate's place, or where it would be put.
    fn place(&self, certificate: &Certificate) -> Result<usize, usize> {
        let wanted = (certificate.subject_key_id(), certificate.sha256());
        self.ordered
            .binary_search_by(|one| (one.subject_key_id(), one.sha256()).cmp(&wanted))
    }

    /// Splits the certificates into those before, those with, and those after this key identifier.
    fn split_at(&self, key_id: &[u8]) -> (&[Certificate], &[Certificate], &[Certificate]) {
        let start = self
            .ordered
            .partition_point(|one| one.subject_key_id() < Some(key_id));
        let (before, rest) = self.ordered.split_at(start);
        let end = rest.partition_point(|one| one.subject_key_id() == Some(key_id));
        let (with, after) = rest.split_at(end);
        (before, with, after)
    }
}

impl AnchorSet {
    /// Makes an empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a certificate. Answers whether it was new.
    pub fn insert(&mut self, certificate: Certificate) -> bool {
        let sha256 = certificate.sha256();
        if self.inner.by_sha256.contains_key(&sha256) {
            return false;
        }
        let inner = Arc::make_mut(&mut self.inner);
        let subject = Arc::make_mut(inner.by_subject.entry(certificate.subject().clone()).or_default());
        if let Err(place) = subject.place(&certificate) {
            subject.ordered.insert(place, certificate.clone());
        }
        inner.by_sha256.insert(sha256, certificate);
        true
    }

    /// Takes a certificate out. Answers whether it was there.
    pub fn remove(&mut self, sha256: &Sha256) -> bool {
        if !self.inner.by_sha256.contains_key(sha256) {
            return false;
        }
        let inner = Arc::make_mut(&mut self.inner);
        let Some(certificate) = inner.by_sha256.remove(sha256) else {
            return false;
        };
        if let Some(entry) = inner.by_subject.get_mut(certificate.subject()) {
            let subject = Arc::make_mut(entry);
            if let Ok(place) = subject.place(&certificate) {
                subject.ordered.remove(place);
            }
            if subject.ordered.is_empty() {
                inner.by_subject.remove(certificate.subject());
            }
        }
        true
    }

    /// Answers how many certificates are configured.
    pub fn len(&self) -> usize {
        self.inner.by_sha256.len()
    }

    /// Says whether none is configured.
    pub fn is_empty(&self) -> bool {
        self.inner.by_sha256.is_empty()
    }
}

impl Anchors for AnchorSet {
    fn by_subject<'a>(
        &'a self,
        subject: &Name,
        key_id: Option<&'a [u8]>,
    ) -> Box<dyn Iterator<Item = &'a Certificate> + 'a> {
        let Some(subject) = self.inner.by_subject.get(subject) else {
            return Box::new(std::iter::empty());
        };
        match key_id {
            Some(key_id) => {
                let (before, with, after) = subject.split_at(key_id);
                Box::new(with.iter().chain(before).chain(after))
            }
            None => Box::new(subject.ordered.iter()),
        }
    }

    fn configured(&self, sha256: &Sha256) -> Option<&Certificate> {
        self.inner.by_sha256.get(sha256)
    }
}

impl FromIterator<Certificate> for AnchorSet {
    fn from_iter<I: IntoIterator<Item = Certificate>>(certificates: I) -> Self {
        let mut set = Self::new();
        set.extend(certificates);
        set
    }
}

impl Extend<Certificate> for AnchorSet {
    fn extend<I: IntoIterator<Item = Certificate>>(&mut self, certificates: I) {
        for certificate in certificates {
            self.insert(certificate);
        }
    }
}
