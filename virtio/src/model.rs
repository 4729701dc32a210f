//! A device for tests: it reads and writes the rings as a device does, from the addresses that it is given, and lies when
//! it is told to.

use core::cell::{Cell, RefCell};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicUsize, Ordering};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::boxed::Box;
use std::collections::VecDeque;
use std::vec::Vec;

use crate::bell::Bell;
use crate::interrupt::Interrupt;
use crate::memory::{Memory, Pages};
use crate::transport::{Places, Transport};

/// The host's memory, of which the device sees every byte where it is.
pub struct Host;

/// Pages of it.
pub struct HostPages(NonNull<u8>, Layout);

// SAFETY: its owner's alone.
unsafe impl Send for HostPages {}

/// How many bytes of pages there are, over all threads.
pub static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: zeroed, aligned, and the owner's until it is dropped.
unsafe impl Pages for HostPages {
    fn start(&self) -> NonNull<u8> {
        self.0
    }

    fn len(&self) -> usize {
        self.1.size()
    }

    fn address(&self) -> u64 {
        self.0.as_ptr().expose_provenance() as u64
    }
}

impl Drop for HostPages {
    fn drop(&mut self) {
        BYTES.fetch_sub(self.1.size(), Ordering::Relaxed);
        // SAFETY: `zeroed` got it so.
        unsafe { dealloc(self.0.as_ptr(), self.1) }
    }
}

// SAFETY: the model sees memory where it is.
unsafe impl Memory for Host {
    type Pages = HostPages;

    fn zeroed(bytes: usize) -> Option<HostPages> {
        let layout = Layout::from_size_align(bytes.next_multiple_of(4096), 4096).ok()?;
        // SAFETY: not of size 0: drivers ask for something.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        Some(HostPages(start, layout))
    }

    fn address(bytes: NonNull<[u8]>) -> Option<u64> {
        Some(bytes.cast::<u8>().as_ptr().expose_provenance() as u64)
    }
}

/// What a device says that is not so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Nothing.
    None,
    /// Another number of a descriptor.
    Id(u32),
    /// Another length.
    Len(u32),
    /// The used index goes on by this instead of 1.
    Step(u16),
    /// The same descriptor twice.
    Twice,
}

/// One piece of a chain, as the device reads it.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    pub address: u64,
    pub len: u32,
    pub is_written: bool,
}

/// A chain that the device has taken.
#[derive(Clone, Debug)]
pub struct Chain {
    pub head: u16,
    pub pieces: Vec<Piece>,
}

impl Chain {
    /// All that the device reads of it.
    pub fn read(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for piece in self.pieces.iter().filter(|piece| !piece.is_written) {
            let start: *const u8 = core::ptr::with_exposed_provenance(piece.address as usize);
            // SAFETY: the driver under test has given it.
            bytes.extend(unsafe { core::slice::from_raw_parts(start, piece.len as usize) });
        }
        bytes
    }

    /// Fills what the device writes of it, as far as `bytes` go. How many were written.
    pub fn write(&self, bytes: &[u8]) -> u32 {
        let mut rest = bytes;
        for piece in self.pieces.iter().filter(|piece| piece.is_written) {
            let (now, later) = rest.split_at(rest.len().min(piece.len as usize));
            let start: *mut u8 = core::ptr::with_exposed_provenance_mut(piece.address as usize);
            // SAFETY: the driver under test has given it.
            unsafe { start.copy_from_nonoverlapping(now.as_ptr(), now.len()) };
            rest = later;
        }
        (bytes.len() - rest.len()) as u32
    }
}

/// A queue, seen from the device.
pub struct Ring {
    places: Places,
    seen: u16,
    used: u16,
    has_events: bool,
    /// Then the driver cannot know what the device has.
    has_lied: bool,
    /// Chains that were taken and not used yet, in the order they came.
    pub taken: VecDeque<Chain>,
    /// How many interrupts it has asked for.
    pub interrupts: u32,
    pub bell: &'static AtomicU32,
}

impl Ring {
    fn half(&self, at: u64) -> &AtomicU16 {
        // SAFETY: in the queue's pages, which the test keeps.
        unsafe { &*core::ptr::with_exposed_provenance(at as usize) }
    }

    fn available(&self, at: usize) -> u16 {
        self.half(self.places.available + 2 * at as u64).load(Ordering::Acquire)
    }

    /// Takes what is new in the available ring. Whether there was some.
    pub fn take(&mut self) -> bool {
        let len = self.places.len;
        let index = self.available(1);
        assert!(index.wrapping_sub(self.seen) <= len, "the driver offers more than there is");
        let before = self.seen;
        while self.seen != index {
            let head = self.available(2 + usize::from(self.seen % len));
            let is_twice = self.taken.iter().any(|chain| chain.head == head);
            assert!(!is_twice || self.has_lied, "{head} is taken already");
            self.taken.push_back(self.chain(head));
            self.seen = self.seen.wrapping_add(1);
        }
        if self.has_events {
            let event = self.places.used + 4 + 8 * u64::from(len);
            self.half(event).store(self.seen, Ordering::SeqCst);
        }
        self.seen != before
    }

    fn chain(&self, head: u16) -> Chain {
        let mut pieces = Vec::new();
        let mut at = head;
        loop {
            let is_shorter = pieces.len() < usize::from(self.places.len);
            assert!(at < self.places.len && is_shorter, "a chain that does not end");
            let descriptor = self.places.descriptors + 16 * u64::from(at);
            let word = |offset| {
                let [low, high] = [0, 2]
                    .map(|part| self.half(descriptor + offset + part).load(Ordering::Relaxed));
                u64::from(low) | u64::from(high) << 16
            };
            let flags = self.half(descriptor + 12).load(Ordering::Relaxed);
            let address = word(0) | word(4) << 32;
            pieces.push(Piece { address, len: word(8) as u32, is_written: flags & 2 != 0 });
            if flags & 1 == 0 {
                return Chain { head, pieces };
            }
            at = self.half(descriptor + 14).load(Ordering::Relaxed);
        }
    }

    /// Gives a chain back. Whether the driver is to be interrupted.
    pub fn give(&mut self, head: u16, len: u32, lie: Lie) -> bool {
        self.has_lied |= lie != Lie::None;
        let (mut id, mut said, mut step) = (u32::from(head), len, 1);
        match lie {
            Lie::None => {}
            Lie::Id(other) => id = other,
            Lie::Len(other) => said = other,
            Lie::Step(other) => step = other,
            Lie::Twice => step = 2,
        }
        let entries = if lie == Lie::Twice { 2 } else { 1 };
        for entry in 0..entries {
            let at = self.places.used
                + 4
                + 8 * u64::from(self.used.wrapping_add(entry) % self.places.len);
            for (offset, word) in [(0, id), (4, said)] {
                self.half(at + offset).store(word as u16, Ordering::Relaxed);
                self.half(at + offset + 2).store((word >> 16) as u16, Ordering::Relaxed);
            }
        }
        let before = self.used;
        self.used = self.used.wrapping_add(step);
        self.half(self.places.used + 2).store(self.used, Ordering::SeqCst);
        let is_wanted = if self.has_events {
            let event = self.available(2 + usize::from(self.places.len));
            self.used.wrapping_sub(event).wrapping_sub(1) < self.used.wrapping_sub(before)
        } else {
            self.available(0) & 1 == 0
        };
        self.interrupts += u32::from(is_wanted);
        is_wanted
    }

    /// Takes and gives back the next chain with `answer`. Whether there was one.
    pub fn answer(&mut self, answer: impl FnOnce(&Chain) -> u32, lie: Lie) -> bool {
        self.take();
        let Some(chain) = self.taken.pop_front() else { return false };
        let len = answer(&chain);
        self.give(chain.head, len, lie);
        true
    }

    /// Says to the driver that it need not be told.
    pub fn want_no_notification(&self) {
        self.half(self.places.used).store(1, Ordering::SeqCst);
    }
}

/// A device.
pub struct Model {
    pub kind: u32,
    pub is_legacy: bool,
    pub features: u64,
    pub takes_features: bool,
    pub resets: bool,
    /// Whether it takes queues.
    pub takes_queues: bool,
    pub most: u16,
    pub has_fixed_len: bool,
    pub config: RefCell<Vec<u8>>,
    /// What was written to it, and where.
    pub written: RefCell<Vec<(u16, u32)>>,
    pub generation: Cell<u32>,
    /// Whether the generation changes with each look.
    pub is_restless: bool,
    pub status: Cell<u8>,
    pub statuses: RefCell<Vec<u8>>,
    pub accepted: Cell<u64>,
    pub rings: RefCell<Vec<Option<Ring>>>,
}

pub const VERSION_1: u64 = 1 << 32;
pub const EVENTS: u64 = 1 << 29;
pub const ANY_LAYOUT: u64 = 1 << 27;

impl Model {
    pub fn new(kind: u32) -> Model {
        Model {
            kind,
            is_legacy: false,
            features: VERSION_1 | 1 << 28,
            takes_features: true,
            resets: true,
            takes_queues: true,
            most: 256,
            has_fixed_len: false,
            config: RefCell::default(),
            written: RefCell::default(),
            generation: Cell::new(0),
            is_restless: false,
            status: Cell::new(0xf),
            statuses: RefCell::default(),
            accepted: Cell::new(u64::MAX),
            rings: RefCell::default(),
        }
    }

    /// Works with a queue that it was given.
    pub fn with<R>(&self, index: usize, work: impl FnOnce(&mut Ring) -> R) -> R {
        let mut rings = self.rings.borrow_mut();
        work(rings[index].as_mut().expect("the device was given that queue"))
    }

    fn config_bytes<const N: usize>(&self, offset: u16) -> [u8; N] {
        assert_eq!(usize::from(offset) % N, 0, "not aligned");
        let config = self.config.borrow();
        core::array::from_fn(|at| config.get(usize::from(offset) + at).copied().unwrap_or(0))
    }
}

impl Transport for &Model {
    fn kind(&self) -> u32 {
        self.kind
    }

    fn status(&self) -> u8 {
        self.status.get()
    }

    fn set_status(&self, status: u8) {
        self.statuses.borrow_mut().push(status);
        if status != 0 {
            self.status.set(if self.takes_features { status } else { status & !8 });
        } else if self.resets {
            self.rings.borrow_mut().clear();
            self.status.set(0);
        }
    }

    fn features(&self) -> u64 {
        self.features
    }

    fn accept(&self, features: u64) {
        self.accepted.set(features);
    }

    fn is_legacy(&self) -> bool {
        self.is_legacy
    }

    fn generation(&self) -> u32 {
        if self.is_restless {
            self.generation.set(self.generation.get() + 1);
        }
        self.generation.get()
    }

    fn config_byte(&self, offset: u16) -> u8 {
        self.config_bytes::<1>(offset)[0]
    }

    fn config_half(&self, offset: u16) -> u16 {
        u16::from_le_bytes(self.config_bytes(offset))
    }

    fn config_word(&self, offset: u16) -> u32 {
        u32::from_le_bytes(self.config_bytes(offset))
    }

    fn set_config_word(&self, offset: u16, value: u32) {
        self.written.borrow_mut().push((offset, value));
    }

    fn most(&self, index: u16) -> u16 {
        let rings = self.rings.borrow();
        let is_given = rings.get(usize::from(index)).is_some_and(Option::is_some);
        if is_given { 0 } else { self.most }
    }

    fn has_fixed_len(&self) -> bool {
        self.has_fixed_len
    }

    unsafe fn give(&self, index: u16, places: Places, _message: Option<u16>) -> Option<Bell> {
        assert!(places.len.is_power_of_two() && places.len <= self.most);
        assert_eq!(places.descriptors % 4096, 0);
        assert_eq!(places.used % 4096, 0);
        if !self.takes_queues {
            return None;
        }
        let bell: &'static AtomicU32 = Box::leak(Box::default());
        let mut rings = self.rings.borrow_mut();
        let len = rings.len().max(usize::from(index) + 1);
        rings.resize_with(len, || None);
        rings[usize::from(index)] = Some(Ring {
            places,
            seen: 0,
            used: 0,
            has_lied: false,
            has_events: self.accepted.get() & EVENTS != 0,
            taken: VecDeque::new(),
            interrupts: 0,
            bell,
        });
        Some(Bell::counter(bell))
    }

    fn give_config_message(&self, _message: u16) -> bool {
        true
    }

    fn interrupt(&self) -> Interrupt {
        Interrupt::NONE
    }
}
