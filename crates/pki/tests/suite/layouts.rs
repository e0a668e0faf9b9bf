//! The certificates that are issued here, against those that the vendor's scripts and tutorials issue with
//! `openssl`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use muster_pki::issue::{
    CertificateRequest, Issuer, Profile, Serial, ServerNames, Template, common_name_only,
};
use muster_pki::verify::{AnchorSet, proves_possession};
use muster_pki::{Certificate, Chain, IssueError, NewKey, PrivateKey, Time};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::support::{Bench, NOW, verdict};

/// The extension sections of the scripts and tutorials, by the names they have there.
const SECTIONS: &str = "
[v3_ca]
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always,issuer
basicConstraints = critical, CA:true
keyUsage = critical, digitalSignature, cRLSign, keyCertSign
[usr_cert]
basicConstraints = CA:FALSE
nsCertType = client, email
nsComment = OpenSSL Generated Client Certificate
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
keyUsage = critical, nonRepudiation, digitalSignature, keyEncipherment
extendedKeyUsage = clientAuth, emailProtection
[usr_cert_tutorial]
basicConstraints = CA:FALSE
nsComment = OpenSSL Generated Client Certificate
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
keyUsage = critical, nonRepudiation, digitalSignature, keyEncipherment
extendedKeyUsage = clientAuth
[server_cert]
basicConstraints = CA:FALSE
nsCertType = server
nsComment = OpenSSL Generated Server Certificate
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid,issuer:always
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth
[server_cert_tutorial]
basicConstraints = CA:FALSE
nsComment = OpenSSL Generated Server Certificate
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid,issuer:always
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth
[ca_ext]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[sub_ca_ext]
authorityKeyIdentifier = keyid:always
basicConstraints = critical,CA:true,pathlen:0
extendedKeyUsage = clientAuth,serverAuth
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[client_ext]
authorityKeyIdentifier = keyid:always
basicConstraints = critical,CA:false
extendedKeyUsage = clientAuth
keyUsage = critical,digitalSignature
subjectKeyIdentifier = hash
[device]
basicConstraints = CA:FALSE
nsComment = OpenSSL Generated Certificate
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
extendedKeyUsage = clientAuth
";

fn serial(number: u8) -> Serial {
    Serial::from_bytes(&[number]).unwrap()
}

fn template(name: &str, number: u8, profile: Profile) -> Template {
    Template::new(name, serial(number), NOW, NOW.plus_days(30), profile).unwrap()
}

fn self_signed(name: &str, profile: Profile) -> Issuer {
    let key = PrivateKey::generate(NewKey::EcP256).unwrap();
    let certificate = template(name, 1, profile).self_signed(&key).unwrap();
    Issuer::new(certificate, key).unwrap()
}

/// Everything of a certificate but its signature, as DER: what two tools must agree on.
fn signed_part(certificate: &Certificate) -> Vec<u8> {
    use x509_parser::prelude::{FromDer, X509Certificate};
    X509Certificate::from_der(certificate.der())
        .unwrap()
        .1
        .tbs_certificate
        .as_ref()
        .to_vec()
}

#[test]
fn issues_byte_for_byte_what_openssl_issues_for_each_section() {
    let bench = Bench::new();
    let ca = self_signed("Azure IoT Hub CA Cert Test Only", Profile::ScriptCa);
    bench.write("ca.pem", ca.certificate().pem());
    bench.write("ca.key", ca.key().pkcs8_pem().as_bytes());
    bench.write("sections.cnf", SECTIONS);
    let device_key = PrivateKey::generate(NewKey::Rsa2048).unwrap();
    bench.write("device.key", device_key.pkcs8_pem().as_bytes());
    bench.openssl("req -new -key device.key -subj /CN=device-01 -out device.csr");
    for (section, profile) in [
        ("v3_ca", Profile::ScriptCa),
        ("usr_cert", Profile::ScriptLeaf),
        ("usr_cert_tutorial", Profile::TutorialLeaf),
        ("server_cert", Profile::ScriptServer),
        ("server_cert_tutorial", Profile::TutorialServer),
        ("sub_ca_ext", Profile::HubSubCa),
        ("client_ext", Profile::HubClient),
    ] {
        bench.openssl(&format!(
            "x509 -req -in device.csr -CA ca.pem -CAkey ca.key -set_serial 0x0A -days 30 -sha256 \
             -extfile sections.cnf -extensions {section} -out theirs.pem"
        ));
        let theirs = bench.certificate("theirs.pem");
        let ours = Template {
            not_before: theirs.not_before(),
            not_after: theirs.not_after(),
            ..template("device-01", 10, profile)
        };
        let ours = ca.issue(&ours, &device_key).unwrap();
        assert_eq!(signed_part(&ours), signed_part(&theirs), "{section}");
    }
}

#[test]
fn makes_self_signed_certificates_byte_for_byte_as_openssl() {
    let bench = Bench::new();
    bench.write(
        "sections.cnf",
        format!("[req]\ndistinguished_name=dn\nstring_mask=utf8only\n[dn]\n{SECTIONS}"),
    );
    let key = PrivateKey::generate(NewKey::Rsa2048).unwrap();
    bench.write("k.key", key.pkcs8_pem().as_bytes());
    for (section, profile) in [
        ("v3_ca", Profile::ScriptCa),
        ("ca_ext", Profile::HubRootCa),
        ("device", Profile::SelfSignedDevice),
    ] {
        bench.openssl(&format!(
            "req -x509 -new -key k.key -config sections.cnf -extensions {section} -subj /CN=my-x509-device -days 30 \
             -set_serial 0x00F1 -out theirs.pem"
        ));
        let theirs = bench.certificate("theirs.pem");
        let ours = Template {
            not_before: theirs.not_before(),
            not_after: theirs.not_after(),
            ..template("my-x509-device", 0xf1, profile)
        };
        assert_eq!(
            signed_part(&ours.self_signed(&key).unwrap()),
            signed_part(&theirs),
            "{section}"
        );
    }
}

#[test]
fn makes_version_1_certificates_as_openssl() {
    let bench = Bench::new();
    let key = PrivateKey::generate(NewKey::EcP256).unwrap();
    bench.write("k.key", key.pkcs8_pem().as_bytes());
    bench.openssl("req -new -key k.key -subj /CN=d -out d.csr");
    bench.openssl("x509 -req -in d.csr -signkey k.key -days 365 -set_serial 1 -out theirs.pem");
    let theirs = bench.certificate("theirs.pem");
    let ours = Template {
        not_before: theirs.not_before(),
        not_after: theirs.not_after(),
        ..template("d", 1, Profile::Bare)
    };
    let ours = ours.self_signed(&key).unwrap();
    assert_eq!(ours.version(), 1);
    assert_eq!(signed_part(&ours), signed_part(&theirs));
}

#[test]
fn chains_of_the_script_hold_here_and_for_openssl() {
    let bench = Bench::new();
    for kind in [NewKey::EcP256, NewKey::EcP384, NewKey::Rsa2048] {
        let root_key = PrivateKey::generate(kind).unwrap();
        let root = template("Azure IoT Hub CA Cert Test Only", 1, Profile::ScriptCa);
        let root = Issuer::new(root.self_signed(&root_key).unwrap(), root_key).unwrap();
        let middle_key = PrivateKey::generate(kind).unwrap();
        let middle = template("Azure IoT Hub Intermediate Cert Test Only", 2, Profile::ScriptCa);
        let middle = Issuer::new(root.issue(&middle, &middle_key).unwrap(), middle_key).unwrap();
        let key = PrivateKey::generate(kind).unwrap();
        let device = middle
            .issue(&template("device-01", 3, Profile::TutorialLeaf), &key)
            .unwrap();
        bench.write("root.pem", root.certificate().pem());
        bench.write("middle.pem", middle.certificate().pem());
        bench.write("device.pem", device.pem());
        bench.openssl(&format!(
            "verify -x509_strict -attime {} -CAfile root.pem -untrusted middle.pem device.pem",
            NOW.unix()
        ));
        let presented = Chain::from_certificates([device, middle.certificate().clone()]).unwrap();
        let configured: AnchorSet = [root.certificate().clone()].into_iter().collect();
        assert_eq!(verdict(&presented, &configured, NOW), Ok(3));
    }
}

#[test]
fn chains_of_the_hub_tutorial_hold_from_the_subordinate_ca_that_is_uploaded() {
    let root = self_signed("rootca_common_name", Profile::HubRootCa);
    let key = PrivateKey::generate(NewKey::EcP256).unwrap();
    let subca = root
        .issue(&template("subca_common_name", 2, Profile::HubSubCa), &key)
        .unwrap();
    let subca = Issuer::new(subca, key).unwrap();
    let key = PrivateKey::generate(NewKey::EcP256).unwrap();
    let device = subca
        .issue(&template("device", 3, Profile::HubClient), &key)
        .unwrap();
    let presented = Chain::from_certificates([device.clone(), subca.certificate().clone()]).unwrap();
    let uploaded: AnchorSet = [subca.certificate().clone()].into_iter().collect();
    assert_eq!(verdict(&presented, &uploaded, NOW), Ok(2));
    let uploaded: AnchorSet = [root.certificate().clone()].into_iter().collect();
    assert_eq!(verdict(&presented, &uploaded, NOW), Ok(3));
    // Its path length of 0 allows leaves only.
    let key = PrivateKey::generate(NewKey::EcP256).unwrap();
    let below = subca
        .issue(&template("below", 4, Profile::HubRootCa), &key)
        .unwrap();
    let below = Issuer::new(below, key).unwrap();
    let device = below
        .issue(&template("device", 5, Profile::HubClient), subca.key())
        .unwrap();
    let presented = [device, below.certificate().clone(), subca.certificate().clone()];
    let presented = Chain::from_certificates(presented).unwrap();
    assert_eq!(verdict(&presented, &uploaded, NOW), Err("issuer-path-length"));
}

#[test]
fn takes_the_odd_constraints_of_the_powershell_script() {
    let bench = Bench::new();
    bench.write(
        "ps.cnf",
        "[req]\ndistinguished_name=dn\n[dn]\n\
         [ca]\nbasicConstraints=CA:TRUE,pathlen:12\nkeyUsage=critical,keyCertSign\nsubjectAltName=DNS:x\n\
         [leaf]\nbasicConstraints=CA:FALSE,pathlen:0\nextendedKeyUsage=clientAuth,serverAuth\n\
         keyUsage=critical,digitalSignature,keyEncipherment\nsubjectAltName=DNS:mydevice\n",
    );
    bench.openssl("genpkey -out ca.key -algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    bench.openssl("req -x509 -new -key ca.key -config ps.cnf -extensions ca -subj /CN=root -out RootCA.pem");
    bench.openssl("x509 -in RootCA.pem -outform DER -out RootCA.cer");
    bench.openssl("req -new -key ca.key -subj /CN=mydevice -out d.csr");
    bench.openssl(
        "x509 -req -in d.csr -CA RootCA.pem -CAkey ca.key -set_serial 7 -days 30 -extfile ps.cnf \
         -extensions leaf -out mydevice-public.pem",
    );
    let (root, device) = (
        bench.certificate("RootCA.cer"),
        bench.certificate("mydevice-public.pem"),
    );
    let now = device.not_before();
    let presented = Chain::from_certificates([device.clone()]).unwrap();
    assert_eq!(verdict(&presented, &[root].into_iter().collect(), now), Ok(2));
    assert_eq!(device.basic_constraints().and_then(|read| read.path_len), Some(0));
}

#[test]
fn reads_what_openssl_ca_leaves_with_its_text_dump() {
    let bench = Bench::new();
    bench.write(
        "rootca.conf",
        format!(
            "[ca]\ndefault_ca=d\n[d]\ndir=.\ndatabase=index\nserial=serial\nnew_certs_dir=.\ncertificate=rootca.crt\n\
             private_key=rootca.key\ndefault_md=sha256\ndefault_days=365\npolicy=p\nunique_subject=no\n\
             [p]\ncommonName=supplied\n[req]\ndistinguished_name=dn\nstring_mask=utf8only\n[dn]\n{SECTIONS}"
        ),
    );
    bench.write("index", "");
    bench.write("serial", "F0E1D2C3B4A5968778695A4B3C2D1E0F\n");
    bench.openssl("genpkey -out rootca.key -algorithm RSA -pkeyopt rsa_keygen_bits:2048");
    bench.openssl(
        "req -new -x509 -config rootca.conf -extensions ca_ext -key rootca.key -subj /CN=rootca_common_name \
         -out rootca.crt",
    );
    bench.openssl("genpkey -out pop.key -algorithm RSA -pkeyopt rsa_keygen_bits:2048");
    let code = "BB0C656E69AF75E3FB3C8D922C1760C58C1DA5B05AAA9D0A";
    bench.openssl(&format!("req -new -key pop.key -subj /CN={code} -out pop.csr"));
    bench.openssl("ca -batch -config rootca.conf -in pop.csr -out pop.crt -extensions client_ext");
    assert!(String::from_utf8_lossy(&bench.read("pop.crt")).starts_with("Certificate:"));
    let (root, pop) = (bench.certificate("rootca.crt"), bench.certificate("pop.crt"));
    assert_eq!(pop.serial_hex(), "F0E1D2C3B4A5968778695A4B3C2D1E0F");
    assert_eq!(proves_possession(&root, &pop, code, pop.not_before()), Ok(()));
    // Our own verification certificate for the same root, from its key file.
    let key = PrivateKey::from_text(&bench.read("rootca.key"), None).unwrap();
    let issuer = Issuer::new(root.clone(), key).unwrap();
    let request = CertificateRequest::from_text(&bench.read("pop.csr")).unwrap();
    let ours = Template {
        subject: request.subject().clone(),
        ..template("x", 9, Profile::HubClient)
    };
    let ours = issuer.issue_request(&ours, &request).unwrap();
    assert_eq!(proves_possession(&root, &ours, code, NOW), Ok(()));
}

#[test]
fn copies_an_issuers_odd_name_byte_by_byte() {
    let bench = Bench::new();
    bench.openssl("genpkey -out ca.key -algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    bench.write(
        "names.cnf",
        "[req]\ndistinguished_name=dn\nstring_mask=nombstr\nprompt=no\n[dn]\nC=DE\n0.OU=one\n1.OU=two\n+CN=ca\n",
    );
    bench.openssl("req -x509 -new -key ca.key -config names.cnf -out ca.pem");
    let key = PrivateKey::from_text(&bench.read("ca.key"), None).unwrap();
    let issuer = Issuer::new(bench.certificate("ca.pem"), key).unwrap();
    let device_key = PrivateKey::generate(NewKey::EcP256).unwrap();
    let device = issuer
        .issue(&template("d", 2, Profile::ScriptLeaf), &device_key)
        .unwrap();
    assert_eq!(device.issuer(), issuer.certificate().subject());
    assert_eq!(device.issuer().to_string(), "CN=ca + OU=two, OU=one, C=DE");
    // The issuer states no key identifier, so its key's is written.
    assert_eq!(issuer.certificate().subject_key_id(), None);
    assert_eq!(device.authority_key_id().map(<[u8]>::len), Some(20));
}

#[test]
fn limits_the_server_root_to_its_names_without_making_that_critical() {
    let bench = Bench::new();
    let names = |dns: &[&str], ips: &[IpAddr]| ServerNames {
        dns: dns.iter().map(|&name| name.to_owned()).collect(),
        ips: ips.to_vec(),
    };
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let permitted = names(&["azure-devices.example.net", "localhost"], &loopback);
    let root = self_signed("Muster", Profile::ServerRoot(permitted));
    bench.write("root.pem", root.certificate().pem());
    let text = bench.openssl("x509 -in root.pem -noout -text");
    assert!(text.contains("X509v3 Name Constraints: \n"), "{text}");
    for part in [
        "DNS:azure-devices.example.net",
        "DNS:localhost",
        "IP:127.0.0.1/255.255.255.255",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let verify = |dns: &[&str], ips: &[IpAddr]| {
        let profile = Profile::Server(names(dns, ips));
        let key = PrivateKey::generate(NewKey::EcP256).unwrap();
        let server = root.issue(&template("Muster server", 2, profile), &key).unwrap();
        bench.write("server.pem", server.pem());
        bench.try_openssl(&[
            "verify",
            "-x509_strict",
            "-purpose",
            "sslserver",
            "-attime",
            &NOW.unix().to_string(),
            "-CAfile",
            "root.pem",
            "server.pem",
        ])
    };
    let (ok, said) = verify(
        &[
            "localhost",
            "*.azure-devices.example.net",
            "hub.azure-devices.example.net",
        ],
        &loopback,
    );
    assert!(ok, "{said}");
    let (ok, said) = bench.try_openssl(&[
        "verify",
        "-attime",
        &NOW.unix().to_string(),
        "-CAfile",
        "root.pem",
        "-verify_hostname",
        "myhub.azure-devices.example.net",
        "server.pem",
    ]);
    assert!(ok, "{said}");
    let (ok, said) = verify(&["bank.example.com"], &[]);
    assert!(!ok && said.contains("permitted subtree violation"), "{said}");
    let (ok, said) = verify(&[], &[IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))]);
    assert!(!ok && said.contains("permitted subtree violation"), "{said}");
}

#[test]
fn refuses_what_cannot_be_written() {
    let key = PrivateKey::generate(NewKey::EcP256).unwrap();
    assert_eq!(common_name_only("").unwrap_err(), IssueError::CommonName(0));
    assert!(common_name_only(&"ä".repeat(64)).is_ok());
    assert_eq!(
        common_name_only(&"ä".repeat(65)).unwrap_err(),
        IssueError::CommonName(65)
    );
    let backward = Template {
        not_before: NOW.plus_days(31),
        ..template("d", 1, Profile::Bare)
    };
    assert!(matches!(
        backward.self_signed(&key),
        Err(IssueError::Validity { .. })
    ));
    let endless = Template {
        not_after: Time::from_unix(i64::MAX),
        ..template("d", 1, Profile::Bare)
    };
    assert!(matches!(
        endless.self_signed(&key),
        Err(IssueError::Validity { .. })
    ));
    for name in [
        "",
        "a..b",
        "-a",
        "ä.example.com",
        "*.",
        "a b",
        "*.*.example.com",
        &"a".repeat(64),
    ] {
        let profile = Profile::Server(ServerNames {
            dns: vec![name.to_owned()],
            ips: Vec::new(),
        });
        assert!(
            matches!(
                template("d", 1, profile).self_signed(&key),
                Err(IssueError::DnsName(_))
            ),
            "{name}"
        );
    }
    let other = PrivateKey::generate(NewKey::EcP256).unwrap();
    let certificate = template("d", 1, Profile::Bare).self_signed(&key).unwrap();
    assert_eq!(
        Issuer::new(certificate, other).unwrap_err(),
        IssueError::KeyDiffers
    );
}

#[test]
fn writes_dates_after_2049_in_their_long_form() {
    let key = PrivateKey::generate(NewKey::EcP256).unwrap();
    let far = Time::from_unix(2_524_608_000);
    for not_after in [far.plus_seconds(-1), far, Time::from_unix(253_402_300_799)] {
        let made = Template {
            not_after,
            ..template("d", 1, Profile::Bare)
        }
        .self_signed(&key)
        .unwrap();
        assert_eq!((made.not_before(), made.not_after()), (NOW, not_after));
    }
}

#[test]
fn serial_numbers_stay_positive_and_short() {
    assert_eq!(Serial::from_bytes(&[0, 0]).unwrap_err(), IssueError::Serial);
    assert_eq!(Serial::from_bytes(&[0x80; 20]).unwrap_err(), IssueError::Serial);
    assert!(Serial::from_bytes(&[0x7f; 20]).is_ok());
    assert_eq!(
        Serial::from_bytes(&[0, 0xff]).unwrap().next().unwrap().hex(),
        "0100"
    );
    assert_eq!(Serial::from_bytes(&[1]).unwrap().hex(), "01");
    assert!(Serial::from_bytes(&[0x7f; 20]).unwrap().next().is_ok());
    let most = [&[0x7f][..], &[0xff; 19]].concat();
    assert_eq!(
        Serial::from_bytes(&most).unwrap().next().unwrap_err(),
        IssueError::Serial
    );
    let drawn = Serial::random(&mut StdRng::seed_from_u64(1));
    assert_eq!(drawn, Serial::random(&mut StdRng::seed_from_u64(1)));
    assert_eq!(drawn.hex().len(), 32);
}

#[test]
fn requests_go_both_ways_and_must_be_signed_by_their_own_key() {
    let bench = Bench::new();
    let key = PrivateKey::generate(NewKey::EcP384).unwrap();
    let request = CertificateRequest::new(&common_name_only("device-01").unwrap(), &key).unwrap();
    bench.write("ours.csr", request.pem());
    let said = bench.openssl("req -in ours.csr -verify -noout -subject");
    assert!(said.contains("CN = device-01"), "{said}");
    let read = CertificateRequest::from_text(request.pem().as_bytes()).unwrap();
    assert_eq!(
        (read.subject(), read.spki_der()),
        (request.subject(), key.spki_der())
    );
    bench.openssl("req -in ours.csr -outform DER -out ours.der");
    let mut der = bench.read("ours.der");
    assert!(CertificateRequest::from_text(&der).is_ok());
    let place = der.windows(9).position(|window| window == b"device-01").unwrap();
    der[place] = b'D';
    assert!(matches!(
        CertificateRequest::from_text(&der),
        Err(IssueError::Request(_))
    ));
    assert!(CertificateRequest::from_text(b"junk").is_err());
}
