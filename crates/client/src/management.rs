//! Management: hubs, provisioning services, their CA certificates, keys, consumer groups and links.
//!
//! Documents pass through as the server wrote them; what is read of them is what later calls need. A change of a
//! resource is the whole document put back.

use http::header::IF_MATCH;
use http::{HeaderValue, Method};
use muster_wire::api_version::{ARM_DPS_CLIENT, ARM_HUB_CLIENT, ApiVersion};
use serde_json::{Value, json};

use crate::channel::{Channel, segment};
use crate::error::Error;
use crate::http::Call;

/// The version that calls outside hubs and provisioning services carry.
const GROUPS_VERSION: &str = "2024-11-01";

/// Pages of a list that are followed at most.
const MAX_PAGES: usize = 10_000;

/// What a resource is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A provisioning service.
    Dps,
    /// A hub.
    Hub,
}

impl Kind {
    /// What people call it.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Dps => "provisioning service",
            Self::Hub => "hub",
        }
    }

    const fn collection(self) -> &'static str {
        match self {
            Self::Dps => "provisioningServices",
            Self::Hub => "IotHubs",
        }
    }

    const fn keys(self) -> &'static str {
        match self {
            Self::Dps => "keys",
            Self::Hub => "IotHubKeys",
        }
    }

    const fn version(self) -> ApiVersion {
        match self {
            Self::Dps => ARM_DPS_CLIENT,
            Self::Hub => ARM_HUB_CLIENT,
        }
    }

    /// The property that holds the full name by which the data plane is called.
    const fn host_property(self) -> &'static str {
        match self {
            Self::Dps => "serviceOperationsHostName",
            Self::Hub => "hostName",
        }
    }
}

/// A hub or a provisioning service as management told it.
#[derive(Clone, Debug)]
pub struct Resource {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The resource group that it is in.
    pub group: String,
    /// All of it.
    pub document: Value,
}

impl Resource {
    fn read(kind: Kind, document: Value) -> Result<Self, Error> {
        let text = |name: &str| document.get(name).and_then(Value::as_str).map(str::to_owned);
        let missing = |name: &str| Error::Unexpected(format!("a {} without {name}", kind.noun()));
        Ok(Self {
            kind,
            name: text("name").ok_or_else(|| missing("name"))?,
            group: text("resourcegroup").ok_or_else(|| missing("resourcegroup"))?,
            document,
        })
    }

    /// A text among its properties.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.document.get("properties")?.get(name)?.as_str()
    }

    /// The full name by which its data plane is called.
    ///
    /// # Errors
    /// [`Error::Unexpected`] when the document has none.
    pub fn host(&self) -> Result<&str, Error> {
        let property = self.kind.host_property();
        self.property(property).ok_or_else(|| {
            Error::Unexpected(format!(
                "the {} {} has no {property}",
                self.kind.noun(),
                self.name
            ))
        })
    }
}

/// Management of one subscription.
pub struct Management {
    channel: Channel,
    subscription: String,
}

impl Management {
    /// Calls management over `channel` for the subscription of that id.
    pub const fn new(channel: Channel, subscription: String) -> Self {
        Self {
            channel,
            subscription,
        }
    }

    /// Asks which subscription there is, and calls management for it.
    ///
    /// # Errors
    /// As [`Channel::json`]; [`Error::Unexpected`] when there is none.
    pub async fn discover(channel: Channel) -> Result<Self, Error> {
        let call = Call::new(Method::GET, "/subscriptions?api-version=2022-12-01");
        let answer = channel.json(call).await?;
        let subscription = items(&answer)
            .first()
            .and_then(|first| first.get("subscriptionId")?.as_str())
            .ok_or_else(|| Error::Unexpected("no subscription".into()))?
            .to_owned();
        Ok(Self::new(channel, subscription))
    }

    /// Lists resources, all or those of a group.
    ///
    /// # Errors
    /// As [`Channel::json`].
    pub async fn list(&self, kind: Kind, group: Option<&str>) -> Result<Vec<Value>, Error> {
        let within = group
            .map(|group| format!("/resourceGroups/{}", segment(group)))
            .unwrap_or_default();
        self.pages(format!(
            "/subscriptions/{}{within}/providers/Microsoft.Devices/{}?api-version={}",
            segment(&self.subscription),
            kind.collection(),
            kind.version()
        ))
        .await
    }

    /// Finds a resource by its name, or the only one there is; `group` must be the one that it is in.
    ///
    /// # Errors
    /// [`Error::Target`] when there is none, or several and no name; as [`Channel::json`].
    pub async fn find(&self, kind: Kind, name: Option<&str>, group: Option<&str>) -> Result<Resource, Error> {
        let all = self.list(kind, None).await?;
        let all = all
            .into_iter()
            .map(|document| Resource::read(kind, document))
            .collect::<Result<Vec<_>, _>>()?;
        pick(kind, all, name, group)
    }

    /// Makes or replaces a resource.
    ///
    /// # Errors
    /// As [`Channel::json`].
    pub async fn put(&self, kind: Kind, group: &str, name: &str, document: &Value) -> Result<Value, Error> {
        let call = Call::new(Method::PUT, self.target(kind, group, name, "")).json(document.to_string());
        self.channel.json(call).await
    }

    /// Deletes a resource with all that it holds.
    ///
    /// # Errors
    /// As [`Channel::send`].
    pub async fn delete(&self, resource: &Resource) -> Result<(), Error> {
        self.channel
            .send(Call::new(Method::DELETE, self.under(resource, "")))
            .await?;
        Ok(())
    }

    /// Reads the keys of one shared access policy, or of all.
    ///
    /// # Errors
    /// As [`Channel::json`].
    pub async fn keys(&self, resource: &Resource, policy: Option<&str>) -> Result<Value, Error> {
        let path = match policy {
            Some(policy) => format!("/{}/{}/listkeys", resource.kind.keys(), segment(policy)),
            None => "/listkeys".to_owned(),
        };
        self.channel
            .json(Call::new(Method::POST, self.under(resource, &path)))
            .await
    }

    /// Lists the CA certificates of a resource.
    ///
    /// # Errors
    /// As [`Channel::json`].
    pub async fn certificates(&self, resource: &Resource) -> Result<Value, Error> {
        self.channel
            .json(Call::new(Method::GET, self.under(resource, "/certificates")))
            .await
    }

    /// Reads a CA certificate.
    ///
    /// # Errors
    /// As [`Channel::json`].
    pub async fn certificate(&self, resource: &Resource, name: &str) -> Result<Value, Error> {
        self.channel
            .json(Call::new(
                Method::GET,
                self.certificate_target(resource, name, ""),
            ))
            .await
    }

    /// Uploads a CA certificate, base64 of the file's bytes; with `etag` it replaces the one that has this entity tag.
    ///
    /// # Errors
    /// As [`Channel::json`].
    pub async fn put_certificate(
        &self,
        resource: &Resource,
        name: &str,
        base64: &str,
        verified: Option<bool>,
        etag: Option<&str>,
    ) -> Result<Value, Error> {
        let mut fields = json!({ "certificate": base64 });
        if let (Some(verified), Some(map)) = (verified, fields.as_object_mut()) {
            map.insert("isVerified".into(), verified.into());
        }
        // At the version that is spoken here, the body of a provisioning service's certificate is flat.
        let body = match resource.kind {
            Kind::Dps => fields,
            Kind::Hub => json!({ "properties": fields }),
        };
        let call = Call::new(Method::PUT, self.certificate_target(resource, name, "")).json(body.to_string());
        self.channel.json(matching(call, etag)?).await
    }

    /// Deletes a CA certificate.
    ///
    /// # Errors
    /// As [`Channel::send`].
    pub async fn delete_certificate(
        &self,
        resource: &Resource,
        name: &str,
        etag: Option<&str>,
    ) -> Result<(), Error> {
        let call = Call::new(Method::DELETE, self.certificate_target(resource, name, ""));
        self.channel.send(matching(call, etag)?).await?;
        Ok(())
    }

    /// Draws a verification code, which begins the proof of possession.
    ///
    /// # Errors
    /// As [`Channel::json`].
    pub async fn verification_code(
        &self,
        resource: &Resource,
        name: &str,
        etag: Option<&str>,
    ) -> Result<Value, Error> {
        let target = self.certificate_target(resource, name, "/generateVerificationCode");
        self.channel
            .json(matching(Call::new(Method::POST, target), etag)?)
            .await
    }

    /// Ends the proof of possession with a verification certificate, base64 of the file's bytes.
    ///
    /// # Errors
    /// As [`Channel::json`].
    pub async fn verify(
        &self,
        resource: &Resource,
        name: &str,
        base64: &str,
        etag: Option<&str>,
    ) -> Result<Value, Error> {
        let target = self.certificate_target(resource, name, "/verify");
        let call = Call::new(Method::POST, target).json(json!({ "certificate": base64 }).to_string());
        self.channel.json(matching(call, etag)?).await
    }

    /// Lists the consumer groups of a hub.
    ///
    /// # Errors
    /// As [`Channel::json`].
    pub async fn consumer_groups(&self, hub: &Resource) -> Result<Vec<Value>, Error> {
        self.pages(self.under(hub, CONSUMER_GROUPS)).await
    }

    /// Reads, makes or deletes a consumer group, as the method says; the answer to a deletion is `null`.
    ///
    /// # Errors
    /// As [`Channel::json`].
    pub async fn consumer_group(&self, hub: &Resource, name: &str, method: Method) -> Result<Value, Error> {
        let target = self.under(hub, &format!("{CONSUMER_GROUPS}/{}", segment(name)));
        let mut call = Call::new(method.clone(), target);
        if method == Method::PUT {
            call = call.json(json!({ "properties": { "name": name } }).to_string());
        }
        if method == Method::DELETE {
            self.channel.send(call).await?;
            return Ok(Value::Null);
        }
        self.channel.json(call).await
    }

    /// The groups there are.
    ///
    /// # Errors
    /// As [`Channel::json`].
    pub async fn groups(&self) -> Result<Vec<Value>, Error> {
        self.pages(format!(
            "/subscriptions/{}/resourceGroups?api-version={GROUPS_VERSION}",
            segment(&self.subscription)
        ))
        .await
    }

    /// Makes a resource group where it is missing.
    ///
    /// # Errors
    /// As [`Channel::json`].
    pub async fn ensure_group(&self, name: &str, location: &str) -> Result<(), Error> {
        let target = format!(
            "/subscriptions/{}/resourceGroups/{}?api-version={GROUPS_VERSION}",
            segment(&self.subscription),
            segment(name)
        );
        match self.channel.send(Call::new(Method::GET, target.clone())).await {
            Ok(_) => Ok(()),
            Err(Error::Refused { status: 404, .. }) => {
                let body = json!({ "location": location }).to_string();
                self.channel
                    .send(Call::new(Method::PUT, target).json(body))
                    .await?;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn pages(&self, target: String) -> Result<Vec<Value>, Error> {
        let mut all = Vec::new();
        let mut next = Some(target);
        for _ in 0..MAX_PAGES {
            let Some(target) = next else { return Ok(all) };
            let mut page = self.channel.json(Call::new(Method::GET, target)).await?;
            next = page
                .get("nextLink")
                .and_then(Value::as_str)
                .map(path_of)
                .map(str::to_owned);
            match page.get_mut("value").map(Value::take) {
                Some(Value::Array(items)) => all.extend(items),
                _ => return Err(Error::Unexpected("a list without value".into())),
            }
        }
        Err(Error::Unexpected("a list without end".into()))
    }

    fn target(&self, kind: Kind, group: &str, name: &str, path: &str) -> String {
        format!(
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Devices/{}/{}{path}?api-version={}",
            segment(&self.subscription),
            segment(group),
            kind.collection(),
            segment(name),
            kind.version()
        )
    }

    fn under(&self, resource: &Resource, path: &str) -> String {
        self.target(resource.kind, &resource.group, &resource.name, path)
    }

    fn certificate_target(&self, resource: &Resource, name: &str, path: &str) -> String {
        self.under(resource, &format!("/certificates/{}{path}", segment(name)))
    }
}

const CONSUMER_GROUPS: &str = "/eventHubEndpoints/events/ConsumerGroups";

/// Puts `If-Match` on a call.
pub(crate) fn matching(mut call: Call, etag: Option<&str>) -> Result<Call, Error> {
    if let Some(etag) = etag {
        let value = HeaderValue::from_str(etag)
            .map_err(|_| Error::Target("the ETag can't stand in a header".into()))?;
        call.headers.insert(IF_MATCH, value);
    }
    Ok(call)
}

/// The items of a list's answer.
pub fn items(answer: &Value) -> &[Value] {
    answer
        .get("value")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Path and query of a link, which names the host that the list came from.
fn path_of(link: &str) -> &str {
    let rest = link.split_once("://").map_or(link, |(_, rest)| rest);
    if rest.starts_with('/') {
        return rest;
    }
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
}

fn pick(kind: Kind, all: Vec<Resource>, name: Option<&str>, group: Option<&str>) -> Result<Resource, Error> {
    let noun = kind.noun();
    let of_group = |one: &Resource| group.is_none_or(|group| group.eq_ignore_ascii_case(&one.group));
    let Some(name) = name else {
        let mut fit: Vec<_> = all.into_iter().filter(of_group).collect();
        return match (fit.pop(), fit.len()) {
            (Some(one), 0) => Ok(one),
            (Some(last), _) => {
                let mut names: Vec<_> = fit.iter().take(10).map(|one| one.name.as_str()).collect();
                names.push(&last.name);
                Err(Error::Target(format!(
                    "there is more than one {noun}, so name one of them: {}",
                    names.join(", ")
                )))
            }
            (None, _) => Err(Error::Target(format!("there is no {noun}"))),
        };
    };
    let found = all.into_iter().find(|one| one.name.eq_ignore_ascii_case(name));
    match found {
        Some(one) if of_group(&one) => Ok(one),
        Some(one) => Err(Error::Target(format!(
            "the {noun} {} is in the resource group {}",
            one.name, one.group
        ))),
        None => Err(Error::Target(format!("there is no {noun} named {name}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(name: &str, group: &str) -> Resource {
        Resource::read(
            Kind::Hub,
            json!({"name": name, "resourcegroup": group, "properties": {"hostName": "h"}}),
        )
        .unwrap()
    }

    #[test]
    fn the_only_resource_needs_no_name() {
        assert_eq!(
            pick(Kind::Hub, vec![hub("one", "g")], None, None).unwrap().name,
            "one"
        );
        let error = pick(Kind::Hub, vec![hub("one", "g"), hub("two", "g")], None, None).unwrap_err();
        assert!(error.to_string().contains("one, two"), "{error}");
        assert!(pick(Kind::Hub, Vec::new(), None, None).is_err());
    }

    #[test]
    fn names_are_found_without_case_and_in_their_group() {
        let all = || vec![hub("one", "g"), hub("two", "other")];
        assert_eq!(pick(Kind::Hub, all(), Some("ONE"), None).unwrap().name, "one");
        assert_eq!(pick(Kind::Hub, all(), None, Some("OTHER")).unwrap().name, "two");
        let error = pick(Kind::Hub, all(), Some("one"), Some("other")).unwrap_err();
        assert!(error.to_string().contains("resource group g"), "{error}");
    }

    #[test]
    fn links_to_further_pages_are_followed_by_path() {
        assert_eq!(path_of("https://localhost:8443/a?b=c"), "/a?b=c");
        assert_eq!(path_of("/a"), "/a");
        assert_eq!(path_of("https://localhost"), "/");
    }
}
