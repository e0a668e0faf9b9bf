//! Which certificates stand above a leaf, and which group among them decides.
//!
//! A path counts when a verified certificate of the service stands on it above the leaf. Enabled groups count on such
//! paths only; disabled ones count wherever they are met, also on a path that is not verified and on another certificate
//! of the same CA key: whoever disabled a CA meant the CA. The group nearest the leaf decides, and of two on one CA key the
//! disabled one.
//!
//! The search stops at the first verified path, for ten thousand namesakes of its CA would use up the budget. Only where
//! no group on that path decides, every path within the budget is looked at.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use muster_model::dps::{Attestation, EnrollmentGroup, ProvisioningStatus, X509Attestation};
use muster_model::{CertificateName, DpsKey, ReasonCode};
use muster_pki::verify::{Budget, Path, Reason, Recorder, Silent, Walked, walk};
use muster_pki::{Chain, Sha256, Time};
use muster_resources::{OwnerTrust, reason_code};

use super::anchors::Candidates;
use super::trace::Trace;
use crate::error::Error;
use crate::ports::Store;

/// Most groups that one question to the store answers.
const MAX_GROUPS: usize = 64;
/// Most groups on one certificate. One of them may be disabled, so with more nobody is admitted.
const MAX_GROUPS_OF_ONE: usize = 4_096;

/// What a walk found above one leaf, as far as decisions need it.
#[derive(Clone, Debug)]
pub(super) struct Survey {
    /// A verified path, leaf first, of each that was found; the nearest first. Empty when there is none.
    pub(super) verified: Vec<Vec<Sha256>>,
    /// Every certificate that was met above the leaf, twins included, with its smallest height. 1 is the leaf's issuer.
    pub(super) heights: BTreeMap<Sha256, usize>,
    from: Time,
    until: Time,
}

impl Survey {
    /// Says whether every certificate that was met is valid at `now`, so that another walk would find the same.
    pub(super) fn is_valid_at(&self, now: Time) -> bool {
        self.from <= now && now <= self.until
    }
}

/// How far a walk goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reach {
    /// To the first path that is accepted.
    First,
    /// To every path within the budget.
    All,
}

/// A walk from one chain among one set of candidates.
pub(super) struct Search<'s> {
    pub(super) candidates: &'s Candidates<'s>,
    pub(super) trust: &'s OwnerTrust,
    pub(super) chain: &'s Chain,
    pub(super) now: Time,
}

/// What a walk found, and why it found no more.
pub(super) struct Found {
    pub(super) survey: Survey,
    pub(super) shown: Vec<Path>,
    pub(super) reason: Option<Reason>,
}

impl Search<'_> {
    /// Walks. `accept` is asked about paths that hold a verified certificate; those that it takes are the verified ones.
    pub(super) fn walk(
        &self,
        reach: Reach,
        accept: &dyn Fn(&Path) -> bool,
        trace: Option<&mut Trace>,
    ) -> Found {
        let mut shown = Vec::new();
        let mut verified: Vec<Path> = Vec::new();
        let visit = |path: &Path| {
            shown.push(path.clone());
            if self.is_verified(path) && accept(path) {
                verified.push(path.clone());
                if reach == Reach::First {
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        };
        let budget = Budget::default();
        let walked = match trace {
            None => walk(self.chain, self.candidates, self.now, budget, &mut Silent, visit),
            Some(trace) => {
                let mut recorder = Recorder::new();
                let walked = walk(
                    self.chain,
                    self.candidates,
                    self.now,
                    budget,
                    &mut recorder,
                    visit,
                );
                trace.events = recorder.into_events();
                trace.reason = match &walked {
                    Walked::Decided(()) => None,
                    Walked::Undecided(reason) => reason.clone(),
                };
                walked
            }
        };
        let reason = match walked {
            Walked::Decided(()) => None,
            Walked::Undecided(reason) => reason,
        };
        let survey = self.survey(&shown, &verified);
        Found {
            survey,
            shown,
            reason,
        }
    }

    fn is_verified(&self, path: &Path) -> bool {
        path.issuers()
            .iter()
            .any(|step| self.trust.is_verified(&step.certificate.sha256()))
    }

    fn survey(&self, shown: &[Path], verified: &[Path]) -> Survey {
        let mut heights: BTreeMap<Sha256, usize> = BTreeMap::new();
        let mut meet = |sha256: Sha256, height: usize| {
            let known = heights.entry(sha256).or_insert(height);
            *known = height.min(*known);
        };
        let leaf = self.chain.leaf();
        let (mut from, mut until) = (leaf.not_before(), leaf.not_after());
        for path in shown {
            from = from.max(path.valid_from());
            until = until.min(path.valid_until());
            for (below, step) in path.issuers().iter().enumerate() {
                meet(step.certificate.sha256(), below + 1);
            }
        }
        for path in verified {
            for (below, step) in path.issuers().iter().enumerate() {
                for twin in self.candidates.twins(&step.certificate) {
                    meet(twin.sha256(), below + 1);
                }
            }
        }
        Survey {
            verified: verified
                .iter()
                .map(|path| path.steps().map(|step| step.certificate.sha256()).collect())
                .collect(),
            heights,
            from,
            until,
        }
    }
}

/// The group that decides about a leaf.
pub(super) struct Decision {
    pub(super) group: EnrollmentGroup,
    /// The verified path by which the device is authenticated, leaf first.
    pub(super) path: Vec<Sha256>,
    pub(super) height: usize,
}

/// What the groups of a survey come to.
pub(super) enum Verdict {
    /// This one decides.
    Decided(Box<Decision>),
    /// A group that is nearer the leaf than those of the verified paths stands on a path of which it is not known
    /// whether it is verified; the decision holds if it is not.
    Perhaps(Box<Decision>),
    /// None decides. There may have been enabled ones whose CA reference is not verified.
    None {
        /// Whether there was one.
        unverified_reference: bool,
    },
}

/// Asks the store for the groups of everything that was met, and finds the one that decides.
pub(super) async fn decide(
    store: &dyn Store,
    service: DpsKey,
    trust: &OwnerTrust,
    survey: &Survey,
) -> Result<Verdict, Error> {
    let groups = groups_of(store, service, trust, survey).await?;
    Ok(verdict(groups, trust, survey))
}

async fn groups_of(
    store: &dyn Store,
    service: DpsKey,
    trust: &OwnerTrust,
    survey: &Survey,
) -> Result<Vec<EnrollmentGroup>, Error> {
    let names = |sha256: &Sha256| -> Vec<CertificateName> {
        trust.uploaded(sha256).map(|one| one.name.clone()).collect()
    };
    let certificates: Vec<Sha256> = survey.heights.keys().copied().collect();
    let references: Vec<CertificateName> = certificates.iter().flat_map(names).collect();
    let groups = store
        .groups_of(service, &certificates, &references, MAX_GROUPS)
        .await?;
    if groups.len() < MAX_GROUPS {
        return Ok(groups);
    }
    // So many that the nearest may be missing: one by one then.
    let mut all = Vec::new();
    for certificate in certificates {
        let references = names(&certificate);
        let groups = store
            .groups_of(service, &[certificate], &references, MAX_GROUPS_OF_ONE)
            .await?;
        if groups.len() >= MAX_GROUPS_OF_ONE {
            return Err(Error::certificate(ReasonCode::TooManyCandidates));
        }
        all.extend(groups);
    }
    Ok(all)
}

/// Whether a group's certificate at a given place is a reference to one that is not verified.
struct Place {
    height: usize,
    sha256: Sha256,
    referred: bool,
}

fn verdict(groups: Vec<EnrollmentGroup>, trust: &OwnerTrust, survey: &Survey) -> Verdict {
    let Some(first) = survey.verified.first() else {
        return Verdict::None {
            unverified_reference: false,
        };
    };
    let mut best: Option<(usize, bool, EnrollmentGroup, Vec<Sha256>)> = None;
    let mut nearest_open: Option<usize> = None;
    let mut unverified_reference = false;
    for group in groups {
        let disabled = group.terms.status == ProvisioningStatus::Disabled;
        for place in places(&group, trust, survey) {
            if !disabled && place.referred && !trust.is_verified(&place.sha256) {
                unverified_reference = true;
                continue;
            }
            let path = survey
                .verified
                .iter()
                .find(|path| path.iter().skip(1).any(|one| *one == place.sha256));
            let (height, path) = match path {
                Some(path) => {
                    // Its height on this path, which may be more than on a shorter one that is not verified.
                    let height = path.iter().position(|one| *one == place.sha256);
                    (height.unwrap_or(place.height).min(place.height), path)
                }
                None if disabled => (place.height, first),
                None => {
                    nearest_open = Some(nearest_open.map_or(place.height, |known| known.min(place.height)));
                    continue;
                }
            };
            let closer = best
                .as_ref()
                .is_none_or(|(known, known_disabled, known_group, _)| {
                    (height, !disabled, &group.id) < (*known, !*known_disabled, &known_group.id)
                });
            if closer {
                best = Some((height, disabled, group.clone(), path.clone()));
            }
        }
    }
    match best {
        None => Verdict::None { unverified_reference },
        Some((height, _, group, path)) => {
            let decision = Box::new(Decision { group, path, height });
            if nearest_open.is_some_and(|open| open < height) {
                Verdict::Perhaps(decision)
            } else {
                Verdict::Decided(decision)
            }
        }
    }
}

/// Where the certificates of a group stand among those that were met.
fn places(group: &EnrollmentGroup, trust: &OwnerTrust, survey: &Survey) -> Vec<Place> {
    let Attestation::X509(attestation) = &group.attestation else {
        return Vec::new();
    };
    let signing = attestation
        .certificates()
        .map(|certificate| (certificate.sha256(), false));
    let referred = targets(attestation, trust).map(|sha256| (sha256, true));
    signing
        .chain(referred)
        .filter_map(|(sha256, referred)| {
            let height = *survey.heights.get(&sha256)?;
            Some(Place {
                height,
                sha256,
                referred,
            })
        })
        .collect()
}

/// The certificates that an attestation refers to by name, as far as they are there.
pub(super) fn targets<'a>(
    attestation: &'a X509Attestation,
    trust: &'a OwnerTrust,
) -> impl Iterator<Item = Sha256> + 'a {
    attestation
        .references()
        .filter_map(|name| trust.certificate(name))
        .map(|one| one.certificate.sha256())
}

/// The code for a leaf that has no verified path.
pub(super) fn refusal(shown: &[Path], reason: Option<&Reason>, trust: &OwnerTrust) -> ReasonCode {
    if is_own_root(shown, reason) {
        return ReasonCode::NoEnrollment;
    }
    let code = reason.map(reason_code);
    match code {
        Some(code @ (ReasonCode::Expired | ReasonCode::NotYetValid | ReasonCode::TooManyCandidates)) => code,
        code => {
            let configured: Vec<_> = shown
                .iter()
                .flat_map(Path::issuers)
                .filter(|step| step.origin.configured)
                .collect();
            let uploaded = configured
                .iter()
                .any(|step| trust.uploaded(&step.certificate.sha256()).next().is_some());
            match code {
                // It reached what somebody uploaded and never proved.
                _ if uploaded => ReasonCode::AnchorNotVerified,
                Some(code) => code,
                // It ended in a self-signed certificate that only a group holds.
                None if !configured.is_empty() => ReasonCode::AnchorNotVerified,
                None => ReasonCode::AnchorUnknown,
            }
        }
    }
}

/// Says whether a self-signed leaf came, which no group can admit: it lacks an enrollment of its own.
fn is_own_root(shown: &[Path], reason: Option<&Reason>) -> bool {
    matches!(reason, Some(Reason::RootNotConfigured { .. }))
        && shown.iter().all(|path| path.issuers().is_empty())
}
