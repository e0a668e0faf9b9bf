//! Private keys and PFX containers, exchanged with the `openssl` command in both directions.

use muster_pki::issue::{Issuer, Profile, Serial, Template};
use muster_pki::{KeyError, NewKey, PfxError, PrivateKey, pfx};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::support::{Bench, NOW};

fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

fn serial(number: u8) -> Serial {
    Serial::from_bytes(&[number]).unwrap()
}

#[test]
fn reads_keys_in_every_form_that_openssl_writes() {
    let bench = Bench::new();
    let mut read = 0;
    for (make, traditional) in [
        ("-algorithm RSA -pkeyopt rsa_keygen_bits:2048", true),
        ("-algorithm EC -pkeyopt ec_paramgen_curve:P-256", true),
        ("-algorithm EC -pkeyopt ec_paramgen_curve:P-384", true),
        ("-algorithm EC -pkeyopt ec_paramgen_curve:P-521", true),
        ("-algorithm ED25519", false),
    ] {
        bench.openssl(&format!("genpkey -out k.pem {make}"));
        bench.openssl("pkey -in k.pem -outform DER -out k.der");
        bench.openssl("pkcs8 -topk8 -in k.pem -passout pass:1234 -v2 aes-256-cbc -out aes.pem");
        bench.openssl("pkcs8 -topk8 -in k.pem -passout pass:1234 -v2 aes-128-cbc -iter 10 -out aes128.pem");
        bench.openssl("pkcs8 -topk8 -in k.pem -passout pass:1234 -v2 des3 -out des3.pem");
        bench.openssl("pkcs8 -topk8 -in k.pem -passout pass:1234 -scrypt -out scrypt.pem");
        bench.openssl("pkcs8 -topk8 -in k.pem -passout pass:1234 -outform DER -out aes.der");
        let mut files = vec![
            "k.pem",
            "k.der",
            "aes.pem",
            "aes128.pem",
            "des3.pem",
            "scrypt.pem",
            "aes.der",
        ];
        if traditional {
            for cipher in ["aes256", "aes192", "aes128"] {
                bench.openssl(&format!(
                    "pkey -in k.pem -traditional -{cipher} -passout pass:1234 -out {cipher}.old"
                ));
            }
            bench.openssl("pkey -in k.pem -traditional -out plain.old");
            files.extend(["aes256.old", "aes192.old", "aes128.old", "plain.old"]);
        }
        bench.openssl("pkey -in k.pem -pubout -outform DER -out k.pub");
        for file in files {
            let key = PrivateKey::from_text(&bench.read(file), Some("1234"));
            let key = key.unwrap_or_else(|error| panic!("{make} {file}: {error}"));
            assert_eq!(key.spki_der(), bench.read("k.pub"), "{make} {file}");
            read += 1;
        }
    }
    assert_eq!(read, 5 * 7 + 4 * 4);
}

#[test]
fn reads_the_key_of_the_curl_tutorial() {
    let bench = Bench::new();
    bench.openssl(
        "req -x509 -sha256 -newkey rsa:2048 -passout pass:1234 -keyout device-key.pem -out device-cert.pem -subj /CN=d",
    );
    let key = PrivateKey::from_text(&bench.read("device-key.pem"), Some("1234")).unwrap();
    assert!(key.belongs_to(&bench.certificate("device-cert.pem")));
}

#[test]
fn reads_a_key_after_parameters_and_certificates_and_with_windows_line_ends() {
    let bench = Bench::new();
    bench.openssl("ecparam -name prime256v1 -genkey -out k.pem");
    bench.openssl("pkey -in k.pem -traditional -aes256 -passout pass:1234 -out old.pem");
    bench.openssl("req -x509 -new -key k.pem -subj /CN=d -out c.pem");
    let file = [bench.read("c.pem"), bench.read("old.pem")].concat();
    let file = String::from_utf8(file).unwrap().replace('\n', "\r\n");
    let key = PrivateKey::from_text(file.as_bytes(), Some("1234")).unwrap();
    assert!(key.belongs_to(&bench.certificate("c.pem")));
    assert!(
        PrivateKey::from_text(&bench.read("k.pem"), None)
            .unwrap()
            .belongs_to(&bench.certificate("c.pem"))
    );
}

#[test]
fn tells_wrong_and_missing_pass_phrases_from_what_it_does_not_read() {
    let bench = Bench::new();
    bench.openssl("genpkey -out k.pem -algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    bench.openssl("pkcs8 -topk8 -in k.pem -passout pass:1234 -out new.pem");
    bench.openssl("pkcs8 -topk8 -in k.pem -passout pass:1234 -outform DER -out new.der");
    bench.openssl("pkey -in k.pem -traditional -aes256 -passout pass:1234 -out old.pem");
    bench.openssl("pkey -in k.pem -traditional -des3 -passout pass:1234 -out des.pem");
    bench.openssl("pkcs8 -topk8 -in k.pem -passout pass:1234 -v1 PBE-SHA1-3DES -out pbes1.pem");
    let read = |file: &str, pass_phrase| PrivateKey::from_text(&bench.read(file), pass_phrase).unwrap_err();
    for file in ["new.pem", "new.der", "old.pem"] {
        assert_eq!(read(file, None), KeyError::PassPhraseMissing, "{file}");
        assert_eq!(read(file, Some("4321")), KeyError::PassPhraseWrong, "{file}");
    }
    for file in ["des.pem", "pbes1.pem"] {
        let error = read(file, Some("1234"));
        assert!(
            matches!(error, KeyError::UnsupportedEncryption { .. }),
            "{file}: {error}"
        );
        assert!(error.to_string().contains("openssl pkcs8 -topk8"), "{error}");
    }
    assert_eq!(
        PrivateKey::from_text(b"hello", None).unwrap_err(),
        KeyError::NoKey
    );
    assert_eq!(PrivateKey::from_text(b"", None).unwrap_err(), KeyError::NoKey);
}

#[test]
fn refuses_a_key_file_that_asks_for_endless_work() {
    let bench = Bench::new();
    bench.openssl("genpkey -out k.pem -algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    bench.openssl(
        "pkcs8 -topk8 -in k.pem -passout pass:1234 -v2 aes-256-cbc -iter 65537 -outform DER -out k.der",
    );
    let mut der = bench.read("k.der");
    let asked = [0x02, 0x03, 0x01, 0x00, 0x01];
    let place = der
        .windows(asked.len())
        .position(|window| window == asked)
        .unwrap();
    assert!(PrivateKey::from_text(&der, Some("1234")).is_ok());
    der[place + 2] = 0x7f;
    assert_eq!(
        PrivateKey::from_text(&der, Some("1234")).unwrap_err(),
        KeyError::TooCostly
    );

    // The work of scrypt is its memory times its passes, so neither alone is the bound.
    bench.openssl("pkcs8 -topk8 -in k.pem -passout pass:1234 -scrypt -outform DER -out s.der");
    let mut der = bench.read("s.der");
    let asked = [0x02, 0x02, 0x40, 0x00, 0x02, 0x01, 0x08, 0x02, 0x01, 0x01];
    let place = der
        .windows(asked.len())
        .position(|window| window == asked)
        .unwrap();
    assert!(PrivateKey::from_text(&der, Some("1234")).is_ok());
    der[place + 9] = 9;
    assert_eq!(
        PrivateKey::from_text(&der, Some("1234")).unwrap_err(),
        KeyError::TooCostly
    );
}

#[test]
fn refuses_keys_that_do_not_sign_certificates_here() {
    let bench = Bench::new();
    for make in [
        "-algorithm RSA -pkeyopt rsa_keygen_bits:1024",
        "-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1",
        "-algorithm X25519",
        "-algorithm ED448",
    ] {
        bench.openssl(&format!("genpkey -out k.pem {make}"));
        assert_eq!(
            PrivateKey::from_text(&bench.read("k.pem"), None).unwrap_err(),
            KeyError::Unreadable,
            "{make}"
        );
    }
}

#[test]
fn writes_keys_that_openssl_reads_with_and_without_pass_phrase() {
    let bench = Bench::new();
    for kind in [NewKey::EcP256, NewKey::EcP384, NewKey::Rsa2048, NewKey::Rsa3072] {
        let key = PrivateKey::generate(kind).unwrap();
        bench.write("plain.pem", key.pkcs8_pem().as_bytes());
        let sealed = key.encrypted_pkcs8_pem("1234", &mut rng()).unwrap();
        bench.write("sealed.pem", &sealed);
        bench.openssl("pkey -in plain.pem -pubout -outform DER -out plain.pub");
        bench.openssl("pkey -in sealed.pem -passin pass:1234 -pubout -outform DER -out sealed.pub");
        assert_eq!(bench.read("plain.pub"), key.spki_der());
        assert_eq!(bench.read("sealed.pub"), key.spki_der());
        let structure = bench.openssl("asn1parse -in sealed.pem");
        for part in ["PBES2", "PBKDF2", "hmacWithSHA256", "aes-256-cbc", ":0800"] {
            assert!(structure.contains(part), "{part}: {structure}");
        }
        assert!(
            !bench
                .try_openssl(&["pkey", "-in", "sealed.pem", "-passin", "pass:4321"])
                .0
        );
        let again = PrivateKey::from_text(sealed.as_bytes(), Some("1234")).unwrap();
        assert_eq!(again.pkcs8_der(), key.pkcs8_der());
    }
}

#[test]
fn takes_salts_from_the_given_randomness_and_never_prints_a_key() {
    let key = PrivateKey::generate(NewKey::EcP256).unwrap();
    let sealed = |seed| {
        key.encrypted_pkcs8_pem("1234", &mut StdRng::seed_from_u64(seed))
            .unwrap()
    };
    assert_eq!(sealed(1), sealed(1));
    assert_ne!(sealed(1), sealed(2));
    assert_eq!(format!("{key:?}"), "PrivateKey(EC)");
}

#[test]
fn writes_containers_that_openssl_reads_with_its_default_providers() {
    let bench = Bench::new();
    for kind in [NewKey::EcP256, NewKey::Rsa2048] {
        let root_key = PrivateKey::generate(kind).unwrap();
        let template = Template::new("root", serial(1), NOW, NOW.plus_days(30), Profile::ScriptCa).unwrap();
        let root = Issuer::new(template.self_signed(&root_key).unwrap(), root_key).unwrap();
        let key = PrivateKey::generate(kind).unwrap();
        let template = Template::new(
            "device-01",
            serial(2),
            NOW,
            NOW.plus_days(30),
            Profile::ScriptLeaf,
        )
        .unwrap();
        let leaf = root.issue(&template, &key).unwrap();
        let chain = [root.certificate().clone()];
        for others in [&chain[..], &[]] {
            let written = pfx::write(&leaf, others, &key, "1234").unwrap();
            bench.write("device.pfx", &written);
            let said = bench.openssl("pkcs12 -in device.pfx -passin pass:1234 -nodes -info");
            for part in [
                "PBES2, PBKDF2, AES-256-CBC, Iteration 2048, PRF hmacWithSHA256",
                "MAC: sha256, Iteration 2048",
            ] {
                assert!(said.contains(part), "{part}: {said}");
            }
            bench.openssl("pkcs12 -in device.pfx -passin pass:1234 -clcerts -nokeys -out leaf.pem");
            bench.openssl("pkcs12 -in device.pfx -passin pass:1234 -nocerts -nodes -out leaf.key");
            assert_eq!(bench.certificate("leaf.pem"), leaf);
            assert!(
                PrivateKey::from_text(&bench.read("leaf.key"), None)
                    .unwrap()
                    .belongs_to(&leaf)
            );
            let read = pfx::read(&written, "1234").unwrap();
            assert_eq!((&read.leaf, &*read.others), (&leaf, others));
            assert_eq!(read.key.pkcs8_der(), key.pkcs8_der());
        }
        assert_eq!(
            pfx::write(root.certificate(), &[], &key, "1234").unwrap_err(),
            PfxError::NoLeaf
        );
    }
}

#[test]
fn writes_containers_for_any_common_name() {
    for name in ["gerät", "📟", "a"] {
        let key = PrivateKey::generate(NewKey::EcP256).unwrap();
        let template = Template::new(name, serial(1), NOW, NOW.plus_days(1), Profile::Bare).unwrap();
        let leaf = template.self_signed(&key).unwrap();
        let written = pfx::write(&leaf, &[], &key, "1234").unwrap();
        assert_eq!(
            pfx::read(&written, "1234").unwrap().leaf.common_name(),
            Some(name)
        );
    }
}

#[test]
fn reads_containers_of_openssl_new_and_old() {
    let bench = Bench::new();
    bench.openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -subj /CN=ca -out ca.pem");
    bench.openssl("genpkey -out k.pem -algorithm RSA -pkeyopt rsa_keygen_bits:2048");
    bench.openssl("req -new -key k.pem -subj /CN=d -out d.csr");
    bench.openssl("x509 -req -in d.csr -CA ca.pem -CAkey ca.key -set_serial 7 -out d.pem");
    let base = "pkcs12 -export -in d.pem -inkey k.pem -certfile ca.pem -passout pass:1234 -out d.pfx";
    for options in [
        "",
        "-legacy",
        "-legacy -certpbe PBE-SHA1-RC2-40 -keypbe PBE-SHA1-3DES -macalg sha1",
        "-certpbe NONE -keypbe aes-256-cbc",
        "-macalg sha512",
    ] {
        let (ok, said) =
            bench.try_openssl(&format!("{base} {options}").split_whitespace().collect::<Vec<_>>());
        assert!(ok, "{options}: {said}");
        let read =
            pfx::read(&bench.read("d.pfx"), "1234").unwrap_or_else(|error| panic!("{options}: {error}"));
        assert_eq!(read.leaf, bench.certificate("d.pem"), "{options}");
        assert_eq!(read.others, [bench.certificate("ca.pem")], "{options}");
        assert!(
            matches!(
                pfx::read(&bench.read("d.pfx"), "4321"),
                Err(PfxError::Unopened(_))
            ),
            "{options}"
        );
    }
    bench.openssl("pkcs12 -export -in d.pem -nokeys -passout pass:1234 -out nokey.pfx");
    assert_eq!(
        pfx::read(&bench.read("nokey.pfx"), "1234").unwrap_err(),
        PfxError::NoKey
    );
    bench.openssl("pkcs12 -export -nocerts -inkey k.pem -passout pass:1234 -out nocert.pfx");
    assert_eq!(
        pfx::read(&bench.read("nocert.pfx"), "1234").unwrap_err(),
        PfxError::NoLeaf
    );
    assert!(pfx::read(b"junk", "1234").is_err());
}
