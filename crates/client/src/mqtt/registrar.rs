//! Registering with a provisioning service.
//!
//! One request is under way at a time, named by a counter. A refused credential may show in CONNACK, or in the answer to
//! the first request, which tells why.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use muster_model::{Clock, IdScope, RegistrationId};
use muster_wire::mqtt::{
    ProvisioningResponse, RESPONSES, operation_status, provisioning_user_name, register as register_topic,
};
use muster_wire::registration::{OperationStatus, sas_resource};
use serde_json::Value;

use super::connection::{Connection, Event, Opening};
use super::{KEEP_ALIVE, PROGRAM, password, stream};
use crate::channel::{Credential, Server};
use crate::device::{MAX_CALLS, Registered, registration_body, rest};
use crate::error::Error;
use crate::http::Reply;
use crate::protocol::Protocol;

/// How long one answer may take.
const ANSWER_TIME: Duration = Duration::from_mins(1);

/// Where a device registers, and as what.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// Where servers are.
    pub server: &'a Server,
    /// [`Protocol::Mqtt`] or [`Protocol::MqttWs`].
    pub protocol: Protocol,
    /// The name of the place where devices register.
    pub host: &'a str,
    /// The id scope.
    pub id_scope: &'a IdScope,
    /// What the device proves itself by.
    pub credential: &'a Credential,
}

/// Registers and waits for the outcome, whatever it is, in the rhythm that the server asks for.
///
/// # Errors
/// [`Error::NotAccepted`], [`Error::Refused`] when the server says no; [`Error::Unexpected`] when the answer is none, or
/// there is no end; and whatever a connection can bring.
pub async fn register(
    scope: Scope<'_>,
    id: &RegistrationId,
    payload: Option<&Value>,
    clock: &dyn Clock,
) -> Result<Registered, Error> {
    let (wire, place) = stream(scope.server, scope.protocol, scope.host, scope.credential).await?;
    let password = password(scope.credential, &sas_resource(scope.id_scope, id), clock)?;
    let opening = Opening {
        client_id: id.as_str(),
        user_name: &provisioning_user_name(scope.id_scope.as_str(), id.as_str(), PROGRAM),
        password: password.as_ref().map(|one| one.text.as_str()),
        keep_alive: KEEP_ALIVE,
        window: 1,
    };
    let mut connection = Connection::open(wire, place, &opening).await?;
    let outcome = registered(&mut connection, id, payload).await;
    if let Err(error) = connection.disconnect().await {
        // The outcome is there already.
        tracing::debug!(%error, "the end of a registration's connection");
    }
    outcome
}

pub(super) async fn registered(
    connection: &mut Connection,
    id: &RegistrationId,
    payload: Option<&Value>,
) -> Result<Registered, Error> {
    connection.subscribe(RESPONSES).await?;
    let body = registration_body(id, payload).to_string();
    let mut operation: Option<String> = None;
    for rid in 1..=MAX_CALLS {
        let rid = rid.to_string();
        let reply = match &operation {
            None => ask(connection, &register_topic(&rid), body.as_bytes(), &rid).await?,
            Some(operation) => ask(connection, &operation_status(&rid, operation), b" ", &rid).await?,
        };
        if reply.status == 429 || reply.status == 503 {
            pause(connection, &reply).await?;
            continue;
        }
        let reply = reply.accepted()?;
        let status = OperationStatus::read(&reply.body).map_err(|e| Error::Unexpected(e.to_string()))?;
        if !status.is_assigning() {
            return Ok(Registered {
                document: reply.json()?,
                status,
            });
        }
        pause(connection, &reply).await?;
        operation = Some(status.operation_id);
    }
    Err(Error::Unexpected("the registration does not end".into()))
}

/// Makes one request and waits for its answer, which is taken as if it had come over HTTP.
async fn ask(connection: &mut Connection, topic: &str, body: &[u8], rid: &str) -> Result<Reply, Error> {
    let late = Error::TimedOut {
        host: connection.place().to_owned(),
        seconds: ANSWER_TIME.as_secs(),
    };
    let answer = async {
        // The acknowledgement of the request before may come behind its answer.
        while connection.publish(topic, body)?.is_none() {
            connection.next().await?;
        }
        loop {
            if let Event::Message { topic, body } = connection.next().await?
                && let Some(response) = ProvisioningResponse::parse(&topic)
                && response.rid == rid
            {
                let wait = response.retry_after.map(HeaderValue::from);
                return Ok(Reply {
                    status: response.status,
                    headers: HeaderMap::from_iter(wait.map(|wait| (header::RETRY_AFTER, wait))),
                    body: Bytes::from(body),
                });
            }
        }
    };
    tokio::time::timeout(ANSWER_TIME, answer)
        .await
        .unwrap_or(Err(late))
}

/// Waits as long as the server asks, and listens meanwhile: a connection that breaks is told at once.
async fn pause(connection: &mut Connection, reply: &Reply) -> Result<(), Error> {
    let mut rest = std::pin::pin!(rest(reply));
    loop {
        tokio::select! {
            () = &mut rest => return Ok(()),
            event = connection.next() => drop(event?),
        }
    }
}
