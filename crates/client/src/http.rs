//! HTTPS calls over one kept connection.
//!
//! Answers are bounded in size and time.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use muster_wire::fault::ReceivedFault;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::error::Error;
use crate::io::TokioIo;
use crate::link::Link;
use crate::tls::{Alpn, Anchors, ClientIdentity, Trust};

/// Largest answer that is read, in bytes.
const MAX_REPLY: usize = 64 << 20;

/// Longest time for one call, unless the caller sets another.
const CALL_TIME: Duration = Duration::from_mins(1);

/// One call.
#[derive(Clone)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// Path and query, beginning with a slash.
    pub target: String,
    /// Headers besides `Host`.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
}

impl fmt::Debug for Call {
    /// Leaves the body out, for it may hold keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, {} bytes", self.method, self.target, self.body.len())
    }
}

impl Call {
    /// Makes a call without headers and body.
    pub fn new(method: Method, target: impl Into<String>) -> Self {
        Self {
            method,
            target: target.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// Adds a header; a value that can't stand in a header is left out, and the server will say what is missing.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(name, value);
        }
        self
    }

    /// Adds the header `Authorization`, which is never shown.
    #[must_use]
    pub fn authorization(mut self, value: &str) -> Self {
        if let Ok(mut value) = HeaderValue::from_str(value) {
            value.set_sensitive(true);
            self.headers.insert(http::header::AUTHORIZATION, value);
        }
        self
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header(http::header::CONTENT_TYPE, "application/json; charset=utf-8")
    }
}

/// An answer that was read whole.
#[derive(Clone)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl fmt::Debug for Reply {
    /// Leaves the body out, for it may hold keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} bytes", self.status, self.body.len())
    }
}

impl Reply {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The seconds that the server asks to wait.
    pub fn retry_after(&self) -> Option<u64> {
        self.header("retry-after")?.trim().parse().ok()
    }

    /// Takes an answer that says yes, and makes the rest an error that carries the server's words.
    ///
    /// # Errors
    /// [`Error::Refused`] for any status but 2xx.
    pub fn accepted(self) -> Result<Self, Error> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let fault = ReceivedFault::read(&self.body);
        let code = match (fault.number, fault.name) {
            (Some(number), Some(name)) => Some(format!("{number} {name}")),
            (Some(number), None) => Some(number.to_string()),
            (None, name) => name,
        };
        let message = if fault.message.trim().is_empty() {
            "the server gives no reason".to_owned()
        } else {
            fault.message
        };
        let tracking_id = fault
            .tracking
            .or_else(|| self.header("x-ms-request-id").map(str::to_owned));
        Err(Error::Refused {
            status: self.status,
            code,
            message,
            tracking_id,
        })
    }

    /// Reads the body as JSON; an empty body is `null`.
    ///
    /// # Errors
    /// [`Error::Unexpected`].
    pub fn json(&self) -> Result<Value, Error> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).map_err(|e| Error::Unexpected(format!("it is not JSON: {e}")))
    }
}

/// Makes calls to one host over a connection that is kept and opened anew when it broke.
pub struct Http {
    link: Link,
    call_time: Duration,
    connection: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl Http {
    /// Prepares calls to `host` at `port`; connects at the first one.
    ///
    /// # Errors
    /// [`Error::Identity`], [`Error::Tls`] when trust can't be set up.
    pub fn new(
        host: impl Into<String>,
        port: u16,
        address: Option<SocketAddr>,
        trust: &Trust,
        identity: Option<&ClientIdentity>,
    ) -> Result<Self, Error> {
        Ok(Self::over(Link {
            host: host.into(),
            port,
            address,
            through: None,
            config: Anchors::new(trust.clone()).settings(Alpn::Http, identity)?,
        }))
    }

    /// Prepares calls over connections of that kind.
    pub(crate) fn over(link: Link) -> Self {
        Self {
            link,
            call_time: CALL_TIME,
            connection: Mutex::new(None),
        }
    }

    /// Sets the longest time for one call.
    #[must_use]
    pub fn with_call_time(mut self, call_time: Duration) -> Self {
        self.call_time = call_time;
        self
    }

    /// Looks up another name in place of the one that is called, for servers that answer to many names at one place.
    #[must_use]
    pub fn reached_through(mut self, host: impl Into<String>) -> Self {
        self.link.through = Some(host.into());
        self
    }

    /// The name that is called.
    pub fn host(&self) -> &str {
        &self.link.host
    }

    fn place(&self) -> String {
        self.link.place()
    }

    /// Makes a call and reads the answer whole. A call on a kept connection that the server closed meanwhile is made
    /// again on a new one.
    ///
    /// # Errors
    /// Everything but [`Error::Refused`]: a status is the caller's to judge.
    pub async fn send(&self, call: &Call) -> Result<Reply, Error> {
        let answer = async {
            let (head, body) = self.answer(call).await?.into_parts();
            let body = http_body_util::Limited::new(body, MAX_REPLY);
            let body = body.collect().await.map_err(|error| {
                if error.is::<http_body_util::LengthLimitError>() {
                    Error::TooLarge {
                        host: self.place(),
                        limit: MAX_REPLY,
                    }
                } else {
                    Error::Broken {
                        host: self.place(),
                        detail: error.to_string(),
                    }
                }
            })?;
            Ok(Reply {
                status: head.status.as_u16(),
                headers: head.headers,
                body: body.to_bytes(),
            })
        };
        tokio::time::timeout(self.call_time, answer)
            .await
            .map_err(|_| Error::TimedOut {
                host: self.place(),
                seconds: self.call_time.as_secs(),
            })?
    }

    /// Makes a call whose answer comes piece by piece, on a connection of its own.
    ///
    /// # Errors
    /// As [`Http::send`].
    pub async fn stream(&self, call: &Call) -> Result<(u16, HeaderMap, Pieces), Error> {
        let mut sender = self.connect().await?;
        let request = self.request(call)?;
        let answer = sender.send_request(request).await.map_err(|e| self.broken(&e))?;
        let (head, body) = answer.into_parts();
        Ok((
            head.status.as_u16(),
            head.headers,
            Pieces {
                host: self.place(),
                body,
                _sender: sender,
            },
        ))
    }

    /// Connects now, so that the first call finds a connection.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Tls`], [`Error::Broken`], [`Error::TimedOut`].
    pub async fn open(&self) -> Result<(), Error> {
        let mut kept = self.connection.lock().await;
        if kept.is_none() {
            let connected = tokio::time::timeout(self.call_time, self.connect()).await;
            *kept = Some(connected.map_err(|_| Error::TimedOut {
                host: self.place(),
                seconds: self.call_time.as_secs(),
            })??);
        }
        Ok(())
    }

    async fn answer(&self, call: &Call) -> Result<http::Response<Incoming>, Error> {
        let mut kept = self.connection.lock().await;
        if let Some(mut sender) = kept.take()
            && sender.ready().await.is_ok()
        {
            // Only what certainly did not reach the server is repeated.
            match sender.try_send_request(self.request(call)?).await {
                Ok(answer) => {
                    *kept = Some(sender);
                    return Ok(answer);
                }
                Err(mut error) => {
                    if error.take_message().is_none() {
                        return Err(self.broken(error.error()));
                    }
                }
            }
        }
        let mut sender = self.connect().await?;
        let answer = sender
            .send_request(self.request(call)?)
            .await
            .map_err(|e| self.broken(&e))?;
        *kept = Some(sender);
        Ok(answer)
    }

    fn broken(&self, error: &hyper::Error) -> Error {
        let mut detail = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            detail = format!("{detail}: {cause}");
            source = cause.source();
        }
        Error::Broken {
            host: self.place(),
            detail,
        }
    }

    fn request(&self, call: &Call) -> Result<Request<Full<Bytes>>, Error> {
        let unexpected = |detail: String| Error::Unexpected(format!("the call can't be written: {detail}"));
        let uri: Uri = call
            .target
            .parse()
            .map_err(|e: http::uri::InvalidUri| unexpected(e.to_string()))?;
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = call.headers.clone();
        let host = HeaderValue::from_str(&self.link.authority()).map_err(|e| unexpected(e.to_string()))?;
        request.headers_mut().insert(http::header::HOST, host);
        Ok(request)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Error> {
        let stream = self.link.connect().await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.broken(&error))?;
        tokio::spawn(async move {
            // How the connection ended is told by the call that was on it.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
        });
        Ok(sender)
    }
}

/// An answer that comes piece by piece.
pub struct Pieces {
    host: String,
    body: Incoming,
    /// The connection ends with its sender.
    _sender: SendRequest<Full<Bytes>>,
}

impl Pieces {
    /// Waits for the next piece; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Broken`].
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|e| Error::Broken {
                host: self.host.clone(),
                detail: e.to_string(),
            })?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}
