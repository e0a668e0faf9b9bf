//! `GET /{idScope}/registrations/{registrationId}/operations/{operationId}`

use http::StatusCode;
use http::header::{LOCATION, RETRY_AFTER};
use muster_model::{ErrorCode, OperationId};
use muster_wire::registration::{OperationStatus, RETRY_AFTER as SECONDS, register_path};

use super::attempt;
use crate::exchange::{Exchange, Outcome, chunked_json, set_header};
use crate::problem::Problem;

/// Tells a device what became of its registration. A body that comes with the GET is ignored.
pub(crate) async fn operation(
    exchange: &mut Exchange<'_>,
    scope: &str,
    id: &str,
    operation: &str,
) -> Outcome {
    exchange.trail.action = "ask for a registration's outcome";
    let (attempt, _, version) = attempt(exchange, scope, id, false).await?;
    let operation =
        OperationId::parse(operation).map_err(|_| Problem::new(ErrorCode::DpsRegistrationNotFound))?;
    let (service, id) = (attempt.service.clone(), attempt.id.clone());
    let found = exchange
        .backend
        .registrar
        .operation(&attempt, &operation, exchange.now)
        .await?;
    let status = OperationStatus::of(&found.state, version);
    if !status.is_assigning() {
        return Ok(chunked_json(StatusCode::OK, status.to_json()));
    }
    let mut response = chunked_json(StatusCode::ACCEPTED, status.to_json());
    let host = exchange.backend.domain.global();
    set_header(
        &mut response,
        LOCATION,
        &format!("https://{host}{}", register_path(&service.id_scope, &id)),
    );
    set_header(&mut response, RETRY_AFTER, &SECONDS.to_string());
    Ok(response)
}
