//! Devices that proved the key of a certificate.
//!
//! The order of the steps is that of the contract: name, grammar, validity, individual enrollment, groups by path. Each
//! step answers a code of its own.

use std::sync::Arc;

use muster_model::dps::{
    Attestation as Mechanism, IndividualEnrollment, ProvisioningStatus, X509Attestation,
};
use muster_model::estate::ProvisioningService;
use muster_model::id::MAX_COMMON_NAME;
use muster_model::{CertificateOwner, ReasonCode, RegistrationId, Wall};
use muster_pki::verify::Path;
use muster_pki::{Chain, Sha256};
use muster_resources::OwnerTrust;

use super::anchors::Candidates;
use super::cache::Key;
use super::path::{self, Reach, Search, Survey, Verdict};
use super::trace::{Note, Trace, note};
use super::{Admission, Attestation, Enrolled, Proof};
use crate::error::Error;

impl Attestation {
    pub(super) async fn judge_chain(
        &self,
        service: &ProvisioningService,
        id: &RegistrationId,
        chain: &Chain,
        mut trace: Option<&mut Trace>,
        now: Wall,
    ) -> Result<Admission, Error> {
        let leaf = chain.leaf();
        match leaf.common_name() {
            None => return Err(Error::certificate(ReasonCode::CommonNameMissing)),
            Some(name) if !name.eq_ignore_ascii_case(id.as_str()) => {
                return Err(Error::certificate(ReasonCode::CommonNameDiffers));
            }
            Some(name) if name.len() > MAX_COMMON_NAME => {
                return Err(Error::certificate(ReasonCode::RegistrationIdInvalid));
            }
            Some(_) => {}
        }
        if now.to_pki() > leaf.not_after() {
            return Err(Error::certificate(ReasonCode::Expired));
        }
        if now.to_pki() < leaf.not_before() {
            return Err(Error::certificate(ReasonCode::NotYetValid));
        }
        let individual = self.store.individual(service.key, id).await?;
        if let Some(individual) = individual {
            note(&mut trace, || Note::Individual(Box::new(individual.clone())));
            return self.judge_individual(individual, chain, trace, now).await;
        }
        note(&mut trace, || Note::NoIndividual);
        self.refuse_disabled_certificate(service, chain, &mut trace)
            .await?;
        self.judge_group(service, chain, trace, now).await
    }

    /// Refuses a leaf that some disabled individual enrollment holds, whoever else would admit it.
    async fn refuse_disabled_certificate(
        &self,
        service: &ProvisioningService,
        chain: &Chain,
        trace: &mut Option<&mut Trace>,
    ) -> Result<(), Error> {
        let holder = self
            .store
            .disabled_individual_with(service.key, chain.leaf().sha256())
            .await?;
        match holder {
            None => Ok(()),
            Some(holder) => {
                note(trace, || Note::DisabledElsewhere(holder));
                Err(Error::certificate(ReasonCode::CertificateDisabled))
            }
        }
    }

    async fn judge_individual(
        &self,
        individual: IndividualEnrollment,
        chain: &Chain,
        mut trace: Option<&mut Trace>,
        now: Wall,
    ) -> Result<Admission, Error> {
        let service = individual.service;
        let trust = self.directory.trust(CertificateOwner::Dps(service));
        let is_disabled = individual.terms.status == ProvisioningStatus::Disabled;
        let own = match &individual.attestation {
            Mechanism::X509(X509Attestation::CaReferences { .. }) => None,
            Mechanism::X509(certificates) => Some(holds_leaf(certificates, chain)),
            Mechanism::SymmetricKey { .. } | Mechanism::Tpm { .. } => {
                if !is_disabled {
                    // Whoever has no path to a verified certificate is answered as if nothing were enrolled.
                    let reason = ReasonCode::WrongAttestationType;
                    let known = self
                        .path_to_verified(&trust, service, None, chain, &mut None, now)
                        .await?;
                    return Err(match known {
                        Ok(_) => Error::certificate(reason),
                        Err(told) => Error::certificate_as_if(reason, told),
                    });
                }
                None
            }
        };
        let path = match own {
            Some(true) => Ok(vec![chain.leaf().sha256()]),
            Some(false) if !is_disabled => Err(Error::certificate(ReasonCode::LeafNotEnrolled)),
            own => {
                // By reference, or disabled: what counts is a path to a verified certificate.
                let references = match &individual.attestation {
                    Mechanism::X509(by_name @ X509Attestation::CaReferences { .. }) if !is_disabled => {
                        Some(by_name)
                    }
                    _ => None,
                };
                let found = self
                    .path_to_verified(&trust, service, references, chain, &mut trace, now)
                    .await?;
                found.map_err(|code| {
                    if own == Some(false) {
                        Error::certificate_as_if(ReasonCode::LeafNotEnrolled, code)
                    } else {
                        Error::certificate(code)
                    }
                })
            }
        }?;
        if !is_disabled {
            let holder = self
                .store
                .disabled_individual_with(service, chain.leaf().sha256())
                .await?;
            if let Some(holder) = holder {
                note(&mut trace, || Note::DisabledElsewhere(holder));
                return Err(Error::certificate(ReasonCode::CertificateDisabled));
            }
        }
        let proof = Proof::Certificate {
            leaf: chain.leaf().clone(),
            path,
        };
        Ok(Admission::new(Enrolled::Individual(individual), proof))
    }

    /// Finds a path with a verified certificate on it, or with a verified one of those that `references` names.
    async fn path_to_verified(
        &self,
        trust: &OwnerTrust,
        service: muster_model::DpsKey,
        references: Option<&X509Attestation>,
        chain: &Chain,
        trace: &mut Option<&mut Trace>,
        now: Wall,
    ) -> Result<Result<Vec<Sha256>, ReasonCode>, Error> {
        if let Some(references) = references {
            let gone = references
                .references()
                .find(|name| trust.certificate(name).is_none())
                .cloned();
            if let Some(name) = gone
                && path::targets(references, trust).next().is_none()
            {
                note(trace, || Note::MissingReference(name));
                return Ok(Err(ReasonCode::CaReferenceMissing));
            }
        }
        let targets: Option<Vec<Sha256>> = references.map(|by_name| {
            path::targets(by_name, trust)
                .filter(|target| trust.is_verified(target))
                .collect()
        });
        let accept = |path: &Path| {
            targets.as_ref().is_none_or(|targets| {
                path.issuers()
                    .iter()
                    .any(|step| targets.contains(&step.certificate.sha256()))
            })
        };
        let candidates = Candidates::collect(&*self.store, service, trust, chain).await?;
        let search = Search {
            candidates: &candidates,
            trust,
            chain,
            now: now.to_pki(),
        };
        let found = search.walk(Reach::First, &accept, trace.as_deref_mut());
        Ok(match found.survey.verified.into_iter().next() {
            Some(path) => Ok(path),
            None => Err(path::refusal(&found.shown, found.reason.as_ref(), trust)),
        })
    }

    async fn judge_group(
        &self,
        service: &ProvisioningService,
        chain: &Chain,
        mut trace: Option<&mut Trace>,
        now: Wall,
    ) -> Result<Admission, Error> {
        let trust = self.directory.trust(CertificateOwner::Dps(service.key));
        let candidates = Candidates::collect(&*self.store, service.key, &trust, chain).await?;
        if let Some(trace) = trace.as_deref_mut() {
            for certificate in candidates.of_groups() {
                trace.note(Note::SigningCertificate(certificate.clone()));
            }
        }
        let search = Search {
            candidates: &candidates,
            trust: &trust,
            chain,
            now: now.to_pki(),
        };
        let survey = self.first_path(service, &search, trace.as_deref_mut())?;
        let mut verdict = path::decide(&*self.store, service.key, &trust, &survey).await?;
        if !matches!(verdict, Verdict::Decided(_)) {
            // The nearest verified path does not settle it.
            let found = search.walk(Reach::All, &|_| true, trace.as_deref_mut());
            verdict = path::decide(&*self.store, service.key, &trust, &found.survey).await?;
        }
        match verdict {
            Verdict::Decided(decision) | Verdict::Perhaps(decision) => {
                note(&mut trace, || {
                    Note::Group(Box::new(decision.group.clone()), decision.height)
                });
                let proof = Proof::Certificate {
                    leaf: chain.leaf().clone(),
                    path: decision.path,
                };
                Ok(Admission::new(Enrolled::Group(decision.group), proof))
            }
            Verdict::None {
                unverified_reference: true,
            } => Err(Error::certificate(ReasonCode::AnchorNotVerified)),
            Verdict::None {
                unverified_reference: false,
            } => Err(Error::certificate(ReasonCode::NoEnrollment)),
        }
    }

    /// Finds the nearest verified path, from memory where it was found before.
    fn first_path(
        &self,
        service: &ProvisioningService,
        search: &Search<'_>,
        trace: Option<&mut Trace>,
    ) -> Result<Arc<Survey>, Error> {
        let key = Key {
            service: service.key,
            version: search.trust.version(),
            digest: search.candidates.digest(search.chain),
        };
        if trace.is_none()
            && let Some(survey) = self.cache.find(&key, search.now)
        {
            return Ok(survey);
        }
        let found = search.walk(Reach::First, &|_| true, trace);
        if found.survey.verified.is_empty() {
            let code = path::refusal(&found.shown, found.reason.as_ref(), search.trust);
            return Err(Error::certificate(code));
        }
        let survey = Arc::new(found.survey);
        self.cache.keep(key, Arc::clone(&survey));
        Ok(survey)
    }
}

/// Says whether the leaf is one of the certificates, byte by byte.
fn holds_leaf(certificates: &X509Attestation, chain: &Chain) -> bool {
    let leaf = chain.leaf().sha256();
    certificates
        .certificates()
        .any(|certificate| certificate.sha256() == leaf)
}
