//! `compiler_builtins` as published, under names that a C library does not have.

#![no_std]

extern crate compiler_builtins;

use compiler_builtins::mem;
use core::ffi::c_char;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// `core` names it, and nobody here unwinds.
#[unsafe(no_mangle)]
pub extern "C" fn rust_eh_personality() {}

type Copy = unsafe extern "C" fn(*mut u8, *const u8, usize) -> *mut u8;
type Fill = unsafe extern "C" fn(*mut u8, i32, usize) -> *mut u8;
type Compare = unsafe extern "C" fn(*const u8, *const u8, usize) -> i32;
type Length = unsafe extern "C" fn(*const c_char) -> usize;

/// Addresses, so that the measured call is the function and not a shim before it.
#[repr(C)]
pub struct Routines(Copy, Copy, Fill, Compare, Compare, Length);

#[unsafe(no_mangle)]
pub static ROUTINES: Routines =
    Routines(mem::memcpy, mem::memmove, mem::memset, mem::memcmp, mem::bcmp, mem::strlen);
