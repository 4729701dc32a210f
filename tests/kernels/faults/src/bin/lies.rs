//! A kernel whose loader reports false data. Each `lie_*` is an entry in front of the real one, which replaces the loader's
//! start info by its own; `tests/lies.rs` makes one of them the entry of the image. The kernel prints the boot data that it has
//! accepted, uses it, and audits its page tables at the end.
#![no_std]
#![no_main]

extern crate alloc;

use core::arch::global_asm;
use core::hint::black_box;
use core::ptr::null;

use freestone::{BootInfo, Exit, println};

freestone::entry!(main, audit: exit);

/// `hvm_start_info` of Xen's `public/arch-x86/hvm/start_info.h`, and an entry of its memory map.
#[repr(C)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    modules: u32,
    module_list: *const u8,
    command_line: *const u8,
    rsdp: u64,
    memory_map: *const Region,
    regions: u32,
    reserved: u32,
}

// SAFETY: never written.
unsafe impl Sync for StartInfo {}

#[repr(C)]
struct Region(u64, u64, u32, u32);

const RAM: u32 = 1;
const RESERVED: u32 = 2;
const MIB: u64 = 1 << 20;
const NOWHERE: *const u8 = 0xffff_ffff_ffff_f000 as *const u8;

const fn plain(map: &'static [Region]) -> StartInfo {
    StartInfo {
        magic: 0x336e_c578,
        version: 1,
        flags: 0,
        modules: 0,
        module_list: null(),
        command_line: c"told".as_ptr().cast(),
        rsdp: 0,
        memory_map: map.as_ptr(),
        regions: map.len() as u32,
        reserved: 0,
    }
}

/// What a machine of 64 MiB has.
static TRUTH: [Region; 2] = [Region(0, 0x9_fc00, RAM, 0), Region(MIB, 63 * MIB, RAM, 0)];
/// Holes, overlaps, bounds inside of pages, regions of a byte and of none, in no order, and one around the end.
static MAP: [Region; 12] = [
    Region(40 * MIB + 123, 20 * MIB + 1001, RAM, 0),
    Region(0, 0x9_fc00, RAM, 0),
    Region(MIB, 20 * MIB, RAM, 0),
    Region(10 * MIB, 15 * MIB, RAM, 0),
    Region(12 * MIB + 1, 1, RESERVED, 0),
    Region(14 * MIB + 17, 4096, RESERVED, 0),
    Region(50 * MIB, 0, RAM, 0),
    Region(61 * MIB, 1, RAM, 0),
    Region(63 * MIB, 4095, RAM, 0),
    Region(u64::MAX - 4095, 8192, RAM, 0),
    Region(u64::MAX, u64::MAX, RESERVED, 0),
    Region(0, u64::MAX, 99, 0),
];
static HOLES: [Region; 11] = {
    let mut holes = [const { Region(0, 0, RAM, 0) }; 11];
    let mut at = 0;
    while at < 11 {
        holes[at] = Region(MAP[at].0, MAP[at].1, MAP[at].2, 0);
        at += 1;
    }
    holes
};
/// All of it is reserved as well.
static NOTHING: [Region; 3] =
    [Region(0, 64 * MIB, RESERVED, 0), Region(MIB, 63 * MIB, RAM, 0), Region(0, MIB, RESERVED, 0)];
/// The image lies elsewhere.
static ELSEWHERE: [Region; 1] = [Region(32 * MIB, 8 * MIB, RAM, 0)];
/// Not a whole page, beside the image.
static TINY: [Region; 2] = [Region(0, 4095, RAM, 0), Region(32 * MIB + 1, 4096, RAM, 0)];
/// More than the machine has.
static MORE: [Region; 2] = [Region(0, 0x9_fc00, RAM, 0), Region(MIB, 4096 * MIB, RAM, 0)];
/// Where no table can map it.
static HIGH: [Region; 3] =
    [Region(0, 0x9_fc00, RAM, 0), Region(MIB, 63 * MIB, RAM, 0), Region(1 << 51, MIB, RAM, 0)];
static MANY: [Region; 400] = {
    let mut many = [const { Region(0, 0, RAM, 0) }; 400];
    let mut at = 0;
    while at < 400 {
        many[at] = Region(MIB + at as u64 * 3 * 4096, 4096, RAM, 0);
        at += 1;
    }
    many
};

macro_rules! lies {
    ($($name:ident: $start_info:expr;)*) => {
        mod told {
            use super::*;
            $(#[expect(non_upper_case_globals, reason = "named as its entry")]
            pub static $name: StartInfo = $start_info;)*
        }
        unsafe extern "C" {
            $(fn $name();)*
        }
        $(global_asm!(
            ".code32",
            concat!(".globl ", stringify!($name)),
            concat!(stringify!($name), ":"),
            "mov ebx, offset {told}",
            "jmp freestone_pvh_entry",
            ".code64",
            told = sym told::$name,
        );)*

        /// Keeps the entries in the image.
        fn all() -> impl Sized {
            [$($name as *const ()),*]
        }
    };
}

lies! {
    lie_truth: plain(&TRUTH);
    lie_holes: plain(&HOLES);
    lie_overlap_all: plain(&MAP);
    lie_nothing: plain(&NOTHING);
    lie_elsewhere: plain(&ELSEWHERE);
    lie_tiny: plain(&TINY);
    lie_many: plain(&MANY);
    lie_more: plain(&MORE);
    lie_high: plain(&HIGH);
    lie_magic: StartInfo { magic: 0x2bad_b002, ..plain(&TRUTH) };
    lie_version_0: StartInfo { version: 0, ..plain(&TRUTH) };
    lie_version_9: StartInfo { version: 9, ..plain(&TRUTH) };
    lie_map_nowhere: StartInfo { memory_map: NOWHERE.cast(), ..plain(&TRUTH) };
    lie_map_null: StartInfo { memory_map: null(), ..plain(&TRUTH) };
    lie_map_endless: StartInfo { regions: u32::MAX, ..plain(&TRUTH) };
    lie_command_line: StartInfo { command_line: NOWHERE, ..plain(&TRUTH) };
    lie_modules: StartInfo { modules: u32::MAX, module_list: NOWHERE, ..plain(&TRUTH) };
    lie_modules_null: StartInfo { modules: 3, module_list: null(), ..plain(&TRUTH) };
    lie_rsdp: StartInfo { rsdp: u64::MAX, ..plain(&TRUTH) };
}

// No start info at all.
global_asm!(
    ".code32",
    ".globl lie_null",
    "lie_null:",
    "xor ebx, ebx",
    "jmp freestone_pvh_entry",
    ".globl lie_nowhere",
    "lie_nowhere:",
    "mov ebx, 0xfffff000",
    "jmp freestone_pvh_entry",
    ".code64",
);

fn main(boot: &'static BootInfo) -> Exit {
    black_box(all());
    let free: u64 = boot.memory().free().map(|range| range.end - range.start).sum();
    println!(
        "told {:?}, {} KiB usable, {} KiB free",
        boot.command_line(),
        boot.memory().usable_bytes() >> 10,
        free >> 10
    );
    let heap = alloc::vec![0x5a_u8; 64 << 10];
    assert!(heap.iter().all(|byte| *byte == 0x5a), "memory does not keep what it is given");
    println!("used");
    Exit::Success
}
