//! `muster iot` against a server: every noun and verb that the tutorials and the vendor's tool share, as it is typed
//! there but for the first word.

use crate::stage::Stage;

const ROOT: &str = "openssl req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -days 3 -subj /CN=root \
     -addext basicConstraints=critical,CA:true 2>/dev/null";
const DEVICE: &str =
    "openssl req -x509 -newkey rsa:2048 -nodes -keyout d.key -out d.pem -days 3 -subj /CN=d 2>/dev/null";
const WITH_CERTIFICATE: &str = "--certificate-file d.pem --key-file d.key";

/// Runs a line that must be refused, and returns what it said.
fn refused(stage: &Stage, line: &str) -> String {
    let ended = stage.run(line);
    assert_eq!(ended.code, Some(1), "{line}: {}", ended.stderr);
    ended.stderr
}

#[test]
fn hubs_and_services_are_made_linked_and_deleted() {
    let stage = Stage::new();
    let hub = stage.json("muster iot hub create -g rg -n my-hub --partition-count 2 -l westus");
    assert_eq!(hub["name"], "my-hub");
    assert_eq!(
        hub["properties"]["eventHubEndpoints"]["events"]["partitionCount"],
        2
    );
    let service = stage.json("muster iot dps create -g rg -n my-dps");
    assert!(
        service["properties"]["idScope"]
            .as_str()
            .is_some_and(|scope| scope.starts_with("0ne"))
    );
    let links = stage.json("muster iot dps linked-hub create -g rg --dps-name my-dps --hub-name my-hub");
    let host = "my-hub.azure-devices.muster.localhost";
    assert_eq!(links[0]["name"], host);
    let shown = stage.json(&format!(
        "muster iot dps linked-hub show --dps-name my-dps --linked-hub {host}"
    ));
    assert!(
        shown["connectionString"]
            .as_str()
            .is_some_and(|text| text.ends_with("SharedAccessKey=****")),
        "{shown}"
    );
    let changed = stage.json(&format!(
        "muster iot dps linked-hub update --dps-name my-dps --linked-hub {host} --allocation-weight 7"
    ));
    assert!(
        changed.to_string().contains("\"allocationWeight\":7"),
        "{changed}"
    );
    let table = stage.ok("muster iot hub list -o table");
    assert!(table.starts_with("Name"), "{table}");
    assert!(
        table.contains("my-hub") && table.contains("muster-hub"),
        "{table}"
    );
    assert_eq!(
        stage.json("muster iot dps list").as_array().map(Vec::len),
        Some(2)
    );

    stage.json("muster iot hub consumer-group create --hub-name my-hub -n back-end");
    let groups = stage.json("muster iot hub consumer-group list --hub-name my-hub");
    assert_eq!(groups.as_array().map(Vec::len), Some(2), "{groups}");
    stage.ok("muster iot hub consumer-group delete --hub-name my-hub -n back-end");
    assert_eq!(
        stage
            .json("muster iot hub consumer-group list --hub-name my-hub")
            .as_array()
            .map(Vec::len),
        Some(1)
    );

    stage.ok(&format!(
        "muster iot dps linked-hub delete --dps-name my-dps --linked-hub {host}"
    ));
    stage.ok("muster iot hub delete -n my-hub");
    stage.ok("muster iot dps delete -n my-dps");
    refused(&stage, "muster iot hub show -n my-hub");
    refused(&stage, "muster iot dps show -n my-dps");
    // With one left of each kind, nothing has to be named.
    assert_eq!(stage.json("muster iot hub show")["name"], "muster-hub");
}

#[test]
fn ca_certificates_are_kept_by_hubs_and_services_alike() {
    let stage = Stage::new();
    stage.ok(ROOT);
    for owner in ["hub", "dps"] {
        let command = format!("muster iot {owner} certificate");
        let made = stage.json(&format!("{command} create -n my-root --path root.pem"));
        assert_eq!(made["properties"]["isVerified"], false);
        let first = made["etag"].as_str().expect("an etag").to_owned();
        let shown = stage.json(&format!("{command} show -n my-root"));
        assert_eq!(shown["etag"], first.as_str());
        assert_eq!(shown["properties"]["subject"], "CN=root");
        let updated = stage.json(&format!(
            "{command} update -n my-root --path root.pem --verified true --etag '{first}'"
        ));
        assert_eq!(updated["properties"]["isVerified"], true);
        let list = stage.ok(&format!("{command} list -o tsv"));
        assert!(list.starts_with("my-root\tCN=root\ttrue\t"), "{list}");
        let told = refused(&stage, &format!("{command} delete -n my-root -e '{first}'"));
        assert!(told.contains("412"), "{told}");
        let etag = updated["etag"].as_str().expect("an etag");
        stage.ok(&format!("{command} delete -n my-root -e '{etag}'"));
        assert!(refused(&stage, &format!("{command} show -n my-root")).contains("404"));
    }
}

#[test]
fn an_enrollment_is_disabled_enabled_and_its_registration_forgotten() {
    let stage = Stage::new();
    stage.ok(DEVICE);
    let register = format!("muster iot device registration create --registration-id d {WITH_CERTIFICATE}");
    stage.json(
        "muster iot dps enrollment create -g muster --dps-name muster-dps --enrollment-id d --attestation-type x509 \
         --certificate-path d.pem --provisioning-status disabled",
    );
    let told = refused(&stage, &register);
    assert!(told.contains("muster explain --registration d"), "{told}");
    assert!(
        stage
            .ok("muster explain --registration d")
            .contains("enrollment-disabled")
    );
    let enabled =
        stage.json("muster iot dps enrollment update --enrollment-id d --provisioning-status enabled");
    assert_eq!(enabled["provisioningStatus"], "enabled");
    let assigned = stage.json(&register);
    assert_eq!(assigned["status"], "assigned");
    let state = stage.json("muster iot dps enrollment registration show --enrollment-id d");
    assert_eq!(state["etag"], assigned["registrationState"]["etag"]);
    stage.ok("muster iot dps enrollment registration delete --enrollment-id d");
    let told = refused(
        &stage,
        "muster iot dps enrollment registration show --enrollment-id d",
    );
    assert!(told.contains("404"), "{told}");
    let table = stage.ok("muster iot dps enrollment list -o table");
    assert!(table.contains("enabled"), "{table}");
    stage.ok("muster iot dps enrollment delete --enrollment-id d");
    assert!(refused(&stage, "muster iot dps enrollment show --enrollment-id d").contains("404"));
}

#[test]
fn a_group_is_made_changed_and_deleted_and_gives_its_devices_keys() {
    let stage = Stage::new();
    stage.json("muster iot dps enrollment-group create --enrollment-id keyed");
    let key = stage
        .json("muster iot dps enrollment-group compute-device-key --enrollment-id keyed --registration-id k");
    let key = key.as_str().expect("a key");
    stage.json(&format!(
        "muster iot device registration create --registration-id k --symmetric-key '{key}'"
    ));
    let list = stage.json("muster iot dps enrollment-group registration list --enrollment-id keyed");
    assert_eq!(list[0]["registrationId"], "k");
    let shown = stage.json("muster iot dps enrollment-group registration show --registration-id k");
    assert_eq!(shown["status"], "assigned");
    stage.ok("muster iot dps enrollment-group registration delete --registration-id k");
    let changed = stage
        .json("muster iot dps enrollment-group update --enrollment-id keyed --provisioning-status disabled");
    assert_eq!(changed["provisioningStatus"], "disabled");
    assert_eq!(
        stage
            .json("muster iot dps enrollment-group list")
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    stage.ok("muster iot dps enrollment-group delete --enrollment-id keyed");
    assert!(
        refused(
            &stage,
            "muster iot dps enrollment-group show --enrollment-id keyed"
        )
        .contains("404")
    );
}

#[test]
fn devices_of_every_kind_send_and_their_messages_are_monitored() {
    let stage = Stage::new();
    stage.ok(DEVICE);
    let made = stage.json("muster iot hub device-identity create --hub-name muster-hub -d keyed");
    assert_eq!(made["authentication"]["type"], "sas");
    stage.json(
        "muster iot hub device-identity create -d d --auth-method x509_thumbprint \
         --primary-thumbprint \"$(openssl x509 -in d.pem -noout -fingerprint -sha1 | cut -d= -f2 | tr -d :)\"",
    );
    stage.json("muster iot hub device-identity update -d keyed --status disabled --status-reason repair");
    let told = refused(&stage, "muster iot device send-d2c-message -d keyed --data hi");
    assert!(told.contains("why: muster explain "), "{told}");
    stage.json("muster iot hub device-identity update -d keyed --status enabled");
    stage.ok("muster iot device send-d2c-message -d keyed --data hi --props 'a=b;$.ct=text/plain'");
    stage.ok(&format!(
        "muster iot device send-d2c-message -d d --data '{{\"x\": 1}}' {WITH_CERTIFICATE}"
    ));
    let simulated = stage
        .json("muster iot device simulate -d 'many-{i}' --devices 3 --create --msg-count 2 --msg-interval 0");
    assert_eq!((&simulated["sent"], &simulated["failed"]), (&6.into(), &0.into()));
    let table = stage.ok("muster iot hub device-identity list -o table");
    assert!(table.contains("many-3"), "{table}");
    let events = stage.ok("muster iot hub monitor-events --enqueued-time 0 --message-count 8 -p all -t 60");
    for told in ["\"keyed\"", "\"d\"", "\"many-1\"", "\"many-2\"", "\"many-3\""] {
        assert!(
            events.contains(&format!("\"origin\": {told}")),
            "{told} in {events}"
        );
    }
    assert!(events.contains("\"content_type\": \"text/plain\""), "{events}");
    stage.ok("muster iot hub device-identity delete -d keyed");
    assert!(refused(&stage, "muster iot hub device-identity show -d keyed").contains("404"));
}

#[test]
fn a_connection_string_takes_the_place_of_the_operators_token() {
    let stage = Stage::new();
    stage.json("muster iot hub device-identity create -d one");
    let device = stage.json("muster iot hub device-identity connection-string show -d one");
    assert!(
        device["connectionString"]
            .as_str()
            .is_some_and(|text| text.contains(";DeviceId=one;SharedAccessKey=")),
        "{device}"
    );
    let events = stage.ok("muster iot hub connection-string show --default-eventhub -o tsv");
    assert!(events.starts_with("Endpoint=sb://muster-hub."), "{events}");
    assert!(events.trim_end().ends_with(";EntityPath=muster-hub"), "{events}");
    let shown = stage.json(
        "muster iot hub device-identity show -d one --login \"$(muster iot hub connection-string show -o tsv)\" \
         --token-file no-such-file",
    );
    assert_eq!(shown["deviceId"], "one");
    let list = stage.json(
        "muster iot dps enrollment list --login \"$(muster iot dps connection-string show -o tsv)\" \
         --token-file no-such-file",
    );
    assert_eq!(list.as_array().map(Vec::len), Some(0));
}

#[test]
fn what_is_typed_wrongly_ends_with_2() {
    let stage = Stage::new();
    for line in [
        "muster iot dps enrollment create",
        "muster iot hub certificate show",
        "muster iot nothing",
        "muster iot hub list -o xml",
    ] {
        let ended = stage.run(line);
        assert_eq!(ended.code, Some(2), "{line}: {}", ended.stderr);
        assert!(ended.stdout.is_empty(), "{line}");
    }
}
