//! What stands around hubs and provisioning services: subscriptions, tenants, groups, providers, names, sizes.

use muster_model::estate::{ConsumerGroup, ResourceGroup};
use muster_model::{ConsumerGroupName, HubName, Json, Location, ResourceGroupName, SubscriptionId, Wall};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{ARM_BODY, Scope, take_location, take_tags};
use crate::error::Error;
use crate::{body, time};

/// Where resources may be said to be; any other place is taken as well.
const LOCATIONS: &[(&str, &str)] = &[
    ("westus", "West US"),
    ("eastus", "East US"),
    ("westeurope", "West Europe"),
    ("northeurope", "North Europe"),
    ("southeastasia", "Southeast Asia"),
];

/// Versions of management that clients are known to send.
const API_VERSIONS: &[&str] = &["2023-06-30", "2022-02-05", "2021-10-15", "2021-07-02"];

/// Whether a name can be taken.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NameAvailability {
    /// Whether it can.
    pub name_available: bool,
    /// `AlreadyExists` or `Invalid`; the latter also when it is available.
    pub reason: String,
    /// One sentence; it is printed when the name is not available.
    pub message: String,
}

impl NameAvailability {
    /// Writes the body.
    pub fn to_json(&self) -> String {
        body::write(self)
    }
}

/// Answers whether a name can be taken: `well_formed` by its grammar, `taken` by somebody.
pub fn check_name(name: &str, well_formed: Result<(), &str>, taken: bool) -> NameAvailability {
    let (name_available, reason, message) = match (well_formed, taken) {
        (Err(rule), _) => (false, "Invalid", format!("The name must be {rule}.")),
        (Ok(()), true) => (
            false,
            "AlreadyExists",
            format!("The name '{name}' is not available."),
        ),
        (Ok(()), false) => (true, "Invalid", String::new()),
    };
    NameAvailability {
        name_available,
        reason: reason.to_owned(),
        message,
    }
}

/// Reads the body of a question for a name.
///
/// # Errors
/// [`Error::Json`], [`Error::Type`], [`Error::Missing`].
pub fn parse_name(body: &[u8]) -> Result<String, Error> {
    #[derive(Deserialize)]
    #[serde(default)]
    #[derive(Default)]
    struct Question {
        name: Option<String>,
    }

    let question: Question = body::read(body, ARM_BODY)?;
    let name = question.name.ok_or_else(|| Error::Missing("name".into()))?;
    Ok(name.chars().take(256).collect())
}

/// Shows a resource group.
pub fn group(group: &ResourceGroup, scope: Scope<'_>) -> Value {
    json!({
        "id": scope.group_id(&group.name),
        "name": group.name.as_str(),
        "type": "Microsoft.Resources/resourceGroups",
        "location": group.location.as_str(),
        "tags": group.tags.value(),
        "properties": {"provisioningState": "Succeeded"},
    })
}

/// Shows resource groups.
pub fn group_list<'a>(groups: impl IntoIterator<Item = &'a ResourceGroup>, scope: Scope<'_>) -> Value {
    let groups: Vec<Value> = groups.into_iter().map(|one| group(one, scope)).collect();
    json!({"value": groups})
}

/// Reads the body of a `PUT` of a resource group.
///
/// # Errors
/// [`Error::Json`], [`Error::Type`], [`Error::Field`]; [`Error::Missing`] without a location.
pub fn parse_group(body: &[u8], name: &ResourceGroupName) -> Result<ResourceGroup, Error> {
    let mut document: Map<String, Value> = body::read(body, ARM_BODY)?;
    let location: Option<Location> = take_location(&mut document)?;
    let tags = take_tags(&mut document)?.unwrap_or_else(Json::empty_object);
    Ok(ResourceGroup {
        name: name.clone(),
        location: location.ok_or_else(|| Error::Missing("location".into()))?,
        tags,
    })
}

/// Shows the one subscription.
pub fn subscription(subscription: &SubscriptionId, tenant: &str) -> Value {
    let id = subscription.folded();
    json!({
        "id": format!("/subscriptions/{id}"),
        "subscriptionId": id,
        "tenantId": tenant,
        "displayName": "Muster",
        "state": "Enabled",
    })
}

/// Shows the one tenant.
pub fn tenant(tenant: &str, domain: &crate::host::Domain) -> Value {
    json!({
        "id": format!("/tenants/{tenant}"),
        "tenantId": tenant,
        "displayName": "Muster",
        "defaultDomain": domain.as_str(),
    })
}

/// Shows what `az cloud register` asks for. Versions before 2022 read a list. `base` is the address of this server.
pub fn metadata(base: &str, as_list: bool) -> Value {
    let one = json!({
        "name": "Muster",
        "resourceManager": base,
        "authentication": {"loginEndpoint": format!("{base}/adfs"), "audiences": [base]},
        "suffixes": {},
    });
    if as_list { json!([one]) } else { one }
}

/// Shows places.
pub fn locations(subscription: &SubscriptionId) -> Value {
    let places: Vec<Value> = LOCATIONS
        .iter()
        .map(|(name, display)| {
            json!({
                "id": format!("/subscriptions/{}/locations/{name}", subscription.folded()),
                "name": name,
                "displayName": display,
                "regionalDisplayName": display,
                "metadata": {"regionType": "Physical"},
            })
        })
        .collect();
    json!({"value": places})
}

/// Shows the one resource provider.
pub fn provider(subscription: &SubscriptionId) -> Value {
    let places: Vec<&str> = LOCATIONS.iter().map(|(_, display)| *display).collect();
    let types: Vec<Value> = [
        "IotHubs",
        "IotHubs/Certificates",
        "IotHubs/eventHubEndpoints/ConsumerGroups",
        "ProvisioningServices",
        "ProvisioningServices/Certificates",
        "checkNameAvailability",
        "checkProvisioningServiceNameAvailability",
        "operationResults",
    ]
    .iter()
    .map(|name| json!({"resourceType": name, "locations": places, "apiVersions": API_VERSIONS}))
    .collect();
    json!({
        "id": format!("/subscriptions/{}/providers/Microsoft.Devices", subscription.folded()),
        "namespace": "Microsoft.Devices",
        "registrationState": "Registered",
        "registrationPolicy": "RegistrationRequired",
        "resourceTypes": types,
    })
}

/// Shows a consumer group of a hub.
pub fn consumer_group(
    one: &ConsumerGroup,
    hub: &HubName,
    group: &ResourceGroupName,
    scope: Scope<'_>,
) -> Value {
    json!({
        "id": scope.consumer_group_id(group, hub, &one.name),
        "name": one.name.as_str(),
        "type": "Microsoft.Devices/IotHubs/EventHubEndpoints/ConsumerGroups",
        "etag": null,
        "properties": {"created": time::rfc1123(one.created), "name": one.name.as_str()},
    })
}

/// Shows the consumer groups of a hub, `$Default` first, which is always there.
pub fn consumer_group_list(
    groups: &[ConsumerGroup],
    hub_created: Wall,
    hub: &HubName,
    group: &ResourceGroupName,
    scope: Scope<'_>,
) -> Value {
    let default = ConsumerGroupName::parse("$Default")
        .ok()
        .map(|name| ConsumerGroup {
            name,
            created: hub_created,
        });
    let shown: Vec<Value> = default
        .iter()
        .chain(groups)
        .map(|one| consumer_group(one, hub, group, scope))
        .collect();
    json!({"value": shown})
}

/// Shows what a hub's quota counts. `messages` of this day, `devices` in its registry.
pub fn hub_quota(messages: u64, devices: u64) -> Value {
    json!({"value": [
        {"name": "TotalMessages", "currentValue": messages, "maxValue": 400_000},
        {"name": "TotalDeviceCount", "currentValue": devices, "maxValue": 1_000_000},
    ]})
}

/// Shows the sizes that a hub can have.
pub fn hub_skus() -> Value {
    let sizes: Vec<Value> = [
        ("F1", "Free", 1),
        ("B1", "Basic", 200),
        ("B2", "Basic", 200),
        ("B3", "Basic", 10),
        ("S1", "Standard", 200),
        ("S2", "Standard", 200),
        ("S3", "Standard", 10),
    ]
    .iter()
    .map(|(name, tier, most)| {
        json!({
            "resourceType": "Microsoft.Devices/IotHubs",
            "sku": {"name": name, "tier": tier},
            "capacity": {"minimum": 1, "maximum": most, "default": 1, "scaleType": "Manual"},
        })
    })
    .collect();
    json!({"value": sizes})
}

/// Shows the sizes that a provisioning service can have.
pub fn service_skus() -> Value {
    json!({"value": [{"name": "S1"}]})
}
