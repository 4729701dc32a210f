//! Detection on simulated machines, and each call against a fake Xen that records what it is passed.

use core::cell::{Cell, RefCell};
use core::ptr::{with_exposed_provenance, with_exposed_provenance_mut};
use core::time::Duration;
use std::boxed::Box;
use std::format;
use std::vec::Vec;

use crate::cpuid::{self, Extension, Found};
use crate::hypercall::{Hypercall, check};
use crate::memory::MemoryMap;
use crate::pvclock::nanoseconds_in;
use crate::sched::{Resumed, Shutdown};
use crate::shared::{AddToPhysmap, Page, SharedInfo};
use crate::version::FeatureInfo;
use crate::{ClockError, CpuTime, E820Entry, E820Kind, Error, Features, Reason, Version, Xen};
use crate::{console, memory, sched, shared, version};

mod events;

/// Answers every hypercall by a function.
struct Fake<F>(F);

impl<F: Fn(u64, [u64; 5]) -> i64> Hypercall for Fake<F> {
    unsafe fn call(&self, number: u64, args: [u64; 5]) -> i64 {
        (self.0)(number, args)
    }
}

fn refusing(code: i64) -> impl Hypercall {
    Fake(move |_, _| -code)
}

fn words(text: &[u8; 12]) -> [u32; 3] {
    [0, 4, 8].map(|i| u32::from_le_bytes(text[i..i + 4].try_into().unwrap()))
}

/// A machine with that vendor whose hypervisor leaves at `base` carry `signature`. If that is not the
/// first place, Hyper-V's come before them, as with Viridian enlightenments.
fn machine(
    vendor: &[u8; 12],
    base: u32,
    signature: &[u8; 12],
    last: u32,
) -> impl Fn(u32, u32) -> [u32; 4] {
    let [v0, v1, v2] = words(vendor);
    let [s0, s1, s2] = words(signature);
    move |leaf, sub_leaf| match (leaf, sub_leaf) {
        (0, 0) => [16, v0, v2, v1], // the vendor is in EBX, EDX, ECX: in this order
        (1, 0) => [0, 0, 1 << 31, 0],
        (leaf, 0) if leaf == base => [last, s0, s1, s2],
        (leaf, 0) if leaf == base + 3 => [0, 0, 2_500_000, 0],
        (0x4000_0000, 0) => {
            let [h0, h1, h2] = words(b"Microsoft Hv");
            [0x4000_0005, h0, h1, h2]
        }
        _ => [0; 4],
    }
}

const XEN: &[u8; 12] = b"XenVMMXenVMM";
const AMD: &[u8; 12] = b"AuthenticAMD";

#[test]
fn without_a_hypervisor_only_leaf_1_is_read() {
    let read = RefCell::new(Vec::new());
    let found = cpuid::find(|leaf, sub_leaf| {
        read.borrow_mut().push((leaf, sub_leaf));
        [!0, !0, !(1 << 31), !0]
    });
    assert_eq!(found, None);
    assert_eq!(*read.borrow(), [(1, 0)]);
}

#[test]
fn xen_is_found_at_every_place_it_can_be() {
    for base in (0x4000_0000..0x4001_0000).step_by(0x100) {
        let found = cpuid::find(machine(AMD, base, XEN, base + 5));
        assert_eq!(found, Some(Found { extension: Extension::Svm, base }));
    }
}

#[test]
fn another_hypervisor_is_asked_once() {
    let read = RefCell::new(Vec::new());
    let kvm = machine(AMD, 0x4000_0000, b"KVMKVMKVM\0\0\0", 0x4000_0001);
    let found = cpuid::find(|leaf, sub_leaf| {
        read.borrow_mut().push(leaf);
        kvm(leaf, sub_leaf)
    });
    assert_eq!(found, None);
    assert_eq!(*read.borrow(), [1, 0, 0x4000_0000]);
}

#[test]
fn xen_is_not_found_beside_the_places_it_can_be() {
    for base in [0x3fff_ff00, 0x4000_0001, 0x4000_0080, 0x4001_0000] {
        assert_eq!(cpuid::find(machine(AMD, base, XEN, base + 5)), None, "{base:#x}");
    }
}

#[test]
fn other_hypervisors_and_half_a_xen_are_not_xen() {
    let base = 0x4000_0000;
    for signature in [b"KVMKVMKVM\0\0\0", b"TCGTCGTCGTCG", b"Microsoft Hv", b"XenVMMXenVM\0"] {
        assert_eq!(cpuid::find(machine(AMD, base, signature, base + 5)), None);
    }
    // Signed, but without a leaf for hypercalls.
    assert_eq!(cpuid::find(machine(AMD, base, XEN, base + 1)), None);
}

#[test]
fn the_vendor_decides_the_instruction_and_an_unknown_one_gets_none() {
    let base = 0x4000_0100;
    let extension =
        |vendor| cpuid::find(machine(vendor, base, XEN, base + 2)).map(|found| found.extension);
    assert_eq!(extension(b"AuthenticAMD"), Some(Extension::Svm));
    assert_eq!(extension(b"HygonGenuine"), Some(Extension::Svm));
    assert_eq!(extension(b"GenuineIntel"), Some(Extension::Vmx));
    assert_eq!(extension(b"CentaurHauls"), Some(Extension::Vmx));
    assert_eq!(extension(b"  Shanghai  "), Some(Extension::Vmx));
    assert_eq!(extension(b"GenuineTMx86"), None);
}

#[test]
fn the_tsc_frequency_is_told_if_the_leaf_exists_and_is_filled_in() {
    let base = 0x4000_0100;
    assert_eq!(cpuid::tsc_khz(machine(AMD, base, XEN, base + 3), base), Some(2_500_000));
    assert_eq!(cpuid::tsc_khz(machine(AMD, base, XEN, base + 2), base), None);
    let unfilled = |leaf, _| [if leaf == base { base + 5 } else { 0 }, 0, 0, 0];
    assert_eq!(cpuid::tsc_khz(unfilled, base), None);
}

#[test]
fn a_host_process_is_never_a_xen_guest_that_can_call() {
    assert!(Xen::detect().is_none());
}

#[test]
fn answers_below_zero_are_errors_and_others_are_numbers() {
    assert_eq!(check(0), Ok(0));
    assert_eq!(check(0x0004_0011), Ok(0x0004_0011));
    assert_eq!(check(i64::MAX), Ok(i64::MAX as u64));
    assert_eq!(check(-1), Err(Error::EPERM));
    assert_eq!(check(-38), Err(Error::ENOSYS));
    assert_eq!(check(-4095), Err(Error::Unknown(4095)));
    assert_eq!(check(i64::MIN), Err(Error::Unknown(i32::MAX)));
}

#[test]
fn every_error_number_survives_the_way_there_and_back() {
    for code in 0..200 {
        assert_eq!(Error::from_code(code).code(), code);
    }
    // What the header leaves out, or shows to the hypervisor only, has no name.
    for code in [0, 4, 15, 25, 32, 85, 112] {
        assert_eq!(Error::from_code(code), Error::Unknown(code));
    }
    let named = (0..200).filter(|&c| !matches!(Error::from_code(c), Error::Unknown(_))).count();
    assert_eq!(named, 47);
    assert_eq!(Error::from_code(22), Error::EINVAL);
    assert_eq!(Error::from_code(111), Error::ECONNREFUSED);
}

#[test]
fn errors_print_what_happened_and_the_name_to_search_for() {
    assert_eq!(format!("{}", Error::EPERM), "not permitted to this guest (EPERM, Xen error 1)");
    assert_eq!(format!("{}", Error::Unknown(99)), "unknown error (Xen error 99)");
}

#[test]
fn console_text_arrives_whole_and_in_order_whatever_its_length() {
    let text: Vec<u8> = (0..100).collect();
    for len in 0..text.len() {
        for most in 1..=len + 1 {
            let (got, calls) = (RefCell::new(Vec::new()), Cell::new(0));
            let xen = Fake(|number, [op, count, address, d, e]: [u64; 5]| {
                assert_eq!((number, op, d, e), (18, 0, 0, 0));
                assert!((1..=most).contains(&(count as usize)));
                calls.set(calls.get() + 1);
                let start = with_exposed_provenance::<u8>(address as usize);
                // SAFETY: `console::write` passes a piece of `text`.
                let piece = unsafe { core::slice::from_raw_parts(start, count as usize) };
                got.borrow_mut().extend_from_slice(piece);
                0
            });
            assert_eq!(console::write(&xen, &text[..len], most), Ok(()));
            assert_eq!(*got.borrow(), text[..len]);
            assert_eq!(calls.get(), len.div_ceil(most));
        }
    }
}

#[test]
fn console_text_stops_at_the_first_refused_piece() {
    let calls = Cell::new(0);
    let xen = Fake(|_, _| {
        calls.set(calls.get() + 1);
        if calls.get() == 2 { -1 } else { 0 }
    });
    assert_eq!(console::write(&xen, b"abcdef", 2), Err(Error::EPERM));
    assert_eq!(calls.get(), 2);
}

#[test]
fn the_version_is_taken_apart() {
    let xen = Fake(|number, args| {
        assert_eq!((number, args), (17, [0; 5]));
        (4 << 16) | 17
    });
    let got = version::version(&xen).unwrap();
    assert_eq!(got, Version { major: 4, minor: 17 });
    assert_eq!(format!("{got}"), "4.17");
    assert_eq!(version::version(&refusing(38)), Err(Error::ENOSYS));
}

#[test]
fn the_extra_version_ends_at_its_zero_or_after_16_bytes() {
    let read = |answer: [u8; 16]| {
        let xen = Fake(move |number, [op, address, c, d, e]: [u64; 5]| {
            assert_eq!((number, op, c, d, e), (17, 1, 0, 0, 0));
            // SAFETY: `extra_version` passes a buffer of 16 bytes.
            unsafe { with_exposed_provenance_mut::<[u8; 16]>(address as usize).write(answer) };
            0
        });
        version::extra_version(&xen).unwrap()
    };
    assert_eq!(read(*b".4-rc1\0garbage!!").as_bytes(), b".4-rc1");
    assert_eq!(read(*b"0123456789abcdef").as_bytes(), b"0123456789abcdef");
    assert_eq!(read([0; 16]).as_bytes(), b"");
    assert_eq!(format!("{}", read(*b".7\n\xff\0\0\0\0\0\0\0\0\0\0\0\0")), r".7\n\xff");
}

#[test]
fn features_keep_bits_that_have_no_name() {
    let xen = Fake(|number, [op, address, ..]: [u64; 5]| {
        assert_eq!((number, op), (17, 6));
        // SAFETY: `features` passes its own `FeatureInfo`.
        let info = unsafe { &mut *with_exposed_provenance_mut::<FeatureInfo>(address as usize) };
        assert_eq!(info.submap_idx, 0);
        info.submap = (1 << 31) | (1 << 9) | (1 << 2);
        0
    });
    let got = version::features(&xen).unwrap();
    assert!(got.contains(Features::HVM_SAFE_PVCLOCK | Features::AUTO_TRANSLATED_PHYSMAP));
    assert!(!got.contains(Features::DOM0));
    assert_eq!(got.bits() >> 31, 1);
}

/// A Xen with that many ranges of memory, each of 4 KiB.
fn with_map(ranges: u32) -> impl Hypercall {
    Fake(move |number, [op, address, ..]: [u64; 5]| {
        assert_eq!((number, op), (12, 9));
        // SAFETY: `memory_map` passes its own `MemoryMap`.
        let map = unsafe { &mut *with_exposed_provenance_mut::<MemoryMap>(address as usize) };
        map.nr_entries = map.nr_entries.min(ranges);
        for i in 0..map.nr_entries as usize {
            let mut entry = [0; 20];
            entry[..8].copy_from_slice(&(i as u64 * 4096).to_ne_bytes());
            entry[8..16].copy_from_slice(&4096u64.to_ne_bytes());
            entry[16..].copy_from_slice(&(i as u32 + 1).to_ne_bytes());
            let to = with_exposed_provenance_mut::<[u8; 20]>(map.buffer as usize);
            // SAFETY: the buffer has room for `nr_entries` entries of 20 bytes.
            unsafe { to.add(i).write(entry) };
        }
        0
    })
}

#[test]
fn the_memory_map_is_read_entry_by_entry() {
    let mut entries = [E820Entry::EMPTY; 10];
    assert_eq!(memory::memory_map(&with_map(7), &mut entries), Ok(7));
    for (i, entry) in entries[..7].iter().enumerate() {
        assert_eq!((entry.base(), entry.len_bytes()), (i as u64 * 4096, 4096));
    }
    let kinds = entries[..7].iter().map(E820Entry::kind).collect::<Vec<_>>();
    use E820Kind::*;
    let want = [Ram, Reserved, AcpiTables, AcpiStorage, Unusable, Other(6), Other(7)];
    assert_eq!(kinds, want);
    assert_eq!(entries[7], E820Entry::EMPTY);
}

#[test]
fn a_memory_map_that_does_not_fit_is_cut_and_an_empty_buffer_is_no_call() {
    let mut entries = [E820Entry::EMPTY; 3];
    assert_eq!(memory::memory_map(&with_map(7), &mut entries), Ok(3));
    assert_eq!(memory::memory_map(&refusing(14), &mut []), Ok(0));
    assert_eq!(memory::memory_map(&refusing(14), &mut entries), Err(Error::EFAULT));
}

#[test]
fn shutdown_passes_the_reason_and_tells_the_ways_to_come_back_apart() {
    let reasons = [
        (Reason::PowerOff, 0),
        (Reason::Reboot, 1),
        (Reason::Suspend, 2),
        (Reason::Crash, 3),
        (Reason::Watchdog, 4),
        (Reason::SoftReset, 5),
    ];
    for (reason, want) in reasons {
        let answering = |answer| {
            Fake(move |number, [op, address, ..]: [u64; 5]| {
                assert_eq!((number, op), (29, 2));
                // SAFETY: `shutdown` passes its own `Shutdown`.
                let arg = unsafe { &*with_exposed_provenance::<Shutdown>(address as usize) };
                assert_eq!(arg.reason, want);
                answer
            })
        };
        assert_eq!(sched::shutdown(&answering(0), reason), Ok(Resumed::Anew));
        assert_eq!(sched::shutdown(&answering(1), reason), Ok(Resumed::Unchanged));
        assert_eq!(sched::shutdown(&answering(-1), reason), Err(Error::EPERM));
    }
}

#[test]
fn yield_is_a_call_without_arguments() {
    let calls = Cell::new(0);
    sched::yield_now(&Fake(|number, args| {
        assert_eq!((number, args), (29, [0; 5]));
        calls.set(calls.get() + 1);
        0
    }));
    assert_eq!(calls.get(), 1);
}

#[test]
fn ticks_become_nanoseconds_by_factor_and_shift() {
    // 2.5 GHz as Xen writes it: 0.4 ns is 0.8 after a shift to the right.
    let mul = (0.8 * 4_294_967_296.0) as u32;
    assert_eq!(nanoseconds_in(2_500_000_000, mul, -1), 999_999_999);
    // 1 GHz and less.
    assert_eq!(nanoseconds_in(7, 1 << 31, 1), 7);
    assert_eq!(nanoseconds_in(7, 1 << 31, 4), 56);
    assert_eq!(nanoseconds_in(7, u32::MAX, 0), 6);
    assert_eq!(nanoseconds_in(0, u32::MAX, 127), 0);
    assert_eq!(nanoseconds_in(u64::MAX, 0, 127), 0);
}

#[test]
fn every_shift_agrees_with_wide_arithmetic() {
    for shift in i8::MIN..=i8::MAX {
        for ticks in [0, 1, 2, 3, 1000, 0xffff_ffff, 1 << 32, 1 << 62, u64::MAX - 1, u64::MAX] {
            for mul in [0, 1, 2, 0x8000_0000, 0xcccc_cccd, u32::MAX] {
                // Half the exponent's range at a time, so that 128 bits suffice or the answer is known.
                let want = match shift {
                    ..=-64 => 0,
                    -63..0 => (u128::from(ticks >> -shift) * u128::from(mul)) >> 32,
                    0..=32 => ((u128::from(ticks) << shift) * u128::from(mul)) >> 32,
                    _ if ticks == 0 || mul == 0 => 0,
                    _ => u128::MAX,
                };
                let want = u64::try_from(want).unwrap_or(u64::MAX);
                assert_eq!(nanoseconds_in(ticks, mul, shift), want, "{ticks} {mul} {shift}");
            }
        }
    }
}

#[test]
fn a_clock_goes_on_from_its_moment_and_never_before_it() {
    let time =
        CpuTime { tsc_timestamp: 100, system_time: 5000, tsc_to_system_mul: 1 << 31, tsc_shift: 1 };
    assert_eq!(time.nanoseconds_at(100), 5000);
    assert_eq!(time.nanoseconds_at(150), 5050);
    assert_eq!(time.nanoseconds_at(99), 5000);
    assert_eq!(time.hertz(), 1_000_000_000);
    let late = CpuTime { system_time: u64::MAX - 1, ..time };
    assert_eq!(late.nanoseconds_at(1 << 62), u64::MAX);
}

#[test]
fn a_moment_before_the_counter_began_is_a_moment_too() {
    // As a guest of Xen 4.17 saw it, the counter reading 587,855,992 at 2.596 GHz.
    let time = CpuTime {
        tsc_timestamp: 18_446_744_073_621_645_516,
        system_time: 941_111_556,
        tsc_to_system_mul: 3_308_721_722,
        tsc_shift: -1,
    };
    assert_eq!(time.nanoseconds_at(587_855_992), 941_111_556 + 260_294_032);
    assert_eq!(time.hertz(), 2_596_149_000);
}

#[test]
fn the_rate_is_the_factor_turned_round() {
    let time = |mul, shift| CpuTime {
        tsc_timestamp: 0,
        system_time: 0,
        tsc_to_system_mul: mul,
        tsc_shift: shift,
    };
    let hertz = time((0.8 * 4_294_967_296.0) as u32, -1).hertz();
    assert!((2_499_999_990..=2_500_000_010).contains(&hertz), "{hertz}");
    assert_eq!(time(1 << 31, 0).hertz(), 2_000_000_000);
    assert_eq!(time(0, 3).hertz(), 0);
    for shift in i8::MIN..=i8::MAX {
        let _ = time(1, shift).hertz();
    }
    assert_eq!(time(1, i8::MIN).hertz(), u64::MAX);
    assert_eq!(time(u32::MAX, i8::MAX).hertz(), 0);
}

/// A shared page, and a way to write words into it.
fn shared_page() -> (SharedInfo, impl Fn(usize, u32) + Copy) {
    let page: &'static Page = Box::leak(Box::new(Page::new()));
    let start = (&raw const *page).cast_mut().cast::<u32>();
    // SAFETY: inside the page, which is in an `UnsafeCell` and is only ever read by volatile loads.
    (SharedInfo::of(page), move |at, word| unsafe { start.byte_add(at).write_volatile(word) })
}

#[test]
fn a_clock_that_changes_while_it_is_read_is_read_again() {
    const TIME_OF_CPU_1: usize = 64 + 32;
    let (shared, write) = shared_page();
    let read = |cpu, counter: &dyn Fn() -> u64| shared.time_info(cpu)?.read(counter);
    assert_eq!(read(1, &|| 0), Err(ClockError::Unset));
    assert_eq!(read(32, &|| 0), Err(ClockError::NoSuchCpu));
    write(TIME_OF_CPU_1, 4);
    write(TIME_OF_CPU_1 + 8, 10);
    write(TIME_OF_CPU_1 + 16, 500);
    write(TIME_OF_CPU_1 + 24, 1 << 31);
    write(TIME_OF_CPU_1 + 28, 1);
    let looks = Cell::new(0);
    let counter = || {
        looks.set(looks.get() + 1);
        match looks.get() {
            1 => write(TIME_OF_CPU_1, 5), // Xen begins to write behind our back,
            2 => write(TIME_OF_CPU_1 + 16, 700),
            3 => write(TIME_OF_CPU_1, 6), // and ends
            _ => {}
        }
        25
    };
    let (time, counter) = read(1, &counter).expect("settles in the end");
    assert_eq!((looks.get(), counter), (4, 25));
    assert_eq!((time.tsc_timestamp, time.system_time, time.tsc_shift), (10, 700, 1));
    assert_eq!(time.nanoseconds_at(counter), 715);
    write(TIME_OF_CPU_1, 7);
    assert_eq!(read(1, &|| 0), Err(ClockError::Unsettled));
}

#[test]
fn the_time_of_day_has_its_own_version_and_64_bits() {
    let (shared, write) = shared_page();
    assert_eq!(shared.wall_clock(), Err(ClockError::Unset));
    for (at, word) in [(3072, 2), (3076, 1_700_000_000), (3080, 250_000_000)] {
        write(at, word);
    }
    assert_eq!(shared.wall_clock(), Ok(Duration::new(1_700_000_000, 250_000_000)));
    write(3084, 1);
    assert_eq!(shared.wall_clock().unwrap().as_secs(), (1 << 32) + 1_700_000_000);
    write(3072, 3);
    assert_eq!(shared.wall_clock(), Err(ClockError::Unsettled));
}

#[test]
fn the_shared_page_is_asked_for_by_frame() {
    let xen = Fake(|number, [op, address, c, d, e]: [u64; 5]| {
        assert_eq!((number, op, c, d, e), (12, 7, 0, 0, 0));
        // SAFETY: `map_shared_info` passes its own `AddToPhysmap`.
        let arg = unsafe { &*with_exposed_provenance::<AddToPhysmap>(address as usize) };
        assert_eq!((arg.domid, arg.size, arg.space, arg.idx, arg.gpfn), (0x7ff0, 0, 0, 0, 0x123));
        0
    });
    assert_eq!(shared::map_shared_info(&xen, 0x123), Ok(()));
    assert_eq!(shared::map_shared_info(&refusing(22), 0x123), Err(Error::EINVAL));
}
