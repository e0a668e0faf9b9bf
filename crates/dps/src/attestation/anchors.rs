//! The certificates that may stand on a path: those of the service, and those of its groups that the presented ones
//! could lead to.
//!
//! Groups are never scanned. Their signing certificates are asked for by the subjects that somebody below needs an
//! issuer of, round by round; what comes back may need issuers itself. Mostly one round is all.

use std::collections::HashSet;

use muster_model::DpsKey;
use muster_pki::verify::{AnchorSet, Anchors};
use muster_pki::{Certificate, Chain, Name, Sha256};
use muster_resources::OwnerTrust;

use crate::error::Error;
use crate::ports::Store;

/// Most rounds of asking. Each climbs one certificate that was not presented.
const MAX_ROUNDS: usize = 8;
/// Most certificates that are followed upward, whatever is configured.
const MAX_FOLLOWED: usize = 1_024;
/// Most namesakes among the service's certificates that are followed from one certificate.
const MAX_NAMESAKES: usize = 16;

/// The certificates of the service and of the groups in question, as one set.
pub(super) struct Candidates<'t> {
    trust: &'t OwnerTrust,
    groups: AnchorSet,
    /// The SHA-256 of each certificate of `groups`, in order.
    digests: Vec<Sha256>,
}

impl<'t> Candidates<'t> {
    /// Collects what could stand on a path of this chain.
    pub(super) async fn collect(
        store: &dyn Store,
        service: DpsKey,
        trust: &'t OwnerTrust,
        chain: &Chain,
    ) -> Result<Self, Error> {
        let mut groups = AnchorSet::new();
        let mut digests = Vec::new();
        let mut seen: HashSet<Sha256> = HashSet::new();
        let mut asked: HashSet<Box<[u8]>> = HashSet::new();
        let mut frontier: Vec<Certificate> = chain.certificates().cloned().collect();
        seen.extend(frontier.iter().map(Certificate::sha256));
        for _ in 0..MAX_ROUNDS {
            let subjects: Vec<Name> = frontier
                .iter()
                .map(Certificate::issuer)
                .filter(|issuer| asked.insert(issuer.der().into()))
                .cloned()
                .collect();
            let found = if subjects.is_empty() {
                Vec::new()
            } else {
                store.signing_certificates(service, &subjects).await?
            };
            let mut next = Vec::new();
            for certificate in &frontier {
                let above = trust
                    .anchors()
                    .by_subject(certificate.issuer(), certificate.authority_key_id());
                for anchor in above.take(MAX_NAMESAKES) {
                    if seen.len() < MAX_FOLLOWED && seen.insert(anchor.sha256()) {
                        next.push(anchor.clone());
                    }
                }
            }
            for certificate in found {
                let sha256 = certificate.sha256();
                if groups.insert(certificate.clone()) {
                    digests.push(sha256);
                }
                if seen.len() < MAX_FOLLOWED && seen.insert(sha256) {
                    next.push(certificate);
                }
            }
            if next.is_empty() {
                break;
            }
            frontier = next;
        }
        digests.sort_unstable();
        Ok(Self {
            trust,
            groups,
            digests,
        })
    }

    /// Names this chain and these candidates of groups: as long as both and the service's certificates stay the same, so
    /// do the paths.
    pub(super) fn digest(&self, chain: &Chain) -> Sha256 {
        let mut all = Vec::with_capacity(32 * (self.digests.len() + 1));
        all.extend_from_slice(chain.sha256().as_bytes());
        for digest in &self.digests {
            all.extend_from_slice(digest.as_bytes());
        }
        Sha256::of(&all)
    }

    /// The certificates of groups.
    pub(super) fn of_groups(&self) -> impl Iterator<Item = &Certificate> {
        self.digests
            .iter()
            .filter_map(|digest| self.groups.configured(digest))
    }

    /// The other certificates with the same subject and key: they are the same CA in another certificate.
    pub(super) fn twins<'a>(&'a self, of: &'a Certificate) -> impl Iterator<Item = &'a Certificate> {
        let same = move |one: &&Certificate| *one != of && one.spki_der() == of.spki_der();
        // Those of groups are few; among the service's, tools give twins the same key identifier.
        let in_groups = self.groups.by_subject(of.subject(), of.subject_key_id());
        let in_service = self.trust.anchors().by_subject(of.subject(), of.subject_key_id());
        in_groups
            .take(MAX_FOLLOWED)
            .filter(same)
            .chain(in_service.take(MAX_NAMESAKES).filter(same))
    }
}

impl Anchors for Candidates<'_> {
    fn by_subject<'a>(
        &'a self,
        subject: &Name,
        key_id: Option<&'a [u8]>,
    ) -> Box<dyn Iterator<Item = &'a Certificate> + 'a> {
        let service = self.trust.anchors();
        let fits = move |one: &&Certificate| key_id.is_some() && one.subject_key_id() == key_id;
        let only_in_groups = move |one: &&Certificate| !service.is_configured(&one.sha256());
        // Each set gives those that fit first, so that neither has to be read to its end for them.
        Box::new(
            service
                .by_subject(subject, key_id)
                .take_while(fits)
                .chain(
                    self.groups
                        .by_subject(subject, key_id)
                        .take_while(fits)
                        .filter(only_in_groups),
                )
                .chain(service.by_subject(subject, key_id).skip_while(fits))
                .chain(
                    self.groups
                        .by_subject(subject, key_id)
                        .skip_while(fits)
                        .filter(only_in_groups),
                ),
        )
    }

    fn configured(&self, sha256: &Sha256) -> Option<&Certificate> {
        self.trust
            .anchors()
            .configured(sha256)
            .or_else(|| self.groups.configured(sha256))
    }
}
