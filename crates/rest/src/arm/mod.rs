//! Management in the form of Azure Resource Manager. Everything is answered at once: no operation is long-running here.
//! Source: requests of `az` and the management clients, and the public REST specifications, read 2026-11.

pub(crate) mod account;
pub(crate) mod certificate;
pub(crate) mod consumer_group;
pub(crate) mod group;
pub(crate) mod hub;
pub(crate) mod service;

use std::sync::Arc;

use http::{Response, StatusCode};
use muster_model::estate::ResourceGroup;
use muster_model::{ErrorCode, InvalidId, Location, ResourceGroupName, Rights};
use muster_resources::{OperatorPermit, PolicyDraft};
use muster_wire::arm::{PolicyInput, Scope};
use serde_json::Value;

use crate::body::Answer;
use crate::exchange::{Exchange, json};
use crate::own::operator;
use crate::problem::Problem;
use crate::router::Surface;

/// The surface whose form of errors these calls have.
const SURFACE: Surface = Surface::Arm;

/// Most bytes of a body of management.
const MAX_BODY: usize = 1 << 20;

/// Judges the operator, and checks that the path names the one subscription.
fn permit(
    exchange: &mut Exchange<'_>,
    action: &'static str,
    subscription: &str,
) -> Result<OperatorPermit, Problem> {
    let permit = operator(exchange, action)?;
    if exchange
        .backend
        .facts
        .subscription
        .folded()
        .eq_ignore_ascii_case(subscription)
    {
        Ok(permit)
    } else {
        Err(Problem::new(ErrorCode::ArmSubscriptionNotFound))
    }
}

fn scope<'a>(exchange: &'a Exchange<'_>) -> Scope<'a> {
    Scope {
        subscription: &exchange.backend.facts.subscription,
        domain: &exchange.backend.domain,
    }
}

async fn body(exchange: &mut Exchange<'_>) -> Result<bytes::Bytes, Problem> {
    exchange.read_body(MAX_BODY).await
}

fn wire(error: &muster_wire::Error) -> Problem {
    Problem::wire(SURFACE, error)
}

fn resources(error: &muster_resources::Error) -> Problem {
    Problem::resources(SURFACE, error)
}

fn invalid(error: &InvalidId) -> Problem {
    let mut text = error.to_string();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Problem::argument(SURFACE, format!("{text}."))
}

fn group_name(text: &str) -> Result<ResourceGroupName, Problem> {
    ResourceGroupName::parse(text).map_err(|error| invalid(&error))
}

/// The resource group that a path names.
fn group_of(exchange: &Exchange<'_>, name: &str) -> Result<Arc<ResourceGroup>, Problem> {
    let name = group_name(name)?;
    exchange.backend.directory.group(&name).ok_or_else(|| {
        Problem::new(ErrorCode::ArmResourceGroupNotFound)
            .with_message(format!("Resource group '{name}' could not be found."))
    })
}

/// Where a new resource is said to be: as written, else as its group.
fn location(exchange: &Exchange<'_>, written: Option<Location>, group: &str) -> Result<Location, Problem> {
    match written {
        Some(location) => Ok(location),
        None => Ok(group_of(exchange, group)?.location.clone()),
    }
}

fn shown(status: StatusCode, document: &Value) -> Response<Answer> {
    json(status, document.to_string())
}

fn ok(document: &Value) -> Response<Answer> {
    shown(StatusCode::OK, document)
}

fn listed(documents: impl IntoIterator<Item = Value>) -> Response<Answer> {
    let documents = Value::Array(documents.into_iter().collect());
    ok(&serde_json::json!({ "value": documents, "nextLink": null }))
}

/// Answers that something is done, without a body.
fn done() -> Response<Answer> {
    Response::new(Answer::Whole(None))
}

fn created(new: bool) -> StatusCode {
    if new { StatusCode::CREATED } else { StatusCode::OK }
}

fn drafts<R: Rights>(policies: Option<Vec<PolicyInput<R>>>) -> Vec<PolicyDraft<R>> {
    policies
        .unwrap_or_default()
        .into_iter()
        .map(|policy| PolicyDraft {
            name: policy.name,
            primary: policy.primary,
            secondary: policy.secondary,
            rights: policy.rights,
        })
        .collect()
}
