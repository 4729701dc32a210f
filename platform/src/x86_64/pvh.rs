//! PVH: reads the boot data that Xen hands to a guest, and QEMU in the same format.
//!
//! The loader enters in 32-bit protected mode with EBX = physical address of an `hvm_start_info`.
//! Everything in it is an address and a count supplied from outside, so every read is checked
//! against what is mapped, and every list has a limit. Texts and lists are copied, since QEMU's
//! firmware puts them into page 0, which will be unmapped; modules stay where they are and are
//! reserved in the memory map. Layouts: Xen's public header `arch-x86/hvm/start_info.h` (interface, MIT).
//!
//! ```text
//! hvm_start_info  0 magic   4 version  8 flags      12 nr_modules  16 modlist  24 cmdline  32 rsdp
//! (version 1)    40 memmap 48 memmap_entries        52 reserved
//! module          0 paddr   8 size    16 cmdline    24 reserved                           32 bytes
//! memmap entry    0 addr    8 size    16 type       20 reserved                           24 bytes
//! ```

use core::fmt;

use freestone_rt::number::Hex;

use super::page_table::format::HIGHEST;
use crate::boot_info::{Loaded, MAX_MODULES, Protocol};
use crate::memory::map::{Kind, MemoryMap};

const MAGIC: u32 = 0x336e_c578;
const START_INFO_V0_BYTES: usize = 40;
const START_INFO_V1_BYTES: usize = 56;
const MODULE_BYTES: usize = 32;
const MEMMAP_ENTRY_BYTES: usize = 24;

/// Room for all command lines together; what does not fit is cut.
pub const TEXT_BYTES: usize = 4096;

/// Physical memory as the boot code can read it.
pub trait Physical {
    /// The `len` bytes at `address`, or `None` if they are not all readable.
    fn bytes(&self, address: u64, len: usize) -> Option<&'static [u8]>;
}

/// Why the boot data cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The start info, or something it points to, lies where nothing is mapped at boot.
    OutOfReach(&'static str, u64),
    /// The magic number is not PVH's: the image was not started by this protocol.
    NotPvh(u32),
    /// No usable memory was reported: version 0 has no memory map, and no hypervisor had one.
    NoMemory,
    /// More regions or ranges than the memory map can remember.
    TooMuch,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Strings are written, not formatted: `{}` of a string brings in padding code.
            Error::OutOfReach(what, address) => {
                f.write_str(what)?;
                write!(f, " at 0x{} is outside what the boot code can read", Hex(*address))
            }
            Error::NotPvh(magic) => {
                let magic = Hex(u64::from(*magic));
                write!(f, "not started by PVH (magic {magic}): use QEMU's -kernel or Xen")
            }
            Error::NoMemory => f.write_str("the loader reported no usable memory"),
            Error::TooMuch => f.write_str("too many memory regions or modules"),
        }
    }
}

/// What a loader told, read and checked: a `hvm_start_info`, or what another protocol has for it.
#[derive(Debug)]
pub struct StartInfo {
    /// By which protocol it came, and of PVH's which version: 0 or 1 (a later one is read as 1: the layout only grows).
    pub protocol: Protocol,
    /// Without the final zero.
    pub command_line: &'static [u8],
    /// The modules, as many as are kept.
    pub modules: [Loaded; MAX_MODULES],
    /// How many of them there are.
    pub module_count: usize,
    /// Physical address of the ACPI root pointer.
    pub rsdp: Option<u64>,
    /// Regions from version 1, none from version 0; all that must stay is reserved in it.
    pub memory: MemoryMap,
}

impl StartInfo {
    /// Nothing yet.
    #[inline(always)] // So that it is made in place.
    pub const fn new(protocol: Protocol) -> StartInfo {
        StartInfo {
            protocol,
            command_line: &[],
            modules: [Loaded::NOTHING; MAX_MODULES],
            module_count: 0,
            rsdp: None,
            memory: MemoryMap::new(),
        }
    }

    /// By which protocol it came.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Reads the start info at `address`; command lines are copied into `texts`.
    pub fn read(
        physical: &impl Physical,
        address: u64,
        texts: &'static mut [u8],
    ) -> Result<StartInfo, Error> {
        let mut texts = Texts(texts);
        let head = fetch(physical, "start info", address, START_INFO_V0_BYTES)?;
        if word(head, 0) != MAGIC {
            return Err(Error::NotPvh(word(head, 0)));
        }
        let version = word(head, 4);
        let mut info = StartInfo::new(Protocol::Pvh { version });
        info.rsdp = Some(long(head, 32)).filter(|&rsdp| rsdp != 0);
        info.command_line = texts.copy(physical, "command line", long(head, 24))?;
        info.read_modules(physical, long(head, 16), word(head, 12), &mut texts)?;
        if version >= 1 {
            let head = fetch(physical, "start info", address, START_INFO_V1_BYTES)?;
            info.read_memory_map(physical, long(head, 40), word(head, 48))?;
        }
        Ok(info)
    }

    fn read_modules(
        &mut self,
        from: &impl Physical,
        list: u64,
        count: u32,
        texts: &mut Texts,
    ) -> Result<(), Error> {
        let count = (count as usize).min(MAX_MODULES);
        if count == 0 {
            return Ok(());
        }
        let entries = fetch(from, "module list", list, count * MODULE_BYTES)?;
        for (slot, entry) in self.modules.iter_mut().zip(entries.chunks_exact(MODULE_BYTES)) {
            let (start, size) = (long(entry, 0), long(entry, 8));
            let end = start.checked_add(size).ok_or(Error::OutOfReach("module", start))?;
            if !self.memory.reserve(start..end) {
                return Err(Error::TooMuch);
            }
            let command_line = texts.copy(from, "module command line", long(entry, 16))?;
            *slot = Loaded { start, end, command_line: Some(command_line) };
            self.module_count += 1;
        }
        Ok(())
    }

    fn read_memory_map(
        &mut self,
        from: &impl Physical,
        list: u64,
        count: u32,
    ) -> Result<(), Error> {
        // A list of which a part is ignored is a list that says something else.
        const MOST_ENTRIES: u32 = 1024;
        if count > MOST_ENTRIES {
            return Err(Error::TooMuch);
        }
        let entries = fetch(from, "memory map", list, count as usize * MEMMAP_ENTRY_BYTES)?;
        for entry in entries.chunks_exact(MEMMAP_ENTRY_BYTES) {
            let (start, len) = (long(entry, 0), long(entry, 8));
            self.add_region(start, len, word(entry, 16))?;
        }
        Ok(())
    }

    /// Adds a region of the loader's, `kind` by its number in ACPI.
    #[inline(always)] // In each reader's loop, which is once in an image.
    pub fn add_region(&mut self, start: u64, len: u64, kind: u32) -> Result<(), Error> {
        // RAM that no table can map is none for us.
        let kind = match Kind::from(kind) {
            Kind::Usable if start.saturating_add(len) > HIGHEST => Kind::Reserved,
            kind => kind,
        };
        if !self.memory.add(start, len, kind) {
            return Err(Error::TooMuch);
        }
        Ok(())
    }

    /// The first module that is not all in one usable region, and so might not be mapped.
    pub fn stray_module(&self) -> Option<&Loaded> {
        let modules = self.modules.get(..self.module_count)?;
        modules.iter().find(|module| {
            let range = module.start..module.end;
            !range.is_empty() && !self.memory.is_usable(&range)
        })
    }
}

/// Where command lines are copied to: what is left of the room for them.
pub struct Texts(pub &'static mut [u8]);

impl Texts {
    /// Copies the zero-terminated text at `address`; an address of 0 means there is none.
    fn copy(
        &mut self,
        from: &impl Physical,
        what: &'static str,
        address: u64,
    ) -> Result<&'static [u8], Error> {
        if address == 0 {
            return Ok(&[]);
        }
        let mut len = 0;
        for (slot, at) in self.0.iter_mut().zip((0..).map(|offset| address.wrapping_add(offset))) {
            match fetch(from, what, at, 1)? {
                [0] => break,
                byte => *slot = byte.first().copied().unwrap_or(0),
            }
            len += 1;
        }
        Ok(self.take(len))
    }

    /// Copies a text, up to its zero or its end.
    pub fn keep(&mut self, text: &[u8]) -> &'static [u8] {
        let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
        let mut len = 0;
        for (slot, byte) in self.0.iter_mut().zip(text) {
            *slot = *byte;
            len += 1;
        }
        self.take(len)
    }

    /// What has been copied to the begin of the room.
    #[inline]
    fn take(&mut self, len: usize) -> &'static [u8] {
        let all = core::mem::take(&mut self.0);
        // It cannot be longer, which the compiler does not see.
        let (text, rest) = all.split_at_mut_checked(len).unwrap_or_default();
        self.0 = rest;
        text
    }
}

pub fn fetch(
    from: &impl Physical,
    what: &'static str,
    address: u64,
    len: usize,
) -> Result<&'static [u8], Error> {
    from.bytes(address, len).ok_or(Error::OutOfReach(what, address))
}

/// The little-endian 32-bit word at `offset`; 0 past the end, which `fetch` has ruled out.
#[inline(always)]
pub fn word(bytes: &[u8], offset: usize) -> u32 {
    let field = bytes.get(offset..).and_then(|rest| rest.first_chunk());
    field.map_or(0, |field| u32::from_le_bytes(*field))
}

/// The little-endian 64-bit word at `offset`; 0 past the end, which `fetch` has ruled out.
#[inline(always)]
pub fn long(bytes: &[u8], offset: usize) -> u64 {
    let field = bytes.get(offset..).and_then(|rest| rest.first_chunk());
    field.map_or(0, |field| u64::from_le_bytes(*field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;
    use std::{format, vec};

    /// Memory that begins at `BASE`; what is outside is not readable.
    struct Memory(&'static [u8]);
    const BASE: u64 = 0x8000;

    impl Physical for Memory {
        fn bytes(&self, address: u64, len: usize) -> Option<&'static [u8]> {
            let start = usize::try_from(address.checked_sub(BASE)?).ok()?;
            self.0.get(start..start.checked_add(len)?)
        }
    }

    const COMMAND_LINE: u64 = BASE + 0x100;
    const MODULES: u64 = BASE + 0x200;
    const MEMMAP: u64 = BASE + 0x300;
    const MODULE: u64 = BASE + 0x400;
    const MODULE_TEXT: u64 = BASE + 0x7f0;

    fn good(version: u32) -> Vec<u8> {
        let mut memory = vec![0_u8; 0x800];
        let mut put = |at: u64, bytes: &[u8]| {
            let at = (at - BASE) as usize;
            memory[at..at + bytes.len()].copy_from_slice(bytes);
        };
        put(BASE, &MAGIC.to_le_bytes());
        put(BASE + 4, &version.to_le_bytes());
        put(BASE + 12, &1_u32.to_le_bytes());
        put(BASE + 16, &MODULES.to_le_bytes());
        put(BASE + 24, &COMMAND_LINE.to_le_bytes());
        put(BASE + 32, &0xf_0000_u64.to_le_bytes());
        put(BASE + 40, &MEMMAP.to_le_bytes());
        put(BASE + 48, &2_u32.to_le_bytes());
        put(COMMAND_LINE, b"oneshot key=value\0junk");
        put(MODULES, &MODULE.to_le_bytes());
        put(MODULES + 8, &5_u64.to_le_bytes());
        put(MODULES + 16, &MODULE_TEXT.to_le_bytes());
        put(MODULE, b"hello");
        put(MODULE_TEXT, b"a module\0");
        put(MEMMAP + 8, &0x9_0000_u64.to_le_bytes());
        put(MEMMAP + 16, &1_u32.to_le_bytes());
        put(MEMMAP + 24, &0x9_0000_u64.to_le_bytes());
        put(MEMMAP + 32, &0x1000_u64.to_le_bytes());
        put(MEMMAP + 40, &2_u32.to_le_bytes());
        memory
    }

    fn read(memory: Vec<u8>) -> Result<StartInfo, Error> {
        StartInfo::read(&Memory(memory.leak()), BASE, vec![0; TEXT_BYTES].leak())
    }

    #[test]
    fn reads_version_1_and_keeps_what_it_points_to() {
        let info = read(good(1)).unwrap();
        assert_eq!((info.protocol, info.rsdp), (Protocol::Pvh { version: 1 }, Some(0xf_0000)));
        assert_eq!(info.command_line, b"oneshot key=value");
        let expected = Loaded { start: MODULE, end: MODULE + 5, command_line: Some(b"a module") };
        assert_eq!(info.modules[0], expected);
        assert_eq!(info.modules[1], Loaded::NOTHING);
        assert_eq!(info.memory.regions().len(), 2);
        assert!(
            !info.memory.free().any(|free| free.contains(&MODULE)),
            "a module's memory is free"
        );
        assert!(info.memory.free().any(|free| free.contains(&0x1000)));
    }

    #[test]
    fn reads_version_0_without_a_memory_map() {
        let mut memory = good(0);
        memory[40..56].fill(0xff);
        let info = read(memory).unwrap();
        assert_eq!(info.protocol, Protocol::Pvh { version: 0 });
        assert!(info.memory.regions().is_empty());
        assert_eq!(info.modules[0].start, MODULE);
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        let mut memory = good(1);
        memory[0] = 0;
        let error = read(memory).unwrap_err();
        assert_eq!(error, Error::NotPvh(MAGIC & !0xff));
        assert!(format!("{error}").contains("not started by PVH"));
        let memory = Memory(good(1).leak());
        let out = StartInfo::read(&memory, BASE + 0x7f0, &mut []).unwrap_err();
        assert_eq!(out, Error::OutOfReach("start info", BASE + 0x7f0));
        for (field, what) in [(16, "module list"), (24, "command line"), (40, "memory map")] {
            let mut memory = good(1);
            memory[field..field + 8].copy_from_slice(&u64::MAX.to_le_bytes());
            assert_eq!(read(memory).unwrap_err(), Error::OutOfReach(what, u64::MAX));
        }
    }

    #[test]
    fn long_command_lines_are_cut() {
        let memory = Memory(good(1).leak());
        let info = StartInfo::read(&memory, BASE, vec![0; 10].leak()).unwrap();
        assert_eq!(info.command_line, b"oneshot ke");
        assert_eq!(info.modules[0].command_line, Some(&b""[..]));
    }

    #[test]
    fn modules_must_lie_in_ram() {
        let (start, end) = (MODULE, MODULE + 5);
        for (region, stray) in [(start..end, false), (start + 1..end, true), (start..end - 1, true)]
        {
            let mut info = read(good(0)).unwrap();
            assert!(info.stray_module().is_some());
            assert!(info.memory.add(region.start, region.end - region.start, Kind::Usable));
            assert_eq!(info.stray_module().is_some(), stray);
        }
        let mut empty = good(1);
        empty[0x208..0x210].fill(0);
        assert_eq!(read(empty).unwrap().stray_module(), None);
    }

    #[test]
    fn a_list_too_long_to_remember_is_refused() {
        let mut memory = good(1);
        memory[48..52].copy_from_slice(&5000_u32.to_le_bytes());
        assert_eq!(read(memory).unwrap_err(), Error::TooMuch);
        // A region of another kind that does not fit would be forgotten.
        let mut memory = good(1);
        memory.resize(0x4000, 0);
        memory[40..48].copy_from_slice(&(BASE + 0x800).to_le_bytes());
        memory[48..52].copy_from_slice(&100_u32.to_le_bytes());
        for entry in memory[0x800..0x800 + 100 * MEMMAP_ENTRY_BYTES].chunks_mut(MEMMAP_ENTRY_BYTES)
        {
            entry[8] = 1;
            entry[16] = 2;
        }
        assert_eq!(read(memory).unwrap_err(), Error::TooMuch);
    }

    #[test]
    fn every_flipped_byte_gives_an_answer() {
        for at in 0..0x320 {
            for flip in [0x01, 0x80, 0xff] {
                let mut memory = good(1);
                memory[at] ^= flip;
                let _ = read(memory);
            }
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(400))]

        /// Whatever the loader wrote: an answer, and no memory that the map forbids.
        #[test]
        fn any_start_info_gives_an_answer(
            noise in proptest::collection::vec((0..0x400_usize, proptest::prelude::any::<u8>()), 0..40),
            entries in proptest::collection::vec(
                (proptest::prelude::any::<u64>(), proptest::prelude::any::<u64>(), 0..7_u32), 0..20),
            version in 0..3_u32,
        ) {
            let mut memory = good(version);
            for (number, (start, len, kind)) in entries.iter().enumerate() {
                let at = 0x300 + number * MEMMAP_ENTRY_BYTES;
                // Large and small, overlapping or not.
                let (start, len) = (start >> (start % 60), len >> (len % 60));
                if at + MEMMAP_ENTRY_BYTES <= 0x400 {
                    memory[at..at + 8].copy_from_slice(&start.to_le_bytes());
                    memory[at + 8..at + 16].copy_from_slice(&len.to_le_bytes());
                    memory[at + 16..at + 20].copy_from_slice(&kind.to_le_bytes());
                }
            }
            memory[48..52].copy_from_slice(&(entries.len().min(10) as u32).to_le_bytes());
            for (at, byte) in noise {
                memory[at] = byte;
            }
            if let Ok(info) = read(memory) {
                let mut ranges = 0;
                for free in info.memory.free() {
                    ranges += 1;
                    proptest::prop_assert!(!free.is_empty() && ranges < 4096);
                    let taken = |region: &crate::memory::Region| {
                        region.kind != Kind::Usable && region.start < free.end && free.start < region.end
                    };
                    proptest::prop_assert!(!info.memory.regions().iter().any(taken));
                }
                proptest::prop_assert!(info.command_line.len() <= TEXT_BYTES);
            }
        }
    }

    #[test]
    fn command_lines_of_nothing_and_of_4096_bytes_of_junk() {
        for (text, len) in [(vec![0_u8], 0), (vec![0xa5; 4096], 4096), (vec![7; 9000], 4096)] {
            let mut memory = good(1);
            let at = BASE + memory.len() as u64;
            memory[24..32].copy_from_slice(&at.to_le_bytes());
            // No module, whose text would have to share the room.
            memory[12..16].fill(0);
            memory.extend(&text);
            memory.push(0);
            let info = read(memory).unwrap();
            assert_eq!(info.command_line, &text[..len]);
        }
        // A text that never ends ends where nothing can be read.
        let mut memory = good(1);
        let at = BASE + memory.len() as u64;
        memory[24..32].copy_from_slice(&at.to_le_bytes());
        memory.extend([b'x'; 100]);
        assert_eq!(read(memory).unwrap_err(), Error::OutOfReach("command line", at + 100));
    }
}
