//! What devices ask of a hub. Source: IoT Hub device API, read 2026-11.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use muster_hub::DeviceCredential;
use muster_model::message::{MAX_MESSAGE, Message};
use muster_model::{DeviceId, ErrorCode, ReasonCode};
use muster_resources::Audience;
use muster_wire::message;

use crate::exchange::{Authorization, Exchange, Outcome, no_content};
use crate::problem::Problem;
use crate::router::Surface;
use crate::{audience, hub};

/// `POST /devices/{id}/messages/events`: one message, or a batch. A 204 means that all of it is on disk.
pub(crate) async fn events(exchange: &mut Exchange<'_>, id: &str) -> Outcome {
    exchange.trail.action = "send telemetry";
    exchange.trail.device = Some(id.to_owned());
    exchange.api_version()?;
    let hub = hub::called(exchange)?;
    let id =
        DeviceId::parse(id).map_err(|error| Problem::argument(Surface::HubDevice, format!("{error}.")))?;
    let chain = exchange.readable_chain()?.cloned();
    let token = match exchange.authorization()? {
        Authorization::Sas(token) => Some(token),
        Authorization::Nothing => None,
        // Devices have no bearer tokens.
        Authorization::Bearer(_) => return Err(exchange.unauthorized(ReasonCode::TokenMalformed)),
    };
    // Only a token is held against the names of the hub and the path.
    let (roots, path) = match &token {
        Some(_) => (audience::of_hub(exchange.backend, &hub), exchange.path()),
        None => Default::default(),
    };
    let roots: Vec<&str> = roots.iter().map(String::as_str).collect();
    let credential = DeviceCredential {
        chain: chain.as_ref(),
        token: token.as_ref(),
        audience: Audience {
            roots: &roots,
            path: &path,
        },
    };
    // Who calls is judged before his body is read.
    let permit = exchange
        .backend
        .authenticator
        .device(&hub, &id, credential, exchange.now)
        .await?;
    let body = exchange
        .read_body(MAX_MESSAGE)
        .await
        .map_err(|problem| match problem.code {
            ErrorCode::RequestEntityTooLarge => Problem::new(ErrorCode::MessageTooLarge),
            _ => problem,
        })?;
    let messages = read(exchange, &body)?;
    exchange
        .backend
        .telemetry
        .ingest(&permit, messages, exchange.now)
        .await?;
    exchange.backend.activity.note(&permit, exchange.now);
    Ok(no_content())
}

fn read(exchange: &Exchange<'_>, body: &[u8]) -> Result<Vec<Message>, Problem> {
    let wire = |error: muster_wire::Error| Problem::wire(Surface::HubDevice, &error);
    let content_type = exchange.header(CONTENT_TYPE.as_str());
    if message::is_batch(content_type) {
        return message::from_batch(body).map_err(wire);
    }
    let mut headers = Vec::new();
    for (name, value) in &exchange.headers {
        let name = name.as_str();
        if name.starts_with("iothub-")
            || name.starts_with("dt-")
            || name == CONTENT_TYPE
            || name == CONTENT_ENCODING
        {
            let value = value.to_str().map_err(|_| {
                Problem::argument(
                    Surface::HubDevice,
                    format!("The header {name} holds more than printable ASCII."),
                )
            })?;
            headers.push((name, value));
        }
    }
    Ok(vec![message::from_headers(headers, body.to_vec()).map_err(wire)?])
}
