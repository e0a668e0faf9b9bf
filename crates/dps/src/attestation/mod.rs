//! Who a device is, and which enrollment admits it.
//!
//! The individual enrollment of the registration id decides alone where there is one; only where there is none are groups
//! asked. Nothing is written here, and a stranger learns nothing but that he is refused. The same code explains a
//! refusal: then it is given a [`Trace`] to fill.

mod anchors;
mod cache;
mod path;
#[cfg(test)]
mod properties;
mod sas;
#[cfg(test)]
mod tests;
mod trace;
mod x509;

use std::sync::Arc;
use std::time::Duration;

use muster_model::dps::{
    AttestationKind, EnrollmentGroup, EnrollmentTerms, IndividualEnrollment, ProvisioningStatus,
};
use muster_model::identity::EnrollmentRef;
use muster_model::{EnrollmentGroupId, ReasonCode, SymmetricKey, Wall};
use muster_pki::{Certificate, Sha256};
use muster_resources::Directory;

use crate::attempt::Attempt;
use crate::error::Error;
use crate::ports::Store;
use crate::registrar::Config;

pub(crate) use cache::Cache;
#[cfg(test)]
pub(crate) use sas::derive;
pub(crate) use trace::{Note, Trace};

/// The enrollment that a device came by.
#[derive(Clone, Debug)]
pub(crate) enum Enrolled {
    Group(EnrollmentGroup),
    Individual(IndividualEnrollment),
}

impl Enrolled {
    pub(crate) fn terms(&self) -> &EnrollmentTerms {
        match self {
            Self::Group(group) => &group.terms,
            Self::Individual(individual) => &individual.terms,
        }
    }

    pub(crate) fn group(&self) -> Option<&EnrollmentGroupId> {
        match self {
            Self::Group(group) => Some(&group.id),
            Self::Individual(_) => None,
        }
    }

    pub(crate) fn reference(&self) -> EnrollmentRef {
        match self {
            Self::Group(group) => EnrollmentRef::Group(group.id.clone()),
            Self::Individual(individual) => EnrollmentRef::Individual(individual.id.clone()),
        }
    }

    /// The code for a device that was authenticated and may not register.
    fn disabled(&self) -> Option<ReasonCode> {
        (self.terms().status == ProvisioningStatus::Disabled).then_some(match self {
            Self::Group(_) => ReasonCode::GroupDisabled,
            Self::Individual(_) => ReasonCode::EnrollmentDisabled,
        })
    }
}

/// What a device proved.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// That it holds this leaf's key.
    Certificate {
        leaf: Certificate,
        /// SHA-256 of each certificate of the path that counted, leaf first.
        path: Vec<Sha256>,
    },
    /// That it holds one of these keys, which are its own: a group's are derived already.
    Keys {
        primary: SymmetricKey,
        secondary: SymmetricKey,
    },
}

impl Proof {
    pub(crate) fn kind(&self) -> AttestationKind {
        match self {
            Self::Certificate { .. } => AttestationKind::X509,
            Self::Keys { .. } => AttestationKind::SymmetricKey,
        }
    }

    pub(crate) fn chain(&self) -> Vec<Sha256> {
        match self {
            Self::Certificate { path, .. } => path.clone(),
            Self::Keys { .. } => Vec::new(),
        }
    }
}

/// An authenticated device.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    pub(crate) enrolled: Enrolled,
    pub(crate) proof: Proof,
    /// Set when the enrollment is disabled: the device is told so, and nothing else.
    pub(crate) disabled: Option<ReasonCode>,
}

impl Admission {
    fn new(enrolled: Enrolled, proof: Proof) -> Self {
        let disabled = enrolled.disabled();
        Self {
            enrolled,
            proof,
            disabled,
        }
    }
}

/// Authenticates devices.
pub(crate) struct Attestation {
    store: Arc<dyn Store>,
    directory: Arc<Directory>,
    cache: Cache,
    skew: Duration,
}

impl Attestation {
    pub(crate) fn new(store: Arc<dyn Store>, directory: Arc<Directory>, config: Config) -> Self {
        Self {
            store,
            directory,
            cache: Cache::new(config.cached_paths),
            skew: config.skew,
        }
    }

    /// Finds out whether the device is who it says, and which enrollment admits it.
    ///
    /// # Errors
    /// [`Error::Refused`] with the rule that failed; [`Error::Store`].
    pub(crate) async fn judge(
        &self,
        attempt: &Attempt,
        trace: Option<&mut Trace>,
        now: Wall,
    ) -> Result<Admission, Error> {
        let credential = &attempt.credential;
        if let Some(token) = &credential.token {
            return self.judge_token(&attempt.service, &attempt.id, token, now).await;
        }
        if let Some(chain) = &credential.chain {
            return self
                .judge_chain(&attempt.service, &attempt.id, chain, trace, now)
                .await;
        }
        Err(Error::token(if credential.tpm {
            ReasonCode::TpmUnsupported
        } else {
            ReasonCode::NoCredential
        }))
    }
}
