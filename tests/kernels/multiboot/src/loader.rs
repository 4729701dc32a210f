//! The data of a Multiboot2 loader: a list of tags, each with its type and size (Multiboot2 specification, 3.6).

use core::slice;

/// In `eax` on entry.
pub const MAGIC: u32 = 0x36d7_6289;

/// Tags that hold text.
pub const COMMAND_LINE: u32 = 1;
pub const LOADER_NAME: u32 = 2;

const MEMORY_MAP: u32 = 6;
const USABLE: u32 = 1;

/// More than any loader says; a number above it is none of a loader's.
const LONGEST: u32 = 1 << 20;

pub struct Information(&'static [u8]);

impl Information {
    /// # Safety
    ///
    /// - `start` is the address that a Multiboot2 loader left in `ebx`.
    /// - Nobody changes what is there.
    pub unsafe fn new(start: *const u8) -> Information {
        // SAFETY: it begins with its length in bytes, aligned to 8 (3.6.1).
        let length = unsafe { start.cast::<u32>().read() };
        assert!(length <= LONGEST, "{length} bytes of boot information");
        // SAFETY: the loader put so many bytes there, and they stay: the caller's promise.
        Information(unsafe { slice::from_raw_parts(start, length as usize) })
    }

    /// What is in the first tag of this type.
    fn tag(&self, wanted: u32) -> Option<&'static [u8]> {
        let mut rest = self.0.get(8..)?;
        loop {
            let (kind, size) = (number(rest, 0)?, number(rest, 4)? as usize);
            if kind == wanted {
                return rest.get(8..size);
            }
            // Each begins at a multiple of 8; the last has type 0.
            rest = rest.get(size.max(8).next_multiple_of(8)..)?;
        }
    }

    /// A text, without the zero at its end.
    pub fn text(&self, tag: u32) -> Option<&'static str> {
        let bytes = self.tag(tag)?;
        str::from_utf8(bytes.split(|byte| *byte == 0).next()?).ok()
    }

    /// The size of all RAM that is free for a kernel.
    pub fn usable_bytes(&self) -> u64 {
        let Some(map) = self.tag(MEMORY_MAP) else { return 0 };
        let entry_bytes = number(map, 0).map_or(24, |bytes| bytes as usize).max(24);
        // Behind the size of an entry and a version: base, length, type, nothing.
        let entries = map.get(8..).unwrap_or_default().chunks_exact(entry_bytes);
        let usable = entries.filter(|entry| number(entry, 16) == Some(USABLE));
        usable
            .filter_map(|entry| Some((number(entry, 8)?, number(entry, 12)?)))
            .map(|(low, high)| u64::from(high) << 32 | u64::from(low))
            .sum()
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
