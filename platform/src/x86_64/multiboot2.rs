//! Multiboot2: reads the boot data that GRUB, and other loaders of this protocol, hand to a kernel.
//!
//! It is one block of memory: a length, then tags, each with its type and its size. Everything in it comes from outside: no
//! tag may reach past the block, the block not past what is mapped, and every list has a limit. Nothing of it stays where it is:
//! texts are copied, and so is ACPI's root pointer, which the loader has copied into a tag without saying where it found it.
//! Modules stay in place and are reserved in the memory map.
//!
//! Source: Multiboot2 specification 2.0, 3.6 (boot information format).
//!
//! ```text
//! block      0 total size    4 reserved           8 tags, each aligned to 8; type 0 ends them
//! tag        0 type          4 size, without what aligns the next
//!   1 text           8 command line, ends in zero
//!   3 module         8 start        12 end         16 command line, ends in zero
//!   6 memory map     8 entry size   12 version     16 entries: 0 base   8 length   16 type   20 reserved
//!  14, 15 ACPI       8 root pointer of version 1, of 2 or later
//! ```

use super::pvh::{Error, Physical, StartInfo, Texts, fetch, long, word};
use crate::boot_info::{Loaded, Protocol};

const HEAD: usize = 8;
const END: u32 = 0;
const COMMAND_LINE: u32 = 1;
const MODULE: u32 = 3;
const MEMORY_MAP: u32 = 6;
const OLD_ROOT_POINTER: u32 = 14;
const ROOT_POINTER: u32 = 15;

/// The smallest entry of the memory map; later versions may append fields.
const ENTRY_BYTES: usize = 24;

/// More than any loader says: EFI's own memory map may be in it, and ELF section headers.
const MOST_BYTES: usize = 1 << 20;
/// As many regions as are read of PVH's.
const MOST_ENTRIES: usize = 1024;

const BLOCK: &str = "Multiboot2 information";
const TAG: &str = "the end of a Multiboot2 tag";

/// What was read.
#[derive(Debug)]
pub struct Information {
    /// All but ACPI's root pointer.
    pub start: StartInfo,
    /// The root pointer itself, in the loader's memory.
    pub rsdp: Option<&'static [u8]>,
}

/// Reads the block at `address`; command lines are copied into `texts`.
pub fn read(
    physical: &impl Physical,
    address: u64,
    texts: &'static mut [u8],
) -> Result<Information, Error> {
    let mut texts = Texts(texts);
    let total = word(fetch(physical, BLOCK, address, HEAD)?, 0) as usize;
    if total > MOST_BYTES {
        return Err(Error::TooMuch);
    }
    let block = fetch(physical, BLOCK, address, total)?;
    let mut info = Information { start: StartInfo::new(Protocol::Multiboot2), rsdp: None };
    let mut at = HEAD;
    loop {
        let broken = Error::OutOfReach(TAG, address.saturating_add(at as u64));
        let rest = block.get(at..).filter(|rest| rest.len() >= HEAD).ok_or(broken)?;
        let (kind, size) = (word(rest, 0), word(rest, 4) as usize);
        let content = rest.get(HEAD..size).ok_or(broken)?;
        if kind == END {
            return Ok(info);
        }
        info.take(kind, content, broken, &mut texts)?;
        at = at.saturating_add(size).saturating_add(HEAD - 1) & !(HEAD - 1);
    }
}

impl Information {
    fn take(
        &mut self,
        kind: u32,
        content: &'static [u8],
        broken: Error,
        texts: &mut Texts,
    ) -> Result<(), Error> {
        match kind {
            COMMAND_LINE => self.start.command_line = texts.keep(content),
            MODULE => {
                let text = content.get(8..).ok_or(broken)?;
                return self.module(word(content, 0), word(content, 4), text, texts);
            }
            MEMORY_MAP => {
                let entries = content.get(8..).ok_or(broken)?;
                return self.memory_map(word(content, 0) as usize, entries, broken);
            }
            ROOT_POINTER => self.rsdp = Some(content),
            // The other, if there are both, leads to more.
            OLD_ROOT_POINTER if self.rsdp.is_none() => self.rsdp = Some(content),
            _ => {}
        }
        Ok(())
    }

    fn module(
        &mut self,
        start: u32,
        end: u32,
        text: &[u8],
        texts: &mut Texts,
    ) -> Result<(), Error> {
        let (start, end) = (u64::from(start), u64::from(end));
        // Those that are not kept are nobody's, as with PVH.
        let Some(slot) = self.start.modules.get_mut(self.start.module_count) else { return Ok(()) };
        if end < start {
            return Err(Error::OutOfReach("module", start));
        }
        if !self.start.memory.reserve(start..end) {
            return Err(Error::TooMuch);
        }
        *slot = Loaded { start, end, command_line: Some(texts.keep(text)) };
        self.start.module_count += 1;
        Ok(())
    }

    fn memory_map(
        &mut self,
        entry_bytes: usize,
        entries: &[u8],
        broken: Error,
    ) -> Result<(), Error> {
        if entry_bytes < ENTRY_BYTES {
            return Err(broken);
        }
        if entries.len() / entry_bytes > MOST_ENTRIES {
            return Err(Error::TooMuch);
        }
        for entry in entries.chunks_exact(entry_bytes) {
            self.start.add_region(long(entry, 0), long(entry, 8), word(entry, 16))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::pvh::TEXT_BYTES;
    use super::*;
    use crate::memory::map::Kind;
    use std::vec;
    use std::vec::Vec;

    const BASE: u64 = 0x8000;

    struct Memory(&'static [u8]);

    impl Physical for Memory {
        fn bytes(&self, address: u64, len: usize) -> Option<&'static [u8]> {
            let start = usize::try_from(address.checked_sub(BASE)?).ok()?;
            self.0.get(start..start.checked_add(len)?)
        }
    }

    fn tag(kind: u32, content: &[u8]) -> Vec<u8> {
        let size = (HEAD + content.len()) as u32;
        let mut bytes = [kind.to_le_bytes(), size.to_le_bytes()].concat();
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    fn block(tags: &[Vec<u8>]) -> Vec<u8> {
        let tags = tags.concat();
        let mut bytes = (HEAD as u32 + tags.len() as u32).to_le_bytes().to_vec();
        bytes.extend([0; 4]);
        bytes.extend(tags);
        bytes
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn good() -> Vec<u8> {
        let mut map = words(&[24, 0]);
        map.extend(words(&[0, 0, 0x9_0000, 0, 1, 0]));
        map.extend(words(&[0x10_0000, 0, 0x700_0000, 0, 1, 0]));
        map.extend(words(&[0xffff_0000, 0, 0x1_0000, 0, 2, 0]));
        let module = [words(&[0x20_0000, 0x20_0005]), b"a module\0".to_vec()].concat();
        block(&[
            tag(COMMAND_LINE, b"oneshot key=value\0junk"),
            tag(2, b"GRUB\0"),
            tag(MODULE, &module),
            tag(MEMORY_MAP, &map),
            tag(OLD_ROOT_POINTER, &[1; 20]),
            tag(ROOT_POINTER, &[2; 36]),
            tag(END, b""),
        ])
    }

    fn read(memory: Vec<u8>) -> Result<Information, Error> {
        super::read(&Memory(memory.leak()), BASE, vec![0; TEXT_BYTES].leak())
    }

    #[test]
    fn every_tag_that_matters_is_read() {
        let Information { start, rsdp } = read(good()).unwrap();
        assert_eq!(start.protocol, Protocol::Multiboot2);
        assert_eq!(start.command_line, b"oneshot key=value");
        let module = Loaded { start: 0x20_0000, end: 0x20_0005, command_line: Some(b"a module") };
        assert_eq!((start.modules[0], start.module_count), (module, 1));
        assert_eq!(rsdp, Some(&[2; 36][..]));
        assert_eq!(start.memory.regions().len(), 3);
        assert_eq!(start.memory.regions()[2].kind, Kind::Reserved);
        assert!(start.stray_module().is_none());
        assert!(!start.memory.free().any(|free| free.contains(&0x20_0000)));
        assert!(start.memory.free().any(|free| free.contains(&0x20_0005)));
    }

    #[test]
    fn an_old_root_pointer_does_where_there_is_no_other() {
        let pointer = |tags: &[Vec<u8>]| read(block(tags)).unwrap().rsdp;
        let (old, new) = (tag(OLD_ROOT_POINTER, &[1; 20]), tag(ROOT_POINTER, &[2; 36]));
        let end = tag(END, b"");
        assert_eq!(pointer(&[old.clone(), end.clone()]), Some(&[1; 20][..]));
        assert_eq!(pointer(&[new, old, end.clone()]), Some(&[2; 36][..]));
        assert_eq!(pointer(&[end]), None);
    }

    #[test]
    fn what_reaches_past_its_end_is_refused() {
        let error = |bytes: Vec<u8>| read(bytes).unwrap_err();
        let cut = |at| Error::OutOfReach(TAG, BASE + at);
        // No tag ends the list; one is cut, or shorter than its own head.
        assert_eq!(error(block(&[])), cut(8));
        assert_eq!(error(block(&[tag(2, b"GRUB\0")])), cut(24));
        for size in [0, 7, 17, u32::MAX] {
            let mut bytes = block(&[tag(END, b"")]);
            bytes[12..16].copy_from_slice(&size.to_le_bytes());
            assert_eq!(error(bytes), cut(8), "{size}");
        }
        // The block is not all there, is shorter than its head, or longer than any.
        for (total, why) in [
            (0, cut(8)),
            (7, cut(8)),
            (1000, Error::OutOfReach(BLOCK, BASE)),
            (u32::MAX, Error::TooMuch),
        ] {
            let mut bytes = good();
            bytes.truncate(900);
            bytes[..4].copy_from_slice(&total.to_le_bytes());
            assert_eq!(error(bytes), why, "{total}");
        }
        let out = super::read(&Memory(&[0; 7]), BASE, &mut []).unwrap_err();
        assert_eq!(out, Error::OutOfReach(BLOCK, BASE));
        for (kind, content) in [(MODULE, words(&[0])), (MEMORY_MAP, words(&[24]))] {
            assert_eq!(error(block(&[tag(kind, &content)])), cut(8), "{kind}");
        }
    }

    #[test]
    fn lists_that_mean_nothing_are_refused() {
        let error =
            |kind, content: &[u8]| read(block(&[tag(kind, content), tag(END, b"")])).unwrap_err();
        for size in [0, 8, 23] {
            let map = [words(&[size, 0]), vec![0; 48]].concat();
            assert_eq!(error(MEMORY_MAP, &map), Error::OutOfReach(TAG, BASE + 8), "{size}");
        }
        let long = [words(&[24, 0]), vec![0; 24 * (MOST_ENTRIES + 1)]].concat();
        assert_eq!(error(MEMORY_MAP, &long), Error::TooMuch);
        let backwards = words(&[0x20_0005, 0x20_0000]);
        assert_eq!(error(MODULE, &backwards), Error::OutOfReach("module", 0x20_0005));
        let many = tag(MODULE, &words(&[0x20_0000, 0x20_0001]));
        let mut tags = vec![many; 20];
        tags.push(tag(END, b""));
        assert_eq!(read(block(&tags)).unwrap().start.module_count, 8);
    }

    #[test]
    fn every_flipped_byte_gives_an_answer() {
        let all = good();
        for at in 0..all.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = all.clone();
                bytes[at] ^= flip;
                if let Ok(info) = read(bytes) {
                    for free in info.start.memory.free() {
                        assert!(!free.is_empty(), "byte {at}");
                    }
                }
            }
            // Cut off, where the length is right and where it is not.
            let mut cut = all[..at].to_vec();
            let _ = read(cut.clone());
            if at >= 4 {
                cut[..4].copy_from_slice(&(at as u32).to_le_bytes());
                assert!(read(cut).is_err(), "{at} bytes");
            }
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(400))]

        /// Whatever the loader wrote: an answer, and no memory that the map forbids.
        #[test]
        fn any_block_gives_an_answer(
            noise in proptest::collection::vec((8..400_usize, proptest::prelude::any::<u8>()), 0..40),
        ) {
            let mut bytes = good();
            for (at, byte) in noise {
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
            if let Ok(info) = read(bytes) {
                let regions = info.start.memory.regions();
                for free in info.start.memory.free() {
                    let taken = |region: &crate::memory::Region| {
                        region.kind != Kind::Usable && region.start < free.end && free.start < region.end
                    };
                    proptest::prop_assert!(!free.is_empty() && !regions.iter().any(taken));
                }
                proptest::prop_assert!(info.start.command_line.len() <= TEXT_BYTES);
            }
        }
    }
}
