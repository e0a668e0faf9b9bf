//! Explanations of what provisioning refuses: the rules of `attestation` run again with a listener, beside the path, on
//! the facts that were kept.
//!
//! Rules are judged at the time of the refusal against enrollments and certificates as they stand now; when the device
//! would be admitted meanwhile, the explanation says so. A token's signature is not kept, so it is not computed again.

mod remedies;
mod sentences;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use muster_model::dps::{Attestation as Mechanism, ProvisioningStatus};
use muster_model::estate::ProvisioningService;
use muster_model::refusal::{Explanation, Refusal};
use muster_model::{CertificateName, CertificateOwner, DpsName, IdScope, ReasonCode, RegistrationId};
use muster_pki::verify::{Event, Reason};
use muster_resources::explain::claimed;
use muster_resources::{Directory, Explain, OwnerTrust, presented_steps, reason_code, walk_steps};

use crate::attempt::{Attempt, Credential};
use crate::attestation::{Attestation, Note, Trace};
use crate::error::Error;
use crate::ports::Store;
use crate::registrar::Config;

/// Said wherever a command would take what came at its word: whoever wants in sends a chain and waits for it to be typed.
const CAUTION: &str = "Run a command that enrolls a certificate or trusts a CA only if the certificates that came are \
                       really those of your devices and CAs.";

/// Groups that are looked through for a reference to a certificate that is gone.
const MAX_LOOKED_THROUGH: usize = 1_000;
/// CA certificates that an explanation lists at most.
const SHOWN: usize = 20;

/// Explains why devices were refused.
pub struct Explainer {
    attestation: Attestation,
    store: Arc<dyn Store>,
    directory: Arc<Directory>,
    general: muster_resources::Explainer,
}

/// What an explanation is made of.
struct Case<'a> {
    service: &'a ProvisioningService,
    id: &'a RegistrationId,
    refusal: &'a Refusal,
    trust: &'a OwnerTrust,
    trace: Trace,
    /// The rule that failed when the rules were run again; `None` when the device would be admitted now.
    reason: Option<ReasonCode>,
}

impl Explainer {
    /// Makes the explainer that runs the rules again over `store` and `directory`.
    pub fn new(store: Arc<dyn Store>, directory: Arc<Directory>) -> Self {
        // What is explained is looked at without a memory.
        let afresh = Config {
            cached_paths: 0,
            ..Config::default()
        };
        let general = muster_resources::Explainer::new(Arc::clone(&directory));
        Self {
            attestation: Attestation::new(Arc::clone(&store), Arc::clone(&directory), afresh),
            store,
            directory,
            general,
        }
    }

    fn service(&self, refusal: &Refusal) -> Option<Arc<ProvisioningService>> {
        let text = refusal.target.as_deref()?;
        let label = text.split('.').next().unwrap_or(text);
        IdScope::parse(text)
            .ok()
            .and_then(|scope| self.directory.service_by_scope(&scope))
            .or_else(|| self.directory.service(&DpsName::parse(label).ok()?))
    }

    async fn case(
        &self,
        service: &Arc<ProvisioningService>,
        id: &RegistrationId,
        refusal: &Refusal,
    ) -> Result<(Trace, Option<ReasonCode>), Error> {
        let mut trace = Trace::default();
        let by_certificate = refusal.chain.is_some() && refusal.token.is_none();
        if !by_certificate {
            self.look_at_enrollment(service, id, &mut trace).await?;
            return Ok((trace, Some(refusal.reason)));
        }
        let attempt = Attempt {
            service: Arc::clone(service),
            id: id.clone(),
            credential: Credential {
                chain: refusal.chain.clone(),
                ..Credential::default()
            },
            payload: None,
            tracking: refusal.tracking,
        };
        let judged = self
            .attestation
            .judge(&attempt, Some(&mut trace), refusal.at)
            .await;
        let reason = match judged {
            Ok(admission) => {
                if !trace
                    .notes
                    .iter()
                    .any(|note| matches!(note, Note::Individual(_) | Note::Group(..)))
                {
                    self.look_at_enrollment(service, id, &mut trace).await?;
                }
                // Authenticated, and yet without a hub: that is no rule of attestation.
                admission
                    .disabled
                    .or((refusal.reason == ReasonCode::NoHubToAssign).then_some(refusal.reason))
            }
            Err(Error::Refused { reason, .. }) => Some(reason),
            Err(error) => return Err(error),
        };
        let reason = self.gone_reference(service, reason, &mut trace).await?.or(reason);
        Ok((trace, reason))
    }

    async fn look_at_enrollment(
        &self,
        service: &ProvisioningService,
        id: &RegistrationId,
        trace: &mut Trace,
    ) -> Result<(), Error> {
        if let Some(individual) = self.store.individual(service.key, id).await? {
            trace.note(Note::Individual(Box::new(individual)));
            return Ok(());
        }
        trace.note(Note::NoIndividual);
        for group in self.store.symmetric_groups(service.key, SHOWN).await? {
            trace.note(Note::Group(Box::new(group), 0));
        }
        Ok(())
    }

    /// A group whose CA certificate was deleted vouches for nobody, and nothing on the path tells. When the path met
    /// nothing that is configured and there is such a group, that is the likeliest cause.
    async fn gone_reference(
        &self,
        service: &ProvisioningService,
        reason: Option<ReasonCode>,
        trace: &mut Trace,
    ) -> Result<Option<ReasonCode>, Error> {
        let nothing_met = matches!(
            reason,
            Some(ReasonCode::AnchorUnknown | ReasonCode::ChainIncomplete | ReasonCode::NoEnrollment)
        );
        let configured = trace
            .events
            .iter()
            .any(|event| matches!(event, Event::Found { path } if path.issuers().iter().any(|step| step.origin.configured)));
        if !nothing_met || configured {
            return Ok(None);
        }
        let trust = self.directory.trust(CertificateOwner::Dps(service.key));
        let page = self.store.groups(service.key, None, MAX_LOOKED_THROUGH).await?;
        for group in page.items {
            let Mechanism::X509(x509) = &group.attestation else {
                continue;
            };
            let gone: Option<CertificateName> = x509
                .references()
                .find(|name| trust.certificate(name).is_none())
                .cloned();
            if let Some(name) = gone
                && group.terms.status == ProvisioningStatus::Enabled
            {
                trace.note(Note::Group(Box::new(group), 0));
                trace.note(Note::MissingReference(name));
                return Ok(Some(ReasonCode::CaReferenceMissing));
            }
        }
        Ok(None)
    }

    async fn explained(&self, refusal: &Refusal) -> Option<Explanation> {
        let service = self.service(refusal)?;
        let text = refusal.registration.as_deref()?;
        let Ok(id) = RegistrationId::parse(text) else {
            return Some(Explanation {
                reason: ReasonCode::RegistrationIdInvalid,
                sentence: format!(
                    "{text:?} is no registration id: it has 1 to 128 letters, digits, '-', '.', '_' or ':', and ends \
                     with a letter, a digit or '-'."
                ),
                steps: Vec::new(),
                remedies: Vec::new(),
            });
        };
        let trust = self.directory.trust(CertificateOwner::Dps(service.key));
        let mut steps = refusal.chain.as_ref().map(presented_steps).unwrap_or_default();
        steps.extend(refusal.token.as_ref().map(claimed));
        let (trace, reason) = match self.case(&service, &id, refusal).await {
            Ok(found) => found,
            Err(error) => {
                steps.push(format!(
                    "The enrollments could not be read while explaining: {error}."
                ));
                return Some(Explanation {
                    reason: refusal.reason,
                    sentence: format!("The registration of {id} was refused: {}.", refusal.reason),
                    steps,
                    remedies: Vec::new(),
                });
            }
        };
        let case = Case {
            service: &service,
            id: &id,
            refusal,
            trust: &trust,
            trace,
            reason,
        };
        steps.extend(case.steps());
        let remedies = case.remedies(&self.directory);
        if remedies.iter().any(|command| takes_at_its_word(command)) {
            steps.push(CAUTION.to_owned());
        }
        Some(Explanation {
            reason: reason.unwrap_or(refusal.reason),
            sentence: case.sentence(),
            remedies,
            steps,
        })
    }
}

#[async_trait]
impl Explain for Explainer {
    async fn explain(&self, refusal: &Refusal) -> Explanation {
        match self.explained(refusal).await {
            Some(explanation) => explanation,
            // No service was reached: nothing of this domain.
            None => self.general.explain(refusal).await,
        }
    }
}

/// Says whether a command lets in by what the caller sent, or trusts a CA that never proved its key.
fn takes_at_its_word(command: &str) -> bool {
    command.contains(" --chain-out ") || command.contains(" --verified true")
}

impl Case<'_> {
    fn steps(&self) -> Vec<String> {
        let mut steps: Vec<String> = self.trace.notes.iter().map(|note| self.note(note)).collect();
        steps.extend(walk_steps(&self.trace.events, self.trust));
        if self.refusal.chain.is_some() {
            let verified = self.trust.certificates().filter(|one| one.verified).count();
            steps.push(format!(
                "The provisioning service {} has {} CA certificates, {verified} of them verified.",
                self.service.name,
                self.trust.len()
            ));
            steps.extend(self.trust.certificates().take(SHOWN).map(|one| {
                let state = if one.verified { "verified" } else { "not verified" };
                format!(
                    "{} is {}, {state}, SHA-256 {}.",
                    one.name,
                    one.certificate.subject(),
                    one.certificate.sha256()
                )
            }));
        }
        steps
    }

    fn note(&self, note: &Note) -> String {
        match note {
            Note::DisabledElsewhere(holder) => {
                format!("The leaf stands in the individual enrollment {holder}, which is disabled.")
            }
            Note::Individual(one) => format!(
                "The individual enrollment {} is {} and expects {}.",
                one.id,
                status(one.terms.status),
                sentences::expected(&one.attestation)
            ),
            Note::Group(group, 0) => format!(
                "The enrollment group {} is {} and expects {}.",
                group.id,
                status(group.terms.status),
                sentences::expected(&group.attestation)
            ),
            Note::Group(group, height) => format!(
                "The enrollment group {}, {} steps above the leaf, decides; it is {}.",
                group.id,
                height,
                status(group.terms.status)
            ),
            Note::MissingReference(name) => format!("The CA certificate {name} that it refers to is gone."),
            Note::NoIndividual => format!("There is no individual enrollment {}.", self.id),
            Note::SigningCertificate(certificate) => format!(
                "{} (SHA-256 {}) is a signing certificate of an enrollment group.",
                certificate.subject(),
                certificate.sha256()
            ),
        }
    }

    /// What the walk found under the reason that is told.
    fn found(&self) -> Option<&Reason> {
        let of_walk = self.trace.reason.as_ref();
        of_walk
            .filter(|found| Some(reason_code(found)) == self.reason)
            .or_else(|| {
                self.trace.events.iter().rev().find_map(|event| match event {
                    Event::Ended { reason, .. } | Event::GaveUp { reason }
                        if Some(reason_code(reason)) == self.reason =>
                    {
                        Some(reason)
                    }
                    _ => None,
                })
            })
    }
}

fn status(status: ProvisioningStatus) -> &'static str {
    match status {
        ProvisioningStatus::Disabled => "disabled",
        ProvisioningStatus::Enabled => "enabled",
    }
}
