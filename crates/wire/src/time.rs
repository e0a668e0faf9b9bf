//! Dates in the forms that clients parse: ISO 8601 with seven fraction digits, RFC 1123, and those inside faults.
//!
//! Reading is tolerant where clients are careless: any number of fraction digits, a blank for `T`, no zone for UTC.

use muster_model::Wall;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

/// What a hub prints for "never".
pub const NEVER: &str = "0001-01-01T00:00:00";

/// Last second of the year 9999, the last that four digits can print.
const LAST: i64 = 253_402_300_799;

/// Seconds of 0001-01-01T00:00:00Z.
const FIRST: i64 = -62_135_596_800;

/// Longest date that is read, in bytes.
const LONGEST: usize = 64;

/// Prints ISO 8601 in UTC with seven fraction digits and `Z`, for example `2022-08-27T17:53:19.5143490Z`.
pub fn iso(at: Wall) -> String {
    let (date, micros) = calendar(at);
    format!("{}.{:06}0Z", to_seconds(date), micros)
}

/// Prints ISO 8601 in UTC with whole seconds and `Z`.
pub fn iso_seconds(at: Wall) -> String {
    format!("{}Z", to_seconds(calendar(at).0))
}

/// Prints ISO 8601, or the hub's word for "never".
pub fn iso_or_never(at: Option<Wall>) -> String {
    at.map_or_else(|| NEVER.to_owned(), iso)
}

/// Prints the date of a certificate in ISO 8601.
pub fn iso_pki(at: muster_pki::Time) -> String {
    iso_seconds(Wall::from_seconds(at.unix()))
}

/// Prints the form of HTTP headers and of certificate resources, for example `Sat, 31 Dec 2039 23:59:59 GMT`.
pub fn rfc1123(at: Wall) -> String {
    let (date, _) = calendar(at);
    let weekday = date.weekday().to_string();
    let month = date.month().to_string();
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        weekday.get(..3).unwrap_or_default(),
        date.day(),
        month.get(..3).unwrap_or_default(),
        date.year(),
        date.hour(),
        date.minute(),
        date.second()
    )
}

/// Prints the form inside a tracking id of a hub, `MM/DD/YYYY hh:mm:ss`.
pub fn fault(at: Wall) -> String {
    let (date, _) = calendar(at);
    format!(
        "{:02}/{:02}/{:04} {:02}:{:02}:{:02}",
        u8::from(date.month()),
        date.day(),
        date.year(),
        date.hour(),
        date.minute(),
        date.second()
    )
}

/// Prints the form inside the errors of certificate resources, `yyyy-MM-dd HH:mm:ssZ`.
pub fn correlation(at: Wall) -> String {
    format!("{}Z", to_seconds(calendar(at).0).replacen('T', " ", 1))
}

/// Reads ISO 8601. `None` when the text is no date between the years 1 and 9999.
pub fn parse_iso(text: &str) -> Option<Wall> {
    let text = text.trim();
    if text.len() > LONGEST || !text.is_ascii() {
        return None;
    }
    let (date, rest) = text.split_at_checked(10)?;
    let mut parts = date.split('-');
    let year = digits(parts.next()?, 4)?;
    let month = Month::try_from(u8::try_from(digits(parts.next()?, 2)?).ok()?).ok()?;
    let day = u8::try_from(digits(parts.next()?, 2)?).ok()?;
    if parts.next().is_some() {
        return None;
    }
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, day).ok()?;
    let (time, micros, offset) = if rest.is_empty() {
        (Time::MIDNIGHT, 0, UtcOffset::UTC)
    } else {
        time_of_day(rest.strip_prefix(['T', 't', ' '])?)?
    };
    let seconds = PrimitiveDateTime::new(date, time)
        .assume_offset(offset)
        .unix_timestamp();
    (FIRST..=LAST).contains(&seconds).then(|| {
        Wall::from_micros(
            seconds
                .saturating_mul(1_000_000)
                .saturating_add(i64::from(micros)),
        )
    })
}

/// Reads ISO 8601, taking the hub's "never" (with or without fraction and zone) as `None`.
pub fn parse_iso_or_never(text: &str) -> Option<Option<Wall>> {
    parse_iso(text).map(|at| (at.seconds() > FIRST).then_some(at))
}

/// Reads the form of HTTP headers, `Sat, 31 Dec 2039 23:59:59 GMT`.
pub fn parse_rfc1123(text: &str) -> Option<Wall> {
    let text = text.trim();
    if text.len() > LONGEST {
        return None;
    }
    let mut words = text.split(' ');
    words.next()?.strip_suffix(',')?;
    let day = u8::try_from(digits(words.next()?, 2)?).ok()?;
    let month = words.next()?;
    let month = (1..=12_u8)
        .filter_map(|number| Month::try_from(number).ok())
        .find(|name| name.to_string().get(..3) == Some(month))?;
    let year = i32::try_from(digits(words.next()?, 4)?).ok()?;
    let (time, micros, _) = time_of_day(words.next()?)?;
    if words.next()? != "GMT" || words.next().is_some() || micros != 0 {
        return None;
    }
    let date = Date::from_calendar_date(year, month, day).ok()?;
    Some(Wall::from_seconds(
        PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp(),
    ))
}

/// Reads `hh:mm[:ss[.fraction]][Z|±hh:mm]`.
fn time_of_day(text: &str) -> Option<(Time, u32, UtcOffset)> {
    let zone = text.find(['Z', 'z', '+', '-']).unwrap_or(text.len());
    let (clock, zone) = text.split_at_checked(zone)?;
    let offset = match zone {
        "" | "Z" | "z" => UtcOffset::UTC,
        other => {
            let negative = other.starts_with('-');
            let (hours, minutes) = match other.get(1..)?.split_once(':') {
                Some(pair) => pair,
                None => other.get(1..)?.split_at_checked(2)?,
            };
            let hours = i8::try_from(digits(hours, 2)?).ok()?;
            let minutes = i8::try_from(digits(minutes, 2)?).ok()?;
            let sign = if negative { -1 } else { 1 };
            UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()?
        }
    };
    let (clock, fraction) = clock.split_once(['.', ',']).unwrap_or((clock, "0"));
    let mut parts = clock.split(':');
    let hour = u8::try_from(digits(parts.next()?, 2)?).ok()?;
    let minute = u8::try_from(digits(parts.next()?, 2)?).ok()?;
    let second = match parts.next() {
        Some(second) => u8::try_from(digits(second, 2)?).ok()?,
        None => 0,
    };
    if parts.next().is_some() || fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let micros = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(6)
        .fold(0_u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    Some((Time::from_hms(hour, minute, second).ok()?, micros, offset))
}

fn digits(text: &str, length: usize) -> Option<u32> {
    (text.len() == length && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

/// The calendar form and the microseconds within the second; a time beyond the years 1 to 9999 is moved to their end.
fn calendar(at: Wall) -> (OffsetDateTime, i64) {
    let seconds = at.seconds().clamp(FIRST, LAST);
    let date = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    (date, at.micros().rem_euclid(1_000_000))
}

fn to_seconds(date: OffsetDateTime) -> String {
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        date.year(),
        u8::from(date.month()),
        date.day(),
        date.hour(),
        date.minute(),
        date.second()
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AT: Wall = Wall::from_micros(1_661_622_799_514_349);

    #[test]
    fn prints_the_forms_of_the_contract() {
        assert_eq!(iso(AT), "2022-08-27T17:53:19.5143490Z");
        assert_eq!(iso_seconds(AT), "2022-08-27T17:53:19Z");
        assert_eq!(fault(AT), "08/27/2022 17:53:19");
        assert_eq!(correlation(AT), "2022-08-27 17:53:19Z");
        assert_eq!(
            rfc1123(Wall::from_seconds(2_209_075_199)),
            "Sun, 01 Jan 2040 23:59:59 GMT"
        );
        assert_eq!(
            rfc1123(Wall::from_seconds(2_208_988_799)),
            "Sat, 31 Dec 2039 23:59:59 GMT"
        );
        assert_eq!(iso_or_never(None), "0001-01-01T00:00:00");
    }

    #[test]
    fn reads_what_clients_send() {
        for text in [
            "2022-08-27T17:53:19.514349Z",
            "2022-08-27T17:53:19.5143499Z",
            "2022-08-27 17:53:19.514349",
            "2022-08-27T19:53:19.514349+02:00",
            "2022-08-27T15:53:19.514349-0200",
        ] {
            assert_eq!(parse_iso(text), Some(AT), "{text}");
        }
        assert_eq!(parse_iso("2022-08-27"), parse_iso("2022-08-27T00:00Z"));
        for text in [
            "",
            "yesterday",
            "2022-13-01T00:00:00Z",
            "2022-02-30",
            "2022-08-27T25:00:00Z",
            "2022-08-27T17:53:19.Z",
            "2022-08-27T17:53:19+99:00",
        ] {
            assert_eq!(parse_iso(text), None, "{text}");
        }
    }

    #[test]
    fn never_is_read_in_all_its_spellings() {
        for text in [NEVER, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"] {
            assert_eq!(parse_iso_or_never(text), Some(None), "{text}");
        }
        assert_eq!(parse_iso_or_never("2022-08-27T17:53:19.514349Z"), Some(Some(AT)));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(micros in FIRST * 1_000_000..LAST * 1_000_000) {
            let at = Wall::from_micros(micros);
            prop_assert_eq!(parse_iso(&iso(at)), Some(at));
            prop_assert_eq!(parse_rfc1123(&rfc1123(at)), Some(Wall::from_seconds(at.seconds())));
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,40}") {
            let _ = parse_iso(&text);
            let _ = parse_rfc1123(&text);
        }

        #[test]
        fn arbitrary_times_are_printed(micros in any::<i64>()) {
            let at = Wall::from_micros(micros);
            let _ = (iso(at), rfc1123(at), fault(at), correlation(at));
        }
    }
}
