//! The extensions of each profile, in the order and with the criticality of the scripts.

use std::net::IpAddr;

use super::{Profile, ServerNames};
use crate::certificate::Certificate;
use crate::der;
use crate::error::IssueError;
use crate::thumbprint::Thumbprint;

/// Bits of keyUsage as they stand in its first byte.
const DIGITAL_SIGNATURE: u8 = 0x80;
const NON_REPUDIATION: u8 = 0x40;
const KEY_ENCIPHERMENT: u8 = 0x20;
const KEY_CERT_SIGN: u8 = 0x04;
const CRL_SIGN: u8 = 0x02;

/// Bits of Netscape's certificate type.
const NETSCAPE_CLIENT: u8 = 0x80;
const NETSCAPE_SERVER: u8 = 0x40;
const NETSCAPE_EMAIL: u8 = 0x20;

/// Last byte of the key purposes under 1.3.6.1.5.5.7.3.
const SERVER_AUTH: u8 = 1;
const CLIENT_AUTH: u8 = 2;
const EMAIL_PROTECTION: u8 = 4;

const CLIENT_COMMENT: &str = "OpenSSL Generated Client Certificate";
const SERVER_COMMENT: &str = "OpenSSL Generated Server Certificate";
const DEFAULT_COMMENT: &str = "OpenSSL Generated Certificate";

/// Answers the extensions of a profile, each as DER. `issuer` is `None` for a self-signed certificate.
pub(super) fn of_profile(
    profile: &Profile,
    spki: &[u8],
    issuer: Option<&Certificate>,
) -> Result<Vec<Vec<u8>>, IssueError> {
    let own = key_id(spki);
    let subject = subject_key_id(&own);
    let authority = authority_key_id(&own, issuer);
    Ok(match profile {
        Profile::Bare => Vec::new(),
        Profile::ScriptCa => vec![
            subject,
            authority,
            basic_constraints(true, None, true),
            key_usage(DIGITAL_SIGNATURE | CRL_SIGN | KEY_CERT_SIGN),
        ],
        Profile::ScriptLeaf => vec![
            basic_constraints(false, None, false),
            netscape_type(NETSCAPE_CLIENT | NETSCAPE_EMAIL),
            netscape_comment(CLIENT_COMMENT),
            subject,
            authority,
            key_usage(NON_REPUDIATION | DIGITAL_SIGNATURE | KEY_ENCIPHERMENT),
            extended_key_usage(&[CLIENT_AUTH, EMAIL_PROTECTION]),
        ],
        Profile::TutorialLeaf => vec![
            basic_constraints(false, None, false),
            netscape_comment(CLIENT_COMMENT),
            subject,
            authority,
            key_usage(NON_REPUDIATION | DIGITAL_SIGNATURE | KEY_ENCIPHERMENT),
            extended_key_usage(&[CLIENT_AUTH]),
        ],
        Profile::ScriptServer | Profile::TutorialServer => {
            let mut extensions = vec![basic_constraints(false, None, false)];
            if *profile == Profile::ScriptServer {
                extensions.push(netscape_type(NETSCAPE_SERVER));
            }
            extensions.extend([
                netscape_comment(SERVER_COMMENT),
                subject,
                authority_key_id_with_issuer(&own, issuer),
                key_usage(DIGITAL_SIGNATURE | KEY_ENCIPHERMENT),
                extended_key_usage(&[SERVER_AUTH]),
            ]);
            extensions
        }
        Profile::SelfSignedDevice => vec![
            basic_constraints(false, None, false),
            netscape_comment(DEFAULT_COMMENT),
            subject,
            authority,
            extended_key_usage(&[CLIENT_AUTH]),
        ],
        Profile::HubRootCa => {
            vec![
                basic_constraints(true, None, true),
                key_usage(KEY_CERT_SIGN | CRL_SIGN),
                subject,
            ]
        }
        Profile::HubSubCa => vec![
            authority,
            basic_constraints(true, Some(0), true),
            extended_key_usage(&[CLIENT_AUTH, SERVER_AUTH]),
            key_usage(KEY_CERT_SIGN | CRL_SIGN),
            subject,
        ],
        Profile::HubClient => vec![
            authority,
            basic_constraints(false, None, true),
            extended_key_usage(&[CLIENT_AUTH]),
            key_usage(DIGITAL_SIGNATURE),
            subject,
        ],
        Profile::ServerRoot(names) => vec![
            basic_constraints(true, Some(0), true),
            key_usage(KEY_CERT_SIGN | CRL_SIGN),
            subject,
            authority,
            name_constraints(names)?,
        ],
        Profile::Server(names) => vec![
            basic_constraints(false, None, true),
            key_usage(DIGITAL_SIGNATURE | KEY_ENCIPHERMENT),
            extended_key_usage(&[SERVER_AUTH]),
            subject,
            authority,
            alternative_names(names)?,
        ],
    })
}

fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let mut parts = vec![der::write(0x06, oid)];
    if critical {
        parts.push(vec![0x01, 0x01, 0xff]);
    }
    parts.push(der::write(der::OCTET_STRING, value));
    der::write_sequence(&parts)
}

/// Answers the SHA-1 of the public key's bits (RFC 5280 §4.2.1.2, method 1).
fn key_id(spki: &[u8]) -> Vec<u8> {
    let key = der::expect(spki, der::SEQUENCE)
        .and_then(|(spki, _)| der::split(spki.content))
        .and_then(|(_, rest)| der::expect(rest, der::BIT_STRING))
        .and_then(|(bits, _)| bits.content.get(1..))
        .unwrap_or(spki);
    Thumbprint::sha1(key).as_bytes().to_vec()
}

fn subject_key_id(id: &[u8]) -> Vec<u8> {
    extension(&[0x55, 0x1d, 0x0e], false, &der::write(der::OCTET_STRING, id))
}

/// Key identifier of the issuer: the one its certificate states, else the one of its key.
fn issuer_key_id(own: &[u8], issuer: Option<&Certificate>) -> Vec<u8> {
    match issuer {
        None => own.to_vec(),
        Some(issuer) => issuer
            .subject_key_id()
            .map_or_else(|| key_id(issuer.spki_der()), <[u8]>::to_vec),
    }
}

fn authority_key_id(own: &[u8], issuer: Option<&Certificate>) -> Vec<u8> {
    let id = der::write(0x80, &issuer_key_id(own, issuer));
    extension(&[0x55, 0x1d, 0x23], false, &der::write_sequence(&[id]))
}

/// The form with the issuer's own issuer and serial number, which the scripts ask for in server certificates.
fn authority_key_id_with_issuer(own: &[u8], issuer: Option<&Certificate>) -> Vec<u8> {
    let Some(certificate) = issuer else {
        return authority_key_id(own, None);
    };
    let id = der::write(0x80, &issuer_key_id(own, issuer));
    let name = der::write(0xa1, &der::write(0xa4, certificate.issuer().der()));
    let serial = der::write(0x82, certificate.serial_der());
    extension(
        &[0x55, 0x1d, 0x23],
        false,
        &der::write_sequence(&[id, name, serial]),
    )
}

fn basic_constraints(ca: bool, path_len: Option<u8>, critical: bool) -> Vec<u8> {
    let mut parts = Vec::new();
    if ca {
        parts.push(vec![0x01, 0x01, 0xff]);
    }
    if let Some(path_len) = path_len {
        parts.push(der::write(0x02, &[path_len]));
    }
    extension(&[0x55, 0x1d, 0x13], critical, &der::write_sequence(&parts))
}

/// A BIT STRING of named bits: trailing zero bits are left out, as DER wants.
fn named_bits(bits: u8) -> Vec<u8> {
    let unused = u8::try_from(bits.trailing_zeros().min(7)).unwrap_or(7);
    der::write(der::BIT_STRING, &[unused, bits])
}

fn key_usage(bits: u8) -> Vec<u8> {
    extension(&[0x55, 0x1d, 0x0f], true, &named_bits(bits))
}

fn extended_key_usage(purposes: &[u8]) -> Vec<u8> {
    let parts: Vec<_> = purposes
        .iter()
        .map(|&purpose| der::write(0x06, &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, purpose]))
        .collect();
    extension(&[0x55, 0x1d, 0x25], false, &der::write_sequence(&parts))
}

fn netscape_type(bits: u8) -> Vec<u8> {
    extension(
        &[0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x42, 0x01, 0x01],
        false,
        &named_bits(bits),
    )
}

fn netscape_comment(comment: &str) -> Vec<u8> {
    let value = der::write(der::IA5_STRING, comment.as_bytes());
    extension(
        &[0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x42, 0x01, 0x0d],
        false,
        &value,
    )
}

fn alternative_names(names: &ServerNames) -> Result<Vec<u8>, IssueError> {
    let mut parts = Vec::new();
    for name in &names.dns {
        parts.push(der::write(0x82, dns(name, true)?.as_bytes()));
    }
    for ip in &names.ips {
        parts.push(der::write(0x87, &octets(*ip)));
    }
    Ok(extension(
        &[0x55, 0x1d, 0x11],
        false,
        &der::write_sequence(&parts),
    ))
}

fn name_constraints(names: &ServerNames) -> Result<Vec<u8>, IssueError> {
    let mut parts = Vec::new();
    for name in &names.dns {
        parts.push(der::write_sequence(&[der::write(
            0x82,
            dns(name, false)?.as_bytes(),
        )]));
    }
    for ip in &names.ips {
        // Address and mask; the mask says that every bit counts.
        let mut value = octets(*ip);
        value.extend(std::iter::repeat_n(0xff, value.len()));
        parts.push(der::write_sequence(&[der::write(0x87, &value)]));
    }
    let permitted = der::write(0xa0, &parts.concat());
    Ok(extension(
        &[0x55, 0x1d, 0x1e],
        false,
        &der::write_sequence(&[permitted]),
    ))
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// Takes a DNS name: labels of letters, digits, `-` and `_`, at most 63 characters each and 253 together.
fn dns(name: &str, wildcard: bool) -> Result<&str, IssueError> {
    let plain = if wildcard {
        name.strip_prefix("*.").unwrap_or(name)
    } else {
        name
    };
    let label_fits = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if name.len() <= 253 && plain.split('.').all(label_fits) {
        Ok(name)
    } else {
        Err(IssueError::DnsName(name.to_owned()))
    }
}
