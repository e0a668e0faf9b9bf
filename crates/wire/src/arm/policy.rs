//! Shared access policies: rules as management lists and takes them.

use muster_model::access::{AccessPolicy, DpsRights, HubRights, Rights};
use muster_model::{PolicyName, SymmetricKey};
use rand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::List;
use crate::error::Error;
use crate::secret::Secret;

/// Most policies of a hub or a provisioning service. Source: IoT Hub quotas, read 2026-11.
const MAX_POLICIES: usize = 16;

/// A policy with its keys.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyDocument {
    /// Its name.
    pub key_name: String,
    /// The first key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_key: Option<Secret>,
    /// The second key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secondary_key: Option<Secret>,
    /// Its rights, joined by a comma and a blank.
    pub rights: String,
}

impl<R: Rights> From<&AccessPolicy<R>> for PolicyDocument {
    fn from(policy: &AccessPolicy<R>) -> Self {
        Self {
            key_name: policy.name.as_str().to_owned(),
            primary_key: Some(Secret::from(&policy.primary)),
            secondary_key: Some(Secret::from(&policy.secondary)),
            rights: policy.rights.to_string(),
        }
    }
}

/// A policy as a caller wants it; keys that are missing are drawn, which is how one is renewed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyInput<R: Rights> {
    /// Its name.
    pub name: PolicyName,
    /// The first key.
    pub primary: Option<SymmetricKey>,
    /// The second key.
    pub secondary: Option<SymmetricKey>,
    /// What it permits.
    pub rights: R,
}

/// Makes the set of policies to be stored. An absent and an empty list keep what is there; where nothing is, `ready`
/// makes the set of a new resource.
pub fn resolve_policies<R: Rights>(
    wanted: Option<Vec<PolicyInput<R>>>,
    stored: &[AccessPolicy<R>],
    ready: impl FnOnce(&mut dyn Rng) -> Vec<AccessPolicy<R>>,
    rng: &mut dyn Rng,
) -> Vec<AccessPolicy<R>> {
    match wanted {
        Some(wanted) if !wanted.is_empty() => wanted
            .into_iter()
            .map(|policy| AccessPolicy {
                name: policy.name,
                primary: policy
                    .primary
                    .unwrap_or_else(|| SymmetricKey::generate(rng, SymmetricKey::HUB_LENGTH)),
                secondary: policy
                    .secondary
                    .unwrap_or_else(|| SymmetricKey::generate(rng, SymmetricKey::HUB_LENGTH)),
                rights: policy.rights,
            })
            .collect(),
        _ if stored.is_empty() => ready(rng),
        _ => stored.to_vec(),
    }
}

/// Draws the policies of a new hub. Source: IoT Hub, "Control access", read 2026-11.
pub fn default_hub_policies(rng: &mut dyn Rng) -> Vec<AccessPolicy<HubRights>> {
    let owner = HubRights::REGISTRY_WRITE
        .with(HubRights::SERVICE_CONNECT)
        .with(HubRights::DEVICE_CONNECT);
    [
        ("iothubowner", owner),
        ("service", HubRights::SERVICE_CONNECT),
        ("device", HubRights::DEVICE_CONNECT),
        ("registryRead", HubRights::REGISTRY_READ),
        ("registryReadWrite", HubRights::REGISTRY_WRITE),
    ]
    .into_iter()
    .filter_map(|(name, rights)| draw(name, rights, rng))
    .collect()
}

/// Draws the policy of a new provisioning service. Source: DPS, "Control access", read 2026-11.
pub fn default_service_policies(rng: &mut dyn Rng) -> Vec<AccessPolicy<DpsRights>> {
    let owner = DpsRights::SERVICE_CONFIG
        .with(DpsRights::DEVICE_CONNECT)
        .with(DpsRights::ENROLLMENT_WRITE);
    draw("provisioningserviceowner", owner, rng).into_iter().collect()
}

/// Makes the list of policies that `listkeys` answers.
pub fn key_list<R: Rights>(policies: &[AccessPolicy<R>]) -> List<PolicyDocument> {
    policies
        .iter()
        .map(PolicyDocument::from)
        .collect::<Vec<_>>()
        .into()
}

/// Reads `properties.authorizationPolicies`.
pub(super) fn parse_policies<R: Rights>(
    value: Option<Value>,
    rights: fn(&str) -> Option<R>,
) -> Result<Option<Vec<PolicyInput<R>>>, Error> {
    let path = "properties.authorizationPolicies";
    let items: Vec<PolicyDocument> = match value {
        None | Some(Value::Null) => return Ok(None),
        // The text of the error could quote a key; the path is enough.
        Some(value) => serde_json::from_value(value).map_err(|_| Error::Type(path.to_owned()))?,
    };
    if items.len() > MAX_POLICIES {
        return Err(Error::TooMany {
            path: path.to_owned(),
            limit: MAX_POLICIES,
        });
    }
    let mut policies: Vec<PolicyInput<R>> = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let name = PolicyName::parse(&item.key_name)
            .map_err(|invalid| Error::id(format!("{path}.keyName"), &invalid))?;
        if policies.iter().any(|other| other.name == name) {
            return Err(Error::Twice(format!("the policy {name}")));
        }
        policies.push(PolicyInput {
            name,
            primary: Secret::optional_key(item.primary_key.as_ref(), &format!("{path}.primaryKey"))?,
            secondary: Secret::optional_key(item.secondary_key.as_ref(), &format!("{path}.secondaryKey"))?,
            rights: rights(&item.rights).ok_or_else(|| {
                Error::field(
                    format!("{path}.rights"),
                    "must be names of rights joined by commas",
                )
            })?,
        });
    }
    Ok(Some(policies))
}

fn draw<R: Rights>(name: &str, rights: R, rng: &mut dyn Rng) -> Option<AccessPolicy<R>> {
    Some(AccessPolicy {
        name: PolicyName::parse(name).ok()?,
        primary: SymmetricKey::generate(rng, SymmetricKey::HUB_LENGTH),
        secondary: SymmetricKey::generate(rng, SymmetricKey::HUB_LENGTH),
        rights,
    })
}
