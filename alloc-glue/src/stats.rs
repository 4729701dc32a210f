//! What the heap counts.
//!
//! The counters live beside the allocator under its lock, so a copy of them is one consistent
//! moment and costs a few loads: nothing is walked.

use core::fmt;

/// The heap's counters at one moment, from [`Heap::stats`](crate::Heap::stats).
///
/// Bytes are what callers asked for. What the allocator adds (a 16-byte header per block, and
/// rounding to 32 bytes) is not in them, so a heap is full before `allocated_bytes` reaches
/// `capacity_bytes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes in all regions together, as [`Heap::add_region`](crate::Heap::add_region) took them.
    pub capacity_bytes: usize,
    /// Bytes in live blocks.
    pub allocated_bytes: usize,
    /// The most `allocated_bytes` has ever been.
    pub peak_bytes: usize,
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

    pub(crate) fn allocated(&mut self, size: usize) {
        self.allocations = self.allocations.wrapping_add(1);
        self.resize(0, size);
    }

    pub(crate) fn freed(&mut self, size: usize) {
        self.frees = self.frees.wrapping_add(1);
        self.resize(size, 0);
    }

    pub(crate) fn reallocated(&mut self, old_size: usize, new_size: usize, in_place: bool) {
        self.reallocations = self.reallocations.wrapping_add(1);
        self.in_place = self.in_place.wrapping_add(in_place.into());
        self.resize(old_size, new_size);
    }

    pub(crate) fn failed(&mut self) {
        self.failures = self.failures.wrapping_add(1);
    }

    fn resize(&mut self, from: usize, to: usize) {
        self.allocated_bytes = self.allocated_bytes.wrapping_sub(from).wrapping_add(to);
        self.peak_bytes = self.peak_bytes.max(self.allocated_bytes);
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
