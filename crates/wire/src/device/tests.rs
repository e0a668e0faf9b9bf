//! Device identities: shapes of the contract, inferred credentials, bulk calls, and refusals.

use muster_model::{ETag, GenerationId, HubKey, SymmetricKey};
use proptest::prelude::*;

use super::*;

fn id() -> DeviceId {
    DeviceId::parse("dev1").unwrap()
}

fn identity(authentication: Authentication) -> DeviceIdentity {
    DeviceIdentity {
        hub: HubKey::new(1),
        id: id(),
        generation: GenerationId::new(638_000_000_000_000_000),
        etag: ETag::new(123_456_789),
        status: DeviceStatus::Enabled,
        status_reason: None,
        status_updated: None,
        authentication,
        iot_edge: false,
        provenance: None,
        created: Wall::EPOCH,
        last_activity: None,
    }
}

fn sas() -> Authentication {
    Authentication::Sas {
        primary: SymmetricKey::new(vec![0; 32]).unwrap(),
        secondary: SymmetricKey::new(vec![255; 32]).unwrap(),
    }
}

fn parse(more: &str) -> Result<DeviceInput, Error> {
    DeviceDocument::parse(format!("{{\"deviceId\":\"dev1\"{more}}}").as_bytes(), &id())
}

#[test]
fn a_new_device_has_the_shape_of_the_contract() {
    let key = "A".repeat(43);
    let other = "/".repeat(42);
    assert_eq!(
        DeviceDocument::of(&identity(sas()), Connection::default()).to_json(),
        format!(
            "{{\"deviceId\":\"dev1\",\"generationId\":\"638000000000000000\",\"etag\":\"MTIzNDU2Nzg5\",\
             \"connectionState\":\"Disconnected\",\"status\":\"enabled\",\"statusReason\":null,\
             \"connectionStateUpdatedTime\":\"0001-01-01T00:00:00\",\"statusUpdatedTime\":\"0001-01-01T00:00:00\",\
             \"lastActivityTime\":\"0001-01-01T00:00:00\",\"cloudToDeviceMessageCount\":0,\
             \"authentication\":{{\"type\":\"sas\",\"symmetricKey\":{{\"primaryKey\":\"{key}=\",\
             \"secondaryKey\":\"{other}8=\"}},\"x509Thumbprint\":{{\"primaryThumbprint\":null,\
             \"secondaryThumbprint\":null}}}},\"capabilities\":{{\"iotEdge\":false}}}}"
        )
    );
}

#[test]
fn what_is_answered_can_be_sent_back() {
    let thumbprint = Thumbprint::sha256(b"x");
    for authentication in [
        sas(),
        Authentication::None,
        Authentication::CertificateAuthority,
        Authentication::SelfSigned {
            primary: Some(thumbprint),
            secondary: None,
        },
    ] {
        let mut identity = identity(authentication);
        identity.iot_edge = true;
        let document = DeviceDocument::of(
            &identity,
            Connection {
                connected: true,
                since: Some(Wall::EPOCH),
            },
        );
        assert_eq!(
            DeviceDocument::read(document.to_json().as_bytes()).unwrap(),
            document
        );
        let input = DeviceDocument::parse(document.to_json().as_bytes(), &id()).unwrap();
        assert!(input.iot_edge);
        assert_eq!(
            input.authentication,
            Some(AuthenticationInput::Given(identity.authentication))
        );
    }
}

#[test]
fn a_credential_is_inferred_where_no_kind_is_named() {
    let thumbprint = "97388663832D0393C9246CAB4FBA2C8677185A25";
    let input = parse(&format!(
        ",\"authentication\":{{\"x509Thumbprint\":{{\"primaryThumbprint\":\"{thumbprint}\"}},\
         \"symmetricKey\":{{\"primaryKey\":\"\",\"secondaryKey\":\"\"}}}}"
    ))
    .unwrap();
    assert_eq!(
        input.authentication,
        Some(AuthenticationInput::Given(Authentication::SelfSigned {
            primary: Some(thumbprint.parse().unwrap()),
            secondary: None
        }))
    );
    let empty =
        parse(",\"authentication\":{\"symmetricKey\":{\"primaryKey\":\"\",\"secondaryKey\":\"\"}}").unwrap();
    assert_eq!(empty.authentication, Some(AuthenticationInput::NewKeys));
    assert_eq!(parse("").unwrap().authentication, None);
}

#[test]
fn what_breaks_a_rule_names_its_member() {
    for (more, start) in [
        (",\"status\":\"on\"", "status must be"),
        (
            &*format!(",\"statusReason\":\"{}\"", "x".repeat(129)),
            "statusReason must",
        ),
        (
            ",\"authentication\":{\"type\":\"magic\"}",
            "authentication.type must",
        ),
        (
            ",\"authentication\":{\"type\":\"selfSigned\"}",
            "authentication.x509Thumbprint.primaryThumbprint is missing",
        ),
        (
            ",\"authentication\":{\"type\":\"selfSigned\",\"x509Thumbprint\":{\"primaryThumbprint\":\"AA:BB\"}}",
            "authentication.x509Thumbprint.primaryThumbprint must",
        ),
        (
            ",\"authentication\":{\"symmetricKey\":{\"primaryKey\":\"AAAAAAAAAAAAAAAAAAAAAA==\"}}",
            "authentication.symmetricKey.secondaryKey is missing",
        ),
        (",\"deviceScope\":\"ms-azure-iot-edge://x-1\"", "deviceScope"),
        (",\"parentScopes\":[\"x\"]", "parentScopes is not offered"),
    ] {
        let error = parse(more).unwrap_err().to_string();
        assert!(error.starts_with(start), "{more}: {error}");
    }
    assert!(DeviceDocument::parse(b"{\"deviceId\":\"Dev1\"}", &id()).is_err());
    assert!(DeviceDocument::parse(b"{}", &id()).is_err());
}

#[test]
fn read_only_members_are_ignored() {
    assert!(
        parse(
            ",\"generationId\":\"1\",\"etag\":\"x\",\"connectionState\":\"Connected\",\
             \"lastActivityTime\":\"0001-01-01T00:00:00.000Z\",\"cloudToDeviceMessageCount\":3,\"unknown\":{}"
        )
        .is_ok()
    );
}

#[test]
fn bulk_items_stand_or_fall_by_themselves() {
    let body = "[{\"id\":\"a\",\"importMode\":\"CREATE\",\"tags\":{}},{\"id\":\"b\",\"importMode\":\"delete\"},\
                {\"id\":\"c/\",\"importMode\":\"create\"},{\"id\":\"d\",\"importMode\":\"updateTwin\"},\
                {\"id\":\"e\",\"importMode\":\"updateIfMatchETag\"},\
                {\"id\":\"f\",\"moduleId\":\"m\",\"importMode\":\"create\"}]";
    let items = parse_bulk(body.as_bytes()).unwrap();
    assert!(matches!(items[0].change, Ok(BulkDeviceChange::Create(_))) && items[0].has_twin);
    assert!(matches!(items[1].change, Ok(BulkDeviceChange::Delete(_))));
    assert!(matches!(items[2].change, Err(Error::Field { .. })));
    assert!(matches!(items[3].change, Err(Error::Unsupported(_))));
    assert_eq!(items[4].if_match, muster_model::IfMatch::Foreign);
    assert!(matches!(items[5].change, Err(Error::Unsupported(_))));

    assert_eq!(
        parse_bulk(b"[{\"id\":\"a\"},{\"id\":\"a\",\"moduleId\":\"m\"}]").unwrap_err(),
        Error::Twice("a".into())
    );
    let many: Vec<String> = (0..101).map(|n| format!("{{\"id\":\"{n}\"}}")).collect();
    assert!(matches!(
        parse_bulk(format!("[{}]", many.join(",")).as_bytes()),
        Err(Error::TooMany { limit: 100, .. })
    ));
}

#[test]
fn bulk_answers_read_back() {
    let result = BulkDeviceResult::of(
        vec![BulkDeviceError::new(
            "a",
            muster_model::ErrorCode::DeviceAlreadyExists,
            None,
        )],
        vec![BulkDeviceWarning::without_twin("b")],
    );
    assert_eq!(result.status(), 400);
    assert!(result.to_json().starts_with(
        "{\"isSuccessful\":false,\"errors\":[{\"deviceId\":\"a\",\"errorCode\":\"DeviceAlreadyExists\","
    ));
    assert_eq!(
        BulkDeviceResult::read(result.to_json().as_bytes()).unwrap(),
        result
    );
}

#[test]
fn counts_have_their_names() {
    let counts = DeviceCounts {
        total: 3,
        enabled: 2,
        disabled: 1,
    };
    assert_eq!(
        DeviceStatistics::from(counts).to_json(),
        "{\"totalDeviceCount\":3,\"enabledDeviceCount\":2,\"disabledDeviceCount\":1}"
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..120)) {
        let _ = DeviceDocument::parse(&body, &id());
        let _ = parse_bulk(&body);
    }
}
