//! Days and dates in UTC, for people: reports are about years, and pages say when
//! something was. The proleptic Gregorian calendar after Howard Hinnant,
//! "chrono-compatible low-level date algorithms" (`civil_from_days`,
//! `days_from_civil`).

/// Milliseconds of a day.
pub const DAY_MS: u64 = 86_400_000;

/// The year, month (from 1) and day (from 1) of a day since 1970-01-01.
pub fn civil(day: u64) -> (u64, u64, u64) {
    let shifted = day + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + 400 * era + u64::from(month <= 2), month, day)
}

/// The first millisecond of a year, since 1970; years before 1970 begin at 0.
pub fn year_begins(year: u64) -> u64 {
    // January counts as the eleventh month of the year before.
    let march_year = year.max(1970) - 1;
    let (era, year_of_era) = (march_year / 400, march_year % 400);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + 306;
    (era * 146_097 + day_of_era).saturating_sub(719_468) * DAY_MS
}

/// `2026-11-30`.
pub fn date(ms: u64) -> String {
    let (year, month, day) = civil(ms / DAY_MS);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `2026-11-30 12:05 UTC`.
pub fn minute(ms: u64) -> String {
    let of_day = ms % DAY_MS / 60_000;
    format!("{} {:02}:{:02} UTC", date(ms), of_day / 60, of_day % 60)
}

/// `2026-11-30T12:05:09Z`, as machines read it (RFC 3339).
pub fn instant(ms: u64) -> String {
    let second = ms % DAY_MS / 1000;
    format!("{}T{:02}:{:02}:{:02}Z", date(ms), second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates() {
        for (ms, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_709_164_799_999, "2024-02-28T23:59:59Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00Z"),
            (1_796_039_525_000, "2026-11-30T11:52:05Z"),
        ] {
            assert_eq!(instant(ms), expected);
        }
        assert_eq!(minute(1_796_039_525_000), "2026-11-30 11:52 UTC");
    }

    #[test]
    fn years_begin_where_their_first_day_does() {
        let mut begins = 0;
        for year in 1970..2400 {
            assert_eq!(year_begins(year), begins, "{year}");
            assert_eq!(civil(begins / DAY_MS), (year, 1, 1));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            begins += if leap { 366 } else { 365 } * DAY_MS;
        }
    }
}
