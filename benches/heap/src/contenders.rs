//! The heaps that are measured: each bare one behind the same test-and-set lock, all on arenas of one size.
//!
//! good_memory_allocator 0.1.7 is not among them: in these cases it panics or crashes on its own data.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicPtr, Ordering};

use freestone_alloc::checked::{Checked, Misuse};
use freestone_alloc::pages::PAGE;
use freestone_alloc::{
    Cached, CpuId, Heap, PageBitmap, PageProvider, Paged, Slabs, SpinLock, Tlsf,
};
use spin::mutex::SpinMutex;

use crate::cases::Run;

/// One heap and its name.
pub struct Contender {
    pub name: &'static str,
    /// Whether it serves from the arena it is given; the hosted ones do not.
    pub bounded: bool,
    /// A new one on an arena.
    pub make: fn(Arena) -> Box<dyn Run>,
}

/// The memory of one heap: `len` bytes from `start`, aligned to 2 MiB, never given back.
#[derive(Clone, Copy)]
pub struct Arena {
    pub start: NonNull<u8>,
    pub len: usize,
}

// SAFETY: it stands for memory that only one heap uses.
unsafe impl Send for Arena {}

impl Arena {
    pub fn new(len: usize) -> Self {
        let layout = Layout::from_size_align(len, 2 << 20).unwrap();
        // SAFETY: `len` is not 0. Pages of 2 MiB, as a kernel has; touched once, so that no case pays for page faults.
        let start = unsafe {
            let start = System.alloc(layout);
            libc::madvise(start.cast(), len, libc::MADV_HUGEPAGE);
            start.write_bytes(0xa5, len);
            start
        };
        Self { start: NonNull::new(start).expect("memory"), len }
    }
}

thread_local! {
    static CPU: Cell<usize> = const { Cell::new(0) };
}

/// A thread stands for a CPU.
pub struct ThreadCpu;

// SAFETY: `be_cpu` gives threads that run at the same time different numbers; nothing interrupts them.
unsafe impl CpuId for ThreadCpu {
    #[inline]
    fn current() -> usize {
        CPU.get()
    }
}

/// Makes this thread CPU `number` and keeps it on that processor.
pub fn be_cpu(number: usize) {
    CPU.set(number);
    // SAFETY: a set of processors on the stack; where there is only one, the call fails and nothing changes.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET((number + 1) % 2, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set);
    }
}

pub type Ours = Cached<ThreadCpu, 2, SpinLock, Slabs>;
pub type Magazines = Cached<ThreadCpu, 2, SpinLock, Tlsf>;

/// The first is what the others are compared with.
pub const ALL: &[Contender] = &[
    Contender { name: "rlsf", bounded: true, make: locked::<Rlsf> },
    Contender { name: "freestone", bounded: true, make: ours },
    Contender { name: "freestone, direct", bounded: true, make: direct },
    Contender { name: "freestone, no spans", bounded: true, make: magazines },
    Contender { name: "freestone, plain", bounded: true, make: plain },
    Contender { name: "freestone, grown from pages", bounded: true, make: paged },
    Contender { name: "freestone, plain, checked", bounded: true, make: plain_checked },
    Contender { name: "freestone, checked", bounded: true, make: checked },
    Contender { name: "talc", bounded: true, make: locked::<Talc> },
    Contender {
        name: "linked_list_allocator",
        bounded: true,
        make: locked::<linked_list_allocator::Heap>,
    },
    Contender {
        name: "buddy_system_allocator",
        bounded: true,
        make: locked::<buddy_system_allocator::Heap<40>>,
    },
    Contender { name: "dlmalloc", bounded: true, make: locked::<dlmalloc::Dlmalloc<Once>> },
    Contender { name: "embedded-alloc", bounded: true, make: embedded },
    Contender { name: "C library", bounded: false, make: |_| Box::new(System) },
    Contender { name: "mimalloc", bounded: false, make: |_| Box::new(mimalloc::MiMalloc) },
    Contender { name: "jemalloc", bounded: false, make: |_| Box::new(tikv_jemallocator::Jemalloc) },
];

fn ours(arena: Arena) -> Box<dyn Run> {
    let heap = Box::new(Ours::new());
    // SAFETY: an arena is its heap's alone and stays.
    unsafe { heap.heap().add_region(arena.start, arena.len) };
    heap
}

/// Without the magazines.
fn direct(arena: Arena) -> Box<dyn Run> {
    let heap: &'static Ours = Box::leak(Box::new(Ours::new()));
    // SAFETY: as above.
    unsafe { heap.heap().add_region(arena.start, arena.len) };
    Box::new(heap.direct())
}

fn magazines(arena: Arena) -> Box<dyn Run> {
    let heap = Box::new(Magazines::new());
    // SAFETY: as above.
    unsafe { heap.heap().add_region(arena.start, arena.len) };
    heap
}

fn plain(arena: Arena) -> Box<dyn Run> {
    let heap: Box<Heap> = Box::new(Heap::new());
    // SAFETY: as above.
    unsafe { heap.add_region(arena.start, arena.len) };
    heap
}

fn checked(arena: Arena) -> Box<dyn Run> {
    let report = |misuse: &Misuse| panic!("{misuse}");
    let heap = Box::new(Checked::<Ours>::new(Ours::new(), report));
    // SAFETY: as above.
    unsafe { heap.inner().heap().add_region(arena.start, arena.len) };
    heap
}

fn plain_checked(arena: Arena) -> Box<dyn Run> {
    let report = |misuse: &Misuse| panic!("{misuse}");
    let heap = Box::new(Checked::<Heap>::new(Heap::new(), report));
    // SAFETY: as above.
    unsafe { heap.inner().add_region(arena.start, arena.len) };
    heap
}

/// A page allocator has the arena; pages come from there, and the heap grows from there.
fn paged(arena: Arena) -> Box<dyn Run> {
    /// The hook is a function without context: the latest heap's pages, as only one grows at a time.
    static LATEST: AtomicPtr<PageBitmap<256>> = AtomicPtr::new(null_mut());
    struct Pages(&'static PageBitmap<256>);
    // SAFETY: as good as the bitmap.
    unsafe impl PageProvider for Pages {
        fn allocate(&self, pages: usize, align: usize) -> Option<NonNull<u8>> {
            self.0.allocate(pages, align)
        }
        unsafe fn free(&self, start: NonNull<u8>, pages: usize) {
            // SAFETY: the caller's promise.
            unsafe { self.0.free(start, pages) }
        }
    }
    /// A MiB at a time, at the end as many as there are.
    fn grow(bytes: usize) -> Option<NonNull<[u8]>> {
        // SAFETY: leaked below.
        let bitmap = unsafe { LATEST.load(Ordering::Acquire).as_ref() }?;
        let least = bytes.div_ceil(PAGE);
        let mut pages = least.max(256);
        loop {
            if let Some(start) = bitmap.allocate(pages, PAGE) {
                return Some(NonNull::slice_from_raw_parts(start, pages * PAGE));
            }
            if pages == least {
                return None;
            }
            pages = (pages / 2).max(least);
        }
    }
    let bitmap: &'static PageBitmap<256> = Box::leak(Box::new(PageBitmap::new()));
    let heap = Box::new(Paged::new(Ours::new(), Pages(bitmap)));
    // SAFETY: as above; what `grow` returns is the heap's from then on.
    unsafe {
        bitmap.give(arena.start, arena.len);
        LATEST.store(std::ptr::from_ref(bitmap).cast_mut(), Ordering::Release);
        heap.heap().heap().grow_with(grow);
    }
    heap
}

fn embedded(arena: Arena) -> Box<dyn Run> {
    let heap = Box::new(embedded_alloc::TlsfHeap::empty());
    // SAFETY: as above.
    unsafe { heap.init(arena.start.addr().get(), arena.len) };
    heap
}

/// A heap without a lock.
trait Bare: Send + 'static {
    fn on(arena: Arena) -> Self;
    fn alloc(&mut self, layout: Layout) -> *mut u8;
    unsafe fn free(&mut self, block: *mut u8, layout: Layout);
    unsafe fn resize(&mut self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let new = self.alloc(Layout::from_size_align(new_size, layout.align()).unwrap());
        if !new.is_null() {
            // SAFETY: as `GlobalAlloc::realloc` promises.
            unsafe {
                new.copy_from_nonoverlapping(block, layout.size().min(new_size));
                self.free(block, layout);
            }
        }
        new
    }
}

struct Locked<T>(SpinMutex<T>);

fn locked<T: Bare>(arena: Arena) -> Box<dyn Run> {
    Box::new(Locked(SpinMutex::new(T::on(arena))))
}

// SAFETY: as good as the heap inside.
unsafe impl<T: Bare> GlobalAlloc for Locked<T> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.lock().alloc(layout)
    }
    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.0.lock().free(block, layout) }
    }
    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.0.lock().resize(block, layout, new_size) }
    }
}

struct Rlsf(rlsf::Tlsf<'static, u32, u32, 32, 32>);

fn raw(block: Option<NonNull<u8>>) -> *mut u8 {
    block.map_or(null_mut(), NonNull::as_ptr)
}

mod bare {
    use super::*;

    impl Bare for Rlsf {
        fn on(arena: Arena) -> Self {
            let mut pool = rlsf::Tlsf::new();
            // SAFETY: the arena is this heap's alone, and stays for as long as the program runs.
            unsafe {
                pool.insert_free_block_ptr(NonNull::slice_from_raw_parts(arena.start, arena.len))
            };
            Self(pool)
        }
        fn alloc(&mut self, layout: Layout) -> *mut u8 {
            raw(self.0.allocate(layout))
        }
        unsafe fn free(&mut self, block: *mut u8, layout: Layout) {
            // SAFETY: the caller's promise: a live block of this heap with this layout, so not null either.
            unsafe { self.0.deallocate(NonNull::new_unchecked(block), layout.align()) }
        }
        unsafe fn resize(&mut self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
            let new = Layout::from_size_align(new_size, layout.align()).unwrap();
            // SAFETY: the caller's promise: a live block of this heap with this layout, so not null either; the new size is not 0.
            raw(unsafe { self.0.reallocate(NonNull::new_unchecked(block), new) })
        }
    }

    pub type TalcInner = talc::base::Talc<talc::source::Manual, talc::DefaultBinning>;
    pub struct Talc(pub TalcInner);
    // SAFETY: its pointers lead into its own arena, which belongs to no thread.
    unsafe impl Send for Talc {}

    impl Bare for Talc {
        fn on(arena: Arena) -> Self {
            let mut talc = TalcInner::new(talc::source::Manual);
            // SAFETY: the arena is this heap's alone, and stays for as long as the program runs.
            unsafe { talc.claim(arena.start.as_ptr(), arena.len) }.expect("large enough");
            Self(talc)
        }
        fn alloc(&mut self, layout: Layout) -> *mut u8 {
            // SAFETY: no layout of a case has a size of 0.
            raw(unsafe { self.0.allocate(layout) })
        }
        unsafe fn free(&mut self, block: *mut u8, layout: Layout) {
            // SAFETY: the caller's promise: a live block of this heap with this layout, so not null either.
            unsafe { self.0.deallocate(block, layout) }
        }
    }

    impl Bare for linked_list_allocator::Heap {
        fn on(arena: Arena) -> Self {
            // SAFETY: the arena is this heap's alone, and stays for as long as the program runs.
            unsafe { Self::new(arena.start.as_ptr(), arena.len) }
        }
        fn alloc(&mut self, layout: Layout) -> *mut u8 {
            raw(self.allocate_first_fit(layout).ok())
        }
        unsafe fn free(&mut self, block: *mut u8, layout: Layout) {
            // SAFETY: the caller's promise: a live block of this heap with this layout, so not null either.
            unsafe { self.deallocate(NonNull::new_unchecked(block), layout) }
        }
    }

    impl Bare for buddy_system_allocator::Heap<40> {
        fn on(arena: Arena) -> Self {
            let mut heap = Self::new();
            // SAFETY: the arena is this heap's alone, and stays for as long as the program runs.
            unsafe { heap.init(arena.start.addr().get(), arena.len) };
            heap
        }
        fn alloc(&mut self, layout: Layout) -> *mut u8 {
            raw(Self::alloc(self, layout).ok())
        }
        unsafe fn free(&mut self, block: *mut u8, layout: Layout) {
            // SAFETY: the caller's promise: a live block of this heap with this layout, so not null either.
            unsafe { self.dealloc(NonNull::new_unchecked(block), layout) }
        }
    }

    /// dlmalloc's system: the arena, once.
    pub struct Once(Cell<Option<Arena>>);

    // SAFETY: it is moved to another thread whole, never shared.
    unsafe impl Send for Once {}

    // SAFETY: hands out the arena once, which is nobody else's; gives nothing back, resizes nothing.
    unsafe impl dlmalloc::Allocator for Once {
        fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
            match self.0.take() {
                Some(arena) if arena.len >= size => (arena.start.as_ptr(), arena.len, 0),
                _ => (null_mut(), 0, 0),
            }
        }
        fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
            null_mut()
        }
        fn free_part(&self, _: *mut u8, _: usize, _: usize) -> bool {
            false
        }
        fn free(&self, _: *mut u8, _: usize) -> bool {
            false
        }
        fn can_release_part(&self, _: u32) -> bool {
            false
        }
        fn allocates_zeros(&self) -> bool {
            false
        }
        fn page_size(&self) -> usize {
            4096
        }
    }

    impl Bare for dlmalloc::Dlmalloc<Once> {
        fn on(arena: Arena) -> Self {
            Self::new_with_allocator(Once(Cell::new(Some(arena))))
        }
        fn alloc(&mut self, layout: Layout) -> *mut u8 {
            // SAFETY: no layout of a case has a size of 0.
            unsafe { self.malloc(layout.size(), layout.align()) }
        }
        unsafe fn free(&mut self, block: *mut u8, layout: Layout) {
            // SAFETY: the caller's promise: a live block of this heap with this layout, so not null either.
            unsafe { Self::free(self, block, layout.size(), layout.align()) }
        }
        unsafe fn resize(&mut self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
            // SAFETY: the caller's promise: a live block of this heap with this layout, so not null either; the new size is not 0.
            unsafe { self.realloc(block, layout.size(), layout.align(), new_size) }
        }
    }
}

use bare::{Once, Talc};
