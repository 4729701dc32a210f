//! Dates of the Gregorian calendar, to and from seconds since 1970 began. UTC, without leap seconds.
//!
//! Months are counted from March, so that the day that comes and goes is the last one of a year, and years in
//! cycles of 400, after which the calendar repeats. Method: Howard Hinnant, "chrono-Compatible Low-Level Date
//! Algorithms" (public domain); written anew.

use core::fmt;
use core::time::Duration;

/// A moment as people write it, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DateTime {
    /// From 1970 on.
    pub year: u32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

const DAY: u64 = 24 * 60 * 60;
const DAYS_IN_400_YEARS: u64 = 400 * 365 + 97;
/// From 1 March of year 0 to 1 January 1970.
const DAYS_BEFORE_1970: u64 = 719_468;

impl DateTime {
    /// The date `since_1970`, as [`wall`](super::wall) tells it. Fractions of a second are dropped; what does
    /// not fit in `year` gives its last second.
    pub const fn of(since_1970: Duration) -> DateTime {
        const END: u64 = DateTime::days(u32::MAX as u64, 12, 31) * DAY + DAY - 1;
        let seconds = since_1970.as_secs();
        let seconds = if seconds < END { seconds } else { END };
        let (days, second) = (seconds / DAY + DAYS_BEFORE_1970, seconds % DAY);
        let (cycles, day) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
        // The last day of 4, of 100 and of 400 years makes them longer than their years of 365 days.
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let year = cycles * 400 + year + if month < 10 { 0 } else { 1 };
        DateTime {
            year: year as u32,
            month: if month < 10 { month + 3 } else { month - 9 } as u8,
            day: (day - (153 * month + 2) / 5 + 1) as u8,
            hour: (second / 3600) as u8,
            minute: (second / 60 % 60) as u8,
            second: (second % 60) as u8,
        }
    }

    /// The time since 1970 began. `None` if there is no such date, or it was before.
    pub const fn since_1970(self) -> Option<Duration> {
        let DateTime { year, month, day, hour, minute, second } = self;
        let exists = year >= 1970
            && matches!(month, 1..=12)
            && 1 <= day
            && day <= days_in(year, month)
            && hour < 24
            && minute < 60
            && second < 60;
        if !exists {
            return None;
        }
        let time = (hour as u64 * 60 + minute as u64) * 60 + second as u64;
        Some(Duration::from_secs(
            DateTime::days(year as u64, month as u64, day as u64) * DAY + time,
        ))
    }

    /// Days since 1970 began.
    const fn days(year: u64, month: u64, day: u64) -> u64 {
        let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let (cycles, year) = (year / 400, year % 400);
        let days = 365 * year + year / 4 - year / 100 + (153 * month + 2) / 5 + day - 1;
        cycles * DAYS_IN_400_YEARS + days - DAYS_BEFORE_1970
    }
}

const fn days_in(year: u32, month: u8) -> u8 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => 31,
    }
}

/// As ISO 8601 has it: `2026-11-24T23:59:07Z`.
impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DateTime { year, month, day, hour, minute, second } = *self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    /// The day after, by the rules that children learn.
    fn tomorrow((year, month, day): (u32, u8, u8)) -> (u32, u8, u8) {
        const DAYS: [u8; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let is_leap = if year % 100 == 0 { year % 400 == 0 } else { year % 4 == 0 };
        let last = DAYS[month as usize - 1] + u8::from(is_leap && month == 2);
        match (month, day) {
            (12, 31) => (year + 1, 1, 1),
            (_, day) if day == last => (year, month + 1, 1),
            _ => (year, month, day + 1),
        }
    }

    #[test]
    fn every_day_until_9999_is_the_day_after_the_one_before() {
        let mut date = (1970, 1, 1);
        let mut days = 0;
        while date.0 < 10_000 {
            let (year, month, day) = date;
            // Another time every day, so that all of them come up.
            let second = days * 7919 % DAY;
            let (hour, minute) = ((second / 3600) as u8, (second % 3600 / 60) as u8);
            let want = DateTime { year, month, day, hour, minute, second: (second % 60) as u8 };
            let since = Duration::from_secs(days * DAY + second);
            assert_eq!(DateTime::of(since), want);
            assert_eq!(want.since_1970(), Some(since), "{want}");
            date = tomorrow(date);
            days += 1;
        }
        assert_eq!(days, 2_932_897);
    }

    #[test]
    fn every_second_of_a_day_comes_once() {
        let mut latest = None;
        for second in 0..2 * DAY {
            let date = DateTime::of(Duration::new(951_782_400 + second, 999_999_999)); // 29 February 2000
            assert!(
                latest < Some(date) && date.since_1970().unwrap().as_secs() == 951_782_400 + second
            );
            latest = Some(date);
        }
        assert_eq!(latest.unwrap().to_string(), "2000-03-01T23:59:59Z");
    }

    #[test]
    fn what_is_no_date_is_refused() {
        let good = DateTime { year: 2023, month: 2, day: 28, hour: 23, minute: 59, second: 59 };
        assert!(good.since_1970().is_some());
        for wrong in [
            DateTime { day: 29, ..good },
            DateTime { day: 0, ..good },
            DateTime { month: 0, ..good },
            DateTime { month: 13, ..good },
            DateTime { month: 4, day: 31, ..good },
            DateTime { year: 1969, ..good },
            DateTime { year: 0, ..good },
            DateTime { hour: 24, ..good },
            DateTime { minute: 60, ..good },
            DateTime { second: 60, ..good },
        ] {
            assert_eq!(wrong.since_1970(), None, "{wrong}");
        }
    }

    #[test]
    fn the_ends_of_time_do_not_panic() {
        let last = DateTime::of(Duration::MAX);
        assert_eq!((last.year, last.month, last.day, last.second), (u32::MAX, 12, 31, 59));
        assert_eq!(DateTime::of(last.since_1970().unwrap()), last);
        assert_eq!(DateTime::of(Duration::ZERO).to_string(), "1970-01-01T00:00:00Z");
    }
}
