//! Memory that a device and the kernel share.
//!
//! A [`Buffer`] is whole pages in one piece, zeroed, with an owner: what else lies in a page that a device writes to
//! would be within its reach. It is taken from the [frames](crate::memory::Frames). When these have run out, and with the
//! feature `alloc`, it is taken from the kernel's heap, which has seven eighths of the memory. A buffer may be taken and
//! dropped in an interrupt's handler if the heap's lock masks interrupts, as `entry!`'s does; in the handler of an exception
//! or an NMI it is taken from the frames only, and must not be dropped.
//!
//! ```no_run
//! # use freestone_platform as freestone;
//! use freestone::dma::Buffer;
//! use freestone::memory::{OutOfFrames, Zone};
//!
//! # fn example() -> Result<(), OutOfFrames> {
//! // Room for a ring of descriptors, for a device whose addresses have 32 bits.
//! let ring = Buffer::zeroed(4096, Zone::Low)?;
//! let told = ring.start().as_u64() as u32;
//! // SAFETY: inside, and the device does not know of it yet.
//! unsafe { ring.as_ptr().cast::<u32>().write_volatile(1) };
//! # let _ = told;
//! # Ok(())
//! # }
//! ```

use core::ptr::NonNull;

use freestone_virtio::memory::{Memory, Pages};

use crate::memory::address::{PAGE_SIZE, PhysAddr, VirtAddr};
use crate::memory::buddy::Zone;
use crate::memory::frames::{Frames, OutOfFrames};
use crate::memory::mapping::translate;

/// Pages for a device. They are given back when it is dropped: after the device has been told to leave them alone, by
/// a reset for example.
#[derive(Debug)]
pub struct Buffer {
    start: NonNull<[u8]>,
    /// To be dropped.
    _owner: Owner,
}

#[derive(Debug)]
enum Owner {
    Frames(#[expect(dead_code, reason = "to be dropped")] Frames),
    #[cfg(feature = "alloc")]
    Heap(#[expect(dead_code, reason = "to be dropped")] from_heap::Pages),
}

// SAFETY: the memory is the owner's, on whichever processor; what is done with it is `unsafe` and its user's to say.
unsafe impl Send for Buffer {}
// SAFETY: a shared reference gives addresses and a length, which do not change.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// As many whole pages as `bytes` need, zeroed, at a multiple of the page size.
    ///
    /// # Errors
    ///
    /// [`OutOfFrames`] if neither the frames nor, with the feature `alloc`, the heap have so many in one piece in that
    /// zone; also for 0 bytes. The heap does not know of zones: where there is memory above 4 GiB, it may have some below
    /// and give another.
    pub fn zeroed(bytes: usize, zone: Zone) -> Result<Buffer, OutOfFrames> {
        let count = (bytes as u64).div_ceil(PAGE_SIZE);
        let buffer = match Frames::take_where(count, PAGE_SIZE, zone) {
            Ok(frames) => Buffer { start: frames.as_ptr(), _owner: Owner::Frames(frames) },
            #[cfg(feature = "alloc")]
            Err(OutOfFrames) => from_heap::take(count, zone)?,
            #[cfg(not(feature = "alloc"))]
            Err(error) => return Err(error),
        };
        // SAFETY: mapped and writable, and nobody else's.
        unsafe { buffer.as_ptr().as_ptr().write_bytes(0, buffer.start.len()) };
        Ok(buffer)
    }

    /// Where it begins, as the device is told.
    pub fn start(&self) -> PhysAddr {
        PhysAddr::new(self.start.addr().get() as u64)
    }

    /// How many bytes it has.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.start.len()
    }

    /// Its first byte. The device may change any of them at any time: they are to be read and written as volatile, or
    /// as atomics, and no reference to plain bytes of them may exist as long as the device knows of them.
    pub fn as_ptr(&self) -> NonNull<u8> {
        self.start.cast()
    }
}

// SAFETY: its start, its length and its address stay as they are; it is zeroed, whole pages, mapped at its physical address
// in one piece, and its owner's only.
unsafe impl Pages for Buffer {
    fn start(&self) -> NonNull<u8> {
        self.as_ptr()
    }

    fn len(&self) -> usize {
        Buffer::len(self)
    }

    fn address(&self) -> u64 {
        Buffer::start(self).as_u64()
    }
}

/// The kernel's memory, for drivers of the crate `freestone-virtio`.
#[derive(Clone, Copy, Debug)]
pub struct Shared;

// SAFETY: `address` looks at each page.
unsafe impl Memory for Shared {
    type Pages = Buffer;

    fn zeroed(bytes: usize) -> Option<Buffer> {
        Buffer::zeroed(bytes, Zone::Any).ok()
    }

    fn address(bytes: NonNull<[u8]>) -> Option<u64> {
        let first = bytes.addr().get() as u64;
        is_at_its_own(first, bytes.len()).then_some(first)
    }
}

/// Whether these addresses are mapped to the same physical ones. Those of no bytes are.
fn is_at_its_own(first: u64, bytes: usize) -> bool {
    let Some(end) = first.checked_add(bytes as u64) else { return false };
    let mut pages = (first & !(PAGE_SIZE - 1)..end).step_by(PAGE_SIZE as usize);
    pages.all(|at| translate(VirtAddr::new(at)).is_some_and(|(to, _)| to.as_u64() == at))
}

#[cfg(feature = "alloc")]
mod from_heap {
    //! Pages from the kernel's `#[global_allocator]`.

    use alloc::alloc::{alloc, dealloc};
    use core::alloc::Layout;
    use core::ptr::NonNull;

    use super::{Buffer, Owner, is_at_its_own};
    use crate::memory::address::{PAGE_SIZE, VirtAddr};
    use crate::memory::buddy::Zone;
    use crate::memory::frames::OutOfFrames;

    #[derive(Debug)]
    pub struct Pages(NonNull<u8>, Layout);

    impl Drop for Pages {
        fn drop(&mut self) {
            // SAFETY: `take` got it by this layout.
            unsafe { dealloc(self.0.as_ptr(), self.1) }
        }
    }

    /// The frames have no such run.
    pub fn take(count: u64, zone: Zone) -> Result<Buffer, OutOfFrames> {
        if crate::arch::trap::traps::in_handler() {
            return Err(OutOfFrames);
        }
        let bytes = count.checked_mul(PAGE_SIZE).and_then(|bytes| usize::try_from(bytes).ok());
        let bytes = bytes.filter(|&bytes| bytes != 0).ok_or(OutOfFrames)?;
        let layout = Layout::from_size_align(bytes, PAGE_SIZE as usize).map_err(|_| OutOfFrames)?;
        // SAFETY: not of size 0.
        let start = NonNull::new(unsafe { alloc(layout) }).ok_or(OutOfFrames)?;
        let pages = Pages(start, layout);
        let first = VirtAddr::from(start.as_ptr()).as_u64();
        let end = first + bytes as u64;
        let is_in_zone = zone == Zone::Any || end <= 1 << 32;
        // An allocator of the kernel's own may have memory that is mapped elsewhere.
        if !is_in_zone || !is_at_its_own(first, bytes) {
            return Err(OutOfFrames);
        }
        Ok(Buffer {
            start: NonNull::slice_from_raw_parts(start, bytes),
            _owner: Owner::Heap(pages),
        })
    }
}
