//! SAS tokens: reading, signing, and comparing a signature with a key.
//!
//! A token is read without judging it: whether its key, audience and expiry admit anybody is decided by the domains.
//! What was signed is kept exactly as it came, for clients encode the resource in different ways and sign what they
//! encoded. Source: DPS and IoT Hub, "Control access"; the SDKs' token code, read 2026-11.

mod audience;
mod connection_string;

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use data_encoding::{BASE64, BASE64_NOPAD};
use muster_model::{SasToken, SymmetricKey, Wall};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use zeroize::Zeroizing;

use crate::error::Error;

pub use audience::Audience;
pub use connection_string::ConnectionString;

/// Longest token or connection string that is read, in bytes.
pub const LONGEST: usize = 4096;

/// The word before the fields.
const SCHEME: &str = "SharedAccessSignature";

/// What a component of a URI keeps as it is: the unreserved characters.
pub(crate) const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Tells whether a text claims to be a SAS token, as the value of `Authorization` may be something else.
pub fn is_token(text: &str) -> bool {
    text.trim_start()
        .get(..SCHEME.len())
        .is_some_and(|word| word.eq_ignore_ascii_case(SCHEME))
}

/// Reads a token: `SharedAccessSignature sr={…}&sig={…}&se={…}[&skn={…}]`, in any order of fields.
///
/// # Errors
/// [`Error::TooLarge`] over [`LONGEST`]; [`Error::Missing`], [`Error::Twice`] and [`Error::Field`] for its fields.
pub fn parse(text: &str) -> Result<SasToken, Error> {
    if text.len() > LONGEST {
        return Err(Error::TooLarge {
            what: "the token",
            limit: LONGEST,
        });
    }
    let text = text.trim();
    let fields = text
        .get(..SCHEME.len())
        .filter(|word| word.eq_ignore_ascii_case(SCHEME))
        .and_then(|_| text.get(SCHEME.len()..))
        .filter(|rest| rest.starts_with(' '))
        .ok_or_else(|| Error::field("the token", "must begin with SharedAccessSignature and a blank"))?
        .trim_start();
    let (mut sr, mut sig, mut se, mut skn) = (None, None, None, None);
    for field in fields.split('&') {
        let (name, value) = field
            .split_once('=')
            .ok_or_else(|| Error::field("the token", "must consist of fields name=value joined by &"))?;
        let slot = match name {
            "sr" => &mut sr,
            "sig" => &mut sig,
            "se" => &mut se,
            "skn" => &mut skn,
            // Fields that nobody defined are not part of what was signed either.
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return Err(Error::Twice(format!("the token's field {name}")));
        }
    }
    let missing = |name: &str| Error::Missing(format!("the token's field {name}"));
    let sr = sr.filter(|v| !v.is_empty()).ok_or_else(|| missing("sr"))?;
    let sig = sig.filter(|v| !v.is_empty()).ok_or_else(|| missing("sig"))?;
    let se = se.filter(|v| !v.is_empty()).ok_or_else(|| missing("se"))?;
    if !se.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Error::field("the token's field se", "must be Unix seconds"));
    }
    let expiry: i64 = se
        .parse()
        .map_err(|_| Error::field("the token's field se", "must be Unix seconds"))?;
    Ok(SasToken {
        signed_text: format!("{sr}\n{se}"),
        resource: decode(sr, "the token's field sr")?,
        signature: decode_signature(sig),
        expiry: Wall::from_seconds(expiry),
        policy: match skn.filter(|name| !name.is_empty()) {
            Some(name) => Some(decode(name, "the token's field skn")?),
            None => None,
        },
    })
}

/// Makes a token for `resource`, signed with the raw bytes of a key. `policy` becomes `skn`.
pub fn sign(resource: &str, key: &[u8], expiry: Wall, policy: Option<&str>) -> Zeroizing<String> {
    let sr = encode(resource);
    let se = expiry.seconds();
    let signature = BASE64.encode(mac(key, format!("{sr}\n{se}").as_bytes()).as_ref());
    let mut token = Zeroizing::new(format!("{SCHEME} sr={sr}&sig={}&se={se}", encode(&signature)));
    if let Some(policy) = policy {
        // Writing to a string cannot fail.
        let _ = write!(token, "&skn={}", encode(policy));
    }
    token
}

/// Tells in constant time whether the raw bytes of a key made the signature of a token.
///
/// The text is taken as it was sent; where that fails, the two canonical spellings of the resource are tried, for some
/// old clients sign one and send the other.
pub fn signature_matches(token: &SasToken, key: &[u8]) -> bool {
    if token.signature.is_empty() {
        return false;
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let matches = |text: &str| hmac::verify(&key, text.as_bytes(), &token.signature).is_ok();
    if matches(&token.signed_text) {
        return true;
    }
    let Some((sent, se)) = token.signed_text.rsplit_once('\n') else {
        return false;
    };
    let upper = encode(&token.resource);
    let lower = lower_escapes(&upper);
    [upper, lower]
        .iter()
        .any(|sr| sr != sent && matches(&format!("{sr}\n{se}")))
}

/// Computes the key of a device of a group: HMAC-SHA256 of its registration id, as the device wrote it, under the
/// group's key.
pub fn derived_key(group: &SymmetricKey, registration_id: &str) -> Option<SymmetricKey> {
    SymmetricKey::new(mac(group.bytes(), registration_id.as_bytes()).as_ref().to_vec())
}

/// Percent-encodes everything but unreserved characters, in upper-case hex.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, COMPONENT).to_string()
}

/// Percent-decodes once; a plus sign stays one.
///
/// # Errors
/// [`Error::Field`] when the result is not UTF-8.
pub fn decode(text: &str, path: &str) -> Result<String, Error> {
    percent_decode_str(text)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| Error::field(path, "must be percent-encoded UTF-8"))
}

/// A signature that is not base64 becomes an empty one, which matches nothing.
fn decode_signature(sig: &str) -> Vec<u8> {
    let decoded: Vec<u8> = percent_decode_str(sig).collect();
    BASE64
        .decode(&decoded)
        .or_else(|_| BASE64_NOPAD.decode(&decoded))
        .unwrap_or_default()
}

fn mac(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
}

fn lower_escapes(text: &str) -> String {
    let mut left = 0;
    text.chars()
        .map(|c| {
            if c == '%' {
                left = 3;
            }
            if left > 0 {
                left -= 1;
                c.to_ascii_lowercase()
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
