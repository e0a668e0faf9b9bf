//! The identity registry of a hub, for back ends. Source: IoT Hub service API, read 2026-11.

use http::header::ETAG;
use http::{Response, StatusCode};
use muster_hub::{AuthenticationRequest, BulkItem, BulkMode, IdentityRequest};
use muster_model::identity::{Authentication, DeviceIdentity};
use muster_model::{DeviceId, HubKey, IfMatch};
use muster_wire::device::{
    self as documents, AuthenticationInput, BulkDeviceChange, BulkDeviceError, BulkDeviceResult,
    BulkDeviceWarning, Connection, DeviceDocument, DeviceInput, DeviceStatistics,
};
use muster_wire::{HUB_BODY, etag, page};

use crate::body::Answer;
use crate::exchange::{Exchange, Outcome, json, no_content, set_header};
use crate::hub::permit;
use crate::problem::Problem;
use crate::router::Surface;

/// The surface whose form of errors these calls have.
const SURFACE: Surface = Surface::HubService;

fn device_id(exchange: &mut Exchange<'_>, id: &str) -> Result<DeviceId, Problem> {
    exchange.trail.device = Some(id.to_owned());
    DeviceId::parse(id).map_err(|error| Problem::argument(SURFACE, format!("{error}.")))
}

fn wire(error: &muster_wire::Error) -> Problem {
    Problem::wire(SURFACE, error)
}

/// Shows an identity with its connection as it is at this moment.
fn document(exchange: &Exchange<'_>, hub: HubKey, identity: &DeviceIdentity) -> DeviceDocument {
    let attached = exchange.backend.presence.attached(hub, &identity.id);
    let connection = Connection {
        connected: attached.is_some(),
        since: attached.map(|attached| attached.since),
    };
    DeviceDocument::of(identity, connection)
}

fn shown(exchange: &Exchange<'_>, hub: HubKey, identity: &DeviceIdentity) -> Response<Answer> {
    let document = document(exchange, hub, identity);
    let mut response = json(StatusCode::OK, document.to_json());
    set_header(&mut response, ETAG, &etag::quoted(&etag::identity(identity.etag)));
    response
}

/// `GET /devices/{id}`
pub(crate) async fn get(exchange: &mut Exchange<'_>, id: &str) -> Outcome {
    let permit = permit(exchange, "read a device identity")?;
    let id = device_id(exchange, id)?;
    let identity = exchange.backend.identities.find(&permit, &id).await?;
    Ok(shown(exchange, permit.hub().key, &identity))
}

/// `PUT /devices/{id}`: makes an identity, or with a demand changes the one that is there.
pub(crate) async fn put(exchange: &mut Exchange<'_>, id: &str) -> Outcome {
    let permit = permit(exchange, "write a device identity")?;
    let id = device_id(exchange, id)?;
    let if_match = exchange.if_match(etag::Kind::Identity);
    let body = exchange.read_body(HUB_BODY.bytes).await?;
    let input = DeviceDocument::parse(&body, &id).map_err(|error| wire(&error))?;
    let identities = &exchange.backend.identities;
    // A change that says nothing of the credential keeps the one that is there.
    let keeps = input.authentication.is_none() && if_match.requires_existing();
    let mut request = request(input);
    if keeps {
        request.authentication = AuthenticationRequest::Kept;
    }
    let (identity, _) = identities.put(&permit, request, if_match, exchange.now).await?;
    Ok(shown(exchange, permit.hub().key, &identity))
}

/// `DELETE /devices/{id}`
pub(crate) async fn delete(exchange: &mut Exchange<'_>, id: &str) -> Outcome {
    let permit = permit(exchange, "delete a device identity")?;
    let id = device_id(exchange, id)?;
    let if_match = exchange.if_match(etag::Kind::Identity);
    exchange.backend.identities.delete(&permit, &id, if_match).await?;
    Ok(no_content())
}

/// `GET /devices?top=n`
pub(crate) async fn list(exchange: &mut Exchange<'_>) -> Outcome {
    let permit = permit(exchange, "list device identities")?;
    let top = page::top(exchange.query.value("top"));
    // Beyond Azure's own call: the id behind which the list begins, so that all devices of a hub can be listed.
    let after = match exchange.query.value("after") {
        Some(text) => {
            Some(DeviceId::parse(text).map_err(|error| Problem::argument(SURFACE, format!("{error}.")))?)
        }
        None => None,
    };
    let devices = exchange.backend.identities.list(&permit, after, top).await?;
    let documents: Vec<_> = devices
        .iter()
        .map(|identity| document(exchange, permit.hub().key, identity))
        .collect();
    Ok(json(StatusCode::OK, documents::list_json(&documents)))
}

/// `GET /statistics/devices`
pub(crate) async fn statistics(exchange: &mut Exchange<'_>) -> Outcome {
    let permit = permit(exchange, "count device identities")?;
    let counts = exchange.backend.identities.counts(&permit).await?;
    Ok(json(StatusCode::OK, DeviceStatistics::from(counts).to_json()))
}

/// `POST /devices`: several at once, each by itself. 400 with the same body when one of them failed.
pub(crate) async fn bulk(exchange: &mut Exchange<'_>) -> Outcome {
    let permit = permit(exchange, "write several device identities")?;
    let body = exchange.read_body(HUB_BODY.bytes).await?;
    let read = documents::parse_bulk(&body).map_err(|error| wire(&error))?;
    let (mut items, mut errors, mut with_twin) = (Vec::new(), Vec::new(), Vec::new());
    for item in read {
        if item.has_twin {
            with_twin.push(item.id.clone());
        }
        match item.change {
            Ok(change) => items.push(bulk_item(change, item.if_match)),
            Err(error) => {
                let problem = wire(&error);
                errors.push(BulkDeviceError::new(&item.id, problem.code, problem.message));
            }
        }
    }
    for failure in exchange
        .backend
        .identities
        .bulk(&permit, items, exchange.now)
        .await?
    {
        let problem = Problem::from(failure.error);
        errors.push(BulkDeviceError::new(
            failure.id.as_str(),
            problem.code,
            problem.message,
        ));
    }
    let warnings = with_twin
        .iter()
        .filter(|id| !errors.iter().any(|error| error.device_id == **id))
        .map(|id| BulkDeviceWarning::without_twin(id))
        .collect();
    let result = BulkDeviceResult::of(errors, warnings);
    let status = StatusCode::from_u16(result.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok(json(status, result.to_json()))
}

fn bulk_item(change: BulkDeviceChange, version: IfMatch) -> BulkItem {
    let demands = matches!(version, IfMatch::Version(_) | IfMatch::Foreign);
    let (mode, request) = match change {
        BulkDeviceChange::Create(input) => (BulkMode::Create, request(input)),
        BulkDeviceChange::CreateOrUpdate(input) => (
            if demands {
                BulkMode::CreateOrUpdateIfMatch
            } else {
                BulkMode::CreateOrUpdate
            },
            request(input),
        ),
        BulkDeviceChange::Update(input) => (
            if demands {
                BulkMode::UpdateIfMatch
            } else {
                BulkMode::Update
            },
            request(input),
        ),
        BulkDeviceChange::Delete(id) => (
            if demands {
                BulkMode::DeleteIfMatch
            } else {
                BulkMode::Delete
            },
            deletion(id),
        ),
    };
    BulkItem {
        mode,
        version,
        request,
    }
}

/// What a deletion carries: its id counts, the rest is not looked at.
fn deletion(id: DeviceId) -> IdentityRequest {
    IdentityRequest {
        id,
        status: muster_model::identity::DeviceStatus::Enabled,
        status_reason: None,
        authentication: AuthenticationRequest::None,
        iot_edge: false,
    }
}

fn request(input: DeviceInput) -> IdentityRequest {
    let authentication = match input.authentication {
        Some(AuthenticationInput::Given(given)) => match given {
            Authentication::CertificateAuthority => AuthenticationRequest::CertificateAuthority,
            Authentication::None => AuthenticationRequest::None,
            Authentication::Sas { primary, secondary } => AuthenticationRequest::Sas {
                primary: Some(primary),
                secondary: Some(secondary),
            },
            Authentication::SelfSigned { primary, secondary } => {
                AuthenticationRequest::SelfSigned { primary, secondary }
            }
        },
        Some(AuthenticationInput::NewKeys) | None => AuthenticationRequest::Sas {
            primary: None,
            secondary: None,
        },
    };
    IdentityRequest {
        id: input.id,
        status: input.status,
        status_reason: input.status_reason,
        authentication,
        iot_edge: input.iot_edge,
    }
}
