//! A heap as an `Allocator` of the `allocator-api2` crate: for its `Box` and `Vec`, and for hashbrown's maps, on stable Rust.

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;

use allocator_api2::alloc::{AllocError, Allocator};

use crate::heap::pointer;

/// Stands for the heap it refers to: `Vec::new_in(In(&HEAP))`.
#[derive(Debug)]
pub struct In<'a, A>(pub &'a A);

impl<A> Clone for In<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for In<'_, A> {}

fn slice(block: *mut u8, len: usize) -> Result<NonNull<[u8]>, AllocError> {
    let block = NonNull::new(block).ok_or(AllocError)?;
    Ok(NonNull::slice_from_raw_parts(block, len))
}

// SAFETY: the heap keeps a block until it is freed, whichever copy of this is used. Blocks of 0 bytes never reach it.
unsafe impl<A: GlobalAlloc> Allocator for In<'_, A> {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() == 0 {
            return slice(pointer(Some(dangling(layout))), 0);
        }
        // SAFETY: the size is not 0.
        slice(unsafe { self.0.alloc(layout) }, layout.size())
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() > 0 {
            // SAFETY: the caller promises that the block is live and of this layout.
            unsafe { self.0.dealloc(block.as_ptr(), layout) };
        }
    }

    unsafe fn grow(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise.
        unsafe { self.resize(block, old, new) }
    }

    unsafe fn shrink(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the caller's promise.
        unsafe { self.resize(block, old, new) }
    }
}

impl<A: GlobalAlloc> In<'_, A> {
    /// # Safety
    ///
    /// - `block` is a live block of layout `old`.
    unsafe fn resize(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if old.align() == new.align() && old.size() > 0 && new.size() > 0 {
            // SAFETY: the caller's promise; `new` is a valid layout of the same alignment.
            return slice(unsafe { self.0.realloc(block.as_ptr(), old, new.size()) }, new.size());
        }
        let moved = self.allocate(new)?;
        // SAFETY: both blocks have what the smaller size has; the caller gives the old one up.
        unsafe {
            moved.cast::<u8>().copy_from_nonoverlapping(block, old.size().min(new.size()));
            self.deallocate(block, old);
        }
        Ok(moved)
    }
}

/// An address for no bytes.
fn dangling(layout: Layout) -> NonNull<u8> {
    NonNull::without_provenance(layout.align().try_into().expect("an alignment is not 0"))
}
