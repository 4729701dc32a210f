//! Channel 0 of the PIT as a reference for the cycle counter.
//!
//! Channel 0, because microvm has no port for channel 2's gate; its count and not its output, because the
//! output interrupts the emulator. Source: Intel 8254 data sheet.

use crate::x86_64::calibration::Reference;
use crate::x86_64::cpu::{inb, outb};

const CHANNEL_0: u16 = 0x40;
const COMMAND: u16 = 0x43;

/// Channel 0, counting down from the highest count.
pub struct Pit(());

impl Pit {
    /// Starts it. The count stands still if there is no PIT.
    pub fn start() -> Pit {
        const CHANNEL_0_ONE_SHOT: u8 = 0b0011_0000;
        // SAFETY: channel 0 is the interval timer, whose interrupts nobody has asked for; no other code
        // uses it. It counts down once from the highest count, 55 ms, and goes on.
        unsafe {
            outb(COMMAND, CHANNEL_0_ONE_SHOT);
            outb(CHANNEL_0, 0xff);
            outb(CHANNEL_0, 0xff);
        }
        Pit(())
    }
}

impl Reference for Pit {
    fn period(&self) -> u64 {
        838_095_345 // 12 / 14.318_181_818 MHz
    }

    fn mask(&self) -> u64 {
        u16::MAX.into()
    }

    fn count(&self, ticks: impl Fn() -> u64) -> (u64, u64, u64) {
        const LATCH_CHANNEL_0: u8 = 0;
        let before = ticks();
        // SAFETY: latching and reading a count changes nothing else.
        let (after, bytes) = unsafe {
            outb(COMMAND, LATCH_CHANNEL_0);
            (ticks(), [inb(CHANNEL_0), inb(CHANNEL_0)])
        };
        // It counts down.
        ((!u16::from_le_bytes(bytes)).into(), before, after)
    }
}
