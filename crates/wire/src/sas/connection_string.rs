//! Connection strings: fields `Name=value` joined by `;`.
//!
//! Names are read without case. A value may hold `=`, never `;`. Which fields must be there depends on the use and is
//! for the user of the string to say.

use std::fmt;

use crate::error::Error;
use crate::sas::LONGEST;
use crate::secret::Secret;

/// A connection string taken apart.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ConnectionString {
    /// `HostName`: a hub's or a provisioning service's host, perhaps with a port.
    pub host_name: Option<String>,
    /// `Endpoint`: an Event Hub compatible endpoint, `sb://host[:port]/`.
    pub endpoint: Option<String>,
    /// `SharedAccessKeyName`.
    pub policy: Option<String>,
    /// `SharedAccessKey`.
    pub key: Option<Secret>,
    /// `SharedAccessSignature`: a ready-made token in place of a key.
    pub signature: Option<Secret>,
    /// `DeviceId`.
    pub device_id: Option<String>,
    /// `ModuleId`.
    pub module_id: Option<String>,
    /// `GatewayHostName`.
    pub gateway_host_name: Option<String>,
    /// `EntityPath`.
    pub entity_path: Option<String>,
    /// `x509=true`.
    pub x509: bool,
}

impl ConnectionString {
    /// The string of a policy of a hub or a provisioning service.
    pub fn of_policy(host_name: &str, policy: &str, key: Secret) -> Self {
        Self {
            host_name: Some(host_name.to_owned()),
            policy: Some(policy.to_owned()),
            key: Some(key),
            ..Self::default()
        }
    }

    /// The Event Hub compatible string of a hub's policy; the endpoint and the entity are those that the hub tells.
    pub fn of_event_hub(endpoint: &str, entity: &str, policy: &str, key: Secret) -> Self {
        Self {
            endpoint: Some(endpoint.to_owned()),
            policy: Some(policy.to_owned()),
            key: Some(key),
            entity_path: Some(entity.to_owned()),
            ..Self::default()
        }
    }

    /// Reads a connection string; fields that nobody defined are ignored.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Twice`], [`Error::Field`]; [`Error::Missing`] when neither a host name nor an
    /// endpoint is there.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > LONGEST {
            return Err(Error::TooLarge {
                what: "the connection string",
                limit: LONGEST,
            });
        }
        let mut parsed = Self::default();
        let mut x509 = None;
        let (mut key, mut signature) = (None, None);
        for field in text
            .trim()
            .split(';')
            .map(str::trim)
            .filter(|field| !field.is_empty())
        {
            let (name, value) = field.split_once('=').ok_or_else(|| {
                Error::field(
                    "the connection string",
                    "must consist of fields Name=value joined by ;",
                )
            })?;
            let folded = name.trim().to_ascii_lowercase();
            let slot = match folded.as_str() {
                "hostname" => &mut parsed.host_name,
                "endpoint" => &mut parsed.endpoint,
                "sharedaccesskeyname" => &mut parsed.policy,
                "sharedaccesskey" => &mut key,
                "sharedaccesssignature" => &mut signature,
                "deviceid" => &mut parsed.device_id,
                "moduleid" => &mut parsed.module_id,
                "gatewayhostname" => &mut parsed.gateway_host_name,
                "entitypath" => &mut parsed.entity_path,
                "x509" => &mut x509,
                _ => continue,
            };
            if slot.replace(value.trim().to_owned()).is_some() {
                return Err(Error::Twice(format!("{folded} in the connection string")));
            }
        }
        if parsed.host_name.is_none() && parsed.endpoint.is_none() {
            return Err(Error::Missing("HostName in the connection string".into()));
        }
        parsed.key = key.map(Secret::new);
        parsed.signature = signature.map(Secret::new);
        parsed.x509 = x509.is_some_and(|value| value.eq_ignore_ascii_case("true"));
        Ok(parsed)
    }

    /// Tells whether the key is masked, as management shows it, so that the stored one is meant.
    pub fn has_masked_key(&self) -> bool {
        self.key
            .as_ref()
            .is_some_and(|key| !key.expose().is_empty() && key.expose().bytes().all(|b| b == b'*'))
    }

    /// Writes the string, key and all.
    pub fn build(&self) -> Secret {
        self.write(Secret::expose)
    }

    /// Writes the string with `****` in place of the key.
    pub fn masked(&self) -> String {
        self.write(|_| "****").expose().to_owned()
    }

    fn write<'a>(&'a self, secret: impl Fn(&'a Secret) -> &'a str) -> Secret {
        let fields = [
            ("HostName", self.host_name.as_deref()),
            ("Endpoint", self.endpoint.as_deref()),
            ("DeviceId", self.device_id.as_deref()),
            ("ModuleId", self.module_id.as_deref()),
            ("SharedAccessKeyName", self.policy.as_deref()),
            ("SharedAccessKey", self.key.as_ref().map(&secret)),
            ("SharedAccessSignature", self.signature.as_ref().map(&secret)),
            ("GatewayHostName", self.gateway_host_name.as_deref()),
            ("EntityPath", self.entity_path.as_deref()),
            ("x509", self.x509.then_some("true")),
        ];
        let mut text = String::new();
        for (name, value) in fields {
            if let Some(value) = value {
                if !text.is_empty() {
                    text.push(';');
                }
                text.push_str(name);
                text.push('=');
                text.push_str(value);
            }
        }
        Secret::new(text)
    }
}

impl fmt::Display for ConnectionString {
    /// Prints the masked form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}
