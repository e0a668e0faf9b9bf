//! Tokens and connection strings: what clients send, vectors of the contract, and damaged text.

use proptest::prelude::*;

use super::*;
use crate::secret::Secret;

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
const EXPIRY: Wall = Wall::from_seconds(1_800_000_000);

fn signed(sr: &str) -> String {
    let signature = BASE64.encode(mac(KEY, format!("{sr}\n1800000000").as_bytes()).as_ref());
    encode(&signature)
}

#[test]
fn every_variant_that_clients_send_is_verified() {
    let raw = "0ne000A1B2C/registrations/dev-1";
    let upper = "0ne000A1B2C%2Fregistrations%2Fdev-1";
    let lower = "0ne000A1B2C%2fregistrations%2fdev-1";
    for text in [
        format!(
            "SharedAccessSignature sr={lower}&sig={}&se=1800000000&skn=registration",
            signed(lower)
        ),
        format!(
            "SharedAccessSignature sr={raw}&sig={}&skn=registration&se=1800000000",
            signed(raw)
        ),
        format!(
            "SharedAccessSignature sr={upper}&sig={}&se=1800000000",
            signed(upper)
        ),
        format!(
            "sharedaccesssignature se=1800000000&sr={raw}&sig={}",
            signed(upper)
        ),
        format!(
            "SharedAccessSignature sr={upper}&sig={}&se=1800000000",
            signed(lower)
        ),
    ] {
        let token = parse(&text).unwrap();
        assert_eq!(token.resource, raw);
        assert_eq!(token.expiry, EXPIRY);
        assert!(signature_matches(&token, KEY), "{text}");
        assert!(!signature_matches(&token, b"another key of sixteen"), "{text}");
    }
}

#[test]
fn a_plus_sign_in_a_signature_is_not_a_blank() {
    let token = parse("SharedAccessSignature sr=a&sig=ab+/&se=1").unwrap();
    assert_eq!(token.signature, [0x69, 0xbf, 0xbf]);
    let token = parse("SharedAccessSignature sr=a&sig=ab%2B%2F&se=1").unwrap();
    assert_eq!(token.signature, [0x69, 0xbf, 0xbf]);
}

#[test]
fn a_signature_that_is_not_base64_matches_nothing() {
    let token = parse("SharedAccessSignature sr=a&sig=%00%01&se=1").unwrap();
    assert!(token.signature.is_empty());
    assert!(!signature_matches(&token, KEY));
}

#[test]
fn the_derived_key_is_that_of_the_contract() {
    let group = SymmetricKey::from_base64(
        "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==",
    )
    .unwrap();
    let key = derived_key(&group, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6").unwrap();
    assert_eq!(
        key.to_base64().as_str(),
        "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="
    );
}

#[test]
fn damaged_tokens_are_refused_with_the_field_named() {
    for (text, message) in [
        ("", "the token must begin with SharedAccessSignature and a blank"),
        (
            "Bearer x",
            "the token must begin with SharedAccessSignature and a blank",
        ),
        (
            "SharedAccessSignaturesr=a",
            "the token must begin with SharedAccessSignature and a blank",
        ),
        (
            "SharedAccessSignature sr",
            "the token must consist of fields name=value joined by &",
        ),
        (
            "SharedAccessSignature sr=a&sig=b",
            "the token's field se is missing",
        ),
        (
            "SharedAccessSignature sr=&sig=b&se=1",
            "the token's field sr is missing",
        ),
        (
            "SharedAccessSignature sr=a&sig=b&se=1&sr=c",
            "the token's field sr stands twice",
        ),
        (
            "SharedAccessSignature sr=a&sig=b&se=-1",
            "the token's field se must be Unix seconds",
        ),
        (
            "SharedAccessSignature sr=a&sig=b&se=99999999999999999999",
            "the token's field se must be Unix seconds",
        ),
        (
            "SharedAccessSignature sr=%ff&sig=b&se=1",
            "the token's field sr must be percent-encoded UTF-8",
        ),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), message, "{text}");
    }
    assert!(matches!(
        parse(&format!("SharedAccessSignature sr={}", "a".repeat(LONGEST))),
        Err(Error::TooLarge { .. })
    ));
}

#[test]
fn connection_strings_are_read_as_they_are_built() {
    let key = SymmetricKey::new(vec![7; 32]).unwrap();
    let secret = || Secret::from(&key);
    for built in [
        ConnectionString::of_policy("h.azure-devices.muster.localhost", "iothubowner", secret()),
        ConnectionString::of_event_hub("sb://h.muster.localhost/", "h", "service", secret()),
        ConnectionString {
            host_name: Some("h.azure-devices.muster.localhost".to_owned()),
            device_id: Some("a=b".to_owned()),
            key: Some(secret()),
            ..ConnectionString::default()
        },
        ConnectionString {
            host_name: Some("h.azure-devices.muster.localhost".to_owned()),
            device_id: Some("dev".to_owned()),
            x509: true,
            ..ConnectionString::default()
        },
    ] {
        assert_eq!(ConnectionString::parse(built.build().expose()).unwrap(), built);
        assert!(!format!("{built} {built:?}").contains(key.to_base64().as_str()));
    }
    let masked = ConnectionString::of_policy("h", "p", secret()).masked();
    assert_eq!(masked, "HostName=h;SharedAccessKeyName=p;SharedAccessKey=****");
    assert!(ConnectionString::parse(&masked).unwrap().has_masked_key());
}

#[test]
fn damaged_connection_strings_are_refused() {
    assert!(matches!(ConnectionString::parse("x"), Err(Error::Field { .. })));
    assert!(matches!(
        ConnectionString::parse("DeviceId=a"),
        Err(Error::Missing(_))
    ));
    assert!(matches!(
        ConnectionString::parse("HostName=a;hostname=b"),
        Err(Error::Twice(_))
    ));
}

proptest! {
    #[test]
    fn a_signed_token_verifies_and_reads_back(
        resource in "[a-zA-Z0-9./:#?%é-]{1,60}",
        key in prop::collection::vec(any::<u8>(), 16..64),
        seconds in 0_i64..4_000_000_000,
        policy in prop::option::of("[a-zA-Z0-9.+ -]{1,20}"),
    ) {
        let text = sign(&resource, &key, Wall::from_seconds(seconds), policy.as_deref());
        let token = parse(&text).unwrap();
        prop_assert!(is_token(&text));
        prop_assert_eq!(&token.resource, &resource);
        prop_assert_eq!(token.expiry, Wall::from_seconds(seconds));
        prop_assert_eq!(&token.policy, &policy);
        prop_assert!(signature_matches(&token, &key));
        let mut other = key.clone();
        if let Some(byte) = other.first_mut() {
            *byte ^= 1;
        }
        prop_assert!(!signature_matches(&token, &other));
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,80}", tail in "[a-z&=%0-9]{0,60}") {
        let _ = parse(&text);
        let _ = parse(&format!("SharedAccessSignature {tail}"));
        let _ = ConnectionString::parse(&text);
        let _ = ConnectionString::parse(&format!("HostName=a;{tail}"));
        let _ = Audience::parse(&text);
    }
}
