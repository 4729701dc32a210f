//! A layer that notices misuse: double free, foreign pointer, wrong layout, overflow, and on request a write after free.
//!
//! Each block has a record in front and a canary behind, which `record.rs` draws.
//!
//! No table is kept. A pointer that is freed is accepted if the words in front of and behind its bytes are those that follow from
//! its address and the layout passed with it. Otherwise it is reported and never freed, since it is not known any more what it is.
//!
//! The pool below puts its links where the record was. To tell a double free from a wild pointer, and to report the place of the
//! first free, that place is written where the canary was: no pool writes there before the memory is used again.
//!
//! With a quarantine a freed block is filled with a pattern and waits for its turn in a ring; on its way out the pattern is
//! compared. That is what finds writes after free, and it keeps the records of freed blocks legible for longer.
//!
//! Pages (alignments of 4096 and more) pass through unchecked: a record in front would cost a page each.

mod misuse;
mod record;

use core::alloc::{GlobalAlloc, Layout};
use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use lock_api::RawMutex;

use crate::cache::{Cached, CpuId};
use crate::heap::{Heap, Walk};
use crate::pool::{BlockState, Pool};
use crate::stats::Stats;

use record::*;

pub use misuse::{CallSite, Kind, Misuse, Nowhere};

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

    /// Its counters.
    fn stats(&self) -> Stats;

    /// Counts and reports a request that was not even made: with what [`Checked`] adds it would be larger than any block.
    fn too_large(&self, wanted: Layout);

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

    fn stats(&self) -> Stats {
        Heap::stats(self)
    }

    #[cold]
    fn too_large(&self, wanted: Layout) {
        self.report(wanted, &[]);
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

    fn stats(&self) -> Stats {
        Cached::stats(self)
    }

    #[cold]
    fn too_large(&self, wanted: Layout) {
        self.heap().report(wanted, &self.top());
    }

    fn each_used(&self, visit: &mut dyn FnMut(NonNull<u8>, usize)) {
        self.heap().each_used(visit);
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
    /// The counters of the heap inside: records and canaries are in the bytes, and what waits in quarantine is allocated.
    pub fn stats(&self) -> Stats {
        self.inner.stats()
    }

    /// Looks at every block in use, and reports each that has been overrun, up to eight of them. The heap's lock is held meanwhile,
    /// but not during the reports.
    pub fn audit(&self) -> CheckedAudit {
        let (mut audit, mut found) = (CheckedAudit::default(), [None; 8]);
        self.inner.each_used(&mut |start, len| {
            let Some((block, record, layout)) = live_in(start, len) else { return };
            audit.live += 1;
            // SAFETY: `live_in` has seen that the canary lies inside.
            if unsafe { read_tail(block, layout.size()) } != canary(block) {
                if let Some(place) = found.get_mut(audit.overflowed) {
                    *place = Some((block, record, layout));
                }
                audit.overflowed += 1;
            }
        });
        for (block, record, layout) in found.into_iter().flatten() {
            self.report(Kind::Overflow, block, layout, Some((layout, record)), None);
        }
        audit
    }

    #[cold]
    fn report(
        &self,
        kind: Kind,
        block: *mut u8,
        given: Layout,
        record: Option<(Layout, Record)>,
        freed: Option<usize>,
    ) {
        (self.report)(&Misuse {
            kind,
            address: block.addr(),
            given,
            recorded: record.map(|(layout, _)| layout),
            allocated: record.map_or(0, |(_, record)| record.site as usize),
            freed: freed.unwrap_or(0),
            here: S::here() & u32::MAX as usize,
        });
    }

    /// What the heap inside has of a block that is in use with this layout and not overrun. If it is not, that has been reported.
    #[inline]
    fn check(&self, block: *mut u8, layout: Layout) -> Option<Layout> {
        if let Some(outer) = outer(layout)
            && block.addr().is_multiple_of(RECORD)
            && self.inner.may_own(block.addr())
        {
            // SAFETY: an aligned address inside the heap.
            let record = unsafe { read_record(block) };
            let tail = || {
                // SAFETY: a live block of this size has a canary behind it.
                unsafe { read_tail(block, layout.size()) }
            };
            if record.layout == masked(block, layout) && tail() == canary(block) {
                return Some(outer);
            }
        }
        self.refuse(block, layout);
        None
    }

    /// Finds out what is wrong with a pointer, and reports it.
    #[cold]
    #[inline(never)]
    fn refuse(&self, block: *mut u8, given: Layout) {
        let address = block.addr();
        if !address.is_multiple_of(RECORD) || !self.inner.may_own(address) {
            return self.report(Kind::Foreign, block, given, None, None);
        }
        // SAFETY: an aligned address inside the heap.
        let record = unsafe { read_record(block) };
        let (live, freed) = (record.live(block), record.freed(block));
        let recorded = live.or(freed);
        let layout = recorded.unwrap_or(given);
        // An intact record says how large the block is; if there is none, the caller may be right.
        let end = address.saturating_add(layout.size()).saturating_add(CANARY - 1);
        let tail = self.inner.may_own(end).then(|| {
            // SAFETY: begins and ends inside the heap.
            unsafe { read_tail(block, layout.size()) }
        });
        let freed_at = tail.and_then(|tail| freed_at(block, tail));
        let sealed = record.seal == seal(block);
        let kind = if freed_at.is_some() || sealed && freed.is_some() {
            Kind::DoubleFree
        } else if live.is_none() {
            Kind::NotLive
        } else if tail == Some(canary(block)) {
            Kind::WrongLayout
        } else {
            Kind::Overflow
        };
        // Of a record whose seal is gone, the site is too.
        let record = recorded.map(|layout| (layout, record)).filter(|_| sealed);
        self.report(kind, block, given, record, freed_at);
    }

    /// Makes a new outer block one of ours.
    ///
    /// # Safety
    ///
    /// - `base` is a live block of the heap inside, of the layout that is [`outer`] to this one.
    #[inline]
    unsafe fn begin(&self, base: *mut u8, layout: Layout) -> *mut u8 {
        // SAFETY: the outer layout has room for the front, the bytes and the canary.
        unsafe {
            let block = base.add(front(layout.align()));
            write_record(block, Record::new(block, layout, S::here()));
            write_tail(block, layout.size(), canary(block));
            block
        }
    }

    /// Marks a block as freed. Returns its record as it was.
    ///
    /// # Safety
    ///
    /// - `block` is ours, in use, and of this layout.
    #[inline]
    unsafe fn end(block: *mut u8, layout: Layout) -> Record {
        // SAFETY: what is in use has a record and a canary.
        unsafe {
            let record = read_record(block);
            write_record(block, Record { layout: !record.layout, ..record });
            write_tail(block, layout.size(), mark(block, S::here()));
            record
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
        let record = unsafe { read_record(oldest) };
        let Some(layout) = record.freed(oldest).filter(|_| record.seal == seal(oldest)) else {
            self.report(Kind::WriteAfterFree, oldest, Layout::new::<()>(), None, None);
            return None;
        };
        // SAFETY: as the record is intact, the block is as large as it says.
        let (bytes, tail) = unsafe {
            let len = layout.size().min(POISONED_MAX);
            (core::slice::from_raw_parts(oldest, len), read_tail(oldest, layout.size()))
        };
        let freed = freed_at(oldest, tail);
        if freed.is_none() || bytes.iter().any(|&byte| byte != POISON) {
            self.report(Kind::WriteAfterFree, oldest, layout, Some((layout, record)), freed);
            return None;
        }
        Some((oldest, layout))
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
        if let Some(layout) =
            record.live(block).filter(|layout| layout.size() <= len - gap - CANARY)
        {
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
        let Some(outer) = outer(layout) else {
            self.inner.too_large(layout);
            return ptr::null_mut();
        };
        // SAFETY: the size is not 0.
        let base = unsafe { self.inner.alloc(outer) };
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
        if self.check(block, layout).is_none() {
            return;
        }
        // SAFETY: it is ours, in use and of this layout, as has been checked.
        unsafe {
            Self::end(block, layout);
            if let Some((block, layout)) = self.exchange(block, layout)
                && let Some(outer) = outer(layout)
            {
                self.inner.dealloc(block.sub(front(layout.align())), outer);
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
        let Some(from) = self.check(block, layout) else { return ptr::null_mut() };
        let Some(to) = outer(wanted) else {
            self.inner.too_large(wanted);
            return ptr::null_mut();
        };
        let before = front(layout.align());
        // SAFETY: it is ours, in use and of this layout, as has been checked. The record is marked as freed meanwhile, as it stays
        // behind if the block moves.
        unsafe {
            let record = Self::end(block, layout);
            let base = self.inner.realloc(block.sub(before), from, to.size());
            if base.is_null() {
                write_record(block, record);
                write_tail(block, layout.size(), canary(block));
                return base;
            }
            self.begin(base, wanted)
        }
    }
}
