//! The image as it was linked: its own ELF program headers, which are the first bytes of it in memory.
//!
//! The headers say which parts are code, constants and variables, whatever sections the linker put into them, and loaders
//! read the same headers. So there is no second list of borders that could be wrong, and this library needs no symbol of a
//! kernel's linker script: it links on the host.
//!
//! Source: System V ABI, ELF-64 object file format, version 1.5, chapters 3 and 7.

use core::ops::Range;

use crate::memory::address::covering_pages;
use crate::once::Once;

/// An entry of the program header table.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct ProgramHeader {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    physical_address: u64,
    file_bytes: u64,
    memory_bytes: u64,
    alignment: u64,
}

const _: () = assert!(size_of::<ProgramHeader>() == 56);

const LOAD: u32 = 1;
const EXECUTE: u32 = 1 << 0;
const WRITE: u32 = 1 << 1;

/// Our linker script makes three parts.
const MAX_SEGMENTS: usize = 8;

/// A part of the image, in whole pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its first page.
    pub start: u64,
    /// The page behind its last.
    pub end: u64,
    /// Variables.
    pub writable: bool,
    /// Code.
    pub executable: bool,
}

/// The running image.
#[derive(Clone, Debug)]
pub struct Image {
    segments: [Segment; MAX_SEGMENTS],
    count: usize,
}

impl Image {
    /// An image without parts.
    pub(crate) const NONE: Image = Image {
        segments: [Segment { start: 0, end: 0, writable: false, executable: false }; MAX_SEGMENTS],
        count: 0,
    };

    /// Reads the image whose ELF header is at `start`. Returns whether all its parts could be remembered.
    ///
    /// # Safety
    ///
    /// - The image was loaded with its headers, at the address it was linked for, and stays for ever.
    #[must_use]
    pub(crate) unsafe fn read(&mut self, start: *const u8) -> bool {
        const TABLE_OFFSET: usize = 32;
        const TABLE_COUNT: usize = 56;
        // SAFETY: both fields lie in the 64-byte header, aligned as their types want.
        let (offset, count) = unsafe {
            let offset = start.add(TABLE_OFFSET).cast::<u64>().read();
            (offset as usize, start.add(TABLE_COUNT).cast::<u16>().read())
        };
        // SAFETY: the linker put the table there, 8-byte aligned, inside the first segment.
        let headers = unsafe {
            core::slice::from_raw_parts(start.add(offset).cast::<ProgramHeader>(), count.into())
        };
        self.take(headers)
    }

    fn take(&mut self, headers: &[ProgramHeader]) -> bool {
        for header in headers.iter().filter(|h| h.kind == LOAD && h.memory_bytes > 0) {
            let pages = covering_pages(header.address..header.address + header.memory_bytes);
            let Some(segment) = self.segments.get_mut(self.count) else { return false };
            *segment = Segment {
                start: pages.start,
                end: pages.end,
                writable: header.flags & WRITE != 0,
                executable: header.flags & EXECUTE != 0,
            };
            self.count += 1;
        }
        true
    }

    /// Its parts, in the linker's order, which is by address.
    pub fn segments(&self) -> &[Segment] {
        self.segments.get(..self.count).unwrap_or_default()
    }

    /// What may be a table of the functions' names: a part for reading behind the variables, which no linker
    /// makes. Empty if there is none.
    pub fn names(&'static self) -> &'static [u8] {
        let Some(last) = self.segments().last().filter(|last| !last.writable && !last.executable)
        else {
            return &[];
        };
        // SAFETY: loaded with the image, mapped to be read, and never written.
        unsafe {
            core::slice::from_raw_parts(last.start as *const u8, (last.end - last.start) as usize)
        }
    }

    /// From its first page to the end of its last.
    pub fn pages(&self) -> Range<u64> {
        let (first, last) = (self.segments().first(), self.segments().last());
        first.map_or(0, |segment| segment.start)..last.map_or(0, |segment| segment.end)
    }

    /// The part that holds `address`.
    pub fn segment_of(&self, address: u64) -> Option<&Segment> {
        self.segments().iter().find(|segment| (segment.start..segment.end).contains(&address))
    }

    /// Whether each page can have the permissions of its part: no part is code and variables at once,
    /// and no two parts share a page. The linker script sees to it; another script may not.
    pub(crate) fn is_separable(&self) -> bool {
        let mut end = 0;
        self.segments().iter().all(|segment| {
            let apart = segment.start >= end;
            end = segment.end;
            apart && !(segment.writable && segment.executable)
        })
    }
}

/// For [`boot`](crate::boot).
pub(crate) static IMAGE: Once<Image> = Once::new(Image::NONE);

/// The image that runs.
pub fn image() -> &'static Image {
    // SAFETY: `boot` wrote it before it called anything that asks; nobody has written since.
    unsafe { &*IMAGE.get() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;
    use std::vec::Vec;

    const READ: u32 = 1 << 2;
    const CONSTANTS: u32 = READ;
    const CODE: u32 = READ | EXECUTE;
    const VARIABLES: u32 = READ | WRITE;

    fn header(&(flags, address, memory_bytes): &(u32, u64, u64)) -> ProgramHeader {
        ProgramHeader {
            kind: LOAD,
            flags,
            offset: 0,
            address,
            physical_address: address,
            file_bytes: 0,
            memory_bytes,
            alignment: 4096,
        }
    }

    /// An image of these parts: flags, address, bytes.
    fn image(parts: &[(u32, u64, u64)]) -> Image {
        let note = ProgramHeader { kind: 4, ..header(&(READ, 0, 24)) };
        let headers: Vec<_> = parts.iter().map(header).chain([note]).collect();
        let mut image = Image::NONE;
        assert!(image.take(&headers));
        image
    }

    #[test]
    fn parts_are_read_in_whole_pages() {
        let image = image(&[
            (CONSTANTS, 0x10_0000, 0x1234),
            (CODE, 0x10_2234, 0x2000),
            (VARIABLES, 0x10_5234, 0x9000),
        ]);
        let pages: Vec<_> = image.segments().iter().map(|s| s.start..s.end).collect();
        assert_eq!(pages, [0x10_0000..0x10_2000, 0x10_2000..0x10_5000, 0x10_5000..0x10_f000]);
        assert_eq!(image.pages(), 0x10_0000..0x10_f000);
        assert!(image.is_separable());
        assert!(image.segment_of(0x10_2000).unwrap().executable);
        assert!(image.segment_of(0x10_e123).unwrap().writable);
        assert_eq!(image.segment_of(0x10_f000), None);
        assert!(!{ Image::NONE }.take(&[header(&(CODE, 0, 1)); MAX_SEGMENTS + 1]));
    }

    #[test]
    fn parts_that_cannot_be_kept_apart_are_seen() {
        let shared = [(CONSTANTS, 0x10_0000, 0x1234), (CODE, 0x10_1300, 0x100)];
        assert!(!image(&shared).is_separable());
        assert!(!image(&[(CODE | WRITE, 0x10_0000, 0x1000)]).is_separable());
    }

    #[test]
    fn the_headers_of_this_very_test_can_be_read() {
        let program = std::fs::read("/proc/self/exe").unwrap();
        let words: Vec<u64> = program
            .chunks_exact(8)
            .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
            .collect();
        let mut image = Image::NONE;
        let start = Box::leak(words.into_boxed_slice()).as_ptr().cast();
        // SAFETY: an aligned copy of an ELF file, headers included, that stays for ever.
        assert!(unsafe { image.read(start) });
        assert!(image.segments().iter().any(|segment| segment.executable));
        assert!(image.segments().iter().any(|segment| segment.writable));
    }
}
