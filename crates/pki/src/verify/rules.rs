//! Who may issue, and whose signature counts: the rules that do not depend on the path.
//!
//! A certificate issues only if it says CA:TRUE, or if it says nothing (version 1, or no basicConstraints)
//! and is byte-equal to a configured certificate: any tolerated device certificate could sign another
//! device's name otherwise. CA:FALSE never issues. keyUsage binds in both cases where it is there. Extended
//! key usage is not looked at.

use crate::algorithm::Unfit;
use crate::certificate::{Certificate, Fact, SignatureFailure};
use crate::time::Time;
use crate::verify::reason::Reason;

/// Judges the leaf as the beginning of a path.
pub(super) fn leaf(leaf: &Certificate, now: Time) -> Result<(), Reason> {
    if now > leaf.not_after() {
        return Err(Reason::LeafExpired {
            not_after: leaf.not_after(),
            now,
        });
    }
    if now < leaf.not_before() {
        return Err(Reason::LeafNotYetValid {
            not_before: leaf.not_before(),
            now,
        });
    }
    known_extensions_only(leaf)
}

/// Judges a certificate as an issuer, whatever it is to have issued.
pub(super) fn issuer(issuer: &Certificate, configured: bool, now: Time) -> Result<(), Reason> {
    let name = || issuer.subject().clone();
    match issuer.basic_constraints_fact() {
        Fact::Stated(constraints) if constraints.ca => {}
        Fact::Stated(_) => return Err(Reason::IssuerNotACa { issuer: name() }),
        Fact::Damaged => return Err(Reason::IssuerConstraintsUnreadable { issuer: name() }),
        Fact::Absent if configured => {}
        Fact::Absent => return Err(Reason::ExtensionlessIssuerNotConfigured { issuer: name() }),
    }
    match issuer.key_usage_fact() {
        Fact::Absent => {}
        Fact::Stated(usage) if usage.cert_sign => {}
        Fact::Stated(_) | Fact::Damaged => return Err(Reason::IssuerKeyUsage { issuer: name() }),
    }
    known_extensions_only(issuer)?;
    if now > issuer.not_after() {
        return Err(Reason::IssuerExpired {
            issuer: name(),
            not_after: issuer.not_after(),
            now,
        });
    }
    if now < issuer.not_before() {
        return Err(Reason::IssuerNotYetValid {
            issuer: name(),
            not_before: issuer.not_before(),
            now,
        });
    }
    Ok(())
}

/// Judges an issuer's path length against the intermediates that are already below it.
pub(super) fn path_length(issuer: &Certificate, intermediates: u32) -> Result<(), Reason> {
    match issuer
        .basic_constraints()
        .and_then(|constraints| constraints.path_len)
    {
        Some(allowed) if intermediates > allowed => Err(Reason::IssuerPathLength {
            issuer: issuer.subject().clone(),
            allowed,
            found: intermediates,
        }),
        _ => Ok(()),
    }
}

/// Puts a failed signature check into words.
pub(super) fn signature_reason(
    failure: SignatureFailure,
    certificate: &Certificate,
    issuer: &Certificate,
) -> Reason {
    let name = certificate.subject().clone();
    match failure {
        SignatureFailure::AlgorithmsDiffer => Reason::SignatureAlgorithmsDiffer { certificate: name },
        SignatureFailure::Unfit(Unfit::WeakDigest) => Reason::WeakSignatureAlgorithm {
            certificate: name,
            algorithm: certificate.signature_algorithm().clone(),
        },
        SignatureFailure::Unfit(Unfit::WeakKey) => Reason::WeakIssuerKey {
            issuer: issuer.subject().clone(),
            bits: issuer.public_key_bits(),
        },
        SignatureFailure::Unfit(Unfit::Unsupported) => Reason::UnsupportedAlgorithm {
            certificate: name,
            algorithm: certificate.signature_algorithm().clone(),
        },
        SignatureFailure::Unfit(Unfit::Mismatch) | SignatureFailure::Wrong => Reason::IssuerSignatureWrong {
            certificate: name,
            issuer: issuer.subject().clone(),
        },
    }
}

fn known_extensions_only(certificate: &Certificate) -> Result<(), Reason> {
    match certificate.unknown_critical() {
        None => Ok(()),
        Some(oid) => Err(Reason::UnknownCriticalExtension {
            certificate: certificate.subject().clone(),
            oid: oid.into(),
        }),
    }
}
