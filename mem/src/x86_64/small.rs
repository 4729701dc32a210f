//! As few bytes as possible: `--cfg freestone_mem="small"`. All six together are under 256.
//!
//! `rep` by bytes, whatever the processor makes of it, and loops where there is no `rep`: by words where
//! that is cheap to say. For boot loaders and images that are measured in sectors.

use core::arch::naked_asm;

/// `memcpy`.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn copy(dst: *mut u8, src: *const u8, n: usize) -> *mut u8 {
    naked_asm!(c_name!("memcpy"), "mov rax, rdi", "mov rcx, rdx", "rep movsb", "ret",)
}

/// `memmove`.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn shift(dst: *mut u8, src: *const u8, n: usize) -> *mut u8 {
    naked_asm!(
        c_name!("memmove"),
        "mov rax, rdi",
        "mov rcx, rdi",
        "sub rcx, rsi",
        "cmp rcx, rdx",
        "mov rcx, rdx",
        "jb 2f",
        "rep movsb",
        "ret",
        // `dst` is inside the source: from the end down.
        "2:",
        "sub rcx, 8",
        "jb 3f",
        "mov rdx, [rsi + rcx]",
        "mov [rdi + rcx], rdx",
        "jmp 2b",
        "3:",
        "add ecx, 8",
        "4:",
        "dec ecx",
        "js 5f",
        "mov dl, [rsi + rcx]",
        "mov [rdi + rcx], dl",
        "jmp 4b",
        "5:",
        "ret",
    )
}

/// `memset`.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn fill(dst: *mut u8, byte: u8, n: usize) -> *mut u8 {
    naked_asm!(
        c_name!("memset"),
        "push rdi",
        "mov eax, esi",
        "mov rcx, rdx",
        "rep stosb",
        "pop rax",
        "ret",
    )
}

/// `memcmp`.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn compare(left: *const u8, right: *const u8, n: usize) -> i32 {
    naked_asm!(
        c_name!("memcmp"),
        c_name!("bcmp"),
        // Words while they are equal, then bytes.
        "2:",
        "sub rdx, 8",
        "jb 3f",
        "mov rax, [rdi]",
        "cmp rax, [rsi]",
        "jne 3f",
        "add rdi, 8",
        "add rsi, 8",
        "jmp 2b",
        "3:",
        "add rdx, 8",
        "xor ecx, ecx",
        "4:",
        "xor eax, eax",
        "cmp rcx, rdx",
        "je 5f",
        "movzx eax, byte ptr [rdi + rcx]",
        "movzx r8d, byte ptr [rsi + rcx]",
        "inc rcx",
        "sub eax, r8d",
        "je 4b",
        "5:",
        "ret",
    )
}

/// `bcmp`.
pub use compare as differs;

/// `strlen`.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn length(string: *const u8) -> usize {
    naked_asm!(
        c_name!("strlen"),
        "or rax, -1",
        "2:",
        "inc rax",
        "cmp byte ptr [rdi + rax], 0",
        "jne 2b",
        "ret",
    )
}
