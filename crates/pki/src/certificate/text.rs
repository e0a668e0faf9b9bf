//! Certificates as operators carry them about: PEM with text around it, base64 with or without PEM inside,
//! raw DER.
//!
//! The command line sends base64 of whatever the file holds, portals and templates send base64 of DER or PEM
//! text, and `openssl ca` writes a text dump before the armour. All of them are taken; input and count are
//! capped.

use data_encoding::{BASE64, Encoding, Specification};
use std::sync::LazyLock;

use super::Certificate;
use crate::error::ParseError;

/// Most certificates that are taken from one file.
pub const MAX_FILE_CERTIFICATES: usize = 100;

/// Largest file that is read, in bytes.
pub(crate) const MAX_TEXT_BYTES: usize = 512 * 1024;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// The names that certificates have in PEM. Source: openssl-x509(1), read 2026-11-25.
const LABELS: [&str; 3] = ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"];

/// Base64 that skips white space and does without padding: files are edited by hand and mailed about.
#[expect(
    clippy::expect_used,
    reason = "the specification is constant and a test builds it"
)]
static LENIENT_BASE64: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification: Specification = BASE64.specification();
    specification.padding = None;
    specification.check_trailing_bits = false;
    specification.ignore.push_str(" \t\r\n=");
    specification
        .encoding()
        .expect("base64 without padding that skips white space is a valid specification")
});

/// One block between armour lines.
pub(crate) struct Block<'a> {
    pub(crate) label: &'a str,
    pub(crate) body: &'a str,
}

pub(super) fn first(input: &[u8]) -> Result<Certificate, ParseError> {
    match Form::of(input)? {
        Form::Der(der) => Certificate::from_der(&der),
        Form::Pem(text) => {
            let mut rest = text.as_str();
            loop {
                let (block, after) = next_block(rest)?.ok_or(ParseError::NoCertificate)?;
                if LABELS.contains(&block.label) {
                    return from_block(&block);
                }
                rest = after;
            }
        }
    }
}

pub(super) fn all(input: &[u8]) -> Result<Vec<Certificate>, ParseError> {
    let text = match Form::of(input)? {
        Form::Der(der) => return Ok(vec![Certificate::from_der(&der)?]),
        Form::Pem(text) => text,
    };
    let mut certificates = Vec::new();
    let mut rest = text.as_str();
    while let Some((block, after)) = next_block(rest)? {
        if LABELS.contains(&block.label) {
            if certificates.len() == MAX_FILE_CERTIFICATES {
                return Err(ParseError::TooMany {
                    limit: MAX_FILE_CERTIFICATES,
                });
            }
            certificates.push(from_block(&block)?);
        }
        rest = after;
    }
    if certificates.is_empty() {
        Err(ParseError::NoCertificate)
    } else {
        Ok(certificates)
    }
}

/// Writes PEM with 64 columns and LF.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let base64 = BASE64.encode(der);
    let mut out = String::with_capacity(base64.len() + base64.len() / 64 + 2 * label.len() + 40);
    out.push_str(BEGIN);
    out.push_str(label);
    out.push_str("-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(64).unwrap_or((rest, ""));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out.push_str(END);
    out.push_str(label);
    out.push_str("-----\n");
    out
}

/// What a file turned out to hold.
enum Form {
    Der(Vec<u8>),
    Pem(String),
}

impl Form {
    fn of(input: &[u8]) -> Result<Self, ParseError> {
        if input.len() > MAX_TEXT_BYTES {
            return Err(ParseError::TooLarge {
                size: input.len(),
                limit: MAX_TEXT_BYTES,
            });
        }
        if input.iter().all(u8::is_ascii_whitespace) {
            return Err(ParseError::Empty);
        }
        if let Some(form) = Self::undisguised(input) {
            return Ok(form);
        }
        let inside = decode_base64(input).ok_or(ParseError::NoCertificate)?;
        // One layer only: base64 in base64 is nobody's format.
        Self::undisguised(&inside).ok_or(ParseError::NoCertificate)
    }

    fn undisguised(input: &[u8]) -> Option<Self> {
        if contains(input, BEGIN.as_bytes()) {
            // A text dump may hold names in any encoding; the armour itself is ASCII.
            return Some(Self::Pem(String::from_utf8_lossy(input).into_owned()));
        }
        input
            .starts_with(&[crate::der::SEQUENCE])
            .then(|| input.to_vec())
            .map(Self::Der)
            .filter(|_| {
                // A text that starts with the digit 0 has the same first byte as DER.
                !input
                    .iter()
                    .all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
            })
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Decodes base64 with white space anywhere and with or without padding.
pub(crate) fn decode_base64(input: &[u8]) -> Option<Vec<u8>> {
    LENIENT_BASE64.decode(input).ok()
}

fn from_block(block: &Block<'_>) -> Result<Certificate, ParseError> {
    let der = decode_base64(block.body.as_bytes()).ok_or(ParseError::Pem("text that is not base64"))?;
    if block.label == "TRUSTED CERTIFICATE" {
        // OpenSSL appends its own trust settings to the certificate.
        let own = crate::der::split(&der).map_or(der.as_slice(), |(certificate, _)| certificate.raw);
        return Certificate::from_der(own);
    }
    Certificate::from_der(&der)
}

/// Finds the next PEM block; text before the armour is skipped.
pub(crate) fn next_block(text: &str) -> Result<Option<(Block<'_>, &str)>, ParseError> {
    let Some((_, after_begin)) = text.split_once(BEGIN) else {
        return Ok(None);
    };
    let (label, rest) = after_begin
        .split_once(DASHES)
        .ok_or(ParseError::Pem("an opening line without its dashes"))?;
    let (body, after_end) = rest.split_once(END).ok_or(ParseError::Pem("no closing line"))?;
    let after = after_end
        .strip_prefix(label)
        .and_then(|rest| rest.strip_prefix(DASHES))
        .ok_or(ParseError::Pem("opening and closing line differ"))?;
    Ok(Some((Block { label, body }, after)))
}
