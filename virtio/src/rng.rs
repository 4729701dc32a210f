//! The entropy device: takes words from its buffer, waits for it, and gives the device up at the first error. It needs no
//! interrupts and no heap.
//!
//! Source: VIRTIO 1.2, 5.4.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::memory::Pages;
use crate::queue::{Queue, Segment};
use crate::transport::{Error, Transport, is_lost, limited, negotiate, reset, start};

/// The entropy device's number (5.4.1).
pub const KIND: u32 = 4;

/// How much is asked for at a time.
const BUFFER_BYTES: usize = 64;
const WORDS: usize = BUFFER_BYTES / size_of::<u64>();
const PAGE_SIZE: usize = 4096;

/// What its pages must have: a queue of any length that devices have, and a page for the buffer.
pub const BYTES: usize = 4 * PAGE_SIZE;

/// A device in use, and what is left of its latest buffer.
pub struct Source<T: Transport, P: Pages> {
    device: T,
    queue: Option<(Queue<2, P>, Buffer)>,
    words: [u64; WORDS],
    left: usize,
    /// What tells the latest buffer from the next one. Its words are not kept: they belong to who got them.
    digest: u64,
}

/// Where the device writes: the last page.
struct Buffer(core::ptr::NonNull<AtomicU64>);

// SAFETY: it is in the pages of the queue beside it, which may be sent.
unsafe impl Send for Buffer {}

impl Buffer {
    fn words(&self) -> &[AtomicU64; WORDS] {
        // SAFETY: a page of the queue's pages, behind the queue; all in it are atomics, which the device may change.
        unsafe { self.0.cast().as_ref() }
    }
}

impl<T: Transport, P: Pages> Source<T, P> {
    /// Brings the device up, with [`BYTES`] of memory. `is_over` ends the wait for it.
    pub fn new(device: T, pages: P, is_over: impl FnMut() -> bool) -> Source<T, P> {
        let queue = bring_up(&device, pages, is_over).ok();
        Source { device, queue, words: [0; WORDS], left: 0, digest: 0 }
    }

    /// Whether it did something wrong, and is not asked any more.
    pub fn is_broken(&self) -> bool {
        self.queue.is_none()
    }

    /// The next word; `None` if the device is broken. One that gives less than a word each time until time is over is.
    pub fn word(&mut self, mut is_over: impl FnMut() -> bool) -> Option<u64> {
        while self.left == 0 && !self.is_broken() {
            self.refill(&mut is_over);
            if self.left == 0 && !self.is_broken() && is_over() {
                self.give_up(&mut is_over);
            }
        }
        self.left = self.left.checked_sub(1)?;
        // Nobody gets a word twice.
        self.words.get_mut(self.left).map(core::mem::take)
    }

    fn refill(&mut self, mut is_over: impl FnMut() -> bool) {
        let Some((queue, buffer)) = &mut self.queue else { return };
        let latest = ask(&self.device, queue, buffer, &mut is_over);
        let words = buffer.words().each_ref().map(|word| word.load(Ordering::Relaxed));
        let Ok(len) = latest else { return self.give_up(is_over) };
        let left = len / size_of::<u64>();
        // By chance once in 2^59 buffers.
        let filled = words.get(..left).unwrap_or_default();
        let is_twice = filled.iter().enumerate().any(|(at, word)| filled[..at].contains(word));
        let digest = filled.iter().fold(1, |digest: u64, word| {
            (digest ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
        });
        if is_twice || (left != 0 && digest == self.digest) {
            return self.give_up(is_over);
        }
        (self.words, self.left, self.digest) = (words, left, digest);
    }

    fn give_up(&mut self, is_over: impl FnMut() -> bool) {
        let queue = self.queue.take();
        if reset(&self.device, is_over).is_err() {
            // If it does not even do that, it may write to its queue for ever, which nobody has any more.
            core::mem::forget(queue);
        }
    }
}

impl<T: Transport, P: Pages> Drop for Source<T, P> {
    fn drop(&mut self) {
        if !self.is_broken() {
            self.give_up(limited());
        }
    }
}

fn bring_up<P: Pages>(
    device: &impl Transport,
    pages: P,
    is_over: impl FnMut() -> bool,
) -> Result<(Queue<2, P>, Buffer), Error> {
    let features = negotiate(device, KIND, 0, is_over)?;
    let len = Queue::<1, P>::len(device, 0)?;
    if pages.len() < BYTES || Queue::<1, P>::bytes(len) > BYTES - PAGE_SIZE {
        return Err(Error::NoMemory);
    }
    // SAFETY: inside, and aligned.
    let buffer = Buffer(unsafe { pages.start().byte_add(BYTES - PAGE_SIZE).cast() });
    let address = pages.address() + (BYTES - PAGE_SIZE) as u64;
    let queue = Queue::new(device, 0, len, pages, &features, None)?;
    queue.describe(0, Segment { address, len: BUFFER_BYTES as u32, is_written: true }, None);
    start(device, &features);
    Ok((queue, buffer))
}

/// Has the device fill the buffer, and tells how many bytes it says it has written: 1 to [`BUFFER_BYTES`]. What it has not
/// is zero.
fn ask<P: Pages>(
    device: &impl Transport,
    queue: &mut Queue<2, P>,
    buffer: &Buffer,
    mut is_over: impl FnMut() -> bool,
) -> Result<usize, Error> {
    for word in buffer.words() {
        word.store(0, Ordering::Relaxed);
    }
    queue.offer(0);
    queue.tell();
    loop {
        if let Some((_, len)) = queue.take()? {
            let len = len as usize;
            let is_possible = (1..=BUFFER_BYTES).contains(&len) && !is_lost(device);
            return if is_possible { Ok(len) } else { Err(Error::Lying) };
        }
        if is_over() {
            return Err(Error::Silent);
        }
        core::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests;
