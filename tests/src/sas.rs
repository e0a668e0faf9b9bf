//! SAS tokens and derived keys, made by openssl, so that a fault in our own signing cannot hide in a test.

use std::fmt::Write as _;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::{BASE64, HEXLOWER};

use crate::run::tool;

/// Makes a token for an audience, signed with a key in base64, that expires so many seconds from now (or ago).
///
/// # Panics
/// When the key is not base64 or openssl does not sign.
pub fn sas_token(audience: &str, key: &str, policy: Option<&str>, seconds: i64) -> String {
    let audience = percent_encoded(audience);
    let expiry = now().saturating_add(seconds);
    let signature = hmac_sha256(&decoded(key), format!("{audience}\n{expiry}").as_bytes());
    let signature = percent_encoded(&BASE64.encode(&signature));
    let mut token = format!("SharedAccessSignature sr={audience}&sig={signature}&se={expiry}");
    if let Some(policy) = policy {
        token.push_str("&skn=");
        token.push_str(policy);
    }
    token
}

/// Derives a device's key from a group's, both in base64.
///
/// # Panics
/// When the key is not base64 or openssl does not sign.
pub fn derived_key(group_key: &str, registration_id: &str) -> String {
    BASE64.encode(&hmac_sha256(&decoded(group_key), registration_id.as_bytes()))
}

/// Returns the seconds since the epoch.
///
/// # Panics
/// When the machine's clock stands before it.
pub fn now() -> i64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    i64::try_from(elapsed.as_secs()).expect("a clock that fits")
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder for the message");
    fs::write(folder.path().join("message"), message).expect("to write the message");
    let mut command = tool("openssl");
    command.args(["dgst", "-sha256", "-binary", "-mac", "HMAC", "-macopt"]);
    command
        .arg(format!("hexkey:{}", HEXLOWER.encode(key)))
        .arg("message")
        .current_dir(folder.path());
    let output = command.output().expect("openssl starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

fn decoded(key: &str) -> Vec<u8> {
    BASE64.decode(key.as_bytes()).expect("a key in base64")
}

/// Encodes all but unreserved characters, with upper-case digits as the vendor's SDKs do.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a string takes everything");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use data_encoding::{BASE64, HEXLOWER};

    use super::{derived_key, hmac_sha256, sas_token};

    #[test]
    fn signs_as_the_standard_says() {
        // Source: RFC 4231, test case 1.
        let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        assert_eq!(HEXLOWER.encode(&hmac_sha256(&[0x0b; 20], b"Hi There")), expected);
        let key = BASE64.encode(&[0x0b; 20]);
        assert_eq!(
            derived_key(&key, "Hi There"),
            BASE64.encode(&HEXLOWER.decode(expected.as_bytes()).unwrap())
        );
    }

    #[test]
    fn a_token_has_its_fields_in_the_usual_order() {
        let token = sas_token(
            "hub.example/devices/a b",
            &BASE64.encode(b"0123456789abcdef"),
            Some("device"),
            60,
        );
        assert!(
            token.starts_with("SharedAccessSignature sr=hub.example%2Fdevices%2Fa%20b&sig="),
            "{token}"
        );
        assert!(token.ends_with("&skn=device"), "{token}");
        assert!(token.contains("&se="), "{token}");
    }
}
