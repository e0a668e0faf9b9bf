//! Short texts from outside: SAS tokens, connection strings, versions, host names, times, ids, page tokens.
//!
//! Holds that what was read is written and read again as the same, and that no token matches a key that did not sign it.

#![no_main]

mod support;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use muster_model::{
    CertificateName, ConsumerGroupName, DeviceId, DpsName, EnrollmentGroupId, HubName, IdScope, IfMatch,
    Location, OperationId, PolicyName, RegistrationId, ResourceGroupName, SubscriptionId,
};
use muster_wire::etag::{self, Kind};
use muster_wire::sas::{self, Audience, ConnectionString};
use muster_wire::{ApiVersion, Domain, Host, page, time};

/// A key that signs nothing but what this target signs.
const KEY: [u8; 32] = *b"a key that no seed was signed by";

static DOMAIN: LazyLock<Domain> = LazyLock::new(|| {
    Domain::default()
        .with_azure_names(true)
        .with_machine_names(["gate.example".to_owned()])
});

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = support::choose(bytes, 8) else {
        return;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    match choice {
        0 => token(text),
        1 => audience(text),
        2 => connection_string(text),
        3 => tag(text),
        4 => host(text),
        5 => dates(text),
        6 => ids(text),
        _ => pages(text),
    }
});

fn token(text: &str) {
    let Ok(read) = sas::parse(text) else { return };
    assert!(sas::is_token(text));
    assert!(!sas::signature_matches(&read, &KEY), "forged");
    let ours = sas::sign(&read.resource, &KEY, read.expiry, read.policy.as_deref());
    // Written anew it may be longer than is read, for everything is encoded then.
    let Ok(again) = sas::parse(&ours) else {
        assert!(ours.len() > sas::LONGEST || read.resource.is_empty());
        return;
    };
    assert!(sas::signature_matches(&again, &KEY));
    assert_eq!(again.resource, read.resource);
    assert_eq!(again.expiry.seconds(), read.expiry.seconds());
    assert_eq!(again.policy.unwrap_or_default(), read.policy.unwrap_or_default());
}

fn audience(text: &str) {
    let Some(read) = Audience::parse(text) else { return };
    let path: Vec<&str> = read.segments.iter().map(String::as_str).collect();
    assert!(read.covers(&path), "it covers what it names");
    if let Some(device) = read.device() {
        assert!(!device.is_empty());
        assert!(
            !read.covers(&["devices"]),
            "a device's covers no more than the device"
        );
    }
    let _ = read.is_registration("0ne00000000", "sensor-7");
}

fn connection_string(text: &str) {
    let Ok(read) = ConnectionString::parse(text) else {
        return;
    };
    let written = read.build();
    if written.expose().len() <= sas::LONGEST {
        assert_eq!(ConnectionString::parse(written.expose()).as_ref(), Ok(&read));
    }
    if let Ok(masked) = ConnectionString::parse(&read.masked()) {
        assert_eq!(masked.has_masked_key(), read.key.is_some());
        assert_eq!(masked.host_name, read.host_name);
    }
}

fn tag(text: &str) {
    for kind in [Kind::Arm, Kind::Dps, Kind::Identity, Kind::Twin] {
        let IfMatch::Version(tag) = etag::if_match(kind, Some(text)) else {
            continue;
        };
        let printed = match kind {
            Kind::Arm | Kind::Twin => etag::arm(tag),
            Kind::Dps => etag::dps(tag, muster_model::Wall::from_seconds(0)),
            Kind::Identity => etag::identity(tag),
        };
        for spelling in [
            etag::quoted(&printed),
            format!("W/{}", etag::quoted(&printed)),
            printed,
        ] {
            assert_eq!(etag::if_match(kind, Some(&spelling)), IfMatch::Version(tag));
        }
    }
}

fn host(text: &str) {
    let found = DOMAIN.classify(text);
    assert_eq!(DOMAIN.classify(&text.to_ascii_uppercase()), found, "without case");
    let full = match &found {
        Host::Hub(name) => Some(DOMAIN.hub(name)),
        Host::Service(name) => Some(DOMAIN.service(name)),
        Host::Global => Some(DOMAIN.global()),
        Host::Machine | Host::Unknown => None,
    };
    if let Some(full) = full {
        assert_eq!(DOMAIN.classify(&full), found);
        assert_eq!(DOMAIN.classify(&format!("{full}.:443")), found);
    }
    if let Ok(domain) = Domain::new(text) {
        assert_eq!(Domain::new(domain.as_str()), Ok(domain));
    }
}

fn dates(text: &str) {
    if let Some(at) = time::parse_iso(text) {
        assert_eq!(time::parse_iso(&time::iso(at)), Some(at));
    }
    if let Some(at) = time::parse_rfc1123(text) {
        assert_eq!(time::parse_rfc1123(&time::rfc1123(at)), Some(at));
    }
    if let Some(version) = ApiVersion::parse(text) {
        assert_eq!(ApiVersion::parse(&version.to_string()), Some(version));
    }
}

fn ids(text: &str) {
    macro_rules! kept {
        ($($id:ident)*) => {
            $(if let Ok(id) = $id::parse(text) {
                assert_eq!($id::parse(id.as_str()), Ok(id));
            })*
        };
    }
    kept!(
        CertificateName ConsumerGroupName DeviceId DpsName EnrollmentGroupId HubName IdScope Location
        OperationId PolicyName RegistrationId ResourceGroupName SubscriptionId
    );
    if let Ok(id) = DeviceId::parse(text) {
        assert_eq!(
            sas::decode(&sas::encode(id.as_str()), "id").as_deref(),
            Ok(id.as_str())
        );
    }
}

fn pages(text: &str) {
    assert!(page::size(Some(text), page::DPS_DEFAULT) <= page::LARGEST);
    assert!(page::top(Some(text)) <= page::LARGEST);
    if let Ok(Some(next)) = page::parse_token(Some(text)) {
        assert_eq!(page::parse_token(Some(&page::token(&next))), Ok(Some(next)));
    }
}
