//! A split virtqueue: descriptors, the ring of those that the device may use, the ring of those that it has used.
//!
//! What stands in shared memory and may be changed by the device is never asked what the driver knows itself: which
//! descriptors are under way, how many, and where the rings go on is kept in the driver's own memory, and what the device
//! says is compared with it. A device that says what cannot be is [reported](Lying), and its driver resets it.
//!
//! Several descriptors are offered and then shown to the device at once, with one notification, and only if the device asked
//! for it.
//!
//! Source: VIRTIO 1.2, 2.7 (split virtqueues), 2.7.7 and 2.7.10 (suppression of interrupts and notifications).

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering, fence};

use crate::bell::Bell;
use crate::memory::Pages;
use crate::transport::{EVENT_INDEX, Error, Features, Places, Transport};

/// The device has said what cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lying;

impl From<Lying> for Error {
    fn from(_: Lying) -> Error {
        Error::Lying
    }
}

/// A queue of a device, of which the driver uses up to `N` descriptors.
pub(crate) struct Queue<const N: usize, P> {
    descriptors: NonNull<Descriptor>,
    available: NonNull<AtomicU16>,
    used: NonNull<AtomicU16>,
    /// One less than how many descriptors there are, which is a power of two.
    mask: u16,
    /// How many of them are used.
    count: u16,
    has_events: bool,
    /// Where the available ring goes on.
    offered: u16,
    /// How much of it the device was shown.
    shown: u16,
    /// And was told of, or did not want to be.
    told: u16,
    /// Where the used ring goes on.
    seen: u16,
    /// Whether an interrupt is asked for, where indices do not say when.
    is_asking: bool,
    /// How many chains the device has.
    flying: u16,
    /// Of each descriptor: whether it begins a chain that the device has.
    is_flying: [bool; N],
    bell: Bell,
    /// How many times the bell was rung.
    rings: u64,
    _pages: P,
}

// SAFETY: the pointers are into the pages, which are its own and may be sent.
unsafe impl<const N: usize, P: Send> Send for Queue<N, P> {}

#[repr(C, align(16))]
struct Descriptor {
    address: AtomicU64,
    len: AtomicU32,
    flags: AtomicU16,
    next: AtomicU16,
}

const _: () = assert!(size_of::<Descriptor>() == 16);

/// Memory of a chain, as the device sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub address: u64,
    pub len: u32,
    /// Whether the device writes to it; else it reads.
    pub is_written: bool,
}

const HAS_NEXT: u16 = 1;
const IS_WRITTEN: u16 = 2;

/// In the available ring's flags.
const NO_INTERRUPT: u16 = 1;
/// In the used ring's flags.
const NO_NOTIFICATION: u16 = 1;

/// Flags and index before a ring's entries, in halves.
const ENTRIES: usize = 2;

/// The used ring begins at such a multiple, as legacy devices want it (2.7.2).
const ALIGNMENT: usize = 4096;

fn available_offset(len: u16) -> usize {
    size_of::<Descriptor>() * usize::from(len)
}

fn used_offset(len: u16) -> usize {
    (available_offset(len) + 2 * (ENTRIES + usize::from(len) + 1)).next_multiple_of(ALIGNMENT)
}

impl<const N: usize, P: Pages> Queue<N, P> {
    /// How long queue `index` is to be.
    pub fn len(device: &impl Transport, index: u16) -> Result<u16, Error> {
        let most = device.most(index);
        let wanted = u16::try_from(N).unwrap_or(1 << 15);
        let len = if device.has_fixed_len() || most < wanted { most } else { wanted };
        if len.is_power_of_two() && len <= 1 << 15 { Ok(len) } else { Err(Error::Refused) }
    }

    /// What the pages of a queue must have.
    pub fn bytes(len: u16) -> usize {
        used_offset(len) + 2 * (ENTRIES + 1) + 8 * usize::from(len)
    }

    /// Gives the device its queue `index`, with as many descriptors as [`len`](Self::len) said. Nothing is in it yet.
    pub fn new(
        device: &impl Transport,
        index: u16,
        len: u16,
        pages: P,
        features: &Features,
        message: Option<u16>,
    ) -> Result<Self, Error> {
        if pages.len() < Self::bytes(len) || !len.is_power_of_two() {
            return Err(Error::NoMemory);
        }
        let at = |offset| pages.address() + offset as u64;
        let places = Places {
            len,
            descriptors: at(0),
            available: at(available_offset(len)),
            used: at(used_offset(len)),
        };
        // SAFETY: of that length, as the pages are. They stay as long as the queue, which its driver keeps until it has
        // reset the device.
        let bell = unsafe { device.give(index, places, message) }.ok_or(Error::Refused)?;
        // SAFETY: inside the pages, by their length.
        let part = |offset| unsafe { pages.start().byte_add(offset) };
        let mut queue = Queue {
            descriptors: part(0).cast(),
            available: part(available_offset(len)).cast(),
            used: part(used_offset(len)).cast(),
            mask: len - 1,
            count: len.min(u16::try_from(N).unwrap_or(u16::MAX)),
            has_events: features.has(EVENT_INDEX),
            offered: 0,
            shown: 0,
            told: 0,
            seen: 0,
            is_asking: false,
            flying: 0,
            is_flying: [false; N],
            bell,
            rings: 0,
            _pages: pages,
        };
        queue.hush();
        Ok(queue)
    }

    /// How many descriptors may be used: those below this number.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// How many chains the device has.
    pub fn flying(&self) -> u16 {
        self.flying
    }

    /// How many of those that the device was told of it has not used, by what it says; and where its used ring goes on, which
    /// is another place once it has used one more.
    #[inline]
    pub fn progress(&self) -> (u16, u16) {
        let used = self.used(1).load(Ordering::Relaxed);
        (self.told.wrapping_sub(used), used)
    }

    /// Whether something was offered that the device was not told of.
    #[inline]
    pub fn has_news(&self) -> bool {
        self.told != self.offered
    }

    /// How many times the device was told to look.
    pub fn rings(&self) -> u64 {
        self.rings
    }

    #[inline]
    fn descriptor(&self, index: u16) -> &Descriptor {
        // SAFETY: the mask keeps it in the table. All in it are atomics, which the device may change.
        unsafe { self.descriptors.add(usize::from(index & self.mask)).as_ref() }
    }

    /// Half `at` of the available ring: flags, index, entries, and the index that an interrupt is wanted at.
    #[inline]
    fn available(&self, at: usize) -> &AtomicU16 {
        debug_assert!(at <= ENTRIES + usize::from(self.mask) + 1);
        // SAFETY: inside the pages: the three callers pass 0, 1, entries by the mask, and the one behind.
        unsafe { self.available.add(at).as_ref() }
    }

    /// Half `at` of the used ring.
    #[inline]
    fn used(&self, at: usize) -> &AtomicU16 {
        debug_assert!(at <= ENTRIES + 4 * (usize::from(self.mask) + 1));
        // SAFETY: as for `available`.
        unsafe { self.used.add(at).as_ref() }
    }

    /// The index at which the device wants to be told.
    #[inline]
    fn notification_event(&self) -> &AtomicU16 {
        self.used(ENTRIES + 4 * (usize::from(self.mask) + 1))
    }

    /// The index at which an interrupt is wanted.
    #[inline]
    fn interrupt_event(&self) -> &AtomicU16 {
        self.available(ENTRIES + usize::from(self.mask) + 1)
    }

    /// Writes a descriptor. `next` is the one that follows it in its chain.
    #[inline]
    pub fn describe(&self, index: u16, segment: Segment, next: Option<u16>) {
        let relaxed = Ordering::Relaxed;
        let descriptor = self.descriptor(index);
        descriptor.address.store(segment.address, relaxed);
        descriptor.len.store(segment.len, relaxed);
        let writes = if segment.is_written { IS_WRITTEN } else { 0 };
        descriptor.flags.store(writes | if next.is_some() { HAS_NEXT } else { 0 }, relaxed);
        descriptor.next.store(next.unwrap_or(0), relaxed);
    }

    /// Offers the chain that begins with descriptor `head`.
    ///
    /// # Panics
    ///
    /// If the device has it already.
    #[inline]
    pub fn offer(&mut self, head: u16) {
        let is_flying = self.is_flying.get_mut(usize::from(head));
        let is_free = is_flying.is_some_and(|is_flying| !core::mem::replace(is_flying, true));
        assert!(is_free, "a descriptor is offered twice");
        let at = ENTRIES + usize::from(self.offered & self.mask);
        self.available(at).store(head, Ordering::Relaxed);
        self.offered = self.offered.wrapping_add(1);
        self.flying += 1;
    }

    /// Lets the device see what was offered, without telling it.
    #[inline]
    pub fn show(&mut self) {
        if self.shown != self.offered {
            self.shown = self.offered;
            self.available(1).store(self.offered, Ordering::Release);
        }
    }

    /// Lets the device see what was offered, and tells it to look if it wants to be told.
    #[inline]
    pub fn tell(&mut self) {
        if self.told == self.offered {
            return;
        }
        self.show();
        let news = self.offered.wrapping_sub(self.told);
        self.told = self.offered;
        // The device must see the index before it is asked whether it waits for that: it asks the other way round.
        fence(Ordering::SeqCst);
        let is_wanted = || {
            if self.has_events {
                let event = self.notification_event().load(Ordering::Relaxed);
                self.offered.wrapping_sub(event).wrapping_sub(1) < news
            } else {
                self.used(0).load(Ordering::Relaxed) & NO_NOTIFICATION == 0
            }
        };
        if is_wanted() || later(is_wanted) {
            self.rings += 1;
            self.bell.ring();
        }
    }

    /// The next chain that the device has used: its first descriptor, and how many bytes the device says it has written.
    #[inline]
    pub fn take(&mut self) -> Result<Option<(u16, u32)>, Lying> {
        let news = self.used(1).load(Ordering::Acquire).wrapping_sub(self.seen);
        if news == 0 {
            return Ok(None);
        }
        if news > self.flying {
            return Err(Lying);
        }
        let at = ENTRIES + 4 * usize::from(self.seen & self.mask);
        // SAFETY: an entry of the used ring, aligned to 4: two words, which the device may change.
        let [id, len] =
            [0, 2].map(|part| unsafe { self.used.add(at + part).cast::<AtomicU32>().as_ref() });
        let (id, len) = (id.load(Ordering::Relaxed), len.load(Ordering::Relaxed));
        let is_flying = usize::try_from(id).ok().and_then(|id| self.is_flying.get_mut(id));
        if !is_flying.is_some_and(core::mem::take) {
            return Err(Lying);
        }
        self.seen = self.seen.wrapping_add(1);
        self.flying -= 1;
        if self.is_asking {
            // What was asked for has come, or is not waited for.
            self.hush();
        }
        Ok(Some((id as u16, len)))
    }

    /// Asks for an interrupt when so many more have been used than were taken, 1 or more. Whether that is so already: then
    /// there may be none.
    #[inline]
    pub fn ask(&mut self, more: u16) -> bool {
        if self.has_events {
            let last = self.seen.wrapping_add(more).wrapping_sub(1);
            self.interrupt_event().store(last, Ordering::Relaxed);
        } else {
            self.is_asking = true;
            self.available(0).store(0, Ordering::Relaxed);
        }
        // The device must see that before it is looked whether it was too late: it looks the other way round.
        fence(Ordering::SeqCst);
        let has_come = || self.used(1).load(Ordering::Relaxed).wrapping_sub(self.seen) >= more;
        has_come() || later(has_come)
    }

    /// Asks for no interrupts. One may still come.
    #[inline]
    pub fn hush(&mut self) {
        if self.has_events {
            // The index was there already; it comes again after 65,535 more.
            self.interrupt_event().store(self.seen.wrapping_sub(1), Ordering::Relaxed);
        } else {
            self.is_asking = false;
            self.available(0).store(NO_INTERRUPT, Ordering::Relaxed);
        }
    }
}

/// A second look, where the first says that there is nothing to do and that the other side will say so if there is.
///
/// QEMU before 8.0 leaves the guest's fences out when it emulates one processor, while its devices run beside it: what was
/// stored before the fence may not be seen yet, and both sides wait for each other for ever. It leaves the guest's code at
/// a `pause`, and takes a lock before it goes on, which is a fence. Processors lose some forty nanoseconds, before they rest.
#[inline]
fn later(look: impl FnOnce() -> bool) -> bool {
    core::hint::spin_loop();
    look()
}

#[cfg(test)]
mod tests;
