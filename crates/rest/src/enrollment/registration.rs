//! Registration states.

use http::StatusCode;
use muster_wire::registration::{DeviceRegistrationState, states_json};
use muster_wire::{etag, page};

use super::{answer_page, asked_page, body, group_id, permit, registration_id};
use crate::exchange::{Exchange, Outcome, json, no_content};

/// `GET /registrations/{id}`
pub(crate) async fn get(exchange: &mut Exchange<'_>, id: &str) -> Outcome {
    let permit = permit(exchange, "read a registration")?;
    let id = registration_id(exchange, id)?;
    let state = exchange.backend.registrations.read(&permit, &id).await?;
    Ok(json(
        StatusCode::OK,
        DeviceRegistrationState::from(&state).to_json(),
    ))
}

/// `DELETE /registrations/{id}`
pub(crate) async fn delete(exchange: &mut Exchange<'_>, id: &str) -> Outcome {
    let permit = permit(exchange, "delete a registration")?;
    let id = registration_id(exchange, id)?;
    let if_match = exchange.if_match(etag::Kind::Dps);
    exchange
        .backend
        .registrations
        .delete(&permit, &id, if_match)
        .await?;
    Ok(no_content())
}

/// `POST /registrations/{groupId}/query`; a body may be missing.
pub(crate) async fn query(exchange: &mut Exchange<'_>, group: &str) -> Outcome {
    let permit = permit(exchange, "list registrations")?;
    let group = group_id(exchange, group)?;
    let (after, limit) = asked_page(exchange)?;
    body(exchange).await?;
    let page = exchange
        .backend
        .registrations
        .list(&permit, &group, after.as_deref(), limit)
        .await?;
    let json = states_json(&page.items);
    Ok(answer_page(&page, page::DEVICE_REGISTRATION, json))
}
