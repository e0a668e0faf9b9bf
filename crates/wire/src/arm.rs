//! The management surface: resource groups, hubs, provisioning services, policies, and what stands around them.
//!
//! Documents go in whole and come out whole: what nothing here understands is kept as it was given, and what is missing
//! takes its default, so that a client may read, change and write back. Settings that would silently not hold (network
//! filters, routes) are refused by name. Certificates have a module of their own.

mod around;
mod hub;
mod policy;
mod service;

use muster_model::{
    ConsumerGroupName, DpsName, HubName, Json, JsonLimits, Location, ResourceGroupName, SubscriptionId,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::body;
use crate::error::Error;
use crate::host::Domain;

pub use around::{
    NameAvailability, check_name, consumer_group, consumer_group_list, group, group_list, hub_quota,
    hub_skus, locations, metadata, parse_group, parse_name, provider, service_skus, subscription, tenant,
};
pub use hub::{HubInput, HubSummary, hub, hub_request};
pub use policy::{PolicyDocument, PolicyInput, key_list};
pub use service::{LinkCredential, LinkInput, ServiceInput, ServiceSummary, service, service_request};

/// Bounds of a body.
pub(crate) const ARM_BODY: JsonLimits = JsonLimits::BODY;

/// Most tags of a resource. Source: Azure Resource Manager limits, read 2026-11.
const MAX_TAGS: usize = 50;

/// What every resource's document names: the one subscription, and the domain.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The one subscription.
    pub subscription: &'a SubscriptionId,
    /// Under which names are handed out.
    pub domain: &'a Domain,
}

impl Scope<'_> {
    /// The id of a resource group.
    pub fn group_id(&self, group: &ResourceGroupName) -> String {
        format!(
            "/subscriptions/{}/resourceGroups/{group}",
            self.subscription.folded()
        )
    }

    /// The id of a hub.
    pub fn hub_id(&self, group: &ResourceGroupName, hub: &HubName) -> String {
        format!(
            "{}/providers/Microsoft.Devices/IotHubs/{hub}",
            self.group_id(group)
        )
    }

    /// The id of a provisioning service.
    pub fn service_id(&self, group: &ResourceGroupName, service: &DpsName) -> String {
        format!(
            "{}/providers/Microsoft.Devices/provisioningServices/{service}",
            self.group_id(group)
        )
    }

    /// The id of a consumer group.
    pub fn consumer_group_id(
        &self,
        group: &ResourceGroupName,
        hub: &HubName,
        name: &ConsumerGroupName,
    ) -> String {
        format!(
            "{}/eventHubEndpoints/events/ConsumerGroups/{name}",
            self.hub_id(group, hub)
        )
    }
}

/// A list as every collection answers it. Everything fits one page here.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct List<T> {
    /// The items.
    pub value: Vec<T>,
    /// Where the next page is.
    #[serde(default)]
    pub next_link: Option<String>,
}

impl<T: Serialize> List<T> {
    /// Writes the body.
    pub fn to_json(&self) -> String {
        body::write(self)
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(value: Vec<T>) -> Self {
        Self {
            value,
            next_link: None,
        }
    }
}

impl<T: serde::de::DeserializeOwned> List<T> {
    /// Reads an answer.
    ///
    /// # Errors
    /// [`Error::Json`], [`Error::Type`].
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        body::read(body, body::HUB_BODY)
    }
}

/// Reads the body of a `PATCH`, which changes tags and nothing else.
///
/// # Errors
/// [`Error::Json`], [`Error::Type`], [`Error::Field`].
pub fn parse_tags(body: &[u8]) -> Result<Json, Error> {
    let mut document: Map<String, Value> = body::read(body, ARM_BODY)?;
    Ok(take_tags(&mut document)?.unwrap_or_else(Json::empty_object))
}

/// Takes the tags out of a document: an object of texts, where there are any.
fn take_tags(document: &mut Map<String, Value>) -> Result<Option<Json>, Error> {
    match document.remove("tags") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(tags)) => {
            let fits = tags.len() <= MAX_TAGS
                && tags.iter().all(|(name, value)| {
                    name.chars().count() <= 512
                        && (value.is_null() || value.as_str().is_some_and(|text| text.chars().count() <= 256))
                });
            if fits {
                Ok(Some(Json::from_value(&Value::Object(tags))))
            } else {
                Err(Error::field(
                    "tags",
                    "must be 50 texts at most, names of 512 and values of 256 characters",
                ))
            }
        }
        Some(_) => Err(Error::field("tags", "must be an object")),
    }
}

fn take_location(document: &mut Map<String, Value>) -> Result<Option<Location>, Error> {
    match document.remove("location") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Location::parse(&text)
            .map(Some)
            .map_err(|invalid| Error::id("location", &invalid)),
        Some(_) => Err(Error::Type("location".into())),
    }
}

/// Takes an object out of a document; an absent one is empty.
fn take_object(
    document: &mut Map<String, Value>,
    name: &str,
    path: &str,
) -> Result<Map<String, Value>, Error> {
    match document.remove(name) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(object)) => Ok(object),
        Some(_) => Err(Error::Type(path.to_owned())),
    }
}

/// Reads a number that clients also write as text.
fn number(value: Option<Value>, path: &str) -> Result<Option<u64>, Error> {
    let read = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    read.map(Some).ok_or_else(|| Error::Type(path.to_owned()))
}

/// Reads a switch.
fn switch(value: Option<&Value>, path: &str) -> Result<Option<bool>, Error> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(on)) => Ok(Some(*on)),
        Some(_) => Err(Error::Type(path.to_owned())),
    }
}

/// Lays what was written over the defaults: objects member by member, anything else as written. A null leaves the
/// default, for clients write nulls for what they do not know.
fn overlay(defaults: &mut Value, written: &Value) {
    match (defaults, written) {
        (_, Value::Null) => {}
        (Value::Object(defaults), Value::Object(written)) => {
            for (name, value) in written {
                match defaults.get_mut(name) {
                    Some(inner) => overlay(inner, value),
                    None => {
                        defaults.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        (defaults, written) => *defaults = written.clone(),
    }
}

/// Refuses settings that would silently not hold.
fn refuse_unheld(properties: &Map<String, Value>) -> Result<(), Error> {
    for name in ["ipFilterRules", "privateEndpointConnections"] {
        let empty = match properties.get(name) {
            None | Some(Value::Null) => true,
            Some(Value::Array(items)) => items.is_empty(),
            Some(_) => false,
        };
        if !empty {
            return Err(Error::Unsupported(format!("properties.{name}")));
        }
    }
    if properties.get("disableLocalAuth") == Some(&Value::Bool(true)) {
        return Err(Error::Unsupported("properties.disableLocalAuth".into()));
    }
    match properties.get("publicNetworkAccess").and_then(Value::as_str) {
        Some(text) if !text.eq_ignore_ascii_case("Enabled") => Err(Error::Unsupported(
            "properties.publicNetworkAccess other than Enabled".into(),
        )),
        _ => Ok(()),
    }
}

/// The size of the resource as written, with its tier.
fn sku(document: &Map<String, Value>) -> Value {
    let written = document.get("sku");
    let name = written
        .and_then(|sku| sku.get("name"))
        .and_then(Value::as_str)
        .unwrap_or("S1");
    let capacity = written
        .and_then(|sku| sku.get("capacity"))
        .and_then(Value::as_u64)
        .unwrap_or(1);
    let tier = match name.get(..1) {
        Some("F" | "f") => "Free",
        Some("B" | "b") => "Basic",
        _ => "Standard",
    };
    json!({"name": name, "tier": tier, "capacity": capacity})
}

#[cfg(test)]
mod tests;
