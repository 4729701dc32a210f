//! Memory of requests: the driver owns it while the device has it, so that a future that is dropped, or forgotten, frees
//! nothing that the device may write to.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};

use crate::memory::{Memory, Pages};

/// What a request reads to or writes from.
///
/// # Safety
///
/// - [`bytes`](Self::bytes) are readable and writable, and nobody else's. They stay where they are when the value is moved,
///   until it is dropped.
/// - [`address`](Self::address) is where the device sees them.
pub unsafe trait Buffer: 'static {
    /// All of it.
    fn bytes(&mut self) -> NonNull<[u8]>;

    /// Where the device sees it. `None` if it does not see it in one piece.
    fn address<M: Memory>(&mut self) -> Option<u64> {
        M::address(self.bytes())
    }
}

// SAFETY: a vector's bytes are on the heap.
unsafe impl Buffer for Vec<u8> {
    fn bytes(&mut self) -> NonNull<[u8]> {
        NonNull::from(self.as_mut_slice())
    }
}

// SAFETY: on the heap.
unsafe impl Buffer for Box<[u8]> {
    fn bytes(&mut self) -> NonNull<[u8]> {
        NonNull::from(&mut **self)
    }
}

// SAFETY: on the heap.
unsafe impl<const N: usize> Buffer for Box<[u8; N]> {
    fn bytes(&mut self) -> NonNull<[u8]> {
        NonNull::from(self.as_mut_slice())
    }
}

// SAFETY: there are none.
unsafe impl Buffer for () {
    fn bytes(&mut self) -> NonNull<[u8]> {
        NonNull::from(&mut [])
    }
}

/// Whole pages as a buffer: where the device sees them need not be looked up for each request.
#[derive(Debug)]
pub struct PageBuffer<P: Pages> {
    pages: P,
    /// No more than these have, in bytes.
    len: usize,
}

impl<P: Pages> PageBuffer<P> {
    /// Of these pages.
    pub fn new(pages: P) -> PageBuffer<P> {
        PageBuffer { len: pages.len(), pages }
    }

    /// Has requests take the first `bytes` only: all of them if that is more.
    pub fn resize(&mut self, bytes: usize) {
        self.len = bytes.min(self.pages.len());
    }
}

impl<P: Pages> core::ops::Deref for PageBuffer<P> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: readable and its own; the device has them only while the driver has the value.
        unsafe { core::slice::from_raw_parts(self.pages.start().as_ptr(), self.len) }
    }
}

impl<P: Pages> core::ops::DerefMut for PageBuffer<P> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, writable, and borrowed by nobody else.
        unsafe { core::slice::from_raw_parts_mut(self.pages.start().as_ptr(), self.len) }
    }
}

// SAFETY: pages stay where they are, and say where that is.
unsafe impl<P: Pages + 'static> Buffer for PageBuffer<P> {
    fn bytes(&mut self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.pages.start(), self.len)
    }

    fn address<M: Memory>(&mut self) -> Option<u64> {
        Some(self.pages.address())
    }
}

const WORDS: usize = 6;

/// A buffer of any kind, without a place of its own on the heap. In `MaybeUninit`: the device writes to what it owns, so it
/// must not count as the only way there.
pub(super) struct Kept {
    value: MaybeUninit<[usize; WORDS]>,
    drop: Option<unsafe fn(*mut ())>,
}

impl Kept {
    pub const fn none() -> Kept {
        Kept { value: MaybeUninit::uninit(), drop: None }
    }

    pub fn new<B: Buffer>(buffer: B) -> Kept {
        const {
            assert!(
                size_of::<B>() <= size_of::<[usize; WORDS]>(),
                "a buffer has six words at most"
            );
            assert!(align_of::<B>() <= align_of::<usize>(), "a buffer is aligned as words are");
        }
        let mut kept = Kept { value: MaybeUninit::uninit(), drop: Some(drop_in::<B>) };
        // SAFETY: large enough and aligned, as asserted.
        unsafe { kept.value.as_mut_ptr().cast::<B>().write(buffer) };
        kept
    }

    /// # Safety
    ///
    /// - It was made of a `B`.
    pub unsafe fn into<B: Buffer>(mut self) -> Option<B> {
        self.drop.take()?;
        // SAFETY: the caller's promise; it is read once, for nothing drops it now.
        Some(unsafe { self.value.as_ptr().cast::<B>().read() })
    }

    /// Never frees it.
    pub fn forget(&mut self) {
        self.drop = None;
    }
}

/// # Safety
///
/// - There is a `B`, which is used no more.
unsafe fn drop_in<B>(value: *mut ()) {
    // SAFETY: the caller's promise.
    unsafe { ptr::drop_in_place(value.cast::<B>()) };
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(drop) = self.drop.take() {
            // SAFETY: `new` has put what it drops there.
            unsafe { drop(self.value.as_mut_ptr().cast()) };
        }
    }
}
