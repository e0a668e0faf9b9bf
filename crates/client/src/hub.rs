//! The service interface of a hub: device identities.
//!
//! Only paths that Azure has are called, so that everything here works against Azure too.

use http::Method;
use muster_wire::api_version::HUB_CLIENT;
use serde_json::Value;

use crate::channel::{Channel, segment};
use crate::error::Error;
use crate::http::Call;
use crate::management::matching;

/// Devices that one bulk call takes at most. Source: IoT Hub REST reference, "Bulk Registry", read 2026-11.
pub const MAX_BULK: usize = 100;

/// Devices that one list call gives at most. Source: IoT Hub REST reference, "Devices", read 2026-11.
pub const MAX_LISTED: usize = 1000;

/// Calls to the service interface of one hub.
pub struct Hub {
    channel: Channel,
}

impl Hub {
    /// Calls the hub that `channel` leads to.
    pub const fn new(channel: Channel) -> Self {
        Self { channel }
    }

    /// The hub's full name.
    pub fn host(&self) -> &str {
        self.channel.host()
    }

    /// Reads a device identity, keys included.
    ///
    /// # Errors
    /// As [`Channel::json`].
    pub async fn device(&self, id: &str) -> Result<Value, Error> {
        self.channel.json(Call::new(Method::GET, path(id))).await
    }

    /// Writes a device identity: makes one without `etag`, changes the one that has this entity tag otherwise (`*` for any).
    ///
    /// # Errors
    /// As [`Channel::json`].
    pub async fn put_device(&self, id: &str, document: &Value, etag: Option<&str>) -> Result<Value, Error> {
        let call = Call::new(Method::PUT, path(id)).json(document.to_string());
        self.channel
            .json(matching(call, etag.map(quoted).as_deref())?)
            .await
    }

    /// Deletes a device identity.
    ///
    /// # Errors
    /// As [`Channel::send`].
    pub async fn delete_device(&self, id: &str, etag: &str) -> Result<(), Error> {
        let call = Call::new(Method::DELETE, path(id));
        self.channel.send(matching(call, Some(&quoted(etag)))?).await?;
        Ok(())
    }

    /// Lists device identities in the order of their ids, `most` at most. Azure tells [`MAX_LISTED`] and no more; with
    /// `whole`, further ones are asked for by a parameter that only Muster knows.
    ///
    /// # Errors
    /// As [`Channel::json`].
    pub async fn devices(&self, most: usize, whole: bool) -> Result<Vec<Value>, Error> {
        let mut all: Vec<Value> = Vec::new();
        let mut after: Option<String> = None;
        while all.len() < most {
            let top = most.saturating_sub(all.len()).min(MAX_LISTED);
            let behind = after
                .as_deref()
                .map(|id| format!("&after={}", segment(id)))
                .unwrap_or_default();
            let target = format!("/devices?top={top}{behind}&api-version={HUB_CLIENT}");
            let Value::Array(items) = self.channel.json(Call::new(Method::GET, target)).await? else {
                return Err(Error::Unexpected("a list that is none".into()));
            };
            let last = items
                .last()
                .and_then(|last| last.get("deviceId")?.as_str())
                .map(str::to_owned);
            let full = items.len() >= top;
            all.extend(items);
            if !full || !whole || last.is_none() || last == after {
                break;
            }
            after = last;
        }
        all.truncate(most);
        Ok(all)
    }

    /// Writes up to [`MAX_BULK`] device identities in one call and returns the outcome, which tells what failed.
    ///
    /// # Errors
    /// As [`Channel::ask`]; [`Error::Refused`] when the call as a whole was refused.
    pub async fn bulk(&self, devices: &[Value]) -> Result<Value, Error> {
        let body = Value::from(devices).to_string();
        let call = Call::new(Method::POST, format!("/devices?api-version={HUB_CLIENT}")).json(body);
        let reply = self.channel.ask(call).await?;
        // Where a part failed, the same document comes with a 400.
        if reply.status == 400
            && let Ok(outcome) = reply.json()
            && outcome.get("isSuccessful").is_some()
        {
            return Ok(outcome);
        }
        reply.accepted()?.json()
    }
}

fn path(id: &str) -> String {
    format!("/devices/{}?api-version={HUB_CLIENT}", segment(id))
}

/// Hubs take entity tags in quotes.
fn quoted(etag: &str) -> String {
    if etag.starts_with('"') {
        etag.to_owned()
    } else {
        format!("\"{etag}\"")
    }
}
