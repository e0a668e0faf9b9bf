//! The search for paths: breadth first from the leaf upward, by name and signature, within a budget.
//!
//! Candidates for an issuer are the presented certificates and the configured ones with the issuer's name,
//! presented or not, in any order; matching key identifiers go first and exclude nobody. What holds of a pair
//! (name, signature, the right to issue, dates) is found out once; what depends on the path (no certificate
//! twice, path length, depth) is looked at for each path. The caller sees every path as soon as it is found,
//! shorter ones before longer ones, and stops the search when it has decided.

mod ending;

use std::collections::VecDeque;
use std::ops::ControlFlow;

use crate::certificate::Certificate;
use crate::chain::Chain;
use crate::time::Time;
use crate::verify::anchors::Anchors;
use crate::verify::budget::Budget;
use crate::verify::observer::{Event, Observer, SignatureSeen};
use crate::verify::path::{Origin, Path, Step};
use crate::verify::reason::Reason;
use crate::verify::rules;

use ending::{DeadEnd, Rejected};

/// How a walk ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Walked<B> {
    /// The caller decided on a path and said so.
    Decided(B),
    /// Every path was shown, or a limit met, and none satisfied the caller. The reason is the most telling
    /// one; `None` where all paths end in configured self-signed certificates, so that nothing is wrong with
    /// the chain itself.
    Undecided(Option<Reason>),
}

impl<B> Walked<B> {
    /// Answers the decision, if there is one.
    pub fn decided(self) -> Option<B> {
        match self {
            Self::Decided(decision) => Some(decision),
            Self::Undecided(_) => None,
        }
    }
}

/// Shows `visit` every path from the chain's leaf upward, shorter ones first, until it breaks.
///
/// The first path is the leaf alone. It proves nothing but that the leaf is inside its validity: a caller
/// that trusts issuers must look at [`Path::issuers`].
pub fn walk<B>(
    chain: &Chain,
    anchors: &dyn Anchors,
    now: Time,
    budget: Budget,
    observer: &mut dyn Observer,
    mut visit: impl FnMut(&Path) -> ControlFlow<B>,
) -> Walked<B> {
    let mut search = Search {
        chain,
        anchors,
        now,
        budget,
        listening: observer.is_listening(),
        observer,
        spent: Spent::default(),
        known: Vec::new(),
        worst: None,
        complete: false,
    };
    match search.run(&mut visit) {
        ControlFlow::Break(End::Decided(decision)) => Walked::Decided(decision),
        ControlFlow::Break(End::GaveUp(reason)) => {
            search.tell(|| Event::GaveUp {
                reason: reason.clone(),
            });
            Walked::Undecided(Some(reason))
        }
        ControlFlow::Continue(()) => Walked::Undecided(search.most_telling()),
    }
}

struct Search<'a> {
    chain: &'a Chain,
    anchors: &'a dyn Anchors,
    now: Time,
    budget: Budget,
    listening: bool,
    observer: &'a mut dyn Observer,
    spent: Spent,
    /// The issuers of each certificate that was already looked at; few, so they are searched one by one.
    known: Vec<Known>,
    /// The most telling reason so far.
    worst: Option<Reason>,
    /// Whether some path ended in a configured self-signed certificate.
    complete: bool,
}

#[derive(Default)]
struct Spent {
    signatures: u32,
    candidates: u32,
    paths: u32,
    /// Signature checks that never decide: made to find the real issuer among refused ones, to see whether
    /// a top is self-signed, and to tell a listener. Counted apart, so that a listener changes no reason.
    for_reasons: u32,
    for_roots: u32,
    for_listener: u32,
}

struct Known {
    certificate: Certificate,
    issuers: Vec<Step>,
    rejected: Vec<Rejected>,
    /// Why nothing stands above it, once that was asked.
    dead_end: Option<DeadEnd>,
}

/// Why the search stops before everything was seen.
enum End<B> {
    Decided(B),
    GaveUp(Reason),
}

type Visit<'v, B> = dyn FnMut(&Path) -> ControlFlow<B> + 'v;

impl Search<'_> {
    fn run<B>(&mut self, visit: &mut Visit<'_, B>) -> ControlFlow<End<B>> {
        let leaf = self.chain.leaf();
        let judged = rules::leaf(leaf, self.now);
        let rejected = judged.err();
        self.tell(|| Event::Leaf {
            certificate: leaf.clone(),
            rejected: rejected.clone(),
        });
        if let Some(reason) = rejected {
            self.remember(&reason);
            return ControlFlow::Continue(());
        }
        let configured = self.anchors.is_configured(&leaf.sha256());
        let origin = Origin {
            presented_at: Some(0),
            configured,
        };
        let path = Path::of_leaf(Step {
            certificate: leaf.clone(),
            origin,
        });
        let mut waiting = VecDeque::new();
        self.show(&path, visit)?;
        waiting.push_back(path);
        while let Some(path) = waiting.pop_front() {
            self.climb(&path, &mut waiting, visit)?;
        }
        ControlFlow::Continue(())
    }

    /// Finds all issuers of the path's top and shows each longer path.
    fn climb<B>(
        &mut self,
        path: &Path,
        waiting: &mut VecDeque<Path>,
        visit: &mut Visit<'_, B>,
    ) -> ControlFlow<End<B>> {
        let top = &path.top().certificate;
        let mut climbed = Climbed::default();
        let place = if let Some(place) = self.known.iter().position(|known| known.certificate == *top) {
            let issuers = self
                .known
                .get(place)
                .map(|known| known.issuers.clone())
                .unwrap_or_default();
            for step in issuers {
                self.extend(path, step, &mut climbed, waiting, visit)?;
            }
            place
        } else {
            self.known.push(Known {
                certificate: top.clone(),
                issuers: Vec::new(),
                rejected: Vec::new(),
                dead_end: None,
            });
            let place = self.known.len() - 1;
            self.try_candidates(path, place, &mut climbed, waiting, visit)?;
            place
        };
        if !climbed.goes_on {
            self.end(path, place, climbed.stopped_by);
        }
        ControlFlow::Continue(())
    }

    fn try_candidates<B>(
        &mut self,
        path: &Path,
        place: usize,
        climbed: &mut Climbed,
        waiting: &mut VecDeque<Path>,
        visit: &mut Visit<'_, B>,
    ) -> ControlFlow<End<B>> {
        let top = path.top().certificate.clone();
        let key_id = top.authority_key_id();
        let matches = |one: &Certificate| key_id.is_some() && one.subject_key_id() == key_id;
        let mut try_one =
            |search: &mut Self, candidate: &Certificate, origin: Origin, climbed: &mut Climbed| {
                let Some(step) = search.judge(&top, candidate, origin, place)? else {
                    return ControlFlow::Continue(());
                };
                if let Some(known) = search.known.get_mut(place) {
                    known.issuers.push(step.clone());
                }
                search.extend(path, step, climbed, waiting, visit)
            };
        let presented = self.presented_as_issuer_of(&top);
        for (candidate, origin) in presented.iter().filter(|(one, _)| matches(one)) {
            try_one(self, candidate, *origin, climbed)?;
        }
        let anchors = self.anchors;
        let mut configured = anchors
            .by_subject(top.issuer(), key_id)
            .filter(|one| !presented.iter().any(|(seen, _)| seen == *one))
            .peekable();
        let origin = Origin {
            presented_at: None,
            configured: true,
        };
        while let Some(candidate) = configured.next_if(|one| matches(one)) {
            try_one(self, candidate, origin, climbed)?;
        }
        for (candidate, origin) in presented.iter().filter(|(one, _)| !matches(one)) {
            try_one(self, candidate, *origin, climbed)?;
        }
        for candidate in configured {
            try_one(self, candidate, origin, climbed)?;
        }
        ControlFlow::Continue(())
    }

    /// Answers the presented certificates with the issuer's name, each once, where it is configured too in
    /// its configured instance (whose key may already be prepared).
    fn presented_as_issuer_of(&self, certificate: &Certificate) -> Vec<(Certificate, Origin)> {
        let mut found: Vec<(Certificate, Origin)> = Vec::new();
        for (place, presented) in self.chain.presented().iter().enumerate() {
            let Some(candidate) = presented.certificate() else {
                continue;
            };
            if candidate.subject() != certificate.issuer() || found.iter().any(|(seen, _)| seen == candidate)
            {
                continue;
            }
            let configured = self.anchors.configured(&candidate.sha256());
            let origin = Origin {
                presented_at: Some(place),
                configured: configured.is_some(),
            };
            found.push((configured.unwrap_or(candidate).clone(), origin));
        }
        found
    }

    /// Finds out whether `candidate` issued `certificate` and may do so. `None` when not.
    fn judge<B>(
        &mut self,
        certificate: &Certificate,
        candidate: &Certificate,
        origin: Origin,
        place: usize,
    ) -> ControlFlow<End<B>, Option<Step>> {
        // A certificate is not looked for above itself, nor is the leaf, which is on every path, above
        // anything.
        if certificate == candidate || self.chain.leaf() == candidate {
            return ControlFlow::Continue(None);
        }
        if self.spent.candidates == self.budget.candidates {
            return ControlFlow::Break(End::GaveUp(self.too_many()));
        }
        self.spent.candidates += 1;
        let allowed = rules::issuer(candidate, origin.configured, self.now).and_then(|()| {
            certificate
                .could_be_signed_by(candidate)
                .map_err(|failure| rules::signature_reason(failure, certificate, candidate))
        });
        let (checked, rejected) = if let Err(reason) = allowed {
            (SignatureSeen::NotChecked, Some(reason))
        } else {
            if self.spent.signatures == self.budget.signatures {
                return ControlFlow::Break(End::GaveUp(self.too_many()));
            }
            self.spent.signatures += 1;
            match certificate.check_signed_by(candidate) {
                Ok(()) => (SignatureSeen::Right, None),
                Err(failure) => {
                    let reason = rules::signature_reason(failure, certificate, candidate);
                    (SignatureSeen::Wrong, Some(reason))
                }
            }
        };
        if self.listening {
            let signature = match checked {
                SignatureSeen::NotChecked => self.look_for_listener(certificate, candidate),
                seen => seen,
            };
            self.observer.note(Event::Candidate {
                certificate: certificate.clone(),
                issuer: candidate.clone(),
                origin,
                signature,
                rejected: rejected.clone(),
            });
        }
        match rejected {
            None => ControlFlow::Continue(Some(Step {
                certificate: candidate.clone(),
                origin,
            })),
            Some(reason) => {
                if let Some(known) = self.known.get_mut(place) {
                    known.rejected.push(Rejected {
                        candidate: candidate.clone(),
                        reason,
                        signature: checked,
                    });
                }
                ControlFlow::Continue(None)
            }
        }
    }

    /// Puts an issuer on top of a path, where the path allows it.
    fn extend<B>(
        &mut self,
        path: &Path,
        issuer: Step,
        climbed: &mut Climbed,
        waiting: &mut VecDeque<Path>,
        visit: &mut Visit<'_, B>,
    ) -> ControlFlow<End<B>> {
        if path.holds(&issuer.certificate) {
            climbed.stopped_by.get_or_insert_with(|| Reason::IssuerLoop {
                certificate: path.top().certificate.subject().clone(),
                issuer: issuer.certificate.subject().clone(),
            });
            return ControlFlow::Continue(());
        }
        let too_long = rules::path_length(&issuer.certificate, path.counted_intermediates()).err();
        let too_deep = (path.len() >= self.budget.depth).then(|| Reason::ChainTooDeep {
            limit: self.budget.depth,
        });
        if let Some(reason) = too_long.or(too_deep) {
            if climbed
                .stopped_by
                .as_ref()
                .is_none_or(|known| reason.weight() > known.weight())
            {
                climbed.stopped_by = Some(reason.clone());
            }
            self.remember(&reason);
            return ControlFlow::Continue(());
        }
        let longer = path.extended_by(issuer);
        climbed.goes_on = true;
        self.show(&longer, visit)?;
        waiting.push_back(longer);
        ControlFlow::Continue(())
    }

    fn show<B>(&mut self, path: &Path, visit: &mut Visit<'_, B>) -> ControlFlow<End<B>> {
        if self.spent.paths == self.budget.paths {
            return ControlFlow::Break(End::GaveUp(self.too_many()));
        }
        self.spent.paths += 1;
        self.tell(|| Event::Found { path: path.clone() });
        match visit(path) {
            ControlFlow::Continue(()) => ControlFlow::Continue(()),
            ControlFlow::Break(decision) => ControlFlow::Break(End::Decided(decision)),
        }
    }

    fn too_many(&self) -> Reason {
        Reason::TooManyCandidates {
            signatures: self.spent.signatures,
            candidates: self.spent.candidates,
        }
    }

    fn tell(&mut self, event: impl FnOnce() -> Event) {
        if self.listening {
            self.observer.note(event());
        }
    }
}

/// What was found directly above one path.
#[derive(Default)]
struct Climbed {
    goes_on: bool,
    /// The most telling reason of the path itself, where an issuer exists that cannot stand on this path.
    stopped_by: Option<Reason>,
}
