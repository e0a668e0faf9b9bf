//! From a request to its operation: which name leads where, which surfaces it serves, and how a problem is answered.

use std::sync::Arc;

use http::header::{EXPECT, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use muster_model::{ErrorCode, ReasonCode, TrackingId};
use muster_net::Drain;
use muster_wire::fault::Fault;
use muster_wire::host::Host;

use crate::backend::Backend;
use crate::body::{self, Answer};
use crate::caller::Caller;
use crate::exchange::{Exchange, Trail, json, set_header};
use crate::operations::{ROUTES, run};
use crate::problem::Problem;
use crate::router::{self, Found, Path, Query, Surface};

/// An answer with what its access line needs.
pub(crate) struct Done {
    pub(crate) response: Response<Answer>,
    pub(crate) surface: Option<Surface>,
    pub(crate) operation: &'static str,
    pub(crate) tracking: TrackingId,
    pub(crate) error: Option<&'static str>,
    pub(crate) reason: Option<ReasonCode>,
    pub(crate) trail: Trail,
}

/// Answers a request.
pub(crate) async fn dispatch(
    backend: &Arc<Backend>,
    caller: &Arc<Caller>,
    drain: &Drain,
    request: Request<Incoming>,
) -> Done {
    let tracking = backend.random.draw(|rng| TrackingId::random(rng));
    let now = backend.clock.wall();
    let (head, body) = request.into_parts();
    let host = host_of(backend, caller, &head.headers, head.uri.host());
    let path = Path::parse(head.uri.path());
    let mut exchange = Exchange {
        backend,
        caller,
        drain,
        surface: guess_surface(&host, path.as_ref().ok()),
        tracking,
        now,
        host,
        query: Query::parse(head.uri.query()),
        target: head.uri,
        headers: head.headers,
        body: Some(body),
        trail: Trail::default(),
    };
    let (operation, outcome) = match path {
        // RFC 9112 §3.2, read 2026-11-25: whoever stands before the server may have gone by the other one.
        _ if exchange.headers.get_all(HOST).iter().nth(1).is_some() => (
            "none",
            Err(Problem::argument(
                exchange.surface,
                "The request has more than one Host.",
            )),
        ),
        Err(error) => ("none", Err(Problem::bad_path(exchange.surface, error))),
        Ok(path) => route(&mut exchange, &head.method, &path).await,
    };
    // Who waits to be told to go on is told the answer instead, and sends nothing.
    if let (Some(body), false) = (&mut exchange.body, exchange.headers.contains_key(EXPECT)) {
        body::discard(body).await;
    }
    match outcome {
        Ok(response) => Done {
            response,
            surface: Some(exchange.surface),
            operation,
            tracking,
            error: None,
            reason: None,
            trail: exchange.trail,
        },
        Err(problem) => refuse(exchange, operation, &problem),
    }
}

async fn route(
    exchange: &mut Exchange<'_>,
    method: &Method,
    path: &Path,
) -> (&'static str, Result<Response<Answer>, Problem>) {
    let found = router::find(ROUTES, |surface| serves(&exchange.host, surface), method, path);
    match found {
        Found::Operation(surface, operation, parameters) => {
            exchange.surface = surface;
            if let (Host::Unknown, false) = (&exchange.host, surface == Surface::Public) {
                return ("none", Err(unknown_hub(exchange)));
            }
            (operation.name(), run(exchange, operation, &parameters).await)
        }
        Found::OtherMethod(surface) => {
            exchange.surface = surface;
            ("none", Err(Problem::other_method(surface)))
        }
        Found::Nothing if exchange.host == Host::Unknown => ("none", Err(unknown_hub(exchange))),
        Found::Nothing => ("none", Err(Problem::no_such_path(exchange.surface))),
    }
}

fn unknown_hub(exchange: &mut Exchange<'_>) -> Problem {
    exchange.trail.action = "call a hub";
    exchange.trail.target = exchange
        .headers
        .get(HOST)
        .and_then(|h| h.to_str().ok())
        .map(str::to_owned);
    Problem::new(ErrorCode::GenericNotFound)
        .with_message("no such hub")
        .with_reason(ReasonCode::HubUnknown)
}

/// Where the request leads: the `Host` header decides, the name of the handshake only when there is none.
fn host_of(backend: &Backend, caller: &Caller, headers: &HeaderMap, in_target: Option<&str>) -> Host {
    let named = in_target.or_else(|| headers.get(HOST).map(|value| value.to_str().unwrap_or("?")));
    match named.or(caller.server_name.as_deref()) {
        Some(name) => backend.domain.classify(name),
        // Neither a Host nor a name: the caller connected to an address.
        None => Host::Machine,
    }
}

/// Tells whether a name serves a surface.
fn serves(host: &Host, surface: Surface) -> bool {
    if surface == Surface::Public {
        return true;
    }
    match host {
        Host::Machine => true,
        Host::Global => surface == Surface::DpsDevice,
        Host::Service(_) => matches!(surface, Surface::DpsDevice | Surface::DpsService),
        Host::Hub(_) | Host::Unknown => matches!(surface, Surface::HubDevice | Surface::HubService),
    }
}

/// First segments of management's own paths.
const MANAGEMENT: &[&str] = &["subscriptions", "tenants", "metadata", "providers", "muster"];

/// The surface whose form of errors fits a path that leads nowhere.
fn guess_surface(host: &Host, path: Option<&Path>) -> Surface {
    let is = |place: usize, words: &[&str]| {
        path.and_then(|path| path.segments().get(place))
            .is_some_and(|segment| words.iter().any(|word| segment.eq_ignore_ascii_case(word)))
    };
    match host {
        Host::Global => Surface::DpsDevice,
        Host::Service(_) => Surface::DpsService,
        Host::Machine if is(0, &["enrollments", "enrollmentgroups", "registrations"]) => Surface::DpsService,
        Host::Machine if is(1, &["registrations"]) => Surface::DpsDevice,
        Host::Machine if is(0, MANAGEMENT) || path.is_none_or(|path| path.segments().is_empty()) => {
            Surface::Arm
        }
        Host::Hub(_) | Host::Machine | Host::Unknown => Surface::HubService,
    }
}

fn refuse(exchange: Exchange<'_>, operation: &'static str, problem: &Problem) -> Done {
    let mut fault = Fault::new(problem.code, exchange.tracking, exchange.now);
    if let Some(message) = &problem.message {
        fault = fault.with_message(message.clone());
    }
    if let Some(seconds) = problem.retry_after {
        fault = fault.with_retry_after(seconds);
    }
    let name = fault.entry().name;
    let status = StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status.is_server_error() {
        let detail = problem.detail.as_deref().unwrap_or_default();
        tracing::error!(tracking.id = %exchange.tracking, error.code = name, detail, "a call failed");
    }
    if let Some(reason) = problem.reason {
        exchange.backend.refusal_log.report(exchange.refusal(reason));
    }
    let certificates = exchange.surface == Surface::Arm
        && exchange
            .path()
            .split('/')
            .any(|part| part.eq_ignore_ascii_case("certificates"));
    let body = if certificates {
        fault.certificate_body()
    } else {
        fault.body()
    };
    let mut response = json(status, body);
    if let Some((name, value)) = fault.header() {
        set_header(&mut response, http::HeaderName::from_static(name), &value);
    }
    if let Some(seconds) = fault.retry_after {
        set_header(&mut response, http::header::RETRY_AFTER, &seconds.to_string());
    }
    if problem.code == ErrorCode::ArmUnauthenticated {
        let challenge = HeaderValue::from_static("Bearer realm=\"muster\"");
        response
            .headers_mut()
            .insert(http::header::WWW_AUTHENTICATE, challenge);
    }
    Done {
        response,
        surface: Some(exchange.surface),
        operation,
        tracking: exchange.tracking,
        error: Some(name),
        reason: problem.reason,
        trail: exchange.trail,
    }
}
