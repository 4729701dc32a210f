//! Symbols that prebuilt `core`, `alloc` or a C object may refer to, although a kernel never uses them.
//!
//! `core` and `alloc` come compiled for unwinding. A kernel that aborts on panic never unwinds, but
//! their objects still refer to the personality routine and to `_Unwind_Resume`. Stable accepts
//! plain functions under these names; no code calls them. C objects compiled with
//! `-fstack-protector` want the `__stack_chk_*` pair.

/// Defines the shims in a kernel's crate:
///
/// - `rust_eh_personality` (Itanium C++ ABI, exception handling 2.5.2): never called;
/// - `_Unwind_Resume` (the same, 1.5.2): panics, since only a landing pad can call it;
/// - `__stack_chk_fail` and `__stack_chk_guard` (Linux Standard Base, core specification): a
///   broken canary is a panic.
#[macro_export]
macro_rules! shims {
    () => {
        const _: () = {
            #[unsafe(no_mangle)]
            extern "C" fn rust_eh_personality() {}

            #[unsafe(no_mangle)]
            extern "C" fn _Unwind_Resume() -> ! {
                $crate::shims::unwound()
            }

            #[unsafe(no_mangle)]
            extern "C" fn __stack_chk_fail() -> ! {
                $crate::shims::smashed()
            }

            #[unsafe(no_mangle)]
            static __stack_chk_guard: usize = $crate::shims::CANARY;
        };
    };
}

/// The names that [`shims!`](crate::shims!) defines, sorted.
pub const EXPORTS: [&str; 4] =
    ["_Unwind_Resume", "__stack_chk_fail", "__stack_chk_guard", "rust_eh_personality"];

/// The canary's value: a zero byte and a newline stop string functions, the rest is arbitrary.
pub const CANARY: usize = 0x0a00_f7ee_5704_e3b1_u64 as usize;

#[doc(hidden)]
#[cold]
pub fn unwound() -> ! {
    panic!("_Unwind_Resume was called: an object built with unwinding tried to unwind a kernel")
}

#[doc(hidden)]
#[cold]
pub fn smashed() -> ! {
    panic!("stack smashing detected: a function wrote past its stack buffer")
}
