//! Brings the crates whose C names make up the archive, and a heap under them.

#![no_std]

use core::ptr::NonNull;

use freestone_alloc::Heap;
use freestone_math as _;
use freestone_mem as _;

static HEAP: Heap = Heap::new();

freestone_alloc::c_allocator!(HEAP);

/// Gives memory to `malloc`; says how many bytes of it serve, 0 if it is too small.
///
/// # Safety
///
/// - The bytes are readable, writable and nobody else's, from now on and for ever.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn freestone_heap_add(start: *mut u8, bytes: usize) -> usize {
    match NonNull::new(start) {
        // SAFETY: the caller promised it.
        Some(start) => unsafe { HEAP.add_region(start, bytes) },
        None => 0,
    }
}

/// Only a broken heap gets here. An illegal instruction is what every kernel reports; a loop would hang.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: it raises #UD and does not return.
    unsafe {
        core::arch::asm!("ud2", options(noreturn))
    }
    #[cfg(not(target_arch = "x86_64"))]
    loop {
        core::hint::spin_loop();
    }
}
