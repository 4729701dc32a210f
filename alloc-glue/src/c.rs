//! `malloc` and its family for C code in a kernel, over any heap.
//!
//! The functions here are generic and have Rust names and types; [`c_allocator!`](crate::c_allocator) defines the six C symbols
//! in the final program, for the heap that it names. A library must not export them behind a feature: linked into a hosted test
//! program they would replace the C library's `malloc`, on which the test's own heap is built.
//!
//! C does not pass the size when it frees a block, so it is kept in the 16 bytes in front:
//!
//! ```text
//! [ (padding to the alignment) | size, alignment | the caller's bytes ]
//! ```
//!
//! Source: ISO C17 7.22.3; `malloc_usable_size` as glibc has it.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr;

/// What every block is aligned to: `max_align_t` on 64-bit machines.
const ALIGN: usize = 16;

/// What stands in front of a block.
#[repr(C)]
struct Header {
    size: usize,
    align: usize,
}

const _: () = assert!(size_of::<Header>() <= ALIGN);

/// The layout with its header, which takes a whole alignment.
fn outer(size: usize, align: usize) -> Option<Layout> {
    // C may ask for 0 bytes and gets a pointer to free.
    Layout::from_size_align(size.checked_add(align)?, align).ok()
}

/// `aligned_alloc`: null if there is no memory or `align` is not a power of two. Smaller alignments are raised to 16.
pub fn aligned_alloc(heap: &impl GlobalAlloc, align: usize, size: usize) -> *mut u8 {
    if !align.is_power_of_two() {
        return ptr::null_mut();
    }
    let align = align.max(ALIGN);
    let Some(layout) = outer(size, align) else { return ptr::null_mut() };
    // SAFETY: the size is at least the alignment.
    let base = unsafe { heap.alloc(layout) };
    if base.is_null() {
        return base;
    }
    // SAFETY: the block has `align` bytes in front of the caller's, 16 or more.
    unsafe {
        let block = base.add(align);
        block.cast::<Header>().sub(1).write(Header { size, align });
        block
    }
}

/// `malloc`: aligned to 16 bytes; null if there is no memory.
pub fn malloc(heap: &impl GlobalAlloc, size: usize) -> *mut u8 {
    aligned_alloc(heap, ALIGN, size)
}

/// `calloc`: cleared; null also if the product is too large.
pub fn calloc(heap: &impl GlobalAlloc, count: usize, size: usize) -> *mut u8 {
    let Some(bytes) = count.checked_mul(size) else { return ptr::null_mut() };
    let block = malloc(heap, bytes);
    if !block.is_null() {
        // SAFETY: a new block of this size.
        unsafe { block.write_bytes(0, bytes) };
    }
    block
}

/// `free`: does nothing with null.
///
/// # Safety
///
/// - `block` is null or a live block from one of these functions and this heap.
pub unsafe fn free(heap: &impl GlobalAlloc, block: *mut u8) {
    if block.is_null() {
        return;
    }
    // SAFETY: a live block has its header in front, and began as such a layout.
    unsafe {
        let Header { size, align } = block.cast::<Header>().sub(1).read();
        if let Some(layout) = outer(size, align) {
            heap.dealloc(block.sub(align), layout);
        }
    }
}

/// `realloc`: as `malloc` with null. A size of 0 gives a block of 0 bytes. The alignment of `aligned_alloc` is kept.
///
/// # Safety
///
/// - As for [`free`].
pub unsafe fn realloc(heap: &impl GlobalAlloc, block: *mut u8, size: usize) -> *mut u8 {
    if block.is_null() {
        return malloc(heap, size);
    }
    // SAFETY: a live block has its header in front, and began as such a layout.
    unsafe {
        let header = block.cast::<Header>().sub(1).read();
        let (Some(from), Some(to)) = (outer(header.size, header.align), outer(size, header.align))
        else {
            return ptr::null_mut();
        };
        let base = heap.realloc(block.sub(header.align), from, to.size());
        if base.is_null() {
            return base;
        }
        let block = base.add(header.align);
        block.cast::<Header>().sub(1).write(Header { size, ..header });
        block
    }
}

/// `malloc_usable_size`: what was asked for; 0 for null.
///
/// # Safety
///
/// - As for [`free`].
pub unsafe fn usable_size(block: *mut u8) -> usize {
    if block.is_null() {
        return 0;
    }
    // SAFETY: a live block has its header in front.
    unsafe { block.cast::<Header>().sub(1).read().size }
}

/// Defines `malloc`, `calloc`, `realloc`, `free`, `aligned_alloc` and `malloc_usable_size` for the heap that it is given.
///
/// ```ignore
/// #[global_allocator]
/// static HEAP: freestone_alloc::Heap = freestone_alloc::Heap::new();
/// freestone_alloc::c_allocator!(HEAP);
/// ```
///
/// Once in the final program, which must be a kernel: a hosted one has these symbols already.
#[macro_export]
macro_rules! c_allocator {
    ($heap:path) => {
        const _: () = {
            #[unsafe(no_mangle)]
            extern "C" fn malloc(size: usize) -> *mut u8 {
                $crate::c::malloc(&$heap, size)
            }
            #[unsafe(no_mangle)]
            extern "C" fn calloc(count: usize, size: usize) -> *mut u8 {
                $crate::c::calloc(&$heap, count, size)
            }
            #[unsafe(no_mangle)]
            extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut u8 {
                $crate::c::aligned_alloc(&$heap, align, size)
            }
            #[unsafe(no_mangle)]
            unsafe extern "C" fn realloc(block: *mut u8, size: usize) -> *mut u8 {
                // SAFETY: the caller's promise, which is C's.
                unsafe { $crate::c::realloc(&$heap, block, size) }
            }
            #[unsafe(no_mangle)]
            unsafe extern "C" fn free(block: *mut u8) {
                // SAFETY: the same.
                unsafe { $crate::c::free(&$heap, block) }
            }
            #[unsafe(no_mangle)]
            unsafe extern "C" fn malloc_usable_size(block: *mut u8) -> usize {
                // SAFETY: the same.
                unsafe { $crate::c::usable_size(block) }
            }
        };
    };
}
