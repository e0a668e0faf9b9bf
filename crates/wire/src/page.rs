//! Paging of lists: page sizes, continuation tokens and the words that name what a page holds.
//!
//! A token is the folded id behind which the next page begins; clients send it back as it came.

use data_encoding::BASE64URL_NOPAD;

use crate::error::Error;

/// Request and answer header: the size of a page.
pub const MAX_ITEM_COUNT: &str = "x-ms-max-item-count";
/// Request and answer header: where the next page begins. Left out at the end, for clients test for its presence.
pub const CONTINUATION: &str = "x-ms-continuation";
/// Answer header: what the page holds.
pub const ITEM_TYPE: &str = "x-ms-item-type";

/// Value of [`ITEM_TYPE`] for individual enrollments. One client compares these three exactly.
/// Source: Azure/azure-iot-sdk-c, provisioning service client, read 2026-11.
pub const ENROLLMENT: &str = "Enrollment";
/// Value of [`ITEM_TYPE`] for enrollment groups.
pub const ENROLLMENT_GROUP: &str = "EnrollmentGroup";
/// Value of [`ITEM_TYPE`] for registration states.
pub const DEVICE_REGISTRATION: &str = "DeviceRegistration";

/// Items of a page when a caller of provisioning asks for no size.
pub const DPS_DEFAULT: usize = 100;
/// Most items of a page of provisioning, and of a list of devices.
pub const LARGEST: usize = 1000;

/// Longest token that is read, in bytes.
const LONGEST_TOKEN: usize = 512;

/// Reads the size of a page: larger ones are clamped to [`LARGEST`], what is no number or zero counts as not asked.
pub fn size(header: Option<&str>, default: usize) -> usize {
    match header.map(str::trim).and_then(|text| text.parse::<u64>().ok()) {
        None | Some(0) => default,
        Some(size) => usize::try_from(size).unwrap_or(LARGEST).min(LARGEST),
    }
}

/// Reads `top` of `GET /devices`: out of range means the largest page.
pub fn top(parameter: Option<&str>) -> usize {
    size(parameter, LARGEST)
}

/// Makes a continuation token.
pub fn token(next: &str) -> String {
    BASE64URL_NOPAD.encode(next.as_bytes())
}

/// Reads a continuation token; an absent or empty one begins at the start.
///
/// # Errors
/// [`Error::Field`] when this server never made it.
pub fn parse_token(header: Option<&str>) -> Result<Option<String>, Error> {
    let Some(text) = header.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let bytes = (text.len() <= LONGEST_TOKEN)
        .then(|| BASE64URL_NOPAD.decode(text.as_bytes()).ok())
        .flatten();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .map(Some)
        .ok_or_else(|| Error::field(CONTINUATION, "must be a token from an earlier answer"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_clamped_and_not_refused() {
        assert_eq!(size(None, DPS_DEFAULT), 100);
        assert_eq!(size(Some("7"), DPS_DEFAULT), 7);
        assert_eq!(size(Some("0"), DPS_DEFAULT), 100);
        assert_eq!(size(Some("-3"), DPS_DEFAULT), 100);
        assert_eq!(size(Some("18446744073709551615"), DPS_DEFAULT), 1000);
        assert_eq!(top(Some("5000")), 1000);
        assert_eq!(top(None), 1000);
    }

    proptest! {
        #[test]
        fn tokens_read_back(next in "\\PC{1,60}") {
            prop_assert_eq!(parse_token(Some(&token(&next))), Ok(Some(next)));
        }

        #[test]
        fn arbitrary_tokens_never_panic(text in "\\PC{0,60}") {
            let _ = parse_token(Some(&text));
        }
    }
}
