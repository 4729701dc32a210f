//! KVM's clock: two records, written by KVM to the addresses in two MSRs, with the same layout as Xen's.
//!
//! Run on Linux's KVM inside emulation (`tests/kvm.rs`), not on KVM with hardware. On the host the search and the registers
//! are tested against a model, and the records together with Xen's.
//!
//! Source: Linux, `Documentation/virt/kvm/x86/cpuid.rst` and `msr.rst`.

use core::time::Duration;

use freestone_xen::{ClockError, TimeInfo, WallClock};

/// `MSR_KVM_WALL_CLOCK_NEW`: where to write the time of day at system time 0, once per write.
const WALL_CLOCK: u32 = 0x4b56_4d00;
/// `MSR_KVM_SYSTEM_TIME_NEW`: where to keep the boot processor's clock; bit 0 turns it on.
const SYSTEM_TIME: u32 = 0x4b56_4d01;
const ENABLE: u64 = 1;

/// The records. Aligned so that neither reaches into a second page.
#[repr(C, align(64))]
pub struct KvmClock {
    pub time: TimeInfo,
    wall: WallClock,
}

impl KvmClock {
    pub const fn new() -> KvmClock {
        KvmClock { time: TimeInfo::new(), wall: WallClock::new() }
    }

    /// Has KVM keep `time`. `false` if this is not KVM, it has no such clock, or does not set it.
    pub fn start(
        &'static self,
        cpuid: impl Fn(u32, u32) -> [u32; 4],
        write_msr: impl Fn(u32, u64),
    ) -> bool {
        if !has_clock(cpuid) {
            return false;
        }
        // The kernel is mapped at its physical addresses.
        write_msr(SYSTEM_TIME, (&raw const self.time).addr() as u64 | ENABLE);
        self.time.system_time().is_ok()
    }

    /// The time of day at system time 0. KVM is asked each time, as it may have been set.
    pub fn wall_at_start(
        &'static self,
        write_msr: impl Fn(u32, u64),
    ) -> Result<Duration, ClockError> {
        write_msr(WALL_CLOCK, (&raw const self.wall).addr() as u64);
        self.wall.at_start()
    }
}

/// Whether there is a KVM with the two registers. Where it pretends to be Hyper-V too, its own leaves come
/// after those, at a multiple of 0x100.
fn has_clock(cpuid: impl Fn(u32, u32) -> [u32; 4]) -> bool {
    const SIGNATURE: [u32; 3] = [
        u32::from_le_bytes(*b"KVMK"),
        u32::from_le_bytes(*b"VMKV"),
        u32::from_le_bytes(*b"M\0\0\0"),
    ];
    const CLOCKSOURCE2: u32 = 1 << 3;
    let base = (0x4000_0000..0x4001_0000).step_by(0x100).find(|&base| {
        let [_, signature @ ..] = cpuid(base, 0);
        signature == SIGNATURE
    });
    // Old ones say 0 for their highest leaf, and have one.
    base.is_some_and(|base| cpuid(base + 1, 0)[0] & CLOCKSOURCE2 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::RefCell;
    use core::ptr::with_exposed_provenance_mut;
    use std::boxed::Box;
    use std::vec::Vec;

    /// A hypervisor with these leaves.
    fn leaves<const N: usize>(leaves: [(u32, [u32; 4]); N]) -> impl Fn(u32, u32) -> [u32; 4] {
        move |leaf, _| leaves.iter().find(|(at, _)| *at == leaf).map_or([0; 4], |(_, words)| *words)
    }

    fn signature(text: &[u8; 12], highest: u32) -> [u32; 4] {
        let word =
            |at: usize| u32::from_le_bytes([text[at], text[at + 1], text[at + 2], text[at + 3]]);
        [highest, word(0), word(4), word(8)]
    }

    const NAME: &[u8; 12] = b"KVMKVMKVM\0\0\0";

    #[test]
    fn kvm_is_found_with_and_without_hyper_v_in_front() {
        assert!(has_clock(leaves([
            (0x4000_0000, signature(NAME, 0)),
            (0x4000_0001, [8, 0, 0, 0])
        ])));
        let hyper_v = (0x4000_0000, signature(b"Microsoft Hv", 0x4000_0005));
        // The features of Hyper-V, which mean something else.
        let features = (0x4000_0001, [0xff, 0, 0, 0]);
        assert!(!has_clock(leaves([hyper_v, features])));
        let behind = (0x4000_0100, signature(NAME, 0x4000_0101));
        assert!(has_clock(leaves([
            hyper_v,
            features,
            behind,
            (0x4000_0101, [0x0100_00fb, 0, 0, 0])
        ])));
        assert!(!has_clock(leaves([hyper_v, features, behind, (0x4000_0101, [1, 0, 0, 0])])));
        assert!(!has_clock(leaves([
            (0x4000_0000, signature(b"TCGTCGTCGTCG", 0x4000_0001)),
            features
        ])));
        assert!(!has_clock(|_, _| [u32::MAX; 4]));
    }

    /// Writes as KVM does at a WRMSR: 2.5 GHz, system time 40 s when the counter read 1000.
    fn kvm(register: u32, value: u64) {
        // SAFETY: the test passes the addresses of records made of atomics, which are never freed.
        let write = |at: usize, word: u32| unsafe {
            with_exposed_provenance_mut::<u32>((value & !ENABLE) as usize + at).write_volatile(word)
        };
        match register {
            SYSTEM_TIME if value & ENABLE != 0 => {
                for (at, word) in [(8, 1000), (12, 0), (16, 40_000_000_000_u64 as u32), (20, 9)] {
                    write(at, word);
                }
                write(24, 3_435_973_836);
                write(28, 0xff | 1 << 8);
                write(0, 2);
            }
            WALL_CLOCK => {
                for (at, word) in [(4, 1_800_000_000), (8, 5), (0, 2)] {
                    write(at, word);
                }
            }
            _ => panic!("{register:#x} is not a register of KVM's clock"),
        }
    }

    fn clock() -> &'static KvmClock {
        let clock = Box::leak(Box::new(KvmClock::new()));
        (&raw mut *clock).expose_provenance();
        clock
    }

    #[test]
    fn both_records_are_asked_for_and_read() {
        let has =
            leaves([(0x4000_0000, signature(NAME, 0x4000_0001)), (0x4000_0001, [8, 0, 0, 0])]);
        let (kvm_clock, written) = (clock(), RefCell::new(Vec::new()));
        let write_msr = |register, value: u64| {
            // Neither may reach over the end of a page.
            assert!(value & 0xfff <= 0x1000 - 32);
            written.borrow_mut().push(register);
            kvm(register, value);
        };
        assert!(kvm_clock.start(&has, write_msr));
        let (_, time) = kvm_clock.time.system_time().expect("set");
        assert_eq!((time.tsc_timestamp, time.tsc_shift), (1000, -1));
        assert_eq!(time.system_time, 40_000_000_000);
        assert!(time.hertz().abs_diff(2_500_000_000) < 10, "{}", time.hertz());
        assert_eq!(kvm_clock.wall_at_start(write_msr), Ok(Duration::new(1_800_000_000, 5)));
        assert_eq!(*written.borrow(), [SYSTEM_TIME, WALL_CLOCK]);
    }

    #[test]
    fn a_kvm_that_does_not_keep_its_word_is_done_without() {
        let has =
            leaves([(0x4000_0000, signature(NAME, 0x4000_0001)), (0x4000_0001, [8, 0, 0, 0])]);
        assert!(!clock().start(&has, |_, _| {}), "nothing was written");
        assert!(!clock().start(|_, _| [0; 4], |_, _| panic!("there is no such register")));
        assert_eq!(clock().wall_at_start(|_, _| {}), Err(ClockError::Unset));
    }
}
