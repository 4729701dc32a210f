//! A layer that notices misuse: double free, foreign pointer, wrong layout, overflow, and on request a write after free.
//!
//! ```text
//! [ (padding to the alignment) | record | bytes of the caller | canary ]
//!                                  │                              └ 8 bytes, tell the address
//!                                  ├ 8 bytes: size and alignment
//!                                  ├ 4 bytes: a seal over the address, the state and what stands before
//!                                  └ 4 bytes: where it was allocated, or freed
//! ```
//!
//! Nothing is looked up: a pointer that comes back is believed if the seal in front of it is right. A block whose record is
//! wrong is reported and never freed, as nobody knows any more what it is.
//!
//! With a quarantine a freed block is filled with a pattern and waits for its turn in a ring; on its way out the pattern is
//! compared. That is what finds writes after free, and it keeps the records of freed blocks legible for longer.
//!
//! Pages (alignments of 4096 and more) pass through unchecked: a record in front would cost a page each.

use core::alloc::{GlobalAlloc, Layout};
use core::fmt;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use lock_api::RawMutex;

use crate::cache::{Cached, CpuId};
use crate::heap::Heap;
use crate::map::Walk;
use crate::pool::{BlockState, Pool};

/// What stands in front of the caller's bytes, and behind them.
const RECORD: usize = size_of::<Record>();
const CANARY: usize = 8;

/// Alignments from here on are not checked.
const PAGE: usize = 4096;

/// What a block in quarantine is filled with, and how much of it.
const POISON: u8 = 0xde;
const POISONED_MAX: usize = 256;

/// A heap that can be under [`Checked`].
///
/// # Safety
///
/// - Where `may_own` says yes, 16 bytes can be read if the address is a multiple of 16 and it lies behind the first 16 bytes of a region.
pub unsafe trait Backing: GlobalAlloc {
    /// Whether the address may be one of its blocks': quick, and wrong only between two regions that are both its own.
    fn may_own(&self, address: usize) -> bool;

    /// Shows start and length of each block that is in use or in a magazine, with locks held.
    fn each_used(&self, visit: &mut dyn FnMut(NonNull<u8>, usize));
}

// SAFETY: the range from the lowest region's start to the highest one's end. What lies between regions is read only by who passes a
// pointer to there, which is a bug that is about to be reported either way.
unsafe impl<L: RawMutex, P: Pool> Backing for Heap<L, P> {
    #[inline]
    fn may_own(&self, address: usize) -> bool {
        self.bounds().contains(&address)
    }

    fn each_used(&self, visit: &mut dyn FnMut(NonNull<u8>, usize)) {
        self.walk(&mut |event| {
            if let Walk::Block(block) = event
                && block.state == BlockState::Used
            {
                visit(block.start, block.len);
            }
        });
    }
}

// SAFETY: as for the heap inside.
unsafe impl<C: CpuId, const CPUS: usize, L: RawMutex, P: Pool> Backing for Cached<C, CPUS, L, P> {
    #[inline]
    fn may_own(&self, address: usize) -> bool {
        self.heap().may_own(address)
    }

    fn each_used(&self, visit: &mut dyn FnMut(NonNull<u8>, usize)) {
        self.heap().each_used(visit);
    }
}

/// Knows where the code that called the allocator stands.
pub trait CallSite {
    /// An address in that code, or 0. Its lower 32 bits are kept.
    fn here() -> usize;
}

/// Nobody knows.
#[derive(Clone, Copy, Debug)]
pub struct Nowhere;

impl CallSite for Nowhere {
    #[inline]
    fn here() -> usize {
        0
    }
}

/// What was done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Freed or resized after it had been freed.
    DoubleFree,
    /// No block of this heap: the address lies elsewhere, or is not one that a block could have.
    Foreign,
    /// No block in use: never one, or freed and used again meanwhile, or the bytes in front of it have been overwritten.
    NotLive,
    /// In use, but allocated with another size or alignment.
    WrongLayout,
    /// Bytes behind its end have been overwritten.
    Overflow,
    /// Bytes have been written to after it was freed.
    WriteAfterFree,
}

/// A report, for the hook of [`Checked`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Misuse {
    /// What was done wrong.
    pub kind: Kind,
    /// The address that was passed.
    pub address: usize,
    /// The layout that was passed with it; the recorded one where nothing was passed.
    pub given: Layout,
    /// The layout it was allocated with, if that is known.
    pub recorded: Option<Layout>,
    /// Where it was allocated, or if it is not in use, freed: the lower 32 bits of an address; 0 if unknown.
    pub before: usize,
    /// Where the misuse was found, of the same kind.
    pub here: usize,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Kind::DoubleFree => "freed twice",
            Kind::Foreign => "not a block of this heap",
            Kind::NotLive => {
                "not a block in use: freed before, or the bytes in front of it are overwritten"
            }
            Kind::WrongLayout => "freed or resized with another layout than it was allocated with",
            Kind::Overflow => "bytes behind its end are overwritten",
            Kind::WriteAfterFree => "written to after it was freed",
        };
        let Self { address, given, before, here, .. } = self;
        write!(
            f,
            "heap misuse at {address:#x}: {what}; {} bytes, alignment {}",
            given.size(),
            given.align()
        )?;
        if let Some(layout) = self.recorded {
            write!(f, ", allocated as {} bytes, alignment {}", layout.size(), layout.align())?;
        }
        write!(f, "; before at {before:#x}, found at {here:#x}")
    }
}

/// A heap `A` with a record in front of each block and a canary behind it.
///
/// `S` knows call sites; `QUARANTINE` is how many freed blocks wait, 0 for none. Misuse goes to the hook, which may print and panic;
/// if it returns, the block is left as it is, for ever.
pub struct Checked<A, S = Nowhere, const QUARANTINE: usize = 0> {
    inner: A,
    report: fn(&Misuse),
    waiting: [AtomicPtr<u8>; QUARANTINE],
    turn: AtomicUsize,
    site: PhantomData<fn() -> S>,
}

/// What [`Checked::audit`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckedAudit {
    /// Blocks in use.
    pub live: usize,
    /// How many of them have an overwritten canary.
    pub overflowed: usize,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Record {
    /// The size in the upper 58 bits, the logarithm of the alignment below.
    layout: u64,
    seal: u32,
    site: u32,
}

#[derive(Clone, Copy)]
enum State {
    Live = 0x6c69_7665,
    /// Says nothing about the layout, whose bytes the pool may have used since.
    Freed = 0x0f2e_ed00,
}

impl Record {
    fn new(layout: Layout, site: usize) -> Self {
        let packed = (layout.size() as u64) << 6 | u64::from(layout.align().trailing_zeros());
        Self { layout: packed, seal: 0, site: site as u32 }
    }

    fn sealed(mut self, address: usize, state: State) -> Self {
        self.seal = self.seal_of(address, state);
        self
    }

    fn seal_of(&self, address: usize, state: State) -> u32 {
        const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
        let covered = match state {
            State::Live => self.layout,
            State::Freed => 0,
        };
        let mixed = ((address as u64) ^ covered.rotate_left(32) ^ state as u64).wrapping_mul(MIX);
        (mixed >> 32) as u32
    }

    fn is(&self, address: usize, state: State) -> bool {
        self.seal == self.seal_of(address, state)
    }

    fn layout(&self) -> Option<Layout> {
        Layout::from_size_align((self.layout >> 6) as usize, 1 << (self.layout & 63)).ok()
    }
}

/// How much lies in front of the caller's bytes: the record, at the end of a multiple of the alignment.
fn front(align: usize) -> usize {
    align.max(RECORD)
}

/// What the heap inside is asked for; a size of more than it can have if there is no such layout.
fn outer(layout: Layout) -> Layout {
    let size = layout.size().saturating_add(front(layout.align()) + CANARY);
    let align = layout.align().max(RECORD);
    Layout::from_size_align(size, align).unwrap_or(NEVER)
}

/// No heap has it.
const NEVER: Layout = match Layout::from_size_align(isize::MAX as usize - 15, 16) {
    Ok(layout) => layout,
    Err(_) => panic!("a valid layout"),
};

fn canary(address: usize) -> u64 {
    address as u64 ^ 0xca4a_2135_ca4a_2135
}

/// # Safety
///
/// - The 16 bytes in front of `block` can be read, or with `write_record` written.
unsafe fn read_record(block: *mut u8) -> Record {
    // SAFETY: the caller's promise.
    unsafe { block.sub(RECORD).cast::<Record>().read_unaligned() }
}

/// # Safety
///
/// - As for [`read_record`].
unsafe fn write_record(block: *mut u8, record: Record) {
    // SAFETY: the caller's promise.
    unsafe { block.sub(RECORD).cast::<Record>().write_unaligned(record) };
}

/// # Safety
///
/// - Behind the `size` bytes of `block` there are 8 more, of the same block.
unsafe fn canary_is_right(block: *mut u8, size: usize) -> bool {
    // SAFETY: the caller's promise.
    unsafe { block.add(size).cast::<u64>().read_unaligned() == canary(block.addr()) }
}

impl<A, S, const QUARANTINE: usize> Checked<A, S, QUARANTINE> {
    /// Checks the use of `inner`, which nothing must use directly from then on.
    pub const fn new(inner: A, report: fn(&Misuse)) -> Self {
        Self {
            inner,
            report,
            waiting: [const { AtomicPtr::new(ptr::null_mut()) }; QUARANTINE],
            turn: AtomicUsize::new(0),
            site: PhantomData,
        }
    }

    /// The heap inside, to add regions and look at the counters, which have the records in them.
    pub const fn inner(&self) -> &A {
        &self.inner
    }
}

impl<A: Backing, S: CallSite, const QUARANTINE: usize> Checked<A, S, QUARANTINE> {
    /// Looks at every block in use, and reports each that has been overrun, up to eight of them. The heap's lock is held meanwhile,
    /// but not during the reports.
    pub fn audit(&self) -> CheckedAudit {
        let (mut audit, mut found) = (CheckedAudit::default(), [None; 8]);
        self.inner.each_used(&mut |start, len| {
            let Some((block, record, layout)) = live_in(start, len) else { return };
            audit.live += 1;
            // SAFETY: `live_in` has seen that the canary lies inside.
            if !unsafe { canary_is_right(block, layout.size()) } {
                if let Some(place) = found.get_mut(audit.overflowed) {
                    *place = Some((block, record, layout));
                }
                audit.overflowed += 1;
            }
        });
        for (block, record, layout) in found.into_iter().flatten() {
            self.misuse(Kind::Overflow, block, layout, Some(record));
        }
        audit
    }

    #[cold]
    fn misuse(&self, kind: Kind, block: *mut u8, given: Layout, record: Option<Record>) {
        let recorded = match kind {
            Kind::WrongLayout | Kind::Overflow => record.and_then(|record| record.layout()),
            _ => None,
        };
        let before = record.map_or(0, |record| record.site as usize);
        let here = S::here() & u32::MAX as usize;
        (self.report)(&Misuse { kind, address: block.addr(), given, recorded, before, here });
    }

    /// Whether the block is in use with this layout and not overrun. If not, that has been reported.
    #[inline]
    fn check(&self, block: *mut u8, layout: Layout) -> bool {
        let address = block.addr();
        if !address.is_multiple_of(RECORD) || !self.inner.may_own(address) {
            self.misuse(Kind::Foreign, block, layout, None);
            return false;
        }
        // SAFETY: an aligned address inside the heap.
        let record = unsafe { read_record(block) };
        if !record.is(address, State::Live) {
            let freed = record.is(address, State::Freed);
            let kind = if freed { Kind::DoubleFree } else { Kind::NotLive };
            self.misuse(kind, block, layout, freed.then_some(record));
            return false;
        }
        if record.layout != Record::new(layout, 0).layout {
            self.misuse(Kind::WrongLayout, block, layout, Some(record));
            return false;
        }
        // SAFETY: a live block of this size has a canary behind it.
        if !unsafe { canary_is_right(block, layout.size()) } {
            self.misuse(Kind::Overflow, block, layout, Some(record));
            return false;
        }
        true
    }

    /// Makes a new outer block one of ours.
    ///
    /// # Safety
    ///
    /// - `base` is a live block of the heap inside, of layout `outer(layout)`.
    #[inline]
    unsafe fn begin(&self, base: *mut u8, layout: Layout) -> *mut u8 {
        // SAFETY: the outer layout has room for the front, the bytes and the canary.
        unsafe {
            let block = base.add(front(layout.align()));
            write_record(block, Record::new(layout, S::here()).sealed(block.addr(), State::Live));
            block.add(layout.size()).cast::<u64>().write_unaligned(canary(block.addr()));
            block
        }
    }

    /// Lets the block wait, and returns the one whose turn it is: itself if nothing waits here.
    ///
    /// # Safety
    ///
    /// - `block` is ours, of this layout, and has been marked as freed.
    unsafe fn exchange(&self, block: *mut u8, layout: Layout) -> Option<(*mut u8, Layout)> {
        if QUARANTINE == 0 {
            return Some((block, layout));
        }
        // SAFETY: the caller gives up its bytes.
        unsafe { block.write_bytes(POISON, layout.size().min(POISONED_MAX)) };
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % QUARANTINE.max(1);
        let oldest = self.waiting.get(turn)?.swap(block, Ordering::AcqRel);
        if oldest.is_null() {
            return None;
        }
        // SAFETY: it was put here by this function, and nothing but a misuse has written to it since.
        let (record, layout) = unsafe {
            let record = read_record(oldest);
            (record, record.layout())
        };
        let intact = layout.is_some_and(|layout| {
            let len = layout.size().min(POISONED_MAX);
            // SAFETY: as long as the record is intact, the block is as large as it says.
            let bytes = unsafe { core::slice::from_raw_parts(oldest, len) };
            bytes.iter().all(|&byte| byte == POISON)
                // SAFETY: the same.
                && unsafe { canary_is_right(oldest, layout.size()) }
        });
        if !intact || !record.is(oldest.addr(), State::Freed) {
            self.misuse(Kind::WriteAfterFree, oldest, layout.unwrap_or(NEVER), Some(record));
            return None;
        }
        Some((oldest, layout?))
    }
}

/// The live block of ours inside a block of the heap, if there is one: its bytes, its record, its layout.
fn live_in(start: NonNull<u8>, len: usize) -> Option<(*mut u8, Record, Layout)> {
    let mut align = RECORD;
    while align < PAGE {
        // The heap aligns an outer block as little as it may.
        let gap = start.addr().get().wrapping_neg() % align + front(align);
        if gap + CANARY > len {
            return None;
        }
        // SAFETY: inside the block, which can be read.
        let (block, record) = unsafe {
            let block = start.as_ptr().add(gap);
            (block, read_record(block))
        };
        let layout = record.layout().filter(|_| record.is(block.addr(), State::Live));
        if let Some(layout) = layout.filter(|layout| layout.size() <= len - gap - CANARY) {
            return Some((block, record, layout));
        }
        align *= 2;
    }
    None
}

// SAFETY: a block is part of a live block of the heap inside, behind a front that is a multiple of its alignment. The record and the
// canary lie outside the caller's bytes.
unsafe impl<A: Backing, S: CallSite, const QUARANTINE: usize> GlobalAlloc
    for Checked<A, S, QUARANTINE>
{
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() >= PAGE {
            // SAFETY: the caller's promise.
            return unsafe { self.inner.alloc(layout) };
        }
        // SAFETY: the size is not 0.
        let base = unsafe { self.inner.alloc(outer(layout)) };
        if base.is_null() {
            return base;
        }
        // SAFETY: just allocated.
        unsafe { self.begin(base, layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if layout.align() >= PAGE {
            // SAFETY: the caller's promise.
            return unsafe { self.inner.dealloc(block, layout) };
        }
        if !self.check(block, layout) {
            return;
        }
        // SAFETY: it is ours, in use and of this layout, as has been checked.
        unsafe {
            write_record(block, Record::new(layout, S::here()).sealed(block.addr(), State::Freed));
            if let Some((block, layout)) = self.exchange(block, layout) {
                self.inner.dealloc(block.sub(front(layout.align())), outer(layout));
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if layout.align() >= PAGE {
            // SAFETY: the caller's promise.
            return unsafe { self.inner.realloc(block, layout, new_size) };
        }
        let Ok(wanted) = Layout::from_size_align(new_size, layout.align()) else {
            return ptr::null_mut();
        };
        if !self.check(block, layout) {
            return ptr::null_mut();
        }
        let before = front(layout.align());
        // SAFETY: it is ours, in use and of this layout, as has been checked. The record is marked as freed meanwhile, as it stays
        // behind if the block moves.
        unsafe {
            let record = read_record(block);
            write_record(block, record.sealed(block.addr(), State::Freed));
            let base = self.inner.realloc(block.sub(before), outer(layout), outer(wanted).size());
            if base.is_null() {
                write_record(block, record);
                return base;
            }
            self.begin(base, wanted)
        }
    }
}
