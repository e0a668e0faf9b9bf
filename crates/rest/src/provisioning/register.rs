//! `PUT /{idScope}/registrations/{registrationId}/register`

use http::StatusCode;
use http::header::{LOCATION, RETRY_AFTER};
use muster_wire::registration::{OperationStatus, RETRY_AFTER as SECONDS, register_path};

use super::{SURFACE, attempt, note_refusal};
use crate::exchange::{Exchange, Outcome, chunked_json, set_header};
use crate::problem::Problem;

/// Registers a device. What can be decided at once is decided and durable when this answers; the device reads
/// `assigning` all the same, for its clients expect to poll.
pub(crate) async fn register(exchange: &mut Exchange<'_>, scope: &str, id: &str) -> Outcome {
    exchange.trail.action = "register";
    let (attempt, registration, version) = attempt(exchange, scope, id, true).await?;
    if registration.csr.is_some() && version.takes_signing_requests() {
        return Err(Problem::argument(
            SURFACE,
            "Issuing certificates for signing requests is not offered.",
        ));
    }
    let (service, id) = (attempt.service.clone(), attempt.id.clone());
    let done = exchange
        .backend
        .registrar
        .register(&attempt, exchange.now)
        .await?;
    note_refusal(exchange, done.refusal);
    let Some(operation) = done.id else {
        // The enrollment is disabled: there is nothing to poll.
        return Ok(chunked_json(
            StatusCode::OK,
            OperationStatus::of(&done.state, version).to_json(),
        ));
    };
    let mut response = chunked_json(
        StatusCode::ACCEPTED,
        OperationStatus::assigning(&operation).to_json(),
    );
    let host = exchange.backend.domain.global();
    set_header(
        &mut response,
        LOCATION,
        &format!("https://{host}{}", register_path(&service.id_scope, &id)),
    );
    set_header(&mut response, RETRY_AFTER, &SECONDS.to_string());
    Ok(response)
}
