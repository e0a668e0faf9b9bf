//! The reasons of `pki` as reason codes of this server, and a walk as steps that a person can read.

use muster_model::ReasonCode;
use muster_pki::verify::{Event, Origin, Reason, SignatureSeen};
use muster_pki::{Certificate, Chain, Presented};

use crate::trust::OwnerTrust;

/// Steps that an explanation of a walk has at most; a hostile chain makes many.
const MAX_STEPS: usize = 64;

/// Answers the code under which a walk's reason is told.
pub fn reason_code(reason: &Reason) -> ReasonCode {
    match reason {
        Reason::ChainIncomplete { .. } => ReasonCode::ChainIncomplete,
        Reason::ChainTooDeep { .. } => ReasonCode::ChainTooLong,
        Reason::ExtensionlessIssuerNotConfigured { .. }
        | Reason::IssuerConstraintsUnreadable { .. }
        | Reason::IssuerNotACa { .. } => ReasonCode::IssuerNotCa,
        Reason::IssuerExpired { .. } => ReasonCode::IssuerExpired,
        Reason::IssuerKeyUsage { .. } => ReasonCode::IssuerKeyUsage,
        Reason::IssuerNotYetValid { .. } => ReasonCode::IssuerNotYetValid,
        Reason::IssuerPathLength { .. } => ReasonCode::PathLength,
        Reason::IssuerSignatureWrong { .. } | Reason::SignatureAlgorithmsDiffer { .. } => {
            ReasonCode::IssuerSignatureWrong
        }
        Reason::LeafExpired { .. } => ReasonCode::Expired,
        Reason::LeafNotYetValid { .. } => ReasonCode::NotYetValid,
        Reason::TooManyCandidates { .. } => ReasonCode::TooManyCandidates,
        Reason::UnknownCriticalExtension { .. } | Reason::UnsupportedAlgorithm { .. } => {
            ReasonCode::UnsupportedAlgorithm
        }
        Reason::WeakIssuerKey { .. } | Reason::WeakSignatureAlgorithm { .. } => ReasonCode::WeakAlgorithm,
        // A circle, or a root of the sender's own, leads to nothing that is configured.
        _ => ReasonCode::AnchorUnknown,
    }
}

/// Describes every certificate that was presented, in the order in which it came.
pub fn presented_steps(chain: &Chain) -> Vec<String> {
    chain
        .presented()
        .iter()
        .enumerate()
        .map(|(place, presented)| match presented {
            Presented::Certificate(certificate) => format!(
                "Certificate {place} of the chain is {}, issued by {}, valid from {} to {}, SHA-256 {}.",
                certificate.subject(),
                certificate.issuer(),
                certificate.not_before(),
                certificate.not_after(),
                certificate.sha256()
            ),
            Presented::Unreadable { der, error } => format!(
                "Certificate {place} of the chain ({} bytes) can't be read and counts for nothing: {error}.",
                der.len()
            ),
        })
        .collect()
}

/// Describes what a walk found out, each candidate with its outcome; `trust` tells which of them are verified.
pub fn walk_steps(events: &[Event], trust: &OwnerTrust) -> Vec<String> {
    let mut steps: Vec<String> = events
        .iter()
        .filter_map(|event| walk_step(event, trust))
        .collect();
    if steps.len() > MAX_STEPS {
        let more = steps.len() - MAX_STEPS;
        steps.truncate(MAX_STEPS);
        steps.push(format!("{more} more steps are left out."));
    }
    steps
}

fn walk_step(event: &Event, trust: &OwnerTrust) -> Option<String> {
    match event {
        Event::Leaf {
            certificate,
            rejected,
        } => Some(match rejected {
            None => format!("The leaf {} may begin a path.", certificate.subject()),
            Some(reason) => format!("The leaf {} can't begin a path: {reason}", certificate.subject()),
        }),
        Event::Candidate {
            certificate,
            issuer,
            origin,
            signature,
            rejected,
        } => {
            let signature = match signature {
                SignatureSeen::Right => "its key made the signature",
                SignatureSeen::Wrong => "its key did not make the signature",
                SignatureSeen::NotChecked => "the signature was not checked",
            };
            let outcome = rejected.as_ref().map_or_else(
                || "it counts as issuer.".to_owned(),
                |reason| format!("it does not count: {reason}"),
            );
            Some(format!(
                "As issuer of {}, {} ({}) was tried; {signature}; {outcome}",
                certificate.subject(),
                issuer.subject(),
                origin_of(issuer, *origin, trust)
            ))
        }
        Event::Ended { path, reason } => Some(format!(
            "The path from the leaf ends at {}: {reason}",
            path.top().certificate.subject()
        )),
        Event::GaveUp { reason } => Some(format!("The search was given up: {reason}")),
        _ => None,
    }
}

fn origin_of(certificate: &Certificate, origin: Origin, trust: &OwnerTrust) -> String {
    let presented = origin
        .presented_at
        .map(|place| format!("certificate {place} of the chain"));
    let uploaded = trust.uploaded(&certificate.sha256()).next().map(|one| {
        let state = if trust.is_verified(&certificate.sha256()) {
            "verified"
        } else {
            "not verified"
        };
        format!("uploaded as {}, {state}", one.name)
    });
    match (presented, uploaded) {
        (Some(presented), Some(uploaded)) => format!("{presented}, {uploaded}"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) if origin.configured => "configured".to_owned(),
        (None, None) => "presented".to_owned(),
    }
}
