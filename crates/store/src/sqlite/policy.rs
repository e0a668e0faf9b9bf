//! The stored form of shared access policies, inside the documents of hubs and provisioning services.

use muster_model::access::{AccessPolicy, DpsRights, HubRights, Rights};
use muster_model::{PolicyName, SymmetricKey};
use serde::{Deserialize, Serialize};

use crate::fault::{Fault, checked, present};
use crate::seal::{Place, Sealed, Sealer};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PolicyRow {
    name: String,
    primary: Sealed,
    secondary: Sealed,
    rights: u8,
}

/// Rights that are stored as bits.
pub(crate) trait StoredRights: Rights {
    fn to_bits(self) -> u8;
    fn from_stored(bits: u8) -> Self;
}

impl StoredRights for HubRights {
    fn to_bits(self) -> u8 {
        self.bits()
    }

    fn from_stored(bits: u8) -> Self {
        Self::from_bits(bits)
    }
}

impl StoredRights for DpsRights {
    fn to_bits(self) -> u8 {
        self.bits()
    }

    fn from_stored(bits: u8) -> Self {
        Self::from_bits(bits)
    }
}

pub(crate) fn to_rows<R: StoredRights>(
    table: &'static str,
    owner: u64,
    policies: &[AccessPolicy<R>],
    sealer: &Sealer,
) -> Result<Vec<PolicyRow>, Fault> {
    let owner = owner.to_string();
    policies
        .iter()
        .map(|policy| {
            let row = |which| [owner.as_str(), "policy", policy.name.folded(), which];
            let seal = |which, key: &SymmetricKey| {
                let place = Place {
                    table,
                    column: "document",
                    row: &row(which),
                };
                sealer.seal(place, key.bytes())
            };
            Ok(PolicyRow {
                name: policy.name.as_str().to_owned(),
                primary: seal("primary", &policy.primary)?,
                secondary: seal("secondary", &policy.secondary)?,
                rights: policy.rights.to_bits(),
            })
        })
        .collect()
}

pub(crate) fn from_rows<R: StoredRights>(
    table: &'static str,
    owner: u64,
    rows: Vec<PolicyRow>,
    sealer: &Sealer,
) -> Result<Vec<AccessPolicy<R>>, Fault> {
    let owner = owner.to_string();
    rows.into_iter()
        .map(|policy| {
            let name = checked(table, "document", PolicyName::parse(&policy.name))?;
            let row = |which| [owner.as_str(), "policy", name.folded(), which];
            let open = |which, sealed: &Sealed| {
                let place = Place {
                    table,
                    column: "document",
                    row: &row(which),
                };
                let bytes = sealer.open(place, sealed)?;
                present(
                    table,
                    "document",
                    SymmetricKey::new(bytes),
                    "a key has 16 to 64 bytes",
                )
            };
            Ok(AccessPolicy {
                primary: open("primary", &policy.primary)?,
                secondary: open("secondary", &policy.secondary)?,
                rights: R::from_stored(policy.rights),
                name: name.clone(),
            })
        })
        .collect()
}
