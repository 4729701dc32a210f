//! `critical-section` for one processor, by masking interrupts. The macro
//! [`critical_section!`](crate::critical_section) defines it in a kernel.

use crate::interrupts;

/// What [`critical_section!`](crate::critical_section) exports.
#[doc(hidden)]
pub struct Interrupts;

// SAFETY: between `acquire` and `release` nothing else runs on the one processor there is, but for exceptions and
// NMIs, whose handlers must not wait for locks in any case. Sections nest: each gives back what it found.
unsafe impl critical_section::Impl for Interrupts {
    unsafe fn acquire() -> bool {
        let were_enabled = interrupts::are_enabled();
        interrupts::disable();
        were_enabled
    }

    unsafe fn release(were_enabled: bool) {
        if were_enabled {
            interrupts::enable();
        }
    }
}

/// Makes "interrupts off" the critical section of the crates that ask for one: once, in the kernel crate.
///
/// ```ignore
/// freestone::critical_section!();
/// ```
#[macro_export]
macro_rules! critical_section {
    () => {
        const _: () = {
            use $crate::critical::critical_section;
            $crate::critical::critical_section::set_impl!($crate::critical::Interrupts);
        };
    };
}

#[doc(hidden)]
pub use critical_section;
