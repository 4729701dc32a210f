//! Virtual addresses, which the processor uses, and physical addresses, which the memory bus sees, as two types.
//!
//! The kernel's page tables map all RAM at its physical address, so the two have the same number almost everywhere. That is
//! why they have two types: code that mixed them up would work until a page is mapped elsewhere.

use core::fmt;

use freestone_rt::number::Hex;

/// The smallest unit of mapping, in bytes.
pub const PAGE_SIZE: u64 = 4096;

/// The range of whole pages that covers `range`.
pub fn covering_pages(range: core::ops::Range<u64>) -> core::ops::Range<u64> {
    let mask = PAGE_SIZE - 1;
    (range.start & !mask)..(range.end.saturating_add(mask) & !mask)
}

/// A physical address: at most 52 bits, the most that page tables can name (Intel SDM volume 3, 5.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct PhysAddr(u64);

/// A virtual address. Canonical: bits 48 to 63 repeat bit 47 (Intel SDM volume 1, 3.3.7.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct VirtAddr(u64);

impl PhysAddr {
    /// How many bits there can be.
    pub const BITS: u32 = 52;

    /// The address `number`, or `None` if it has more than 52 bits.
    pub const fn try_new(number: u64) -> Option<PhysAddr> {
        if number >> Self::BITS == 0 { Some(PhysAddr(number)) } else { None }
    }
}

impl VirtAddr {
    /// The address `number`, or `None` if it is not canonical.
    pub const fn try_new(number: u64) -> Option<VirtAddr> {
        const SPARE: u32 = 16;
        if (number << SPARE).cast_signed() >> SPARE == number.cast_signed() {
            Some(VirtAddr(number))
        } else {
            None
        }
    }

    /// The same as a pointer. Its provenance is that of exposed memory.
    pub const fn as_ptr<T>(self) -> *mut T {
        core::ptr::with_exposed_provenance_mut(self.0 as usize)
    }
}

impl<T: ?Sized> From<*const T> for VirtAddr {
    fn from(pointer: *const T) -> VirtAddr {
        VirtAddr(pointer.expose_provenance() as u64)
    }
}

impl<T: ?Sized> From<*mut T> for VirtAddr {
    fn from(pointer: *mut T) -> VirtAddr {
        VirtAddr(pointer.expose_provenance() as u64)
    }
}

/// What both kinds can do.
macro_rules! common {
    ($kind:ident, $not:literal) => {
        impl $kind {
            /// The address `number`.
            ///
            /// # Panics
            ///
            /// If it is none.
            #[doc = concat!("`try_new` returns `None` instead: ", $not, ".")]
            pub const fn new(number: u64) -> $kind {
                Self::try_new(number).expect($not)
            }

            /// The number.
            pub const fn as_u64(self) -> u64 {
                self.0
            }

            /// Whether a page begins here.
            pub const fn is_page(self) -> bool {
                self.0.is_multiple_of(PAGE_SIZE)
            }

            /// `bytes` further on; `None` where no such address is.
            pub const fn checked_add(self, bytes: u64) -> Option<$kind> {
                match self.0.checked_add(bytes) {
                    Some(number) => Self::try_new(number),
                    None => None,
                }
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("0x")?;
                fmt::Display::fmt(&Hex(self.0), f)
            }
        }

        impl fmt::Debug for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

common!(PhysAddr, "a physical address has at most 52 bits");
common!(VirtAddr, "a virtual address repeats bit 47 above it");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_no_addresses_are_refused() {
        assert_eq!(PhysAddr::try_new(1 << 52), None);
        assert_eq!(PhysAddr::new((1 << 52) - 1).checked_add(1), None);
        for (number, good) in [
            (0, true),
            ((1 << 47) - 1, true),
            (1 << 47, false),
            (0xffff_7fff_ffff_ffff, false),
            (0xffff_8000_0000_0000, true),
            (u64::MAX, true),
        ] {
            assert_eq!(VirtAddr::try_new(number).is_some(), good, "{number:#x}");
        }
        assert_eq!(VirtAddr::new(u64::MAX).checked_add(1), None);
        assert!(VirtAddr::new(0x2000).is_page() && !VirtAddr::new(0x2001).is_page());
        assert_eq!(std::format!("{}", PhysAddr::new(0x12)), "0x0000000000000012");
    }
}
