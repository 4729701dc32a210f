//! The support kit under a Rust kernel: one dependency and [`entry!`], on stable Rust.
//!
//! ```
//! use freestone::{BootInfo, Exit, println};
//!
//! // In a kernel also #![no_std] and #![no_main], and: freestone::entry!(kernel_main);
//! fn kernel_main(boot: &'static BootInfo) -> Exit {
//!     println!("hello from {}", boot.hypervisor());
//!     Exit::Success
//! }
//! # fn main() {}
//! ```
//!
//! The kernel's `build.rs` passes on what the linker must know:
//!
//! ```text
//! fn main() {
//!     println!("cargo::rustc-link-arg-bins=@{}", std::env::var("DEP_FREESTONE_LINK").unwrap());
//! }
//! ```
//!
//! and its manifest turns unwinding off, by `panic = "abort"` in `[profile.dev]` and `[profile.release]`.
//! `cargo freestone new` makes all of this; `cargo freestone run` builds and boots it.
//!
//! # Boot
//!
//! [`entry!`] defines in your crate what belongs to the final program: the entry point, the panic handler, the symbols that
//! `core` wants, and the heap. Each of the last three can be left out. Before `main` the machine is set up so that faults
//! are reported and `print!` works; [`platform`] tells the whole way. [`BootInfo`] has the loader's command line, memory
//! map and modules; [`mod@exit`] has the ways to end.
//!
//! # Memory
//!
//! The heap has seven eighths of the free memory before `main` runs; [`heap`] lists the four choices. The rest are
//! [`Frames`](memory::Frames), whole pages for devices and stacks. All RAM is mapped at its physical address, and nothing
//! is writable and executable; [`memory`] changes page tables under that rule.
//!
//! # Time
//!
//! [`time::now`] never goes back and may be called anywhere; [`time::wall`] is the time of day where the machine knows it.
//! [`timer`] calls a function at a time, and sleeps. The clock is found by the first call that needs it, not at boot.
//!
//! # Interrupts
//!
//! They are off until [`interrupts::enable`]. [`interrupts`] registers handlers and connects devices; [`traps`] does the
//! same for exceptions. A handler may use vector registers, print, and allocate from the heap that `entry!` made; the
//! handler of an exception or an NMI must not allocate.
//!
//! # Tasks
//!
//! With the feature `task` the module `task` has an executor, timers, locks and channels, and `main` may be `async`:
//! `entry!(async main)`. Tasks run one at a time and yield where they await; no thread is behind them. Without that feature, or
//! beside it, any executor will do: a [`Signal`] wakes its task from a handler, and [`interrupts::wait`] halts until the next
//! interrupt. With the features `embassy-time` and `critical-section` Embassy's raw executor and its timers run on this crate.
//!
//! # Disks
//!
//! With the feature `block` the module `block` finds virtio disks, and reads and writes them in tasks. With
//! the feature `store` the module `store` keeps keys and values on one, and loses none that it has acknowledged.
//!
//! # Network
//!
//! With the feature `net` the module `net` starts a network in one line: address by `ip=` or DHCP, TCP listeners, and
//! embassy-net's sockets. [`wants`] says in the image which ports the kernel serves, so that `cargo freestone run` forwards some
//! of the host's to them.
//!
//! # Each layer alone
//!
//! [`platform`], [`rt`], [`alloc_glue`], [`mem`], [`math`] and [`xen`] are crates of their own, re-exported here. A kernel
//! that wants only one of them (our panic report under its own boot code, say) depends on that one alone.
//!
//! # What is not promised
//!
//! One x86-64 processor, in QEMU, in Bochs or on Xen. There are no processes and no C library. Real hardware has not been tried.

#![no_std]

pub use freestone_alloc as alloc_glue;
pub use freestone_math as math;
pub use freestone_mem as mem;
pub use freestone_platform as platform;
pub use freestone_rt as rt;
pub use freestone_xen as xen;

#[cfg(feature = "log")]
pub use freestone_rt::logger;

#[cfg(feature = "critical-section")]
pub use freestone_platform::critical_section;
#[cfg(feature = "embassy-time")]
pub use freestone_platform::embassy_time_driver;
pub use freestone_platform::traps;
pub use freestone_platform::{
    BootInfo, Exit, Signal, console, devices, dma, entropy, exit, interrupts, memory, time, timer,
};
pub use freestone_platform::{getrandom_02, getrandom_backend};
pub use freestone_rt::{print, println};

#[cfg(feature = "block")]
pub mod block;
#[cfg(any(feature = "block", feature = "net", feature = "virtio-console"))]
mod claims;
pub mod heap;
#[cfg(feature = "net")]
pub mod net;
#[cfg(feature = "store")]
pub mod store;
#[cfg(feature = "task")]
pub mod task;
#[cfg(feature = "virtio-console")]
pub mod virtio_console;
pub mod wants;

#[doc(hidden)]
pub use heap::{give_free_memory, report_exhaustion};

/// A function of `.init_array`: it gets what `main` gets in C, here nothing.
#[doc(hidden)]
pub type Constructor = unsafe extern "C" fn(i32, *const *const u8, *const *const u8);

/// Calls the functions from `start` to `end`.
///
/// # Safety
///
/// - They are one list of functions that may be called, once and now.
#[doc(hidden)]
#[inline]
pub unsafe fn run_constructors(start: *const Constructor, end: *const Constructor) {
    let mut at = start;
    while at < end {
        let none = core::ptr::null();
        // SAFETY: the caller's promise.
        unsafe {
            (*at)(0, &raw const none, &raw const none);
            at = at.add(1);
        }
    }
}

/// Makes a program a kernel: `entry!(main)` with `fn main(&'static BootInfo) -> Exit`, or, with the feature `task`,
/// `entry!(async main)` with `async fn main(&'static BootInfo) -> Exit`.
///
/// ```text
/// entry!([async] MAIN [, OPTION: VALUE]…)
///
/// stack: BYTES      allocator: none | plain | checked | cached      panic: none      shims: none      audit: exit
/// multiboot2: on
/// ```
///
/// Defined in the kernel's crate, because they belong to the final program:
///
/// | what | left out by |
/// |---|---|
/// | boot code and entry point | |
/// | `#[panic_handler]`: report on every console, then [`Exit::Crash`] | `panic: none` |
/// | `rust_eh_personality`, `_Unwind_Resume`, `__stack_chk_*` | `shims: none` |
/// | `#[global_allocator]`: seven eighths of the free memory; in debug builds it [finds misuse](heap) | `allocator: none` |
///
/// `allocator: plain`, `checked` or `cached` chooses [that heap](heap), in every build.
///
/// `async` runs `main` as a task of `task::EXECUTOR`, named `main`, with interrupts let in; the kernel ends when it returns. It also
/// defines `critical_section!`, and the report of a panic names the task and lists the others.
///
/// Constructors (`.init_array`: C++, the crates `ctor` and `inventory`) are called before `main`, with the heap there.
///
/// `stack: 512 * 1024` is how large the stack is that `main` runs on, instead of
/// [256 KiB](platform::stacks::named::BOOT_BYTES). For one deep function alone there is
/// [`KernelStack::run`](memory::KernelStack::run).
///
/// One thing is added only if it is asked for: `audit: exit` looks at the page tables when the kernel ends, and makes a
/// success a failure if anything is writable and executable, or a guard page mapped ([`memory::audit`]). For tests; it
/// takes some 2 KiB of the image.
///
/// `multiboot2: on` lets GRUB and other Multiboot2 loaders start the kernel, as PVH loaders do anyway: for PCs without a
/// hypervisor, and for `cargo freestone image --iso`.
///
/// Leave out what you define yourself: `entry!(main, allocator: none, panic: none)`. Shims that are left out must be
/// defined: every kernel links `rust_eh_personality`, and one that uses `alloc` links `_Unwind_Resume` too.
/// The kernel crate may `#![forbid(unsafe_code)]`.
#[macro_export]
macro_rules! entry {
    (async $main:path $(, $($options:tt)*)?) => {
        #[doc(hidden)]
        fn __freestone_async_main(boot: &'static $crate::BootInfo) -> $crate::Exit {
            $crate::task::run_main($main(boot))
        }
        $crate::critical_section!();
        $crate::entry!(__freestone_async_main, crash: task $(, $($options)*)?);
    };
    ($main:path $(,)?) => {
        $crate::__entry!(@options $main, [$crate::platform::stacks::named::BOOT_BYTES] []);
    };
    ($main:path, $($options:tt)+) => {
        $crate::__entry!(
            @options $main, [$crate::platform::stacks::named::BOOT_BYTES] [] $($options)+
        );
    };
}

/// What [`entry!`] is made of.
#[doc(hidden)]
#[macro_export]
macro_rules! __entry {
    // Takes `stack` out, the one whose value is more than a word.
    (@options $main:path, [$stack:expr] [$($done:ident)*] stack : $bytes:expr $(, $($rest:tt)*)?) => {
        $crate::__entry!(@options $main, [$bytes] [$($done)*] $($($rest)*)?);
    };
    (@options $main:path, [$stack:expr] [$($done:ident)*] $option:ident : $value:ident $(, $($rest:tt)*)?) => {
        $crate::__entry!(@options $main, [$stack] [$($done)* $option $value] $($($rest)*)?);
    };
    (@options $main:path, [$stack:expr] [$($done:ident)*]) => {
        $crate::__entry!(@all $main, $stack, $($done)*);
    };
    (@options $main:path, [$stack:expr] [$($done:ident)*] $($wrong:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "entry! takes `name: value`, separated by commas, not `",
            ::core::stringify!($($wrong)*), "`"
        ));
    };

    (@all $main:path, $stack:expr, $($option:ident $value:ident)*) => {
        // A build script cannot see the panic strategy; this can. rustdoc takes no strategy and makes no
        // program. Nothing else is stamped then, so that this is the one error there is.
        #[cfg(all(panic = "unwind", not(doc)))]
        ::core::compile_error!(
            "a kernel cannot unwind: add `panic = \"abort\"` to [profile.dev] and [profile.release] \
             in the Cargo.toml at the workspace root, and `test = false, bench = false` to the \
             kernel's [[bin]]"
        );
        $crate::__entry!(@check $($option $value)*);
        #[cfg(any(panic = "abort", doc))]
        $crate::__entry!(@panic [$crate::platform::exit::crash] $($option)*);
        #[cfg(any(panic = "abort", doc))]
        $crate::__entry!(@shims $($option)*);
        #[cfg(any(panic = "abort", doc))]
        $crate::__entry!(@allocator $($option $value)*);
        #[cfg(any(panic = "abort", doc))]
        $crate::__entry!(@main $main, $stack, $($option $value)*);
    };

    (@check) => {};
    (@check panic none $($rest:tt)*) => { $crate::__entry!(@check $($rest)*); };
    (@check shims none $($rest:tt)*) => { $crate::__entry!(@check $($rest)*); };
    (@check allocator none $($rest:tt)*) => { $crate::__entry!(@check $($rest)*); };
    (@check allocator plain $($rest:tt)*) => { $crate::__entry!(@check $($rest)*); };
    (@check allocator checked $($rest:tt)*) => { $crate::__entry!(@check $($rest)*); };
    (@check allocator cached $($rest:tt)*) => { $crate::__entry!(@check $($rest)*); };
    (@check multiboot2 on $($rest:tt)*) => { $crate::__entry!(@check $($rest)*); };
    (@check audit exit $($rest:tt)*) => { $crate::__entry!(@check $($rest)*); };
    // Of `entry!(async …)`: the report of a panic names the task.
    (@check crash task $($rest:tt)*) => { $crate::__entry!(@check $($rest)*); };
    // For the harness: called before any other code of the kernel's, constructors too.
    (@check first $function:ident $($rest:tt)*) => { $crate::__entry!(@check $($rest)*); };
    (@check $option:ident $value:ident $($rest:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "entry! has no option `", ::core::stringify!($option), ": ", ::core::stringify!($value),
            "`; it knows `stack: BYTES`, `panic: none`, `shims: none`, `audit: exit`, `multiboot2: on`, and \
             `allocator: none`, `plain`, `checked` or `cached`"
        ));
    };

    (@panic [$crash:path] panic $($rest:ident)*) => {};
    (@panic [$crash:path] crash $($rest:ident)*) => { $crate::__entry!(@panic [$crate::task::crash] $($rest)*); };
    (@panic [$crash:path] $option:ident $($rest:ident)*) => { $crate::__entry!(@panic [$crash] $($rest)*); };
    (@panic [$crash:path]) => { $crate::rt::panic_handler!(exit = $crash); };

    (@shims shims $($rest:ident)*) => {};
    (@shims $option:ident $($rest:ident)*) => { $crate::__entry!(@shims $($rest)*); };
    (@shims) => { $crate::rt::shims!(); };

    (@allocator allocator none $($rest:tt)*) => {};
    (@allocator allocator checked $($rest:tt)*) => { $crate::__entry!(@heap $crate::heap::Checked); };
    (@allocator allocator cached $($rest:tt)*) => { $crate::__entry!(@heap $crate::heap::Cached); };
    // `plain`, or what `@check` complains about.
    (@allocator allocator $plain:ident $($rest:tt)*) => { $crate::__entry!(@heap $crate::heap::Heap); };
    (@allocator $option:ident $value:ident $($rest:tt)*) => { $crate::__entry!(@allocator $($rest)*); };
    (@allocator) => {
        #[cfg(debug_assertions)]
        $crate::__entry!(@heap $crate::heap::Checked);
        #[cfg(not(debug_assertions))]
        $crate::__entry!(@heap $crate::heap::Heap);
    };

    (@heap $heap:ty) => {
        #[global_allocator]
        static FREESTONE_HEAP: $heap = <$heap as $crate::heap::KernelHeap>::NEW;
    };

    // What comes before `main`, in `freestone_main`.
    (@memory allocator none $($rest:tt)*) => {};
    (@memory $option:ident $value:ident $($rest:tt)*) => { $crate::__entry!(@memory $($rest)*); };
    (@memory) => { $crate::give_free_memory(&FREESTONE_HEAP); };

    (@first first $function:ident $($rest:tt)*) => { $function(); };
    (@first $option:ident $value:ident $($rest:tt)*) => { $crate::__entry!(@first $($rest)*); };
    (@first) => {};

    (@audit audit exit $($rest:tt)*) => { $crate::memory::audit_at_exit(); };
    (@audit $option:ident $value:ident $($rest:tt)*) => { $crate::__entry!(@audit $($rest)*); };
    (@audit) => {};

    (@boot [$stack:expr] multiboot2 $($rest:tt)*) => {
        $crate::platform::boot!(freestone_main, stack = $stack, multiboot2 = on);
    };
    (@boot [$stack:expr] $option:ident $value:ident $($rest:tt)*) => { $crate::__entry!(@boot [$stack] $($rest)*); };
    (@boot [$stack:expr]) => { $crate::platform::boot!(freestone_main, stack = $stack); };

    (@main $main:path, $stack:expr, $($options:tt)*) => {
        #[doc(hidden)]
        fn freestone_main(boot: &'static $crate::BootInfo) -> $crate::Exit {
            $crate::__entry!(@first $($options)*);
            $crate::__entry!(@audit $($options)*);
            $crate::__entry!(@memory $($options)*);
            unsafe extern "C" {
                #[link_name = "freestone_constructors_start"]
                static START: $crate::Constructor;
                #[link_name = "freestone_constructors_end"]
                static END: $crate::Constructor;
            }
            // SAFETY: the linker script puts the list of constructors between these two; nothing else runs yet.
            unsafe { $crate::run_constructors(&raw const START, &raw const END) };
            let main: fn(&'static $crate::BootInfo) -> $crate::Exit = $main;
            main(boot)
        }

        $crate::__entry!(@boot [$stack] $($options)*);
    };
}
