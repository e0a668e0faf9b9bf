//! A partial path: the leaf and, one after the other, the certificates that issued what stands below them.

use crate::certificate::Certificate;
use crate::time::Time;

/// Where a certificate of a path came from. One that was presented and is configured too has both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its place in the presented chain (0 is the leaf), when it was presented.
    pub presented_at: Option<usize>,
    /// Whether it is byte-equal to a configured certificate.
    pub configured: bool,
}

/// One certificate of a path.
#[derive(Clone, Debug)]
pub struct Step {
    /// The certificate.
    pub certificate: Certificate,
    /// Where it came from.
    pub origin: Origin,
}

/// A path from the leaf (first) upward. Each certificate but the last is issued by its successor, checked by
/// name, signature, dates and the successor's right to issue; no certificate occurs twice. Never empty.
#[derive(Clone, Debug)]
pub struct Path {
    leaf: Step,
    issuers: Vec<Step>,
    /// How many of the issuers are not self-issued: what a path length limits.
    counted: u32,
}

impl Path {
    pub(super) fn of_leaf(leaf: Step) -> Self {
        Self {
            leaf,
            issuers: Vec::new(),
            counted: 0,
        }
    }

    pub(super) fn extended_by(&self, issuer: Step) -> Self {
        let mut issuers = Vec::with_capacity(self.issuers.len() + 1);
        issuers.extend_from_slice(&self.issuers);
        let counted = self.counted + u32::from(!issuer.certificate.is_self_issued());
        issuers.push(issuer);
        Self {
            leaf: self.leaf.clone(),
            issuers,
            counted,
        }
    }

    /// Answers how many intermediates above the leaf count against the path length of a next issuer.
    ///
    /// Self-issued ones do not count (RFC 5280 §4.2.1.9, read 2026-11-25), nor does the leaf, CA or not.
    pub(super) fn counted_intermediates(&self) -> u32 {
        self.counted
    }

    pub(super) fn holds(&self, certificate: &Certificate) -> bool {
        self.steps().any(|step| step.certificate == *certificate)
    }

    /// Answers the leaf.
    pub fn leaf(&self) -> &Certificate {
        &self.leaf.certificate
    }

    /// Answers the certificates above the leaf, nearest first; empty for the path that is only the leaf.
    pub fn issuers(&self) -> &[Step] {
        &self.issuers
    }

    /// Answers all certificates, leaf first.
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = &Step> {
        std::iter::once(&self.leaf).chain(&self.issuers)
    }

    /// Answers the uppermost certificate.
    pub fn top(&self) -> &Step {
        self.issuers.last().unwrap_or(&self.leaf)
    }

    /// Answers how many certificates the path has, leaf included; at least one.
    #[expect(clippy::len_without_is_empty, reason = "a path is never empty")]
    pub fn len(&self) -> usize {
        self.issuers.len() + 1
    }

    /// Answers the last second in which every certificate of the path is valid.
    pub fn valid_until(&self) -> Time {
        let start = self.leaf.certificate.not_after();
        self.issuers
            .iter()
            .map(|step| step.certificate.not_after())
            .fold(start, Ord::min)
    }

    /// Answers the first second in which every certificate of the path is valid.
    pub fn valid_from(&self) -> Time {
        let start = self.leaf.certificate.not_before();
        self.issuers
            .iter()
            .map(|step| step.certificate.not_before())
            .fold(start, Ord::max)
    }
}
