//! What calls to a hub have in common: which hub, and who calls.

use std::sync::Arc;

use muster_model::estate::Hub;
use muster_model::{ErrorCode, ReasonCode};
use muster_resources::{Audience, Credential, HubPermit};
use muster_wire::host::Host;

use crate::audience;
use crate::exchange::{Authorization, Exchange};
use crate::problem::Problem;

/// The hub that is called: the one that the name names, or the default one under names of the machine.
pub(crate) fn called(exchange: &mut Exchange<'_>) -> Result<Arc<Hub>, Problem> {
    let backend = exchange.backend;
    let found = match &exchange.host {
        Host::Hub(name) => backend.directory.hub(name),
        _ => backend.directory.default_hub(),
    };
    let Some(hub) = found else {
        if let Host::Hub(name) = &exchange.host {
            exchange.trail.target = Some(backend.domain.hub(name));
        }
        return Err(Problem::new(ErrorCode::GenericNotFound).with_reason(ReasonCode::HubUnknown));
    };
    exchange.trail.target = Some(backend.domain.hub(&hub.name));
    Ok(hub)
}

/// Judges the caller of a service call to a hub.
pub(crate) fn permit(exchange: &mut Exchange<'_>, action: &'static str) -> Result<HubPermit, Problem> {
    exchange.trail.action = action;
    exchange.api_version()?;
    let hub = called(exchange)?;
    permit_at(exchange, &hub)
}

/// Judges the caller of a call to a hub that was found by other means.
pub(crate) fn permit_at(exchange: &mut Exchange<'_>, hub: &Arc<Hub>) -> Result<HubPermit, Problem> {
    let authorization = exchange.authorization()?;
    let credential = match &authorization {
        Authorization::Bearer(token) => Credential::Bearer(token),
        Authorization::Nothing => Credential::Nothing,
        Authorization::Sas(token) => Credential::Sas(token),
    };
    let roots = audience::of_hub(exchange.backend, hub);
    let roots: Vec<&str> = roots.iter().map(String::as_str).collect();
    let path = exchange.path();
    let audience = Audience {
        roots: &roots,
        path: &path,
    };
    exchange
        .backend
        .access
        .hub(hub, credential, audience, exchange.now)
        .map_err(|error| Problem::resources(exchange.surface, &error))
}
