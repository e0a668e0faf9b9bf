//! Distinguished names: kept as the bytes of the certificate, printed as the service prints them.
//!
//! Names are compared by their bytes only. RFC 5280 would fold case and blanks of some string types; issuing
//! tools copy the issuer's name byte by byte, and a comparison without folding cannot be tricked into joining
//! two names.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use crate::der;

/// A distinguished name.
///
/// Equality and hash are those of the DER bytes. Cloning shares the bytes.
#[derive(Clone)]
pub struct Name {
    inner: Arc<Inner>,
}

struct Inner {
    raw: Box<[u8]>,
    common_name: OnceLock<Option<Box<str>>>,
}

/// One attribute of a name, undecoded.
struct Attribute<'a> {
    oid: &'a [u8],
    tag: u8,
    value: &'a [u8],
}

const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

impl Name {
    /// Takes the DER of a whole `Name` SEQUENCE that a certificate reader has already accepted.
    pub(crate) fn from_raw(raw: &[u8]) -> Self {
        Self {
            inner: Arc::new(Inner {
                raw: raw.into(),
                common_name: OnceLock::new(),
            }),
        }
    }

    /// Answers the DER of the name.
    pub fn der(&self) -> &[u8] {
        &self.inner.raw
    }

    /// Says whether the name has no attribute at all.
    pub fn is_empty(&self) -> bool {
        self.relative_names().next().is_none()
    }

    /// Answers the most specific common name, or `None` when there is none or it is not text.
    ///
    /// Text of the old Teletex type counts only where it is ASCII: its other characters have no agreed
    /// meaning, and an identity must not depend on a guess.
    pub fn common_name(&self) -> Option<&str> {
        self.inner
            .common_name
            .get_or_init(|| {
                let mut last = None;
                for relative in self.relative_names() {
                    for attribute in attributes(relative) {
                        if attribute.oid == COMMON_NAME {
                            last = Some(decode(attribute.tag, attribute.value));
                        }
                    }
                }
                last.flatten().map(String::into_boxed_str)
            })
            .as_deref()
    }

    /// Answers the content of each `RelativeDistinguishedName` SET, in the order of the bytes (least specific
    /// first).
    fn relative_names(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        let content = der::split(&self.inner.raw).map_or(&[][..], |(element, _)| element.content);
        elements(content).into_iter().map(|element| element.content)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.inner.raw == other.inner.raw
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.raw.hash(state);
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

impl fmt::Display for Name {
    /// Writes the name as .NET does: most specific part first, parts joined by `, `, values quoted where they
    /// hold a separator. Source: `X500DistinguishedName.Name` of .NET, which the service's answers show, read
    /// 2026-11-25.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, relative) in self.relative_names().rev().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            for (part, attribute) in attributes(relative).enumerate() {
                if part > 0 {
                    f.write_str(" + ")?;
                }
                write_label(f, attribute.oid)?;
                f.write_str("=")?;
                match decode(attribute.tag, attribute.value) {
                    Some(text) => write_value(f, &text)?,
                    None => write!(f, "#{}", data_encoding::HEXUPPER.encode(attribute.value))?,
                }
            }
        }
        Ok(())
    }
}

/// Collects the elements of a constructed value, stopping at the first that is not whole.
fn elements(mut content: &[u8]) -> Vec<der::Element<'_>> {
    let mut out = Vec::new();
    while let Some((element, rest)) = der::split(content) {
        out.push(element);
        content = rest;
    }
    out
}

fn attributes(relative: &[u8]) -> impl Iterator<Item = Attribute<'_>> {
    elements(relative).into_iter().filter_map(|element| {
        let (oid, rest) = der::split(element.content)?;
        let (value, _) = der::split(rest)?;
        Some(Attribute {
            oid: oid.content,
            tag: value.tag,
            value: value.content,
        })
    })
}

/// Decodes the string types of X.520; anything else is not text.
fn decode(tag: u8, value: &[u8]) -> Option<String> {
    match tag {
        // UTF8String, NumericString, PrintableString, IA5String, VisibleString. Tools write UTF-8 into the
        // narrower types too, and the bytes then mean just that.
        0x0c | 0x12 | 0x13 | 0x16 | 0x1a => std::str::from_utf8(value).ok().map(str::to_owned),
        // TeletexString.
        0x14 if value.is_ascii() => std::str::from_utf8(value).ok().map(str::to_owned),
        // UniversalString: UTF-32, most significant byte first.
        0x1c => {
            let (units, rest) = value.as_chunks::<4>();
            rest.is_empty().then_some(())?;
            units
                .iter()
                .map(|unit| char::from_u32(u32::from_be_bytes(*unit)))
                .collect()
        }
        // BMPString: UTF-16, most significant byte first.
        0x1e => {
            let (units, rest) = value.as_chunks::<2>();
            rest.is_empty().then_some(())?;
            char::decode_utf16(units.iter().map(|unit| u16::from_be_bytes(*unit)))
                .collect::<Result<_, _>>()
                .ok()
        }
        _ => None,
    }
}

fn write_label(f: &mut fmt::Formatter<'_>, oid: &[u8]) -> fmt::Result {
    let label = match oid {
        COMMON_NAME => "CN",
        [0x55, 0x04, 0x04] => "SN",
        [0x55, 0x04, 0x05] => "SERIALNUMBER",
        [0x55, 0x04, 0x06] => "C",
        [0x55, 0x04, 0x07] => "L",
        [0x55, 0x04, 0x08] => "S",
        [0x55, 0x04, 0x09] => "STREET",
        [0x55, 0x04, 0x0a] => "O",
        [0x55, 0x04, 0x0b] => "OU",
        [0x55, 0x04, 0x0c] => "T",
        [0x55, 0x04, 0x2a] => "G",
        [0x55, 0x04, 0x2b] => "I",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01] => "E",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19] => "DC",
        _ => return write!(f, "OID.{}", oid_text(oid)),
    };
    f.write_str(label)
}

/// Writes an object identifier in dots. Parts beyond 64 bits are cut off with `?`, for this is for people to
/// read.
pub(crate) fn oid_text(oid: &[u8]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut value: u64 = 0;
    let mut fits = true;
    for &byte in oid {
        fits &= value >> 57 == 0;
        value = (value << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if !fits {
                parts.push("?".to_owned());
            } else if parts.is_empty() {
                let first = (value / 40).min(2);
                parts.push(first.to_string());
                parts.push((value - first * 40).to_string());
            } else {
                parts.push(value.to_string());
            }
            value = 0;
            fits = true;
        }
    }
    parts.join(".")
}

fn write_value(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let edges = text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace);
    if text.is_empty() || edges || text.contains([',', '+', '=', '"', '\n', '<', '>', '#', ';']) {
        write!(f, "\"{}\"", text.replace('"', "\"\""))
    } else {
        f.write_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One name whose relative names have one attribute each: (last OID byte under 2.5.4, string tag, value).
    fn name(parts: &[(u8, u8, &[u8])]) -> Name {
        let relative: Vec<Vec<u8>> = parts
            .iter()
            .map(|(last, tag, value)| {
                let pair =
                    der::write_sequence(&[der::write(0x06, &[0x55, 0x04, *last]), der::write(*tag, value)]);
                der::write(0x31, &pair)
            })
            .collect();
        Name::from_raw(&der::write_sequence(&relative))
    }

    #[test]
    fn prints_the_most_specific_part_first() {
        let name = name(&[
            (6, 0x13, b"US"),
            (10, 0x0c, b"Contoso"),
            (11, 0x0c, b"test"),
            (3, 0x0c, b"device"),
        ]);
        assert_eq!(name.to_string(), "CN=device, OU=test, O=Contoso, C=US");
        assert_eq!(name.common_name(), Some("device"));
    }

    #[test]
    fn quotes_separators_and_names_unknown_attributes_by_number() {
        let name = name(&[(3, 0x0c, b"a, \"b\""), (46, 0x13, b"x"), (10, 0x0c, b"")]);
        assert_eq!(name.to_string(), "O=\"\", OID.2.5.4.46=x, CN=\"a, \"\"b\"\"\"");
    }

    #[test]
    fn takes_the_last_of_several_common_names() {
        let name = name(&[(3, 0x0c, b"first"), (3, 0x1e, b"\0s\0e\0c"), (10, 0x0c, b"o")]);
        assert_eq!(name.common_name(), Some("sec"));
    }

    #[test]
    fn has_no_common_name_when_it_is_absent_or_not_text() {
        assert_eq!(name(&[(10, 0x0c, b"o")]).common_name(), None);
        assert_eq!(name(&[(3, 0x0c, b"\xff\xfe")]).common_name(), None);
        assert_eq!(name(&[(3, 0x14, b"\xe4")]).common_name(), None);
        assert_eq!(name(&[(3, 0x03, b"abc")]).common_name(), None);
        assert_eq!(name(&[(3, 0x1e, b"abc")]).common_name(), None);
        // The last one decides, also when an earlier one would be readable.
        assert_eq!(name(&[(3, 0x0c, b"ok"), (3, 0x03, b"abc")]).common_name(), None);
        assert!(name(&[]).is_empty());
    }

    #[test]
    fn writes_object_identifiers_in_dots() {
        assert_eq!(oid_text(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]), "1.2.840.113549");
        assert_eq!(oid_text(&[0x88, 0x37]), "2.999");
        assert_eq!(
            oid_text(&[
                0x55, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x01
            ]),
            "2.5.?.1"
        );
    }
}
