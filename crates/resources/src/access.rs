//! Who may call management, a hub's service endpoints and a provisioning service's: the only place that makes the
//! permits of this crate.
//!
//! Devices are judged elsewhere (`hub::Authenticator`, `dps`); they come here only for tokens that a hub's or service's
//! policy signed. Secrets are compared in constant time.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use muster_model::estate::{Hub, ProvisioningService};
use muster_model::{AccessPolicy, DpsRights, HubRights, ReasonCode, Rights, SasToken, Wall};
use muster_pki::Sha256;

use crate::directory::Directory;
use crate::error::{Error, Plane};
use crate::permit::{Basis, DpsPermit, HubPermit, OperatorPermit};
use crate::sas::{self, Audience, Case, KeySlot};

/// Settings of [`Access`].
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How far past its expiry a SAS token is still taken; five minutes by default.
    pub skew: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            skew: sas::DEFAULT_SKEW,
        }
    }
}

/// What a caller showed for himself.
#[derive(Clone, Copy, Debug)]
pub enum Credential<'a> {
    /// A bearer token.
    Bearer(&'a str),
    /// Nothing.
    Nothing,
    /// A SAS token.
    Sas(&'a SasToken),
}

/// Decides who may call.
pub struct Access {
    directory: Arc<Directory>,
    config: Config,
}

impl Access {
    /// Makes the judge that asks `directory`.
    pub const fn new(directory: Arc<Directory>, config: Config) -> Self {
        Self { directory, config }
    }

    /// How far past its expiry a SAS token is still taken.
    pub const fn skew(&self) -> Duration {
        self.config.skew
    }

    /// Judges a caller of the management plane.
    ///
    /// # Errors
    /// [`Error::Refused`] with [`ReasonCode::NoCredential`] or [`ReasonCode::OperatorTokenWrong`].
    pub fn operator(&self, credential: Credential<'_>) -> Result<OperatorPermit, Error> {
        match credential {
            Credential::Bearer(token) => self.bearer(token),
            Credential::Nothing | Credential::Sas(_) => Err(ReasonCode::NoCredential),
        }
        .map_err(|reason| Error::Refused {
            plane: Plane::Management,
            reason,
        })
    }

    /// Judges a caller of a hub: a token of one of its policies, or the operator's. Which right a verb needs is asked
    /// by the verb.
    ///
    /// # Errors
    /// [`Error::Refused`] with the rule that failed.
    pub fn hub(
        &self,
        hub: &Arc<Hub>,
        credential: Credential<'_>,
        audience: Audience<'_>,
        now: Wall,
    ) -> Result<HubPermit, Error> {
        let (operator, valid_until) = match credential {
            Credential::Bearer(token) => (Some(Sha256::of(token.as_bytes()).0), None),
            Credential::Nothing => (None, None),
            Credential::Sas(token) => (None, Some(token.expiry.plus(self.config.skew))),
        };
        self.caller(credential, &hub.policies, audience, Case::Matters, now)
            .map(|(rights, basis)| HubPermit {
                hub: Arc::clone(hub),
                rights: rights.map_or_else(every_hub_right, HubRights::effective),
                basis,
                version: self.directory.trust_version(),
                operator,
                valid_until,
            })
            .map_err(|reason| Error::Refused {
                plane: Plane::Hub,
                reason,
            })
    }

    /// Judges a caller of a provisioning service as [`Access::hub`] does for a hub.
    ///
    /// # Errors
    /// [`Error::Refused`] with the rule that failed.
    pub fn service(
        &self,
        service: &Arc<ProvisioningService>,
        credential: Credential<'_>,
        audience: Audience<'_>,
        now: Wall,
    ) -> Result<DpsPermit, Error> {
        self.caller(credential, &service.policies, audience, Case::Folded, now)
            .map(|(rights, basis)| DpsPermit {
                service: Arc::clone(service),
                rights: rights.map_or_else(every_dps_right, DpsRights::effective),
                basis,
                version: self.directory.trust_version(),
            })
            .map_err(|reason| Error::Refused {
                plane: Plane::Dps,
                reason,
            })
    }

    fn bearer(&self, token: &str) -> Result<OperatorPermit, ReasonCode> {
        let snapshot = self.directory.snapshot();
        let Sha256(shown) = Sha256::of(token.as_bytes());
        match snapshot.operator() {
            Some(known) if verify_slices_are_equal(known, &shown).is_ok() => Ok(OperatorPermit {
                version: snapshot.version(),
            }),
            _ => Err(ReasonCode::OperatorTokenWrong),
        }
    }

    /// `None` for the rights of the operator, who has all of them.
    fn caller<R: Rights>(
        &self,
        credential: Credential<'_>,
        policies: &[AccessPolicy<R>],
        audience: Audience<'_>,
        case: Case,
        now: Wall,
    ) -> Result<(Option<R>, Basis), ReasonCode> {
        match credential {
            Credential::Bearer(token) => self.bearer(token).map(|_| (None, Basis::Operator)),
            Credential::Nothing => Err(ReasonCode::NoCredential),
            Credential::Sas(token) => {
                let (policy, slot) =
                    judge_policy_token(policies, token, audience, case, self.config.skew, now)?;
                let basis = Basis::Policy {
                    name: policy.name.clone(),
                    slot,
                };
                Ok((Some(policy.rights), basis))
            }
        }
    }
}

/// Judges a token that names a policy: the policy, what the token was made for, its signature, its expiry, in this
/// order, so that whoever cannot sign learns nothing about time.
///
/// # Errors
/// The rule that failed.
pub fn judge_policy_token<'p, R: Rights>(
    policies: &'p [AccessPolicy<R>],
    token: &SasToken,
    audience: Audience<'_>,
    case: Case,
    skew: Duration,
    now: Wall,
) -> Result<(&'p AccessPolicy<R>, KeySlot), ReasonCode> {
    let wanted = token.policy.as_deref().unwrap_or_default();
    let policy = policies
        .iter()
        .find(|policy| policy.name.as_str().eq_ignore_ascii_case(wanted))
        .ok_or(ReasonCode::PolicyUnknown)?;
    if !audience.is_covered_by(&token.resource, case) {
        return Err(ReasonCode::AudienceWrong);
    }
    let slot =
        sas::signing_key(&policy.primary, &policy.secondary, token).ok_or(ReasonCode::TokenSignatureWrong)?;
    if sas::is_expired(token, skew, now) {
        return Err(ReasonCode::TokenExpired);
    }
    Ok((policy, slot))
}

fn every_hub_right() -> HubRights {
    HubRights::NAMED
        .iter()
        .fold(HubRights::none(), |all, (right, _)| all.with(*right))
}

fn every_dps_right() -> DpsRights {
    DpsRights::NAMED
        .iter()
        .fold(DpsRights::none(), |all, (right, _)| all.with(*right))
}
