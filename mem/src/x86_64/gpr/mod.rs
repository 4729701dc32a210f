//! General-purpose registers for short ranges, string instructions for long ones.
//!
//! Common to all six: no red zone, no register that the caller wants back, no vector register, and the
//! direction flag stays clear. `std` would make a backward copy one instruction long, but `rep movs`
//! is slow in that direction, and an interrupt handler that forgets `cld` would run with the flag set.
//!
//! # Short ranges: few classes, no branch within
//!
//! What a short call costs is decided by the branches a processor cannot predict. So there are three
//! classes up to 64 bytes, not seven, and within a class the same instructions run for every size:
//! four pieces, two from the front and two that end with the last byte, whose distance depends on
//! the size by arithmetic. With pieces of 4 bytes that serves 4 to 16, with pieces of 16 bytes 17 to 64.
//!
//! ```text
//!  n = 8      |aaaa|bbbb|            a = 4·(n / 8) apart: for n < 8 both pairs coincide
//!             |cccc|dddd|
//!  n = 13     |aaaa|bbbb|....
//!                  ..|cccc|dddd|
//! ```
//!
//! No body wins everywhere. Tried for `memcpy` on Zen 4, as multiples of `compiler_builtins`' speed:
//!
//! | up to 64 bytes | sizes unpredictable | one size, 8 to 64 |
//! |---|---|---|
//! | seven classes, as most libraries have | 1.5 | 3.3 to 4.0 |
//! | **three classes, four pieces** | 2.3 | 4.1 to 4.9 |
//! | a piece for each bit of the size, unwanted ones to a dummy, then 16 to 64 | 2.4 | 3.3 to 4.2 |
//! | words to 7 by the bits, then 8 to 15, then 16 to 64 | 2.0 | 4.0 to 4.4 |
//! | `rep movsb` to 15, then 16 to 64 | 2.4 | 2.9 to 4.0 |
//! | `rep movsb` | 3.1 | 2.9 |
//!
//! The string instruction never mispredicts but costs 14 cycles, half as much again as a predicted
//! class. `rep stosb` costs 9, hardly more than a call, so short `memset`s use it where the processor is known
//! to be so: 3.6 and 3.3, against 2.2 and 4.0 for the classes, which are kept for all others.
//!
//! # Long ranges
//!
//! A loop of 32 bytes a turn, bound by one store a cycle; unrolling it further gained nothing. From [`REP`]
//! bytes on `rep movs` and `rep stos`, by words with one overlapping word at the end; by bytes where
//! [`STRINGS`] says so: older processors are slow at that, and an emulator steps through every repetition,
//! eight times fewer of which are eight times faster. Up to [`SHORT_WORDS`] words a `rep movsq` takes 15 cycles
//! on some, twice as fast as the loop at 256 bytes, and is used from 129 bytes on. Two of them, to 504 bytes,
//! gained 3 %.
//!
//! The functions use the System V convention by name: on the few x86_64 targets whose `extern "C"`
//! is another, the compiler translates. The numbers after `2` are labels; `0` and `1` would be read
//! as binary digits.

mod compare;
mod copy;
mod fill;
mod length;

pub use compare::{compare, differs};
pub use copy::{copy, shift};
pub use fill::fill;
pub use length::length;

/// The longest range that is moved or filled by a loop; `rep` beyond, whatever the processor.
///
/// In one process, as parts of `rep movsb`'s and `rep stosb`'s time: at 512 bytes the loops take 0.97 aligned and
/// 0.92 misaligned on Zen 4, 0.8 and 0.7 on Granite Rapids; at 1024 bytes 1.4 to 1.6 on either.
const LOOP: usize = 512;

/// Every byte 0x01.
const EACH_BYTE: u64 = u64::MAX / 0xff;
