//! What all CPUs share: full batches of each class, so that blocks which one CPU allocates and another frees go round.

use core::mem::MaybeUninit;

use super::magazine::{BATCH, Batch};
use crate::class::{self, CLASSES};

/// How many batches of a class wait in the depot at most, and how many bytes in them.
const DEPOT_BATCHES: usize = 8;
const DEPOT_BYTES: usize = 32 << 10;

/// Full batches of each class.
pub struct Depot {
    len: [u8; CLASSES],
    batches: [[MaybeUninit<Batch>; DEPOT_BATCHES]; CLASSES],
}

// SAFETY: the blocks are free memory of the heap, which any CPU may have.
unsafe impl Send for Depot {}

impl Depot {
    pub const EMPTY: Self =
        Self { len: [0; CLASSES], batches: [[MaybeUninit::uninit(); DEPOT_BATCHES]; CLASSES] };

    /// How many batches of a class wait.
    #[inline]
    pub fn batches(&self, class: usize) -> usize {
        self.len[class].into()
    }

    pub fn pop(&mut self, class: usize) -> Option<Batch> {
        let rest = self.len[class].checked_sub(1)?;
        self.len[class] = rest;
        // SAFETY: as many batches as `len` says have been written.
        Some(unsafe { self.batches[class][usize::from(rest)].assume_init() })
    }

    /// Returns the batch if the class has enough of them.
    pub fn push(&mut self, class: usize, batch: Batch) -> Option<Batch> {
        let len = usize::from(self.len[class]);
        let bytes = BATCH * class::layout(class).size();
        if len >= DEPOT_BATCHES || (len + 1) * bytes > DEPOT_BYTES.max(bytes) {
            return Some(batch);
        }
        self.batches[class][len].write(batch);
        self.len[class] += 1;
        None
    }
}
