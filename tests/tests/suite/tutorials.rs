//! The vendor's tutorials, line by line: what is typed, and what must come back. Only names differ: `muster` stands for
//! `az`, and host names are this server's. Source: the raw-HTTPS tutorials and those on CA certificates, read 2026-11.

use serde_json::Value;

use crate::stage::{Http, Stage};

const GLOBAL: &str = "global.azure-devices-provisioning.muster.localhost";
const HUB: &str = "muster-hub.azure-devices.muster.localhost";
const JSON: &str = "-H 'Content-Type: application/json' -H 'Content-Encoding:  utf-8'";

/// The device of the first tutorial: a self-signed certificate with a pass phrase.
const SELF_SIGNED: &str = "openssl req -outform PEM -x509 -sha256 -newkey rsa:4096 -keyout device-key.pem \
     -out device-cert.pem -days 30 -extensions usr_cert -addext extendedKeyUsage=clientAuth \
     -subj '/CN=my-x509-device' -passout pass:1234";

const CREDENTIAL: &str = "--cert device-cert.pem:1234 --key device-key.pem";
const CHAIN: &str = "--cert certs/device-01-full-chain.cert.pem --key private/device-01.key.pem";

fn register(stage: &Stage, scope: &str, credential: &str, id: &str) -> Http {
    Http::parse(&stage.ok(&format!(
        "curl -L -i -X PUT {credential} {JSON} -d '{{\"registrationId\": \"{id}\"}}' \
         'https://{GLOBAL}/{scope}/registrations/{id}/register?api-version=2021-06-01'"
    )))
}

fn poll(stage: &Stage, scope: &str, credential: &str, id: &str, operation: &str) -> Http {
    Http::parse(&stage.ok(&format!(
        "curl -L -i -X GET {credential} {JSON} \
         'https://{GLOBAL}/{scope}/registrations/{id}/operations/{operation}?api-version=2021-06-01'"
    )))
}

fn is_guid(text: &str) -> bool {
    text.len() == 36 && text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
}

fn is_timestamp(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.ends_with('Z') && text.len() == "2022-08-27T17:53:19.5143497Z".len())
}

/// Registers a device, checks everything that the tutorial shows, and returns the hub that it was assigned to.
fn assigned(stage: &Stage, scope: &str, credential: &str, id: &str, device: &str) -> String {
    let answer = register(stage, scope, credential, id).expect(202);
    assert!(answer.header("date").is_some());
    assert_eq!(
        answer.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    let location = format!("https://{GLOBAL}/{scope}/registrations/{id}/register");
    assert_eq!(answer.header("location"), Some(location.as_str()));
    assert_eq!(answer.header("retry-after"), Some("3"));
    assert!(is_guid(answer.header("x-ms-request-id").expect("a request id")));
    assert_eq!(
        answer.header("strict-transport-security"),
        Some("max-age=31536000; includeSubDomains")
    );
    let body = answer.json();
    assert_eq!(body["status"], "assigning");
    assert_eq!(body.as_object().map(serde_json::Map::len), Some(2), "{body}");
    let operation = body["operationId"].as_str().expect("an operation id").to_owned();

    let answer = poll(stage, scope, credential, id, &operation).expect(200);
    assert_eq!(
        answer.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(answer.header("location"), None);
    assert_eq!(answer.header("retry-after"), None);
    assert!(is_guid(answer.header("x-ms-request-id").expect("a request id")));
    let body = answer.json();
    assert_eq!(body["operationId"], operation.as_str());
    assert_eq!(body["status"], "assigned");
    let state = &body["registrationState"];
    assert_eq!(state["x509"], serde_json::json!({}));
    assert_eq!(state["registrationId"], id);
    assert!(is_timestamp(&state["createdDateTimeUtc"]), "{state}");
    assert!(is_timestamp(&state["lastUpdatedDateTimeUtc"]), "{state}");
    assert_eq!(state["assignedHub"], HUB);
    assert_eq!(state["deviceId"], device);
    assert_eq!(state["status"], "assigned");
    assert_eq!(state["substatus"], "initialAssignment");
    assert!(state["etag"].as_str().is_some_and(|tag| !tag.is_empty()));
    // The operation can be read again: an answer may have been lost.
    poll(stage, scope, credential, id, &operation).expect(200);
    HUB.to_owned()
}

fn send(stage: &Stage, credential: &str, hub: &str, device: &str) -> Http {
    Http::parse(&stage.ok(&format!(
        "curl -L -i -X POST {credential} {JSON} -d '{{\"temperature\": 30}}' \
         'https://{hub}/devices/{device}/messages/events?api-version=2020-03-13'"
    )))
}

/// Sends the tutorial's message and reads it back with its own bytes.
fn telemetry(stage: &Stage, credential: &str, hub: &str, device: &str) {
    let answer = send(stage, credential, hub, device).expect(204);
    assert_eq!(answer.header("content-length"), Some("0"));
    assert_eq!(answer.header("vary"), Some("Origin"));
    assert!(answer.header("server").is_some());
    assert!(answer.header("date").is_some());
    assert!(is_guid(answer.header("x-ms-request-id").expect("a request id")));
    assert_eq!(answer.body, "");
    let events = stage.ok(
        "curl -H \"Authorization: Bearer $(cat \"$MUSTER_DATA/operator.token\")\" \
         'https://localhost/muster/hubs/muster-hub/events?from=earliest'",
    );
    let event: Value = events
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .find(|event: &Value| event["annotations"]["iothub-connection-device-id"] == device)
        .unwrap_or_else(|| panic!("no event of {device} in {events}"));
    assert_eq!(event["body"], serde_json::json!({"temperature": 30}), "{event}");
}

/// The layout of the group tutorial, by openssl alone.
fn openssl_chain(stage: &Stage) {
    stage.write(
        "ca.cnf",
        "[req]\ndistinguished_name = dn\nstring_mask = utf8only\n[dn]\n\
         [v3_ca]\nsubjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid:always,issuer\n\
         basicConstraints = critical, CA:true\nkeyUsage = critical, digitalSignature, cRLSign, keyCertSign\n\
         [usr_cert]\nbasicConstraints = CA:FALSE\nnsComment = \"OpenSSL Generated Client Certificate\"\n\
         subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid,issuer\n\
         keyUsage = critical, nonRepudiation, digitalSignature, keyEncipherment\nextendedKeyUsage = clientAuth\n",
    );
    let root = "azure-iot-test-only.root.ca";
    let middle = "azure-iot-test-only.intermediate";
    for line in [
        "mkdir -p certs csr private".to_owned(),
        format!(
            "openssl req -new -x509 -config ca.cnf -extensions v3_ca -newkey rsa:2048 -passout pass:1234 -days 30 \
             -sha256 -subj '/CN=Azure IoT Hub CA Cert Test Only' -keyout private/{root}.key.pem \
             -out certs/{root}.cert.pem"
        ),
        format!(
            "openssl req -new -config ca.cnf -newkey rsa:2048 -passout pass:1234 -sha256 \
             -subj '/CN=Azure IoT Hub Intermediate Cert Test Only' -keyout private/{middle}.key.pem \
             -out csr/{middle}.csr.pem"
        ),
        format!(
            "openssl x509 -req -in csr/{middle}.csr.pem -CA certs/{root}.cert.pem -CAkey private/{root}.key.pem \
             -passin pass:1234 -CAcreateserial -days 30 -sha256 -extfile ca.cnf -extensions v3_ca \
             -out certs/{middle}.cert.pem"
        ),
        "openssl req -new -config ca.cnf -newkey rsa:2048 -nodes -sha256 -subj '/CN=device-01' \
         -keyout private/device-01.key.pem -out csr/device-01.csr.pem"
            .to_owned(),
        format!(
            "openssl x509 -req -in csr/device-01.csr.pem -CA certs/{middle}.cert.pem \
             -CAkey private/{middle}.key.pem -passin pass:1234 -CAcreateserial -days 30 -sha256 -extfile ca.cnf \
             -extensions usr_cert -out certs/device-01.cert.pem"
        ),
        format!(
            "cat certs/device-01.cert.pem certs/{middle}.cert.pem certs/{root}.cert.pem \
             > certs/device-01-full-chain.cert.pem"
        ),
    ] {
        stage.ok(&line);
    }
}

/// Proves possession of the root on a hub or a provisioning service, by hand.
fn prove_possession(stage: &Stage, command: &str, owner: &str) {
    let name = "azure-iot-test-only-root";
    let created = stage.json(&format!(
        "muster iot {command} certificate create -g muster {owner} --name {name} \
         --path certs/azure-iot-test-only.root.ca.cert.pem"
    ));
    assert_eq!(created["properties"]["isVerified"], false);
    let etag = created["etag"].as_str().expect("an etag");
    let coded = stage.json(&format!(
        "muster iot {command} certificate generate-verification-code -g muster {owner} --name {name} --etag '{etag}'"
    ));
    let code = coded["properties"]["verificationCode"].as_str().expect("a code");
    assert_eq!(code.len(), 48);
    assert!(
        code.bytes()
            .all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)),
        "{code}"
    );
    // The version before the code is not the current one any more.
    let stale = stage.run(&format!(
        "muster iot {command} certificate verify -g muster {owner} --name {name} --etag '{etag}' \
         --path certs/azure-iot-test-only.root.ca.cert.pem"
    ));
    assert_eq!(stale.code, Some(1), "{}", stale.stderr);
    assert!(stale.stderr.contains("412"), "{}", stale.stderr);
    for line in [
        "openssl genpkey -out pop.key -algorithm RSA -pkeyopt rsa_keygen_bits:2048".to_owned(),
        format!("openssl req -new -key pop.key -out pop.csr -subj '/CN={code}'"),
        // With a text dump before the PEM block, as `openssl ca` leaves it.
        "openssl x509 -req -in pop.csr -CA certs/azure-iot-test-only.root.ca.cert.pem \
         -CAkey private/azure-iot-test-only.root.ca.key.pem -passin pass:1234 -CAcreateserial -days 30 -text \
         -out pop.crt.pem"
            .to_owned(),
    ] {
        stage.ok(&line);
    }
    let etag = coded["etag"].as_str().expect("an etag");
    let verified = stage.json(&format!(
        "muster iot {command} certificate verify -g muster {owner} --name {name} --etag '{etag}' --path pop.crt.pem"
    ));
    assert_eq!(verified["properties"]["isVerified"], true);
}

#[test]
fn a_self_signed_device_with_an_individual_enrollment_walks_to_telemetry() {
    let stage = Stage::new();
    let scope = stage.id_scope();
    stage.ok(SELF_SIGNED);
    assert!(
        stage
            .ok("openssl x509 -in device-cert.pem -text -noout")
            .contains("my-x509-device")
    );
    let refused = register(&stage, &scope, CREDENTIAL, "my-x509-device")
        .expect(401)
        .json();
    assert_eq!(refused["errorCode"], 401_002);
    let enrollment = stage.json(
        "muster iot dps enrollment create -g muster --dps-name muster-dps --enrollment-id my-x509-device \
         --attestation-type x509 --certificate-path device-cert.pem",
    );
    assert_eq!(enrollment["registrationId"], "my-x509-device");
    assert_eq!(enrollment["provisioningStatus"], "enabled");
    let info = &enrollment["attestation"]["x509"]["clientCertificates"]["primary"]["info"];
    assert_eq!(info["subjectName"], "CN=my-x509-device");
    let hub = assigned(&stage, &scope, CREDENTIAL, "my-x509-device", "my-x509-device");
    telemetry(&stage, CREDENTIAL, &hub, "my-x509-device");
    // One example sends a body with the GET.
    let operation = register(&stage, &scope, CREDENTIAL, "my-x509-device")
        .expect(202)
        .json();
    let operation = operation["operationId"].as_str().expect("an operation id");
    let polled = stage.ok(&format!(
        "curl -L -i -X GET {CREDENTIAL} {JSON} -d '{{\"registrationId\": \"my-x509-device\"}}' \
         'https://{GLOBAL}/{scope}/registrations/my-x509-device/operations/{operation}?api-version=2021-06-01'"
    ));
    Http::parse(&polled).expect(200);
    // The older version that the tutorial uses too.
    let older = stage.ok(&format!(
        "curl -L -i -X PUT {CREDENTIAL} {JSON} -d '{{\"registrationId\": \"my-x509-device\"}}' \
         'https://{GLOBAL}/{scope}/registrations/my-x509-device/register?api-version=2019-03-31'"
    ));
    Http::parse(&older).expect(202);
}

#[test]
fn a_device_with_a_chain_and_an_individual_enrollment_walks_to_telemetry() {
    let stage = Stage::new();
    let scope = stage.id_scope();
    openssl_chain(&stage);
    stage.json(
        "muster iot dps enrollment create -g muster --dps-name muster-dps --enrollment-id device-01 \
         --attestation-type x509 --certificate-path certs/device-01.cert.pem",
    );
    let hub = assigned(&stage, &scope, CHAIN, "device-01", "device-01");
    telemetry(&stage, CHAIN, &hub, "device-01");
}

#[test]
fn an_individual_enrollment_may_name_another_device_and_a_chain_may_stop_below_its_root() {
    let stage = Stage::new();
    let scope = stage.id_scope();
    openssl_chain(&stage);
    stage.json(
        "muster iot dps enrollment create -g muster --dps-name muster-dps --enrollment-id device-01 \
         --attestation-type x509 --certificate-path certs/device-01.cert.pem --device-id pump-7",
    );
    let leaf = "--cert certs/device-01.cert.pem --key private/device-01.key.pem";
    let hub = assigned(&stage, &scope, leaf, "device-01", "pump-7");
    telemetry(&stage, leaf, &hub, "pump-7");
}

#[test]
fn a_group_by_intermediate_admits_a_device_once_the_root_is_verified() {
    let stage = Stage::new();
    let scope = stage.id_scope();
    openssl_chain(&stage);
    // The extra flag of the older edition is taken too.
    stage.json(
        "muster iot dps enrollment-group create -g muster --dps-name muster-dps --enrollment-id group-01 \
         --certificate-path certs/azure-iot-test-only.intermediate.cert.pem --attestation-type x509",
    );
    let refused = register(&stage, &scope, CHAIN, "device-01").expect(401).json();
    assert_eq!(refused["errorCode"], 401_002);
    prove_possession(&stage, "dps", "--dps-name muster-dps");
    let hub = assigned(&stage, &scope, CHAIN, "device-01", "device-01");
    telemetry(&stage, CHAIN, &hub, "device-01");
    let list = stage.json(
        "muster iot dps enrollment-group registration list --dps-name muster-dps --enrollment-id group-01",
    );
    assert_eq!(list[0]["registrationId"], "device-01");
    assert_eq!(list[0]["status"], "assigned");
}

#[test]
fn a_group_by_name_of_a_ca_admits_a_device() {
    let stage = Stage::new();
    let scope = stage.id_scope();
    openssl_chain(&stage);
    let created = stage.json(
        "muster iot dps certificate create -g muster --dps-name muster-dps --certificate-name azure-iot-test-only-root \
         --path certs/azure-iot-test-only.root.ca.cert.pem --verified true",
    );
    assert_eq!(created["properties"]["isVerified"], true);
    stage.json(
        "muster iot dps enrollment-group create -g muster --dps-name muster-dps --enrollment-id group-01 \
         --ca-name azure-iot-test-only-root",
    );
    let hub = assigned(&stage, &scope, CHAIN, "device-01", "device-01");
    telemetry(&stage, CHAIN, &hub, "device-01");
}

#[test]
fn a_ca_device_of_a_hub_sends_once_possession_is_proved_there() {
    let stage = Stage::new();
    openssl_chain(&stage);
    stage.json("muster iot hub device-identity create --hub-name muster-hub --device-id device-01 --auth-method x509_ca");
    let refused = send(&stage, CHAIN, HUB, "device-01").expect(401).json();
    assert_eq!(
        refused["Message"],
        "ErrorCode:IotHubUnauthorizedAccess;Unauthorized"
    );
    prove_possession(&stage, "hub", "--hub-name muster-hub");
    telemetry(&stage, CHAIN, HUB, "device-01");
}

#[test]
fn what_the_tutorials_refuse_is_refused_in_the_documented_form() {
    let stage = Stage::new();
    let scope = stage.id_scope();
    openssl_chain(&stage);
    stage.ok(SELF_SIGNED);
    // Somebody else's certificate for an enrolled id.
    stage.json(
        "muster iot dps enrollment create -g muster --dps-name muster-dps --enrollment-id device-01 \
         --attestation-type x509 --certificate-path certs/azure-iot-test-only.root.ca.cert.pem",
    );
    let refused = register(&stage, &scope, CHAIN, "device-01").expect(401);
    assert_eq!(refused.header("x-ms-error-code"), Some("401002"));
    let body = refused.json();
    assert_eq!(body["errorCode"], 401_002);
    assert_eq!(body["trackingId"].as_str(), refused.header("x-ms-request-id"));
    assert!(is_timestamp(&body["timestampUtc"]), "{body}");
    // A common name that is not the registration id.
    register(&stage, &scope, CREDENTIAL, "another-device").expect(401);
    // No certificate at all.
    let body = register(&stage, &scope, "", "device-01").expect(401).json();
    assert_eq!(body["errorCode"], 401_000);
    // An id scope that does not exist.
    register(&stage, "0ne00000BAD", CREDENTIAL, "my-x509-device").expect(404);
    // A registration id that breaks its grammar.
    let body = register(&stage, &scope, CREDENTIAL, "bad%20id")
        .expect(400)
        .json();
    assert_eq!(body["errorCode"], 400_004);
    // A disabled enrollment tells its own device so, and nobody else.
    stage.json(
        "muster iot dps enrollment create -g muster --dps-name muster-dps --enrollment-id my-x509-device \
         --attestation-type x509 --certificate-path device-cert.pem --provisioning-status disabled",
    );
    let disabled = register(&stage, &scope, CREDENTIAL, "my-x509-device")
        .expect(200)
        .json();
    assert_eq!(
        disabled,
        serde_json::json!({"operationId": "", "status": "disabled",
            "registrationState": {"registrationId": "my-x509-device", "status": "disabled"}})
    );
}
