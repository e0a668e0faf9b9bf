//! One call on its way through the gateway: what came, what is known of it, and how it is answered.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri};
use hyper::body::Incoming;
use muster_model::refusal::{Protocol, Refusal, TokenClaims};
use muster_model::{ReasonCode, SasToken, TrackingId, Wall};
use muster_net::{Drain, Presented};
use muster_wire::api_version::ApiVersion;
use muster_wire::host::Host;

use crate::backend::Backend;
use crate::body::{self, Answer, ReadError};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::router::{Path, Query, Surface};

/// What is known of a call for its log line and, when it is refused, for its record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail {
    /// What was being done, in a few words.
    pub(crate) action: &'static str,
    /// The hub, the provisioning service or the id scope.
    pub(crate) target: Option<String>,
    /// The device id.
    pub(crate) device: Option<String>,
    /// The registration id.
    pub(crate) registration: Option<String>,
    /// What a token claimed.
    pub(crate) token: Option<TokenClaims>,
}

/// What a caller wrote into `Authorization`.
#[derive(Debug)]
pub(crate) enum Authorization {
    /// A bearer token.
    Bearer(String),
    /// Nothing.
    Nothing,
    /// A SAS token.
    Sas(SasToken),
}

/// One call.
pub(crate) struct Exchange<'a> {
    pub(crate) backend: &'a Arc<Backend>,
    pub(crate) caller: &'a Arc<Caller>,
    pub(crate) drain: &'a Drain,
    pub(crate) surface: Surface,
    pub(crate) tracking: TrackingId,
    pub(crate) now: Wall,
    pub(crate) host: Host,
    pub(crate) target: Uri,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Incoming>,
    pub(crate) trail: Trail,
}

/// How a call ends.
pub(crate) type Outcome = Result<Response<Answer>, Problem>;

impl Exchange<'_> {
    /// The path, its segments decoded once and joined without doubled slashes. Few calls need it.
    pub(crate) fn path(&self) -> String {
        Path::parse(self.target.path())
            .map(|path| path.segments().join("/"))
            .unwrap_or_default()
    }

    /// A header as text; `None` when it is absent or no text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Reads the body, within `limit` bytes and the time that callers are given.
    pub(crate) async fn read_body(&mut self, limit: usize) -> Result<Bytes, Problem> {
        // It stays where it is until it was read whole: what is left of it is thrown away before the answer goes out.
        let Some(incoming) = &mut self.body else {
            return Ok(Bytes::new());
        };
        match muster_net::time::timeout(self.backend.config.body_time, body::read(incoming, limit)).await {
            Ok(Ok(bytes)) => {
                self.body = None;
                Ok(bytes)
            }
            Ok(Err(error)) => Err(Problem::body(self.surface, &error)),
            Err(_) => Err(Problem::body(self.surface, &ReadError::Slow)),
        }
    }

    /// Reads `api-version` by the rule of the surface, and names one that no client is known to send once.
    pub(crate) fn api_version(&self) -> Result<ApiVersion, Problem> {
        let surface = match self.surface {
            Surface::Arm | Surface::Own | Surface::Public => muster_wire::Surface::Arm,
            Surface::DpsDevice | Surface::DpsService => muster_wire::Surface::Dps,
            Surface::HubDevice | Surface::HubService => muster_wire::Surface::Hub,
        };
        let version = ApiVersion::of_call(surface, self.query.value("api-version"))
            .map_err(|error| Problem::wire(self.surface, &error))?;
        if !version.is_known(surface) && self.backend.warned.first(version) {
            tracing::warn!(api.version = %version, "a client names a version that none is known to send");
        }
        Ok(version)
    }

    /// Reads `Authorization`.
    ///
    /// # Errors
    /// A refusal when it holds something that is no token.
    pub(crate) fn authorization(&mut self) -> Result<Authorization, Problem> {
        let Some(value) = self.headers.get(http::header::AUTHORIZATION) else {
            return Ok(Authorization::Nothing);
        };
        let text = value
            .to_str()
            .map_err(|_| self.unauthorized(ReasonCode::TokenMalformed))?
            .trim();
        if let Some(token) = text
            .get(..7)
            .filter(|s| s.eq_ignore_ascii_case("bearer "))
            .and(text.get(7..))
        {
            return Ok(Authorization::Bearer(token.trim().to_owned()));
        }
        match muster_wire::sas::parse(text) {
            Ok(token) => {
                self.trail.token = Some(TokenClaims {
                    resource: token.resource.clone(),
                    expiry: token.expiry,
                    policy: token.policy.clone(),
                });
                Ok(Authorization::Sas(token))
            }
            Err(error) => {
                tracing::debug!(%error, "a token can't be read");
                Err(self.unauthorized(ReasonCode::TokenMalformed))
            }
        }
    }

    /// A refusal of this surface's callers.
    pub(crate) fn unauthorized(&self, reason: ReasonCode) -> Problem {
        use muster_model::ErrorCode;
        let code = match self.surface {
            Surface::Arm | Surface::Own | Surface::Public => ErrorCode::ArmUnauthenticated,
            Surface::DpsDevice | Surface::DpsService => ErrorCode::DpsUnauthorized,
            Surface::HubDevice | Surface::HubService => ErrorCode::IotHubUnauthorizedAccess,
        };
        Problem::new(code).with_reason(reason)
    }

    /// Refuses a caller whose leaf is no certificate that can be read.
    pub(crate) fn readable_chain(&self) -> Result<Option<&muster_pki::Chain>, Problem> {
        match &self.caller.presented {
            Presented::Chain(chain) => Ok(Some(chain)),
            Presented::Nothing => Ok(None),
            Presented::Unreadable => Err(self.unauthorized(ReasonCode::CertificateUnreadable)),
        }
    }

    /// The facts of this call as those of a refusal.
    pub(crate) fn refusal(&self, reason: ReasonCode) -> Refusal {
        Refusal {
            tracking: self.tracking,
            at: self.now,
            reason,
            protocol: Protocol::Https,
            address: Some(self.caller.address),
            action: self.trail.action,
            target: self.trail.target.clone(),
            device: self.trail.device.clone(),
            registration: self.trail.registration.clone(),
            chain: self.caller.chain().cloned(),
            token: self.trail.token.clone(),
        }
    }

    /// The text that a demand about versions was written in.
    pub(crate) fn if_match(&self, kind: muster_wire::etag::Kind) -> muster_model::IfMatch {
        muster_wire::etag::if_match(kind, self.header("if-match"))
    }
}

/// Answers JSON, sent with its length.
pub(crate) fn json(status: StatusCode, body: String) -> Response<Answer> {
    with_json(status, Answer::Whole(Some(Bytes::from(body))))
}

/// Answers JSON in chunks, as devices of provisioning are answered.
pub(crate) fn chunked_json(status: StatusCode, body: String) -> Response<Answer> {
    with_json(status, Answer::Chunked(Some(Bytes::from(body))))
}

fn with_json(status: StatusCode, body: Answer) -> Response<Answer> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    response
}

/// Answers without a body.
pub(crate) fn no_content() -> Response<Answer> {
    let mut response = Response::new(Answer::None);
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
        .headers_mut()
        .insert(http::header::VARY, HeaderValue::from_static("Origin"));
    // Azure says so, and the tutorials show it; the HTTP library leaves it out of a 204 by itself.
    response
        .headers_mut()
        .insert(http::header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}

/// Adds a header whose value was made here; one that can't stand in a header is left out and logged.
pub(crate) fn set_header(response: &mut Response<Answer>, name: HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => {
            response.headers_mut().insert(name, value);
        }
        Err(error) => tracing::warn!(%name, %error, "a header of an answer can't be written"),
    }
}
