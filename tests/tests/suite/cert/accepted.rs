//! What openssl writes by the tutorials, and what stands for other generators, is taken: by `muster cert check`, and by a
//! server that the device registers with.

use super::layouts::by_openssl;
use super::{MIDDLE, ROOT, register, trust};
use crate::stage::Stage;

const DEVICE: &str = "--cert certs/device-01-full-chain.cert.pem --key private/device-01.key.pem";
const FULL: &str = "certs/device-01-full-chain.cert.pem";

fn admitted(stage: &Stage, arguments: &str) {
    let verdict = stage.json(&format!("muster cert check -o json {arguments}"));
    assert_eq!(verdict["admitted"], true, "{verdict}");
    assert_eq!(verdict["reason"], serde_json::Value::Null);
}

#[test]
fn the_scripts_layout_is_taken_whoever_issues_in_it() {
    let stage = Stage::new();
    by_openssl(&stage, "device-01", "usr_cert", "echo 01");
    for anchor in [ROOT, MIDDLE] {
        for by in ["dps-group", "hub-ca"] {
            admitted(&stage, &format!("--chain {FULL} --anchor {anchor} --as {by}"));
        }
    }
    admitted(
        &stage,
        &format!("--chain {FULL} --anchor certs/device-01.cert.pem --as dps-individual"),
    );
    trust(&stage, ROOT, MIDDLE);
    assert_eq!(register(&stage, DEVICE, "device-01"), 202);
    // The folder that openssl began is gone on with.
    stage.ok("muster cert device device-02 --key p256");
    admitted(
        &stage,
        &format!("--chain certs/device-02-full-chain.cert.pem --anchor {ROOT}"),
    );
    let credential = "--cert certs/device-02-full-chain.cert.pem --key private/device-02.key.pem";
    assert_eq!(register(&stage, credential, "device-02"), 202);
}

#[test]
fn the_group_tutorials_layout_is_taken() {
    let stage = Stage::new();
    by_openssl(&stage, "device-01", "usr_cert_tutorial", "openssl rand -hex 16");
    admitted(&stage, &format!("--chain {FULL} --anchor {ROOT}"));
    trust(&stage, ROOT, MIDDLE);
    assert_eq!(register(&stage, DEVICE, "device-01"), 202);
}

#[test]
fn the_self_signed_device_of_the_tutorial_is_taken() {
    let stage = Stage::new();
    stage.ok(
        "openssl req -outform PEM -x509 -sha256 -newkey rsa:4096 -keyout device-key.pem -out device-cert.pem -days 30 \
         -extensions usr_cert -addext extendedKeyUsage=clientAuth -subj '/CN=my-x509-device' -passout pass:1234",
    );
    admitted(&stage, "--chain device-cert.pem --as dps-individual");
    admitted(
        &stage,
        "--chain device-cert.pem --as dps-individual --anchor device-cert.pem --id MY-X509-DEVICE",
    );
    admitted(
        &stage,
        "--chain device-cert.pem --as hub-thumbprint --anchor device-cert.pem --id another-name",
    );
}

/// Two CAs with databases of their own, `.crt` files that begin with a text dump, the subordinate CA uploaded.
#[test]
fn the_hub_tutorials_layout_is_taken_from_the_subordinate_ca_that_is_uploaded() {
    let stage = Stage::new();
    for (ca, copy) in [("rootca", "none"), ("subca", "copy")] {
        stage.ok(&format!(
            "mkdir -p {ca}/certs {ca}/db {ca}/private && touch {ca}/db/index && openssl rand -hex 16 > {ca}/db/serial \
             && echo 1001 > {ca}/db/crlnumber"
        ));
        stage.write(
            &format!("{ca}/{ca}.conf"),
            &format!(
                "[default]\nhome = {ca}\n[ca]\ndefault_ca = one\n[one]\ndatabase = $home/db/index\n\
                 serial = $home/db/serial\ncertificate = $home/{ca}.crt\nprivate_key = $home/private/{ca}.key\n\
                 new_certs_dir = $home/certs\nunique_subject = no\ncopy_extensions = {copy}\ndefault_days = 3650\n\
                 default_md = sha256\npolicy = p\n[p]\ncommonName = supplied\n[req]\nprompt = no\nutf8 = yes\n\
                 distinguished_name = dn\n[dn]\ncommonName = {ca}_common_name\n\
                 [ca_ext]\nbasicConstraints = critical,CA:true\nkeyUsage = critical,keyCertSign,cRLSign\n\
                 subjectKeyIdentifier = hash\n\
                 [sub_ca_ext]\nauthorityKeyIdentifier = keyid:always\nbasicConstraints = critical,CA:true,pathlen:0\n\
                 extendedKeyUsage = clientAuth,serverAuth\nkeyUsage = critical,keyCertSign,cRLSign\n\
                 subjectKeyIdentifier = hash\n\
                 [client_ext]\nauthorityKeyIdentifier = keyid:always\nbasicConstraints = critical,CA:false\n\
                 extendedKeyUsage = clientAuth\nkeyUsage = critical,digitalSignature\nsubjectKeyIdentifier = hash\n"
            ),
        );
        stage.ok(&format!(
            "openssl req -new -newkey rsa:2048 -passout pass:secret -config {ca}/{ca}.conf -out {ca}/{ca}.csr \
             -keyout {ca}/private/{ca}.key"
        ));
    }
    for line in [
        "openssl ca -batch -selfsign -passin pass:secret -config rootca/rootca.conf -in rootca/rootca.csr \
         -out rootca/rootca.crt -extensions ca_ext",
        "openssl ca -batch -passin pass:secret -config rootca/rootca.conf -in subca/subca.csr -out subca/subca.crt \
         -extensions sub_ca_ext",
        "openssl genpkey -out subca/private/d.key -algorithm RSA -pkeyopt rsa_keygen_bits:2048",
        "openssl req -new -key subca/private/d.key -subj /CN=device-e -out subca/d.csr",
        "openssl ca -batch -passin pass:secret -config subca/subca.conf -in subca/d.csr -out subca/d.crt -days 365 \
         -extensions client_ext",
        "cat subca/d.crt subca/subca.crt > subca/d-chain.crt",
    ] {
        stage.ok(line);
    }
    assert!(
        stage
            .ok("head -n 1 subca/d-chain.crt")
            .starts_with("Certificate:"),
        "a text dump comes first"
    );
    for by in ["dps-group", "hub-ca"] {
        admitted(
            &stage,
            &format!("--chain subca/d-chain.crt --anchor subca/subca.crt --as {by}"),
        );
        admitted(
            &stage,
            &format!("--chain subca/d-chain.crt --anchor rootca/rootca.crt --as {by}"),
        );
        admitted(
            &stage,
            &format!("--chain subca/d.crt --anchor subca/subca.crt --as {by}"),
        );
    }
    stage.json("muster iot hub device-identity create --hub-name muster-hub --device-id device-e --auth-method x509_ca");
    stage.json("muster iot hub certificate create --hub-name muster-hub --name subca --path subca/subca.crt");
    let coded = stage.json("muster iot hub certificate generate-verification-code --name subca --etag '*'");
    let code = coded["properties"]["verificationCode"].as_str().expect("a code");
    stage.ok("openssl genpkey -out pop.key -algorithm RSA -pkeyopt rsa_keygen_bits:2048");
    stage.ok(&format!(
        "openssl req -new -key pop.key -out pop.csr -subj /CN={code}"
    ));
    stage.ok(
        "openssl ca -batch -passin pass:secret -config subca/subca.conf -in pop.csr -out pop.crt -extensions client_ext",
    );
    assert!(stage.ok("head -n 1 pop.crt").starts_with("Certificate:"));
    let proved = stage.json("muster iot hub certificate verify --name subca --etag '*' --path pop.crt");
    assert_eq!(proved["properties"]["isVerified"], true);
    stage.ok(
        "curl --fail -X POST --cert subca/d-chain.crt --key subca/private/d.key -d '{}' \
         'https://muster-hub.azure-devices.muster.localhost/devices/device-e/messages/events?api-version=2020-03-13'",
    );
}

/// The Windows script: CA certificates with a path length that is not critical, leaves with a path length though they
/// are no CA.
#[test]
fn the_odd_constraints_of_the_powershell_script_are_taken() {
    let stage = Stage::new();
    stage.write(
        "ca.ext",
        "basicConstraints=CA:TRUE,pathlen:12\nkeyUsage=keyCertSign\nsubjectAltName=DNS:ca\n",
    );
    stage.write(
        "leaf.ext",
        "basicConstraints=CA:FALSE,pathlen:0\nkeyUsage=critical,digitalSignature,keyEncipherment\n\
         extendedKeyUsage=clientAuth,serverAuth\nsubjectAltName=DNS:device-p\n",
    );
    let curve = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    for (name, subject) in [
        ("r", "Azure IoT CA TestOnly Root CA"),
        ("i", "Azure IoT CA TestOnly Intermediate 1 CA"),
        ("d", "device-p"),
    ] {
        stage.ok(&format!(
            "openssl req -new {curve} -keyout {name}.key -subj '/CN={subject}' -out {name}.csr"
        ));
    }
    stage.ok("openssl x509 -req -in r.csr -signkey r.key -days 30 -extfile ca.ext -out r.pem");
    stage.ok("openssl x509 -req -in i.csr -CA r.pem -CAkey r.key -CAcreateserial -days 30 -extfile ca.ext -out i.pem");
    stage.ok("openssl x509 -req -in d.csr -CA i.pem -CAkey i.key -CAcreateserial -days 30 -extfile leaf.ext -out d.pem");
    stage.ok("openssl x509 -in r.pem -outform DER -out RootCA.cer && cat d.pem i.pem > d-all.pem");
    for by in ["dps-group", "hub-ca"] {
        admitted(
            &stage,
            &format!("--chain d-all.pem --anchor RootCA.cer --as {by}"),
        );
    }
    trust(&stage, "RootCA.cer", "RootCA.cer");
    assert_eq!(register(&stage, "--cert d-all.pem --key d.key", "device-p"), 202);
}

#[test]
fn a_version_1_device_is_taken_by_its_thumbprint_and_its_enrollment() {
    let stage = Stage::new();
    stage.ok("openssl req -new -newkey rsa:2048 -nodes -keyout v1.key -subj /CN=device-v1 -out v1.csr");
    stage.ok("openssl x509 -req -in v1.csr -signkey v1.key -days 365 -out v1.pem");
    assert!(
        stage
            .ok("openssl x509 -noout -text -in v1.pem")
            .contains("Version: 1 (0x0)")
    );
    for by in ["dps-individual", "hub-thumbprint"] {
        admitted(&stage, &format!("--chain v1.pem --anchor v1.pem --as {by}"));
    }
    stage.json(
        "muster iot dps enrollment create --dps-name muster-dps --enrollment-id device-v1 --attestation-type x509 \
         --certificate-path v1.pem",
    );
    assert_eq!(register(&stage, "--cert v1.pem --key v1.key", "device-v1"), 202);
}

#[test]
fn keys_are_read_as_every_openssl_encrypts_them() {
    let stage = Stage::new();
    for (name, make) in [
        (
            "pkcs8-aes",
            "openssl genrsa -aes256 -passout pass:1234 -out pkcs8-aes.key 2048",
        ),
        (
            "traditional-aes",
            "openssl genrsa -aes256 -traditional -passout pass:1234 -out traditional-aes.key 2048",
        ),
        // As `req -newkey` of openssl 3.0 does.
        (
            "pkcs8-3des",
            "openssl genrsa -des3 -passout pass:1234 -out pkcs8-3des.key 2048",
        ),
        ("plain", "openssl genrsa -traditional -out plain.key 2048"),
        (
            "sec1",
            "openssl ecparam -name prime256v1 -genkey -noout -out sec1.key",
        ),
    ] {
        stage.ok(make);
        stage.ok(&format!(
            "openssl req -x509 -new -key {name}.key -passin pass:1234 -subj /CN={name} -days 30 -out {name}.pem"
        ));
        stage.ok(&format!(
            "muster cert verification 75B86466DA34D2B04C0C4C9557A119687ADAE7D4732BDDB3 --ca {name}.pem \
             --ca-key {name}.key --key p256 --out {name}-proof.pem"
        ));
        let verified = stage.ok(&format!("openssl verify -CAfile {name}.pem {name}-proof.pem"));
        assert_eq!(verified.trim(), format!("{name}-proof.pem: OK"));
    }
    // What is not read is named, with what converts it.
    stage.ok("openssl genrsa -des3 -traditional -passout pass:1234 -out old.key 2048");
    let refused = stage.run("muster cert verification ABC --ca plain.pem --ca-key old.key");
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("openssl pkcs8 -topk8 -v2 aes-256-cbc"),
        "{}",
        refused.stderr
    );
}
