//! Days of the calendar. The core has no clock: whoever asks says which day it is.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const MS_PER_DAY: u64 = 86_400_000;

/// A day of the Gregorian calendar, of the years 0 to 9999; earlier days are smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// The last day that can be written.
    const LAST: Self = Self { year: 9999, month: 12, day: 31 };

    /// A day, if the calendar has it; month and day count from 1.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let exists = year <= 9999 && (1..=days_of(year, month)).contains(&day);
        exists.then_some(Self { year, month, day })
    }

    /// The day in UTC of a time in milliseconds since 1970; times beyond the year 9999
    /// are its last day.
    pub fn of_unix_ms(ms: u64) -> Self {
        // Howard Hinnant's `civil_from_days`: years begin in March, so that the
        // leap day is their last, and repeat every 400 years (146,097 days).
        let days = ms / MS_PER_DAY + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let (Ok(year), Ok(month), Ok(day)) = (u16::try_from(year), u8::try_from(month), u8::try_from(day))
        else {
            return Self::LAST;
        };
        Self::new(year, month, day).unwrap_or(Self::LAST)
    }
}

/// How many days a month has; 0 if there is no such month.
fn days_of(year: u16, month: u8) -> u8 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u8::from(is_leap),
        _ => 0,
    }
}

impl FromStr for Date {
    type Err = String;

    fn from_str(found: &str) -> Result<Self, String> {
        parse(found).ok_or_else(|| format!("found `{found}`, expected a day written as YYYY-MM-DD"))
    }
}

fn parse(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let year = number(parts.next()?, 4)?;
    let month = number(parts.next()?, 2)?;
    let day = number(parts.next()?, 2)?;
    if parts.next().is_some() {
        return None;
    }
    Date::new(year, u8::try_from(month).ok()?, u8::try_from(day).ok()?)
}

fn number(part: &str, digits: usize) -> Option<u16> {
    let all_digits = part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| part.parse().ok()).flatten()
}

impl TryFrom<String> for Date {
    type Error = String;

    fn try_from(found: String) -> Result<Self, String> {
        found.parse()
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

impl Display for Date {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for day in ["2026-02-28", "2024-02-29", "2000-02-29", "2026-12-31"] {
            assert_eq!(day.parse::<Date>().map(String::from).as_deref(), Ok(day));
        }
        for day in
            ["2026-02-29", "1900-02-29", "2026-04-31", "2026-13-01", "2026-1-1", "2026-01-01-", "today", ""]
        {
            assert!(day.parse::<Date>().is_err(), "{day}");
        }
    }

    #[test]
    fn every_day_until_2400_follows_the_one_before() {
        let mut expected = Date::new(1970, 1, 1).expect("a day");
        for days in 0..160_000 {
            let found = Date::of_unix_ms(days * MS_PER_DAY + days % MS_PER_DAY);
            assert_eq!(found, expected);
            let next = next_day(expected);
            assert!(next > expected);
            expected = next;
        }
        assert!(expected > Date::new(2400, 3, 1).expect("a day"));
    }

    /// The next day by counting, as on a wall calendar.
    fn next_day(date: Date) -> Date {
        Date::new(date.year, date.month, date.day + 1)
            .or_else(|| Date::new(date.year, date.month + 1, 1))
            .or_else(|| Date::new(date.year + 1, 1, 1))
            .expect("one of the three is a day")
    }

    #[test]
    fn a_time_beyond_all_calendars_is_the_last_day() {
        assert_eq!(Date::of_unix_ms(u64::MAX), Date::LAST);
        assert_eq!(Date::of_unix_ms(253_402_300_799_999), Date::LAST);
        assert_eq!(Date::of_unix_ms(253_402_300_800_000), Date::LAST);
    }
}
