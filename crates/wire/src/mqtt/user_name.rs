//! The user name of CONNECT: which hub or provisioning service, and which device.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::api_version::ApiVersion;
use crate::error::{Error, Surface};

/// Longest user name that is read, in bytes.
const LONGEST: usize = 4096;

/// Longest model id, in bytes. Source: DTDL v2, "Digital Twin Model Identifier", read 2026-11.
const LONGEST_MODEL: usize = 2048;

/// The segment that tells a registration from a device.
const REGISTRATIONS: &str = "registrations";

/// A user name, taken apart. Nothing is known to exist yet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum UserName {
    /// A device or module of a hub.
    Hub(HubUser),
    /// A device that registers.
    Provisioning(ProvisioningUser),
}

/// The user name of a device or module: `{host}/{device}[/{module}][/?{query}]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HubUser {
    /// The host, as it came; a port may stand behind it.
    pub host: String,
    /// The device id.
    pub device: String,
    /// The module id.
    pub module: Option<String>,
    /// The version; devices may leave it out.
    pub api_version: Option<ApiVersion>,
    /// The digital twin model that the device announces.
    pub model_id: Option<String>,
}

/// The user name of a device that registers: `{idScope}/registrations/{registrationId}/api-version={version}[&…]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProvisioningUser {
    /// The id scope.
    pub scope: String,
    /// The registration id.
    pub registration: String,
    /// The version.
    pub api_version: ApiVersion,
}

impl UserName {
    /// Takes a user name apart.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Missing`], [`Error::ApiVersion`], [`Error::Field`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > LONGEST {
            return Err(Error::TooLarge {
                what: "the user name",
                limit: LONGEST,
            });
        }
        let (first, rest) = text
            .split_once('/')
            .ok_or_else(|| Error::Missing("the id in the user name".into()))?;
        let mut segments = rest.splitn(3, '/');
        let (second, third) = (segments.next().unwrap_or_default(), segments.next());
        // A device may be called so too, but then its host has dots or its query follows.
        let registers = second.eq_ignore_ascii_case(REGISTRATIONS)
            && !first.contains(['.', ':'])
            && third.is_some_and(|id| !id.is_empty() && !id.starts_with('?'));
        if registers {
            return provisioning(first, third.unwrap_or_default(), segments.next()).map(Self::Provisioning);
        }
        hub(first, rest).map(Self::Hub)
    }
}

fn provisioning(scope: &str, id: &str, query: Option<&str>) -> Result<ProvisioningUser, Error> {
    let query = query.unwrap_or_default();
    let version = value(query.trim_start_matches('?'), "api-version")?;
    Ok(ProvisioningUser {
        scope: scope.to_owned(),
        registration: id.to_owned(),
        api_version: ApiVersion::of_call(Surface::Dps, version.as_deref())?,
    })
}

fn hub(host: &str, rest: &str) -> Result<HubUser, Error> {
    let (ids, query) = match rest.rfind("/?") {
        Some(place) => (rest.get(..place), rest.get(place + 2..)),
        // Documents of 2018 wrote the query without its mark.
        None => match rest.rfind("/api-version=") {
            Some(place) => (rest.get(..place), rest.get(place + 1..)),
            None => (Some(rest.strip_suffix('/').unwrap_or(rest)), None),
        },
    };
    let (ids, query) = (ids.unwrap_or_default(), query.unwrap_or_default());
    let (device, module) = match ids.split_once('/') {
        Some((device, module)) => (device, Some(module)),
        None => (ids, None),
    };
    if host.is_empty() || device.is_empty() || module.is_some_and(|id| id.is_empty() || id.contains('/')) {
        return Err(Error::Missing("the id in the user name".into()));
    }
    let api_version = match value(query, "api-version")? {
        None => None,
        Some(text) => Some(ApiVersion::of_call(Surface::Hub, Some(&text))?),
    };
    let model_id = value(query, "model-id")?.filter(|id| !id.is_empty());
    if model_id.as_ref().is_some_and(|id| id.len() > LONGEST_MODEL) {
        return Err(Error::TooLarge {
            what: "the model id",
            limit: LONGEST_MODEL,
        });
    }
    Ok(HubUser {
        host: host.to_owned(),
        device: device.to_owned(),
        module: module.map(str::to_owned),
        api_version,
        model_id: model_id.map(Cow::into_owned),
    })
}

/// The first value of that name, decoded. Names count without case; unknown ones are passed over.
fn value<'a>(query: &'a str, name: &str) -> Result<Option<Cow<'a, str>>, Error> {
    let found = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| key.eq_ignore_ascii_case(name));
    found
        .map(|(_, value)| {
            percent_decode_str(value)
                .decode_utf8()
                .map_err(|_| Error::field(name, "must be UTF-8"))
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn device(text: &str) -> HubUser {
        match UserName::parse(text).unwrap() {
            UserName::Hub(user) => user,
            UserName::Provisioning(user) => panic!("{user:?}"),
        }
    }

    #[test]
    fn what_each_sdk_sends_is_read() {
        // azure-iot-device for Python 2.14.0.
        let python = device(
            "h.example/dev1/?api-version=2019-10-01&DeviceClientType=azure-iot-device-iothub-py%2F2.14.0",
        );
        assert_eq!(
            (python.host.as_str(), python.device.as_str()),
            ("h.example", "dev1")
        );
        assert!(python.module.is_none() && python.model_id.is_none());
        assert_eq!(python.api_version.unwrap().to_string(), "2019-10-01");
        // azure-iot-device for Node 1.18.4: the port stays, the model id is not encoded.
        let node =
            device("h.example:8883/dev1/?api-version=2021-04-12&model-id=dtmi:com:x;1&DeviceClientType=n");
        assert_eq!(node.host, "h.example:8883");
        assert_eq!(node.model_id.as_deref(), Some("dtmi:com:x;1"));
        let module = device("h.example/dev1/m1/?api-version=2020-09-30&model-id=dtmi%3Acom%3Ax%3B1");
        assert_eq!(module.module.as_deref(), Some("m1"));
        assert_eq!(module.model_id.as_deref(), Some("dtmi:com:x;1"));
    }

    #[test]
    fn older_and_bare_forms_are_read() {
        for text in [
            "h.example/d",
            "h.example/d/",
            "localhost/d/api-version=2018-06-30",
        ] {
            assert_eq!(device(text).device, "d", "{text}");
        }
        assert_eq!(device("h.example/a?b/?api-version=2021-04-12").device, "a?b");
        assert_eq!(
            device("h.example/registrations/?api-version=2021-04-12").device,
            "registrations"
        );
    }

    #[test]
    fn registrations_are_told_apart() {
        let text = "0ne00AABBCC/registrations/Device-1/api-version=2019-03-31&ClientVersion=1.15.0";
        let UserName::Provisioning(user) = UserName::parse(text).unwrap() else {
            panic!("a registration")
        };
        assert_eq!(user.scope, "0ne00AABBCC");
        assert_eq!(user.registration, "Device-1");
        assert_eq!(user.api_version.to_string(), "2019-03-31");
        assert!(UserName::parse("0ne00AABBCC/registrations/d").is_err());
    }

    #[test]
    fn names_without_an_id_are_refused() {
        for bad in [
            "",
            "h",
            "h/",
            "/d",
            "h//?api-version=2021-04-12",
            "h/d/m/x",
            "h/d/?api-version=1999-01-01",
        ] {
            assert!(UserName::parse(bad).is_err(), "{bad}");
        }
        assert!(UserName::parse(&"a/".repeat(3000)).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,120}") {
            let _ = UserName::parse(&text);
        }
    }
}
