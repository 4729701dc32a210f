//! Where the other implementations are.

use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::OnceLock;

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

const RTLD_NOW: c_int = 2;

/// A function in `libgcc_s`.
pub fn gcc(name: &str) -> Option<*const c_void> {
    static LIBRARY: OnceLock<usize> = OnceLock::new();
    find(*LIBRARY.get_or_init(|| open("libgcc_s.so.1")), name)
}

/// A function in Berkeley SoftFloat.
pub fn softfloat(name: &str) -> Option<*const c_void> {
    static LIBRARY: OnceLock<usize> = OnceLock::new();
    find(*LIBRARY.get_or_init(|| std::env::var("SOFTFLOAT").map_or(0, |path| open(&path))), name)
}

fn open(name: &str) -> usize {
    let name = CString::new(name).expect("file names have no zeros");
    // SAFETY: the name ends in zero. The library's initialisers are a C runtime's.
    unsafe { dlopen(name.as_ptr(), RTLD_NOW) as usize }
}

fn find(library: usize, name: &str) -> Option<*const c_void> {
    if library == 0 {
        return None;
    }
    let name = CString::new(name).expect("symbols have no zeros");
    // SAFETY: the library is open and stays so; the name ends in zero.
    let found = unsafe { dlsym(library as *mut c_void, name.as_ptr()) };
    (!found.is_null()).then_some(found.cast_const())
}
