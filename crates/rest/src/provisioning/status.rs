//! `POST /{idScope}/registrations/{registrationId}`

use http::StatusCode;
use muster_wire::registration::RegistrationResult;

use super::{SURFACE, attempt};
use crate::exchange::{Exchange, Outcome, chunked_json};
use crate::problem::Problem;

/// Tells a device the state of its registration, without the wrapper of an operation.
pub(crate) async fn status(exchange: &mut Exchange<'_>, scope: &str, id: &str) -> Outcome {
    exchange.trail.action = "ask for a registration's state";
    let (attempt, registration, version) = attempt(exchange, scope, id, true).await?;
    if registration.csr.is_some() {
        return Err(Problem::argument(
            SURFACE,
            "A signing request has no place in this call.",
        ));
    }
    let state = exchange
        .backend
        .registrar
        .registration_status(&attempt, exchange.now)
        .await?;
    Ok(chunked_json(
        StatusCode::OK,
        RegistrationResult::of(&state, version).to_json(),
    ))
}
