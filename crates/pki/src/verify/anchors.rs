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
/// a shared one first copies the table of pointers, some tens of nanoseconds a certificate (well under a
/// millisecond at 10,000). Public keys are prepared at first use and shared by all clones.
#[derive(Clone, Debug, Default)]
pub struct AnchorSet {
    inner: Arc<Inner>,
}

#[derive(Clone, Debug, Default)]
struct Inner {
    by_sha256: HashMap<Sha256, Certificate>,
    by_subject: HashMap<Name, Arc<Subject>>,
}

/// The certificates of one subject. Both lists are ordered by SHA-256, so that decisions do not depend on the
/// order of configuration; the tables are never iterated.
#[derive(Clone, Debug, Default)]
struct Subject {
    all: Vec<Certificate>,
    by_key_id: HashMap<Box<[u8]>, Vec<Certificate>>,
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
        if let Some(key_id) = certificate.subject_key_id() {
            insert_ordered(
                subject.by_key_id.entry(key_id.into()).or_default(),
                certificate.clone(),
            );
        }
        insert_ordered(&mut subject.all, certificate.clone());
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
            remove_ordered(&mut subject.all, sha256);
            if let Some(key_id) = certificate.subject_key_id()
                && let Some(list) = subject.by_key_id.get_mut(key_id)
            {
                remove_ordered(list, sha256);
                if list.is_empty() {
                    subject.by_key_id.remove(key_id);
                }
            }
            if subject.all.is_empty() {
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
        let first = key_id
            .and_then(|key_id| subject.by_key_id.get(key_id))
            .map_or(&[][..], Vec::as_slice);
        let rest = subject
            .all
            .iter()
            .filter(move |certificate| first.is_empty() || certificate.subject_key_id() != key_id);
        Box::new(first.iter().chain(rest))
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

fn insert_ordered(list: &mut Vec<Certificate>, certificate: Certificate) {
    let sha256 = certificate.sha256();
    if let Err(place) = list.binary_search_by_key(&sha256, Certificate::sha256) {
        list.insert(place, certificate);
    }
}

fn remove_ordered(list: &mut Vec<Certificate>, sha256: &Sha256) {
    if let Ok(place) = list.binary_search_by_key(sha256, Certificate::sha256) {
        list.remove(place);
    }
}
