//! One sentence for each reason, with the facts of the case.

use muster_model::ReasonCode;
use muster_model::dps::{Attestation as Mechanism, X509Attestation};
use muster_resources::explain::UNREADABLE;

use super::Case;
use crate::attestation::Note;

/// Says what an enrollment expects of a device.
pub(super) fn expected(attestation: &Mechanism) -> &'static str {
    match attestation {
        Mechanism::SymmetricKey { .. } => "a token signed with a symmetric key",
        Mechanism::Tpm { .. } => "a TPM",
        Mechanism::X509(X509Attestation::CaReferences { .. }) => {
            "a certificate below a CA certificate that it names"
        }
        Mechanism::X509(X509Attestation::ClientCertificates { .. }) => {
            "one of the certificates that stand in it"
        }
        Mechanism::X509(X509Attestation::SigningCertificates { .. }) => {
            "a certificate below one of its signing certificates"
        }
    }
}

impl Case<'_> {
    pub(super) fn sentence(&self) -> String {
        let Some(reason) = self.reason else {
            return format!(
                "The device {} was refused ({}), and would be admitted by what is configured now.",
                self.id, self.refusal.reason
            );
        };
        match self
            .refusal
            .chain
            .as_ref()
            .filter(|_| self.refusal.token.is_none())
        {
            Some(chain) => self.of_certificate(reason, chain.leaf()),
            None => self.of_token(reason),
        }
    }

    fn of_certificate(&self, reason: ReasonCode, leaf: &muster_pki::Certificate) -> String {
        let (id, service, at) = (self.id, &self.service.name, self.refusal.at);
        match reason {
            ReasonCode::AnchorNotVerified => format!(
                "The certificate of {id} leads to {}, which is configured here, but possession of its key was never proved.",
                self.unverified_anchor()
            ),
            ReasonCode::CaReferenceMissing => {
                let missing = self.trace.notes.iter().find_map(|note| match note {
                    Note::MissingReference(name) => Some(name.to_string()),
                    _ => None,
                });
                format!(
                    "An enrollment that may admit {id} refers to the CA certificate {}, which the provisioning service \
                     {service} no longer has.",
                    missing.unwrap_or_default()
                )
            }
            ReasonCode::CertificateDisabled => format!(
                "The certificate of {id} stands in a disabled individual enrollment, and so no other enrollment may admit it."
            ),
            ReasonCode::CommonNameDiffers => format!(
                "The certificate's common name is {}, and the registration id is {id}; they must be the same but for case.",
                leaf.common_name().unwrap_or("(none)")
            ),
            ReasonCode::CommonNameMissing => {
                format!("The certificate of {id} has no common name, and it should be the registration id.")
            }
            ReasonCode::EnrollmentDisabled => format!("The individual enrollment {id} is disabled."),
            ReasonCode::Expired => format!(
                "The certificate of {id} expired at {}, {} before the attempt at {at}.",
                leaf.not_after(),
                span(at.to_pki().seconds_since(leaf.not_after()))
            ),
            ReasonCode::GroupDisabled => match self.group() {
                Some(group) => {
                    format!("The enrollment group {group}, which decides about {id}, is disabled.")
                }
                None => format!("The enrollment group that decides about {id} is disabled."),
            },
            ReasonCode::LeafNotEnrolled => format!(
                "The certificate that came (SHA-256 {}) is not one of those in the individual enrollment {id}.",
                leaf.sha256()
            ),
            ReasonCode::NoEnrollment => format!(
                "Nothing is enrolled on {service} that fits {id}: no individual enrollment, and no group on a \
                 certificate above its own."
            ),
            ReasonCode::NoHubToAssign => self.no_hub(),
            ReasonCode::NotYetValid => format!(
                "The certificate of {id} is valid only from {}, {} after the attempt at {at}.",
                leaf.not_before(),
                span(leaf.not_before().seconds_since(at.to_pki()))
            ),
            ReasonCode::RegistrationIdInvalid => format!(
                "The registration id {id} is longer than the {} characters that a common name may have.",
                muster_model::id::MAX_COMMON_NAME
            ),
            ReasonCode::WrongAttestationType => {
                format!(
                    "The device {id} showed a certificate, and its enrollment expects another kind of credential."
                )
            }
            reason => self.found().map_or_else(
                || format!("The certificate of {id} was refused: {reason}."),
                ToString::to_string,
            ),
        }
    }

    fn of_token(&self, reason: ReasonCode) -> String {
        let (id, service, at) = (self.id, &self.service.name, self.refusal.at);
        let claims = self.refusal.token.as_ref();
        match reason {
            ReasonCode::AudienceWrong => format!(
                "The token was made for {}, and should have been for {}/registrations/{id}.",
                claims.map_or("something else", |claims| claims.resource.as_str()),
                self.service.id_scope
            ),
            ReasonCode::CertificateUnreadable => UNREADABLE.to_owned(),
            ReasonCode::EnrollmentDisabled => format!("The individual enrollment {id} is disabled."),
            ReasonCode::GroupDisabled => {
                format!("The enrollment group with whose key {id} signed is disabled.")
            }
            ReasonCode::NoCredential => {
                format!("The device {id} showed neither a certificate nor a token.")
            }
            ReasonCode::NoEnrollment => format!(
                "Nothing is enrolled on {service} that fits {id}: no individual enrollment, and no group with a \
                 symmetric key."
            ),
            ReasonCode::NoHubToAssign => self.no_hub(),
            ReasonCode::TokenExpired => match claims {
                Some(claims) => format!(
                    "The token of {id} ended at {}, {} before the attempt at {at}.",
                    claims.expiry,
                    span(at.seconds().saturating_sub(claims.expiry.seconds()))
                ),
                None => format!("The token of {id} ended before the attempt at {at}."),
            },
            ReasonCode::TokenMalformed => {
                "The Authorization header is not a SAS token with sr, sig and se.".to_owned()
            }
            ReasonCode::TokenSignatureWrong => {
                let by = if self.individual().is_some() {
                    "a key of its individual enrollment"
                } else {
                    "a key that derives from that of an enrollment group (the group's own key does not count)"
                };
                format!("The token of {id} was not signed with {by}.")
            }
            ReasonCode::TooManyCandidates => format!(
                "{service} has more groups with symmetric keys than are tried for one token, and none of those fits {id}."
            ),
            ReasonCode::TpmUnsupported => {
                format!("The device {id} offered a TPM's key, and TPM attestation is not offered here.")
            }
            ReasonCode::WrongAttestationType => {
                format!("The device {id} showed a token, and its enrollment expects a certificate.")
            }
            reason => format!("The registration of {id} was refused: {reason}."),
        }
    }

    fn no_hub(&self) -> String {
        let linked = self.service.links.len();
        format!(
            "The device {} was authenticated, and no hub could be assigned: {} has {linked} linked hubs, and what its \
             enrollment asks for (its hubs, its allocation policy) leaves none.",
            self.id, self.service.name
        )
    }
}

/// A length of time for people: its two largest units.
fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    if days > 0 {
        format!("{days} d {hours} h")
    } else if hours > 0 {
        format!("{hours} h {minutes} min")
    } else if minutes > 0 {
        format!("{minutes} min {} s", seconds % 60)
    } else {
        format!("{seconds} s")
    }
}
