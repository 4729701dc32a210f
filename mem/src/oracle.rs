//! The oracle of the tests: naive versions, guarded memory, and the list of bodies.

use core::ffi::{c_int, c_void};
use std::ptr;
use std::sync::LazyLock;

use crate::generic;
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
use crate::x86_64::{self, avx2, avx512, gpr, small, sse2};

/// Obviously right, and slow.
pub mod naive {
    pub fn shift(memory: &mut [u8], to: usize, from: usize, n: usize) {
        let taken = memory[from..from + n].to_vec();
        for (i, byte) in taken.into_iter().enumerate() {
            memory[to + i] = byte;
        }
    }

    pub fn fill(memory: &mut [u8], to: usize, byte: u8, n: usize) {
        for at in &mut memory[to..to + n] {
            *at = byte;
        }
    }

    pub fn compare(left: &[u8], right: &[u8]) -> i32 {
        for (l, r) in left.iter().zip(right) {
            if l < r {
                return -1;
            }
            if l > r {
                return 1;
            }
        }
        0
    }
}

/// One implementation of the six.
pub struct Body {
    pub name: &'static str,
    pub copy: unsafe fn(*mut u8, *const u8, usize) -> *mut u8,
    pub shift: unsafe fn(*mut u8, *const u8, usize) -> *mut u8,
    pub fill: unsafe fn(*mut u8, u8, usize) -> *mut u8,
    pub compare: unsafe fn(*const u8, *const u8, usize) -> c_int,
    pub differs: unsafe fn(*const u8, *const u8, usize) -> c_int,
    pub length: unsafe fn(*const u8) -> usize,
}

/// `Body { name: "generic", copy: |..| generic::copy(..), .. }`; the closures hide calling
/// conventions. With a level, it is set before each call. Tests run side by side and set different
/// ones, so now and then a call sees a neighbour's: every level is right at any time, and
/// each gets all but a few of the cases.
macro_rules! body {
    ($module:ident) => {
        body!(stringify!($module), $module, ())
    };
    ($module:ident, $level:ident) => {
        body!(
            concat!(stringify!($module), ", ", stringify!($level)),
            $module,
            x86_64::assume(x86_64::Strings::$level)
        )
    };
    ($name:expr, $module:ident, $before:expr) => {
        // SAFETY: each field is an `unsafe fn` with the contract of the function it calls.
        unsafe {
            Body {
                name: $name,
                copy: |dst, src, n| {
                    $before;
                    $module::copy(dst, src, n)
                },
                shift: |dst, src, n| {
                    $before;
                    $module::shift(dst, src, n)
                },
                fill: |dst, byte, n| {
                    $before;
                    $module::fill(dst, byte, n)
                },
                compare: |left, right, n| $module::compare(left, right, n),
                differs: |left, right, n| $module::differs(left, right, n),
                length: |string| $module::length(string),
            }
        }
    };
}

/// Every implementation there is here and that this processor can run; a new one adds a line.
pub static BODIES: LazyLock<Vec<Body>> = LazyLock::new(|| {
    let mut bodies = vec![body!(generic), body!(exported)];
    #[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
    {
        bodies.extend([body!(gpr, Unknown), body!(gpr, Long), body!(gpr, Short)]);
        bodies.extend([body!(small), body!(sse2, Unknown), body!(sse2, Long)]);
        if is_x86_feature_detected!("avx2") {
            bodies.extend([body!(avx2, Unknown), body!(avx2, Long)]);
        }
        if is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("bmi2")
        {
            bodies.extend([body!(avx512, Unknown), body!(avx512, Long)]);
        }
    }
    bodies
});

/// The C functions themselves, with the bodies' signatures.
mod exported {
    use super::*;

    pub unsafe fn copy(dst: *mut u8, src: *const u8, n: usize) -> *mut u8 {
        // SAFETY: the caller's contract, unchanged.
        unsafe { crate::memcpy(dst.cast(), src.cast(), n).cast() }
    }

    pub unsafe fn shift(dst: *mut u8, src: *const u8, n: usize) -> *mut u8 {
        // SAFETY: the caller's contract, unchanged.
        unsafe { crate::memmove(dst.cast(), src.cast(), n).cast() }
    }

    pub unsafe fn fill(dst: *mut u8, byte: u8, n: usize) -> *mut u8 {
        // C passes an `int` of which only eight bits count.
        let byte = c_int::from(byte) | 0x5a00;
        // SAFETY: the caller's contract, unchanged.
        unsafe { crate::memset(dst.cast(), byte, n).cast() }
    }

    pub unsafe fn compare(left: *const u8, right: *const u8, n: usize) -> c_int {
        // SAFETY: the caller's contract, unchanged.
        unsafe { crate::memcmp(left.cast(), right.cast(), n) }
    }

    pub unsafe fn differs(left: *const u8, right: *const u8, n: usize) -> c_int {
        // SAFETY: the caller's contract, unchanged.
        unsafe { crate::bcmp(left.cast(), right.cast(), n) }
    }

    pub unsafe fn length(string: *const u8) -> usize {
        // SAFETY: the caller's contract, unchanged.
        unsafe { crate::strlen(string.cast()) }
    }
}

/// Some pages between two that cannot be touched.
pub struct Guarded {
    mapping: *mut c_void,
    page: usize,
    len: usize,
}

impl Guarded {
    /// At least `bytes`, filled with [`pattern`]; panics if the system has no memory.
    pub fn new(bytes: usize) -> Self {
        // SAFETY: asks a number, touches nothing.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let len = bytes.next_multiple_of(page);
        // SAFETY: a fresh private mapping where the system likes; nothing that exists is affected.
        let mapping = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len + 2 * page,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(mapping, libc::MAP_FAILED);
        // SAFETY: the pages between the first and the last of the mapping just made.
        let opened = unsafe {
            libc::mprotect(mapping.byte_add(page), len, libc::PROT_READ | libc::PROT_WRITE)
        };
        assert_eq!(opened, 0);
        let mut guarded = Self { mapping, page, len };
        guarded.bytes().copy_from_slice(&pattern(len));
        guarded
    }

    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: `new` made these pages readable and writable, zeroed pages are valid bytes, and
        // `&mut self` means nobody else holds a slice of them.
        unsafe { std::slice::from_raw_parts_mut(self.mapping.byte_add(self.page).cast(), self.len) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the whole mapping made by `new`; slices of it have ended with their borrow.
        unsafe { libc::munmap(self.mapping, self.len + 2 * self.page) };
    }
}

/// The same few bytes over and over, as long as it takes, then a page of zeros.
#[cfg(target_os = "linux")]
pub struct Repeated {
    mapping: *mut c_void,
    len: usize,
}

#[cfg(target_os = "linux")]
impl Repeated {
    pub const PERIOD: usize = 2 << 20;

    /// At least `bytes` of address space on [`Self::PERIOD`] bytes of memory.
    pub fn new(bytes: usize) -> Self {
        let len = bytes.next_multiple_of(Self::PERIOD);
        // SAFETY: a file in memory, and a fresh mapping where the system likes; the file is then put over
        // all of that mapping but its last page, which stays zero.
        unsafe {
            let file = libc::memfd_create(c"freestone".as_ptr(), 0);
            assert!(file >= 0 && libc::ftruncate(file, Self::PERIOD as libc::off_t) == 0);
            let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_NORESERVE);
            let anonymous = flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let mapping = libc::mmap(ptr::null_mut(), len + 4096, protection, anonymous, -1, 0);
            assert_ne!(mapping, libc::MAP_FAILED);
            for at in (0..len).step_by(Self::PERIOD) {
                let (at, shared) = (mapping.byte_add(at), libc::MAP_SHARED | libc::MAP_FIXED);
                assert_eq!(libc::mmap(at, Self::PERIOD, protection, shared, file, 0), at);
            }
            libc::close(file);
            Self { mapping, len }
        }
    }

    pub fn start(&self) -> *mut u8 {
        self.mapping.cast()
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// The memory itself.
    pub fn window(&mut self) -> &mut [u8] {
        // SAFETY: the first period of the mapping; `&mut self` means nobody else holds it.
        unsafe { std::slice::from_raw_parts_mut(self.start(), Self::PERIOD) }
    }
}

#[cfg(target_os = "linux")]
impl Drop for Repeated {
    fn drop(&mut self) {
        // SAFETY: the whole mapping made by `new`; slices of it have ended with their borrow.
        unsafe { libc::munmap(self.mapping, self.len + 4096) };
    }
}

/// Bytes without a short period and without zeros, half of them 0x80 and above.
pub fn pattern(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8 | 1
    };
    (0..len).map(next).collect()
}
