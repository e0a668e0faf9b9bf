//! CA certificates of hubs and provisioning services, and proof of possession.
//!
//! An uploaded certificate is not looked at beyond being one: tools upload leaf-like certificates too. Replacing,
//! generating a code, verifying and deleting must name the version that the caller saw. Nothing here decides trust;
//! that is done where a device is judged, from what [`crate::Directory`] shows.

use std::sync::Arc;

use muster_model::{CaCertificate, CertificateName, CertificateOwner, IfMatch, VerificationCode, Wall};
use muster_pki::Certificate;
use muster_pki::verify::proves_possession;

use crate::error::Error;
use crate::estate::Estate;
use crate::permit::OperatorPermit;
use crate::ports::CertificateDraft;

/// The verbs over CA certificates.
#[derive(Clone)]
pub struct Certificates {
    estate: Estate,
}

impl Certificates {
    /// Makes the verbs over `estate`.
    pub const fn new(estate: Estate) -> Self {
        Self { estate }
    }

    /// Answers every certificate of an owner in the order of the names.
    pub fn list(&self, _permit: &OperatorPermit, owner: CertificateOwner) -> Vec<Arc<CaCertificate>> {
        self.estate
            .directory
            .trust(owner)
            .certificates()
            .cloned()
            .collect()
    }

    /// Answers one certificate.
    ///
    /// # Errors
    /// [`Error::CertificateMissing`].
    pub fn find(
        &self,
        _permit: &OperatorPermit,
        owner: CertificateOwner,
        name: &CertificateName,
    ) -> Result<Arc<CaCertificate>, Error> {
        self.lookup(owner, name)
    }

    /// Uploads a certificate, or replaces the one of that name. It is verified only if `verified` says so: what the one
    /// before had proved does not count for it.
    ///
    /// # Errors
    /// [`Error::VersionMissing`] when there is one already and no version was named, [`Error::CertificateMissing`] when
    /// a version was named and there is none, [`Error::Stale`], [`Error::Store`].
    #[expect(
        clippy::too_many_arguments,
        reason = "each is one member of the call, named by its type"
    )]
    pub async fn upload(
        &self,
        _permit: &OperatorPermit,
        owner: CertificateOwner,
        name: CertificateName,
        certificate: Certificate,
        verified: bool,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<CaCertificate, Error> {
        let draft = CertificateDraft {
            owner,
            name: name.clone(),
            certificate,
            verified,
        };
        self.estate
            .write("certificate", &name, |id| {
                self.estate
                    .store
                    .put_certificate(id, draft.clone(), if_match, now)
            })
            .await
            .map_err(|error| match error {
                Error::Exists { .. } => Error::VersionMissing,
                other => absent(other, &name),
            })
    }

    /// Makes a verification code in place of an earlier one; the answer carries it and the new version. A certificate
    /// that was verified stays so.
    ///
    /// # Errors
    /// [`Error::VersionMissing`], [`Error::CertificateMissing`], [`Error::Stale`], [`Error::Store`].
    pub async fn start_proof(
        &self,
        _permit: &OperatorPermit,
        owner: CertificateOwner,
        name: &CertificateName,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<CaCertificate, Error> {
        let if_match = self.named_version(owner, name, if_match)?;
        let code = self.estate.random.draw(VerificationCode::generate);
        self.estate
            .write("certificate", name, |id| {
                self.estate
                    .store
                    .start_proof(id, owner, name, code, if_match, now)
            })
            .await
            .map_err(|error| absent(error, name))
    }

    /// Takes the verification certificate: when it carries the current code and was signed by the CA certificate, that
    /// one is verified from now on and the code is used up.
    ///
    /// # Errors
    /// [`Error::VersionMissing`], [`Error::CertificateMissing`], [`Error::Stale`] (also when the code was replaced
    /// meanwhile), [`Error::NoCode`], [`Error::ProofFailed`], [`Error::Store`].
    pub async fn finish_proof(
        &self,
        _permit: &OperatorPermit,
        owner: CertificateOwner,
        name: &CertificateName,
        verification: &Certificate,
        if_match: IfMatch,
        now: Wall,
    ) -> Result<CaCertificate, Error> {
        let if_match = self.named_version(owner, name, if_match)?;
        let known = self.lookup(owner, name)?;
        if !if_match.allows(known.etag) {
            return Err(Error::Stale);
        }
        let code = known.code.ok_or_else(|| Error::NoCode(name.clone()))?;
        proves_possession(&known.certificate, verification, &code.to_string(), now.to_pki())
            .map_err(Error::ProofFailed)?;
        // The proof was for the certificate in this version: another one may have taken its name meanwhile.
        let proved = IfMatch::Version(known.etag);
        self.estate
            .write("certificate", name, |id| {
                self.estate.store.finish_proof(id, owner, name, code, proved, now)
            })
            .await
            .map_err(|error| absent(error, name))
    }

    /// Deletes a certificate. Devices that it vouched for are refused from now on.
    ///
    /// # Errors
    /// [`Error::VersionMissing`], [`Error::CertificateMissing`], [`Error::Stale`], [`Error::Store`].
    pub async fn delete(
        &self,
        _permit: &OperatorPermit,
        owner: CertificateOwner,
        name: &CertificateName,
        if_match: IfMatch,
    ) -> Result<(), Error> {
        let if_match = self.named_version(owner, name, if_match)?;
        self.estate
            .write("certificate", name, |id| {
                self.estate.store.delete_certificate(id, owner, name, if_match)
            })
            .await
            .map_err(|error| absent(error, name))
    }

    fn lookup(&self, owner: CertificateOwner, name: &CertificateName) -> Result<Arc<CaCertificate>, Error> {
        self.estate
            .directory
            .trust(owner)
            .certificate(name)
            .cloned()
            .ok_or_else(|| Error::CertificateMissing(name.clone()))
    }

    /// A missing certificate is told before a missing version.
    fn named_version(
        &self,
        owner: CertificateOwner,
        name: &CertificateName,
        if_match: IfMatch,
    ) -> Result<IfMatch, Error> {
        self.lookup(owner, name)?;
        if if_match.requires_existing() {
            Ok(if_match)
        } else {
            Err(Error::VersionMissing)
        }
    }
}

fn absent(error: Error, name: &CertificateName) -> Error {
    match error {
        Error::Missing { .. } => Error::CertificateMissing(name.clone()),
        other => other,
    }
}
