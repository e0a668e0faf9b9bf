//! Shared access policies: rules as management lists and takes them. Missing keys are drawn by the control plane.

use muster_model::access::{AccessPolicy, Rights};
use muster_model::{PolicyName, SymmetricKey};
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

impl PolicyDocument {
    /// Writes the body.
    pub fn to_json(&self) -> String {
        crate::body::write(self)
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
