//! The words around a block, and how a block is told from anything else.
//!
//! ```text
//! [ (padding to the alignment) | record | bytes of the caller | canary ]
//!                                  │                              └ 8 bytes: from the address; when freed, where it was freed
//!                                  ├ 4 bytes: a seal, which marks a record
//!                                  ├ 4 bytes: where it was allocated
//!                                  └ 8 bytes: size and alignment, masked with the address; inverted when freed
//! ```

use core::alloc::Layout;

/// What stands in front of the caller's bytes, and behind them.
pub(super) const RECORD: usize = size_of::<Record>();
pub(super) const CANARY: usize = 8;

/// Alignments from here on are not checked.
pub(super) const PAGE: usize = 4096;

#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Record {
    pub(super) seal: u32,
    pub(super) site: u32,
    /// Next to the caller's bytes, so that what runs over the front of them is noticed.
    pub(super) layout: u64,
}

/// Sizes from here on belong to no block: a record has no room for them, and what unmasks to more is no layout.
const SIZE_END: u64 = 1 << 48;

impl Record {
    #[inline]
    pub(super) fn new(block: *mut u8, layout: Layout, site: usize) -> Self {
        Self { seal: seal(block), site: site as u32, layout: masked(block, layout) }
    }

    /// The layout of a block in use.
    pub(super) fn live(&self, block: *mut u8) -> Option<Layout> {
        unmasked(block, self.layout).filter(|_| self.seal == seal(block))
    }

    /// The layout of one that was freed. Without the seal, where spans have their links, one guess in some thousands is wrong.
    pub(super) fn freed(&self, block: *mut u8) -> Option<Layout> {
        unmasked(block, !self.layout)
    }
}

pub(super) fn seal(block: *mut u8) -> u32 {
    block.addr() as u32 ^ 0x5ea1_ed00
}

/// Two to the 64 by the golden ratio: spreads an address over all bits.
fn mask(block: *mut u8) -> u64 {
    (block.addr() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The size in the upper 58 bits and the logarithm of the alignment below, under the mask.
#[inline]
pub(super) fn masked(block: *mut u8, layout: Layout) -> u64 {
    let packed = (layout.size() as u64) << 6 | u64::from(layout.align().trailing_zeros());
    packed ^ mask(block)
}

fn unmasked(block: *mut u8, word: u64) -> Option<Layout> {
    let packed = word ^ mask(block);
    let (size, align) = (packed >> 6, 1_usize.checked_shl(packed as u32 & 63)?);
    if size >= SIZE_END || align >= PAGE {
        return None;
    }
    Layout::from_size_align(size as usize, align).ok()
}

/// How much lies in front of the caller's bytes: the record, at the end of a multiple of the alignment.
#[inline]
pub(super) fn front(align: usize) -> usize {
    align.max(RECORD)
}

/// What the heap inside is asked for, if there is such a layout: every block that is in use has one.
#[inline]
pub(super) fn outer(layout: Layout) -> Option<Layout> {
    if layout.size() as u64 >= SIZE_END {
        return None;
    }
    // No overflow: a layout's size is at most `isize::MAX`, and its alignment here less than a page.
    let size = layout.size().wrapping_add(front(layout.align()) + CANARY);
    Layout::from_size_align(size, layout.align().max(RECORD)).ok()
}

/// What stands behind a block in use.
#[inline]
pub(super) fn canary(block: *mut u8) -> u64 {
    block.addr() as u64 ^ 0xca4a_2135_ca4a_2135
}

/// What stands there after it was freed: half of the canary's opposite, and where.
pub(super) fn mark(block: *mut u8, site: usize) -> u64 {
    !canary(block) >> 32 << 32 | u64::from(site as u32)
}

/// Where it was freed, if `tail` is its mark.
pub(super) fn freed_at(block: *mut u8, tail: u64) -> Option<usize> {
    let site = tail as u32 as usize;
    (tail == mark(block, site)).then_some(site)
}

/// # Safety
///
/// - The 16 bytes in front of `block` can be read, or with `write_record` written.
pub(super) unsafe fn read_record(block: *mut u8) -> Record {
    // SAFETY: the caller's promise.
    unsafe { block.sub(RECORD).cast::<Record>().read_unaligned() }
}

/// # Safety
///
/// - As for [`read_record`].
pub(super) unsafe fn write_record(block: *mut u8, record: Record) {
    // SAFETY: the caller's promise.
    unsafe { block.sub(RECORD).cast::<Record>().write_unaligned(record) };
}

/// # Safety
///
/// - Behind the `size` bytes of `block` there are 8 more that can be read, or with `write_tail` written.
pub(super) unsafe fn read_tail(block: *mut u8, size: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { block.add(size).cast::<u64>().read_unaligned() }
}

/// # Safety
///
/// - As for [`read_tail`].
pub(super) unsafe fn write_tail(block: *mut u8, size: usize, tail: u64) {
    // SAFETY: the caller's promise.
    unsafe { block.add(size).cast::<u64>().write_unaligned(tail) };
}
