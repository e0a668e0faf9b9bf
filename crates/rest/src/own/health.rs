//! Whether the server lives and can work, and which certificate it is known by. Anybody may ask.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};

use crate::body::Answer;
use crate::exchange::{Exchange, Outcome};
use crate::problem::Problem;

fn text(status: StatusCode, kind: &'static str, body: String) -> Response<Answer> {
    let mut response = Response::new(Answer::Whole(Some(Bytes::from(body))));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// `GET /healthz`
pub(crate) fn alive(exchange: &mut Exchange<'_>) -> Response<Answer> {
    exchange.trail.action = "ask for health";
    text(StatusCode::OK, "text/plain; charset=utf-8", "alive\n".into())
}

/// `GET /readyz`
pub(crate) fn ready(exchange: &mut Exchange<'_>) -> Response<Answer> {
    exchange.trail.action = "ask for readiness";
    let mut obstacles = exchange.backend.readiness.obstacles();
    if exchange.drain.has_begun() {
        obstacles.push("the server is stopping".into());
    }
    let status = if obstacles.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = if obstacles.is_empty() {
        "ready".into()
    } else {
        obstacles.join("\n")
    };
    text(status, "text/plain; charset=utf-8", format!("{body}\n"))
}

/// `GET /ca.pem`
pub(crate) fn trusted(exchange: &mut Exchange<'_>) -> Outcome {
    exchange.trail.action = "fetch the trusted certificate";
    let pem = (exchange.backend.trusted)()
        .map_err(|error| Problem::internal(exchange.surface, format!("the trusted certificate: {error}")))?;
    Ok(text(StatusCode::OK, "application/x-pem-file", pem))
}
