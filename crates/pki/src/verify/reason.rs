//! Why a certificate did not count, as a stable code, as facts, and as a sentence.
//!
//! Codes are interface: they appear in refusals, logs and pages, and are never renamed. Sentences are ours to
//! improve.

use std::fmt;

use crate::algorithm::SignatureAlgorithm;
use crate::name::Name;
use crate::time::Time;

/// Why a path ended, or why a candidate issuer was not taken. The facts name certificates by their subject.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The issuer of a certificate was neither presented nor is it configured.
    ChainIncomplete {
        /// The certificate whose issuer is missing.
        certificate: Name,
        /// The name that its issuer has.
        issuer: Name,
    },
    /// More certificates above each other than a path may have.
    ChainTooDeep {
        /// Certificates that a path may have, leaf included.
        limit: usize,
    },
    /// The issuer states no basicConstraints (version 1, or without the extension) and is not configured
    /// here.
    ExtensionlessIssuerNotConfigured {
        /// The issuer.
        issuer: Name,
    },
    /// The issuer's basicConstraints cannot be read, or are there twice.
    IssuerConstraintsUnreadable {
        /// The issuer.
        issuer: Name,
    },
    /// The issuer's validity is over.
    IssuerExpired {
        /// The issuer.
        issuer: Name,
        /// Its last second.
        not_after: Time,
        /// The moment of the decision.
        now: Time,
    },
    /// The issuer has a keyUsage without keyCertSign.
    IssuerKeyUsage {
        /// The issuer.
        issuer: Name,
    },
    /// Certificates issue each other in a circle; the path would come back to itself.
    IssuerLoop {
        /// The certificate whose issuer is already below it.
        certificate: Name,
        /// That issuer.
        issuer: Name,
    },
    /// The issuer says of itself that it is not a CA.
    IssuerNotACa {
        /// The issuer.
        issuer: Name,
    },
    /// The issuer's validity has not begun.
    IssuerNotYetValid {
        /// The issuer.
        issuer: Name,
        /// Its first second.
        not_before: Time,
        /// The moment of the decision.
        now: Time,
    },
    /// More intermediates below the issuer than its path length allows.
    IssuerPathLength {
        /// The issuer.
        issuer: Name,
        /// What it allows.
        allowed: u32,
        /// How many there are between it and the leaf, self-issued ones not counted.
        found: u32,
    },
    /// The issuer's name fits, but its key did not make the signature.
    IssuerSignatureWrong {
        /// The certificate that should have been signed.
        certificate: Name,
        /// The candidate issuer.
        issuer: Name,
    },
    /// The leaf's validity is over.
    LeafExpired {
        /// Its last second.
        not_after: Time,
        /// The moment of the decision.
        now: Time,
    },
    /// The leaf's validity has not begun.
    LeafNotYetValid {
        /// Its first second.
        not_before: Time,
        /// The moment of the decision.
        now: Time,
    },
    /// The path is complete, but ends in a self-signed certificate that nobody configured.
    RootNotConfigured {
        /// The self-signed certificate.
        root: Name,
    },
    /// A certificate names two different signature algorithms for its one signature.
    SignatureAlgorithmsDiffer {
        /// The certificate.
        certificate: Name,
    },
    /// More candidates, signature checks or paths than one decision may cost.
    TooManyCandidates {
        /// Signature checks made until then.
        signatures: u32,
        /// Candidates looked at until then.
        candidates: u32,
    },
    /// A certificate of the path has a critical extension that this server does not know.
    UnknownCriticalExtension {
        /// The certificate.
        certificate: Name,
        /// The extension's object identifier.
        oid: Box<str>,
    },
    /// A certificate is signed with an algorithm that this server does not check.
    UnsupportedAlgorithm {
        /// The certificate.
        certificate: Name,
        /// How it is signed.
        algorithm: SignatureAlgorithm,
    },
    /// An issuer's RSA key is too short for its signatures to count.
    WeakIssuerKey {
        /// The issuer.
        issuer: Name,
        /// Bits of its modulus.
        bits: u32,
    },
    /// A certificate is signed over MD5 or SHA-1.
    WeakSignatureAlgorithm {
        /// The certificate.
        certificate: Name,
        /// How it is signed.
        algorithm: SignatureAlgorithm,
    },
}

impl Reason {
    /// Answers the stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ChainIncomplete { .. } => "chain-incomplete",
            Self::ChainTooDeep { .. } => "chain-too-deep",
            Self::ExtensionlessIssuerNotConfigured { .. } => "extensionless-issuer-not-configured",
            Self::IssuerConstraintsUnreadable { .. } => "issuer-constraints-unreadable",
            Self::IssuerExpired { .. } => "issuer-expired",
            Self::IssuerKeyUsage { .. } => "issuer-key-usage",
            Self::IssuerLoop { .. } => "issuer-loop",
            Self::IssuerNotACa { .. } => "issuer-not-a-ca",
            Self::IssuerNotYetValid { .. } => "issuer-not-yet-valid",
            Self::IssuerPathLength { .. } => "issuer-path-length",
            Self::IssuerSignatureWrong { .. } => "issuer-signature-wrong",
            Self::LeafExpired { .. } => "leaf-expired",
            Self::LeafNotYetValid { .. } => "leaf-not-yet-valid",
            Self::RootNotConfigured { .. } => "root-not-configured",
            Self::SignatureAlgorithmsDiffer { .. } => "signature-algorithms-differ",
            Self::TooManyCandidates { .. } => "too-many-candidates",
            Self::UnknownCriticalExtension { .. } => "unknown-critical-extension",
            Self::UnsupportedAlgorithm { .. } => "unsupported-algorithm",
            Self::WeakIssuerKey { .. } => "weak-issuer-key",
            Self::WeakSignatureAlgorithm { .. } => "weak-signature-algorithm",
        }
    }

    /// Answers how much this reason tells about a failed walk, so that the most telling one can be reported:
    /// limits first, then what is wrong with a certificate that really issued, then what is missing, then
    /// what merely has a fitting name.
    pub(super) const fn weight(&self) -> u8 {
        match self {
            Self::LeafExpired { .. } | Self::LeafNotYetValid { .. } => 6,
            Self::TooManyCandidates { .. } | Self::ChainTooDeep { .. } => 5,
            Self::ExtensionlessIssuerNotConfigured { .. }
            | Self::IssuerConstraintsUnreadable { .. }
            | Self::IssuerExpired { .. }
            | Self::IssuerKeyUsage { .. }
            | Self::IssuerNotACa { .. }
            | Self::IssuerNotYetValid { .. }
            | Self::IssuerPathLength { .. }
            | Self::SignatureAlgorithmsDiffer { .. }
            | Self::UnknownCriticalExtension { .. }
            | Self::UnsupportedAlgorithm { .. }
            | Self::WeakIssuerKey { .. }
            | Self::WeakSignatureAlgorithm { .. } => 4,
            Self::IssuerSignatureWrong { .. } => 3,
            Self::ChainIncomplete { .. } => 2,
            Self::IssuerLoop { .. } | Self::RootNotConfigured { .. } => 1,
        }
    }
}

impl fmt::Display for Reason {
    #[expect(
        clippy::too_many_lines,
        reason = "one sentence for each variant, and nothing else"
    )]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ChainIncomplete { certificate, issuer } => write!(
                f,
                "The issuer of {certificate}, {issuer}, was neither presented nor is it configured."
            ),
            Self::ChainTooDeep { limit } => write!(f, "The path has more than {limit} certificates."),
            Self::ExtensionlessIssuerNotConfigured { issuer } => write!(
                f,
                "{issuer} states no basic constraints and is not configured here, so it may not issue."
            ),
            Self::IssuerConstraintsUnreadable { issuer } => {
                write!(
                    f,
                    "The basic constraints of {issuer} cannot be read, so it may not issue."
                )
            }
            Self::IssuerExpired {
                issuer,
                not_after,
                now,
            } => write!(
                f,
                "The issuer {issuer} expired at {not_after}, {} ago.",
                Span(now.seconds_since(*not_after))
            ),
            Self::IssuerKeyUsage { issuer } => {
                write!(
                    f,
                    "The key usage of {issuer} does not allow it to sign certificates."
                )
            }
            Self::IssuerLoop { certificate, issuer } => write!(
                f,
                "{certificate} was issued by {issuer}, which stands below it already: they issue each other."
            ),
            Self::IssuerNotACa { issuer } => {
                write!(
                    f,
                    "{issuer} is not a CA (its basic constraints say CA:FALSE), so it may not issue."
                )
            }
            Self::IssuerNotYetValid {
                issuer,
                not_before,
                now,
            } => write!(
                f,
                "The issuer {issuer} is valid only from {not_before}, in {}.",
                Span(not_before.seconds_since(*now))
            ),
            Self::IssuerPathLength {
                issuer,
                allowed,
                found,
            } => write!(
                f,
                "{issuer} allows {allowed} intermediate certificates below it, and the path has {found}."
            ),
            Self::IssuerSignatureWrong { certificate, issuer } => {
                write!(
                    f,
                    "The signature of {certificate} was not made by the key of {issuer}."
                )
            }
            Self::LeafExpired { not_after, now } => write!(
                f,
                "The device certificate expired at {not_after}, {} ago.",
                Span(now.seconds_since(*not_after))
            ),
            Self::LeafNotYetValid { not_before, now } => write!(
                f,
                "The device certificate is valid only from {not_before}, in {}.",
                Span(not_before.seconds_since(*now))
            ),
            Self::RootNotConfigured { root } => {
                write!(
                    f,
                    "The path ends in the self-signed {root}, which is not configured here."
                )
            }
            Self::SignatureAlgorithmsDiffer { certificate } => {
                write!(
                    f,
                    "{certificate} names two different algorithms for its signature."
                )
            }
            Self::TooManyCandidates {
                signatures,
                candidates,
            } => write!(
                f,
                "The search was given up after {signatures} signature checks and {candidates} candidate issuers."
            ),
            Self::UnknownCriticalExtension { certificate, oid } => {
                write!(
                    f,
                    "{certificate} has the critical extension {oid}, which is not known here."
                )
            }
            Self::UnsupportedAlgorithm {
                certificate,
                algorithm,
            } => {
                write!(
                    f,
                    "{certificate} is signed with {algorithm} by a key that is not supported here."
                )
            }
            Self::WeakIssuerKey { issuer, bits } => {
                write!(
                    f,
                    "The RSA key of {issuer} has only {bits} bits; at least 2048 are needed."
                )
            }
            Self::WeakSignatureAlgorithm {
                certificate,
                algorithm,
            } => {
                write!(
                    f,
                    "{certificate} is signed with {algorithm}, which is broken and does not count."
                )
            }
        }
    }
}

/// A length of time for people: its two largest units.
struct Span(i64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.max(0);
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
        if days > 0 {
            write!(f, "{days} d {hours} h")
        } else if hours > 0 {
            write!(f, "{hours} h {minutes} min")
        } else if minutes > 0 {
            write!(f, "{minutes} min {} s", seconds % 60)
        } else {
            write!(f, "{seconds} s")
        }
    }
}
