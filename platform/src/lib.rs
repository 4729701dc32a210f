//! The machine under a unikernel: boot, page tables, traps, consoles, clock and exit.
//!
//! One image starts on QEMU (`microvm`, `q35`, `pc`) and on Xen through the PVH boot protocol.
//! [`boot!`] stamps the entry point into a kernel; by the time its `main` runs, the processor is in
//! long mode, faults are reported with registers and a trace, memory is mapped so that nothing is
//! both writable and executable, and `print!` works. What the loader told is in [`BootInfo`].
//!
//! ```
//! use freestone_platform::{BootInfo, Exit};
//!
//! // In a kernel: freestone_platform::boot!(kernel_main);
//! fn kernel_main(boot: &'static BootInfo) -> Exit {
//!     if boot.has_argument("selftest") && boot.memory().usable_bytes() < 16 << 20 {
//!         return Exit::Failure;
//!     }
//!     Exit::Success
//! }
//! # fn main() {}
//! ```
//!
//! Most kernels take the façade crate `freestone` instead, whose `entry!` adds panic handler and heap.
//!
//! The machine-independent surface is in [`boot_info`], [`console`], [`mod@exit`], [`interrupts`], [`memory`] and
//! [`time`]; what only one machine has is in its own module ([`x86_64`]).

#![no_std]
// Over a machine that is none, much has nobody to use it.
#![cfg_attr(freestone_machine = "stubs", allow(dead_code, unused_imports))]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

#[doc(hidden)]
pub mod arch;
pub mod boot;
pub mod boot_info;
pub mod console;
pub(crate) mod cores;
#[cfg(feature = "critical-section")]
pub mod critical;
pub mod devices;
pub mod dma;
#[cfg(feature = "embassy-time")]
pub mod embassy;
pub mod entropy;
pub mod exit;
pub mod hypervisor;
pub mod image;
pub mod interrupts;
pub(crate) mod lock;
pub mod memory;
pub(crate) mod once;
mod registered;
pub mod signal;
pub(crate) mod slot;
pub mod stacks;
pub mod time;
pub mod timer;

pub use arch::named::*;
pub use arch::traps;
pub use boot_info::BootInfo;
pub use exit::{Exit, exit};
pub use signal::Signal;

#[doc(hidden)]
pub use boot_info::take_secret;
#[doc(hidden)]
pub use registered::registered;

#[doc(hidden)]
pub use freestone_rt as rt;

// The trap entry saves the vector state with FXSAVE, which keeps x87 and SSE registers only.
#[cfg(target_feature = "avx")]
compile_error!(
    "freestone-platform saves SSE state at traps, not AVX: build without +avx (or a target-cpu \
     that implies it), or handlers will corrupt the upper halves of vector registers"
);

// Whose bodies use the same registers, without the compiler being told.
#[cfg(any(freestone_mem = "avx2", freestone_mem = "avx512"))]
compile_error!(
    "freestone-platform neither enables nor saves AVX state: build without \
     --cfg freestone_mem=\"avx2\" or \"avx512\"; \"sse2\" it keeps"
);
