//! Shared access policies as an operator writes them, and those that a new hub or provisioning service gets by itself.

use muster_model::{AccessPolicy, DpsRights, HubRights, PolicyName, Random, Rights, SymmetricKey};

use crate::error::Error;

/// Most policies of one hub or provisioning service. Source: IoT Hub, "Control access", read 2026-11.
pub const MAX_POLICIES: usize = 16;

/// A shared access policy as an operator writes it.
#[derive(Clone, Debug)]
pub struct PolicyDraft<R: Rights> {
    /// Its name.
    pub name: PolicyName,
    /// Its first key; drawn where absent.
    pub primary: Option<SymmetricKey>,
    /// Its second key; drawn where absent.
    pub secondary: Option<SymmetricKey>,
    /// What it permits.
    pub rights: R,
}

/// The policies of a hub that was made without any. Source: IoT Hub, "Control access", read 2026-11.
pub(crate) fn hub_defaults() -> Vec<PolicyDraft<HubRights>> {
    [
        (
            "iothubowner",
            HubRights::REGISTRY_WRITE
                .with(HubRights::SERVICE_CONNECT)
                .with(HubRights::DEVICE_CONNECT),
        ),
        ("service", HubRights::SERVICE_CONNECT),
        ("device", HubRights::DEVICE_CONNECT),
        ("registryRead", HubRights::REGISTRY_READ),
        ("registryReadWrite", HubRights::REGISTRY_WRITE),
    ]
    .into_iter()
    .filter_map(|(name, rights)| draft(name, rights))
    .collect()
}

/// The policies of a provisioning service that was made without any.
pub(crate) fn service_defaults() -> Vec<PolicyDraft<DpsRights>> {
    draft(
        "provisioningserviceowner",
        DpsRights::SERVICE_CONFIG
            .with(DpsRights::DEVICE_CONNECT)
            .with(DpsRights::ENROLLMENT_WRITE),
    )
    .into_iter()
    .collect()
}

fn draft<R: Rights>(name: &str, rights: R) -> Option<PolicyDraft<R>> {
    Some(PolicyDraft {
        name: PolicyName::parse(name).ok()?,
        primary: None,
        secondary: None,
        rights,
    })
}

/// Checks a whole set of policies and draws the keys that are missing.
pub(crate) fn complete<R: Rights>(
    drafts: Vec<PolicyDraft<R>>,
    random: &Random,
) -> Result<Vec<AccessPolicy<R>>, Error> {
    if drafts.len() > MAX_POLICIES {
        return Err(Error::Argument(format!(
            "there are {} shared access policies, and {MAX_POLICIES} are allowed",
            drafts.len()
        )));
    }
    let mut policies: Vec<AccessPolicy<R>> = Vec::with_capacity(drafts.len());
    for draft in drafts {
        if policies.iter().any(|policy| policy.name == draft.name) {
            return Err(Error::Argument(format!(
                "the shared access policy {} stands there twice",
                draft.name
            )));
        }
        let key = |given: Option<SymmetricKey>| {
            given.unwrap_or_else(|| random.draw(|rng| SymmetricKey::generate(rng, SymmetricKey::HUB_LENGTH)))
        };
        policies.push(AccessPolicy {
            name: draft.name,
            primary: key(draft.primary),
            secondary: key(draft.secondary),
            rights: draft.rights,
        });
    }
    Ok(policies)
}
