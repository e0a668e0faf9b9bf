//! Permits: authority as a value. Only the checking code of this crate makes one; verbs take them.

use std::sync::Arc;

use muster_model::estate::{Hub, ProvisioningService};
use muster_model::{DpsRights, HubRights, PolicyName, ReasonCode, TrustVersion};

use crate::error::{Error, Plane};
use crate::sas::KeySlot;

/// What a permit rests on, so that a revocation finds it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Basis {
    /// The operator's token.
    Operator,
    /// A key of a shared access policy.
    Policy {
        /// The policy.
        name: PolicyName,
        /// Which of its keys.
        slot: KeySlot,
    },
}

/// The operator: may do everything on the control plane.
#[derive(Clone, Debug)]
pub struct OperatorPermit {
    pub(crate) version: TrustVersion,
}

impl OperatorPermit {
    /// The trust version by which it was given.
    pub const fn trust_version(&self) -> TrustVersion {
        self.version
    }
}

/// A caller of one hub.
#[derive(Clone, Debug)]
pub struct HubPermit {
    pub(crate) hub: Arc<Hub>,
    pub(crate) rights: HubRights,
    pub(crate) basis: Basis,
    pub(crate) version: TrustVersion,
}

impl HubPermit {
    /// The hub that it holds for.
    pub const fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// What it permits, implied rights included.
    pub const fn rights(&self) -> HubRights {
        self.rights
    }

    /// What it rests on.
    pub const fn basis(&self) -> &Basis {
        &self.basis
    }

    /// The trust version by which it was given.
    pub const fn trust_version(&self) -> TrustVersion {
        self.version
    }

    /// Demands rights.
    ///
    /// # Errors
    /// [`Error::Refused`] with [`ReasonCode::PolicyLacksRight`] when one is missing.
    pub fn require(&self, rights: HubRights) -> Result<(), Error> {
        if self.rights.contains(rights) {
            Ok(())
        } else {
            Err(Error::Refused {
                plane: Plane::Hub,
                reason: ReasonCode::PolicyLacksRight,
            })
        }
    }
}

/// A caller of one provisioning service.
#[derive(Clone, Debug)]
pub struct DpsPermit {
    pub(crate) service: Arc<ProvisioningService>,
    pub(crate) rights: DpsRights,
    pub(crate) basis: Basis,
    pub(crate) version: TrustVersion,
}

impl DpsPermit {
    /// The service that it holds for.
    pub const fn service(&self) -> &Arc<ProvisioningService> {
        &self.service
    }

    /// What it permits, implied rights included.
    pub const fn rights(&self) -> DpsRights {
        self.rights
    }

    /// What it rests on.
    pub const fn basis(&self) -> &Basis {
        &self.basis
    }

    /// The trust version by which it was given.
    pub const fn trust_version(&self) -> TrustVersion {
        self.version
    }

    /// Demands rights.
    ///
    /// # Errors
    /// [`Error::Refused`] with [`ReasonCode::PolicyLacksRight`] when one is missing.
    pub fn require(&self, rights: DpsRights) -> Result<(), Error> {
        if self.rights.contains(rights) {
            Ok(())
        } else {
            Err(Error::Refused {
                plane: Plane::Dps,
                reason: ReasonCode::PolicyLacksRight,
            })
        }
    }
}
