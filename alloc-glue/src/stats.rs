//! The heap's counters.
//!
//! The counters live beside the allocator under its lock, so a copy of them is one consistent
//! moment and costs a few loads: nothing is walked.

use core::alloc::Layout;
use core::fmt;

/// The heap's counters at one moment, from [`Heap::stats`](crate::Heap::stats).
///
/// Bytes are what callers asked for (with [`Cached`](crate::Cached), rounded up to its classes). What the allocator adds (a 16-byte header per block, and
/// rounding to 32 bytes) is not in them, so a heap is full before `allocated_bytes` reaches
/// `capacity_bytes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes in all regions together, as [`Heap::add_region`](crate::Heap::add_region) took them.
    pub capacity_bytes: usize,
    /// Bytes in live blocks.
    pub allocated_bytes: usize,
    /// The most `allocated_bytes` has ever been; with [`Cached`](crate::Cached) in front, together with `cached_bytes`.
    pub peak_bytes: usize,
    /// Bytes in blocks that wait in magazines, in front of the pool.
    pub cached_bytes: usize,
    /// Bytes in free blocks of the pool, with their headers. Free objects in [spans](crate::Slabs) are not in them.
    pub free_bytes: usize,
    /// Regions taken.
    pub regions: usize,
    /// Blocks handed out. Less `frees`, that is how many are live.
    pub allocations: u64,
    /// Blocks given back.
    pub frees: u64,
    /// Blocks resized, in place or not. They count neither as an allocation nor as a free.
    pub reallocations: u64,
    /// How many of the `reallocations` left the block where it was.
    pub in_place: u64,
    /// Requests that were answered with null, of both kinds.
    pub failures: u64,
}

// Counts wrap instead of overflowing: nothing in an allocator may panic.
impl Stats {
    pub(crate) const NONE: Self = Self {
        capacity_bytes: 0,
        allocated_bytes: 0,
        peak_bytes: 0,
        cached_bytes: 0,
        free_bytes: 0,
        regions: 0,
        allocations: 0,
        frees: 0,
        reallocations: 0,
        in_place: 0,
        failures: 0,
    };

    pub(crate) fn region_added(&mut self, len_bytes: usize) {
        self.regions = self.regions.wrapping_add(1);
        self.capacity_bytes = self.capacity_bytes.wrapping_add(len_bytes);
    }

    #[inline]
    pub(crate) fn allocated(&mut self, size: usize) {
        self.allocations = self.allocations.wrapping_add(1);
        self.resize(0, size);
    }

    #[inline]
    pub(crate) fn freed(&mut self, size: usize) {
        self.frees = self.frees.wrapping_add(1);
        self.resize(size, 0);
    }

    pub(crate) fn reallocated(&mut self, old_size: usize, new_size: usize, in_place: bool) {
        self.reallocations = self.reallocations.wrapping_add(1);
        self.in_place = self.in_place.wrapping_add(in_place.into());
        self.resize(old_size, new_size);
    }

    fn resize(&mut self, from: usize, to: usize) {
        self.allocated_bytes = self.allocated_bytes.wrapping_sub(from).wrapping_add(to);
        self.peak_bytes = self.peak_bytes.max(self.allocated_bytes);
    }

    pub(crate) fn failed(&mut self) {
        self.failures = self.failures.wrapping_add(1);
    }
}

/// How broken up the free memory is, from [`Heap::fragmentation`](crate::Heap::fragmentation).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fragmentation {
    /// Bytes in free blocks of the pool, with their headers.
    pub free_bytes: usize,
    /// The largest block that could be had.
    pub largest_free: usize,
}

impl Fragmentation {
    /// How much of the free memory the largest block leaves out: about 2 where all is in one piece, since a pool rounds a request
    /// up; 0 in a heap without free memory.
    pub fn percent(self) -> usize {
        let beside = self.free_bytes.saturating_sub(self.largest_free);
        (beside as u128 * 100).checked_div(self.free_bytes as u128).unwrap_or(0) as usize
    }
}

/// One size class at one moment, from [`Cached::classes`](crate::Cached::classes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassStats {
    /// What requests are rounded up to, in bytes.
    pub size: usize,
    /// Blocks in use.
    pub live: usize,
    /// Blocks that wait in magazines.
    pub cached: usize,
}

/// What [`Heap::on_exhausted`](crate::Heap::on_exhausted)'s hook is told.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct OutOfMemory<'a> {
    /// The request that could not be met. A small one may have been rounded up to its class.
    pub wanted: Layout,
    /// The counters just after it.
    pub stats: Stats,
    /// What could have been had instead: see [`Heap::largest_free`](crate::Heap::largest_free).
    pub largest_free: usize,
    /// The size classes with the most bytes in use, the largest first. Empty without [`Cached`](crate::Cached).
    pub top: &'a [ClassStats],
}

/// Several lines: the request, [`Stats`], and what the memory is used for.
impl fmt::Display for OutOfMemory<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, align) = (self.wanted.size(), self.wanted.align());
        writeln!(f, "out of memory: no room for {size} bytes with an alignment of {align}")?;
        let (largest, free) = (Bytes(self.largest_free), Bytes(self.stats.free_bytes));
        writeln!(f, "  largest free block {largest}, {free} free in all")?;
        write!(f, "  {}", self.stats)?;
        for class in self.top {
            let bytes = Bytes(class.live * class.size);
            write!(f, "\n  {} blocks of {} bytes, {bytes}", class.live, class.size)?;
        }
        Ok(())
    }
}

/// The counters as text that Prometheus and its like read, a `# TYPE` line for each; from [`Stats::metrics`].
#[derive(Clone, Copy, Debug)]
pub struct Metrics(Stats);

impl Stats {
    /// The counters for a metrics endpoint: `Display` writes them in the text format of Prometheus, version 0.0.4.
    pub fn metrics(self) -> Metrics {
        Metrics(self)
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(stats) = self;
        let gauges = [
            ("capacity_bytes", stats.capacity_bytes),
            ("allocated_bytes", stats.allocated_bytes),
            ("cached_bytes", stats.cached_bytes),
            ("free_bytes", stats.free_bytes),
            ("peak_bytes", stats.peak_bytes),
            ("regions", stats.regions),
        ];
        for (name, value) in gauges {
            writeln!(f, "# TYPE heap_{name} gauge\nheap_{name} {value}")?;
        }
        let counters = [
            ("allocations_total", stats.allocations),
            ("frees_total", stats.frees),
            ("reallocations_total", stats.reallocations),
            ("reallocations_in_place_total", stats.in_place),
            ("failures_total", stats.failures),
        ];
        for (name, value) in counters {
            writeln!(f, "# TYPE heap_{name} counter\nheap_{name} {value}")?;
        }
        Ok(())
    }
}

/// One line, such as `812 KiB of 4096 KiB in 2 region(s), peak 1020 KiB; 120 allocations, 80 frees,
/// 12 reallocations (5 in place), 0 failures`.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} in {} region(s), peak {}; {} allocations, {} frees, {} reallocations \
             ({} in place), {} failures",
            Bytes(self.allocated_bytes),
            Bytes(self.capacity_bytes),
            self.regions,
            Bytes(self.peak_bytes),
            self.allocations,
            self.frees,
            self.reallocations,
            self.in_place,
            self.failures,
        )
    }
}

/// A size in the largest unit that still shows two digits, rounded down.
struct Bytes(usize);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KIB: usize = 1 << 10;
        const MIB: usize = 1 << 20;
        match self.0 {
            n if n >= 10 * MIB => write!(f, "{} MiB", n / MIB),
            n if n >= 10 * KIB => write!(f, "{} KiB", n / KIB),
            n => write!(f, "{n} bytes"),
        }
    }
}
