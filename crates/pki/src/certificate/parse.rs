//! From DER to facts: what of a certificate is kept, and how lenient the reader is about each part.
//!
//! The structure must hold (three parts, nothing behind them), everything inside is taken as it comes.
//! Extensions are not parsed by the library but one by one here, so that one damaged extension does not hide
//! the certificate.

use std::ops::Range;

use x509_parser::asn1_rs::FromDer;
use x509_parser::certificate::X509CertificateParser;
use x509_parser::extensions::{self, X509Extension};
use x509_parser::nom::{Err, Parser};

use super::{BasicConstraints, Fact, Facts, KeyUsage};
use crate::algorithm::{KeyAlgorithm, SignatureAlgorithm};
use crate::der;
use crate::error::ParseError;
use crate::name::{Name, oid_text};
use crate::time::Time;

const SUBJECT_KEY_ID: u8 = 14;
const KEY_USAGE: u8 = 15;
const SUBJECT_ALT_NAME: u8 = 17;
const ISSUER_ALT_NAME: u8 = 18;
const BASIC_CONSTRAINTS: u8 = 19;
const NAME_CONSTRAINTS: u8 = 30;
const CRL_DISTRIBUTION_POINTS: u8 = 31;
const CERTIFICATE_POLICIES: u8 = 32;
const POLICY_MAPPINGS: u8 = 33;
const AUTHORITY_KEY_ID: u8 = 35;
const POLICY_CONSTRAINTS: u8 = 36;
const EXTENDED_KEY_USAGE: u8 = 37;
const INHIBIT_ANY_POLICY: u8 = 54;

pub(super) fn facts(der_bytes: &[u8]) -> Result<Facts, ParseError> {
    let (whole, rest) = der::expect(der_bytes, der::SEQUENCE).ok_or(ParseError::NoCertificate)?;
    if !rest.is_empty() {
        return Err(ParseError::TrailingData(rest.len()));
    }
    let outer_algorithm = outer_algorithm(whole.content)?;
    let (_, parsed) = X509CertificateParser::new()
        .with_deep_parse_extensions(false)
        .parse(der_bytes)
        .map_err(|error| {
            ParseError::Der(match error {
                Err::Incomplete(_) => "truncated".to_owned(),
                Err::Error(error) | Err::Failure(error) => error.to_string(),
            })
        })?;
    let tbs = &parsed.tbs_certificate;
    let version = match tbs.version.0 {
        known @ 0..=2 => u8::try_from(known + 1).unwrap_or(3),
        other => return Err(ParseError::Version(u64::from(other) + 1)),
    };
    let within = |slice: &[u8]| range_in(der_bytes, slice);
    let (key_algorithm, key_bits) = KeyAlgorithm::read(&tbs.subject_pki);
    let mut facts = Facts {
        tbs: within(tbs.as_ref()),
        signature: (parsed.signature_value.unused_bits == 0).then(|| within(&parsed.signature_value.data)),
        spki: within(tbs.subject_pki.raw),
        key: within(&tbs.subject_pki.subject_public_key.data),
        serial: within(tbs.raw_serial()),
        version,
        issuer: Name::from_raw(tbs.issuer.as_raw()),
        subject: Name::from_raw(tbs.subject.as_raw()),
        not_before: Time::from_unix(tbs.validity.not_before.timestamp()),
        not_after: Time::from_unix(tbs.validity.not_after.timestamp()),
        signature_algorithm: SignatureAlgorithm::read(&parsed.signature_algorithm),
        algorithms_agree: inner_algorithm(tbs.as_ref()) == Some(outer_algorithm),
        key_algorithm,
        key_bits,
        basic_constraints: Fact::Absent,
        key_usage: Fact::Absent,
        subject_key_id: None,
        authority_key_id: None,
        unknown_critical: None,
    };
    for extension in tbs.extensions() {
        read_extension(&mut facts, extension, within);
    }
    Ok(facts)
}

/// Answers the raw `AlgorithmIdentifier` beside the signature, having seen that nothing follows the
/// signature.
fn outer_algorithm(content: &[u8]) -> Result<&[u8], ParseError> {
    let parts = || {
        let (_, rest) = der::expect(content, der::SEQUENCE)?;
        let (algorithm, rest) = der::expect(rest, der::SEQUENCE)?;
        let (_, rest) = der::expect(rest, der::BIT_STRING)?;
        Some((algorithm.raw, rest))
    };
    match parts() {
        Some((algorithm, [])) => Ok(algorithm),
        Some((_, rest)) => Err(ParseError::TrailingData(rest.len())),
        None => Err(ParseError::NoCertificate),
    }
}

/// Answers the raw `AlgorithmIdentifier` inside the signed part: after the optional version and the serial
/// number.
fn inner_algorithm(tbs: &[u8]) -> Option<&[u8]> {
    let (sequence, _) = der::expect(tbs, der::SEQUENCE)?;
    let (first, mut rest) = der::split(sequence.content)?;
    if first.tag == 0xa0 {
        (_, rest) = der::split(rest)?;
    }
    der::expect(rest, der::SEQUENCE).map(|(algorithm, _)| algorithm.raw)
}

fn read_extension(facts: &mut Facts, extension: &X509Extension<'_>, within: impl Fn(&[u8]) -> Range<usize>) {
    let oid = extension.oid.as_bytes();
    let &[0x55, 0x1d, id] = oid else {
        if extension.critical && !is_netscape(oid) && facts.unknown_critical.is_none() {
            facts.unknown_critical = Some(oid_text(oid).into());
        }
        return;
    };
    match id {
        BASIC_CONSTRAINTS => {
            let read = extensions::BasicConstraints::from_der(extension.value);
            facts.basic_constraints = once(
                facts.basic_constraints,
                read.ok()
                    .filter(|(rest, _)| rest.is_empty())
                    .map(|(_, read)| BasicConstraints {
                        ca: read.ca,
                        path_len: read.path_len_constraint,
                    }),
            );
        }
        KEY_USAGE => {
            let read = extensions::KeyUsage::from_der(extension.value);
            facts.key_usage = once(
                facts.key_usage,
                read.ok()
                    .filter(|(rest, _)| rest.is_empty())
                    .map(|(_, read)| KeyUsage {
                        cert_sign: read.key_cert_sign(),
                    }),
            );
        }
        SUBJECT_KEY_ID => {
            facts.subject_key_id =
                der::expect(extension.value, der::OCTET_STRING).map(|(id, _)| within(id.content));
        }
        AUTHORITY_KEY_ID => {
            facts.authority_key_id = der::expect(extension.value, der::SEQUENCE)
                .and_then(|(sequence, _)| der::expect(sequence.content, 0x80))
                .map(|(id, _)| within(id.content));
        }
        // Known, and deliberately not looked at: the service decides by names and signatures only.
        SUBJECT_ALT_NAME
        | ISSUER_ALT_NAME
        | NAME_CONSTRAINTS
        | CRL_DISTRIBUTION_POINTS
        | CERTIFICATE_POLICIES
        | POLICY_MAPPINGS
        | POLICY_CONSTRAINTS
        | EXTENDED_KEY_USAGE
        | INHIBIT_ANY_POLICY => {}
        _ if extension.critical && facts.unknown_critical.is_none() => {
            facts.unknown_critical = Some(oid_text(oid).into());
        }
        _ => {}
    }
}

/// Takes a fact that may be stated once; a second statement damages it, for it is not clear which one holds.
fn once<T>(before: Fact<T>, read: Option<T>) -> Fact<T> {
    match (before, read) {
        (Fact::Absent, Some(value)) => Fact::Stated(value),
        _ => Fact::Damaged,
    }
}

/// Netscape's extensions (2.16.840.1.113730.1.*): certGen.sh writes certificate type and comment; nobody
/// reads them.
fn is_netscape(oid: &[u8]) -> bool {
    matches!(oid, [0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x42, 0x01, _])
}

/// Answers where `part`, a slice of `whole`, stands in it.
fn range_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    start..start + part.len()
}
