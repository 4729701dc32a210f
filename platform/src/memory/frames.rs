//! Frames of physical memory, for whoever needs whole pages: stacks, tables, rings of devices.
//!
//! A run of frames is a [`Frames`], which gives it back when it is dropped. All RAM is mapped at its own
//! address, so a frame can be written to at once.
//!
//! What the loader called usable and nobody had taken when `main` began is free. Of that a heap may take its
//! [share](heap_share), once, before anybody has taken a frame: the lower seven eighths of every range. The
//! rest, or all of it if there is no heap, is for frames. It is taken over when the first frame is asked for:
//! a kernel that never does has neither the code nor the work.

use core::fmt;
use core::ops::Range;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use super::address::{PAGE_SIZE, PhysAddr, VirtAddr};
use super::buddy::{Buddy, FrameStats, FreeError, Zone};
use super::map::MemoryMap;
use crate::arch::page_table::format::HIGHEST;
use crate::boot_info::boot_info;
use crate::lock::Lock;

/// One of so many parts of a range is left for frames, if there is a heap.
const PARTS: u64 = 8;

/// Who has what: decided by who comes first, for ever.
static DIVISION: AtomicU8 = AtomicU8::new(UNDECIDED);
const UNDECIDED: u8 = 0;
const ALL_FRAMES: u8 = 1;
const WITH_HEAP: u8 = 2;

fn decide(division: u8) -> u8 {
    let decided =
        DIVISION.compare_exchange(UNDECIDED, division, Ordering::Relaxed, Ordering::Relaxed);
    decided.map_or_else(|earlier| earlier, |_| division)
}

/// Where in a free range the heap's part ends.
fn border(range: &Range<u64>) -> u64 {
    (range.end - (range.end - range.start) / PARTS) & !(PAGE_SIZE - 1)
}

/// Free memory for a heap: ranges of physical addresses, mapped writable at their own addresses, whose new
/// owner the caller is. Nothing the second time, and nothing once frames have been taken.
pub fn heap_share() -> impl Iterator<Item = Range<u64>> {
    let boot = boot_info();
    let mine = boot.filter(|_| {
        DIVISION
            .compare_exchange(UNDECIDED, WITH_HEAP, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    });
    let ranges = mine.into_iter().flat_map(|boot| boot.memory().free());
    ranges.map(|range| range.start..border(&range).max(range.start))
}

/// The allocator, once it has been asked for.
struct Filled {
    is_filled: bool,
    buddy: Buddy,
}

static ALL: Lock<Filled> = Lock::new(Filled { is_filled: false, buddy: Buddy::new() });

/// `None` if somebody is at it whom we interrupt, and before `main`. Afterwards the allocator gets what handlers had to
/// leave in [`LEFT`] because of that.
fn with<R>(work: impl FnOnce(&mut Buddy) -> R) -> Option<R> {
    let done = alone(work)?;
    while !LEFT.0.load(Ordering::Relaxed).is_null() && alone(take_up).is_some() {}
    Some(done)
}

/// The same, but for what was left.
fn alone<R>(work: impl FnOnce(&mut Buddy) -> R) -> Option<R> {
    let map = boot_info()?.memory();
    ALL.with(|Filled { is_filled, buddy }| {
        if !core::mem::replace(is_filled, true) {
            // SAFETY: the first time, and the division says what is ours.
            unsafe { fill(buddy, map, decide(ALL_FRAMES)) };
        }
        work(buddy)
    })
}

/// Hands over what is free in `map`, by this division.
///
/// # Safety
///
/// - Called once. That memory is mapped at its own address, and nobody else uses it from now on.
unsafe fn fill(buddy: &mut Buddy, map: &MemoryMap, division: u8) {
    for range in map.free() {
        let start = if division == WITH_HEAP { border(&range) } else { range.start };
        // Whole frames only.
        let first = start.max(range.start).div_ceil(PAGE_SIZE);
        let end = range.end.min(HIGHEST) / PAGE_SIZE;
        let memory = VirtAddr::try_new(first * PAGE_SIZE).map(VirtAddr::as_ptr);
        if let Some(memory) = memory.filter(|_| first < end) {
            // SAFETY: the caller's promise.
            unsafe { buddy.add(first, end, memory) };
        }
    }
}

/// Frames that were to be given back in the middle of the allocator's work. The first of each run tells of it.
struct Left(AtomicPtr<Run>);

static LEFT: Left = Left(AtomicPtr::new(ptr::null_mut()));

/// What is written into a run's first frame.
struct Run {
    count: u64,
    next: *mut Run,
}

impl Left {
    /// # Safety
    ///
    /// - `count` frames at `first` are mapped writable at their own address, and nobody uses them any more.
    unsafe fn put(&self, first: u64, count: u64) {
        let run = VirtAddr::new(first * PAGE_SIZE).as_ptr::<Run>();
        let mut next = self.0.load(Ordering::Relaxed);
        loop {
            // SAFETY: the caller's promise; a frame is aligned for anything.
            unsafe { run.write(Run { count, next }) };
            // Again only if a handler came in between that has put something there.
            match self.0.compare_exchange(next, run, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(other) => next = other,
            }
        }
    }
}

/// Gives the allocator all of [`LEFT`].
fn take_up(buddy: &mut Buddy) {
    let mut next = LEFT.0.swap(ptr::null_mut(), Ordering::Acquire);
    while !next.is_null() {
        let first = next.addr() as u64 / PAGE_SIZE;
        // SAFETY: written by `put`, into a frame that nobody has written to since, and ours alone now. Read before the
        // allocator writes there; the rest is what who has put it promised.
        let done = unsafe {
            let run = next.read();
            next = run.next;
            buddy.give_back(first, run.count)
        };
        // Who gave back what was not his is told so only if it can be seen at once.
        debug_assert_eq!(done, Ok(()));
    }
}

/// There is no such run of frames, or the allocator was interrupted by who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfFrames;

impl fmt::Display for OutOfFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no run of free frames is long enough")
    }
}

impl core::error::Error for OutOfFrames {}

/// A run of frames that is ours until it is dropped. What is in it is whatever was there before.
#[derive(Debug)]
pub struct Frames {
    start: PhysAddr,
    count: u64,
}

impl Frames {
    /// Takes `count` frames in a row.
    ///
    /// # Errors
    ///
    /// [`OutOfFrames`]; also for more than 1 GiB, and in a handler that interrupts the allocator.
    pub fn take(count: u64) -> Result<Frames, OutOfFrames> {
        Frames::take_where(count, PAGE_SIZE, Zone::Any)
    }

    /// Takes `count` frames in a row at a multiple of `align` bytes, a power of two, in `zone`.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    pub fn take_where(count: u64, align: u64, zone: Zone) -> Result<Frames, OutOfFrames> {
        let align = align.div_ceil(PAGE_SIZE);
        let start = with(|buddy| buddy.take(count, align, zone)).flatten().ok_or(OutOfFrames)?;
        Ok(Frames { start: PhysAddr::new(start * PAGE_SIZE), count })
    }

    /// Where it begins on the bus.
    pub fn start(&self) -> PhysAddr {
        self.start
    }

    /// How many frames it is.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Its bytes, uninitialised, where the kernel can write to them.
    pub fn as_ptr(&self) -> NonNull<[u8]> {
        let at = VirtAddr::new(self.start.as_u64()).as_ptr::<u8>();
        // SAFETY: frame 0 is never free.
        let at = unsafe { NonNull::new_unchecked(at) };
        NonNull::slice_from_raw_parts(at, (self.count * PAGE_SIZE) as usize)
    }

    /// Keeps the frames taken, with nobody to give them back: virtual address and number.
    pub fn into_raw(self) -> (VirtAddr, u64) {
        let raw = (VirtAddr::new(self.start.as_u64()), self.count);
        core::mem::forget(self);
        raw
    }

    /// Gives back `count` frames at `start`, which [`into_raw`](Self::into_raw) kept. Checked: giving
    /// back twice is an error, and changes nothing; but not in a handler that interrupts the allocator, which takes them
    /// when it goes on.
    ///
    /// # Errors
    ///
    /// What [`FreeError`] says.
    ///
    /// # Safety
    ///
    /// - Nobody uses the frames any more, and they are mapped at their own address and writable.
    /// - In a handler that interrupts the allocator: they are taken, and this run of them.
    pub unsafe fn give_back(start: PhysAddr, count: u64) -> Result<(), FreeError> {
        if !start.is_page() {
            return Err(FreeError::NotTaken);
        }
        let first = start.as_u64() / PAGE_SIZE;
        // SAFETY: the caller's promise.
        let done = with(|buddy| unsafe { buddy.give_back(first, count) });
        done.unwrap_or_else(|| {
            // SAFETY: the caller's promise.
            unsafe { LEFT.put(first, count) };
            Ok(())
        })
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        // SAFETY: the owner is gone, and whoever changes the map of a frame puts it back before.
        let done = unsafe { Frames::give_back(self.start, self.count) };
        debug_assert_eq!(done, Ok(()));
    }
}

/// How the frames stand, and the longest run that can be had; `None` in a handler that interrupts the
/// allocator.
pub fn stats() -> Option<(FrameStats, u64)> {
    with(|buddy| (buddy.stats(), buddy.longest()))
}
