//! Calls that only Muster has: events as lines of JSON, and explained refusals.

use http::Method;
use serde_json::Value;

use crate::channel::{Channel, segment};
use crate::error::Error;
use crate::http::{Call, Pieces};

/// Longest line of an event stream, in bytes: a message of 256 KiB in base64, and what stands beside it.
const MAX_LINE: usize = 4 << 20;

/// Calls that only Muster has.
pub struct Own {
    channel: Channel,
}

/// Which events are read.
#[derive(Clone, Debug, Default)]
pub struct EventsQuery<'a> {
    /// The consumer group; the hub's default one otherwise.
    pub consumer_group: Option<&'a str>,
    /// One partition; all otherwise.
    pub partition: Option<u16>,
    /// Where to begin, as the server takes it.
    pub from: Option<&'a str>,
    /// Whether to wait for further events at the end.
    pub follow: bool,
}

/// Which refusals are listed.
#[derive(Clone, Debug, Default)]
pub struct RefusalsQuery<'a> {
    /// Those of a device.
    pub device: Option<&'a str>,
    /// Those of a registration.
    pub registration: Option<&'a str>,
    /// Those of callers at an address.
    pub address: Option<&'a str>,
    /// How many, the latest first.
    pub last: Option<u32>,
}

impl Own {
    /// Calls the server that `channel` leads to.
    pub const fn new(channel: Channel) -> Self {
        Self { channel }
    }

    /// Reads events of a hub.
    ///
    /// # Errors
    /// As [`crate::Http::stream`]; [`Error::Refused`].
    pub async fn events(&self, hub: &str, query: &EventsQuery<'_>) -> Result<Lines, Error> {
        let mut parameters = Vec::new();
        parameters.extend(
            query
                .consumer_group
                .map(|group| ("consumerGroup", group.to_owned())),
        );
        parameters.extend(
            query
                .partition
                .map(|partition| ("partition", partition.to_string())),
        );
        parameters.extend(query.from.map(|from| ("from", from.to_owned())));
        if query.follow {
            parameters.push(("follow", "true".to_owned()));
        }
        let target = with_query(&format!("/muster/hubs/{}/events", segment(hub)), &parameters);
        let call = self.channel.authorized(Call::new(Method::GET, target));
        let (status, headers, mut pieces) = self.channel.http().stream(&call).await?;
        if (200..300).contains(&status) {
            return Ok(Lines {
                pieces,
                held: Vec::new(),
                ended: false,
            });
        }
        let mut body = Vec::new();
        while let Some(piece) = pieces.next().await? {
            body.extend_from_slice(&piece);
            if body.len() > MAX_LINE {
                break;
            }
        }
        let reply = crate::http::Reply {
            status,
            headers,
            body: body.into(),
        };
        match reply.accepted() {
            Err(error) => Err(error),
            Ok(_) => Err(Error::Unexpected(format!("status {status}"))),
        }
    }

    /// Reads one explained refusal.
    ///
    /// # Errors
    /// As [`Channel::json`].
    pub async fn refusal(&self, tracking_id: &str) -> Result<Value, Error> {
        let target = format!("/muster/refusals/{}", segment(tracking_id));
        self.channel.json(Call::new(Method::GET, target)).await
    }

    /// Lists explained refusals, the latest first.
    ///
    /// # Errors
    /// As [`Channel::json`].
    pub async fn refusals(&self, query: &RefusalsQuery<'_>) -> Result<Vec<Value>, Error> {
        let mut parameters = Vec::new();
        parameters.extend(query.device.map(|device| ("device", device.to_owned())));
        parameters.extend(query.registration.map(|id| ("registration", id.to_owned())));
        parameters.extend(query.address.map(|address| ("address", address.to_owned())));
        parameters.extend(query.last.map(|last| ("last", last.to_string())));
        let target = with_query("/muster/refusals", &parameters);
        match self.channel.json(Call::new(Method::GET, target)).await? {
            Value::Array(items) => Ok(items),
            mut other => match other.get_mut("value").map(Value::take) {
                Some(Value::Array(items)) => Ok(items),
                _ => Err(Error::Unexpected("a list that is none".into())),
            },
        }
    }

    /// Forgets the refusals of a device.
    ///
    /// # Errors
    /// As [`Channel::send`].
    pub async fn forget(&self, device: &str) -> Result<(), Error> {
        let target = with_query("/muster/refusals", &[("device", device.to_owned())]);
        self.channel.send(Call::new(Method::DELETE, target)).await?;
        Ok(())
    }
}

fn with_query(path: &str, parameters: &[(&str, String)]) -> String {
    let mut target = path.to_owned();
    for (place, (name, value)) in parameters.iter().enumerate() {
        target.push(if place == 0 { '?' } else { '&' });
        target.push_str(name);
        target.push('=');
        target.push_str(&segment(value));
    }
    target
}

/// Lines of JSON as they come.
pub struct Lines {
    pieces: Pieces,
    held: Vec<u8>,
    ended: bool,
}

impl Lines {
    /// Waits for the next line; `None` at the end. Empty lines, which keep a connection alive, are passed over.
    ///
    /// # Errors
    /// [`Error::Broken`] when the connection ended; [`Error::Unexpected`] when a line is not JSON or has no end.
    pub async fn next(&mut self) -> Result<Option<Value>, Error> {
        loop {
            if let Some(end) = self.held.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.held.drain(..=end).collect();
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return read(&line).map(Some);
            }
            if self.ended {
                let line = std::mem::take(&mut self.held);
                return if line.is_empty() {
                    Ok(None)
                } else {
                    read(&line).map(Some)
                };
            }
            if self.held.len() > MAX_LINE {
                return Err(Error::Unexpected("a line without end".into()));
            }
            match self.pieces.next().await? {
                Some(piece) => self.held.extend_from_slice(&piece),
                None => self.ended = true,
            }
        }
    }
}

fn read(line: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(line).map_err(|e| Error::Unexpected(format!("a line is not JSON: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded() {
        assert_eq!(
            with_query("/a", &[("device", "a b&c".into()), ("last", "5".into())]),
            "/a?device=a%20b%26c&last=5"
        );
        assert_eq!(with_query("/a", &[]), "/a");
    }
}
