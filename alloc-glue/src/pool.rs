//! Pools: the allocators under a heap's lock.
//!
//! [`Tlsf`] is the allocator of the `rlsf` crate, two-level segregated fit: every operation takes constant
//! time. [`Zones`] is two pools, one of them for memory below 4 GiB. [`Slabs`](crate::Slabs), in a file of
//! its own, packs small objects. Each is a type parameter of [`Heap`](crate::Heap).
//!
//! ```text
//! a region:  [ Region | block | block | … | block | end mark ]      32 bytes each, at both ends
//! a block:   [ size, used? | block before | payload … ]             a multiple of 32 bytes
//! ```

use core::alloc::Layout;
use core::ptr::NonNull;

use rlsf::GRANULARITY;
use rlsf::Tlsf as Rlsf;

/// What a [`Heap`](crate::Heap) keeps under its lock.
///
/// # Safety
///
/// - A block handed out is aligned and large enough for its layout, inside an inserted region, apart from
///   every other live block, and stays so until it is freed.
/// - Nothing panics, and nothing but the regions and `self` is touched.
pub unsafe trait Pool {
    /// A pool without memory.
    const EMPTY: Self;

    /// Up to what alignment a block of a small [class](crate::class) has that of its size.
    const CLASS_ALIGN: usize = 16;

    /// Takes a region over. Returns how many of its bytes, from its start on, it will use: 0 if it is too small.
    ///
    /// # Safety
    ///
    /// - The region is memory that only the pool uses from now on, for as long as the pool or a block of it is used.
    /// - Its start and length are multiples of [`GRANULE`].
    unsafe fn insert(&mut self, region: NonNull<[u8]>) -> usize;

    /// A block for `layout`, whose size is not 0.
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>>;

    /// Takes a block back.
    ///
    /// # Safety
    ///
    /// - `block` is a live block of this pool, allocated for `layout`.
    unsafe fn free(&mut self, block: NonNull<u8>, layout: Layout);

    /// Makes a block fit `new` without copying it. Returns whether that could be done.
    ///
    /// # Safety
    ///
    /// - `block` is a live block of this pool, allocated for `old`.
    /// - `new` has the same alignment, and its size is not 0.
    unsafe fn resize(&mut self, block: NonNull<u8>, old: Layout, new: Layout) -> bool;

    /// Moves a block into the free memory around it if it fits `new` then. The bytes that both sizes have are kept.
    ///
    /// # Safety
    ///
    /// - As for [`resize`](Self::resize).
    unsafe fn slide(&mut self, block: NonNull<u8>, old: Layout, new: Layout)
    -> Option<NonNull<u8>>;

    /// Bytes in free blocks, with their headers. Kept, not computed.
    fn free_bytes(&self) -> usize;

    /// Frees what is kept in reserve. Returns whether there was anything.
    fn trim(&mut self) -> bool {
        false
    }

    /// Calls `visit` for each block of a region, in order of address.
    ///
    /// # Safety
    ///
    /// - `region` was inserted, and has the length that `insert` returned.
    unsafe fn walk(&self, region: NonNull<[u8]>, visit: &mut dyn FnMut(Block));
}

/// What regions and blocks are multiples of: 32 bytes on 64-bit machines.
pub const GRANULE: usize = GRANULARITY;

/// What [`Pool::walk`] shows.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Where its payload begins.
    pub start: NonNull<u8>,
    /// Bytes of payload.
    pub len: usize,
    /// What it is.
    pub state: BlockState,
}

/// See [`Block`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockState {
    /// Free.
    Free,
    /// Handed out.
    Used,
    /// Holds small objects, which are shown after it.
    Span,
}

/// rlsf's allocator with `RANGES` size ranges of `LISTS` lists each, at most 32 of both.
///
/// 32 lists in a range keep the rounding of a request to its list below 1/32: after everything has been freed,
/// 98.4 % of a region can be had as one block (93.7 % with 8). 32 ranges, the first from 32 bytes, take regions
/// up to 128 GiB in one piece; larger ones are cut. The tables take 8 bytes a list: 8.3 KB for 32 × 32. Fewer
/// were measured no faster. `Tlsf<20, 8>`, 1.3 KB, is for machines with little memory; fewer than 8 lists waste a quarter of it.
#[derive(Debug)]
pub struct Tlsf<const RANGES: usize = 32, const LISTS: usize = 32> {
    pool: Rlsf<'static, u32, u32, RANGES, LISTS>,
    free: usize,
}

// SAFETY: rlsf keeps these promises for what has been inserted and not freed twice, and it does not panic.
unsafe impl<const RANGES: usize, const LISTS: usize> Pool for Tlsf<RANGES, LISTS> {
    const EMPTY: Self = Self { pool: Rlsf::new(), free: 0 };

    unsafe fn insert(&mut self, region: NonNull<[u8]>) -> usize {
        // SAFETY: the caller hands the region over for good.
        let taken = unsafe { self.pool.insert_free_block_ptr(region) }.map_or(0, usize::from);
        if taken > 0 {
            let region = NonNull::slice_from_raw_parts(region.cast(), taken);
            // SAFETY: inserted just now.
            let blocks = unsafe { self.pool.iter_blocks(region) };
            self.free += blocks.map(|block| block.as_ptr().len()).sum::<usize>();
        }
        taken
    }

    #[inline]
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        let block = self.pool.allocate(layout)?;
        // SAFETY: a live block of this alignment.
        self.free -= unsafe { block_len(block, layout.align()) };
        Some(block)
    }

    #[inline]
    unsafe fn free(&mut self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        self.free += unsafe { block_len(block, layout.align()) };
        // SAFETY: the caller's promise; the alignment is the one it was allocated with.
        unsafe { self.pool.deallocate(block, layout.align()) };
    }

    unsafe fn resize(&mut self, block: NonNull<u8>, old: Layout, new: Layout) -> bool {
        // SAFETY: a live block.
        let room = unsafe { Self::room(block) };
        if new.size() > room {
            return false;
        }
        // SAFETY: the caller's promise. As the block and the free one behind it have room enough, rlsf resizes it where it is.
        let resized = unsafe { self.slide(block, old, new) };
        debug_assert_eq!(resized, Some(block), "rlsf moved a block that had room");
        resized == Some(block)
    }

    unsafe fn slide(
        &mut self,
        block: NonNull<u8>,
        _old: Layout,
        new: Layout,
    ) -> Option<NonNull<u8>> {
        // SAFETY: a live block with the alignment of `new`; so is what it becomes.
        unsafe {
            let before = block_len(block, new.align());
            let moved = self.pool.reallocate(block, new)?;
            self.free = self.free + before - block_len(moved, new.align());
            Some(moved)
        }
    }

    fn free_bytes(&self) -> usize {
        self.free
    }

    unsafe fn walk(&self, region: NonNull<[u8]>, visit: &mut dyn FnMut(Block)) {
        // SAFETY: the caller's promise is the one rlsf asks for.
        for block in unsafe { self.pool.iter_blocks(region) } {
            let len = block.max_payload_size();
            let header = block.as_ptr().len() - len;
            // SAFETY: the payload begins behind the header, inside the block.
            let start = unsafe { block.as_ptr().cast::<u8>().add(header) };
            let state = if block.is_occupied() { BlockState::Used } else { BlockState::Free };
            visit(Block { start, len, state });
        }
    }
}

impl<const RANGES: usize, const LISTS: usize> Tlsf<RANGES, LISTS> {
    /// How large a block could get in place: its payload, and the block behind it if that is free.
    ///
    /// rlsf resizes in place or moves, and does not say beforehand which. This reads the header of the block
    /// behind, in which an end mark is used as well. `resize_predicts_what_rlsf_does` below sees that change.
    ///
    /// # Safety
    ///
    /// - `block` is live, of this pool.
    unsafe fn room(block: NonNull<u8>) -> usize {
        // SAFETY: the caller's promise.
        let own = unsafe { Rlsf::<u32, u32, RANGES, LISTS>::allocation_usable_size(block) };
        // SAFETY: behind a block's payload there is always another block's header, or the region's end mark.
        let next = unsafe { block.add(own).cast::<usize>().read() };
        if next & USED == 0 { own + next } else { own }
    }
}

/// The first word of a block's header is its size, with this bit set if it is used. The version of rlsf is fixed for this.
const USED: usize = 1;

/// How long a block is, with its header and with what was skipped in front of it for its alignment. Reads what rlsf has written
/// in front of the payload: the header, or, where something may have been skipped, a pointer to it.
///
/// # Safety
///
/// - `block` is live, of a [`Tlsf`], and was allocated with this alignment.
unsafe fn block_len(block: NonNull<u8>, align: usize) -> usize {
    // SAFETY: the caller's promise.
    unsafe {
        let header = if align >= GRANULE {
            block.cast::<NonNull<usize>>().sub(1).read()
        } else {
            block.cast::<usize>().sub(HEADER / size_of::<usize>())
        };
        header.read() & !USED
    }
}

/// What rlsf keeps in front of a payload: the size, and where the block before begins.
const HEADER: usize = 2 * size_of::<usize>();

/// Two pools: memory above 4 GiB is used first, so that memory below stays free for devices that need it there.
///
/// Which pool a block belongs to is told by its address; a region across the boundary becomes two.
/// [`Heap::alloc_below_4g`](crate::Heap::alloc_below_4g) takes from the lower one only.
#[derive(Debug)]
pub struct Zones<P = Tlsf> {
    low: P,
    high: P,
}

/// The first address that does not fit 32 bits.
#[cfg(target_pointer_width = "64")]
pub const FOUR_GIB: usize = 1 << 32;
/// No address is that high here.
#[cfg(not(target_pointer_width = "64"))]
pub const FOUR_GIB: usize = usize::MAX;

impl<P: Pool> Zones<P> {
    fn zone(&mut self, block: NonNull<u8>) -> &mut P {
        if block.addr().get() < FOUR_GIB { &mut self.low } else { &mut self.high }
    }

    pub(crate) fn allocate_low(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        self.low.allocate(layout)
    }
}

// SAFETY: each half keeps the promises, and a block goes back to the half it came from: no block lies across 4 GiB,
// since no region does.
unsafe impl<P: Pool> Pool for Zones<P> {
    const EMPTY: Self = Self { low: P::EMPTY, high: P::EMPTY };

    unsafe fn insert(&mut self, region: NonNull<[u8]>) -> usize {
        let start = region.cast::<u8>();
        let below = FOUR_GIB.saturating_sub(start.addr().get());
        // Of a region across the boundary, the part in front of it.
        let len = if below > 0 { region.len().min(below) } else { region.len() };
        // SAFETY: the caller's promise.
        unsafe { self.zone(start).insert(NonNull::slice_from_raw_parts(start, len)) }
    }

    fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        self.high.allocate(layout).or_else(|| self.low.allocate(layout))
    }

    unsafe fn free(&mut self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise, for the zone the block is in.
        unsafe { self.zone(block).free(block, layout) };
    }

    unsafe fn resize(&mut self, block: NonNull<u8>, old: Layout, new: Layout) -> bool {
        // SAFETY: as in `free`.
        unsafe { self.zone(block).resize(block, old, new) }
    }

    unsafe fn slide(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<u8>> {
        // SAFETY: as in `free`.
        unsafe { self.zone(block).slide(block, old, new) }
    }

    fn free_bytes(&self) -> usize {
        self.low.free_bytes() + self.high.free_bytes()
    }

    fn trim(&mut self) -> bool {
        self.low.trim() | self.high.trim()
    }

    unsafe fn walk(&self, region: NonNull<[u8]>, visit: &mut dyn FnMut(Block)) {
        let zone = if region.addr().get() < FOUR_GIB { &self.low } else { &self.high };
        // SAFETY: the caller's promise, for the zone the region is in.
        unsafe { zone.walk(region, visit) };
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    const ARENA: usize = 64 << 10;

    /// What `room` reads from rlsf's own memory, against what rlsf then does: a block grows where it is exactly
    /// as far as was said, whatever lies behind it.
    #[test]
    fn resize_predicts_what_rlsf_does() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % below
        };
        let layout = |size| Layout::from_size_align(size, 8).expect("small");
        let (mut grown, mut refused) = (0, 0);
        for _ in 0..200 {
            let arena = Vec::leak(vec![0_u128; ARENA / 16]);
            let mut pool = Tlsf::<32, 32>::EMPTY;
            let bytes = NonNull::slice_from_raw_parts(NonNull::from(arena).cast::<u8>(), ARENA);
            // SAFETY: leaked, so it is the pool's for good.
            assert!(unsafe { pool.insert(bytes) } > 0);
            let mut live = Vec::new();
            while let Some(block) = pool.allocate(layout(1 + random(700))) {
                live.push(block);
            }
            for _ in 0..live.len() / 2 {
                let block = live.swap_remove(random(live.len()));
                // SAFETY: live until now; the size does not matter to rlsf.
                unsafe { pool.free(block, layout(1)) };
            }
            for block in live {
                // SAFETY: the block is live and of this pool.
                let room = unsafe { Tlsf::<32, 32>::room(block) };
                let wanted = room.saturating_sub(16).max(1) + random(32);
                // SAFETY: the same; a move copies within the arena.
                let after = unsafe { pool.pool.reallocate(block, layout(wanted)) };
                if wanted <= room {
                    assert_eq!(after, Some(block), "{wanted} of {room} bytes");
                    grown += 1;
                } else {
                    assert_ne!(after, Some(block), "{wanted} of {room} bytes");
                    refused += 1;
                }
            }
        }
        assert!(
            grown > 1000 && refused > 1000,
            "{grown} in place, {refused} not: nothing was tried"
        );
    }
}
