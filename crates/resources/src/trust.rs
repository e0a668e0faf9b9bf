//! The CA certificates of one hub or provisioning service, as decisions ask for them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use muster_model::{CaCertificate, CertificateName, TrustVersion};
use muster_pki::Sha256;
use muster_pki::verify::AnchorSet;

/// The CA certificates of one owner. Never changes once published; a change makes another one.
#[derive(Clone, Debug, Default)]
pub struct OwnerTrust {
    version: TrustVersion,
    by_name: BTreeMap<CertificateName, Arc<CaCertificate>>,
    /// The names under which a certificate was uploaded; one certificate can have several.
    names: HashMap<Sha256, Vec<CertificateName>>,
    anchors: AnchorSet,
}

impl OwnerTrust {
    /// The trust version that changed it last. As long as it stays, so does every decision on a path.
    pub const fn version(&self) -> TrustVersion {
        self.version
    }

    /// Every uploaded certificate, verified or not, for `pki::verify::walk`.
    pub const fn anchors(&self) -> &AnchorSet {
        &self.anchors
    }

    /// Answers the certificate of that name.
    pub fn certificate(&self, name: &CertificateName) -> Option<&Arc<CaCertificate>> {
        self.by_name.get(name)
    }

    /// Answers every certificate in the order of the names.
    pub fn certificates(&self) -> impl Iterator<Item = &Arc<CaCertificate>> {
        self.by_name.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Says whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Says whether the certificate with that SHA-256 is here and verified, under whatever name.
    pub fn is_verified(&self, sha256: &Sha256) -> bool {
        self.uploaded(sha256).any(|one| one.verified)
    }

    /// Answers the resources that hold the certificate with that SHA-256.
    pub fn uploaded(&self, sha256: &Sha256) -> impl Iterator<Item = &Arc<CaCertificate>> {
        self.names
            .get(sha256)
            .into_iter()
            .flatten()
            .filter_map(|name| self.by_name.get(name))
    }

    /// Puts a certificate in the place of what had its name, or takes that out.
    pub(crate) fn replace(
        &mut self,
        name: &CertificateName,
        certificate: Option<CaCertificate>,
        version: TrustVersion,
    ) {
        self.version = version;
        let digest = certificate.as_ref().map(|one| one.certificate.sha256());
        if let Some(old) = self.by_name.remove(name) {
            let sha256 = old.certificate.sha256();
            if let Some(names) = self.names.get_mut(&sha256) {
                names.retain(|one| one != name);
                if names.is_empty() {
                    self.names.remove(&sha256);
                    if digest != Some(sha256) {
                        self.anchors.remove(&sha256);
                    }
                }
            }
        }
        if let (Some(certificate), Some(sha256)) = (certificate, digest) {
            self.anchors.insert(certificate.certificate.clone());
            self.names
                .entry(sha256)
                .or_default()
                .push(certificate.name.clone());
            self.by_name
                .insert(certificate.name.clone(), Arc::new(certificate));
        }
    }
}
