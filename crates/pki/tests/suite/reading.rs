//! Certificates and files as other tools leave them.

use data_encoding::BASE64;
use muster_pki::{
    Certificate, Chain, ChainError, KeyAlgorithm, ParseError, Presented, SignatureAlgorithm, Thumbprint,
};

use crate::support::{Bench, Spec};

/// The example of the curl tutorial, with a key that is made faster.
fn tutorial_device(bench: &Bench) -> Certificate {
    bench.openssl(
        "req -outform PEM -x509 -sha256 -newkey rsa:2048 -passout pass:1234 -keyout device-key.pem -out device-cert.pem \
         -days 30 -extensions usr_cert -addext extendedKeyUsage=clientAuth -subj /CN=my-x509-device",
    );
    bench.certificate("device-cert.pem")
}

#[test]
fn reads_the_device_of_the_curl_tutorial() {
    let bench = Bench::new();
    let device = tutorial_device(&bench);
    assert_eq!(device.common_name(), Some("my-x509-device"));
    assert_eq!(device.subject().to_string(), "CN=my-x509-device");
    assert_eq!(device.version(), 3);
    assert_eq!(device.basic_constraints().map(|read| read.ca), Some(false));
    assert_eq!(device.subject_key_id().map(<[u8]>::len), Some(20));
    assert_eq!(device.public_key_algorithm(), &KeyAlgorithm::Rsa);
    assert_eq!(device.public_key_bits(), 2048);
    assert_eq!(device.not_after().seconds_since(device.not_before()), 30 * 86_400);
    assert_eq!(device.signature_algorithm().to_string(), "RSA with SHA-256");
}

#[test]
fn prints_thumbprints_serial_and_pem_as_openssl_does() {
    let bench = Bench::new();
    let device = tutorial_device(&bench);
    let said = bench.openssl("x509 -in device-cert.pem -noout -serial -fingerprint -sha1");
    let plain = said.replace(':', "");
    assert!(
        plain.contains(&format!("serial={}", device.serial_hex())),
        "{said}"
    );
    assert!(plain.contains(&format!("={}", device.sha1())), "{said}");
    let said = bench
        .openssl("x509 -in device-cert.pem -noout -fingerprint -sha256")
        .replace(':', "");
    assert!(said.contains(&format!("={}", device.sha256())), "{said}");
    assert_eq!(device.pem().into_bytes(), bench.read("device-cert.pem"));
}

#[test]
fn matches_thumbprints_of_either_length_in_any_case() {
    let device = Spec::leaf("d").self_signed().certificate;
    for text in [device.sha1().to_string(), device.sha256().to_string()] {
        assert!(text.parse::<Thumbprint>().unwrap().matches(&device));
        assert!(
            text.to_lowercase()
                .parse::<Thumbprint>()
                .unwrap()
                .matches(&device)
        );
    }
    assert!(!Thumbprint::Sha1([0; 20]).matches(&device));
}

#[test]
fn reads_the_same_certificate_from_every_form_of_file() {
    let bench = Bench::new();
    let device = tutorial_device(&bench);
    let pem = bench.read("device-cert.pem");
    let dump = bench.openssl("x509 -in device-cert.pem -text");
    let crlf = String::from_utf8(pem.clone()).unwrap().replace('\n', "\r\n");
    let wrapped = BASE64
        .encode(&pem)
        .as_bytes()
        .chunks(76)
        .flat_map(|line| [line, b"\n"].concat())
        .collect();
    let forms: Vec<Vec<u8>> = vec![
        pem.clone(),
        dump.clone().into_bytes(),
        dump.replace('\n', "\r\n").into_bytes(),
        crlf.into_bytes(),
        BASE64.encode(&pem).into_bytes(),
        wrapped,
        BASE64.encode(device.der()).into_bytes(),
        BASE64
            .encode(device.der())
            .trim_end_matches('=')
            .to_owned()
            .into_bytes(),
        device.der().to_vec(),
        [b"\xef\xbb\xbf".to_vec(), pem.clone()].concat(),
    ];
    for form in forms {
        assert_eq!(
            Certificate::from_text(&form).as_ref(),
            Ok(&device),
            "{}",
            String::from_utf8_lossy(&form)
        );
    }
}

#[test]
fn skips_keys_in_a_file_and_keeps_the_order_of_a_chain() {
    let (root, leaf) = (Spec::ca("r").self_signed(), Spec::leaf("d").self_signed());
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let file = format!(
        "text\n{}{key}junk\n{}",
        leaf.certificate.pem(),
        root.certificate.pem()
    );
    let read = Certificate::all_from_text(file.as_bytes()).unwrap();
    assert_eq!(read, [leaf.certificate.clone(), root.certificate]);
    assert_eq!(
        Certificate::from_text(format!("{key}{file}").as_bytes()),
        Ok(leaf.certificate)
    );
    assert_eq!(
        Certificate::from_text(key.as_bytes()),
        Err(ParseError::NoCertificate)
    );
}

#[test]
fn refuses_files_without_certificate_with_too_many_or_damaged_ones() {
    assert_eq!(Certificate::from_text(b" \r\n"), Err(ParseError::Empty));
    assert_eq!(Certificate::from_text(b"hello"), Err(ParseError::NoCertificate));
    assert_eq!(
        Certificate::from_text(b"0 is where this text starts"),
        Err(ParseError::NoCertificate)
    );
    assert!(Certificate::from_text(b"-----BEGIN CERTIFICATE-----\nAAAA").is_err());
    assert!(Certificate::from_text(b"-----BEGIN CERTIFICATE-----\nA*A\n-----END CERTIFICATE-----").is_err());
    assert!(Certificate::from_text(&vec![b'A'; 600 * 1024]).is_err());
    let one = Spec::leaf("d").self_signed().certificate.pem();
    assert!(matches!(
        Certificate::all_from_text(one.repeat(101).as_bytes()),
        Err(ParseError::TooMany { limit: 100 })
    ));
    assert_eq!(
        Certificate::all_from_text(one.repeat(100).as_bytes()).map(|all| all.len()),
        Ok(100)
    );
}

#[test]
fn refuses_bytes_after_the_certificate_and_inside_it() {
    let leaf = Spec::leaf("d").self_signed().certificate;
    let mut longer = leaf.der().to_vec();
    longer.push(0);
    assert_eq!(Certificate::from_der(&longer), Err(ParseError::TrailingData(1)));
    // One more element inside the outer SEQUENCE, its length corrected.
    let mut inside = leaf.der().to_vec();
    inside.extend([0x05, 0x00]);
    let length = u16::from_be_bytes([inside[2], inside[3]]) + 2;
    inside[2..4].copy_from_slice(&length.to_be_bytes());
    assert_eq!(Certificate::from_der(&inside), Err(ParseError::TrailingData(2)));
}

#[test]
fn reads_no_certificate_from_any_truncation() {
    let der = Spec::leaf("d").self_signed().certificate.der().to_vec();
    for length in 0..der.len() {
        assert!(Certificate::from_der(&der[..length]).is_err(), "{length}");
    }
}

#[test]
fn survives_every_single_byte_change() {
    let der = Spec::ca("d").self_signed().certificate.der().to_vec();
    for place in 0..der.len() {
        for value in [0x00, 0x01, 0x7f, 0x80, 0xff, der[place] ^ 0x20] {
            let mut changed = der.clone();
            changed[place] = value;
            if let Ok(read) = Certificate::from_der(&changed) {
                let _ = (
                    read.subject().to_string(),
                    read.serial_hex(),
                    read.common_name().map(str::len),
                );
                assert_eq!(read.der(), changed);
            }
        }
    }
}

#[test]
fn reads_version_1_without_extensions() {
    let bench = Bench::new();
    bench.openssl("genpkey -out k.pem -algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    bench.openssl("req -new -key k.pem -subj /CN=old -out old.csr");
    bench.openssl("x509 -req -in old.csr -signkey k.pem -days 365 -set_serial 0 -out old.pem");
    let old = bench.certificate("old.pem");
    assert_eq!(old.version(), 1);
    assert_eq!(old.serial_hex(), "00");
    assert_eq!(old.basic_constraints(), None);
    assert_eq!(old.key_usage(), None);
    assert_eq!(old.subject_key_id(), None);
}

#[test]
fn reads_odd_serials_dates_and_constraints() {
    let bench = Bench::new();
    bench.write(
        "odd.cnf",
        "[req]\ndistinguished_name=dn\nx509_extensions=odd\n[dn]\n[odd]\nbasicConstraints=CA:FALSE,pathlen:0\n\
         1.2.3.4=critical,DER:0500\nkeyUsage=digitalSignature\n",
    );
    bench.openssl("genpkey -out k.pem -algorithm EC -pkeyopt ec_paramgen_curve:P-384");
    bench.openssl(
        "req -x509 -new -key k.pem -config odd.cnf -subj /C=US/O=Contoso/OU=test/CN=device -days 30000 \
         -set_serial 0xF123456789ABCDEF0123456789ABCDEF01234567 -out odd.pem",
    );
    let odd = bench.certificate("odd.pem");
    assert_eq!(odd.serial_hex(), "F123456789ABCDEF0123456789ABCDEF01234567");
    let constraints = odd.basic_constraints().unwrap();
    assert_eq!((constraints.ca, constraints.path_len), (false, Some(0)));
    assert_eq!(odd.key_usage().map(|usage| usage.cert_sign), Some(false));
    assert_eq!(odd.subject().to_string(), "CN=device, OU=test, O=Contoso, C=US");
    assert_eq!(odd.public_key_algorithm(), &KeyAlgorithm::EcP384);
    // Thirty thousand days end after 2049, where dates have another form.
    assert_eq!(odd.not_after().seconds_since(odd.not_before()), 30_000 * 86_400);
}

#[test]
fn names_algorithms_and_keys_that_it_does_not_check() {
    let bench = Bench::new();
    for (make, key, bits) in [
        (
            "-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1",
            "key algorithm 1.2.840.10045.2.1",
            0,
        ),
        ("-algorithm EC -pkeyopt ec_paramgen_curve:P-521", "EC P-521", 521),
        ("-algorithm ED25519", "Ed25519", 256),
        ("-algorithm ED448", "key algorithm 1.3.101.113", 0),
        ("-algorithm RSA -pkeyopt rsa_keygen_bits:1024", "RSA", 1024),
        (
            "-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048",
            "RSA-PSS",
            2048,
        ),
    ] {
        bench.openssl(&format!("genpkey -out k.pem {make}"));
        bench.openssl("req -x509 -new -key k.pem -subj /CN=d -out c.pem");
        let read = bench.certificate("c.pem");
        assert_eq!(
            (
                read.public_key_algorithm().to_string().as_str(),
                read.public_key_bits()
            ),
            (key, bits)
        );
    }
    bench.openssl("genpkey -out k.pem -algorithm RSA -pkeyopt rsa_keygen_bits:2048");
    bench.openssl("req -x509 -new -key k.pem -subj /CN=d -sha224 -out c.pem");
    let other = SignatureAlgorithm::Other("1.2.840.113549.1.1.14".into());
    assert_eq!(bench.certificate("c.pem").signature_algorithm(), &other);
}

#[test]
fn keeps_a_chain_as_presented_with_strangers_and_unreadable_ones() {
    let (root, leaf) = (Spec::ca("r").self_signed(), Spec::leaf("d").self_signed());
    let ders = [
        leaf.certificate.der(),
        b"junk",
        root.certificate.der(),
        root.certificate.der(),
    ];
    let chain = Chain::from_ders(ders).unwrap();
    assert_eq!(chain.leaf(), &leaf.certificate);
    assert_eq!(chain.ders().collect::<Vec<_>>(), ders);
    assert_eq!(chain.certificates().count(), 3);
    assert!(matches!(&chain.presented()[1], Presented::Unreadable { der, .. } if &**der == b"junk"));
    let other = Chain::from_ders([ders[0], ders[2], ders[1], ders[3]]).unwrap();
    assert_ne!(chain.sha256(), other.sha256());
    assert_eq!(chain.sha256(), Chain::from_ders(ders).unwrap().sha256());
}

#[test]
fn refuses_chains_without_leaf_and_beyond_the_caps() {
    let leaf = Spec::leaf("d").self_signed().certificate;
    assert!(matches!(Chain::from_ders([]), Err(ChainError::Empty)));
    assert!(matches!(
        Chain::from_ders([&b"junk"[..], leaf.der()]),
        Err(ChainError::Leaf(_))
    ));
    assert!(Chain::from_ders(vec![leaf.der(); 16]).is_ok());
    assert!(matches!(
        Chain::from_ders(vec![leaf.der(); 17]),
        Err(ChainError::TooMany { limit: 16 })
    ));
    assert!(Chain::from_certificates(vec![leaf.clone(); 17]).is_err());
    let big = vec![0; 33 * 1024];
    assert!(matches!(
        Chain::from_ders([leaf.der(), &big, &big]),
        Err(ChainError::TooLarge { .. })
    ));
}
