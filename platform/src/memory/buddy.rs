//! Free frames: a buddy allocator for runs of them.
//!
//! Free memory lies in blocks of 2^k frames at multiples of their length. Each block has a *buddy*, the
//! other half of the next larger one; when both are free they become that one (Knuth, The Art of Computer
//! Programming, volume 1, 2.5). A run of any length is a row of blocks, so nothing is rounded up.
//!
//! One byte is kept for each frame: whether a block begins there, its size, and whether it is free. So giving back frames
//! that are not taken, or a part of a run, is an error. The links of the lists lie in the free blocks.
//!
//! **Lazy**: a region's frames are *fresh* until they are needed. For fresh frames nothing is written, neither their bytes
//! nor links, so adding a region of a terabyte costs as much as adding one of a megabyte. As allocation goes on,
//! blocks are cut off where the fresh part begins.
//!
//! ```text
//! region   | a byte per frame | blocks, free and taken            | fresh                        |
//!          base               first                               fresh                          end
//! ```

use core::ptr;

/// Blocks have 2^0 to 2^(ORDERS - 1) frames; the largest is 1 GiB.
pub const ORDERS: u32 = 19;

/// Frames that are cut off at a time, as a power of two: 1 MiB.
const CUT: u32 = 8;

/// How many separate regions can be managed.
pub const MAX_REGIONS: usize = 64;

/// Bytes in a frame.
const FRAME: u64 = super::address::PAGE_SIZE;

/// The number of the first frame at 4 GiB.
pub const FOUR_GIB: u64 = (4 << 30) / FRAME;

/// What a frame's byte says: 0 within a block or fresh; else the order, plus one of these.
const FREE: u8 = 0x80;
/// The first block of a run that is taken.
const TAKEN: u8 = 0x40;
/// A further block of the same run.
const GOES_ON: u8 = 0x20;

/// A free block's first bytes.
struct Links {
    next: *mut Links,
    previous: *mut Links,
}

/// A stretch of memory.
struct Region {
    /// Number of its first frame, and one past the last.
    base: u64,
    end: u64,
    /// What is behind it was never touched.
    fresh: u64,
    /// Where frame `base` can be read and written; its first bytes are a byte per frame.
    memory: *mut u8,
    free: [*mut Links; ORDERS as usize],
    /// Frames that are free, fresh ones included.
    free_frames: u64,
}

impl Region {
    const NONE: Region = Region {
        base: 0,
        end: 0,
        fresh: 0,
        memory: ptr::null_mut(),
        free: [ptr::null_mut(); ORDERS as usize],
        free_frames: 0,
    };

    /// Where a frame of this region is in memory.
    fn pointer(&self, frame: u64) -> *mut Links {
        self.memory.wrapping_add(((frame - self.base) * FRAME) as usize).cast()
    }

    fn frame_of(&self, links: *mut Links) -> u64 {
        self.base + (links.addr() - self.memory.addr()) as u64 / FRAME
    }

    fn byte(&self, frame: u64) -> u8 {
        if !(self.base..self.fresh).contains(&frame) {
            return 0;
        }
        // SAFETY: there is a byte for each frame of the region, and behind `fresh` none is asked for.
        unsafe { self.memory.add((frame - self.base) as usize).read() }
    }

    /// `frame` is one of the region's, not fresh.
    fn set_byte(&mut self, frame: u64, byte: u8) {
        debug_assert!((self.base..self.fresh).contains(&frame));
        // SAFETY: as in `byte`.
        unsafe { self.memory.add((frame - self.base) as usize).write(byte) }
    }

    #[inline(never)]
    fn push(&mut self, frame: u64, order: u32) {
        self.set_byte(frame, FREE | order as u8);
        let links = self.pointer(frame);
        let next = core::mem::replace(&mut self.free[order as usize], links);
        // SAFETY: both are free blocks of this region, whose bytes are ours.
        unsafe {
            links.write(Links { next, previous: ptr::null_mut() });
            if !next.is_null() {
                (*next).previous = links;
            }
        }
        self.free_frames += 1 << order;
    }

    /// Takes a free block out of its list.
    #[inline(never)]
    fn unlink(&mut self, frame: u64, order: u32) {
        self.set_byte(frame, 0);
        // SAFETY: a free block, so its links and those that they name are in place.
        unsafe {
            let Links { next, previous } = self.pointer(frame).read();
            match previous.is_null() {
                true => self.free[order as usize] = next,
                false => (*previous).next = next,
            }
            if !next.is_null() {
                (*next).previous = previous;
            }
        }
        self.free_frames -= 1 << order;
    }

    /// Makes a block free, and one with its buddy as long as that is free too.
    fn release(&mut self, mut frame: u64, mut order: u32) {
        while order < ORDERS - 1 {
            let buddy = frame ^ 1 << order;
            if self.byte(buddy) != FREE | order as u8 {
                break;
            }
            self.unlink(buddy, order);
            self.set_byte(frame, 0);
            frame = frame.min(buddy);
            order += 1;
        }
        self.push(frame, order);
    }

    /// Cuts one block off the fresh part. False if there is none.
    fn cut(&mut self, order: u32) -> bool {
        let left = self.end - self.fresh;
        if left == 0 {
            return false;
        }
        let frame = self.fresh;
        let order = order.max(CUT).min(frame.trailing_zeros()).min(left.ilog2()).min(ORDERS - 1);
        self.fresh += 1 << order;
        let first = (frame - self.base) as usize;
        // SAFETY: the bytes of the block's frames, which lie in the region.
        unsafe { self.memory.add(first).write_bytes(0, 1 << order) };
        self.free_frames -= 1 << order;
        self.release(frame, order);
        true
    }

    /// A block of this order, out of the lists.
    fn take(&mut self, order: u32) -> Option<u64> {
        let size = 1 << order;
        let found = loop {
            let lists = self.free.iter().enumerate().skip(order as usize);
            if let Some((found, _)) = lists.into_iter().find(|(_, list)| !list.is_null()) {
                break found as u32;
            }
            // Only a block that holds the border, or one behind it, can still come into being.
            if (self.fresh & !(size - 1)) + size > self.end || !self.cut(order) {
                return None;
            }
        };
        let frame = self.frame_of(self.free[found as usize]);
        self.unlink(frame, found);
        for half in (order..found).rev() {
            self.push(frame + (1 << half), half);
        }
        Some(frame)
    }

    /// Takes a run whose first block has this order; what is too much goes back.
    fn take_run(&mut self, count: u64, order: u32) -> Option<u64> {
        let start = self.take(order)?;
        let end = start + count;
        blocks(start, end, |frame, order| {
            let whose = if frame == start { TAKEN } else { GOES_ON };
            self.set_byte(frame, whose | order as u8);
        });
        blocks(end, start + (1 << order), |frame, order| self.release(frame, order));
        Some(start)
    }

    fn give_back(&mut self, start: u64, count: u64) -> Result<(), FreeError> {
        let mut at = start;
        let mut whose = TAKEN;
        // Looked at first, so that a mistake changes nothing.
        loop {
            let byte = self.byte(at);
            if byte & whose == 0 || byte & FREE != 0 {
                break;
            }
            at += 1 << (byte & (GOES_ON - 1));
            whose = GOES_ON;
        }
        match at - start {
            0 => Err(FreeError::NotTaken),
            len if len != count => Err(FreeError::OtherLength),
            _ => {
                blocks(start, at, |frame, order| {
                    self.set_byte(frame, 0);
                    self.release(frame, order);
                });
                Ok(())
            }
        }
    }
}

/// Calls `each` with the blocks, in order, that `start..end` is made of.
fn blocks(start: u64, end: u64, mut each: impl FnMut(u64, u32)) {
    let mut at = start;
    while at < end {
        let order = at.trailing_zeros().min((end - at).ilog2()).min(ORDERS - 1);
        each(at, order);
        at += 1 << order;
    }
}

/// Why frames cannot be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreeError {
    /// No run that is taken begins there: given back already, or never handed out.
    NotTaken,
    /// A run begins there, but it has another length.
    OtherLength,
}

/// How things stand, in frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameStats {
    /// All that are managed.
    pub total: u64,
    /// Of those, free.
    pub free: u64,
    /// Free, and below 4 GiB.
    pub free_low: u64,
    /// The most that were taken at one time.
    pub peak: u64,
    /// Regions that were left out, because there were too many.
    pub regions_left_out: u64,
}

/// Where a run may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// Anywhere; memory below 4 GiB is taken last.
    Any,
    /// Below 4 GiB, for devices that reach no further.
    Low,
}

/// All free frames of a machine.
pub struct Buddy {
    regions: [Region; MAX_REGIONS],
    count: usize,
    taken: u64,
    peak: u64,
    left_out: u64,
}

// SAFETY: the pointers are to memory that the allocator has for itself.
unsafe impl Send for Buddy {}

impl Buddy {
    /// No frames. All zeroes, so that it lies in `.bss`.
    pub const fn new() -> Buddy {
        let regions = [Region::NONE; MAX_REGIONS];
        Buddy { regions, count: 0, taken: 0, peak: 0, left_out: 0 }
    }

    /// Takes over the frames `base..end`, whose memory is at `memory`. What lies across 4 GiB is cut
    /// there; what is too small to be of use is left.
    ///
    /// # Safety
    ///
    /// - The memory can be read and written and is nobody else's, from now on.
    pub unsafe fn add(&mut self, base: u64, end: u64, memory: *mut u8) {
        if base < FOUR_GIB && FOUR_GIB < end {
            let low = (FOUR_GIB - base) * FRAME;
            // SAFETY: two parts of what the caller gives.
            unsafe {
                self.add(base, FOUR_GIB, memory);
                self.add(FOUR_GIB, end, memory.wrapping_add(low as usize));
            }
            return;
        }
        let frames = end.saturating_sub(base);
        let own = frames.div_ceil(FRAME);
        if frames <= own {
            return;
        }
        let Some(region) = self.regions.get_mut(self.count) else {
            self.left_out += 1;
            return;
        };
        self.count += 1;
        *region = Region { base, end, fresh: base, memory, ..Region::NONE };
        // Its own frames are taken for ever, without a byte that says so: they are no run.
        region.fresh += own;
        region.free_frames = frames - own;
        // SAFETY: the bytes of its own frames.
        unsafe { memory.write_bytes(0, own as usize) };
    }

    /// Takes `count` frames in a row, the first at a multiple of `align` frames.
    pub fn take(&mut self, count: u64, align: u64, zone: Zone) -> Option<u64> {
        let least = count.max(align).max(1).checked_next_power_of_two()?;
        let order = least.trailing_zeros();
        if count == 0 || !align.is_power_of_two() || order >= ORDERS {
            return None;
        }
        let from_high = if zone == Zone::Any { self.take_where(count, order, true) } else { None };
        let start = from_high.or_else(|| self.take_where(count, order, false))?;
        self.taken += count;
        self.peak = self.peak.max(self.taken);
        Some(start)
    }

    #[inline(never)]
    fn take_where(&mut self, count: u64, order: u32, high: bool) -> Option<u64> {
        let regions = self.regions.iter_mut().take(self.count);
        regions
            .filter(|region| (region.base >= FOUR_GIB) == high)
            .find_map(|region| region.take_run(count, order))
    }

    /// Gives back the run of `count` frames that begins at `start`.
    ///
    /// # Errors
    ///
    /// If there is no such run. Nothing changes then.
    ///
    /// # Safety
    ///
    /// - Nobody uses the frames any more, and they can be written to where the region's memory is.
    pub unsafe fn give_back(&mut self, start: u64, count: u64) -> Result<(), FreeError> {
        let mut regions = self.regions.iter_mut().take(self.count);
        let region = regions.find(|region| (region.base..region.end).contains(&start));
        region.ok_or(FreeError::NotTaken)?.give_back(start, count)?;
        self.taken -= count;
        Ok(())
    }

    /// How things stand.
    pub fn stats(&self) -> FrameStats {
        let mut stats = FrameStats {
            peak: self.peak,
            regions_left_out: self.left_out,
            ..FrameStats::default()
        };
        for region in self.regions.iter().take(self.count) {
            stats.free += region.free_frames;
            stats.free_low += if region.base < FOUR_GIB { region.free_frames } else { 0 };
        }
        stats.total = stats.free + self.taken;
        stats
    }

    /// The longest run that can be had, a power of two.
    pub fn longest(&self) -> u64 {
        let regions = self.regions.iter().take(self.count);
        let longest = regions.flat_map(|region| {
            let listed = (0..ORDERS).rfind(|&order| !region.free[order as usize].is_null());
            let fits = |order: &u32| {
                let size = 1 << order;
                region.fresh.next_multiple_of(size) + size <= region.end
            };
            [listed, (0..ORDERS).rfind(fits)]
        });
        longest.flatten().max().map_or(0, |order| 1 << order)
    }
}

#[cfg(test)]
#[path = "buddy_tests.rs"]
mod tests;
