//! The PC's battery-backed clock, for the time of day where no hypervisor tells it: to the second, and taken
//! for UTC, which QEMU and servers set it to.
//!
//! While the clock counts a second further its registers are in motion. So they are read when no update is
//! announced, for 244 us at the least, and again: what was read twice is believed. Whether the digits are
//! decimal, the hours 12 or 24, it says itself; the century has a register that ACPI may name, and which
//! is 0x32 everywhere.
//!
//! Source: Motorola MC146818A data sheet; ACPI specification 6.5, 5.2.9 (FADT, CENTURY).

use core::time::Duration;

use crate::time::date::DateTime;
use crate::x86_64::cpu::{inb, outb};

const SECONDS: u8 = 0x00;
const MINUTES: u8 = 0x02;
const HOURS: u8 = 0x04;
const DAY: u8 = 0x07;
const MONTH: u8 = 0x08;
const YEAR: u8 = 0x09;
const STATUS_A: u8 = 0x0a;
const STATUS_B: u8 = 0x0b;
const CENTURY: u8 = 0x32;

const UPDATE_IN_PROGRESS: u8 = 1 << 7;
const IS_BINARY: u8 = 1 << 2;
const HAS_24_HOURS: u8 = 1 << 1;
const IS_AFTERNOON: u8 = 1 << 7;

/// The time of day by the clock; `None` if there is none, or it shows no date.
pub fn read() -> Option<Duration> {
    const INDEX: u16 = 0x70;
    const DATA: u16 = 0x71;
    date(|register| {
        // SAFETY: reading the registers named here changes nothing; nobody else uses the device, and who
        // interrupts between the two lines to ask for the time gets an answer that is read twice, as ours.
        unsafe {
            outb(INDEX, register);
            inb(DATA)
        }
    })?
    .since_1970()
}

type Digits = [u8; 8];

/// What two readings agree on.
fn date(register: impl Fn(u8) -> u8) -> Option<DateTime> {
    /// An update takes 2 ms, a reading of one register 1 us on an old bus.
    const MOST_WAITS: usize = 10_000;
    const MOST_READINGS: usize = 10;
    let settled = || {
        (0..MOST_WAITS).find(|_| register(STATUS_A) & UPDATE_IN_PROGRESS == 0)?;
        Some([SECONDS, MINUTES, HOURS, DAY, MONTH, YEAR, CENTURY, STATUS_B].map(&register))
    };
    // A bus without the device answers so, and no clock has the divider this would be.
    if register(STATUS_A) == 0xff {
        return None;
    }
    let mut latest = settled()?;
    for _ in 0..MOST_READINGS {
        let again = settled()?;
        if again == latest {
            return decode(latest);
        }
        latest = again;
    }
    None
}

fn decode([second, minute, hour, day, month, year, century, status]: Digits) -> Option<DateTime> {
    let number = |byte: u8| match byte {
        byte if status & IS_BINARY != 0 => (byte < 100).then_some(byte),
        byte if byte >> 4 < 10 && byte & 15 < 10 => Some((byte >> 4) * 10 + (byte & 15)),
        _ => None,
    };
    let hour = if status & HAS_24_HOURS != 0 {
        number(hour)?
    } else {
        let (is_afternoon, hour) = (hour & IS_AFTERNOON != 0, number(hour & !IS_AFTERNOON)?);
        if !(1..=12).contains(&hour) {
            return None;
        }
        hour % 12 + if is_afternoon { 12 } else { 0 }
    };
    // Where the century's register is plain memory, it may hold anything.
    let century = number(century).filter(|century| (19..=29).contains(century)).unwrap_or(20);
    let date = DateTime {
        year: u32::from(century) * 100 + u32::from(number(year)?),
        month: number(month)?,
        day: number(day)?,
        hour,
        minute: number(minute)?,
        second: number(second)?,
    };
    date.since_1970().map(|_| date)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    fn to_bcd(number: u8) -> u8 {
        ((number / 10) << 4) | (number % 10)
    }

    /// What the registers hold at that time, by the data sheet.
    fn digits(date: DateTime, status: u8) -> Digits {
        let code = |number: u8| if status & IS_BINARY != 0 { number } else { to_bcd(number) };
        let hour = if status & HAS_24_HOURS != 0 {
            code(date.hour)
        } else {
            let hour = match date.hour % 12 {
                0 => 12,
                hour => hour,
            };
            code(hour) | if date.hour >= 12 { IS_AFTERNOON } else { 0 }
        };
        let (century, year) = ((date.year / 100) as u8, (date.year % 100) as u8);
        let [second, minute] = [date.second, date.minute].map(code);
        let [day, month, year, century] = [date.day, date.month, year, century].map(code);
        [second, minute, hour, day, month, year, century, status]
    }

    #[test]
    fn every_second_of_a_day_is_read_in_every_format() {
        for status in [0, IS_BINARY, HAS_24_HOURS, IS_BINARY | HAS_24_HOURS] {
            for second in 0..86_400 {
                let date = DateTime::of(Duration::from_secs(1_709_164_800 + second)); // 29 February 2024
                assert_eq!(decode(digits(date, status)), Some(date), "{status:#x}");
            }
        }
    }

    #[test]
    fn every_day_of_two_centuries_is_read_in_every_format() {
        for status in [0, IS_BINARY, HAS_24_HOURS, IS_BINARY | HAS_24_HOURS] {
            for day in 0..84_000 {
                let date = DateTime::of(Duration::from_secs(day * 86_400 + day % 86_400));
                assert_eq!(decode(digits(date, status)), Some(date), "{status:#x}");
            }
        }
    }

    #[test]
    fn every_byte_in_every_register_gives_a_date_or_none() {
        let good = DateTime { year: 2026, month: 11, day: 24, hour: 23, minute: 59, second: 58 };
        for status in [0, IS_BINARY, HAS_24_HOURS, IS_BINARY | HAS_24_HOURS] {
            for at in 0..7 {
                for byte in 0..=255 {
                    let mut digits = digits(good, status);
                    digits[at] = byte;
                    let date = decode(digits);
                    assert!(date.is_none_or(|date| date.since_1970().is_some()));
                    let Some(date) = date else { continue };
                    if at != 6 {
                        assert_eq!(self::digits(date, status), digits, "{at} {byte:#x}");
                    }
                }
            }
        }
        // A century that is no century is ours.
        assert_eq!(decode([0, 0, 0, 1, 1, 0x26, 0xff, HAS_24_HOURS]).unwrap().year, 2026);
    }

    /// A clock that counts on after so many readings of a register, and is in motion before.
    fn running(
        start: DateTime,
        readings_per_second: u32,
        first: u32,
        update: u32,
    ) -> impl Fn(u8) -> u8 {
        const ORDER: [u8; 8] = [SECONDS, MINUTES, HOURS, DAY, MONTH, YEAR, CENTURY, STATUS_B];
        let readings = Cell::new(first);
        move |register| {
            readings.set(readings.get() + 1);
            let (second, phase) =
                (readings.get() / readings_per_second, readings.get() % readings_per_second);
            let is_updating = phase > readings_per_second - update;
            if register == STATUS_A {
                return 0x26 | if is_updating { UPDATE_IN_PROGRESS } else { 0 };
            }
            // In the middle of an update there is another time, for longer than it takes to read it twice. It is
            // announced a whole reading ahead, as the data sheet promises.
            let hours = if phase > readings_per_second - update / 3 * 2 { 3600 } else { 0 };
            let now = start.since_1970().unwrap() + Duration::from_secs(u64::from(second) + hours);
            let at = ORDER.iter().position(|&known| known == register).expect("a known register");
            digits(DateTime::of(now), HAS_24_HOURS)[at]
        }
    }

    #[test]
    fn a_clock_in_motion_is_waited_for() {
        let start = DateTime { year: 2029, month: 12, day: 31, hour: 23, minute: 59, second: 58 };
        for readings_per_second in 120..160 {
            for first in 0..readings_per_second {
                let date = date(running(start, readings_per_second, first, 60)).expect("settles");
                let passed = date.since_1970().unwrap() - start.since_1970().unwrap();
                assert!(passed.as_secs() <= 1, "{date} from {first} of {readings_per_second}");
            }
        }
    }

    #[test]
    fn a_clock_that_is_absent_or_always_in_motion_is_given_up() {
        assert_eq!(date(|_| 0xff), None);
        assert_eq!(date(|_| 0), None, "month 0");
        let readings = Cell::new(0_u32);
        let busy = |register| {
            readings.set(readings.get() + 1);
            if register == STATUS_A { UPDATE_IN_PROGRESS } else { 1 }
        };
        assert_eq!(date(busy), None);
        assert!(readings.get() < 20_000, "{} readings", readings.get());
        // Never the same twice.
        let readings = Cell::new(0_u8);
        let restless = |register| {
            readings.set(readings.get().wrapping_add(1));
            if register == STATUS_A { 0 } else { readings.get() }
        };
        assert_eq!(date(restless), None);
    }
}
