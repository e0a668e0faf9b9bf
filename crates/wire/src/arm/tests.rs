//! Documents of management: shapes of the contract, round trips, and refusals that name their member.

use muster_model::access::{AccessPolicy, DpsRights, HubRights};
use muster_model::dps::AllocationPolicy;
use muster_model::estate::{ConsumerGroup, Hub, HubLink, ProvisioningService, ResourceGroup};
use muster_model::{DpsKey, ETag, HubKey, IdScope, PartitionCount, PolicyName, SymmetricKey, Wall};
use proptest::prelude::*;

use super::*;

const SUBSCRIPTION: &str = "11111111-2222-3333-4444-555555555555";

fn subscription_id() -> SubscriptionId {
    SubscriptionId::parse(SUBSCRIPTION).unwrap()
}

fn with_scope<T>(run: impl FnOnce(Scope<'_>) -> T) -> T {
    run(Scope {
        subscription: &subscription_id(),
        domain: &Domain::default(),
    })
}

fn group_name() -> ResourceGroupName {
    ResourceGroupName::parse("RG").unwrap()
}

fn stored_hub(body: &str) -> Hub {
    let input = HubInput::parse(body.as_bytes()).unwrap();
    Hub {
        key: HubKey::new(1),
        name: HubName::parse("Hub-1").unwrap(),
        group: group_name(),
        location: input
            .location
            .unwrap_or_else(|| Location::parse("westus").unwrap()),
        tags: input.tags.unwrap_or_else(Json::empty_object),
        partitions: input.partitions.unwrap_or(PartitionCount::DEFAULT),
        retention_days: input.retention_days.unwrap_or(1),
        retention_bytes: input.retention_bytes.flatten(),
        disable_device_sas: input.disable_device_sas.unwrap_or(false),
        document: input.document,
        policies: Vec::new(),
        consumer_groups: Vec::new(),
        created: Wall::from_seconds(1_611_966_518),
        etag: ETag::new(0x0143_e8ce),
    }
}

/// The body of `az iot hub create` with defaults.
const AZ_CREATE: &str = r#"{"location":"westus","sku":{"name":"S1","capacity":1},
 "properties":{"eventHubEndpoints":{"events":{"retentionTimeInDays":1,"partitionCount":4}},
  "storageEndpoints":{"$default":{"sasTtlAsIso8601":"PT1H","connectionString":"","containerName":""}},
  "messagingEndpoints":{"fileNotifications":{"lockDurationAsIso8601":"PT5S","ttlAsIso8601":"PT1H","maxDeliveryCount":10}},
  "enableFileUploadNotifications":false,
  "cloudToDevice":{"maxDeliveryCount":10,"defaultTtlAsIso8601":"PT1H",
    "feedback":{"lockDurationAsIso8601":"PT5S","ttlAsIso8601":"PT1H","maxDeliveryCount":10}}}}"#;

#[test]
fn a_hub_made_by_the_azure_cli_has_the_shape_of_the_contract() {
    let shown = with_scope(|scope| hub(&stored_hub(AZ_CREATE), scope, false));
    assert_eq!(
        shown["id"],
        format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/RG/providers/Microsoft.Devices/IotHubs/Hub-1")
    );
    assert_eq!(shown["etag"], "AAAAAAFD6M4=");
    assert_eq!(shown["resourcegroup"], "RG");
    assert_eq!(shown["subscriptionid"], SUBSCRIPTION);
    assert_eq!(
        shown["sku"],
        json!({"name": "S1", "tier": "Standard", "capacity": 1})
    );
    let properties = &shown["properties"];
    assert_eq!(properties["hostName"], "hub-1.azure-devices.muster.localhost");
    assert_eq!(
        properties["eventHubEndpoints"]["events"],
        json!({
            "retentionTimeInDays": 1, "partitionCount": 4, "partitionIds": ["0", "1", "2", "3"],
            "path": "hub-1", "endpoint": "sb://hub-1.azure-devices.muster.localhost/"
        })
    );
    assert_eq!(
        properties["cloudToDevice"]["feedback"]["lockDurationAsIso8601"],
        "PT5S"
    );
    assert_eq!(properties["routing"]["routes"], json!([]));
    assert_eq!(properties["routing"]["endpoints"]["eventHubs"], json!([]));
    assert!(properties.get("authorizationPolicies").is_none());
    let summary: HubSummary = serde_json::from_value(shown).unwrap();
    assert_eq!(
        summary.properties.event_hub_endpoints.events.partition_ids.len(),
        4
    );
}

#[test]
fn a_hub_that_is_read_and_written_back_stays_the_same() {
    let first = with_scope(|scope| hub(&stored_hub(AZ_CREATE), scope, false));
    let second = with_scope(|scope| hub(&stored_hub(&first.to_string()), scope, false));
    assert_eq!(first, second);
}

#[test]
fn settings_that_nobody_understands_come_back() {
    let body = r#"{"location":"westus","extendedLocation":{"name":"x"},"tags":{"a":"b"},
        "properties":{"comments":"kept","features":"DeviceManagement","routing":{"endpoints":{"eventHubs":null},"routes":null},
        "eventHubEndpoints":{"events":{"retentionSizeInBytes":1000}}}}"#;
    let shown = with_scope(|scope| hub(&stored_hub(body), scope, false));
    assert_eq!(shown["properties"]["comments"], "kept");
    assert_eq!(shown["properties"]["features"], "DeviceManagement");
    assert_eq!(shown["extendedLocation"]["name"], "x");
    assert_eq!(shown["tags"]["a"], "b");
    assert_eq!(
        shown["properties"]["routing"]["endpoints"]["eventHubs"],
        json!([])
    );
    assert_eq!(
        shown["properties"]["eventHubEndpoints"]["events"]["retentionSizeInBytes"],
        1000
    );
}

#[test]
fn settings_that_would_not_hold_are_refused_by_name() {
    for (properties, path) in [
        (
            r#"{"ipFilterRules":[{"filterName":"a"}]}"#,
            "properties.ipFilterRules",
        ),
        (
            r#"{"publicNetworkAccess":"Disabled"}"#,
            "properties.publicNetworkAccess",
        ),
        (
            r#"{"routing":{"routes":[{"name":"r"}]}}"#,
            "properties.routing.routes",
        ),
        (
            r#"{"routing":{"endpoints":{"eventHubs":[{}]}}}"#,
            "properties.routing.endpoints",
        ),
        (r#"{"disableLocalAuth":true}"#, "properties.disableLocalAuth"),
        (
            r#"{"eventHubEndpoints":{"events":{"partitionCount":0}}}"#,
            "properties.eventHubEndpoints.events.partitionCount",
        ),
        (
            r#"{"eventHubEndpoints":{"events":{"retentionTimeInDays":"x"}}}"#,
            "properties.eventHubEndpoints.events.retentionTimeInDays",
        ),
        (r#"{"disableDeviceSAS":"yes"}"#, "properties.disableDeviceSAS"),
        (
            r#"{"authorizationPolicies":[{"keyName":"a","rights":"All"}]}"#,
            "properties.authorizationPolicies[0].rights",
        ),
        (
            r#"{"authorizationPolicies":[{"keyName":"a/b","rights":"RegistryRead"}]}"#,
            "properties.authorizationPolicies[0].keyName",
        ),
    ] {
        let error = HubInput::parse(format!("{{\"properties\":{properties}}}").as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with(path), "{error}");
    }
}

#[test]
fn policies_are_read_with_missing_keys_and_listed_with_them() {
    let key = SymmetricKey::new(vec![9; 32]).unwrap();
    let body = format!(
        "{{\"properties\":{{\"authorizationPolicies\":[{{\"keyName\":\"service\",\"primaryKey\":\"{}\",\
         \"rights\":\"ServiceConnect,DeviceConnect\"}}]}}}}",
        key.to_base64().as_str()
    );
    let policies = HubInput::parse(body.as_bytes()).unwrap().policies.unwrap();
    assert_eq!(policies.len(), 1);
    assert_eq!(policies[0].primary.as_ref(), Some(&key));
    assert_eq!(policies[0].secondary, None);
    assert_eq!(
        policies[0].rights,
        HubRights::SERVICE_CONNECT.with(HubRights::DEVICE_CONNECT)
    );
    let stored = AccessPolicy {
        name: policies[0].name.clone(),
        primary: key.clone(),
        secondary: key,
        rights: policies[0].rights,
    };
    let shown = key_list(&[stored]).to_json();
    assert!(
        shown.contains("\"rights\":\"ServiceConnect, DeviceConnect\""),
        "{shown}"
    );
    assert_eq!(
        List::<PolicyDocument>::read(shown.as_bytes()).unwrap().value[0].key_name,
        "service"
    );
    assert_eq!(HubInput::parse(b"{}").unwrap().policies, None);
}

fn stored_service(body: &str) -> (ProvisioningService, Option<Vec<LinkInput>>) {
    let input = ServiceInput::parse(body.as_bytes(), &Domain::default()).unwrap();
    let links = input.links.clone();
    let policy = AccessPolicy {
        name: PolicyName::parse("provisioningserviceowner").unwrap(),
        primary: SymmetricKey::new(vec![1; 32]).unwrap(),
        secondary: SymmetricKey::new(vec![2; 32]).unwrap(),
        rights: DpsRights::ENROLLMENT_WRITE,
    };
    let service = ProvisioningService {
        key: DpsKey::new(1),
        name: DpsName::parse("D-1").unwrap(),
        group: group_name(),
        location: Location::parse("westus").unwrap(),
        tags: input.tags.unwrap_or_else(Json::empty_object),
        id_scope: IdScope::parse("0ne00000012").unwrap(),
        allocation: input.allocation.unwrap_or_default(),
        links: vec![
            HubLink {
                hub: HubKey::new(1),
                policy: PolicyName::parse("iothubowner").unwrap(),
                location: Location::parse("westus").unwrap(),
                apply_allocation: true,
                weight: 1,
            },
            HubLink {
                hub: HubKey::new(99),
                policy: PolicyName::parse("iothubowner").unwrap(),
                location: Location::parse("westus").unwrap(),
                apply_allocation: true,
                weight: 1,
            },
        ],
        document: input.document,
        policies: vec![policy],
        created: Wall::EPOCH,
        etag: ETag::new(0x0c69),
    };
    (service, links)
}

fn shown_service(stored: &ProvisioningService) -> Value {
    with_scope(|scope| {
        service(
            stored,
            scope,
            |key| (key == HubKey::new(1)).then(|| HubName::parse("abc").unwrap()),
            false,
        )
    })
}

#[test]
fn a_provisioning_service_has_the_shape_of_the_contract() {
    let (stored, links) =
        stored_service(r#"{"location":"westus","properties":{},"sku":{"name":"S1","capacity":1}}"#);
    assert_eq!(links, None);
    let shown = shown_service(&stored);
    assert_eq!(shown["etag"], "AAAAAAAADGk=");
    let properties = &shown["properties"];
    assert_eq!(properties["idScope"], "0ne00000012");
    assert_eq!(properties["allocationPolicy"], "Hashed");
    assert_eq!(
        properties["serviceOperationsHostName"],
        "d-1.azure-devices-provisioning.muster.localhost"
    );
    assert_eq!(
        properties["deviceProvisioningHostName"],
        "global.azure-devices-provisioning.muster.localhost"
    );
    assert_eq!(
        properties["iotHubs"],
        json!([{
            "name": "abc.azure-devices.muster.localhost",
            "connectionString": "HostName=abc.azure-devices.muster.localhost;SharedAccessKeyName=iothubowner;SharedAccessKey=****",
            "location": "westus", "applyAllocationPolicy": true, "allocationWeight": 1
        }])
    );
    let summary: ServiceSummary = serde_json::from_value(shown.clone()).unwrap();
    assert_eq!(summary.properties.scope(), IdScope::parse("0ne00000012").ok());
    let (again, links) = stored_service(&shown.to_string());
    assert_eq!(shown_service(&again), shown);
    assert_eq!(links.unwrap()[0].credential, LinkCredential::Stored);
}

#[test]
fn links_are_read_with_key_masked_or_by_name_alone() {
    let key = SymmetricKey::new(vec![5; 32]).unwrap();
    let connection = crate::sas::ConnectionString::of_policy(
        "ABC.azure-devices.muster.localhost",
        "iothubowner",
        crate::secret::Secret::from(&key),
    );
    let body = service_request(&Location::parse("westus").unwrap(), &[connection]);
    let input = ServiceInput::parse(body.as_bytes(), &Domain::default()).unwrap();
    let link = &input.links.unwrap()[0];
    assert_eq!(link.hub, HubName::parse("abc").unwrap());
    assert_eq!(
        link.credential,
        LinkCredential::Key {
            policy: PolicyName::parse("iothubowner").unwrap(),
            key
        }
    );
    assert!(link.apply_allocation);
    let named = r#"{"properties":{"iotHubs":[{"hostName":"abc.azure-devices.muster.localhost","authenticationType":"SystemAssigned","allocationWeight":7,"applyAllocationPolicy":false}]}}"#;
    let input = ServiceInput::parse(named.as_bytes(), &Domain::default()).unwrap();
    let link = &input.links.unwrap()[0];
    assert_eq!((link.weight, link.apply_allocation), (7, false));
}

#[test]
fn links_that_break_a_rule_are_refused() {
    for (items, start) in [
        (
            r#"[{"connectionString":"HostName=h.azure-devices.net;SharedAccessKeyName=a;SharedAccessKey=b"}]"#,
            "properties.iotHubs[0].connectionString must name",
        ),
        (
            r#"[{"connectionString":"HostName=abc.azure-devices.muster.localhost;SharedAccessKey=b"}]"#,
            "properties.iotHubs[0].connectionString: SharedAccessKeyName",
        ),
        (
            r#"[{"location":"x"}]"#,
            "properties.iotHubs[0].connectionString is missing",
        ),
        (
            r#"[{"hostName":"abc.azure-devices.muster.localhost","allocationWeight":0}]"#,
            "properties.iotHubs[0].allocationWeight",
        ),
        (
            r#"[{"hostName":"abc.azure-devices.muster.localhost"},{"hostName":"ABC.azure-devices.muster.localhost"}]"#,
            "the hub abc stands twice",
        ),
        ("{}", "properties.iotHubs has a type"),
    ] {
        let body = format!("{{\"properties\":{{\"iotHubs\":{items}}}}}");
        let error = ServiceInput::parse(body.as_bytes(), &Domain::default()).unwrap_err();
        assert!(error.to_string().starts_with(start), "{items}: {error}");
    }
    let policy = ServiceInput::parse(
        br#"{"properties":{"allocationPolicy":"geolatency"}}"#,
        &Domain::default(),
    );
    assert_eq!(policy.unwrap().allocation, Some(AllocationPolicy::GeoLatency));
    assert!(
        ServiceInput::parse(
            br#"{"properties":{"allocationPolicy":"Custom"}}"#,
            &Domain::default()
        )
        .is_err()
    );
}

#[test]
fn groups_are_read_as_they_are_shown() {
    let group_document = parse_group(
        br#"{"location":"westus","tags":{"a":"b"},"properties":{}}"#,
        &group_name(),
    )
    .unwrap();
    let shown = with_scope(|scope| group(&group_document, scope));
    assert_eq!(
        shown.to_string(),
        format!(
            "{{\"id\":\"/subscriptions/{SUBSCRIPTION}/resourceGroups/RG\",\"name\":\"RG\",\
             \"type\":\"Microsoft.Resources/resourceGroups\",\"location\":\"westus\",\"tags\":{{\"a\":\"b\"}},\
             \"properties\":{{\"provisioningState\":\"Succeeded\"}}}}"
        )
    );
    assert_eq!(
        parse_group(shown.to_string().as_bytes(), &group_name()).unwrap(),
        group_document
    );
    assert!(matches!(
        parse_group(b"{}", &group_name()),
        Err(Error::Missing(_))
    ));
    assert!(parse_tags(br#"{"tags":{"a":1}}"#).is_err());
    assert_eq!(
        parse_tags(br#"{"tags":{"a":"1"}}"#).unwrap().as_str(),
        "{\"a\":\"1\"}"
    );
}

#[test]
fn the_default_consumer_group_is_always_listed() {
    let one = ConsumerGroup {
        name: ConsumerGroupName::parse("mine").unwrap(),
        created: Wall::from_seconds(1_507_836_230),
    };
    let hub_name = HubName::parse("abc").unwrap();
    let shown = with_scope(|scope| consumer_group_list(&[one], Wall::EPOCH, &hub_name, &group_name(), scope));
    assert_eq!(shown["value"][0]["name"], "$Default");
    assert_eq!(
        shown["value"][1]["properties"]["created"],
        "Thu, 12 Oct 2017 19:23:50 GMT"
    );
    assert_eq!(shown["value"][1]["etag"], Value::Null);
}

#[test]
fn names_are_answered_as_the_azure_cli_reads_them() {
    assert_eq!(parse_name(b"{\"name\":\"abc\",\"type\":\"x\"}").unwrap(), "abc");
    assert!(!check_name("abc", Ok(()), true).name_available);
    assert!(check_name("abc", Ok(()), false).name_available);
    assert_eq!(
        check_name("a", Err("longer"), false).message,
        "The name must be longer."
    );
}

#[test]
fn what_stands_around_has_what_clients_insist_on() {
    let id = subscription_id();
    assert_eq!(subscription(&id, "T")["state"], "Enabled");
    assert_eq!(
        tenant("T", &Domain::default())["defaultDomain"],
        "muster.localhost"
    );
    assert_eq!(provider(&id)["registrationState"], "Registered");
    assert!(metadata("https://localhost:8443", true).is_array());
    let one = metadata("https://localhost:8443", false);
    assert_eq!(
        one["authentication"]["loginEndpoint"],
        "https://localhost:8443/adfs"
    );
    assert!(locations(&id)["value"].is_array());
    assert_eq!(hub_quota(1, 2)["value"][1]["currentValue"], 2);
    assert_eq!(hub_skus()["value"][0]["sku"]["name"], "F1");
    assert_eq!(service_skus()["value"][0]["name"], "S1");
    let groups = [ResourceGroup {
        name: group_name(),
        location: Location::parse("westus").unwrap(),
        tags: Json::empty_object(),
    }];
    assert_eq!(
        with_scope(|scope| group_list(&groups, scope))["value"][0]["name"],
        "RG"
    );
}

#[test]
fn a_client_makes_a_hub_with_a_body_that_is_read() {
    let body = hub_request(
        &Location::parse("westus").unwrap(),
        PartitionCount::new(8),
        Some(7),
    );
    let input = HubInput::parse(body.as_bytes()).unwrap();
    assert_eq!(input.partitions, PartitionCount::new(8));
    assert_eq!(input.retention_days, Some(7));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..120)) {
        let _ = HubInput::parse(&body);
        let _ = ServiceInput::parse(&body, &Domain::default());
        let _ = parse_group(&body, &group_name());
        let _ = parse_tags(&body);
        let _ = parse_name(&body);
    }
}
