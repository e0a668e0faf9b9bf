//! The document of a hub.

use muster_model::access::HubRights;
use muster_model::estate::Hub;
use muster_model::{Json, Location, PartitionCount};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::policy::{PolicyInput, parse_policies};
use super::{
    ARM_BODY, PolicyDocument, Scope, number, overlay, refuse_unheld, sku, switch, take_location, take_object,
    take_tags,
};
use crate::error::Error;
use crate::{body, etag, time};

/// Longest retention in days that is taken. Azure's own bound is 7; a server of one's own may keep more.
const MAX_RETENTION_DAYS: u64 = 3650;

/// A hub as a caller wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct HubInput {
    /// Where it is said to be; that of its group where absent.
    pub location: Option<Location>,
    /// The caller's tags, where the document has the member.
    pub tags: Option<Json>,
    /// Partitions, where the caller names a number; it counts only when the hub is made.
    pub partitions: Option<PartitionCount>,
    /// Days for which events are kept, where the caller names a number.
    pub retention_days: Option<u16>,
    /// Bytes of events kept at most (`retentionSizeInBytes`, a member of ours): `Some(None)` lifts the bound.
    pub retention_bytes: Option<Option<u64>>,
    /// Whether devices may not use tokens, where the caller says so.
    pub disable_device_sas: Option<bool>,
    /// The rest of the document.
    pub document: Json,
    /// Policies; `None` and an empty list keep what is there.
    pub policies: Option<Vec<PolicyInput<HubRights>>>,
}

impl HubInput {
    /// Reads the body of a `PUT`. Members that only the server sets are dropped.
    ///
    /// # Errors
    /// [`Error::Json`], [`Error::Type`], [`Error::Field`], [`Error::Unsupported`].
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let mut document: Map<String, Value> = body::read(body, ARM_BODY)?;
        for name in [
            "id",
            "name",
            "type",
            "etag",
            "resourcegroup",
            "subscriptionid",
            "systemData",
        ] {
            document.remove(name);
        }
        let location = take_location(&mut document)?;
        let tags = take_tags(&mut document)?;
        let mut properties = take_object(&mut document, "properties", "properties")?;
        refuse_unheld(&properties)?;
        refuse_routes(&properties)?;
        for name in ["state", "provisioningState", "hostName", "locations"] {
            properties.remove(name);
        }
        let path = "properties.eventHubEndpoints";
        let mut endpoints = take_object(&mut properties, "eventHubEndpoints", path)?;
        let mut events = take_object(&mut endpoints, "events", "properties.eventHubEndpoints.events")?;
        let partitions = number(
            events.remove("partitionCount"),
            &format!("{path}.events.partitionCount"),
        )?
        .map(|count| {
            u16::try_from(count)
                .ok()
                .and_then(PartitionCount::new)
                .ok_or_else(|| Error::field(format!("{path}.events.partitionCount"), "must be 1 to 128"))
        })
        .transpose()?;
        let days = format!("{path}.events.retentionTimeInDays");
        let retention_days = number(events.remove("retentionTimeInDays"), &days)?
            .map(|count| {
                u16::try_from(count)
                    .ok()
                    .filter(|_| (1..=MAX_RETENTION_DAYS).contains(&count))
                    .ok_or_else(|| Error::field(days, "must be 1 to 3650"))
            })
            .transpose()?;
        let bytes = events.remove("retentionSizeInBytes");
        let retention_bytes = match &bytes {
            None => None,
            Some(_) => Some(number(bytes, &format!("{path}.events.retentionSizeInBytes"))?),
        };
        let disable_device_sas = switch(
            properties.remove("disableDeviceSAS").as_ref(),
            "properties.disableDeviceSAS",
        )?;
        let policies = parse_policies(properties.remove("authorizationPolicies"), HubRights::parse)?;
        document.insert("properties".into(), Value::Object(properties));
        Ok(Self {
            location,
            tags,
            partitions,
            retention_days,
            retention_bytes,
            disable_device_sas,
            document: Json::from_value(&Value::Object(document)),
            policies,
        })
    }
}

/// Shows a hub. Its policies are shown only in the answer to a `PUT` that named some: `with_policies`.
pub fn hub(hub: &Hub, scope: Scope<'_>, with_policies: bool) -> Value {
    let host = scope.domain.hub(&hub.name);
    let written = hub.document.value();
    let written = written.as_object().cloned().unwrap_or_default();
    let mut properties = defaults(&hub.location);
    if let Some(value) = written.get("properties") {
        overlay(&mut properties, value);
    }
    let partition_ids: Vec<String> = hub.partitions.partitions().map(|p| p.to_string()).collect();
    let mut events = json!({
        "retentionTimeInDays": hub.retention_days,
        "partitionCount": hub.partitions.get(),
        "partitionIds": partition_ids,
        "path": hub.name.folded(),
        "endpoint": format!("sb://{host}/"),
    });
    if let (Some(bytes), Value::Object(events)) = (hub.retention_bytes, &mut events) {
        events.insert("retentionSizeInBytes".into(), bytes.into());
    }
    overlay(
        &mut properties,
        &json!({
            "state": "Active",
            "provisioningState": "Succeeded",
            "hostName": host,
            "eventHubEndpoints": {"events": events},
            "disableDeviceSAS": hub.disable_device_sas,
        }),
    );
    if with_policies && let Value::Object(properties) = &mut properties {
        let policies: Vec<PolicyDocument> = hub.policies.iter().map(PolicyDocument::from).collect();
        properties.insert("authorizationPolicies".into(), json!(policies));
    }
    let mut shown = json!({
        "id": scope.hub_id(&hub.group, &hub.name),
        "name": hub.name.as_str(),
        "type": "Microsoft.Devices/IotHubs",
        "location": hub.location.as_str(),
        "tags": hub.tags.value(),
        "etag": etag::arm(hub.etag),
        "resourcegroup": hub.group.as_str(),
        "subscriptionid": scope.subscription.folded(),
        "sku": sku(&written),
        "identity": {"type": "None"},
        "systemData": {"createdAt": time::iso(hub.created)},
        "properties": properties,
    });
    if let Value::Object(shown) = &mut shown {
        for (name, value) in &written {
            // An identity is the caller's to set; the other members that are shown already are the server's.
            if !value.is_null() && (name == "identity" || !shown.contains_key(name)) {
                shown.insert(name.clone(), value.clone());
            }
        }
    }
    shown
}

/// Writes the body with which a client makes a hub.
pub fn hub_request(
    location: &Location,
    partitions: Option<PartitionCount>,
    retention_days: Option<u16>,
) -> String {
    let mut events = Map::new();
    if let Some(days) = retention_days {
        events.insert("retentionTimeInDays".into(), days.into());
    }
    if let Some(partitions) = partitions {
        events.insert("partitionCount".into(), partitions.get().into());
    }
    json!({
        "location": location.as_str(),
        "sku": {"name": "S1", "capacity": 1},
        "properties": {"eventHubEndpoints": {"events": events}},
    })
    .to_string()
}

/// What a client needs of a hub's document.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct HubSummary {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where it is said to be.
    pub location: String,
    /// Its version.
    pub etag: String,
    /// The group that it stands in.
    pub resourcegroup: String,
    /// The rest.
    pub properties: HubSummaryProperties,
}

/// What a client needs of a hub's properties.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HubSummaryProperties {
    /// The full host name.
    pub host_name: String,
    /// `Active` when it serves.
    pub state: String,
    /// Its built-in endpoint.
    pub event_hub_endpoints: HubSummaryEndpoints,
}

/// The built-in endpoint.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct HubSummaryEndpoints {
    /// The one there is.
    pub events: HubSummaryEvents,
}

/// What a client needs of the built-in endpoint.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HubSummaryEvents {
    /// Its partitions.
    pub partition_ids: Vec<String>,
    /// The name that clients of Event Hubs take.
    pub path: String,
    /// The address that clients of Event Hubs take.
    pub endpoint: String,
    /// Days for which events are kept.
    pub retention_time_in_days: u32,
}

/// What a hub has where its document says nothing.
fn defaults(location: &Location) -> Value {
    json!({
        "locations": [{"location": location.as_str(), "role": "primary"}],
        "routing": {
            "endpoints": {
                "serviceBusQueues": [], "serviceBusTopics": [], "eventHubs": [],
                "storageContainers": [], "cosmosDBSqlContainers": []
            },
            "routes": [],
            "enrichments": [],
            "fallbackRoute": {
                "name": "$fallback", "source": "DeviceMessages", "condition": "true",
                "endpointNames": ["events"], "isEnabled": true
            }
        },
        "storageEndpoints": {
            "$default": {"sasTtlAsIso8601": "PT1H", "connectionString": "", "containerName": ""}
        },
        "messagingEndpoints": {
            "fileNotifications": {"lockDurationAsIso8601": "PT1M", "ttlAsIso8601": "PT1H", "maxDeliveryCount": 10}
        },
        "enableFileUploadNotifications": false,
        "cloudToDevice": {
            "maxDeliveryCount": 10,
            "defaultTtlAsIso8601": "PT1H",
            "feedback": {"lockDurationAsIso8601": "PT1M", "ttlAsIso8601": "PT1H", "maxDeliveryCount": 10}
        },
        "ipFilterRules": [],
        "features": "None",
        "minTlsVersion": "1.2",
        "disableLocalAuth": false,
        "disableModuleSAS": false,
        "publicNetworkAccess": "Enabled",
        "enableDataResidency": false,
        "rootCertificate": {"enableRootCertificateV2": true}
    })
}

/// Refuses routes, for every message goes to the built-in endpoint; the fallback route says the same and is taken.
fn refuse_routes(properties: &Map<String, Value>) -> Result<(), Error> {
    let Some(routing) = properties.get("routing") else {
        return Ok(());
    };
    let empty = |value: Option<&Value>| match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    };
    for name in ["routes", "enrichments"] {
        if !empty(routing.get(name)) {
            return Err(Error::Unsupported(format!("properties.routing.{name}")));
        }
    }
    if let Some(Value::Object(kinds)) = routing.get("endpoints")
        && kinds.values().any(|kind| !empty(Some(kind)))
    {
        return Err(Error::Unsupported("properties.routing.endpoints".into()));
    }
    Ok(())
}
