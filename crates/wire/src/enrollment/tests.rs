//! Enrollments: shapes of the contract, round trips, bulk calls, and refusals that name their member.

use muster_model::{DpsKey, ErrorCode, IfMatch, SymmetricKey};
use proptest::prelude::*;

use super::*;

fn domain() -> Domain {
    Domain::default()
}

fn id() -> RegistrationId {
    RegistrationId::parse("dev1").unwrap()
}

const KEYED: &str = "\"registrationId\":\"DEV1\",\"attestation\":{\"type\":\"symmetricKey\"}";

fn parse(more: &str) -> Result<IndividualInput, Error> {
    IndividualDocument::parse(format!("{{{KEYED}{more}}}").as_bytes(), &id(), &domain())
}

fn keys() -> Attestation {
    Attestation::SymmetricKey {
        primary: SymmetricKey::new(vec![1; 64]).unwrap(),
        secondary: SymmetricKey::new(vec![2; 64]).unwrap(),
    }
}

fn stored(more: &str) -> IndividualEnrollment {
    let input = parse(more).unwrap();
    IndividualEnrollment {
        service: DpsKey::new(1),
        id: input.id,
        device_id: input.device_id,
        device_information: input.device_information,
        attestation: keys(),
        terms: EnrollmentTerms {
            etag: ETag::new(0x1200_86f2_0000_0300),
            created: Wall::from_seconds(0x630a_5a0f),
            updated: Wall::from_seconds(0x630a_5a0f),
            ..input.terms
        },
    }
}

#[test]
fn the_least_document_takes_every_default() {
    let input = parse("").unwrap();
    assert_eq!(input.id.as_str(), "DEV1");
    assert_eq!(input.terms.status, ProvisioningStatus::Enabled);
    assert_eq!(input.terms.reprovision, ReprovisionPolicy::default());
    assert_eq!(input.terms.allocation, None);
    assert!(input.terms.hubs.is_empty());
    assert_eq!(input.terms.initial_twin, None);
    let nulls = parse(
        ",\"deviceId\":null,\"iotHubs\":null,\"initialTwin\":null,\"capabilities\":null,\
         \"allocationPolicy\":null,\"reprovisionPolicy\":{\"updateHubAssignment\":false},\
         \"customAllocationDefinition\":{\"webhookUrl\":null,\"apiVersion\":null},\"credentialPolicyName\":null",
    )
    .unwrap();
    assert!(!nulls.terms.reprovision.update_hub_assignment);
    assert!(nulls.terms.reprovision.migrate_device_data);
}

#[test]
fn a_read_has_the_shape_of_the_contract_and_no_keys() {
    let text = IndividualDocument::of(
        &stored(
            ",\"iotHubs\":[\"Hub-1.azure-devices.muster.localhost\"],\"allocationPolicy\":\"geolatency\",\
             \"initialTwin\":{\"properties\":{\"desired\":{}}}",
        ),
        None,
        false,
        &domain(),
    )
    .to_json();
    assert_eq!(
        text,
        "{\"registrationId\":\"DEV1\",\"attestation\":{\"type\":\"symmetricKey\",\"symmetricKey\":{}},\
         \"iotHubs\":[\"hub-1.azure-devices.muster.localhost\"],\"initialTwin\":{\"properties\":{\"desired\":{}}},\
         \"etag\":\"IjEyMDA4NmYyLTAwMDAtMDMwMC0wMDAwLTYzMGE1YTBmMDAwMCI=\",\"provisioningStatus\":\"enabled\",\
         \"reprovisionPolicy\":{\"updateHubAssignment\":true,\"migrateDeviceData\":true},\
         \"createdDateTimeUtc\":\"2022-08-27T17:53:19.0000000Z\",\
         \"lastUpdatedDateTimeUtc\":\"2022-08-27T17:53:19.0000000Z\",\"allocationPolicy\":\"geoLatency\",\
         \"capabilities\":{\"iotEdge\":false}}"
    );
}

#[test]
fn what_is_answered_can_be_sent_back() {
    let enrollment = stored(
        ",\"deviceId\":\"Other\",\"optionalDeviceInformation\":{\"a\":[1]},\"provisioningStatus\":\"disabled\",\
         \"iotHubs\":[\"a-b.azure-devices.muster.localhost\"],\"allocationPolicy\":\"static\",\
         \"capabilities\":{\"iotEdge\":true}",
    );
    let document = IndividualDocument::of(&enrollment, None, true, &domain());
    assert_eq!(
        IndividualDocument::read(document.to_json().as_bytes()).unwrap(),
        document
    );
    let input = IndividualDocument::parse(document.to_json().as_bytes(), &id(), &domain()).unwrap();
    assert_eq!(input.terms.status, enrollment.terms.status);
    assert_eq!(input.terms.hubs, enrollment.terms.hubs);
    assert_eq!(input.terms.allocation, Some(AllocationPolicy::Static));
    assert_eq!(input.device_information, enrollment.device_information);
    assert!(matches!(
        input.attestation,
        AttestationInput::SymmetricKey {
            primary: Some(_),
            secondary: Some(_)
        }
    ));
    assert!(mechanism_json(&keys()).contains("\"primaryKey\":\""));
    assert!(!individuals_json([&enrollment], &domain()).contains("primaryKey"));
}

#[test]
fn the_legacy_lone_hub_is_a_static_allocation() {
    let input = parse(",\"iotHubHostName\":\"abc.azure-devices.muster.localhost\"").unwrap();
    assert_eq!(input.terms.allocation, Some(AllocationPolicy::Static));
    assert_eq!(input.terms.hubs, [HubName::parse("abc").unwrap()]);
}

#[test]
fn what_breaks_a_rule_names_its_member() {
    for (more, start) in [
        (",\"deviceId\":\"a/b\"", "deviceId must be"),
        (",\"iotHubs\":[\"x\"]", "iotHubs[0] must be"),
        (",\"allocationPolicy\":\"nearest\"", "allocationPolicy must be"),
        (
            ",\"allocationPolicy\":\"custom\"",
            "customAllocationDefinition is missing",
        ),
        (
            ",\"customAllocationDefinition\":{\"webhookUrl\":\"https://a\"}",
            "customAllocationDefinition.apiVersion is missing",
        ),
        (
            ",\"customAllocationDefinition\":{\"webhookUrl\":\"file:///a\",\"apiVersion\":\"2021-10-01\"}",
            "customAllocationDefinition.webhookUrl must",
        ),
        (
            ",\"allocationPolicy\":\"static\",\"iotHubs\":[\"abc.azure-devices.muster.localhost\",\
             \"abd.azure-devices.muster.localhost\"]",
            "iotHubs must name one hub",
        ),
        (",\"provisioningStatus\":\"on\"", "provisioningStatus must be"),
        (
            ",\"optionalDeviceInformation\":[]",
            "optionalDeviceInformation must be an object",
        ),
        (",\"initialTwin\":{\"tags\":{\"a.b\":1}}", "initialTwin.tags must"),
        (",\"capabilities\":1", "capabilities has a type"),
    ] {
        let error = parse(more).unwrap_err().to_string();
        assert!(error.starts_with(start), "{more}: {error}");
    }
    let other = RegistrationId::parse("dev2").unwrap();
    assert!(IndividualDocument::parse(format!("{{{KEYED}}}").as_bytes(), &other, &domain()).is_err());
}

#[test]
fn static_allocation_without_a_hub_is_stored() {
    assert!(parse(",\"allocationPolicy\":\"static\",\"iotHubs\":[]").is_ok());
}

#[test]
fn groups_take_no_tpm() {
    let group = EnrollmentGroupId::parse("g").unwrap();
    let body = "{\"enrollmentGroupId\":\"G\",\"attestation\":{\"type\":\"symmetricKey\"}}";
    let input = GroupDocument::parse(body.as_bytes(), &group, &domain()).unwrap();
    assert_eq!(input.id.as_str(), "G");
    assert!(GroupDocument::parse(body.replace("symmetricKey", "tpm").as_bytes(), &group, &domain()).is_err());
}

#[test]
fn bulk_items_stand_or_fall_by_themselves() {
    let body = format!(
        "{{\"mode\":\"updateIfMatchEtag\",\"enrollments\":[{{{KEYED},\"etag\":\"{}\"}},{{\"registrationId\":\"b\"}}]}}",
        etag::dps(ETag::new(9), Wall::EPOCH)
    );
    let bulk = Bulk::individuals(body.as_bytes(), &domain()).unwrap();
    assert_eq!(bulk.mode, BulkMode::UpdateIfMatchEtag);
    assert_eq!(bulk.items[0].if_match, IfMatch::Version(ETag::new(9)));
    assert!(matches!(bulk.items[0].change, Ok(BulkChange::Put(_))));
    assert_eq!(bulk.items[1].if_match, IfMatch::Foreign);
    assert_eq!(
        bulk.items[1].change.as_ref().unwrap_err().to_string(),
        "attestation is missing"
    );

    let delete = body.replace("updateIfMatchEtag", "DELETE");
    let bulk = Bulk::individuals(delete.as_bytes(), &domain()).unwrap();
    assert!(
        bulk.items
            .iter()
            .all(|item| matches!(item.change, Ok(BulkChange::Delete(_))))
    );

    let many = format!(
        "{{\"mode\":\"create\",\"enrollmentGroups\":[{}]}}",
        ["{}"; 11].join(",")
    );
    assert!(matches!(
        Bulk::groups(many.as_bytes(), &domain()),
        Err(Error::TooMany { limit: 10, .. })
    ));
}

#[test]
fn bulk_answers_read_back() {
    let result = BulkResult::of(vec![BulkError::individual(
        "b",
        ErrorCode::DpsEnrollmentNotFound,
        None,
    )]);
    assert_eq!(
        result.to_json(),
        "{\"isSuccessful\":false,\"errors\":[{\"registrationId\":\"b\",\"errorCode\":404201,\
         \"errorStatus\":\"Not found\"}]}"
    );
    assert_eq!(BulkResult::read(result.to_json().as_bytes()).unwrap(), result);
    assert_eq!(
        BulkResult::of(Vec::new()).to_json(),
        "{\"isSuccessful\":true,\"errors\":[]}"
    );
}

#[test]
fn any_query_text_means_everything() {
    for body in [
        "",
        "{}",
        "{\"query\":\"\"}",
        "{\"query\":\"{'query': 'SELECT *'}\"}",
        "\"x\"",
    ] {
        assert!(check_query(body.as_bytes()).is_ok(), "{body}");
    }
    assert!(check_query(b"{").is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..120)) {
        let _ = IndividualDocument::parse(&body, &id(), &domain());
        let _ = Bulk::groups(&body, &domain());
        let _ = check_query(&body);
    }
}
