//! General-purpose registers for short ranges, string instructions for long ones.
//!
//! Common to all six: no stack (so no red zone either), no register that the caller wants back, no
//! vector register, and the direction flag stays clear. `std` would make a backward copy one
//! instruction long, but `rep movs` is slow in that direction, and an interrupt handler that forgets
//! `cld` would run with the flag set.
//!
//! Short ranges are split into classes by size. Within a class a fixed set of loads covers the
//! range from both ends, overlapping in the middle: for 17 to 32 bytes two words from the front and
//! two that end with the last byte. All loads come before all stores, so the short classes of
//! [`copy`] are right for overlapping ranges, and [`shift`] uses them too.
//!
//! Long ranges go to `rep movsq` and `rep stosq` with one overlapping word for the rest. Processors
//! with fast string instructions run the byte forms as fast, but the older ones do not, and an
//! emulator steps through every repetition: eight times fewer are eight times faster there.
//!
//! The functions use the System V convention by name: on the few x86_64 targets whose `extern "C"`
//! is another, the compiler translates. The numbers after `2` are labels; `0` and `1` would be read
//! as binary digits.

use core::arch::naked_asm;

/// Bytes from which on `rep` is used.
///
/// On Zen 5, in one process: at 512 bytes the loop takes 0.8 of the time of `rep movsq` between
/// aligned buffers and 1.05 between misaligned ones, at 640 it is 0.9 and 1.2, at 1024 1.2 and 1.6.
const REP: usize = 640;

/// Every byte 0x01.
const EACH_BYTE: u64 = u64::MAX / 0xff;

/// `memcpy`, and `memmove` where `dst` is below `src` by 64 bytes or more.
///
/// Up to 32 bytes, any overlap is allowed.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn copy(dst: *mut u8, src: *const u8, n: usize) -> *mut u8 {
    naked_asm!(
        "mov rax, rdi",
        "cmp rdx, 16",
        "jb 5f",
        "cmp rdx, 32",
        "jbe 4f",
        "cmp rdx, {rep}",
        "jae 3f",
        // 33 to `REP` bytes: 32 at a time while more than 32 are left.
        "2:",
        "mov rcx, [rsi]",
        "mov r8, [rsi + 8]",
        "mov r9, [rsi + 16]",
        "mov r10, [rsi + 24]",
        "mov [rdi], rcx",
        "mov [rdi + 8], r8",
        "mov [rdi + 16], r9",
        "mov [rdi + 24], r10",
        "add rsi, 32",
        "add rdi, 32",
        "sub rdx, 32",
        "cmp rdx, 32",
        "ja 2b",
        // The last 32, some of them for the second time.
        "mov rcx, [rsi + rdx - 32]",
        "mov r8, [rsi + rdx - 24]",
        "mov r9, [rsi + rdx - 16]",
        "mov r10, [rsi + rdx - 8]",
        "mov [rdi + rdx - 32], rcx",
        "mov [rdi + rdx - 24], r8",
        "mov [rdi + rdx - 16], r9",
        "mov [rdi + rdx - 8], r10",
        "ret",
        // `REP` bytes or more: both end words by hand, `rep` from the first boundary of `dst`, which
        // it prefers. The last word is read first, in case the ranges overlap.
        "3:",
        "mov r8, [rsi]",
        "mov r9, [rsi + rdx - 8]",
        "lea r10, [rdi + rdx - 8]",
        "mov [rdi], r8",
        "mov ecx, edi",
        "neg ecx",
        "and ecx, 7",
        "add rdi, rcx",
        "add rsi, rcx",
        "sub rdx, rcx",
        "mov rcx, rdx",
        "shr rcx, 3",
        "rep movsq",
        "mov [r10], r9",
        "ret",
        // 16 to 32 bytes.
        "4:",
        "mov rcx, [rsi]",
        "mov r8, [rsi + 8]",
        "mov r9, [rsi + rdx - 16]",
        "mov r10, [rsi + rdx - 8]",
        "mov [rdi], rcx",
        "mov [rdi + 8], r8",
        "mov [rdi + rdx - 16], r9",
        "mov [rdi + rdx - 8], r10",
        "ret",
        // 8 to 15 bytes.
        "5:",
        "cmp edx, 8",
        "jb 6f",
        "mov rcx, [rsi]",
        "mov r8, [rsi + rdx - 8]",
        "mov [rdi], rcx",
        "mov [rdi + rdx - 8], r8",
        "ret",
        // 4 to 7 bytes.
        "6:",
        "cmp edx, 4",
        "jb 7f",
        "mov ecx, [rsi]",
        "mov r8d, [rsi + rdx - 4]",
        "mov [rdi], ecx",
        "mov [rdi + rdx - 4], r8d",
        "ret",
        // 1 to 3 bytes: first, middle and last, which may be the same byte.
        "7:",
        "test edx, edx",
        "je 8f",
        "movzx ecx, byte ptr [rsi]",
        "movzx r8d, byte ptr [rsi + rdx - 1]",
        "lea r10, [rdi + rdx - 1]",
        "shr edx, 1",
        "movzx r9d, byte ptr [rsi + rdx]",
        "mov [rdi], cl",
        "mov [rdi + rdx], r9b",
        "mov [r10], r8b",
        "8:",
        "ret",
        rep = const REP,
    )
}

/// `memmove`.
///
/// Goes to [`copy`] unless the ranges overlap closely; then 16 bytes at a time, away from the side
/// that is about to be overwritten. The 16 bytes at the far end are read first and written last.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn shift(dst: *mut u8, src: *const u8, n: usize) -> *mut u8 {
    naked_asm!(
        "cmp rdx, 32",
        "jbe {copy}",
        "mov rax, rdi",
        "mov rcx, rdi",
        "sub rcx, rsi",
        // `dst` is above `src` by less than `n`: from the end down.
        "cmp rcx, rdx",
        "jb 3f",
        // Below by 64 or more, or past the end. Closer than 64, `rep movs` is slow; closer than 32,
        // `copy` would read its last 32 bytes after writing some of them.
        "cmp rcx, -64",
        "jbe {copy}",
        // From the start up.
        "mov r8, [rsi + rdx - 16]",
        "mov r9, [rsi + rdx - 8]",
        "lea r10, [rdi + rdx - 16]",
        "2:",
        "mov rcx, [rsi]",
        "mov rdx, [rsi + 8]",
        "mov [rdi], rcx",
        "mov [rdi + 8], rdx",
        "add rsi, 16",
        "add rdi, 16",
        "cmp rdi, r10",
        "jb 2b",
        "mov [r10], r8",
        "mov [r10 + 8], r9",
        "ret",
        "3:",
        "mov r8, [rsi]",
        "mov r9, [rsi + 8]",
        "4:",
        "mov rcx, [rsi + rdx - 16]",
        "mov r10, [rsi + rdx - 8]",
        "mov [rdi + rdx - 16], rcx",
        "mov [rdi + rdx - 8], r10",
        "sub rdx, 16",
        "cmp rdx, 16",
        "ja 4b",
        "mov [rdi], r8",
        "mov [rdi + 8], r9",
        "ret",
        copy = sym copy,
    )
}

/// `memset`.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn fill(dst: *mut u8, byte: u8, n: usize) -> *mut u8 {
    naked_asm!(
        "movzx ecx, sil",
        "mov r8, {each_byte}",
        "imul rcx, r8",
        "mov rax, rdi",
        "cmp rdx, 16",
        "jb 5f",
        "cmp rdx, 32",
        "jbe 4f",
        "cmp rdx, {rep}",
        "jae 3f",
        // 33 to `REP` bytes: 32 at a time while more than 32 are left.
        "2:",
        "mov [rdi], rcx",
        "mov [rdi + 8], rcx",
        "mov [rdi + 16], rcx",
        "mov [rdi + 24], rcx",
        "add rdi, 32",
        "sub rdx, 32",
        "cmp rdx, 32",
        "ja 2b",
        // The last 32, some of them for the second time.
        "mov [rdi + rdx - 32], rcx",
        "mov [rdi + rdx - 24], rcx",
        "mov [rdi + rdx - 16], rcx",
        "mov [rdi + rdx - 8], rcx",
        "ret",
        // `REP` bytes or more, as in `copy`; `stosq` wants the pattern in rax.
        "3:",
        "mov r8, rdi",
        "mov rax, rcx",
        "mov [rdi], rax",
        "mov [rdi + rdx - 8], rax",
        "mov ecx, edi",
        "neg ecx",
        "and ecx, 7",
        "add rdi, rcx",
        "sub rdx, rcx",
        "mov rcx, rdx",
        "shr rcx, 3",
        "rep stosq",
        "mov rax, r8",
        "ret",
        // 16 to 32 bytes.
        "4:",
        "mov [rdi], rcx",
        "mov [rdi + 8], rcx",
        "mov [rdi + rdx - 16], rcx",
        "mov [rdi + rdx - 8], rcx",
        "ret",
        // 8 to 15 bytes.
        "5:",
        "cmp edx, 8",
        "jb 6f",
        "mov [rdi], rcx",
        "mov [rdi + rdx - 8], rcx",
        "ret",
        // 4 to 7 bytes.
        "6:",
        "cmp edx, 4",
        "jb 7f",
        "mov [rdi], ecx",
        "mov [rdi + rdx - 4], ecx",
        "ret",
        // 1 to 3 bytes: first, last and middle.
        "7:",
        "test edx, edx",
        "je 8f",
        "mov [rdi], cl",
        "mov [rdi + rdx - 1], cl",
        "shr edx, 1",
        "mov [rdi + rdx], cl",
        "8:",
        "ret",
        each_byte = const EACH_BYTE,
        rep = const REP,
    )
}

/// `memcmp`.
///
/// However they were read, the bytes end up in rcx and r8 with the first one highest, so that
/// comparing two numbers gives the order.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn compare(left: *const u8, right: *const u8, n: usize) -> i32 {
    naked_asm!(
        "cmp rdx, 8",
        "jb 5f",
        // Words while more than one is left, two to a turn; then the last one, some of whose bytes
        // are already known to be equal.
        "sub rdx, 8",
        "xor eax, eax",
        "2:",
        "cmp rax, rdx",
        "jae 3f",
        "mov rcx, [rdi + rax]",
        "mov r8, [rsi + rax]",
        "cmp rcx, r8",
        "jne 4f",
        "add rax, 8",
        "cmp rax, rdx",
        "jae 3f",
        "mov rcx, [rdi + rax]",
        "mov r8, [rsi + rax]",
        "add rax, 8",
        "cmp rcx, r8",
        "je 2b",
        "jmp 4f",
        "3:",
        "mov rcx, [rdi + rdx]",
        "mov r8, [rsi + rdx]",
        "4:",
        "bswap rcx",
        "bswap r8",
        "jmp 7f",
        // 4 to 7 bytes: the first four above the last four.
        "5:",
        "cmp edx, 4",
        "jb 6f",
        "mov ecx, [rdi]",
        "mov r8d, [rsi]",
        "mov r9d, [rdi + rdx - 4]",
        "mov r10d, [rsi + rdx - 4]",
        "bswap ecx",
        "bswap r8d",
        "bswap r9d",
        "bswap r10d",
        "shl rcx, 32",
        "shl r8, 32",
        "or rcx, r9",
        "or r8, r10",
        "jmp 7f",
        // 1 to 3 bytes: first, middle and last, which may be the same byte.
        "6:",
        "xor eax, eax",
        "test edx, edx",
        "je 8f",
        "movzx ecx, byte ptr [rdi]",
        "movzx r8d, byte ptr [rsi]",
        "movzx r9d, byte ptr [rdi + rdx - 1]",
        "movzx r10d, byte ptr [rsi + rdx - 1]",
        "shr edx, 1",
        "movzx edi, byte ptr [rdi + rdx]",
        "movzx esi, byte ptr [rsi + rdx]",
        "shl ecx, 16",
        "shl r8d, 16",
        "shl edi, 8",
        "shl esi, 8",
        "or ecx, r9d",
        "or r8d, r10d",
        "or ecx, edi",
        "or r8d, esi",
        // (left > right) - (left < right); `seta` leaves the carry that `sbb` takes.
        "7:",
        "xor eax, eax",
        "cmp rcx, r8",
        "seta al",
        "sbb eax, 0",
        "8:",
        "ret",
    )
}

/// `bcmp`.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn differs(left: *const u8, right: *const u8, n: usize) -> i32 {
    naked_asm!(
        "xor eax, eax",
        "cmp rdx, 16",
        "jb 4f",
        // 16 at a time while more than 16 are left, then the last 16.
        "sub rdx, 16",
        "xor r8d, r8d",
        "2:",
        "cmp r8, rdx",
        "jae 3f",
        "mov rcx, [rdi + r8]",
        "mov r9, [rdi + r8 + 8]",
        "xor rcx, [rsi + r8]",
        "xor r9, [rsi + r8 + 8]",
        "add r8, 16",
        "or rcx, r9",
        "je 2b",
        "mov eax, 1",
        "ret",
        "3:",
        "mov rcx, [rdi + rdx]",
        "mov r9, [rdi + rdx + 8]",
        "xor rcx, [rsi + rdx]",
        "xor r9, [rsi + rdx + 8]",
        "jmp 7f",
        // 8 to 15 bytes.
        "4:",
        "cmp edx, 8",
        "jb 5f",
        "mov rcx, [rdi]",
        "mov r9, [rdi + rdx - 8]",
        "xor rcx, [rsi]",
        "xor r9, [rsi + rdx - 8]",
        "jmp 7f",
        // 4 to 7 bytes.
        "5:",
        "cmp edx, 4",
        "jb 6f",
        "mov ecx, [rdi]",
        "mov r9d, [rdi + rdx - 4]",
        "xor ecx, [rsi]",
        "xor r9d, [rsi + rdx - 4]",
        "jmp 7f",
        // 1 to 3 bytes: first, last and middle.
        "6:",
        "test edx, edx",
        "je 8f",
        "movzx ecx, byte ptr [rdi]",
        "movzx r9d, byte ptr [rdi + rdx - 1]",
        "xor cl, [rsi]",
        "xor r9b, [rsi + rdx - 1]",
        "shr edx, 1",
        "movzx edi, byte ptr [rdi + rdx]",
        "xor dil, [rsi + rdx]",
        "or ecx, edi",
        "7:",
        "or rcx, r9",
        "setne al",
        "8:",
        "ret",
    )
}

/// `strlen`.
///
/// Whole aligned words, from the one the string starts in: they reach over the string's ends but
/// never into another page. Bytes before the string are made non-zero. A word `w` has a zero byte
/// exactly if `(w - 0x01…01) & !w & 0x80…80` has a bit, and its lowest bit is in the first one: a
/// borrow can only raise false ones above.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn length(string: *const u8) -> usize {
    naked_asm!(
        "mov r8, {each_byte}",
        "mov r9, {each_top_bit}",
        "mov rax, rdi",
        "and rax, -8",
        "mov rdx, [rax]",
        // The shift counts modulo 64: eight times the offset into the word.
        "lea ecx, [rdi * 8]",
        "mov rsi, -1",
        "shl rsi, cl",
        "not rsi",
        "or rdx, rsi",
        "2:",
        "mov rcx, rdx",
        "sub rcx, r8",
        "not rdx",
        "and rcx, rdx",
        "and rcx, r9",
        "jne 3f",
        "add rax, 8",
        "mov rdx, [rax]",
        "jmp 2b",
        "3:",
        "bsf rcx, rcx",
        "shr ecx, 3",
        "add rax, rcx",
        "sub rax, rdi",
        "ret",
        each_byte = const EACH_BYTE,
        each_top_bit = const EACH_BYTE << 7,
    )
}
