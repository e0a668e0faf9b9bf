//! What `muster cert` writes beside what openssl writes from configurations of the public layouts: the extensions must be
//! the same, in the same order and with the same criticality. Names and sets, source: the vendor's script and tutorials,
//! read 2026-11.

use super::{CHAIN, MIDDLE, ROOT, extensions};
use crate::stage::Stage;

/// Layout A: one database, a root and an intermediate that issue, the script's extension sets.
pub(super) const SCRIPT: &str = "[ca]
default_ca = root_ca
[root_ca]
dir = .
new_certs_dir = ./newcerts
database = ./index.txt
serial = ./serial
certificate = ./certs/azure-iot-test-only.root.ca.cert.pem
private_key = ./private/azure-iot-test-only.root.ca.key.pem
default_md = sha256
policy = loose
[intermediate_ca]
dir = .
new_certs_dir = ./newcerts
database = ./index.txt
serial = ./serial
certificate = ./certs/azure-iot-test-only.intermediate.cert.pem
private_key = ./private/azure-iot-test-only.intermediate.key.pem
default_md = sha256
policy = loose
[loose]
commonName = supplied
[req]
distinguished_name = dn
string_mask = utf8only
[dn]
[v3_ca]
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always,issuer
basicConstraints = critical, CA:true
keyUsage = critical, digitalSignature, cRLSign, keyCertSign
[usr_cert]
basicConstraints = CA:FALSE
nsCertType = client, email
nsComment = \"OpenSSL Generated Client Certificate\"
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid,issuer
keyUsage = critical, nonRepudiation, digitalSignature, keyEncipherment
extendedKeyUsage = clientAuth, emailProtection
[usr_cert_tutorial]
basicConstraints = CA:FALSE
nsComment = \"OpenSSL Generated Client Certificate\"
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid,issuer
keyUsage = critical, nonRepudiation, digitalSignature, keyEncipherment
extendedKeyUsage = clientAuth
";

/// Makes layout A or B by openssl alone, in the folder: root, intermediate, and a device under `extensions`.
pub(super) fn by_openssl(stage: &Stage, device: &str, section: &str, first_serial: &str) {
    stage.write("ca.cnf", SCRIPT);
    let (root, middle) = ("azure-iot-test-only.root.ca", "azure-iot-test-only.intermediate");
    for line in [
        format!("mkdir -p certs csr newcerts private && touch index.txt && {first_serial} > serial"),
        format!("openssl genrsa -aes256 -passout pass:1234 -out private/{root}.key.pem 2048"),
        format!(
            "openssl req -new -x509 -config ca.cnf -extensions v3_ca -days 30 -sha256 -passin pass:1234 \
             -key private/{root}.key.pem -subj '/CN=Azure IoT Hub CA Cert Test Only' -out certs/{root}.cert.pem"
        ),
        format!("openssl genrsa -aes256 -passout pass:1234 -out private/{middle}.key.pem 2048"),
        format!(
            "openssl req -new -config ca.cnf -sha256 -passin pass:1234 -key private/{middle}.key.pem \
             -subj '/CN=Azure IoT Hub Intermediate Cert Test Only' -out csr/{middle}.csr.pem"
        ),
        format!(
            "openssl ca -batch -config ca.cnf -name root_ca -extensions v3_ca -days 30 -notext -passin pass:1234 \
             -in csr/{middle}.csr.pem -out certs/{middle}.cert.pem"
        ),
        format!("openssl genrsa -out private/{device}.key.pem 2048"),
        format!(
            "openssl req -new -config ca.cnf -sha256 -key private/{device}.key.pem -subj /CN={device} \
             -out csr/{device}.csr.pem"
        ),
        format!(
            "openssl ca -batch -config ca.cnf -name intermediate_ca -extensions {section} -days 30 -notext \
             -passin pass:1234 -in csr/{device}.csr.pem -out certs/{device}.cert.pem"
        ),
        format!(
            "cat certs/{device}.cert.pem certs/{middle}.cert.pem certs/{root}.cert.pem \
             > certs/{device}-full-chain.cert.pem"
        ),
    ] {
        stage.ok(&line);
    }
}

#[test]
fn every_certificate_has_the_extensions_that_openssl_gives_it() {
    for (layout, section) in [("script", "usr_cert"), ("tutorial", "usr_cert_tutorial")] {
        let (ours, theirs) = (Stage::new(), Stage::new());
        ours.ok(&format!("{CHAIN} --layout {layout}"));
        ours.ok("muster cert device edge --edge --key p256");
        by_openssl(&theirs, "device-01", section, "echo 01");
        for (file, of_openssl) in [
            (ROOT, ROOT),
            (MIDDLE, MIDDLE),
            ("certs/device-01.cert.pem", "certs/device-01.cert.pem"),
            ("certs/edge.ca.cert.pem", MIDDLE),
        ] {
            let wanted = extensions(&theirs, of_openssl);
            assert!(wanted.len() > 4, "{wanted:?}");
            assert_eq!(extensions(&ours, file), wanted, "{file} of layout {layout}");
        }
        for stage in [&ours, &theirs] {
            let subject = stage.ok(&format!("openssl asn1parse -in {MIDDLE}"));
            assert!(
                subject.contains("UTF8STRING        :Azure IoT Hub Intermediate Cert Test Only"),
                "{subject}"
            );
        }
    }
}

#[test]
fn a_self_signed_device_has_the_extensions_of_the_tutorial() {
    let stage = Stage::new();
    stage.ok("muster cert self-signed my-x509-device --key p256");
    stage.write(
        "default.cnf",
        "[req]\ndistinguished_name = dn\n[dn]\n[usr_cert]\nbasicConstraints = CA:FALSE\n\
         nsComment = \"OpenSSL Generated Certificate\"\nsubjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid:always\n",
    );
    stage.ok(
        "openssl req -x509 -config default.cnf -sha256 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -days 30 \
         -extensions usr_cert -addext extendedKeyUsage=clientAuth -subj /CN=my-x509-device",
    );
    assert_eq!(
        extensions(&stage, "device-cert.pem"),
        extensions(&stage, "other.pem")
    );
}
