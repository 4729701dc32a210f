//! The configuration of a device, where it lies in memory.

use core::ptr::NonNull;

/// Registers of which each is read in one piece. Beyond their end is zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    start: NonNull<u8>,
    len: u64,
}

impl Config {
    /// # Safety
    ///
    /// - `start` is a multiple of 4, and `len` bytes from there on are a device's configuration, mapped for good.
    pub unsafe fn new(start: NonNull<u8>, len: u64) -> Config {
        Config { start, len }
    }

    fn at<T>(&self, offset: u16) -> Option<NonNull<T>> {
        let end = u64::from(offset) + size_of::<T>() as u64;
        let is_there = end <= self.len && usize::from(offset).is_multiple_of(size_of::<T>());
        // SAFETY: inside, by `new`'s caller.
        is_there.then(|| unsafe { self.start.byte_add(offset.into()).cast() })
    }

    pub fn byte(&self, offset: u16) -> u8 {
        // SAFETY: inside, as `at` has seen.
        self.at(offset).map_or(0, |at: NonNull<u8>| unsafe { at.read_volatile() })
    }

    pub fn half(&self, offset: u16) -> u16 {
        // SAFETY: as above, and aligned.
        let half = self.at(offset).map_or(0, |at: NonNull<u16>| unsafe { at.read_volatile() });
        u16::from_le(half)
    }

    pub fn set_word(&self, offset: u16, value: u32) {
        if let Some(at) = self.at::<u32>(offset) {
            // SAFETY: inside, as `at` has seen, and aligned. No configuration makes a device write to memory.
            unsafe { at.write_volatile(value.to_le()) }
        }
    }

    pub fn word(&self, offset: u16) -> u32 {
        // SAFETY: as above, and aligned.
        let word = self.at(offset).map_or(0, |at: NonNull<u32>| unsafe { at.read_volatile() });
        u32::from_le(word)
    }
}
