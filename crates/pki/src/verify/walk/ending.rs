//! Why a path cannot be continued: found out only where a walk fails, and only to be told.
//!
//! A candidate that was refused for its dates or flags may be a mere namesake. Whether it really made the
//! signature is checked here, within a small number of checks of its own, so that the reason names what is
//! really wrong.

use super::{Known, Search};
use crate::certificate::Certificate;
use crate::verify::observer::{Event, SignatureSeen};
use crate::verify::path::{Path, Step};
use crate::verify::reason::Reason;

/// A candidate that is not the issuer, or may not be.
pub(super) struct Rejected {
    pub(super) candidate: Certificate,
    pub(super) reason: Reason,
    pub(super) signature: SignatureSeen,
}

#[derive(Clone)]
pub(super) enum DeadEnd {
    /// A configured self-signed certificate: nothing is wrong.
    Complete,
    Because(Reason),
}

/// Signature checks that a walk may make for each of its three side questions: which refused candidate really
/// signed (asked by the reason, and apart from it by a listener), and which top is self-signed.
const EXTRA_SIGNATURES: u32 = 16;

impl Search<'_> {
    /// Tells a listener whether a candidate that was refused for another reason made the signature.
    pub(super) fn look_for_listener(
        &mut self,
        certificate: &Certificate,
        candidate: &Certificate,
    ) -> SignatureSeen {
        look_closer(certificate, candidate, &mut self.spent.for_listener)
    }

    /// Notes that nothing stands above a path, and why: a limit of this path, or what is known of its top.
    pub(super) fn end(&mut self, path: &Path, place: usize, stopped_by: Option<Reason>) {
        let dead_end = match stopped_by {
            // A self-signed certificate is complete, whoever else has its name and key further down.
            Some(circle @ Reason::IssuerLoop { .. }) => match self.dead_end(path.top(), place) {
                DeadEnd::Because(Reason::ChainIncomplete { .. }) => DeadEnd::Because(circle),
                known => known,
            },
            Some(reason) => DeadEnd::Because(reason),
            None => self.dead_end(path.top(), place),
        };
        match dead_end {
            DeadEnd::Complete => self.complete = true,
            DeadEnd::Because(reason) => {
                self.tell(|| Event::Ended {
                    path: path.clone(),
                    reason: reason.clone(),
                });
                self.remember(&reason);
            }
        }
    }

    /// Answers the reason to report. Certificates that issue each other are no fault beside a complete path.
    pub(super) fn most_telling(self) -> Option<Reason> {
        self.worst
            .filter(|reason| !(self.complete && matches!(reason, Reason::IssuerLoop { .. })))
    }

    /// Finds out, once for each certificate, why it has no issuer. Only failing walks come here.
    fn dead_end(&mut self, top: &Step, place: usize) -> DeadEnd {
        if let Some(Known {
            dead_end: Some(known),
            ..
        }) = self.known.get(place)
        {
            return known.clone();
        }
        let certificate = &top.certificate;
        let name = || certificate.subject().clone();
        let dead_end = if certificate.is_self_issued()
            && look_closer(certificate, certificate, &mut self.spent.for_roots) == SignatureSeen::Right
        {
            if top.origin.configured {
                DeadEnd::Complete
            } else {
                DeadEnd::Because(Reason::RootNotConfigured { root: name() })
            }
        } else {
            let rejected = self
                .known
                .get_mut(place)
                .map(|known| std::mem::take(&mut known.rejected));
            let mut told: Option<Reason> = None;
            for Rejected {
                candidate,
                reason,
                signature,
            } in rejected.unwrap_or_default()
            {
                let signature = match signature {
                    SignatureSeen::NotChecked => {
                        look_closer(certificate, &candidate, &mut self.spent.for_reasons)
                    }
                    seen => seen,
                };
                let reason = if signature == SignatureSeen::Wrong {
                    Reason::IssuerSignatureWrong {
                        certificate: name(),
                        issuer: candidate.subject().clone(),
                    }
                } else {
                    reason
                };
                if told.as_ref().is_none_or(|told| reason.weight() > told.weight()) {
                    told = Some(reason);
                }
            }
            DeadEnd::Because(told.unwrap_or_else(|| Reason::ChainIncomplete {
                certificate: name(),
                issuer: certificate.issuer().clone(),
            }))
        };
        if let Some(known) = self.known.get_mut(place) {
            known.dead_end = Some(dead_end.clone());
        }
        dead_end
    }

    pub(super) fn remember(&mut self, reason: &Reason) {
        if self
            .worst
            .as_ref()
            .is_none_or(|worst| reason.weight() > worst.weight())
        {
            self.worst = Some(reason.clone());
        }
    }
}

/// Checks a signature that the decision does not need, as long as there is something left to spend on it.
fn look_closer(certificate: &Certificate, candidate: &Certificate, spent: &mut u32) -> SignatureSeen {
    if *spent == EXTRA_SIGNATURES || certificate.could_be_signed_by(candidate).is_err() {
        return SignatureSeen::NotChecked;
    }
    *spent += 1;
    match certificate.check_signed_by(candidate) {
        Ok(()) => SignatureSeen::Right,
        Err(_) => SignatureSeen::Wrong,
    }
}
