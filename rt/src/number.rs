//! Numbers for reports, without `core`'s formatting of integers.
//!
//! `{:#018x}` and even `{}` of an integer go through padding code of some 3.5 KiB that a small kernel
//! has no other use for, and that is a lot of code to rely on while the kernel is failing. These few lines print the same digits.

use core::fmt;

/// Shown as sixteen hexadecimal digits, leading zeros included, without a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hex(pub u64);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        digits(f, self.0, 16, 16)
    }
}

/// Shown as decimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal(pub u64);

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        digits(f, self.0, 10, 1)
    }
}

/// At least `least` digits of `number`. Recursive, so that it is small: an unrolled loop is not.
fn digits(f: &mut fmt::Formatter<'_>, number: u64, base: u64, least: u32) -> fmt::Result {
    const DIGITS: [&str; 16] =
        ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"];
    if number >= base || least > 1 {
        digits(f, number / base, base, least.saturating_sub(1))?;
    }
    f.write_str(DIGITS.get((number % base) as usize).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn shows_what_core_shows() {
        for number in [0, 1, 9, 10, 0x9a, 1234567890, 0x0123_4567_89ab_cdef, u64::MAX] {
            assert_eq!(Hex(number).to_string(), std::format!("{number:016x}"));
            assert_eq!(Decimal(number).to_string(), number.to_string());
        }
    }
}
