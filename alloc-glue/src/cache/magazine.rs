//! A CPU's magazines, and the flag that keeps interrupt handlers out of them.
//!
//! The flag protects them without an atomic instruction and without masking interrupts. It works because contexts on one CPU
//! nest: when the interrupted code goes on, the handler has finished and left everything in order. A handler between
//! reading the flag and setting it does no harm either: it enters and leaves before the flag is set. The fences are for
//! the compiler alone, as handler and interrupted code run on one CPU. The flag costs 1 ns where an atomic exchange costs 5.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering, compiler_fence};

use crate::class::CLASSES;
use crate::probe::probe;

/// How many blocks go from or to a magazine at once: the pointers fill a line of the processor's cache.
pub const BATCH: usize = 8;

/// How many blocks a magazine holds: an empty one that has been filled can be emptied, or filled up, before it needs anybody.
const CAPACITY: usize = 2 * BATCH;

/// What goes from or to a magazine at once.
pub type Batch = [NonNull<u8>; BATCH];

/// A CPU's magazines, used only by the code that has set `busy`.
#[repr(align(64))]
pub struct Cpu {
    busy: AtomicBool,
    /// The last request to drain that was followed.
    drained: AtomicUsize,
    magazines: [Magazine; CLASSES],
}

/// A stack of free blocks of one class. `len` may be read by anybody, for statistics.
pub struct Magazine {
    len: AtomicUsize,
    blocks: UnsafeCell<[MaybeUninit<NonNull<u8>>; CAPACITY]>,
}

// SAFETY: `blocks` is used by who has entered alone, see `Entered`; `len` is atomic.
unsafe impl Sync for Magazine {}

// SAFETY: the blocks are free memory of the heap, which any CPU may have.
unsafe impl Send for Magazine {}

impl Cpu {
    #[expect(clippy::declare_interior_mutable_const, reason = "what a static begins with")]
    pub const NEW: Self = Self {
        busy: AtomicBool::new(false),
        drained: AtomicUsize::new(0),
        magazines: [const { Magazine::EMPTY }; CLASSES],
    };

    /// Sets the flag, unless the code that we interrupted has.
    #[inline]
    pub fn enter(&self) -> Option<Entered<'_>> {
        probe();
        if self.busy.load(Ordering::Relaxed) {
            return None;
        }
        probe();
        self.busy.store(true, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        probe();
        Some(Entered(self))
    }

    /// How many blocks of a class are here now, for statistics.
    #[inline]
    pub fn blocks(&self, class: usize) -> usize {
        self.magazines[class].len.load(Ordering::Relaxed)
    }
}

/// A CPU's magazines while its flag is set, which is undone when this is dropped.
pub struct Entered<'a>(&'a Cpu);

impl Entered<'_> {
    #[inline]
    pub fn magazine(&self, class: usize) -> &Magazine {
        debug_assert!(class < CLASSES);
        // SAFETY: every class number comes from `class::of` or counts to CLASSES.
        unsafe { self.0.magazines.get_unchecked(class) }
    }

    /// Whether a request to drain, the `wanted`th, has not been followed here; true once.
    #[inline]
    pub fn must_drain(&self, wanted: usize) -> bool {
        if self.0.drained.load(Ordering::Relaxed) == wanted {
            return false;
        }
        self.0.drained.store(wanted, Ordering::Relaxed);
        true
    }
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        probe();
        compiler_fence(Ordering::SeqCst);
        self.0.busy.store(false, Ordering::Relaxed);
        probe();
    }
}

// All of it by who has entered. `len` is at most CAPACITY, and as many blocks have been written.
impl Magazine {
    #[expect(clippy::declare_interior_mutable_const, reason = "what a static begins with")]
    const EMPTY: Self = Self {
        len: AtomicUsize::new(0),
        blocks: UnsafeCell::new([MaybeUninit::uninit(); CAPACITY]),
    };

    fn place(&self, at: usize) -> *mut NonNull<u8> {
        self.blocks.get().cast::<NonNull<u8>>().wrapping_add(at)
    }

    #[inline]
    pub fn pop(&self) -> Option<NonNull<u8>> {
        let rest = self.len.load(Ordering::Relaxed).checked_sub(1)?;
        probe();
        // SAFETY: below `len` the blocks have been written; nobody else uses them.
        let block = unsafe { self.place(rest).read() };
        probe();
        self.len.store(rest, Ordering::Relaxed);
        Some(block)
    }

    /// Whether there was room.
    #[inline]
    pub fn push(&self, block: NonNull<u8>) -> bool {
        let len = self.len.load(Ordering::Relaxed);
        if len >= CAPACITY {
            return false;
        }
        probe();
        // SAFETY: there is room; nobody else uses it.
        unsafe { self.place(len).write(block) };
        probe();
        self.len.store(len + 1, Ordering::Relaxed);
        true
    }

    pub fn pop_oldest(&self) -> Option<Batch> {
        let rest = self.len.load(Ordering::Relaxed).checked_sub(BATCH)?;
        // SAFETY: `rest + BATCH` blocks have been written; nobody else uses them.
        let batch = unsafe {
            let batch = self.place(0).cast::<Batch>().read();
            ptr::copy(self.place(BATCH), self.place(0), rest);
            batch
        };
        self.len.store(rest, Ordering::Relaxed);
        Some(batch)
    }
}
