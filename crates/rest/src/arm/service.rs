//! Provisioning services.

use std::sync::Arc;

use http::StatusCode;
use muster_model::estate::ProvisioningService;
use muster_model::{DpsName, IfMatch, PolicyName};
use muster_resources::{LinkKey, LinkRequest, OperatorPermit, ServiceRequest};
use muster_wire::arm::{self as documents, LinkCredential, LinkInput, PolicyDocument, ServiceInput};
use serde_json::Value;

use super::hub::no_such_policy;
use super::{
    body, created, done, drafts, group_name, group_of, invalid, listed, location, ok, permit, resources,
    scope, shown, wire,
};
use crate::exchange::{Exchange, Outcome, json};
use crate::problem::Problem;

fn service_name(text: &str) -> Result<DpsName, Problem> {
    DpsName::parse(text).map_err(|error| invalid(&error))
}

/// The provisioning service that a path names, in its true resource group.
pub(super) fn find(
    exchange: &mut Exchange<'_>,
    permit: &OperatorPermit,
    group: &str,
    service: &str,
) -> Result<Arc<ProvisioningService>, Problem> {
    exchange.trail.target = Some(service.to_owned());
    group_of(exchange, group)?;
    exchange
        .backend
        .services
        .find(permit, &group_name(group)?, &service_name(service)?)
        .map_err(|error| resources(&error))
}

fn document(exchange: &Exchange<'_>, service: &ProvisioningService, with_policies: bool) -> Value {
    let directory = &exchange.backend.directory;
    let name = |key| directory.hub_by_key(key).map(|hub| hub.name.clone());
    documents::service(service, scope(exchange), name, with_policies)
}

/// `POST …/checkProvisioningServiceNameAvailability`
pub(crate) async fn check_name(exchange: &mut Exchange<'_>, subscription: &str) -> Outcome {
    permit(exchange, "check a name", subscription)?;
    let name = documents::parse_name(&body(exchange).await?).map_err(|error| wire(&error))?;
    let parsed = DpsName::parse(&name);
    let taken = parsed
        .as_ref()
        .is_ok_and(|name| exchange.backend.directory.service(name).is_some());
    let formed = parsed.as_ref().map(|_| ()).map_err(|error| error.rule);
    Ok(json(
        StatusCode::OK,
        documents::check_name(&name, formed, taken).to_json(),
    ))
}

/// `GET …/provisioningServices` of the subscription.
pub(crate) fn list_all(exchange: &mut Exchange<'_>, subscription: &str) -> Outcome {
    permit(exchange, "list provisioning services", subscription)?;
    let services = exchange.backend.directory.services();
    Ok(listed(
        services.iter().map(|service| document(exchange, service, false)),
    ))
}

/// `GET …/provisioningServices` of a group.
pub(crate) fn list(exchange: &mut Exchange<'_>, subscription: &str, group: &str) -> Outcome {
    permit(exchange, "list provisioning services", subscription)?;
    let group = group_of(exchange, group)?;
    let services = exchange.backend.directory.services();
    let services = services.iter().filter(|service| service.group == group.name);
    Ok(listed(services.map(|service| document(exchange, service, false))))
}

/// `GET …/provisioningServices/{d}`
pub(crate) fn get(exchange: &mut Exchange<'_>, subscription: &str, group: &str, service: &str) -> Outcome {
    let permit = permit(exchange, "read a provisioning service", subscription)?;
    let service = find(exchange, &permit, group, service)?;
    Ok(ok(&document(exchange, &service, false)))
}

/// `PUT …/provisioningServices/{d}`. Clients send no version here.
pub(crate) async fn put(
    exchange: &mut Exchange<'_>,
    subscription: &str,
    group: &str,
    service: &str,
) -> Outcome {
    let permit = permit(exchange, "write a provisioning service", subscription)?;
    exchange.trail.target = Some(service.to_owned());
    let name = service_name(service)?;
    let if_match = exchange.if_match(muster_wire::etag::Kind::Arm);
    let body = body(exchange).await?;
    let input = ServiceInput::parse(&body, &exchange.backend.domain).map_err(|error| wire(&error))?;
    let with_policies = input.policies.is_some();
    let request = ServiceRequest {
        location: location(exchange, input.location, group)?,
        name,
        group: group_name(group)?,
        tags: input.tags,
        allocation: input.allocation,
        links: input.links.map(|links| links.into_iter().map(link).collect()),
        document: input.document,
        policies: drafts(input.policies),
    };
    let now = exchange.now;
    let (service, new) = exchange
        .backend
        .services
        .put(&permit, request, if_match, now)
        .await
        .map_err(|error| resources(&error))?;
    Ok(shown(created(new), &document(exchange, &service, with_policies)))
}

fn link(input: LinkInput) -> LinkRequest {
    LinkRequest {
        hub: input.hub,
        key: match input.credential {
            LinkCredential::Key { policy, key } => LinkKey::Given { policy, key },
            LinkCredential::Stored => LinkKey::Masked,
        },
        location: input.location,
        apply_allocation: input.apply_allocation,
        weight: input.weight,
    }
}

/// `PATCH …/provisioningServices/{d}`: tags.
pub(crate) async fn patch(
    exchange: &mut Exchange<'_>,
    subscription: &str,
    group: &str,
    service: &str,
) -> Outcome {
    let permit = permit(exchange, "write a provisioning service", subscription)?;
    let service = find(exchange, &permit, group, service)?;
    let tags = documents::parse_tags(&body(exchange).await?).map_err(|error| wire(&error))?;
    let request = ServiceRequest {
        name: service.name.clone(),
        group: service.group.clone(),
        location: service.location.clone(),
        tags: Some(tags),
        allocation: None,
        links: None,
        document: service.document.clone(),
        policies: Vec::new(),
    };
    let (if_match, now) = (IfMatch::Version(service.etag), exchange.now);
    let (service, _) = exchange
        .backend
        .services
        .put(&permit, request, if_match, now)
        .await
        .map_err(|error| resources(&error))?;
    Ok(ok(&document(exchange, &service, false)))
}

/// `DELETE …/provisioningServices/{d}`, with all that it holds.
pub(crate) async fn delete(
    exchange: &mut Exchange<'_>,
    subscription: &str,
    group: &str,
    service: &str,
) -> Outcome {
    let permit = permit(exchange, "delete a provisioning service", subscription)?;
    let service = find(exchange, &permit, group, service)?;
    let if_match = exchange.if_match(muster_wire::etag::Kind::Arm);
    exchange
        .backend
        .services
        .delete(&permit, &service.group, &service.name, if_match)
        .await
        .map_err(|error| resources(&error))?;
    Ok(done())
}

/// `POST …/provisioningServices/{d}/listkeys`
pub(crate) fn keys(exchange: &mut Exchange<'_>, subscription: &str, group: &str, service: &str) -> Outcome {
    let permit = permit(exchange, "read the keys of a provisioning service", subscription)?;
    let service = find(exchange, &permit, group, service)?;
    Ok(json(
        StatusCode::OK,
        documents::key_list(&service.policies).to_json(),
    ))
}

/// `POST …/provisioningServices/{d}/keys/{k}/listkeys`
pub(crate) fn key(
    exchange: &mut Exchange<'_>,
    subscription: &str,
    group: &str,
    service: &str,
    policy: &str,
) -> Outcome {
    let permit = permit(exchange, "read a key of a provisioning service", subscription)?;
    let service = find(exchange, &permit, group, service)?;
    let name = PolicyName::parse(policy).map_err(|error| invalid(&error))?;
    let policy = service.policies.iter().find(|policy| policy.name == name);
    let policy = policy.ok_or_else(|| no_such_policy(&name))?;
    Ok(json(StatusCode::OK, PolicyDocument::from(policy).to_json()))
}

/// `GET …/provisioningServices/{d}/skus`
pub(crate) fn skus(exchange: &mut Exchange<'_>, subscription: &str, group: &str, service: &str) -> Outcome {
    let permit = permit(exchange, "list tiers", subscription)?;
    find(exchange, &permit, group, service)?;
    Ok(ok(&documents::service_skus()))
}
