//! The service interface of a provisioning service: enrollments, enrollment groups and registration states.
//!
//! Only paths that Azure has are called, so that everything here works against Azure too.

use http::{HeaderName, Method};
use muster_wire::api_version::DPS_CLIENT;
use muster_wire::page;
use serde_json::Value;

use crate::channel::{Channel, segment};
use crate::error::Error;
use crate::http::Call;
use crate::management::matching;

/// Items that are asked for with one call.
const PAGE: usize = 1000;

/// What is enrolled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Every device of a CA or of a group key.
    Group,
    /// One device.
    Individual,
}

impl Kind {
    const fn path(self) -> &'static str {
        match self {
            Self::Group => "enrollmentGroups",
            Self::Individual => "enrollments",
        }
    }

    /// The member that holds the id.
    pub const fn id_member(self) -> &'static str {
        match self {
            Self::Group => "enrollmentGroupId",
            Self::Individual => "registrationId",
        }
    }
}

/// Calls to the service interface of one provisioning service.
pub struct Provisioning {
    channel: Channel,
}

impl Provisioning {
    /// Calls the provisioning service that `channel` leads to.
    pub const fn new(channel: Channel) -> Self {
        Self { channel }
    }

    /// Reads an enrollment; keys are left out by the server.
    ///
    /// # Errors
    /// As [`Channel::json`].
    pub async fn enrollment(&self, kind: Kind, id: &str) -> Result<Value, Error> {
        self.channel
            .json(Call::new(Method::GET, enrollment(kind, id, "")))
            .await
    }

    /// Writes an enrollment; with `etag` only the one that has this entity tag (`*` for any).
    ///
    /// # Errors
    /// As [`Channel::json`].
    pub async fn put_enrollment(
        &self,
        kind: Kind,
        id: &str,
        document: &Value,
        etag: Option<&str>,
    ) -> Result<Value, Error> {
        let call = Call::new(Method::PUT, enrollment(kind, id, "")).json(document.to_string());
        self.channel.json(matching(call, etag)?).await
    }

    /// Deletes an enrollment.
    ///
    /// # Errors
    /// As [`Channel::send`].
    pub async fn delete_enrollment(&self, kind: Kind, id: &str, etag: &str) -> Result<(), Error> {
        let call = Call::new(Method::DELETE, enrollment(kind, id, ""));
        self.channel.send(matching(call, Some(etag))?).await?;
        Ok(())
    }

    /// Lists enrollments, `most` at most.
    ///
    /// # Errors
    /// As [`Channel::json`].
    pub async fn enrollments(&self, kind: Kind, most: usize) -> Result<Vec<Value>, Error> {
        self.query(&format!("/{}/query", kind.path()), most).await
    }

    /// Reads how a device of an enrollment proves itself, keys included.
    ///
    /// # Errors
    /// As [`Channel::json`].
    pub async fn attestation(&self, kind: Kind, id: &str) -> Result<Value, Error> {
        let target = enrollment(kind, id, "/attestationmechanism");
        self.channel.json(Call::new(Method::POST, target)).await
    }

    /// Reads a registration state.
    ///
    /// # Errors
    /// As [`Channel::json`].
    pub async fn registration(&self, id: &str) -> Result<Value, Error> {
        self.channel.json(Call::new(Method::GET, registration(id))).await
    }

    /// Deletes a registration state.
    ///
    /// # Errors
    /// As [`Channel::send`].
    pub async fn delete_registration(&self, id: &str, etag: &str) -> Result<(), Error> {
        let call = Call::new(Method::DELETE, registration(id));
        self.channel.send(matching(call, Some(etag))?).await?;
        Ok(())
    }

    /// Lists the registration states of a group, `most` at most.
    ///
    /// # Errors
    /// As [`Channel::json`].
    pub async fn registrations(&self, group: &str, most: usize) -> Result<Vec<Value>, Error> {
        self.query(&format!("/registrations/{}/query", segment(group)), most)
            .await
    }

    async fn query(&self, path: &str, most: usize) -> Result<Vec<Value>, Error> {
        let mut all: Vec<Value> = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let size = most.saturating_sub(all.len()).clamp(1, PAGE);
            let mut call = Call::new(Method::POST, format!("{path}?api-version={DPS_CLIENT}"))
                .json(r#"{"query":"SELECT *"}"#)
                .header(HeaderName::from_static(page::MAX_ITEM_COUNT), &size.to_string());
            if let Some(token) = &token {
                call = call.header(HeaderName::from_static(page::CONTINUATION), token);
            }
            let reply = self.channel.send(call).await?;
            let next = reply.header(page::CONTINUATION).map(str::to_owned);
            match reply.json()? {
                Value::Array(items) => all.extend(items),
                _ => return Err(Error::Unexpected("a list that is none".into())),
            }
            if next.is_none() || next == token || all.len() >= most {
                all.truncate(most);
                return Ok(all);
            }
            token = next;
        }
    }
}

fn enrollment(kind: Kind, id: &str, path: &str) -> String {
    format!("/{}/{}{path}?api-version={DPS_CLIENT}", kind.path(), segment(id))
}

fn registration(id: &str) -> String {
    format!("/registrations/{}?api-version={DPS_CLIENT}", segment(id))
}
