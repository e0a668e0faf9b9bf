//! The document of a provisioning service, and its links to hubs.

use muster_model::access::DpsRights;
use muster_model::dps::AllocationPolicy;
use muster_model::estate::ProvisioningService;
use muster_model::{HubKey, HubName, IdScope, Json, Location, PolicyName, SymmetricKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::policy::{PolicyInput, parse_policies};
use super::{
    ARM_BODY, PolicyDocument, Scope, number, overlay, refuse_unheld, sku, switch, take_location, take_object,
    take_tags,
};
use crate::error::Error;
use crate::host::Domain;
use crate::sas::ConnectionString;
use crate::{body, etag, time};

/// Most links of a service. Source: DPS quotas, read 2026-11.
const MAX_LINKS: usize = 50;

/// A provisioning service as a caller wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceInput {
    /// Where it is said to be; that of its group where absent.
    pub location: Option<Location>,
    /// The caller's tags, where the document has the member.
    pub tags: Option<Json>,
    /// How a hub is chosen, where the caller says so.
    pub allocation: Option<AllocationPolicy>,
    /// The hubs it may assign; `None` where the document has no such member.
    pub links: Option<Vec<LinkInput>>,
    /// The rest of the document.
    pub document: Json,
    /// Policies; `None` and an empty list keep what is there.
    pub policies: Option<Vec<PolicyInput<DpsRights>>>,
}

/// A link as a caller wants it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LinkInput {
    /// The hub.
    pub hub: HubName,
    /// What the link rests on.
    pub credential: LinkCredential,
    /// Where the hub is said to be.
    pub location: Option<Location>,
    /// Whether allocation may choose it when an enrollment names no hub.
    pub apply_allocation: bool,
    /// Its share, 1 to 1000.
    pub weight: u16,
}

/// What a link to a hub rests on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LinkCredential {
    /// A policy of the hub and one of its keys.
    Key {
        /// The policy.
        policy: PolicyName,
        /// The key as given; whether it is that policy's is for the reader to check.
        key: SymmetricKey,
    },
    /// The one that is stored: the key came masked, or none came.
    Stored,
}

impl ServiceInput {
    /// Reads the body of a `PUT`. Members that only the server sets are dropped.
    ///
    /// # Errors
    /// [`Error::Json`], [`Error::Type`], [`Error::Field`], [`Error::Unsupported`].
    pub fn parse(body: &[u8], domain: &Domain) -> Result<Self, Error> {
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
        for name in [
            "state",
            "provisioningState",
            "idScope",
            "serviceOperationsHostName",
            "deviceProvisioningHostName",
            "portalOperationsHostName",
        ] {
            properties.remove(name);
        }
        let allocation = match properties.remove("allocationPolicy") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(parse_allocation(&text).ok_or_else(|| {
                Error::field(
                    "properties.allocationPolicy",
                    "must be Hashed, GeoLatency or Static",
                )
            })?),
            Some(_) => return Err(Error::Type("properties.allocationPolicy".into())),
        };
        let links = parse_links(properties.remove("iotHubs"), domain)?;
        let policies = parse_policies(properties.remove("authorizationPolicies"), DpsRights::parse)?;
        document.insert("properties".into(), Value::Object(properties));
        Ok(Self {
            location,
            tags,
            allocation,
            links,
            document: Json::from_value(&Value::Object(document)),
            policies,
        })
    }
}

/// Shows a provisioning service. `hub_name` finds the name of a linked hub; links to hubs that are gone are left out.
/// Policies are shown only in the answer to a `PUT` that named some: `with_policies`.
pub fn service(
    service: &ProvisioningService,
    scope: Scope<'_>,
    hub_name: impl Fn(HubKey) -> Option<HubName>,
    with_policies: bool,
) -> Value {
    let written = service.document.value();
    let written = written.as_object().cloned().unwrap_or_default();
    let mut properties = json!({
        "enableDataResidency": false,
        "publicNetworkAccess": "Enabled",
        "ipFilterRules": [],
    });
    if let Some(value) = written.get("properties") {
        overlay(&mut properties, value);
    }
    let links: Vec<Value> = service
        .links
        .iter()
        .filter_map(|link| {
            let host = scope.domain.hub(&hub_name(link.hub)?);
            Some(json!({
                "name": host,
                "connectionString":
                    format!("HostName={host};SharedAccessKeyName={};SharedAccessKey=****", link.policy),
                "location": link.location.as_str(),
                "applyAllocationPolicy": link.apply_allocation,
                "allocationWeight": link.weight,
            }))
        })
        .collect();
    overlay(
        &mut properties,
        &json!({
            "state": "Active",
            "provisioningState": "Succeeded",
            "idScope": service.id_scope.as_str(),
            "allocationPolicy": allocation_text(service.allocation),
            "serviceOperationsHostName": scope.domain.service(&service.name),
            "deviceProvisioningHostName": scope.domain.global(),
            "portalOperationsHostName": scope.domain.service_portal(&service.name),
            "iotHubs": links,
        }),
    );
    if with_policies && let Value::Object(properties) = &mut properties {
        let policies: Vec<PolicyDocument> = service.policies.iter().map(PolicyDocument::from).collect();
        properties.insert("authorizationPolicies".into(), json!(policies));
    }
    let mut shown = json!({
        "id": scope.service_id(&service.group, &service.name),
        "name": service.name.as_str(),
        "type": "Microsoft.Devices/provisioningServices",
        "location": service.location.as_str(),
        "tags": service.tags.value(),
        "etag": etag::arm(service.etag),
        "resourcegroup": service.group.as_str(),
        "subscriptionid": scope.subscription.folded(),
        "sku": sku(&written),
        "systemData": {"createdAt": time::iso(service.created)},
        "properties": properties,
    });
    if let Value::Object(shown) = &mut shown {
        for (name, value) in &written {
            if !shown.contains_key(name) && !value.is_null() {
                shown.insert(name.clone(), value.clone());
            }
        }
    }
    shown
}

/// Writes the body with which a client makes a provisioning service that is linked by these connection strings.
pub fn service_request(location: &Location, links: &[ConnectionString]) -> String {
    let links: Vec<Value> = links
        .iter()
        .map(|link| json!({"connectionString": link.build(), "location": location.as_str()}))
        .collect();
    json!({
        "location": location.as_str(),
        "sku": {"name": "S1", "capacity": 1},
        "properties": {"iotHubs": links},
    })
    .to_string()
}

/// What a client needs of a provisioning service's document.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct ServiceSummary {
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
    pub properties: ServiceSummaryProperties,
}

/// What a client needs of a provisioning service's properties.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSummaryProperties {
    /// Its id scope.
    pub id_scope: String,
    /// The host of its service calls.
    pub service_operations_host_name: String,
    /// The host of device calls.
    pub device_provisioning_host_name: String,
    /// How a hub is chosen.
    pub allocation_policy: String,
    /// Its links.
    pub iot_hubs: Vec<LinkSummary>,
}

impl ServiceSummaryProperties {
    /// The id scope as a value.
    pub fn scope(&self) -> Option<IdScope> {
        IdScope::parse(&self.id_scope).ok()
    }
}

/// What a client reads of a link.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LinkSummary {
    /// The full host name of the hub.
    pub name: String,
    /// The connection string, its key masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_string: Option<String>,
    /// Where the hub is said to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Whether allocation may choose it when an enrollment names no hub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apply_allocation_policy: Option<bool>,
    /// Its share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocation_weight: Option<u16>,
}

/// The text of an allocation policy in management, which spells it with a capital.
pub(crate) const fn allocation_text(policy: AllocationPolicy) -> &'static str {
    match policy {
        AllocationPolicy::Custom => "Custom",
        AllocationPolicy::GeoLatency => "GeoLatency",
        AllocationPolicy::Hashed => "Hashed",
        AllocationPolicy::Static => "Static",
    }
}

fn parse_allocation(text: &str) -> Option<AllocationPolicy> {
    [
        AllocationPolicy::GeoLatency,
        AllocationPolicy::Hashed,
        AllocationPolicy::Static,
    ]
    .into_iter()
    .find(|policy| allocation_text(*policy).eq_ignore_ascii_case(text))
}

fn parse_links(value: Option<Value>, domain: &Domain) -> Result<Option<Vec<LinkInput>>, Error> {
    let path = "properties.iotHubs";
    let items = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(Error::Type(path.to_owned())),
    };
    if items.len() > MAX_LINKS {
        return Err(Error::TooMany {
            path: path.to_owned(),
            limit: MAX_LINKS,
        });
    }
    let mut links: Vec<LinkInput> = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Value::Object(item) = item else {
            return Err(Error::Type(path));
        };
        let link = parse_link(item, &path, domain)?;
        if links.iter().any(|other| other.hub == link.hub) {
            return Err(Error::Twice(format!("the hub {}", link.hub)));
        }
        links.push(link);
    }
    Ok(Some(links))
}

fn parse_link(mut item: Map<String, Value>, path: &str, domain: &Domain) -> Result<LinkInput, Error> {
    let text = |value: Option<Value>, name: &str| match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(_) => Err(Error::Type(format!("{path}.{name}"))),
    };
    let connection = text(item.remove("connectionString"), "connectionString")?
        .map(|text| ConnectionString::parse(&text))
        .transpose()?;
    let host = match &connection {
        Some(connection) => connection.host_name.clone(),
        // Newer versions name the hub alone; what the link rests on is stored then.
        None => text(item.remove("hostName"), "hostName")?.or(text(item.remove("name"), "name")?),
    }
    .ok_or_else(|| Error::Missing(format!("{path}.connectionString")))?;
    let hub = domain.hub_name(&host).ok_or_else(|| {
        Error::field(
            format!("{path}.connectionString"),
            "must name a hub of this server: links to other servers are not offered",
        )
    })?;
    let credential = match connection {
        Some(connection) if !connection.has_masked_key() => {
            let policy = connection
                .policy
                .ok_or_else(|| Error::Missing(format!("{path}.connectionString: SharedAccessKeyName")))?;
            let key = connection
                .key
                .ok_or_else(|| Error::Missing(format!("{path}.connectionString: SharedAccessKey")))?;
            LinkCredential::Key {
                policy: PolicyName::parse(&policy).map_err(|invalid| {
                    Error::id(format!("{path}.connectionString: SharedAccessKeyName"), &invalid)
                })?,
                key: key.key(&format!("{path}.connectionString: SharedAccessKey"))?,
            }
        }
        _ => LinkCredential::Stored,
    };
    let weight_path = format!("{path}.allocationWeight");
    let weight = number(item.remove("allocationWeight"), &weight_path)?.unwrap_or(1);
    Ok(LinkInput {
        hub,
        credential,
        location: take_location(&mut item)?,
        apply_allocation: switch(
            item.remove("applyAllocationPolicy").as_ref(),
            &format!("{path}.applyAllocationPolicy"),
        )?
        .unwrap_or(true),
        weight: u16::try_from(weight)
            .ok()
            .filter(|weight| (1..=1000).contains(weight))
            .ok_or_else(|| Error::field(weight_path, "must be 1 to 1000"))?,
    })
}
