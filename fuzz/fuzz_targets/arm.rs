//! Bodies of management: hubs, provisioning services, certificates, groups, tags, and what a client reads of them.
//!
//! Holds that what is left of a document after reading is read again as the same, and that lists keep their bounds.

#![no_main]

mod support;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use muster_model::ResourceGroupName;
use muster_wire::Domain;
use muster_wire::arm::{self, HubInput, HubSummary, List, PolicyDocument, ServiceInput, ServiceSummary};
use muster_wire::certificate_document::{CertificateDocument, Upload, parse_verification};

static DOMAIN: LazyLock<Domain> = LazyLock::new(Domain::default);

fuzz_target!(|bytes: &[u8]| {
    match support::choose(bytes, 8) {
        Some((0, body)) => {
            if let Ok(input) = HubInput::parse(body) {
                let rest = input.document.as_str();
                let again = HubInput::parse(rest.as_bytes()).expect("what is left is read");
                assert_eq!(again.document, input.document);
                assert_eq!((again.tags, again.policies), (None, None));
            }
        }
        Some((1, body)) => {
            if let Ok(input) = ServiceInput::parse(body, &DOMAIN) {
                let rest = input.document.as_str();
                let again = ServiceInput::parse(rest.as_bytes(), &DOMAIN).expect("what is left is read");
                assert_eq!(again.document, input.document);
                assert_eq!((again.links, again.policies), (None, None));
            }
        }
        Some((2, body)) => {
            if let Ok(upload) = Upload::parse(body) {
                for flat in [false, true] {
                    let written = Upload::request(upload.certificate.der(), upload.verified, flat);
                    assert_eq!(Upload::parse(written.as_bytes()).as_ref(), Ok(&upload));
                }
                assert_eq!(parse_verification(body), Ok(upload.certificate));
            }
        }
        Some((3, body)) => {
            if let Ok(read) = CertificateDocument::read(body) {
                assert_eq!(CertificateDocument::read(read.to_json().as_bytes()), Ok(read));
            }
        }
        Some((4, body)) => {
            let name = ResourceGroupName::parse("group").expect("a name");
            let group = arm::parse_group(body, &name);
            let tags = arm::parse_tags(body);
            if let Ok(group) = group {
                assert_eq!(tags, Ok(group.tags), "tags are read alike");
            }
        }
        Some((5, body)) => {
            if let Ok(name) = arm::parse_name(body) {
                assert!(name.chars().count() <= 256);
            }
        }
        Some((6, body)) => {
            let _ = List::<HubSummary>::read(body);
            let _ = List::<ServiceSummary>::read(body);
        }
        Some((_, body)) => {
            if let Ok(read) = List::<PolicyDocument>::read(body) {
                assert_eq!(List::<PolicyDocument>::read(read.to_json().as_bytes()), Ok(read));
            }
        }
        None => {}
    }
});
