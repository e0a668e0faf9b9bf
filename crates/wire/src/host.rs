//! Host names: how a hub and a provisioning service are named under a domain, and where a presented name leads.
//!
//! Names are compared without case, without a port and without a final dot. Whether a hub of that name exists is not
//! known here.

use std::net::IpAddr;

use muster_model::{DpsName, HubName};

use crate::error::Error;

/// The label of hubs in front of the domain.
const HUBS: &str = "azure-devices";
/// The label of provisioning services in front of the domain.
const SERVICES: &str = "azure-devices-provisioning";
/// The name that all provisioning services share.
const SHARED: &str = "global";
/// The vendor's own domain.
const VENDOR: &str = "net";
/// Longest host name, in bytes. Source: RFC 1035, section 2.3.4.
const LONGEST: usize = 253;

/// Where a presented host name leads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Host {
    /// The name that all provisioning services share; the id scope tells them apart.
    Global,
    /// A hub.
    Hub(HubName),
    /// The machine itself: the default hub, any provisioning service by its id scope, management, the portal.
    Machine,
    /// A provisioning service.
    Service(DpsName),
    /// Anything else, which is answered as an unknown hub.
    Unknown,
}

/// The names under which this server is reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Domain {
    /// Under which names are handed out, in lower case.
    name: String,
    /// Whether the vendor's names lead here as well.
    vendor: bool,
    /// Further names of the machine, in lower case.
    machine: Vec<String>,
}

impl Default for Domain {
    fn default() -> Self {
        Self {
            name: "muster.localhost".to_owned(),
            vendor: false,
            machine: Vec::new(),
        }
    }
}

impl Domain {
    /// Takes a domain: labels of letters, digits and `-` joined by dots.
    ///
    /// # Errors
    /// [`Error::Field`].
    pub fn new(domain: &str) -> Result<Self, Error> {
        let domain = domain.trim_end_matches('.').to_ascii_lowercase();
        // The longest resource name and label must still fit in front of it.
        if !is_host_name(&domain) || domain.len() > LONGEST - 50 - SERVICES.len() - 2 {
            return Err(Error::field(
                "the domain",
                "must be labels of letters, digits and '-' joined by dots",
            ));
        }
        Ok(Self {
            name: domain,
            ..Self::default()
        })
    }

    /// Makes the vendor's names lead here as well, or not.
    #[must_use]
    pub fn with_azure_names(mut self, on: bool) -> Self {
        self.vendor = on;
        self
    }

    /// Adds names of the machine: its host name, and those that an operator gives.
    #[must_use]
    pub fn with_machine_names(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.machine.extend(
            names
                .into_iter()
                .map(|name| name.trim_end_matches('.').to_ascii_lowercase()),
        );
        self
    }

    /// The domain itself.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Further names of the machine.
    pub fn machine_names(&self) -> &[String] {
        &self.machine
    }

    /// The one full name of a hub.
    pub fn hub(&self, name: &HubName) -> String {
        format!("{}.{HUBS}.{}", name.folded(), self.name)
    }

    /// The one full name of a provisioning service.
    pub fn service(&self, name: &DpsName) -> String {
        format!("{}.{SERVICES}.{}", name.folded(), self.name)
    }

    /// The name under which management shows the portal of a provisioning service.
    pub fn service_portal(&self, name: &DpsName) -> String {
        format!("{}.services.{SERVICES}.{}", name.folded(), self.name)
    }

    /// The name that all provisioning services share.
    pub fn global(&self) -> String {
        format!("{SHARED}.{SERVICES}.{}", self.name)
    }

    /// Every name that leads to a hub. Names of the machine lead to the default hub alone.
    pub fn names_of_hub(&self, name: &HubName, is_default: bool) -> Vec<String> {
        let mut names: Vec<String> = self
            .domains()
            .map(|domain| format!("{}.{HUBS}.{domain}", name.folded()))
            .collect();
        if is_default {
            names.extend(self.names_of_machine());
        }
        names
    }

    /// Every name that leads to a provisioning service: those of the machine do too, and the id scope tells which.
    pub fn names_of_service(&self, name: &DpsName) -> Vec<String> {
        let names = self
            .domains()
            .map(|domain| format!("{}.{SERVICES}.{domain}", name.folded()));
        names.chain(self.names_of_machine()).collect()
    }

    /// The names of the machine that a caller on it may write, its addresses included.
    fn names_of_machine(&self) -> Vec<String> {
        let mut names: Vec<String> = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).into();
        names.extend_from_slice(&self.machine);
        names
    }

    /// Tells where a `Host` header, a server name, or the host part of an audience leads.
    pub fn classify(&self, presented: &str) -> Host {
        let Some(name) = without_port(presented) else {
            return Host::Unknown;
        };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if self.is_machine(&name) {
            return Host::Machine;
        }
        for domain in self.domains() {
            let Some(front) = name
                .strip_suffix(domain)
                .and_then(|front| front.strip_suffix('.'))
            else {
                continue;
            };
            if let Some(label) = front.strip_suffix(HUBS).and_then(|label| label.strip_suffix('.')) {
                return HubName::parse(label).map_or(Host::Unknown, Host::Hub);
            }
            if let Some(label) = front
                .strip_suffix(SERVICES)
                .and_then(|label| label.strip_suffix('.'))
            {
                if label == SHARED {
                    return Host::Global;
                }
                return DpsName::parse(label).map_or(Host::Unknown, Host::Service);
            }
        }
        Host::Unknown
    }

    /// The hub that a full name names.
    pub fn hub_name(&self, presented: &str) -> Option<HubName> {
        match self.classify(presented) {
            Host::Hub(name) => Some(name),
            Host::Global | Host::Machine | Host::Service(_) | Host::Unknown => None,
        }
    }

    fn domains(&self) -> impl Iterator<Item = &str> {
        let vendor = (self.vendor && self.name != VENDOR).then_some(VENDOR);
        std::iter::once(self.name.as_str()).chain(vendor)
    }

    fn is_machine(&self, name: &str) -> bool {
        if name == "localhost" || self.machine.iter().any(|own| own == name) {
            return true;
        }
        name.trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
    }
}

/// Takes a port off; `None` for what is no host at all.
fn without_port(presented: &str) -> Option<&str> {
    let presented = presented.trim();
    if presented.is_empty() || presented.len() > LONGEST + 6 {
        return None;
    }
    if presented.starts_with('[') {
        return presented.split_inclusive(']').next();
    }
    match presented.rsplit_once(':') {
        // A bare IPv6 address has more colons.
        Some((name, _)) if name.contains(':') => Some(presented),
        Some((name, port)) => port.bytes().all(|b| b.is_ascii_digit()).then_some(name),
        None => Some(presented),
    }
}

fn is_host_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hub(name: &str) -> Host {
        Host::Hub(HubName::parse(name).unwrap())
    }

    #[test]
    fn names_lead_where_the_conventions_say() {
        let domain = Domain::default().with_machine_names(["Build-7.example.".to_owned()]);
        for (name, wanted) in [
            ("muster-hub.azure-devices.muster.localhost", hub("muster-hub")),
            (
                "MUSTER-hub.azure-devices.muster.localhost.:8443",
                hub("muster-hub"),
            ),
            ("global.azure-devices-provisioning.muster.localhost", Host::Global),
            (
                "muster-dps.azure-devices-provisioning.muster.localhost",
                Host::Service(DpsName::parse("muster-dps").unwrap()),
            ),
            ("localhost", Host::Machine),
            ("localhost:8443", Host::Machine),
            ("127.0.0.1:443", Host::Machine),
            ("127.9.9.9", Host::Machine),
            ("[::1]:8443", Host::Machine),
            ("::1", Host::Machine),
            ("[::ffff:127.0.0.1]", Host::Machine),
            ("build-7.example", Host::Machine),
            ("muster-hub.azure-devices.net", Host::Unknown),
            ("a.b.azure-devices.muster.localhost", Host::Unknown),
            (".azure-devices.muster.localhost", Host::Unknown),
            ("azure-devices.muster.localhost", Host::Unknown),
            ("xazure-devices.muster.localhost", Host::Unknown),
            ("192.0.2.1", Host::Unknown),
            ("", Host::Unknown),
            ("host:port", Host::Unknown),
        ] {
            assert_eq!(domain.classify(name), wanted, "{name}");
        }
    }

    #[test]
    fn the_vendors_names_lead_here_only_when_switched_on() {
        let domain = Domain::default().with_azure_names(true);
        assert_eq!(domain.classify("muster-hub.azure-devices.net"), hub("muster-hub"));
        assert_eq!(
            domain.classify("global.azure-devices-provisioning.net"),
            Host::Global
        );
        assert_eq!(
            domain.hub(&HubName::parse("H-1").unwrap()),
            "h-1.azure-devices.muster.localhost"
        );
        let (hub, service) = (HubName::parse("H-1").unwrap(), DpsName::parse("d-1").unwrap());
        assert_eq!(domain.names_of_hub(&hub, false).len(), 2);
        assert_eq!(domain.names_of_hub(&hub, true).len(), 2 + 3);
        assert_eq!(domain.names_of_service(&service).len(), 2 + 3);
        assert_eq!(
            Domain::new("net")
                .unwrap()
                .with_azure_names(true)
                .names_of_hub(&hub, false)
                .len(),
            1
        );
    }

    #[test]
    fn domains_are_checked() {
        for bad in ["", "a..b", "-a", "a b", "é", &"a".repeat(64), &"a.".repeat(120)] {
            assert!(Domain::new(bad).is_err(), "{bad}");
        }
        assert_eq!(Domain::new("Example.COM.").unwrap().as_str(), "example.com");
    }

    proptest! {
        #[test]
        fn what_is_handed_out_leads_back(name in "[a-z][a-z0-9-]{1,30}[a-z0-9]", port in any::<u16>()) {
            let domain = Domain::default();
            let (h, d) = (HubName::parse(&name).unwrap(), DpsName::parse(&name).unwrap());
            prop_assert_eq!(domain.classify(&format!("{}:{port}", domain.hub(&h))), Host::Hub(h));
            if name != SHARED {
                prop_assert_eq!(domain.classify(&domain.service(&d)), Host::Service(d));
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,60}") {
            let _ = Domain::default().with_azure_names(true).classify(&text);
            let _ = Domain::new(&text);
        }
    }
}
