//! Entity tags as each kind of resource shows them, and `If-Match` as each client writes it.
//!
//! Every form holds the store's 64-bit number, so that a tag that comes back is understood without asking the store.
//! A tag that this server never gave reads as [`IfMatch::Foreign`], which no version matches.

use data_encoding::BASE64;
use muster_model::{ETag, IfMatch, Wall};

/// Longest tag that is read, in bytes.
const LONGEST: usize = 200;

/// Whose tag it is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// Hubs, provisioning services and their certificates: base64 of eight bytes, largest first.
    Arm,
    /// Enrollments and registration states: base64 of a quoted GUID-like text whose last group begins with the time.
    Dps,
    /// Device identities: base64 of a decimal.
    Identity,
    /// Twins: as [`Kind::Arm`].
    Twin,
}

/// Prints the tag of an enrollment or a registration state that was written at `at`.
///
/// The number stands in the first three groups; the last group begins with the second of the write, as in
/// `120086f2-0000-0300-0000-630a5a0f0000`.
pub fn dps(tag: ETag, at: Wall) -> String {
    BASE64.encode(dps_quoted(tag, at).as_bytes())
}

/// Prints the same tag in the quoted plain form that custom allocation hands out.
pub fn dps_quoted(tag: ETag, at: Wall) -> String {
    let number = tag.get();
    // Seconds fit 32 bits until 2106; later ones wrap, which only the eye would notice.
    let seconds = at.seconds().rem_euclid(1 << 32);
    format!(
        "\"{:08x}-{:04x}-{:04x}-0000-{:08x}0000\"",
        number >> 32,
        (number >> 16) & 0xffff,
        number & 0xffff,
        seconds
    )
}

/// Prints the tag of a device identity.
pub fn identity(tag: ETag) -> String {
    BASE64.encode(tag.get().to_string().as_bytes())
}

/// Prints the tag of a hub, a provisioning service or a certificate.
pub fn arm(tag: ETag) -> String {
    BASE64.encode(&tag.get().to_be_bytes())
}

/// Prints the tag of a twin.
pub fn twin(tag: ETag) -> String {
    arm(tag)
}

/// Puts a tag into quotes, for the `ETag` header.
pub fn quoted(tag: &str) -> String {
    format!("\"{tag}\"")
}

/// Reads a tag as it stands in a body. `None` when this server never wrote it.
pub fn parse(kind: Kind, text: &str) -> Option<ETag> {
    if text.len() > LONGEST {
        return None;
    }
    match kind {
        Kind::Arm | Kind::Twin => {
            let bytes = BASE64.decode(text.as_bytes()).ok()?;
            Some(ETag::new(u64::from_be_bytes(bytes.try_into().ok()?)))
        }
        Kind::Dps => {
            let decoded = BASE64
                .decode(text.as_bytes())
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            parse_dps_plain(decoded.as_deref().unwrap_or(text))
        }
        Kind::Identity => {
            let decimal = String::from_utf8(BASE64.decode(text.as_bytes()).ok()?).ok()?;
            let number: u64 = decimal.parse().ok()?;
            (number.to_string() == decimal).then_some(ETag::new(number))
        }
    }
}

/// Reads `If-Match`: quoted or not, with or without `W/`, `*` or `"*"`. An absent or blank header makes no demand.
pub fn if_match(kind: Kind, header: Option<&str>) -> IfMatch {
    let Some(text) = header.map(str::trim).filter(|text| !text.is_empty()) else {
        return IfMatch::Absent;
    };
    // As it came first: the plain form of provisioning has quotes of its own, and base64 may begin with "W/".
    if let Some(tag) = parse(kind, text) {
        return IfMatch::Version(tag);
    }
    let text = text.strip_prefix("W/").unwrap_or(text);
    let text = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    match (text, parse(kind, text)) {
        ("*", _) => IfMatch::Any,
        (_, Some(tag)) => IfMatch::Version(tag),
        (_, None) => IfMatch::Foreign,
    }
}

fn parse_dps_plain(text: &str) -> Option<ETag> {
    let text = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    if text.len() != 36 || !text.is_ascii() {
        return None;
    }
    let mut groups = text.split('-');
    let mut number = 0_u64;
    for width in [8, 4, 4] {
        number = (number << (4 * width)) | hex(groups.next()?, width)?;
    }
    if hex(groups.next()?, 4)? != 0 {
        return None;
    }
    hex(groups.next()?, 12)?;
    groups.next().is_none().then_some(ETag::new(number))
}

fn hex(text: &str, width: usize) -> Option<u64> {
    (text.len() == width && text.bytes().all(|b| b.is_ascii_hexdigit()))
        .then(|| u64::from_str_radix(text, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2022-08-27T17:53:19Z, which is 630a5a0f in hex.
    const AT: Wall = Wall::from_seconds(0x630a_5a0f);

    #[test]
    fn tags_look_as_in_the_contract() {
        let tag = ETag::new(0x1200_86f2_0000_0300);
        assert_eq!(
            dps(tag, AT),
            "IjEyMDA4NmYyLTAwMDAtMDMwMC0wMDAwLTYzMGE1YTBmMDAwMCI="
        );
        assert_eq!(identity(ETag::new(0)), "MA==");
        assert_eq!(identity(ETag::new(123_456)), "MTIzNDU2");
        assert_eq!(twin(ETag::new(1)), "AAAAAAAAAAE=");
        assert_eq!(parse(Kind::Arm, "AAAAAAExpNs="), Some(ETag::new(0x0131_a4db)));
    }

    #[test]
    fn if_match_is_read_in_every_spelling() {
        for text in ["*", "\"*\"", " * "] {
            assert_eq!(if_match(Kind::Identity, Some(text)), IfMatch::Any, "{text}");
        }
        for text in ["MTIzNDU2", "\"MTIzNDU2\"", "W/\"MTIzNDU2\"", "W/MTIzNDU2"] {
            assert_eq!(
                if_match(Kind::Identity, Some(text)),
                IfMatch::Version(ETag::new(123_456)),
                "{text}"
            );
        }
        assert_eq!(if_match(Kind::Identity, None), IfMatch::Absent);
        assert_eq!(if_match(Kind::Identity, Some("  ")), IfMatch::Absent);
        for text in ["\"", "\"\"", "xyz", "MDE=", "\"a\",\"b\""] {
            assert_eq!(if_match(Kind::Identity, Some(text)), IfMatch::Foreign, "{text}");
        }
    }

    #[test]
    fn a_tag_that_begins_like_a_weak_one_is_read_in_every_spelling() {
        let tag = ETag::new(6_625_692_602_403_401_762);
        assert!(arm(tag).starts_with("W/"), "{}", arm(tag));
        for text in [arm(tag), quoted(&arm(tag)), format!("W/{}", quoted(&arm(tag)))] {
            assert_eq!(if_match(Kind::Arm, Some(&text)), IfMatch::Version(tag), "{text}");
        }
    }

    #[test]
    fn provisioning_tags_are_read_in_all_three_forms() {
        let tag = ETag::new(7);
        for text in [
            dps(tag, AT),
            quoted(&dps(tag, AT)),
            format!("W/{}", quoted(&dps(tag, AT))),
            dps_quoted(tag, AT),
            dps_quoted(tag, AT).replace('"', ""),
        ] {
            assert_eq!(if_match(Kind::Dps, Some(&text)), IfMatch::Version(tag), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_tag_is_read_back(number in any::<u64>(), seconds in any::<i32>()) {
            let tag = ETag::new(number);
            let at = Wall::from_seconds(i64::from(seconds));
            prop_assert_eq!(parse(Kind::Arm, &arm(tag)), Some(tag));
            prop_assert_eq!(parse(Kind::Identity, &identity(tag)), Some(tag));
            prop_assert_eq!(parse(Kind::Dps, &dps(tag, at)), Some(tag));
            prop_assert_eq!(if_match(Kind::Dps, Some(&dps_quoted(tag, at))), IfMatch::Version(tag));
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,60}") {
            for kind in [Kind::Arm, Kind::Dps, Kind::Identity, Kind::Twin] {
                let _ = if_match(kind, Some(&text));
            }
        }
    }
}
