//! Bodies of provisioning: what devices send, what back ends send, and what a client reads.
//!
//! Holds that a document that was read is written and read again as the same one, that a body and the document in it
//! are judged alike, and that bulk calls keep their bound.

#![no_main]

mod support;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use muster_model::{EnrollmentGroupId, RegistrationId};
use muster_wire::enrollment::{Bulk, BulkChange, BulkResult, GroupDocument, IndividualDocument, MAX_BULK};
use muster_wire::registration::{
    DeviceRegistration, DeviceRegistrationState, OperationStatus, RegistrationResult,
};
use muster_wire::{DPS_BODY, Domain};

static DOMAIN: LazyLock<Domain> = LazyLock::new(|| Domain::default().with_azure_names(true));

fuzz_target!(|bytes: &[u8]| {
    match support::choose(bytes, 8) {
        Some((0, body)) => registration(body),
        Some((1, body)) => individual(body),
        Some((2, body)) => group(body),
        Some((3, body)) => individuals(body),
        Some((4, body)) => groups(body),
        Some((5, body)) => {
            if let Ok(read) = OperationStatus::read(body) {
                assert_eq!(OperationStatus::read(read.to_json().as_bytes()), Ok(read));
            }
        }
        Some((6, body)) => {
            if let Ok(read) = RegistrationResult::read(body) {
                assert_eq!(RegistrationResult::read(read.to_json().as_bytes()), Ok(read));
            }
            if let Ok(read) = DeviceRegistrationState::read(body) {
                assert_eq!(DeviceRegistrationState::read(read.to_json().as_bytes()), Ok(read));
            }
        }
        Some((_, body)) => {
            if let Ok(read) = BulkResult::read(body) {
                assert_eq!(BulkResult::read(read.to_json().as_bytes()), Ok(read));
            }
        }
        None => {}
    }
});

fn registration(body: &[u8]) {
    let id = RegistrationId::parse("sensor-7").expect("an id");
    if let Ok(read) = DeviceRegistration::parse(body, &id) {
        assert_eq!(
            DeviceRegistration::parse(read.to_json().as_bytes(), &id),
            Ok(read)
        );
    }
}

fn individual(body: &[u8]) {
    let Ok(document) = IndividualDocument::read(body) else {
        return;
    };
    let written = document.to_json();
    assert_eq!(
        IndividualDocument::read(written.as_bytes()).as_ref(),
        Ok(&document)
    );
    let Ok(input) = document.check(&DOMAIN) else {
        return;
    };
    if body.len() <= DPS_BODY.bytes {
        let parsed = IndividualDocument::parse(body, &input.id, &DOMAIN);
        assert_eq!(parsed.as_ref(), Ok(&input));
        let other = RegistrationId::parse("not-this-one").expect("an id");
        assert_eq!(
            IndividualDocument::parse(body, &other, &DOMAIN).is_ok(),
            input.id == other
        );
    }
    // Nothing is stored: only what names a stored certificate can be refused.
    let _ = input.change(None);
}

fn group(body: &[u8]) {
    let Ok(document) = GroupDocument::read(body) else {
        return;
    };
    let written = document.to_json();
    assert_eq!(GroupDocument::read(written.as_bytes()).as_ref(), Ok(&document));
    let Ok(input) = document.check(&DOMAIN) else {
        return;
    };
    if body.len() <= DPS_BODY.bytes {
        let parsed = GroupDocument::parse(body, &input.id, &DOMAIN);
        assert_eq!(parsed.as_ref(), Ok(&input));
    }
    let _ = input.change(None);
}

fn individuals(body: &[u8]) {
    let Ok(call) = Bulk::<_, RegistrationId>::individuals(body, &DOMAIN) else {
        return;
    };
    assert!(call.items.len() <= MAX_BULK);
    for item in call.items {
        if let Ok(BulkChange::Put(input)) = item.change {
            assert_eq!(RegistrationId::parse(&item.id).ok(), Some(input.id));
        }
    }
}

fn groups(body: &[u8]) {
    let Ok(call) = Bulk::<_, EnrollmentGroupId>::groups(body, &DOMAIN) else {
        return;
    };
    assert!(call.items.len() <= MAX_BULK);
    for item in call.items {
        if let Ok(BulkChange::Put(input)) = item.change {
            assert_eq!(EnrollmentGroupId::parse(&item.id).ok(), Some(input.id));
        }
    }
}
