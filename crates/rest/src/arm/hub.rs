//! Hubs.

use std::sync::Arc;

use http::StatusCode;
use muster_model::estate::Hub;
use muster_model::{ErrorCode, HubName, HubRights, PolicyName};
use muster_resources::{Credential, HubRequest, OperatorPermit};
use muster_wire::arm::{self as documents, HubInput, PolicyDocument};
use muster_wire::device::DeviceStatistics;
use muster_wire::etag;

use super::{
    body, created, done, drafts, group_name, group_of, invalid, listed, location, ok, permit, resources,
    scope, shown, wire,
};
use crate::audience;
use crate::exchange::{Authorization, Exchange, Outcome, json};
use crate::problem::Problem;

fn hub_name(text: &str) -> Result<HubName, Problem> {
    HubName::parse(text).map_err(|error| invalid(&error))
}

/// The hub that a path names, in its true resource group.
pub(super) fn find(
    exchange: &mut Exchange<'_>,
    permit: &OperatorPermit,
    group: &str,
    hub: &str,
) -> Result<Arc<Hub>, Problem> {
    exchange.trail.target = Some(hub.to_owned());
    group_of(exchange, group)?;
    exchange
        .backend
        .hubs
        .find(permit, &group_name(group)?, &hub_name(hub)?)
        .map_err(|error| resources(&error))
}

/// `POST …/checkNameAvailability`
pub(crate) async fn check_name(exchange: &mut Exchange<'_>, subscription: &str) -> Outcome {
    permit(exchange, "check a name", subscription)?;
    let name = documents::parse_name(&body(exchange).await?).map_err(|error| wire(&error))?;
    let parsed = HubName::parse(&name);
    let taken = parsed
        .as_ref()
        .is_ok_and(|name| exchange.backend.directory.hub(name).is_some());
    let formed = parsed.as_ref().map(|_| ()).map_err(|error| error.rule);
    Ok(json(
        StatusCode::OK,
        documents::check_name(&name, formed, taken).to_json(),
    ))
}

/// `GET …/IotHubs` of the subscription.
pub(crate) fn list_all(exchange: &mut Exchange<'_>, subscription: &str) -> Outcome {
    permit(exchange, "list hubs", subscription)?;
    let scope = scope(exchange);
    let hubs = exchange.backend.directory.hubs();
    Ok(listed(hubs.iter().map(|hub| documents::hub(hub, scope, false))))
}

/// `GET …/IotHubs` of a group.
pub(crate) fn list(exchange: &mut Exchange<'_>, subscription: &str, group: &str) -> Outcome {
    permit(exchange, "list hubs", subscription)?;
    let group = group_of(exchange, group)?;
    let scope = scope(exchange);
    let hubs = exchange.backend.directory.hubs();
    let hubs = hubs.iter().filter(|hub| hub.group == group.name);
    Ok(listed(hubs.map(|hub| documents::hub(hub, scope, false))))
}

/// `GET …/IotHubs/{h}`
pub(crate) fn get(exchange: &mut Exchange<'_>, subscription: &str, group: &str, hub: &str) -> Outcome {
    let permit = permit(exchange, "read a hub", subscription)?;
    let hub = find(exchange, &permit, group, hub)?;
    Ok(ok(&documents::hub(&hub, scope(exchange), false)))
}

/// `PUT …/IotHubs/{h}`
pub(crate) async fn put(exchange: &mut Exchange<'_>, subscription: &str, group: &str, hub: &str) -> Outcome {
    let permit = permit(exchange, "write a hub", subscription)?;
    exchange.trail.target = Some(hub.to_owned());
    let name = hub_name(hub)?;
    let if_match = exchange.if_match(etag::Kind::Arm);
    let input = HubInput::parse(&body(exchange).await?).map_err(|error| wire(&error))?;
    // The answer shows the policies when the request named some: tools print them from there.
    let with_policies = input.policies.is_some();
    let request = HubRequest {
        location: location(exchange, input.location, group)?,
        name,
        group: group_name(group)?,
        tags: input.tags,
        partitions: input.partitions,
        retention_days: input.retention_days,
        retention_bytes: input.retention_bytes,
        disable_device_sas: input.disable_device_sas,
        document: input.document,
        policies: drafts(input.policies),
    };
    let now = exchange.now;
    let (hub, new) = exchange
        .backend
        .hubs
        .put(&permit, request, if_match, now)
        .await
        .map_err(|error| resources(&error))?;
    Ok(shown(
        created(new),
        &documents::hub(&hub, scope(exchange), with_policies),
    ))
}

/// `PATCH …/IotHubs/{h}`: tags.
pub(crate) async fn patch(
    exchange: &mut Exchange<'_>,
    subscription: &str,
    group: &str,
    hub: &str,
) -> Outcome {
    let permit = permit(exchange, "write a hub", subscription)?;
    let hub = find(exchange, &permit, group, hub)?;
    let tags = documents::parse_tags(&body(exchange).await?).map_err(|error| wire(&error))?;
    let request = HubRequest {
        name: hub.name.clone(),
        group: hub.group.clone(),
        location: hub.location.clone(),
        tags: Some(tags),
        partitions: None,
        retention_days: None,
        retention_bytes: None,
        disable_device_sas: None,
        document: hub.document.clone(),
        policies: Vec::new(),
    };
    let if_match = muster_model::IfMatch::Version(hub.etag);
    let now = exchange.now;
    let (hub, _) = exchange
        .backend
        .hubs
        .put(&permit, request, if_match, now)
        .await
        .map_err(|error| resources(&error))?;
    Ok(ok(&documents::hub(&hub, scope(exchange), false)))
}

/// `DELETE …/IotHubs/{h}`, with all that it holds.
pub(crate) async fn delete(
    exchange: &mut Exchange<'_>,
    subscription: &str,
    group: &str,
    hub: &str,
) -> Outcome {
    let permit = permit(exchange, "delete a hub", subscription)?;
    let hub = find(exchange, &permit, group, hub)?;
    let if_match = exchange.if_match(etag::Kind::Arm);
    exchange
        .backend
        .hubs
        .delete(&permit, &hub.group, &hub.name, if_match)
        .await
        .map_err(|error| resources(&error))?;
    Ok(done())
}

/// `POST …/IotHubs/{h}/listkeys`
pub(crate) fn keys(exchange: &mut Exchange<'_>, subscription: &str, group: &str, hub: &str) -> Outcome {
    let permit = permit(exchange, "read the keys of a hub", subscription)?;
    let hub = find(exchange, &permit, group, hub)?;
    Ok(json(StatusCode::OK, documents::key_list(&hub.policies).to_json()))
}

/// `POST …/IotHubs/{h}/IotHubKeys/{k}/listkeys`
pub(crate) fn key(
    exchange: &mut Exchange<'_>,
    subscription: &str,
    group: &str,
    hub: &str,
    policy: &str,
) -> Outcome {
    let permit = permit(exchange, "read a key of a hub", subscription)?;
    let hub = find(exchange, &permit, group, hub)?;
    let name = PolicyName::parse(policy).map_err(|error| invalid(&error))?;
    let policy = hub.policies.iter().find(|policy| policy.name == name);
    let policy = policy.ok_or_else(|| no_such_policy(&name))?;
    Ok(json(StatusCode::OK, PolicyDocument::from(policy).to_json()))
}

pub(super) fn no_such_policy(name: &PolicyName) -> Problem {
    Problem::new(ErrorCode::ArmResourceNotFound).with_message(format!("There is no policy {name}."))
}

/// `GET …/IotHubs/{h}/IotHubStats`
pub(crate) async fn stats(
    exchange: &mut Exchange<'_>,
    subscription: &str,
    group: &str,
    hub: &str,
) -> Outcome {
    let permit = permit(exchange, "count the devices of a hub", subscription)?;
    let hub = find(exchange, &permit, group, hub)?;
    let counts = counts(exchange, &hub).await?;
    Ok(json(StatusCode::OK, DeviceStatistics::from(counts).to_json()))
}

/// `GET …/IotHubs/{h}/quotaMetrics`. Messages of the day are not counted: no quota is set.
pub(crate) async fn quota(
    exchange: &mut Exchange<'_>,
    subscription: &str,
    group: &str,
    hub: &str,
) -> Outcome {
    let permit = permit(exchange, "read the quota of a hub", subscription)?;
    let hub = find(exchange, &permit, group, hub)?;
    let counts = counts(exchange, &hub).await?;
    Ok(ok(&documents::hub_quota(0, counts.total)))
}

/// `GET …/IotHubs/{h}/skus`
pub(crate) fn skus(exchange: &mut Exchange<'_>, subscription: &str, group: &str, hub: &str) -> Outcome {
    let permit = permit(exchange, "list tiers", subscription)?;
    find(exchange, &permit, group, hub)?;
    Ok(ok(&documents::hub_skus()))
}

/// Counts the devices of a hub with the operator's own authority.
async fn counts(
    exchange: &mut Exchange<'_>,
    hub: &Arc<Hub>,
) -> Result<muster_model::identity::DeviceCounts, Problem> {
    let Authorization::Bearer(token) = exchange.authorization()? else {
        return Err(Problem::new(ErrorCode::ArmUnauthenticated));
    };
    let roots = audience::of_hub(exchange.backend, hub);
    let roots: Vec<&str> = roots.iter().map(String::as_str).collect();
    let audience = muster_resources::Audience {
        roots: &roots,
        path: "",
    };
    let permit = exchange
        .backend
        .access
        .hub(hub, Credential::Bearer(&token), audience, exchange.now)
        .map_err(|error| resources(&error))?;
    debug_assert!(permit.rights().contains(HubRights::REGISTRY_READ));
    Ok(exchange.backend.identities.counts(&permit).await?)
}
