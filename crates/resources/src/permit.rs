//! Permits: authority as a value. Only the checking code of this crate makes one; verbs take them.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use muster_model::estate::{Hub, ProvisioningService};
use muster_model::{DpsRights, HubRights, PolicyName, ReasonCode, SymmetricKey, TrustVersion, Wall};

use crate::directory::Directory;
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
    /// SHA-256 of the operator's token that was shown.
    pub(crate) operator: Option<[u8; 32]>,
    /// The last moment of the token, skew granted; `None` for the operator's, which does not end by itself.
    pub(crate) valid_until: Option<Wall>,
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

    /// Says whether it would still be given: the hub is there, the token has not ended, and what signed it is still in
    /// force with every right that it gave. Whoever acts on one permit for long asks again and again.
    pub fn stands(&self, directory: &Directory, now: Wall) -> bool {
        let Some(hub) = directory.hub_by_key(self.hub.key) else {
            return false;
        };
        if self.valid_until.is_some_and(|end| now > end) {
            return false;
        }
        match &self.basis {
            Basis::Operator => match (&self.operator, directory.snapshot().operator()) {
                (Some(shown), Some(known)) => verify_slices_are_equal(shown, known).is_ok(),
                _ => false,
            },
            Basis::Policy { name, slot } => {
                let key_of = |hub: &Hub| -> Option<(SymmetricKey, HubRights)> {
                    let policy = hub.policies.iter().find(|policy| policy.name == *name)?;
                    let key = match slot {
                        KeySlot::Primary => &policy.primary,
                        KeySlot::Secondary => &policy.secondary,
                    };
                    Some((key.clone(), policy.rights.effective()))
                };
                match (key_of(&self.hub), key_of(&hub)) {
                    (Some((then, _)), Some((now, rights))) => {
                        rights.contains(self.rights)
                            && verify_slices_are_equal(then.bytes(), now.bytes()).is_ok()
                    }
                    _ => false,
                }
            }
        }
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
