//! What devices ask of a provisioning service. Source: `Microsoft.Azure.Devices.Provisioning` device API, read 2026-11.

mod operation;
mod register;
mod status;

pub(crate) use operation::operation;
pub(crate) use register::register;
pub(crate) use status::status;

use muster_dps::{Attempt, Credential};
use muster_model::{ErrorCode, IdScope, ReasonCode, RegistrationId};
use muster_wire::api_version::ApiVersion;
use muster_wire::registration::DeviceRegistration;

use crate::exchange::{Authorization, Exchange};
use crate::problem::Problem;
use crate::router::Surface;

/// Most bytes of a body. Source: DPS limits, message size, read 2026-11.
const MAX_BODY: usize = 96 * 1024;

/// What a register and a poll have in common: who asks whom, with which credential.
async fn attempt(
    exchange: &mut Exchange<'_>,
    scope: &str,
    id: &str,
    demand_json: bool,
) -> Result<(Attempt, DeviceRegistration, ApiVersion), Problem> {
    exchange.trail.target = Some(scope.to_owned());
    exchange.trail.registration = Some(id.to_owned());
    let version = exchange.api_version()?;
    let id = RegistrationId::parse(id).map_err(|_| {
        Problem::new(ErrorCode::DpsInvalidRegistrationId).with_reason(ReasonCode::RegistrationIdInvalid)
    })?;
    let unknown = || Problem::new(ErrorCode::DpsNotFound).with_reason(ReasonCode::ScopeUnknown);
    let scope = IdScope::parse(scope).map_err(|_| unknown())?;
    let service = exchange
        .backend
        .directory
        .service_by_scope(&scope)
        .ok_or_else(unknown)?;
    // A name of one service does not lead to another.
    if let muster_wire::host::Host::Service(name) = &exchange.host
        && *name != service.name
    {
        return Err(unknown());
    }
    if demand_json {
        demand_json_type(exchange)?;
    }
    let chain = exchange.readable_chain()?.cloned();
    let token = match exchange.authorization()? {
        Authorization::Sas(token) => Some(token),
        Authorization::Nothing => None,
        // Devices have no bearer tokens.
        Authorization::Bearer(_) => return Err(exchange.unauthorized(ReasonCode::TokenMalformed)),
    };
    let body = exchange.read_body(MAX_BODY).await?;
    let registration = if demand_json {
        DeviceRegistration::parse(&body, &id).map_err(|error| Problem::wire(exchange.surface, &error))?
    } else {
        DeviceRegistration::default()
    };
    let credential = Credential {
        chain,
        token,
        tpm: registration.tpm.is_some(),
    };
    let attempt = Attempt {
        service,
        id,
        credential,
        payload: registration.payload.clone(),
        tracking: exchange.tracking,
    };
    Ok((attempt, registration, version))
}

/// Refuses a body of another type than JSON. One without a type is taken for JSON, as is no body at all.
fn demand_json_type(exchange: &Exchange<'_>) -> Result<(), Problem> {
    let Some(value) = exchange.headers.get(http::header::CONTENT_TYPE) else {
        return Ok(());
    };
    let essence = value
        .to_str()
        .ok()
        .and_then(|text| text.split(';').next())
        .map(str::trim);
    match essence {
        Some(text) if text.is_empty() || text.eq_ignore_ascii_case("application/json") => Ok(()),
        _ => Err(Problem::new(ErrorCode::DpsUnsupportedMediaType)),
    }
}

/// Keeps a record of a registration that ended without a hub, though the call itself was answered.
fn note_refusal(exchange: &Exchange<'_>, reason: Option<ReasonCode>) {
    if let Some(reason) = reason {
        exchange.backend.refusal_log.report(exchange.refusal(reason));
    }
}

/// The surface whose form of errors these calls have.
const SURFACE: Surface = Surface::DpsDevice;
