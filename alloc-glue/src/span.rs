//! Slab spans: small objects side by side, without a header each.
//!
//! A span is one block of the pool below, aligned to its own size, so the span of an object follows from its address.
//! It holds objects of one [class](crate::class). Free objects are linked through their first word; objects that have never
//! been used are not linked but counted, so making a span takes constant time whatever its class.
//!
//! ```text
//! 0        header   first object, aligned as its size is                   SPAN_BYTES − 32
//! [ Span | (gap) | object | object | … | object | fresh …          | (rest) ]   next block's header
//! ```
//!
//! Spans with free objects are in a list for each class, with the last used span in front. A span that becomes empty
//! goes back to the pool, unless it is the only span of its class with free objects: otherwise a single object that is
//! allocated and freed in turns would make and free a span each time.
//!
//! With spans a heap holds a third more objects of up to 128 bytes than without. With a mix of large and small
//! ones it loses a few percent, since the pool leaves a gap in front of a block with a large alignment.

use core::alloc::Layout;
use core::mem::offset_of;
use core::ptr::{self, NonNull};

use crate::class::{self, SIZES, SPAN_CLASSES};
use crate::pool::{Block, BlockState, Pool, Tlsf};

/// The size and alignment of a span, with what the pool puts between two.
const SPAN_BYTES: usize = 8 << 10;

/// What the pool is asked for. Short by a granule, so that the next span's header fits in front of its start.
const SPAN_LAYOUT: Layout = match Layout::from_size_align(SPAN_BYTES - 32, SPAN_BYTES) {
    Ok(layout) => layout,
    Err(_) => panic!("SPAN_BYTES is a power of two"),
};

/// What stands at the start of a span.
#[repr(C)]
struct Span {
    /// Says that this is a span, for [`Slabs::walk`]: see [`magic`].
    magic: usize,
    next: *mut Span,
    previous: *mut Span,
    free: *mut FreeObject,
    /// Where what has never been used begins, counted from the span's start.
    fresh: u32,
    live: u16,
    class: u16,
}

struct FreeObject {
    next: *mut FreeObject,
}

/// What a span at this address has as its first word. A block of the same size and alignment that is not a span could
/// only have it on purpose.
fn magic(span: *const Span) -> usize {
    span.addr() ^ 0x5ab5_9a11_u32 as usize
}

/// Where a class's first object begins.
const fn first(class: usize) -> usize {
    let size = SIZES[class] as usize;
    let align = size & size.wrapping_neg();
    size_of::<Span>().next_multiple_of(align)
}

impl Span {
    /// Whether no object can be had from it.
    fn is_full(&self) -> bool {
        self.free.is_null() && self.fresh as usize + self.size() > SPAN_LAYOUT.size()
    }

    fn size(&self) -> usize {
        usize::from(SIZES[usize::from(self.class) % SIZES.len()])
    }
}

/// A pool that takes small objects from spans and everything else, the spans too, from the pool below.
#[derive(Debug)]
pub struct Slabs<P = Tlsf> {
    pool: P,
    /// For each class the first of its spans with free objects, or null.
    open: [*mut Span; SPAN_CLASSES],
}

// SAFETY: the spans are memory of the pool, which may go to another thread; who has `self` has them alone.
unsafe impl<P: Send> Send for Slabs<P> {}

impl<P: Pool> Slabs<P> {
    fn allocate_object(&mut self, class: usize) -> Option<NonNull<u8>> {
        let mut span = self.open[class];
        if span.is_null() {
            span = self.add_span(class)?.as_ptr();
        }
        // SAFETY: a span in the list is live, and `&mut self` means that nobody else uses it.
        let header = unsafe { &mut *span };
        let object = if header.free.is_null() {
            // SAFETY: it is not full, or it would not be in the list; so a fresh object lies inside.
            let object = unsafe { span.cast::<u8>().add(header.fresh as usize) };
            header.fresh += header.size() as u32;
            object
        } else {
            let object = header.free;
            // SAFETY: a free object of this span, whose link `free_object` wrote.
            header.free = unsafe { (*object).next };
            object.cast()
        };
        header.live += 1;
        if header.is_full() {
            self.unlink(span);
        }
        NonNull::new(object)
    }

    /// # Safety
    ///
    /// - `object` is a live object of one of these spans.
    unsafe fn free_object(&mut self, object: NonNull<u8>) {
        let offset = object.addr().get() % SPAN_BYTES;
        // SAFETY: spans are aligned to SPAN_BYTES, so this is the start of the object's own.
        let span = unsafe { object.as_ptr().sub(offset) }.cast::<Span>();
        // SAFETY: it has a live object, so it is live; `&mut self` means that nobody else uses it.
        let header = unsafe { &mut *span };
        let was_full = header.is_full();
        let object = object.cast::<FreeObject>().as_ptr();
        // SAFETY: the caller gives up the object, which has 8 bytes or more and their alignment.
        unsafe { (*object).next = header.free };
        header.free = object;
        header.live -= 1;
        if was_full {
            self.link(span);
        } else if header.live == 0 && !(header.next.is_null() && header.previous.is_null()) {
            self.remove_span(span);
        }
    }

    #[cold]
    fn add_span(&mut self, class: usize) -> Option<NonNull<Span>> {
        let span = self.pool.allocate(SPAN_LAYOUT)?.cast::<Span>();
        let header = Span {
            magic: magic(span.as_ptr()),
            next: ptr::null_mut(),
            previous: ptr::null_mut(),
            free: ptr::null_mut(),
            fresh: first(class) as u32,
            live: 0,
            class: class as u16,
        };
        // SAFETY: a new block, larger and more aligned than a header.
        unsafe { span.write(header) };
        self.link(span.as_ptr());
        Some(span)
    }

    fn remove_span(&mut self, span: *mut Span) {
        self.unlink(span);
        // SAFETY: a span without live objects, which nothing refers to any more. Its mark goes too.
        unsafe {
            (*span).magic = 0;
            self.pool.free(NonNull::new_unchecked(span).cast(), SPAN_LAYOUT);
        }
    }

    /// Puts a span in front of its class's list.
    fn link(&mut self, span: *mut Span) {
        // SAFETY: callers pass a live span that is in no list; what is in the list is live as well.
        unsafe {
            let open = &mut self.open[usize::from((*span).class) % SPAN_CLASSES];
            (*span).next = *open;
            (*span).previous = ptr::null_mut();
            if !open.is_null() {
                (**open).previous = span;
            }
            *open = span;
        }
    }

    fn unlink(&mut self, span: *mut Span) {
        // SAFETY: callers pass a live span that is in its list; its neighbours are live as well.
        unsafe {
            let (next, previous) = ((*span).next, (*span).previous);
            if !next.is_null() {
                (*next).previous = previous;
            }
            if previous.is_null() {
                self.open[usize::from((*span).class) % SPAN_CLASSES] = next;
            } else {
                (*previous).next = next;
            }
            (*span).next = ptr::null_mut();
            (*span).previous = ptr::null_mut();
        }
    }
}

// SAFETY: objects of a span are apart from each other (each is handed out when it is taken off the free list or the fresh
// rest) and from everything else (a span is a live block of the pool below). The layout tells, at allocation and afterwards,
// which of the two a block is.
unsafe impl<P: Pool> Pool for Slabs<P> {
    const EMPTY: Self = Self { pool: P::EMPTY, open: [ptr::null_mut(); SPAN_CLASSES] };

    const CLASS_ALIGN: usize = class::SPAN_MAX;

    unsafe fn insert(&mut self, region: NonNull<[u8]>) -> usize {
        // SAFETY: the caller's promise.
        unsafe { self.pool.insert(region) }
    }

    fn allocate(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        match class::of_span(layout) {
            Some(class) => self.allocate_object(class),
            None => self.pool.allocate(layout),
        }
    }

    unsafe fn free(&mut self, block: NonNull<u8>, layout: Layout) {
        match class::of_span(layout) {
            // SAFETY: a live block with such a layout is an object of a span.
            Some(_) => unsafe { self.free_object(block) },
            // SAFETY: the caller's promise; all others are the pool's.
            None => unsafe { self.pool.free(block, layout) },
        }
    }

    unsafe fn resize(&mut self, block: NonNull<u8>, old: Layout, new: Layout) -> bool {
        match (class::of_span(old), class::of_span(new)) {
            // SAFETY: both are the pool's.
            (None, None) => unsafe { self.pool.resize(block, old, new) },
            (from, to) => from == to,
        }
    }

    unsafe fn slide(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<u8>> {
        match (class::of_span(old), class::of_span(new)) {
            // SAFETY: both are the pool's.
            (None, None) => unsafe { self.pool.slide(block, old, new) },
            _ => None,
        }
    }

    /// Without the free objects in spans.
    fn free_bytes(&self) -> usize {
        self.pool.free_bytes()
    }

    /// Gives back the empty span that each class may have kept.
    fn trim(&mut self) -> bool {
        let mut gave = self.pool.trim();
        for class in 0..SPAN_CLASSES {
            let mut span = self.open[class];
            while !span.is_null() {
                // SAFETY: a span in the list is live.
                let (next, live) = unsafe { ((*span).next, (*span).live) };
                if live == 0 {
                    self.remove_span(span);
                    gave = true;
                }
                span = next;
            }
        }
        gave
    }

    unsafe fn walk(&self, region: NonNull<[u8]>, visit: &mut dyn FnMut(Block)) {
        let mut expand = |block: Block| match span_in(block) {
            None => visit(block),
            Some(span) => {
                visit(Block { state: BlockState::Span, ..block });
                // SAFETY: its mark says that it is a span; it is live, as it was walked as used.
                unsafe { walk_span(span, visit) };
            }
        };
        // SAFETY: the caller's promise.
        unsafe { self.pool.walk(region, &mut expand) };
    }
}

/// The span in a used block of the pool, if there is one.
fn span_in(block: Block) -> Option<NonNull<Span>> {
    // The gap in front of a span's start is part of the block.
    let gap = block.start.addr().get().wrapping_neg() % SPAN_BYTES;
    let fits = gap.checked_add(SPAN_LAYOUT.size()).is_some_and(|end| end <= block.len);
    if block.state != BlockState::Used || !fits {
        return None;
    }
    // SAFETY: inside the block, as just computed, and aligned.
    let span = unsafe { block.start.add(gap) }.cast::<Span>();
    // SAFETY: a word of a used block. A volatile read, as its owner may be writing to it.
    let mark = unsafe { (&raw const (*span.as_ptr()).magic).read_volatile() };
    (mark == magic(span.as_ptr())).then_some(span)
}

/// Shows the objects of a span.
///
/// # Safety
///
/// - `span` is a live span, and nobody else uses it.
unsafe fn walk_span(span: NonNull<Span>, visit: &mut dyn FnMut(Block)) {
    const WORDS: usize = SPAN_BYTES / 8 / 64;
    // SAFETY: the caller's promise.
    let header = unsafe { span.as_ref() };
    let (first, size) = (first(usize::from(header.class) % SPAN_CLASSES), header.size());
    // One bit for each object that is free.
    let mut free = [0_u64; WORDS];
    let mut object = header.free;
    while !object.is_null() {
        let number = (object.addr() - span.addr().get() - first) / size;
        free[number / 64 % WORDS] |= 1 << (number % 64);
        // SAFETY: a free object, linked when it was freed.
        object = unsafe { (*object).next };
    }
    let mut number = 0;
    let mut offset = first;
    while offset + size <= SPAN_LAYOUT.size() {
        let is_free =
            offset >= header.fresh as usize || free[number / 64] >> (number % 64) & 1 == 1;
        let state = if is_free { BlockState::Free } else { BlockState::Used };
        // SAFETY: inside the span.
        let start = unsafe { span.cast::<u8>().add(offset) };
        visit(Block { start, len: size, state });
        number += 1;
        offset += size;
    }
}

const _: () = assert!(offset_of!(Span, magic) == 0 && size_of::<Span>() <= 64);
