//! What a token was made for, taken apart: a host and the path below it.
//!
//! Only the text is understood here; which hosts lead to which hub, and what a caller asked for, is known elsewhere.

use percent_encoding::percent_decode_str;

/// Most segments that are kept; the longest resource of the contract has five.
const MOST_SEGMENTS: usize = 8;

/// The resource of a token, or the name of a CBS audience.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Audience {
    /// The scheme, in lower case, where one was written (`sb`, `amqps`, `https`).
    pub scheme: Option<String>,
    /// The first segment in lower case without its port: a host, or the id scope of a registration.
    pub host: String,
    /// The segments behind it, as they were written.
    pub segments: Vec<String>,
}

impl Audience {
    /// Takes a decoded resource apart. `None` when it is empty or has more segments than any resource.
    pub fn parse(resource: &str) -> Option<Self> {
        let (scheme, rest) = match resource.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
            None => (None, resource),
        };
        let mut segments = rest.trim_matches('/').split('/');
        let host = segments.next()?;
        let host = without_port(host).to_ascii_lowercase();
        if host.is_empty() {
            return None;
        }
        let segments: Vec<String> = segments.take(MOST_SEGMENTS + 1).map(str::to_owned).collect();
        (segments.len() <= MOST_SEGMENTS).then_some(Self {
            scheme,
            host,
            segments,
        })
    }

    /// Tells whether what lies at `path` below the host is covered: the audience must be a prefix of it on whole
    /// segments. Fixed words (at even places) compare without case, ids (at odd places) exactly, and an id may have
    /// been encoded once more before the whole was.
    pub fn covers(&self, path: &[&str]) -> bool {
        self.segments.len() <= path.len()
            && self
                .segments
                .iter()
                .zip(path)
                .enumerate()
                .all(|(index, (ours, theirs))| {
                    if index % 2 == 0 {
                        ours.eq_ignore_ascii_case(theirs)
                    } else {
                        ours == theirs
                            || percent_decode_str(ours)
                                .decode_utf8()
                                .is_ok_and(|decoded| decoded == **theirs)
                    }
                })
    }

    /// The device that the audience names, where it names one: `{host}/devices/{id}[/…]`.
    pub fn device(&self) -> Option<&str> {
        match self.segments.as_slice() {
            [word, id, ..] if word.eq_ignore_ascii_case("devices") && !id.is_empty() => Some(id),
            _ => None,
        }
    }

    /// Tells whether it is the registration `{idScope}/registrations/{id}`; all without case.
    pub fn is_registration(&self, id_scope: &str, registration_id: &str) -> bool {
        match self.segments.as_slice() {
            [word, id] => {
                self.host.eq_ignore_ascii_case(id_scope)
                    && word.eq_ignore_ascii_case("registrations")
                    && (id.eq_ignore_ascii_case(registration_id)
                        || percent_decode_str(id)
                            .decode_utf8()
                            .is_ok_and(|decoded| decoded.eq_ignore_ascii_case(registration_id)))
            }
            _ => false,
        }
    }
}

fn without_port(host: &str) -> &str {
    if host.starts_with('[') {
        return host.split_inclusive(']').next().unwrap_or(host);
    }
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_lose_port_and_case() {
        let audience = Audience::parse("HUB.host:5671/devices/Dev1").unwrap();
        assert_eq!(audience.host, "hub.host");
        assert_eq!(audience.device(), Some("Dev1"));
        assert_eq!(
            Audience::parse("sb://hub.host:5671/eh")
                .unwrap()
                .scheme
                .as_deref(),
            Some("sb")
        );
        assert_eq!(Audience::parse("[::1]:8443/devices/a").unwrap().host, "[::1]");
        assert_eq!(Audience::parse(""), None);
        assert_eq!(Audience::parse("/"), None);
    }

    #[test]
    fn an_audience_covers_what_lies_below_it_on_whole_segments() {
        let hub = Audience::parse("hub.host").unwrap();
        let device = Audience::parse("hub.host/Devices/Dev1/").unwrap();
        assert!(hub.covers(&["devices", "Dev1"]));
        assert!(device.covers(&["devices", "Dev1"]));
        assert!(device.covers(&["devices", "Dev1", "modules", "m"]));
        assert!(!device.covers(&["devices", "Dev10"]));
        assert!(!device.covers(&["devices", "dev1"]));
        assert!(!device.covers(&["devices"]));
        assert!(
            Audience::parse("hub.host/devices/a%23b")
                .unwrap()
                .covers(&["devices", "a#b"])
        );
    }

    #[test]
    fn registrations_compare_without_case() {
        let audience = Audience::parse("0NE000A1B2C/registrations/Sensor:7").unwrap();
        assert!(audience.is_registration("0ne000a1b2c", "sensor:7"));
        assert!(!audience.is_registration("0ne000a1b2c", "sensor:8"));
        assert!(
            !Audience::parse("0ne000A1B2C")
                .unwrap()
                .is_registration("0ne000A1B2C", "x")
        );
    }
}
