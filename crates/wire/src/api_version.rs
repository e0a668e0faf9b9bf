//! `api-version`: its form, and what each surface makes of one.
//!
//! Any well-formed version is served, for shapes hardly differ; a list of those that clients are known to send lets the
//! server say once when another one turns up.

use std::fmt;

use crate::error::{Error, Surface};

/// A version as a date, perhaps a preview. Orders by date; a preview comes before what it previews.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ApiVersion {
    year: u16,
    month: u8,
    day: u8,
    release: bool,
}

/// What the command line of this server sends to hubs.
pub const HUB_CLIENT: ApiVersion = ApiVersion::new(2021, 4, 12);
/// What the command line of this server sends to provisioning services.
pub const DPS_CLIENT: ApiVersion = ApiVersion::new(2021, 10, 1);
/// What the command line of this server sends to the management of hubs.
pub const ARM_HUB_CLIENT: ApiVersion = ApiVersion::new(2023, 6, 30);
/// What the command line of this server sends to the management of provisioning services.
pub const ARM_DPS_CLIENT: ApiVersion = ApiVersion::new(2021, 10, 15);

/// The first version that a hub serves. Source: IoT Hub REST reference, read 2026-11.
const HUB_FIRST: ApiVersion = ApiVersion::new(2016, 11, 14);
/// The first version under which a repeated registration shows what it was.
const TRUE_SUBSTATUS: ApiVersion = ApiVersion::new(2021, 6, 1);
/// The first version that knows a certificate signing request.
const SIGNING_REQUEST: ApiVersion = ApiVersion::preview(2025, 7, 1);

/// Versions of provisioning that clients are known to send. Source: SDKs, CLI and API definitions, read 2026-11.
const DPS_KNOWN: &[ApiVersion] = &[
    ApiVersion::preview(2017, 8, 31),
    ApiVersion::new(2018, 4, 1),
    ApiVersion::preview(2018, 9, 1),
    ApiVersion::new(2018, 11, 1),
    ApiVersion::new(2019, 3, 31),
    ApiVersion::new(2021, 6, 1),
    ApiVersion::new(2021, 10, 1),
    ApiVersion::preview(2025, 7, 1),
    ApiVersion::new(2026, 4, 1),
];

/// Versions of hubs that clients are known to send. Source: SDKs, CLI and REST reference, read 2026-11.
const HUB_KNOWN: &[ApiVersion] = &[
    ApiVersion::new(2016, 11, 14),
    ApiVersion::new(2018, 6, 30),
    ApiVersion::new(2019, 10, 1),
    ApiVersion::new(2020, 3, 13),
    ApiVersion::new(2020, 5, 31),
    ApiVersion::new(2020, 9, 30),
    ApiVersion::new(2021, 4, 12),
    ApiVersion::new(2024, 3, 31),
];

impl ApiVersion {
    const fn new(year: u16, month: u8, day: u8) -> Self {
        Self {
            year,
            month,
            day,
            release: true,
        }
    }

    const fn preview(year: u16, month: u8, day: u8) -> Self {
        Self {
            year,
            month,
            day,
            release: false,
        }
    }

    /// Reads `yyyy-MM-dd` or `yyyy-MM-dd-preview`.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, release) = match text.get(10..) {
            Some("") => (text, true),
            Some(tail) if tail.eq_ignore_ascii_case("-preview") => (text.get(..10)?, false),
            _ => return None,
        };
        let mut parts = date.split('-');
        let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
        let well_formed = [(year, 4), (month, 2), (day, 2)]
            .iter()
            .all(|(part, length)| part.len() == *length && part.bytes().all(|b| b.is_ascii_digit()));
        if !well_formed || parts.next().is_some() {
            return None;
        }
        let version = Self {
            year: year.parse().ok()?,
            month: month.parse().ok()?,
            day: day.parse().ok()?,
            release,
        };
        ((1..=12).contains(&version.month) && (1..=31).contains(&version.day)).then_some(version)
    }

    /// Reads the query parameter of a call on `surface`. Management takes a missing one as its client's.
    ///
    /// # Errors
    /// [`Error::ApiVersion`].
    pub fn of_call(surface: Surface, parameter: Option<&str>) -> Result<Self, Error> {
        let text = match (surface, parameter) {
            (Surface::Arm, None) => return Ok(ARM_HUB_CLIENT),
            (_, None) => return Err(Error::ApiVersion("is missing")),
            (_, Some(text)) => text,
        };
        let version = Self::parse(text).ok_or(Error::ApiVersion(
            "must have the form yyyy-MM-dd or yyyy-MM-dd-preview",
        ))?;
        if surface == Surface::Hub && version < HUB_FIRST {
            return Err(Error::ApiVersion("must be 2016-11-14 or later"));
        }
        Ok(version)
    }

    /// Tells whether a client is known to send it. Management takes any without a word.
    pub fn is_known(self, surface: Surface) -> bool {
        match surface {
            Surface::Arm => true,
            Surface::Dps => DPS_KNOWN.contains(&self),
            Surface::Hub => HUB_KNOWN.contains(&self),
        }
    }

    /// Tells whether a device is shown that a repeated registration led to the same hub; older versions show
    /// `initialAssignment` again.
    pub fn shows_repeats(self) -> bool {
        self >= TRUE_SUBSTATUS
    }

    /// Tells whether a certificate signing request may stand in a registration.
    pub fn takes_signing_requests(self) -> bool {
        self >= SIGNING_REQUEST
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)?;
        if self.release {
            Ok(())
        } else {
            f.write_str("-preview")
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_are_read_as_they_are_printed() {
        for version in DPS_KNOWN.iter().chain(HUB_KNOWN) {
            assert_eq!(ApiVersion::parse(&version.to_string()), Some(*version));
        }
        for text in [
            "",
            "2021",
            "2021-13-01",
            "2021-1-1",
            "2021-06-01-beta",
            "2021-06-01-",
            "x021-06-01",
            "2021-06-01 ",
            "+021-06-01",
            "2021-06-0é",
        ] {
            assert_eq!(ApiVersion::parse(text), None, "{text}");
        }
    }

    #[test]
    fn each_surface_has_its_rule() {
        assert_eq!(
            ApiVersion::of_call(Surface::Hub, Some("2016-02-03")),
            Err(Error::ApiVersion("must be 2016-11-14 or later"))
        );
        assert!(ApiVersion::of_call(Surface::Hub, Some("2016-11-14")).is_ok());
        assert!(ApiVersion::of_call(Surface::Dps, Some("2016-02-03")).is_ok());
        assert!(ApiVersion::of_call(Surface::Dps, None).is_err());
        assert!(ApiVersion::of_call(Surface::Arm, None).is_ok());
        assert!(!ApiVersion::parse("2031-01-01").unwrap().is_known(Surface::Hub));
    }

    #[test]
    fn a_preview_comes_before_what_it_previews() {
        assert!(ApiVersion::parse("2021-06-01-preview").unwrap() < TRUE_SUBSTATUS);
        assert!(!ApiVersion::parse("2019-03-31").unwrap().shows_repeats());
        assert!(ApiVersion::parse("2021-06-01").unwrap().shows_repeats());
        assert!(
            ApiVersion::parse("2025-07-01-preview")
                .unwrap()
                .takes_signing_requests()
        );
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,24}") {
            let _ = ApiVersion::parse(&text);
        }
    }
}
