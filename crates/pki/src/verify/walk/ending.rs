//! Why a path cannot be continued: found out only where a walk fails, and only to be told.
//!
//! A candidate that was refused for its dates or flags may be a mere namesake. Whether it really made the signature is
//! checked here, within a small number of checks of its own, so that the reason names what is really wrong.

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

/// Signature checks that a walk may make only to tell its reason.
const EXTRA_SIGNATURES: u32 = 16;

impl Search<'_> {
    /// Checks a signature that the decision does not need, so that the real issuer can be told from a
    /// namesake.
    pub(super) fn look_closer(
        &mut self,
        certificate: &Certificate,
        candidate: &Certificate,
    ) -> SignatureSeen {
        if self.spent.extra == EXTRA_SIGNATURES || certificate.could_be_signed_by(candidate).is_err() {
            return SignatureSeen::NotChecked;
        }
        self.spent.extra += 1;
        match certificate.check_signed_by(candidate) {
            Ok(()) => SignatureSeen::Right,
            Err(_) => SignatureSeen::Wrong,
        }
    }

    /// Notes that nothing stands above a path, and why: a limit of this path, or what is known of its top.
    pub(super) fn end(&mut self, path: &Path, place: usize, stopped_by: Option<Reason>) {
        let dead_end = match stopped_by {
            Some(reason) => DeadEnd::Because(reason),
            None => self.dead_end(path.top(), place),
        };
        if let DeadEnd::Because(reason) = dead_end {
            self.tell(|| Event::Ended {
                path: path.clone(),
                reason: reason.clone(),
            });
            self.remember(&reason);
        }
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
            && self.look_closer(certificate, certificate) == SignatureSeen::Right
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
                    SignatureSeen::NotChecked => self.look_closer(certificate, &candidate),
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
