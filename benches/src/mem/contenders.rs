//! The contenders: our bodies, and functions from shared libraries.

use std::ffi::{CString, c_char, c_void};
use std::path::Path;

use freestone_mem::{Strings, generic, x86_64};

pub type Copy = unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> *mut c_void;
pub type Fill = unsafe extern "C" fn(*mut c_void, i32, usize) -> *mut c_void;
pub type Compare = unsafe extern "C" fn(*const c_void, *const c_void, usize) -> i32;
pub type Length = unsafe extern "C" fn(*const c_char) -> usize;

/// One set of the six; what it lacks is not measured.
pub struct Contender {
    pub name: String,
    /// What our bodies are to know about the processor while this one runs.
    strings: Strings,
    pub memcpy: Option<Copy>,
    pub memmove: Option<Copy>,
    pub memset: Option<Fill>,
    pub memcmp: Option<Compare>,
    pub bcmp: Option<Compare>,
    pub strlen: Option<Length>,
}

impl Contender {
    /// To be called before anything of this contender is.
    pub fn prepare(&self) {
        freestone_mem::assume(self.strings);
    }
}

/// Our bodies that this processor can run; the first is what a kernel gets without asking.
pub fn ours() -> Vec<Contender> {
    freestone_mem::detect();
    let detected = freestone_mem::assumed();
    macro_rules! body {
        ($name:literal, $module:ident, $strings:expr) => {
            // SAFETY: `sysv64` is what `extern "C"` is on this target, and pointers are pointers; the
            // low eight bits of the `int` are all that `fill` looks at.
            unsafe {
                use std::mem::transmute;
                Contender {
                    name: $name.into(),
                    strings: $strings,
                    memcpy: Some(transmute::<*const (), Copy>(x86_64::$module::copy as *const ())),
                    memmove: Some(transmute::<*const (), Copy>(x86_64::$module::shift as *const ())),
                    memset: Some(transmute::<*const (), Fill>(x86_64::$module::fill as *const ())),
                    memcmp: Some(transmute::<*const (), Compare>(
                        x86_64::$module::compare as *const (),
                    )),
                    bcmp: Some(transmute::<*const (), Compare>(
                        x86_64::$module::differs as *const (),
                    )),
                    strlen: Some(transmute::<*const (), Length>(
                        x86_64::$module::length as *const (),
                    )),
                }
            }
        };
    }
    let mut ours = vec![
        body!("gpr", gpr, detected),
        body!("gpr, not detected", gpr, Strings::Unknown),
        body!("sse2", sse2, detected),
    ];
    if is_x86_feature_detected!("avx2") {
        ours.push(body!("avx2", avx2, detected));
    }
    if is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vl") {
        ours.push(body!("avx512", avx512, detected));
    }
    ours.push(body!("small", small, detected));
    ours.push(portable());
    ours
}

/// What other machines get, as the compiler makes it for this one.
fn portable() -> Contender {
    unsafe extern "C" fn memcpy(dst: *mut c_void, src: *const c_void, n: usize) -> *mut c_void {
        // SAFETY: the caller's contract, unchanged.
        unsafe { generic::copy(dst.cast(), src.cast(), n) }.cast()
    }
    unsafe extern "C" fn memmove(dst: *mut c_void, src: *const c_void, n: usize) -> *mut c_void {
        // SAFETY: the caller's contract, unchanged.
        unsafe { generic::shift(dst.cast(), src.cast(), n) }.cast()
    }
    unsafe extern "C" fn memset(dst: *mut c_void, byte: i32, n: usize) -> *mut c_void {
        // SAFETY: the caller's contract, unchanged.
        unsafe { generic::fill(dst.cast(), byte as u8, n) }.cast()
    }
    unsafe extern "C" fn memcmp(left: *const c_void, right: *const c_void, n: usize) -> i32 {
        // SAFETY: the caller's contract, unchanged.
        unsafe { generic::compare(left.cast(), right.cast(), n) }
    }
    unsafe extern "C" fn bcmp(left: *const c_void, right: *const c_void, n: usize) -> i32 {
        // SAFETY: the caller's contract, unchanged.
        unsafe { generic::differs(left.cast(), right.cast(), n) }
    }
    unsafe extern "C" fn strlen(string: *const c_char) -> usize {
        // SAFETY: the caller's contract, unchanged.
        unsafe { generic::length(string.cast()) }
    }
    Contender {
        name: "portable".into(),
        strings: Strings::Unknown,
        memcpy: Some(memcpy),
        memmove: Some(memmove),
        memset: Some(memset),
        memcmp: Some(memcmp),
        bcmp: Some(bcmp),
        strlen: Some(strlen),
    }
}

/// One string instruction and nothing else.
pub fn rep() -> Contender {
    #[unsafe(naked)]
    unsafe extern "C" fn memcpy(dst: *mut c_void, src: *const c_void, n: usize) -> *mut c_void {
        std::arch::naked_asm!("mov rax, rdi", "mov rcx, rdx", "rep movsb", "ret")
    }
    #[unsafe(naked)]
    unsafe extern "C" fn memset(dst: *mut c_void, byte: i32, n: usize) -> *mut c_void {
        std::arch::naked_asm!(
            "mov r8, rdi",
            "mov eax, esi",
            "mov rcx, rdx",
            "rep stosb",
            "mov rax, r8",
            "ret"
        )
    }
    Contender {
        name: "rep movsb/stosb".into(),
        strings: Strings::Unknown,
        memcpy: Some(memcpy),
        memmove: None,
        memset: Some(memset),
        memcmp: None,
        bcmp: None,
        strlen: None,
    }
}

/// The functions of a shared library, each called `prefix` and its C name.
///
/// By handle, never by linking: whatever this program's own `memcpy` is, the one measured as the C
/// library's is the one in that file.
pub fn load(name: &str, library: &Path, prefix: &str) -> Option<Contender> {
    let path = CString::new(library.as_os_str().as_encoded_bytes()).ok()?;
    // SAFETY: loading runs the library's constructors; these libraries have none, or are the C
    // library, loaded already.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if handle.is_null() {
        return None;
    }
    let symbol = |function: &str| {
        let symbol = CString::new(format!("{prefix}{function}")).ok()?;
        // SAFETY: the handle is open and never closed.
        let address = unsafe { libc::dlsym(handle, symbol.as_ptr()) };
        (!address.is_null()).then_some(address)
    };
    macro_rules! function {
        ($name:literal, $type:ty) => {
            symbol($name).map(|address| {
                // SAFETY: the symbol is the C function of that name.
                unsafe { std::mem::transmute::<*mut c_void, $type>(address) }
            })
        };
    }
    if let Some(table) = symbol("ROUTINES") {
        // SAFETY: `rivals/src/lib.rs` has the same six in the same order, `repr(C)`.
        let (memcpy, memmove, memset, memcmp, bcmp, strlen) = unsafe {
            let table = table.cast::<*const c_void>();
            macro_rules! entry {
                ($index:literal, $type:ty) => {
                    Some(std::mem::transmute::<*const c_void, $type>(*table.add($index)))
                };
            }
            (
                entry!(0, Copy),
                entry!(1, Copy),
                entry!(2, Fill),
                entry!(3, Compare),
                entry!(4, Compare),
                entry!(5, Length),
            )
        };
        return Some(Contender {
            strings: Strings::Unknown,
            name: name.into(),
            memcpy,
            memmove,
            memset,
            memcmp,
            bcmp,
            strlen,
        });
    }
    Some(Contender {
        name: name.into(),
        strings: Strings::Unknown,
        memcpy: function!("memcpy", Copy),
        memmove: function!("memmove", Copy),
        memset: function!("memset", Fill),
        memcmp: function!("memcmp", Compare),
        bcmp: function!("bcmp", Compare),
        strlen: function!("strlen", Length),
    })
}
