//! The HPET's main counter as a reference for the cycle counter: it needs one access where the PIT needs
//! three, and counts about ten times as fast.
//!
//! Where it is, ACPI's table "HPET" tells; without tables it is looked for at [`USUAL`], where every machine known
//! has it. What answers there is used only if it looks like an HPET. The counter is left as it was found, on or
//! off.
//!
//! Source: Intel, IA-PC HPET specification 1.0a, 2.3 (registers).

use crate::memory::address::PhysAddr;
use crate::memory::mapping::map_mmio;
use crate::x86_64::calibration::Reference;

/// Where it is when nobody says otherwise.
pub const USUAL: PhysAddr = PhysAddr::new(0xfed0_0000);

const LEN_BYTES: u64 = 0x400;

/// General capabilities and ID: revision, vendor.
const ID: usize = 0x00;
/// Its upper half: femtoseconds per count.
const PERIOD: usize = 0x04;
const CONFIGURATION: usize = 0x10;
const COUNTER: usize = 0xf0;

const ENABLE: u32 = 1 << 0;

/// How its registers are reached: by their offset in bytes.
pub trait Registers {
    /// Reads one.
    fn read(&self, offset: usize) -> u32;
    /// Writes one.
    fn write(&self, offset: usize, value: u32);
}

/// Registers in memory.
pub struct Page(*mut u32);

impl Registers for Page {
    fn read(&self, offset: usize) -> u32 {
        // SAFETY: `Hpet::at` mapped the registers, and this file passes their offsets.
        unsafe { self.0.byte_add(offset).read_volatile() }
    }

    fn write(&self, offset: usize, value: u32) {
        // SAFETY: as in `read`. Nobody else uses the device.
        unsafe { self.0.byte_add(offset).write_volatile(value) }
    }
}

/// A main counter that runs.
pub struct Hpet<R: Registers> {
    registers: R,
    period: u64,
    /// What the configuration was.
    found: u32,
}

impl Hpet<Page> {
    /// The one at `address`, if there is one.
    pub fn at(address: PhysAddr) -> Option<Hpet<Page>> {
        let page = map_mmio(address, LEN_BYTES).ok()?;
        Hpet::start(Page(page.as_ptr().cast()))
    }
}

impl<R: Registers> Hpet<R> {
    fn start(registers: R) -> Option<Hpet<R>> {
        /// 100 ns: the specification allows no slower one.
        const LONGEST: u32 = 0x05f5_e100;
        /// 1 ns; none is known to be faster than 25 MHz, and QEMU's has 100 MHz.
        const SHORTEST: u32 = 1_000_000;
        let (id, period) = (registers.read(ID), registers.read(PERIOD));
        let (revision, vendor) = (id & 0xff, id >> 16);
        // Nobody's bus answers with zeros or ones.
        let is_one = revision != 0 && vendor != 0 && vendor != 0xffff;
        if !is_one || !(SHORTEST..=LONGEST).contains(&period) {
            return None;
        }
        let found = registers.read(CONFIGURATION);
        registers.write(CONFIGURATION, found | ENABLE);
        Some(Hpet { registers, period: period.into(), found })
    }
}

impl<R: Registers> Reference for Hpet<R> {
    fn period(&self) -> u64 {
        self.period
    }

    /// The upper half is not looked at: it need not be there, and would take a second access.
    fn mask(&self) -> u64 {
        u32::MAX.into()
    }

    fn count(&self, ticks: impl Fn() -> u64) -> (u64, u64, u64) {
        let (before, count) = (ticks(), self.registers.read(COUNTER));
        (count.into(), before, ticks())
    }
}

impl<R: Registers> Drop for Hpet<R> {
    fn drop(&mut self) {
        self.registers.write(CONFIGURATION, self.found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x86_64::calibration::{self, model::Machine};
    use core::cell::Cell;

    struct Model<'a> {
        machine: &'a Machine,
        id: u32,
        period: u32,
        configuration: &'a Cell<u32>,
        can_be_enabled: bool,
    }

    impl Registers for Model<'_> {
        fn read(&self, offset: usize) -> u32 {
            match offset {
                ID => self.id,
                PERIOD => self.period,
                CONFIGURATION => self.configuration.get(),
                COUNTER if self.configuration.get() & ENABLE != 0 => {
                    self.machine.count(self.period.into()) as u32
                }
                COUNTER => 77,
                _ => panic!("{offset:#x} is no register"),
            }
        }

        fn write(&self, offset: usize, value: u32) {
            assert_eq!(offset, CONFIGURATION);
            if self.can_be_enabled {
                self.configuration.set(value);
            }
        }
    }

    /// The rate it gives for a cycle counter of 2.5 GHz, and how its configuration is left.
    fn measured(
        id: u32,
        period: u32,
        configuration: u32,
        can_be_enabled: bool,
    ) -> (Option<u64>, u32) {
        let (machine, cell) = (Machine::new(2_500_000_000), Cell::new(configuration));
        let model = Model { machine: &machine, id, period, configuration: &cell, can_be_enabled };
        let hertz =
            Hpet::start(model).and_then(|hpet| calibration::hertz(&hpet, || machine.ticks()));
        (hertz, cell.get())
    }

    #[test]
    fn a_counter_that_is_off_is_used_and_left_off() {
        const QEMU: (u32, u32) = (0x8086_a201, 10_000_000);
        const ICH: (u32, u32) = (0x8086_a701, 69_841_279);
        for (id, period) in [QEMU, ICH] {
            for configuration in [0, 1, 2, 3] {
                let (hertz, left) = measured(id, period, configuration, true);
                assert!(
                    hertz.is_some_and(|hertz| hertz.abs_diff(2_500_000_000) < 2_500_000),
                    "{hertz:?}"
                );
                assert_eq!(left, configuration);
            }
        }
    }

    #[test]
    fn what_is_no_hpet_is_not_believed() {
        for (id, period) in [
            (0, 0),
            (u32::MAX, u32::MAX),
            (0x8086_a201, 0),
            (0x8086_a201, 100_000_001),
            (0x8086_a201, 999_999),
            (0x8086_a200, 10_000_000),
            (0x0000_a201, 10_000_000),
        ] {
            assert_eq!(measured(id, period, 0, true), (None, 0), "{id:#x} {period}");
        }
        assert_eq!(measured(0x8086_a201, 10_000_000, 0, false), (None, 0), "cannot be enabled");
    }
}
