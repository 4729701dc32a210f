//! Whole pages: requests with an alignment of 4096 or more go to a page allocator.
//!
//! A heap keeps the bytes that it skips to reach an alignment with the block, so a page at page alignment costs two pages. [`Paged`] hands such requests
//! to a [`PageProvider`], which a kernel's frame allocator implements, and everything else to the heap. [`PageBitmap`] is a small provider
//! for kernels without a frame allocator, and for tests.

use core::alloc::{GlobalAlloc, Layout};
use core::fmt;
use core::ptr::{self, NonNull};

use lock_api::{Mutex, RawMutex};

use crate::heap::pointer;
use crate::lock::SpinLock;

/// The size of a page, and the alignment from which on [`Paged`] asks for pages.
pub const PAGE: usize = 4096;

/// Has whole pages.
///
/// # Safety
///
/// - Pages handed out are writable memory at the alignment asked for, nobody else's until they are freed.
/// - Nothing panics, and the heap is not called.
pub unsafe trait PageProvider {
    /// `pages` pages in a row, aligned to `align` bytes, a power of two of at least [`PAGE`].
    fn allocate(&self, pages: usize, align: usize) -> Option<NonNull<u8>>;

    /// Takes pages back.
    ///
    /// # Safety
    ///
    /// - `start` is what `allocate` returned for this many pages.
    unsafe fn free(&self, start: NonNull<u8>, pages: usize);
}

/// A heap `A` for most requests and pages of `P` for those that are aligned to them.
#[derive(Debug)]
pub struct Paged<A, P> {
    heap: A,
    pages: P,
}

impl<A, P> Paged<A, P> {
    /// Puts the two together.
    pub const fn new(heap: A, pages: P) -> Self {
        Self { heap, pages }
    }

    /// The heap for everything else.
    pub const fn heap(&self) -> &A {
        &self.heap
    }

    /// The provider of pages.
    pub const fn pages(&self) -> &P {
        &self.pages
    }
}

// SAFETY: both parts keep the promises, and the alignment, which does not change while a block lives, tells which of them it is of.
unsafe impl<A: GlobalAlloc, P: PageProvider> GlobalAlloc for Paged<A, P> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() < PAGE {
            // SAFETY: the caller's promise.
            return unsafe { self.heap.alloc(layout) };
        }
        pointer(self.pages.allocate(layout.size().div_ceil(PAGE), layout.align()))
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if layout.align() < PAGE {
            // SAFETY: the caller's promise.
            return unsafe { self.heap.dealloc(block, layout) };
        }
        // SAFETY: allocated with this many pages; a live block is not null.
        unsafe { self.pages.free(NonNull::new_unchecked(block), layout.size().div_ceil(PAGE)) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if layout.align() < PAGE {
            // SAFETY: the caller's promise.
            return unsafe { self.heap.realloc(block, layout, new_size) };
        }
        if layout.size().div_ceil(PAGE) == new_size.div_ceil(PAGE) {
            return block;
        }
        // SAFETY: the caller promises a size that is valid with this alignment and not 0; both blocks have what the smaller one has.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

/// Pages of one range, a bit for each: next fit, so that single pages are found at once while the range is not nearly full.
///
/// `WORDS` × 64 pages at most: 64 words, 16 MiB.
pub struct PageBitmap<const WORDS: usize = 64, L = SpinLock> {
    state: Mutex<L, Bits<WORDS>>,
}

struct Bits<const WORDS: usize> {
    start: *mut u8,
    pages: usize,
    /// Where to look first.
    next: usize,
    used: [u64; WORDS],
}

// SAFETY: the range is memory of the provider, which any CPU may have.
unsafe impl<const WORDS: usize> Send for Bits<WORDS> {}

impl<const WORDS: usize, L: RawMutex> PageBitmap<WORDS, L> {
    /// A provider without pages.
    pub const fn new() -> Self {
        let bits = Bits { start: ptr::null_mut(), pages: 0, next: 0, used: [0; WORDS] };
        Self { state: Mutex::from_raw(L::INIT, bits) }
    }

    /// Gives it the whole pages of a range, for ever; as many as it has bits for. Returns how many pages that are, 0 if it has a range
    /// already.
    ///
    /// # Safety
    ///
    /// - The bytes may be read and written, and nothing else uses them from now on.
    pub unsafe fn give(&self, start: NonNull<u8>, len_bytes: usize) -> usize {
        let mut bits = self.state.lock();
        let padding = start.addr().get().wrapping_neg() % PAGE;
        if bits.pages > 0 || len_bytes < padding {
            return 0;
        }
        bits.start = start.as_ptr().wrapping_add(padding);
        bits.pages = ((len_bytes - padding) / PAGE).min(WORDS * 64);
        bits.pages
    }
}

impl<const WORDS: usize, L: RawMutex> Default for PageBitmap<WORDS, L> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const WORDS: usize, L> fmt::Debug for PageBitmap<WORDS, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageBitmap").finish_non_exhaustive()
    }
}

// SAFETY: a page is handed out when its bit goes from 0 to 1, under the lock.
unsafe impl<const WORDS: usize, L: RawMutex> PageProvider for PageBitmap<WORDS, L> {
    fn allocate(&self, pages: usize, align: usize) -> Option<NonNull<u8>> {
        let mut bits = self.state.lock();
        let from = bits.next;
        let at = bits.find(from, pages, align).or_else(|| bits.find(0, pages, align))?;
        bits.mark(at, pages, true);
        bits.next = at + pages;
        NonNull::new(bits.start.wrapping_add(at * PAGE))
    }

    unsafe fn free(&self, start: NonNull<u8>, pages: usize) {
        let mut bits = self.state.lock();
        let at = (start.addr().get() - bits.start.addr()) / PAGE;
        bits.mark(at, pages, false);
        bits.next = bits.next.min(at);
    }
}

impl<const WORDS: usize> Bits<WORDS> {
    /// The first `pages` free pages in a row that begin at page `from` or later, at an address of this alignment.
    fn find(&self, from: usize, pages: usize, align: usize) -> Option<usize> {
        let aligned = |at: usize| {
            let address = self.start.addr().checked_add(at * PAGE)?;
            Some(at + address.wrapping_neg() % align / PAGE)
        };
        let mut at = aligned(from)?;
        while at.checked_add(pages)? <= self.pages {
            match (at..at + pages).rev().find(|&page| self.is_used(page)) {
                None => return Some(at),
                Some(used) => at = aligned(used + 1)?,
            }
        }
        None
    }

    fn is_used(&self, page: usize) -> bool {
        self.used.get(page / 64).is_none_or(|word| word >> (page % 64) & 1 == 1)
    }

    fn mark(&mut self, at: usize, pages: usize, used: bool) {
        for page in at..at + pages {
            let Some(word) = self.used.get_mut(page / 64) else { return };
            let bit = 1 << (page % 64);
            *word = if used { *word | bit } else { *word & !bit };
        }
    }
}
