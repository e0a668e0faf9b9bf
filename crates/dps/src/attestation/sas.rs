//! Devices that signed a token.
//!
//! Nothing in a token names the enrollment: it is the individual one of the registration id, else the first group with a
//! key from which the signing key can be derived. The key of a group itself signs nothing: it would let one device speak
//! for all.

use aws_lc_rs::hmac;
use muster_model::dps::{Attestation as Mechanism, IndividualEnrollment, ProvisioningStatus};
use muster_model::estate::ProvisioningService;
use muster_model::{ReasonCode, RegistrationId, SasToken, SymmetricKey, Wall};
use muster_resources::sas::{is_expired, signing_key};

use super::{Admission, Attestation, Enrolled, Proof};
use crate::error::Error;

/// Most groups whose keys are tried. Azure permits 100 such groups to a service; ten times that costs a stranger's
/// request some milliseconds.
pub(crate) const MAX_SYMMETRIC_GROUPS: usize = 1_000;

impl Attestation {
    pub(super) async fn judge_token(
        &self,
        service: &ProvisioningService,
        id: &RegistrationId,
        token: &SasToken,
        now: Wall,
    ) -> Result<Admission, Error> {
        if !is_for(service, id, token) {
            return Err(Error::token(ReasonCode::AudienceWrong));
        }
        if is_expired(token, self.skew, now) {
            return Err(Error::token(ReasonCode::TokenExpired));
        }
        match self.store.individual(service.key, id).await? {
            None => self.judge_group_token(service, id, token).await,
            Some(individual) => self.judge_individual_token(service, individual, id, token).await,
        }
    }

    async fn judge_individual_token(
        &self,
        service: &ProvisioningService,
        individual: IndividualEnrollment,
        id: &RegistrationId,
        token: &SasToken,
    ) -> Result<Admission, Error> {
        let is_disabled = individual.terms.status == ProvisioningStatus::Disabled;
        let own = match &individual.attestation {
            Mechanism::SymmetricKey { primary, secondary } => {
                signing_key(primary, secondary, token).map(|_| Proof::Keys {
                    primary: primary.clone(),
                    secondary: secondary.clone(),
                })
            }
            _ if is_disabled => None,
            Mechanism::Tpm { .. } => return Err(Error::token(ReasonCode::TpmUnsupported)),
            Mechanism::X509(_) => return Err(Error::token(ReasonCode::WrongAttestationType)),
        };
        let proof = match own {
            Some(proof) => proof,
            // A disabled entry blocks a device of a group too: its own credential there is what it has.
            None if is_disabled => self.judge_group_token(service, id, token).await?.proof,
            None => return Err(Error::token(ReasonCode::TokenSignatureWrong)),
        };
        Ok(Admission::new(Enrolled::Individual(individual), proof))
    }

    async fn judge_group_token(
        &self,
        service: &ProvisioningService,
        id: &RegistrationId,
        token: &SasToken,
    ) -> Result<Admission, Error> {
        let groups = self
            .store
            .symmetric_groups(service.key, MAX_SYMMETRIC_GROUPS + 1)
            .await?;
        let (total, mut disabled) = (groups.len(), None);
        for group in groups.into_iter().take(MAX_SYMMETRIC_GROUPS) {
            let Mechanism::SymmetricKey { primary, secondary } = &group.attestation else {
                continue;
            };
            let Some(proof) = derived_keys(primary, secondary, id, token) else {
                continue;
            };
            let admission = Admission::new(Enrolled::Group(group), proof);
            if admission.disabled.is_none() {
                return Ok(admission);
            }
            disabled.get_or_insert(admission);
        }
        disabled.ok_or_else(|| {
            Error::token(match total {
                0 => ReasonCode::NoEnrollment,
                1..=MAX_SYMMETRIC_GROUPS => ReasonCode::TokenSignatureWrong,
                _ => ReasonCode::TooManyCandidates,
            })
        })
    }
}

/// Says whether the token was made for this registration: `{idScope}/registrations/{registrationId}`, without case.
fn is_for(service: &ProvisioningService, id: &RegistrationId, token: &SasToken) -> bool {
    let mut parts = token.resource.split('/');
    let (Some(scope), Some(fixed), Some(named), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    scope.eq_ignore_ascii_case(service.id_scope.as_str())
        && fixed.eq_ignore_ascii_case("registrations")
        && named.eq_ignore_ascii_case(id.as_str())
}

/// Answers the keys of a device of a group, when one of them signed the token. They depend on the letters of the id: as
/// the device wrote it, else in lower case.
fn derived_keys(
    primary: &SymmetricKey,
    secondary: &SymmetricKey,
    id: &RegistrationId,
    token: &SasToken,
) -> Option<Proof> {
    let spellings = [id.as_str(), id.folded()];
    let count = if id.as_str() == id.folded() { 1 } else { 2 };
    spellings.into_iter().take(count).find_map(|spelling| {
        let (primary, secondary) = (derive(primary, spelling)?, derive(secondary, spelling)?);
        signing_key(&primary, &secondary, token)?;
        Some(Proof::Keys { primary, secondary })
    })
}

/// Derives the key of one device from that of its group. Source: DPS, "Symmetric key attestation", group enrollments,
/// read 2026-11-24.
pub(crate) fn derive(group: &SymmetricKey, registration: &str) -> Option<SymmetricKey> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, group.bytes());
    SymmetricKey::new(hmac::sign(&key, registration.as_bytes()).as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derives_the_key_of_the_published_vector() {
        // Source: DPS, "How to provision devices using symmetric key enrollment groups", read 2026-11-24.
        let group = SymmetricKey::from_base64(
            "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==",
        )
        .unwrap();
        let device = derive(&group, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6").unwrap();
        assert_eq!(
            device.to_base64().as_str(),
            "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="
        );
    }
}
