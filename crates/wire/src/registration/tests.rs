//! Registrations: the answers of the contract, bodies of all clients, and refusals.

use muster_model::dps::{Assignment, RegistrationFailure};
use muster_model::{DeviceId, DpsKey, ETag, HubKey, JsonError, Random, Wall};
use proptest::prelude::*;

use super::*;

const OPERATION: &str = "5.506603669bd3e2bf.b3602f8f-76fe-4341-9214-bb6cfb891b8a";

fn id() -> RegistrationId {
    RegistrationId::parse("my-x509-device").unwrap()
}

fn version(text: &str) -> ApiVersion {
    ApiVersion::parse(text).unwrap()
}

fn state(status: RegistrationStatus) -> RegistrationState {
    RegistrationState {
        service: DpsKey::new(1),
        id: id(),
        operation: OperationId::parse(OPERATION).unwrap(),
        status,
        substatus: Some(Substatus::ReprovisionedToInitialAssignment),
        assignment: Some(Assignment {
            hub: HubKey::new(1),
            host_name: "contoso.azure-devices.net".into(),
            device_id: DeviceId::parse("my-x509-device").unwrap(),
        }),
        failure: Some(RegistrationFailure {
            code: 400_207,
            message: "Custom allocation failed with status code: 400".into(),
        }),
        group: None,
        attestation: AttestationKind::X509,
        chain: Vec::new(),
        payload: None,
        created: Wall::from_micros(1_661_622_799_514_349),
        updated: Wall::from_seconds(0x630a_5a0f),
        etag: ETag::new(0x1200_86f2_0000_0300),
    }
}

#[test]
fn an_assigned_device_reads_what_the_contract_prints() {
    let answer = OperationStatus::of(&state(RegistrationStatus::Assigned), version("2021-06-01"));
    assert_eq!(
        answer.to_json(),
        format!(
            "{{\"operationId\":\"{OPERATION}\",\"status\":\"assigned\",\"registrationState\":{{\"x509\":{{}},\
             \"registrationId\":\"my-x509-device\",\"createdDateTimeUtc\":\"2022-08-27T17:53:19.5143490Z\",\
             \"assignedHub\":\"contoso.azure-devices.net\",\"deviceId\":\"my-x509-device\",\"status\":\"assigned\",\
             \"substatus\":\"reprovisionedToInitialAssignment\",\
             \"lastUpdatedDateTimeUtc\":\"2022-08-27T17:53:19.0000000Z\",\
             \"etag\":\"IjEyMDA4NmYyLTAwMDAtMDMwMC0wMDAwLTYzMGE1YTBmMDAwMCI=\"}}}}"
        )
    );
    assert_eq!(
        OperationStatus::read(answer.to_json().as_bytes()).unwrap(),
        answer
    );
}

#[test]
fn older_versions_show_a_repeat_as_the_first_assignment() {
    let old = RegistrationResult::of(&state(RegistrationStatus::Assigned), version("2019-03-31"));
    assert_eq!(old.substatus.as_deref(), Some("initialAssignment"));
    let service = DeviceRegistrationState::from(&state(RegistrationStatus::Assigned));
    assert_eq!(
        service.substatus.as_deref(),
        Some("reprovisionedToInitialAssignment")
    );
}

#[test]
fn a_failed_attempt_shows_its_cause_and_no_hub() {
    let answer = OperationStatus::of(&state(RegistrationStatus::Failed), version("2021-06-01"));
    let result = answer.registration_state.unwrap();
    assert_eq!(result.error_code, Some(400_207));
    assert_eq!(result.assigned_hub, None);
    assert_eq!(result.x509, None);
    assert_eq!(answer.status, "failed");
}

#[test]
fn a_disabled_enrollment_is_answered_as_observed() {
    let answer = OperationStatus::of(&state(RegistrationStatus::Disabled), version("2021-06-01"));
    assert_eq!(
        answer.to_json(),
        "{\"operationId\":\"\",\"status\":\"disabled\",\"registrationState\":{\"registrationId\":\"my-x509-device\",\
         \"status\":\"disabled\"}}"
    );
}

#[test]
fn an_attempt_that_goes_on_says_nothing_else() {
    let answer = OperationStatus::of(&state(RegistrationStatus::Assigning), version("2021-06-01"));
    assert!(answer.is_assigning());
    assert_eq!(
        answer.to_json(),
        format!("{{\"operationId\":\"{OPERATION}\",\"status\":\"assigning\"}}")
    );
}

#[test]
fn bodies_of_all_clients_are_read() {
    for body in [
        "",
        " \r\n",
        "{}",
        "null",
        "{\"registrationId\":\"MY-X509-device\",\"payload\":null,\"x\":1}",
    ] {
        let read = DeviceRegistration::parse(body.as_bytes(), &id()).unwrap();
        assert_eq!(read.payload, None, "{body}");
    }
    let read = DeviceRegistration::parse(
        b"{\"payload\":{\"b\": 1.0},\"tpm\":{\"endorsementKey\":\"AA==\"}}",
        &id(),
    )
    .unwrap();
    assert_eq!(read.payload.unwrap().as_str(), "{\"b\": 1.0}");
    assert_eq!(read.tpm.unwrap().endorsement_key.as_deref(), Some("AA=="));
}

#[test]
fn bodies_that_break_a_rule_are_refused() {
    assert_eq!(
        DeviceRegistration::parse(b"{\"registrationId\":\"other\"}", &id())
            .unwrap_err()
            .to_string(),
        "registrationId must be the registration id of the path"
    );
    assert!(matches!(
        DeviceRegistration::parse(&vec![b' '; DPS_BODY.bytes + 1], &id()),
        Err(Error::Json(JsonError::Long(_)))
    ));
    assert!(matches!(
        DeviceRegistration::parse(b"{\"tpm\":1}", &id()),
        Err(Error::Type(_))
    ));
    assert!(DeviceRegistration::parse(b"\xff", &id()).is_err());
    // A list is no document, although it may hold what the members would.
    for list in [&b"[]"[..], b" \n[\"my-x509-device\"]"] {
        assert_eq!(
            DeviceRegistration::parse(list, &id()),
            Err(Error::Type("the document".into()))
        );
    }
}

#[test]
fn operation_ids_keep_their_middle_and_differ_at_the_end() {
    let scope = IdScope::parse("0ne000A1B2C").unwrap();
    let random = Random::from_number(1);
    let first = random.draw(|rng| operation_id(&scope, &id(), rng));
    let second = random.draw(|rng| {
        operation_id(
            &IdScope::parse("0NE000a1b2c").unwrap(),
            &RegistrationId::parse("MY-x509-device").unwrap(),
            rng,
        )
    });
    assert_eq!(first.as_str().get(..19), second.as_str().get(..19));
    assert_ne!(first, second);
}

#[test]
fn paths_are_encoded() {
    let scope = IdScope::parse("0ne000A1B2C").unwrap();
    let id = RegistrationId::parse("sensor:7").unwrap();
    assert_eq!(
        register_path(&scope, &id),
        "/0ne000A1B2C/registrations/sensor%3A7/register"
    );
    assert_eq!(
        operation_path(&scope, &id, OPERATION),
        format!("/0ne000A1B2C/registrations/sensor%3A7/operations/{OPERATION}")
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..120)) {
        let _ = DeviceRegistration::parse(&body, &id());
        let _ = OperationStatus::read(&body);
    }
}
