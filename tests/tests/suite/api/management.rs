//! Hubs, provisioning services, what hangs on them, and the groups that they are in.

use muster_tests::{Answer, Credential};
use serde_json::{Value, json};

use super::{HUB, is_rfc_1123, text};
use crate::stage::Stage;

/// The operator at the management paths.
struct Operator<'a> {
    stage: &'a Stage,
    subscription: String,
    bearer: String,
}

impl<'a> Operator<'a> {
    fn new(stage: &'a Stage) -> Self {
        let bearer = format!("Bearer {}", stage.server.operator_token());
        let list = stage
            .server
            .curl("/subscriptions?api-version=2022-01-01")
            .authorization(&bearer)
            .send()
            .expect(200)
            .json();
        let subscription = text(&list["value"][0], "subscriptionId").to_owned();
        Self {
            stage,
            subscription,
            bearer,
        }
    }

    fn hub(name: &str) -> String {
        format!("resourceGroups/muster/providers/Microsoft.Devices/IotHubs/{name}")
    }

    fn service(name: &str) -> String {
        format!("resourceGroups/muster/providers/Microsoft.Devices/provisioningServices/{name}")
    }

    fn call(&self, verb: &str, path: &str, body: Option<&Value>, headers: &[&str]) -> Answer {
        let path = format!(
            "/subscriptions/{}/{path}?api-version=2023-06-30",
            self.subscription
        );
        let curl = self.stage.server.curl(&path).authorization(&self.bearer);
        let curl = headers.iter().fold(curl, |curl, header| curl.header(header));
        let curl = match body {
            Some(body) => curl.json(body),
            None if verb == "POST" => curl.body(b""),
            None => curl,
        };
        curl.method(verb).send()
    }

    fn get(&self, path: &str) -> Value {
        self.call("GET", path, None, &[]).expect(200).json()
    }
}

fn made(answer: &Answer) -> Value {
    assert!(
        matches!(answer.status, 200 | 201),
        "{} {}",
        answer.status,
        String::from_utf8_lossy(&answer.body)
    );
    answer.json()
}

#[test]
fn a_hub_has_every_member_that_clients_need() {
    let stage = Stage::new();
    let operator = Operator::new(&stage);
    let hub = operator.get(&Operator::hub("muster-hub"));
    let id = format!(
        "/subscriptions/{}/{}",
        operator.subscription,
        Operator::hub("muster-hub")
    );
    assert_eq!(text(&hub, "id").to_ascii_lowercase(), id.to_ascii_lowercase());
    assert_eq!(hub["name"], "muster-hub");
    assert_eq!(hub["type"], "Microsoft.Devices/IotHubs");
    assert_eq!(hub["resourcegroup"], "muster");
    assert_eq!(hub["subscriptionid"], operator.subscription.as_str());
    assert_eq!(
        hub["sku"],
        json!({"name": "S1", "tier": "Standard", "capacity": 1})
    );
    let properties = &hub["properties"];
    assert_eq!(properties["state"], "Active");
    assert_eq!(properties["provisioningState"], "Succeeded");
    assert_eq!(properties["hostName"], HUB);
    let events = &properties["eventHubEndpoints"]["events"];
    assert_eq!(
        events["partitionCount"].as_u64(),
        events["partitionIds"].as_array().map(|ids| ids.len() as u64)
    );
    assert_eq!(events["partitionIds"][0], "0");
    assert!(text(events, "endpoint").starts_with("sb://"), "{events}");
    assert!(
        properties["authorizationPolicies"].is_null(),
        "keys are not read: {properties}"
    );
    for member in [
        "routing",
        "storageEndpoints",
        "messagingEndpoints",
        "cloudToDevice",
        "ipFilterRules",
        "features",
        "minTlsVersion",
    ] {
        assert!(!properties[member].is_null(), "{member} in {properties}");
    }
    // Paths are read in any case.
    let shouted = operator.get("RESOURCEGROUPS/MUSTER/PROVIDERS/MICROSOFT.DEVICES/IOTHUBS/MUSTER-HUB");
    assert_eq!(shouted["etag"], hub["etag"]);
    let missing = operator
        .call("GET", &Operator::hub("nosuch"), None, &[])
        .expect(404)
        .json();
    assert_eq!(missing["error"]["code"], "ResourceNotFound");
    // A resource is found in its own group only.
    let elsewhere = "resourceGroups/nosuch/providers/Microsoft.Devices/IotHubs/muster-hub";
    let missing = operator.call("GET", elsewhere, None, &[]).expect(404).json();
    assert!(text(&missing["error"], "code").ends_with("NotFound"), "{missing}");
}

#[test]
fn keys_are_listed_with_rights_as_clients_split_them() {
    let stage = Stage::new();
    let operator = Operator::new(&stage);
    let rights = |path: &str| -> Vec<(String, String)> {
        let list = operator.call("POST", path, None, &[]).expect(200).json();
        let list = list["value"].as_array().expect("a list").clone();
        assert!(
            list.iter()
                .all(|one| one["primaryKey"].is_string() && one["secondaryKey"].is_string()),
            "{list:?}"
        );
        list.iter()
            .map(|one| (text(one, "keyName").to_owned(), text(one, "rights").to_owned()))
            .collect()
    };
    let pairs = |list: &[(&str, &str)]| {
        list.iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect::<Vec<_>>()
    };
    let mut of_hub = rights(&format!("{}/listkeys", Operator::hub("muster-hub")));
    of_hub.sort();
    assert_eq!(
        of_hub,
        pairs(&[
            ("device", "DeviceConnect"),
            ("iothubowner", "RegistryWrite, ServiceConnect, DeviceConnect"),
            ("registryRead", "RegistryRead"),
            ("registryReadWrite", "RegistryWrite"),
            ("service", "ServiceConnect"),
        ])
    );
    let of_service = rights(&format!("{}/listkeys", Operator::service("muster-dps")));
    assert_eq!(
        of_service,
        pairs(&[(
            "provisioningserviceowner",
            "ServiceConfig, DeviceConnect, EnrollmentWrite"
        )])
    );
    let one = operator.call(
        "POST",
        &format!("{}/IotHubKeys/SERVICE/listkeys", Operator::hub("muster-hub")),
        None,
        &[],
    );
    assert_eq!(one.expect(200).json()["rights"], "ServiceConnect");
    let one = format!(
        "{}/keys/provisioningserviceowner/listkeys",
        Operator::service("muster-dps")
    );
    let _ = operator.call("POST", &one, None, &[]).expect(200);
    let _ = operator
        .call(
            "POST",
            &format!("{}/IotHubKeys/nosuch/listkeys", Operator::hub("muster-hub")),
            None,
            &[],
        )
        .expect(404);
    // What was read and is put back keeps every key; a list replaces the set, and keys that it lacks are made.
    let path = Operator::hub("muster-hub");
    let keys = || {
        operator
            .call("POST", &format!("{path}/listkeys"), None, &[])
            .expect(200)
            .json()
    };
    let before = keys();
    let hub = operator.get(&path);
    made(&operator.call("PUT", &path, Some(&hub), &[]));
    assert_eq!(keys(), before);
    let mut with = hub.clone();
    with["properties"]["authorizationPolicies"] =
        json!([{"keyName": "mine", "rights": "RegistryRead,ServiceConnect"}]);
    let answered = made(&operator.call("PUT", &path, Some(&with), &[]));
    assert_eq!(
        answered["properties"]["authorizationPolicies"][0]["keyName"],
        "mine"
    );
    let after = keys();
    assert_eq!(after["value"].as_array().map(Vec::len), Some(1), "{after}");
    assert_eq!(after["value"][0]["rights"], "RegistryRead, ServiceConnect");
}

#[test]
#[expect(clippy::too_many_lines, reason = "one walk, read from top to bottom")]
fn hubs_are_made_tagged_linked_unlinked_deleted_and_their_names_used_again() {
    let stage = Stage::new();
    let operator = Operator::new(&stage);
    let path = Operator::hub("plant-7");
    let check = "providers/Microsoft.Devices/checkNameAvailability";
    let free = |name: &str| {
        operator
            .call("POST", check, Some(&json!({"name": name})), &[])
            .expect(200)
            .json()
    };
    assert_eq!(free("plant-7")["nameAvailable"], true);
    let body =
        json!({"location": "West US", "sku": {"name": "S1", "capacity": 1}, "tags": {}, "properties": {}});
    let hub = made(&operator.call("PUT", &path, Some(&body), &[]));
    assert_eq!(
        hub["properties"]["hostName"],
        "plant-7.azure-devices.muster.localhost"
    );
    let taken = free("PLANT-7");
    assert_eq!(
        (&taken["nameAvailable"], &taken["reason"]),
        (&json!(false), &json!("AlreadyExists")),
        "{taken}"
    );
    assert_eq!(free("no_good")["reason"], "Invalid");
    assert_eq!(
        operator
            .call("PUT", &Operator::hub("no_good"), Some(&body), &[])
            .status,
        400
    );
    let stale = operator
        .call("PUT", &path, Some(&hub), &["If-Match: AAAAAAAAAAA="])
        .expect(412)
        .json();
    assert!(stale["error"]["code"].is_string(), "{stale}");
    let etag = format!("If-Match: {}", text(&hub, "etag"));
    made(&operator.call("PUT", &path, Some(&hub), &[&etag]));
    let tagged = operator
        .call("PATCH", &path, Some(&json!({"tags": {"site": "7"}})), &[])
        .expect(200)
        .json();
    assert_eq!(tagged["tags"], json!({"site": "7"}));
    let listed = operator.get("providers/Microsoft.Devices/IotHubs");
    assert_eq!(listed["value"].as_array().map(Vec::len), Some(2), "{listed}");
    // A link shows where it leads, and not by which key.
    let service = Operator::service("muster-dps");
    let key = operator
        .call(
            "POST",
            &format!("{path}/IotHubKeys/iothubowner/listkeys"),
            None,
            &[],
        )
        .expect(200)
        .json();
    let string = |host: &str| {
        format!(
            "HostName={host};SharedAccessKeyName=iothubowner;SharedAccessKey={}",
            text(&key, "primaryKey")
        )
    };
    let mut document = operator.get(&service);
    let links = document["properties"]["iotHubs"].as_array_mut().expect("links");
    links.push(json!({"connectionString": string("plant-7.azure-devices.muster.localhost"), "location": "westus", "allocationWeight": 5}));
    let linked = made(&operator.call("PUT", &service, Some(&document), &[]));
    let links = linked["properties"]["iotHubs"].as_array().expect("links");
    assert_eq!(links.len(), 2, "{linked}");
    for link in links {
        assert!(
            text(link, "connectionString").ends_with("SharedAccessKey=****"),
            "{link}"
        );
        assert!(
            text(link, "name").ends_with(".azure-devices.muster.localhost"),
            "{link}"
        );
    }
    assert_eq!(links[1]["allocationWeight"], 5);
    assert!(!linked.to_string().contains(text(&key, "primaryKey")), "{linked}");
    // What was read is put back, masked keys and all.
    let again = made(&operator.call("PUT", &service, Some(&linked), &[]));
    assert_eq!(again["properties"]["iotHubs"], linked["properties"]["iotHubs"]);
    let mut unknown = linked.clone();
    unknown["properties"]["iotHubs"]
        .as_array_mut()
        .expect("links")
        .push(json!({"connectionString": string("elsewhere.example"), "location": "westus"}));
    let _ = operator.call("PUT", &service, Some(&unknown), &[]).expect(400);
    let mut fewer = linked.clone();
    fewer["properties"]["iotHubs"] = json!([linked["properties"]["iotHubs"][0]]);
    let unlinked = made(&operator.call("PUT", &service, Some(&fewer), &[]));
    assert_eq!(
        unlinked["properties"]["iotHubs"].as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(unlinked["properties"]["idScope"], linked["properties"]["idScope"]);
    // The name comes free, and nothing of what was there shows under it.
    stage.json("muster iot hub device-identity create --hub-name plant-7 --device-id device-01");
    assert!(matches!(
        operator.call("DELETE", &path, None, &[]).status,
        200 | 202 | 204
    ));
    let _ = operator.call("GET", &path, None, &[]).expect(404);
    assert!(matches!(
        operator.call("DELETE", &path, None, &[]).status,
        204 | 404
    ));
    made(&operator.call("PUT", &path, Some(&body), &[]));
    let new = operator
        .call(
            "POST",
            &format!("{path}/IotHubKeys/iothubowner/listkeys"),
            None,
            &[],
        )
        .expect(200)
        .json();
    assert_ne!(new["primaryKey"], key["primaryKey"]);
    let stats = operator.get(&format!("{path}/IotHubStats"));
    assert_eq!(
        stats,
        json!({"totalDeviceCount": 0, "enabledDeviceCount": 0, "disabledDeviceCount": 0})
    );
    let missing = stage.run("muster iot hub device-identity show --hub-name plant-7 --device-id device-01");
    assert_eq!(missing.code, Some(1), "{}", missing.stdout);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one walk, read from top to bottom")]
fn certificates_are_uploaded_proved_and_deleted_on_both() {
    let stage = Stage::new();
    let operator = Operator::new(&stage);
    let root = Credential::root(stage.folder(), "root");
    let encoded = data_encoding::BASE64.encode(root.pem().as_bytes());
    for (owner, kind) in [
        (
            Operator::hub("muster-hub"),
            "Microsoft.Devices/IotHubs/Certificates",
        ),
        (
            Operator::service("muster-dps"),
            "Microsoft.Devices/ProvisioningServices/Certificates",
        ),
    ] {
        let path = format!("{owner}/certificates/my-root");
        assert_eq!(
            operator.get(&format!("{owner}/certificates")),
            json!({"value": []})
        );
        let body = json!({"properties": {"certificate": encoded}});
        let first = operator.call("PUT", &path, Some(&body), &[]).expect(200).json();
        assert_eq!(
            (&first["name"], &first["type"]),
            (&json!("my-root"), &json!(kind))
        );
        let properties = &first["properties"];
        assert_eq!(properties["subject"], "CN=root");
        assert_eq!(properties["isVerified"], false);
        assert_eq!(properties["thumbprint"], root.thumbprint("sha1").as_str());
        for date in ["expiry", "created", "updated"] {
            assert!(is_rfc_1123(&properties[date]), "{date} in {properties}");
        }
        let etag = text(&first, "etag");
        assert_eq!(
            data_encoding::BASE64
                .decode(etag.as_bytes())
                .map(|bytes| bytes.len()),
            Ok(8),
            "{etag}"
        );
        let shown = operator.get(&path);
        if let Some(certificate) = shown["properties"]["certificate"].as_str() {
            let pem = data_encoding::BASE64
                .decode(certificate.as_bytes())
                .expect("base64");
            assert!(
                String::from_utf8(pem)
                    .expect("text")
                    .contains("-----BEGIN CERTIFICATE-----")
            );
        }
        // Every change demands the version; one client quotes it, another does not.
        let code = format!("{path}/generateVerificationCode");
        for (verb, path) in [("PUT", &path), ("DELETE", &path), ("POST", &code)] {
            let body = (verb == "PUT").then_some(&body);
            for headers in [&[][..], &["If-Match: AAAAAAAAAAA="]] {
                let stale = operator.call(verb, path, body, headers).expect(412).json();
                assert_eq!(stale["code"], 412_001, "a number: {stale}");
                assert_eq!(stale["httpStatusCode"], "PreconditionFailed");
                let message = text(&stale, "message");
                assert!(
                    message.contains("correlation identifier: ") && message.ends_with("IH412001."),
                    "{message}"
                );
                assert!(stale["error"]["code"].is_string(), "{stale}");
            }
        }
        let coded = operator
            .call("POST", &code, None, &[&format!("If-Match: \"{etag}\"")])
            .expect(200)
            .json();
        assert_ne!(coded["etag"], first["etag"]);
        let proof = root.leaf(text(&coded["properties"], "verificationCode"));
        let stranger =
            Credential::root(stage.folder(), "root").leaf(text(&coded["properties"], "verificationCode"));
        let verify = format!("{path}/verify");
        let with =
            |one: &Credential| json!({"certificate": data_encoding::BASE64.encode(one.pem().as_bytes())});
        let version = format!("If-Match: {}", text(&coded, "etag"));
        for wrong in [&stranger, &root.leaf("another code")] {
            let refused = operator
                .call("POST", &verify, Some(&with(wrong)), &[&version])
                .expect(400)
                .json();
            assert_eq!(refused["code"], 400_053, "{refused}");
        }
        let proved = operator
            .call("POST", &verify, Some(&with(&proof)), &[&version])
            .expect(200)
            .json();
        assert_eq!(proved["properties"]["isVerified"], true);
        assert!(proved["properties"]["verificationCode"].is_null(), "{proved}");
        // A new file has to be proved anew.
        let replaced = operator
            .call(
                "PUT",
                &path,
                Some(&body),
                &[&format!("If-Match: {}", text(&proved, "etag"))],
            )
            .expect(200)
            .json();
        assert_eq!(replaced["properties"]["isVerified"], false);
        let flat = json!({"certificate": encoded, "isVerified": true});
        let trusted = operator
            .call("PUT", &path, Some(&flat), &["If-Match: *"])
            .expect(200)
            .json();
        assert_eq!(trusted["properties"]["isVerified"], true, "the older form");
        assert!(matches!(
            operator.call("DELETE", &path, None, &["If-Match: *"]).status,
            200 | 204
        ));
        let missing = operator.call("GET", &path, None, &[]).expect(404).json();
        assert_eq!(
            missing["code"].as_u64().map(|code| code / 1_000),
            Some(404),
            "{missing}"
        );
    }
}

#[test]
fn consumer_groups_and_groups_of_resources_come_and_go() {
    let stage = Stage::new();
    let operator = Operator::new(&stage);
    let base = format!(
        "{}/eventHubEndpoints/events/ConsumerGroups",
        Operator::hub("muster-hub")
    );
    let names = || -> Vec<String> {
        let list = operator.get(&base);
        list["value"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| text(one, "name").to_owned())
            .collect()
    };
    assert_eq!(names(), ["$Default"]);
    let body = json!({"properties": {"name": "dashboard"}});
    for _ in 0..2 {
        let group = operator
            .call("PUT", &format!("{base}/dashboard"), Some(&body), &[])
            .expect(200)
            .json();
        assert_eq!(group["name"], "dashboard");
        assert_eq!(
            group["type"],
            "Microsoft.Devices/IotHubs/EventHubEndpoints/ConsumerGroups"
        );
        assert_eq!(group["properties"]["name"], "dashboard");
        assert!(is_rfc_1123(&group["properties"]["created"]), "{group}");
    }
    assert_eq!(names().len(), 2);
    let _ = operator
        .call("GET", &format!("{base}/dashboard"), None, &[])
        .expect(200);
    let _ = operator
        .call("DELETE", &format!("{base}/dashboard"), None, &[])
        .expect(200);
    let _ = operator
        .call("GET", &format!("{base}/dashboard"), None, &[])
        .expect(404);
    assert_eq!(names(), ["$Default"]);
    assert!(
        (400..500).contains(
            &operator
                .call("DELETE", &format!("{base}/$Default"), None, &[])
                .status
        )
    );
    assert_eq!(names(), ["$Default"]);

    let group = json!({"location": "westus", "tags": {"a": "b"}});
    let _ = operator
        .call("HEAD", "resourceGroups/plant", None, &[])
        .expect(404);
    let first = operator
        .call("PUT", "resourcegroups/plant", Some(&group), &[])
        .expect(201)
        .json();
    assert_eq!(first["type"], "Microsoft.Resources/resourceGroups");
    assert_eq!(first["properties"]["provisioningState"], "Succeeded");
    let _ = operator
        .call("PUT", "resourcegroups/plant", Some(&group), &[])
        .expect(200);
    let _ = operator
        .call("HEAD", "resourceGroups/plant", None, &[])
        .expect(204);
    let within = "resourceGroups/plant/providers/Microsoft.Devices/IotHubs/plant-7";
    let hub = json!({"location": "westus", "sku": {"name": "S1", "capacity": 1}, "properties": {}});
    made(&operator.call("PUT", within, Some(&hub), &[]));
    assert!(matches!(
        operator.call("DELETE", "resourceGroups/plant", None, &[]).status,
        200 | 202
    ));
    let missing = operator
        .call("GET", "resourceGroups/plant", None, &[])
        .expect(404)
        .json();
    assert_eq!(missing["error"]["code"], "ResourceGroupNotFound");
    assert_eq!(operator.call("GET", within, None, &[]).status, 404);
    assert_eq!(
        operator.get("providers/Microsoft.Devices/IotHubs")["value"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}
