//! What back ends and operators ask of a provisioning service. Source: `Microsoft.Azure.Devices.Provisioning` service
//! API, read 2026-11.

pub(crate) mod group;
pub(crate) mod individual;
pub(crate) mod registration;

use std::sync::Arc;

use http::{HeaderName, Response, StatusCode};
use muster_dps::Page;
use muster_model::estate::ProvisioningService;
use muster_model::{DpsName, EnrollmentGroupId, ErrorCode, ReasonCode, RegistrationId};
use muster_resources::{Audience, Credential, DpsPermit};
use muster_wire::host::Host;
use muster_wire::{DPS_BODY, page};

use crate::audience;
use crate::body::Answer;
use crate::exchange::{Authorization, Exchange, json, set_header};
use crate::problem::Problem;
use crate::router::Surface;

/// The surface whose form of errors these calls have.
const SURFACE: Surface = Surface::DpsService;

/// The provisioning service that is called: the one that the name names, or the only one, or the ready-made one.
fn service(exchange: &Exchange<'_>) -> Result<Arc<ProvisioningService>, Problem> {
    let directory = &exchange.backend.directory;
    let found = match &exchange.host {
        Host::Service(name) => directory.service(name),
        _ => match directory.services().as_slice() {
            [only] => Some(Arc::clone(only)),
            _ => DpsName::parse("muster-dps")
                .ok()
                .and_then(|name| directory.service(&name)),
        },
    };
    found.ok_or_else(|| Problem::new(ErrorCode::DpsNotFound).with_reason(ReasonCode::ScopeUnknown))
}

/// Judges the caller of a service call.
fn permit(exchange: &mut Exchange<'_>, action: &'static str) -> Result<DpsPermit, Problem> {
    exchange.trail.action = action;
    exchange.api_version()?;
    let service = service(exchange)?;
    exchange.trail.target = Some(exchange.backend.domain.service(&service.name));
    let authorization = exchange.authorization()?;
    let credential = match &authorization {
        Authorization::Bearer(token) => Credential::Bearer(token),
        Authorization::Nothing => Credential::Nothing,
        Authorization::Sas(token) => Credential::Sas(token),
    };
    let roots = audience::of_service(exchange.backend, &service);
    let roots: Vec<&str> = roots.iter().map(String::as_str).collect();
    let path = exchange.path();
    let audience = Audience {
        roots: &roots,
        path: &path,
    };
    exchange
        .backend
        .access
        .service(&service, credential, audience, exchange.now)
        .map_err(|error| Problem::resources(SURFACE, &error))
}

fn registration_id(exchange: &mut Exchange<'_>, id: &str) -> Result<RegistrationId, Problem> {
    RegistrationId::parse(id).map_err(|error| Problem::argument(exchange.surface, format!("{error}.")))
}

fn group_id(exchange: &mut Exchange<'_>, id: &str) -> Result<EnrollmentGroupId, Problem> {
    EnrollmentGroupId::parse(id).map_err(|error| Problem::argument(exchange.surface, format!("{error}.")))
}

async fn body(exchange: &mut Exchange<'_>) -> Result<bytes::Bytes, Problem> {
    exchange.read_body(DPS_BODY.bytes).await
}

fn wire(error: &muster_wire::Error) -> Problem {
    Problem::wire(SURFACE, error)
}

/// Which page is asked for: behind which id, and how many.
fn asked_page(exchange: &Exchange<'_>) -> Result<(Option<String>, usize), Problem> {
    let after = page::parse_token(exchange.header(page::CONTINUATION)).map_err(|error| wire(&error))?;
    Ok((
        after,
        page::size(exchange.header(page::MAX_ITEM_COUNT), page::DPS_DEFAULT),
    ))
}

/// Answers a page. The continuation is left out at the end: clients test for its presence.
fn answer_page<T>(page: &Page<T>, item_type: &'static str, body: String) -> Response<Answer> {
    let mut response = json(StatusCode::OK, body);
    set_header(&mut response, HeaderName::from_static(page::ITEM_TYPE), item_type);
    set_header(
        &mut response,
        HeaderName::from_static(page::MAX_ITEM_COUNT),
        &page.items.len().to_string(),
    );
    if let Some(next) = &page.next {
        set_header(
            &mut response,
            HeaderName::from_static(page::CONTINUATION),
            &page::token(next),
        );
    }
    response
}
