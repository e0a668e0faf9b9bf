//! Moments as certificates know them: whole seconds of Universal Time.
//!
//! Nothing here reads a clock; the present is an argument everywhere in this crate.

use std::fmt;

use time::OffsetDateTime;

/// A moment in whole Unix seconds (negative before 1970).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// Makes a moment from Unix seconds.
    pub const fn from_unix(seconds: i64) -> Self {
        Self(seconds)
    }

    /// Answers the Unix seconds.
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// Answers the moment that many seconds later; stops at the ends of the range.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Answers the moment that many days later; stops at the ends of the range.
    #[must_use]
    pub const fn plus_days(self, days: u32) -> Self {
        // A u32 of days is at most 3.7e14 seconds, which an i64 holds.
        self.plus_seconds(days as i64 * 86_400)
    }

    /// Answers how many seconds have passed since `earlier` (negative when it lies in the future).
    pub const fn seconds_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Answers the calendar form, when the year is one that the calendar library can hold (-9999 to 9999).
    pub(crate) fn calendar(self) -> Option<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp(self.0).ok()
    }
}

impl fmt::Display for Time {
    /// Writes ISO 8601 with seconds and `Z`, for example `2027-01-31T09:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.calendar() {
            Some(at) => write!(
                f,
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
                at.year(),
                u8::from(at.month()),
                at.day(),
                at.hour(),
                at.minute(),
                at.second()
            ),
            None => write!(f, "{} s since 1970", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_iso_8601_in_universal_time() {
        assert_eq!(Time::from_unix(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Time::from_unix(1_801_299_600).to_string(), "2027-01-30T09:00:00Z");
        assert_eq!(
            Time::from_unix(i64::MAX).to_string(),
            "9223372036854775807 s since 1970"
        );
    }

    #[test]
    fn stops_at_the_ends_of_the_range() {
        assert_eq!(Time::from_unix(i64::MAX).plus_days(1), Time::from_unix(i64::MAX));
        assert_eq!(
            Time::from_unix(i64::MIN).seconds_since(Time::from_unix(1)),
            i64::MIN
        );
    }
}
