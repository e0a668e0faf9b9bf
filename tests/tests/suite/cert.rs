//! `muster cert` as a stranger sees it: what it writes is what openssl takes and would have written, and what openssl
//! writes by the tutorials is judged by `muster cert check` as the server judges it.

mod accepted;
mod judged;
mod layouts;

use std::os::unix::fs::PermissionsExt;

use crate::stage::{Http, Stage};

const GLOBAL: &str = "global.azure-devices-provisioning.muster.localhost";
const ROOT: &str = "certs/azure-iot-test-only.root.ca.cert.pem";
const ROOT_KEY: &str = "private/azure-iot-test-only.root.ca.key.pem";
const MIDDLE: &str = "certs/azure-iot-test-only.intermediate.cert.pem";

/// A hierarchy with small keys, for tests that do not look at keys.
const CHAIN: &str = "muster cert chain --key p256 --device device-01 --device device-02";

fn mode(stage: &Stage, name: &str) -> u32 {
    let file = stage.folder().join(name);
    let metadata = file.metadata().unwrap_or_else(|error| panic!("{name}: {error}"));
    metadata.permissions().mode() & 0o777
}

/// Registers with what curl is given as credential; answers the status.
fn register(stage: &Stage, credential: &str, id: &str) -> u16 {
    let scope = stage.id_scope();
    Http::parse(&stage.ok(&format!(
        "curl -i -X PUT {credential} -H 'Content-Type: application/json' -d '{{\"registrationId\": \"{id}\"}}' \
         'https://{GLOBAL}/{scope}/registrations/{id}/register?api-version=2021-06-01'"
    )))
    .status
}

/// Uploads a CA certificate as verified and makes an enrollment group of another.
fn trust(stage: &Stage, verified: &str, group: &str) {
    stage.json(&format!(
        "muster iot dps certificate create --dps-name muster-dps --certificate-name ca --path {verified} --verified true"
    ));
    stage.json(&format!(
        "muster iot dps enrollment-group create --dps-name muster-dps --enrollment-id group --certificate-path {group}"
    ));
}

/// The lines of a certificate's extensions, without those that name a key by its bits.
fn extensions(stage: &Stage, file: &str) -> Vec<String> {
    let text = stage.ok(&format!("openssl x509 -noout -text -in {file}"));
    text.lines()
        .skip_while(|line| !line.contains("X509v3 extensions:"))
        .take_while(|line| !line.contains("Signature Algorithm"))
        .map(str::trim)
        .map(|line| {
            let is_key_id = line.len() == 59 && line.bytes().filter(|byte| *byte == b':').count() == 19;
            if is_key_id { "(key id)" } else { line }.to_owned()
        })
        .collect()
}

fn first_line(stage: &Stage, file: &str) -> String {
    stage.ok(&format!("head -n 1 {file}")).trim().to_owned()
}

#[test]
fn openssl_takes_a_hierarchy_with_its_keys_and_containers() {
    let stage = Stage::new();
    stage.ok("muster cert chain --key rsa-2048 --device device-01");
    for leaf in ["certs/device-01.cert.pem", "certs/new-device.cert.pem"] {
        let verified = stage.ok(&format!(
            "openssl verify -CAfile {ROOT} -untrusted {MIDDLE} {leaf}"
        ));
        assert_eq!(verified.trim(), format!("{leaf}: OK"));
    }
    // The chain file holds the intermediate, then the root; the full chain begins with the device.
    for (file, subjects) in [
        (
            "certs/azure-iot-test-only.chain.ca.cert.pem",
            &[
                "Azure IoT Hub Intermediate Cert Test Only",
                "Azure IoT Hub CA Cert Test Only",
            ][..],
        ),
        (
            "certs/device-01-full-chain.cert.pem",
            &[
                "device-01",
                "Azure IoT Hub Intermediate Cert Test Only",
                "Azure IoT Hub CA Cert Test Only",
            ],
        ),
    ] {
        let list = stage.ok(&format!(
            "openssl crl2pkcs7 -nocrl -certfile {file} | openssl pkcs7 -print_certs -noout"
        ));
        let found: Vec<_> = list
            .lines()
            .filter_map(|line| line.strip_prefix("subject=CN = "))
            .collect();
        assert_eq!(found, subjects, "{list}");
    }
    // CA keys are encrypted with the pass phrase of the script and nothing else; a device's is not.
    stage.ok(&format!(
        "openssl rsa -noout -check -passin pass:1234 -in {ROOT_KEY}"
    ));
    assert_ne!(
        stage
            .run(&format!("openssl pkey -noout -passin pass:wrong -in {ROOT_KEY}"))
            .code,
        Some(0)
    );
    assert_eq!(
        first_line(&stage, ROOT_KEY),
        "-----BEGIN ENCRYPTED PRIVATE KEY-----"
    );
    assert_eq!(
        first_line(&stage, "private/device-01.key.pem"),
        "-----BEGIN PRIVATE KEY-----"
    );
    stage.ok("openssl rsa -noout -check -in private/device-01.key.pem");
    let form = stage.ok(&format!("openssl asn1parse -in {ROOT_KEY}"));
    for part in [
        ":PBES2",
        ":PBKDF2",
        ":hmacWithSHA256",
        ":aes-256-cbc",
        "INTEGER           :0800",
    ] {
        assert!(form.contains(part), "{part} in {form}");
    }
    // The container: the leaf alone with its key, as openssl 3 writes it; with the chain where that is asked for.
    let container =
        stage.ok("openssl pkcs12 -in certs/device-01.cert.pfx -passin pass:1234 -nodes -info 2>&1");
    assert!(container.contains("MAC: sha256, Iteration 2048"), "{container}");
    assert!(
        container.contains("PBES2, PBKDF2, AES-256-CBC, Iteration 2048, PRF hmacWithSHA256"),
        "{container}"
    );
    assert_eq!(container.matches("BEGIN CERTIFICATE").count(), 1);
    assert_eq!(container.matches("BEGIN PRIVATE KEY").count(), 1);
    stage.ok("muster cert device device-03 --key p256 --pfx-chain");
    let container = stage.ok("openssl pkcs12 -in certs/device-03.cert.pfx -passin pass:1234 -nodes");
    assert_eq!(container.matches("BEGIN CERTIFICATE").count(), 3);
    assert_ne!(
        stage
            .run("openssl pkcs12 -in certs/device-03.cert.pfx -passin pass:wrong -nodes")
            .code,
        Some(0)
    );
    // The requests are those of the certificates.
    let request = stage.ok("openssl req -verify -noout -subject -in csr/device-01.csr.pem 2>&1");
    assert!(request.contains("CN = device-01"), "{request}");
}

#[test]
fn files_have_the_names_and_modes_of_the_script() {
    let stage = Stage::new();
    stage.ok(CHAIN);
    stage.ok("muster cert device edge-01 --edge --key p256");
    for (name, wanted) in [
        ("index.txt", 0o644),
        ("serial", 0o644),
        (ROOT_KEY, 0o400),
        (ROOT, 0o444),
        ("private/azure-iot-test-only.intermediate.key.pem", 0o400),
        ("csr/azure-iot-test-only.intermediate.csr.pem", 0o644),
        (MIDDLE, 0o444),
        ("certs/azure-iot-test-only.chain.ca.cert.pem", 0o444),
        ("private/device-02.key.pem", 0o444),
        ("csr/device-02.csr.pem", 0o644),
        ("certs/device-02.cert.pem", 0o444),
        ("certs/device-02.cert.pfx", 0o600),
        ("certs/device-02-full-chain.cert.pem", 0o444),
        ("private/new-device.key.pem", 0o444),
        ("certs/new-device.cert.pem", 0o444),
        ("certs/new-device.cert.pfx", 0o600),
        ("certs/new-edge-device.cert.pem", 0o444),
        ("certs/new-edge-device-full-chain.cert.pem", 0o444),
        ("private/new-edge-device.key.pem", 0o444),
        ("newcerts/01.pem", 0o644),
        ("newcerts/04.pem", 0o644),
    ] {
        assert_eq!(mode(&stage, name), wanted, "{name}");
    }
    assert!(stage.folder().join("intermediateCerts").is_dir());
    assert_eq!(stage.ok("cat serial").trim(), "05");
    // The last device stands under the script's one name.
    stage.ok("cmp certs/device-02.cert.pem certs/new-device.cert.pem");
    stage.ok("cmp newcerts/03.pem certs/device-02.cert.pem");
    assert_eq!(
        stage
            .ok("openssl x509 -noout -subject -in certs/new-edge-device.cert.pem")
            .trim(),
        "subject=CN = edge-01.ca"
    );
}

#[test]
fn the_tutorials_layout_counts_from_a_random_number() {
    let stage = Stage::new();
    stage.ok(&format!("{CHAIN} --layout tutorial"));
    let serial = stage.ok("cat serial");
    assert_eq!(serial.trim().len(), 32, "{serial}");
    let copies = stage.ok("ls newcerts");
    assert_eq!(copies.lines().count(), 3, "{copies}");
    for copy in copies.lines() {
        let stem = copy.strip_suffix(".pem").expect("the copies end in .pem");
        assert!(
            stem.len() == 32 && stem.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()),
            "{copy}"
        );
    }
    assert!(!stage.folder().join("certs/new-device.cert.pem").exists());
    assert!(!stage.folder().join("intermediateCerts").exists());
}

#[test]
fn a_certificate_of_each_kind_tells_its_thumbprints_as_openssl_computes_them() {
    let stage = Stage::new();
    let told = stage.ok("muster cert self-signed my-x509-device --key p384 --plain-key --pfx device.pfx");
    for hash in ["sha1", "sha256"] {
        let line = stage.ok(&format!(
            "openssl x509 -noout -fingerprint -{hash} -in device-cert.pem"
        ));
        let digits = line
            .trim()
            .rsplit('=')
            .next()
            .expect("a thumbprint")
            .replace(':', "");
        assert!(told.contains(&digits), "{digits} in {told}");
    }
    stage.ok("openssl pkey -noout -in device-key.pem");
    stage.ok("openssl pkcs12 -in device.pfx -passin pass:1234 -nodes -noout");
    let text = stage.ok("openssl x509 -noout -text -in device-cert.pem");
    assert!(text.contains("Public-Key: (384 bit)"), "{text}");
    assert_eq!(mode(&stage, "device-key.pem"), 0o600);
}

#[test]
fn the_self_signed_device_of_the_tutorial_has_a_big_key_with_a_pass_phrase() {
    let stage = Stage::new();
    stage.ok("muster cert self-signed my-x509-device");
    let key = stage.ok("openssl rsa -noout -text -passin pass:1234 -in device-key.pem");
    assert!(key.contains("4096 bit"), "{key}");
    assert_eq!(
        first_line(&stage, "device-key.pem"),
        "-----BEGIN ENCRYPTED PRIVATE KEY-----"
    );
    stage.json(
        "muster iot dps enrollment create --dps-name muster-dps --enrollment-id my-x509-device \
         --attestation-type x509 --certificate-path device-cert.pem",
    );
    assert_eq!(
        register(
            &stage,
            "--cert device-cert.pem:1234 --key device-key.pem",
            "my-x509-device"
        ),
        202
    );
}

#[test]
fn devices_register_with_what_was_made_for_them() {
    let stage = Stage::new();
    stage.ok(CHAIN);
    stage.ok("muster cert device device-03 --key rsa-2048 --pfx-chain");
    stage.ok("muster cert device device-04 --key p256 --from-root");
    trust(&stage, ROOT, MIDDLE);
    for id in ["device-01", "device-02"] {
        let credential = format!("--cert certs/{id}-full-chain.cert.pem --key private/{id}.key.pem");
        assert_eq!(register(&stage, &credential, id), 202, "{id}");
    }
    let container = "--cert-type P12 --cert certs/device-03.cert.pfx:1234";
    assert_eq!(register(&stage, container, "device-03"), 202);
    // The group is that of the intermediate, and this one was signed by the root.
    let credential = "--cert certs/device-04-full-chain.cert.pem --key private/device-04.key.pem";
    assert_eq!(register(&stage, credential, "device-04"), 401);
}

#[test]
fn the_verification_certificate_proves_possession_in_both_forms() {
    let stage = Stage::new();
    stage.ok(CHAIN);
    for (name, file) in [
        ("pem", "certs/verification-code.cert.pem"),
        ("der", "VerifyCert4.cer"),
    ] {
        let made = stage.json(&format!(
            "muster iot dps certificate create --dps-name muster-dps --certificate-name {name} --path {ROOT}"
        ));
        let etag = made["etag"].as_str().expect("an etag");
        let coded = stage.json(&format!(
            "muster iot dps certificate generate-verification-code --dps-name muster-dps --certificate-name {name} \
             --etag '{etag}'"
        ));
        let code = coded["properties"]["verificationCode"].as_str().expect("a code");
        // Files of an earlier proof, which are read-only, are replaced.
        stage.ok(&format!("muster cert verification {code} --key p256"));
        let etag = coded["etag"].as_str().expect("an etag");
        let verified = stage.json(&format!(
            "muster iot dps certificate verify --dps-name muster-dps --certificate-name {name} --etag '{etag}' --path {file}"
        ));
        assert_eq!(verified["properties"]["isVerified"], true, "{file}");
    }
    stage.ok("openssl x509 -inform DER -in VerifyCert4.cer -noout");
    for name in [
        "private/verification-code.key.pem",
        "csr/verification-code.csr.pem",
        "certs/verification-code.cert.pfx",
    ] {
        assert!(stage.folder().join(name).is_file(), "{name}");
    }
}

#[test]
fn openssl_goes_on_with_the_database_that_is_left() {
    let stage = Stage::new();
    stage.ok(CHAIN);
    // The same name once more, which an index of unique names would refuse.
    stage.ok("muster cert device device-01 --key p256");
    stage.write("ca.cnf", layouts::SCRIPT);
    stage.ok("openssl req -new -newkey rsa:2048 -nodes -keyout next.key -subj /CN=device-01 -out next.csr");
    stage.ok(
        "openssl ca -batch -config ca.cnf -name intermediate_ca -extensions usr_cert -days 30 -notext -md sha256 \
         -passin pass:1234 -in next.csr -out next.pem",
    );
    assert!(stage.folder().join("newcerts/05.pem").is_file());
    let verified = stage.ok(&format!(
        "openssl verify -CAfile {ROOT} -untrusted {MIDDLE} next.pem"
    ));
    assert_eq!(verified.trim(), "next.pem: OK");
    // And the other way round.
    stage.ok("muster cert device device-09 --key p256");
    assert!(stage.folder().join("newcerts/06.pem").is_file());
    let index = stage.ok("cut -f 1,4,6 index.txt");
    assert!(
        index.contains("V\t05\t/CN=device-01\nV\t06\t/CN=device-09\n"),
        "{index}"
    );
}

#[test]
fn a_hierarchy_is_replaced_only_when_that_is_said() {
    let stage = Stage::new();
    stage.ok(CHAIN);
    stage.write("certs/notes.txt", "mine");
    let before = stage.ok(&format!("cat {ROOT}"));
    let refused = stage.run(CHAIN);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    assert_eq!(stage.ok(&format!("cat {ROOT}")), before);
    stage.ok("muster cert chain --key p256 --force --device other");
    assert_ne!(stage.ok(&format!("cat {ROOT}")), before);
    assert!(!stage.folder().join("certs/device-01.cert.pem").exists());
    assert_eq!(stage.ok("cat certs/notes.txt"), "mine");
    // What somebody else keeps there is not touched unless that is said.
    let others = Stage::new();
    others.ok("mkdir certs && touch certs/mine.pem && echo 01 > serial");
    let refused = others.run(CHAIN);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("serial is there already"),
        "{}",
        refused.stderr
    );
    others.ok("rm serial");
    others.ok(CHAIN);
    assert!(others.folder().join("certs/mine.pem").exists());
    assert_eq!(stage.ok("cat serial").trim(), "03");
}

#[test]
fn what_cannot_be_made_is_refused_in_words() {
    let stage = Stage::new();
    for (line, code, words) in [
        ("muster cert device device-01", 1, "`muster cert chain` makes"),
        (
            "muster cert verification ABC --ca absent.pem --ca-key absent.key",
            1,
            "absent.pem is not there",
        ),
        ("muster cert verification ABC --ca absent.pem", 2, "--ca-key"),
        (
            "muster cert chain --key p256 --device a/b",
            1,
            "\"a/b\" can't be the name of a file",
        ),
        ("muster cert chain --key dsa", 2, "possible values"),
        ("muster cert chain --days 0", 2, "--days"),
        (
            "muster cert self-signed ''",
            1,
            "a common name has 1 to 64 characters",
        ),
        (
            "muster cert device x --edge --from-root",
            2,
            "cannot be used with",
        ),
    ] {
        let ended = stage.run(line);
        assert_eq!(ended.code, Some(code), "{line}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{line}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{line}");
    }
    assert!(
        !stage.folder().join("certs").exists(),
        "nothing is made before all names are known"
    );
    stage.ok(CHAIN);
    let long = format!("muster cert device {} --key p256", "x".repeat(65));
    for (line, words) in [
        (
            "muster cert device d --key p256 --pass-phrase wrong",
            "the pass phrase does not open",
        ),
        (
            "muster cert verification ABC --ca certs/device-01.cert.pem --ca-key private/device-02.key.pem",
            "does not belong to the issuing certificate",
        ),
        (long.as_str(), "1 to 64 characters"),
    ] {
        let ended = stage.run(line);
        assert_eq!(ended.code, Some(1), "{line}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{line}: {}", ended.stderr);
    }
}

#[test]
fn requests_of_openssl_are_signed() {
    let stage = Stage::new();
    stage.ok(CHAIN);
    stage.ok("openssl req -new -newkey rsa:2048 -nodes -keyout d.key -subj /CN=from-a-request -out d.csr");
    stage.ok("openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout c.key -subj /CN=sub -outform DER -out c.csr");
    stage.ok("muster cert sign --csr c.csr --as ca --out sub.pem");
    stage.ok("muster cert sign --csr d.csr --ca sub.pem --ca-key c.key --out d.pem");
    let verified = stage.ok(&format!("openssl verify -CAfile {ROOT} -untrusted sub.pem d.pem"));
    assert_eq!(verified.trim(), "d.pem: OK");
    let refused = stage.run("muster cert sign --csr d.key --out e.pem");
    assert_eq!(refused.code, Some(1));
    assert!(!stage.folder().join("e.pem").exists());
}
