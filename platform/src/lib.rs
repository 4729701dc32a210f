//! The machine under a unikernel: boot, page tables, traps, interrupts, timers, consoles, clock and exit.
//!
//! One image starts on QEMU (`microvm`, `q35`, `pc`) and on Xen, by the PVH boot protocol, on one x86-64 processor. Most
//! kernels take the façade crate `freestone` instead, whose `entry!` adds a panic handler and a heap.
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
//! # How boot goes
//!
//! 1. [`boot!`] defines the entry point in your crate. The loader enters it in 32-bit mode. It checks the processor, maps
//!    the first GiB, enables SSE and no-execute, and switches to 64-bit mode.
//! 2. The [consoles](console) that answer are registered, so every later step can report its failure.
//! 3. Descriptor tables are loaded: from here on an exception ends in a report with registers and a trace.
//! 4. The loader's data is checked and kept in [`BootInfo`]. A boot that cannot go on prints why and ends as a crash.
//! 5. The final page tables replace the first ones.
//! 6. `main` runs, on a stack of 256 KiB above a guard page. What it returns is the kernel's [`Exit`].
//!
//! Boot waits for no device, and interrupts stay off. Clock, timer, ACPI tables and random numbers are set up by the first
//! call that needs them; images without such a call do not contain that code.
//!
//! # What interrupted code may assume
//!
//! - An exception or an interrupt gives every register back as it was, vector registers included, unless its handler
//!   changes the [`Frame`](interrupts::Frame). The red zone is not overwritten. So ordinary Rust, compiled for the host's
//!   target, may be interrupted anywhere.
//! - Handlers run on stacks of their own, 16 KiB each, above guard pages: one for interrupts, others for exceptions and
//!   NMIs. An interrupt takes 864 bytes of the interrupted stack. A stack that is used up ends in a report.
//! - Interrupts are off until [`interrupts::enable`], and off again in a handler unless it turns them on. Exceptions and
//!   NMIs come at any time.
//! - No function of this crate waits for a lock: a call that interrupts another one's use of it returns an error or `None`,
//!   or its effect comes when the other is done. `print!` waits a bounded time and then prints.
//! - A handler must not wait for anything that the interrupted code holds. It may allocate only from a heap whose lock
//!   masks interrupts, and in the handler of an exception or an NMI not at all. It can wake a task by a [`Signal`].
//!
//! # Who owns memory
//!
//! - **Free memory** is usable RAM that nothing occupied when `main` began. It is divided once. A heap that calls
//!   [`memory::heap_share`] first gets the lower seven eighths of each free range. All other free memory is for frames.
//! - **Frames** are whole pages. A [`Frames`](memory::Frames) owns a run of them and gives it back when dropped. A
//!   [`KernelStack`](memory::KernelStack) is made of frames.
//! - **Page tables** map all RAM at its physical address. Code is not writable, and all else is not executable; page 0 and
//!   the guard pages of stacks are not mapped. [`map_mmio`](memory::map_mmio) adds a device's registers.
//!   [`map`](memory::map), [`unmap`](memory::unmap) and [`protect`](memory::protect) are `unsafe`; they too refuse what
//!   would be writable and executable, and guard pages. [`audit`](memory::audit) checks every page in use.
//!
//! # What is not promised
//!
//! There is one processor, and no driver for disks or networks. AVX state is not saved: building with `+avx` is
//! an error. `unsafe` code that writes to page tables or control registers itself can break all of the above; `audit` finds
//! such page tables afterwards.
//!
//! What only one machine has is in its own module ([`x86_64`], [`devices::pc`]); all other modules are meant to be the
//! same on every machine.

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
