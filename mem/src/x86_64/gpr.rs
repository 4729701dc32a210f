//! General-purpose registers for short ranges, string instructions for long ones.
//!
//! Common to all six: no red zone, no register that the caller wants back, no vector register, and the
//! direction flag stays clear. `std` would make a backward copy one instruction long, but `rep movs`
//! is slow in that direction, and an interrupt handler that forgets `cld` would run with the flag set.
//!
//! # Short ranges: few classes, no branch within
//!
//! What a short call costs is decided by the branches a processor cannot predict. So there are three
//! classes up to 64 bytes, not seven, and within a class the same instructions run for every size:
//! four pieces, two from the front and two that end with the last byte, whose distance depends on
//! the size by arithmetic. With pieces of 4 bytes that serves 4 to 16, with pieces of 16 bytes 17 to 64.
//!
//! ```text
//!  n = 8      |aaaa|bbbb|            a = 4·(n / 8) apart: for n < 8 both pairs coincide
//!             |cccc|dddd|
//!  n = 13     |aaaa|bbbb|....
//!                  ..|cccc|dddd|
//! ```
//!
//! No body wins everywhere. Tried for `memcpy` on Zen 4, as multiples of `compiler_builtins`' speed:
//!
//! | up to 64 bytes | sizes unpredictable | one size, 8 to 64 |
//! |---|---|---|
//! | seven classes, as most libraries have | 1.5 | 3.3 to 4.0 |
//! | **three classes, four pieces** | 2.3 | 4.1 to 4.9 |
//! | a piece for each bit of the size, unwanted ones to a dummy, then 16 to 64 | 2.4 | 3.3 to 4.2 |
//! | words to 7 by the bits, then 8 to 15, then 16 to 64 | 2.0 | 4.0 to 4.4 |
//! | `rep movsb` to 15, then 16 to 64 | 2.4 | 2.9 to 4.0 |
//! | `rep movsb` | 3.1 | 2.9 |
//!
//! The string instruction never mispredicts but costs 14 cycles, half as much again as a predicted
//! class. `rep stosb` costs 9, hardly more than a call, so short `memset`s use it where the processor is known
//! to be so: 3.6 and 3.3, against 2.2 and 4.0 for the classes, which are kept for all others.
//!
//! # Long ranges
//!
//! A loop of 32 bytes a turn, bound by one store a cycle; unrolling it further gained nothing. From [`REP`]
//! bytes on `rep movs` and `rep stos`, by words with one overlapping word at the end; by bytes where
//! [`STRINGS`] says so: older processors are slow at that, and an emulator steps through every repetition,
//! eight times fewer of which are eight times faster. Up to [`SHORT_WORDS`] words a `rep movsq` takes 15 cycles
//! on some, twice as fast as the loop at 256 bytes, and is used from 129 bytes on. Two of them, to 504 bytes,
//! gained 3 %.
//!
//! The functions use the System V convention by name: on the few x86_64 targets whose `extern "C"`
//! is another, the compiler translates. The numbers after `2` are labels; `0` and `1` would be read
//! as binary digits.

use core::arch::naked_asm;

use super::choose::{SHORT, STRINGS};

/// Bytes from which on `rep` is used whatever the processor.
///
/// On Zen 4, in one process: at 512 bytes the loop takes 0.97 of the time of `rep movsb` between
/// aligned buffers and 0.92 between misaligned ones, at 1024 1.5 and 1.4. On Zen 5 the same within 0.1.
const REP: usize = 512;

/// The longest range that a short `rep stosb` is taken for: from 128 on it takes four times as long.
const SHORT_FILL: usize = 127;

/// Words of a short `rep movsq`: from 32 on it takes twice as long.
const SHORT_WORDS: usize = 31;

/// `(dst - src - 1) & ALIASED == 0` means that loads look as if they needed the bytes just stored, 1 to
/// 32 bytes before: processors compare the low twelve bits of an address first. `rep movsb` is then
/// twenty times slower on Zen 4, a loop hardly.
const ALIASED: u32 = 0xfff - 31;

/// How far `strlen` goes word by word: most strings end before. A multiple of four words.
const EXACT: usize = 128;

/// Every byte 0x01.
const EACH_BYTE: u64 = u64::MAX / 0xff;

/// `memcpy`, and `memmove` where `dst` is below `src` by 64 bytes or more.
///
/// Up to 16 bytes, any overlap is allowed.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn copy(dst: *mut u8, src: *const u8, n: usize) -> *mut u8 {
    naked_asm!(
        c_name!("memcpy"),
        "mov rax, rdi",
        "cmp rdx, 16",
        "ja 4f",
        "cmp edx, 4",
        "jb 2f",
        // 4 to 16 bytes.
        "mov ecx, edx",
        "shr ecx, 3",
        "shl ecx, 2",
        "mov r8d, [rsi]",
        "mov r9d, [rsi + rcx]",
        "mov r10d, [rsi + rdx - 4]",
        "sub rsi, rcx",
        "mov r11d, [rsi + rdx - 4]",
        "mov [rdi], r8d",
        "mov [rdi + rcx], r9d",
        "mov [rdi + rdx - 4], r10d",
        "sub rdi, rcx",
        "mov [rdi + rdx - 4], r11d",
        "ret",
        // 1 to 3 bytes: first, middle and last, which may be the same byte.
        "2:",
        "test edx, edx",
        "je 3f",
        "movzx ecx, byte ptr [rsi]",
        "movzx r8d, byte ptr [rsi + rdx - 1]",
        "lea r10, [rdi + rdx - 1]",
        "shr edx, 1",
        "movzx r9d, byte ptr [rsi + rdx]",
        "mov [rdi], cl",
        "mov [rdi + rdx], r9b",
        "mov [r10], r8b",
        "3:",
        "ret",
        "4:",
        "cmp rdx, 64",
        "ja 5f",
        // 17 to 64 bytes: sixteen bytes at either end, then their neighbours (themselves up to 32).
        "mov rcx, [rsi]",
        "mov r8, [rsi + 8]",
        "mov r9, [rsi + rdx - 16]",
        "mov r10, [rsi + rdx - 8]",
        "mov [rdi], rcx",
        "mov [rdi + 8], r8",
        "mov [rdi + rdx - 16], r9",
        "mov [rdi + rdx - 8], r10",
        "lea ecx, [rdx - 1]",
        "shr ecx, 5",
        "shl ecx, 4",
        "mov r8, [rsi + rcx]",
        "mov r9, [rsi + rcx + 8]",
        "sub rdx, rcx",
        "mov r10, [rsi + rdx - 16]",
        "mov r11, [rsi + rdx - 8]",
        "mov [rdi + rcx], r8",
        "mov [rdi + rcx + 8], r9",
        "mov [rdi + rdx - 16], r10",
        "mov [rdi + rdx - 8], r11",
        "ret",
        "5:",
        "lea r10, [rdi + rdx - 32]",
        "cmp rdx, 128",
        "ja 7f",
        // 65 bytes or more: 32 at a time, the last time ending with the last byte.
        "6:",
        "sub rsi, rdi",
        "60:",
        "mov rcx, [rsi + rdi]",
        "mov rdx, [rsi + rdi + 8]",
        "mov r8, [rsi + rdi + 16]",
        "mov r9, [rsi + rdi + 24]",
        "mov [rdi], rcx",
        "mov [rdi + 8], rdx",
        "mov [rdi + 16], r8",
        "mov [rdi + 24], r9",
        "add rdi, 32",
        "cmp rdi, r10",
        "jb 60b",
        // Once more at r10, which is then 0; no range has its last 32 bytes there.
        "mov rdi, r10",
        "xor r10d, r10d",
        "test rdi, rdi",
        "jne 60b",
        "ret",
        // Above 128 bytes.
        "7:",
        "lea ecx, [rdi - 1]",
        "sub ecx, esi",
        "test ecx, {aliased}",
        "je 6b",
        "cmp rdx, {rep}",
        "jae 8f",
        "cmp byte ptr [rip + {strings}], {short}",
        "jb 6b",
        "lea ecx, [rdx - 1]",
        "shr ecx, 3",
        "cmp ecx, {short_words}",
        "ja 6b",
        // The last word is read first, in case the ranges overlap.
        "mov r9, [rsi + rdx - 8]",
        "70:",
        "rep movsq",
        "mov [r10 + 24], r9",
        "ret",
        "8:",
        "cmp byte ptr [rip + {strings}], 0",
        "je 9f",
        "mov rcx, rdx",
        "rep movsb",
        "ret",
        // By words, from the first boundary of `dst`, which `rep` prefers.
        "9:",
        "mov r9, [rsi + rdx - 8]",
        "mov rcx, [rsi]",
        "mov [rdi], rcx",
        "sub rsi, rdi",
        "add rdi, 8",
        "and rdi, -8",
        "add rsi, rdi",
        "lea rcx, [r10 + 31]",
        "sub rcx, rdi",
        "shr rcx, 3",
        "jmp 70b",
        aliased = const ALIASED,
        rep = const REP,
        short = const SHORT,
        short_words = const SHORT_WORDS,
        strings = sym STRINGS,
    )
}

/// `memmove`.
///
/// Goes to [`copy`] unless the ranges overlap closely; then 32 bytes at a time, away from the side
/// that is about to be overwritten. The 32 bytes at the far end are read first and written last.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn shift(dst: *mut u8, src: *const u8, n: usize) -> *mut u8 {
    naked_asm!(
        c_name!("memmove"),
        "cmp rdx, 16",
        "jbe {copy}",
        "cmp rdx, 32",
        "ja 2f",
        // 17 to 32 bytes, all read before any is written.
        "mov r8, [rsi]",
        "mov r9, [rsi + 8]",
        "mov r10, [rsi + rdx - 16]",
        "mov r11, [rsi + rdx - 8]",
        "mov rax, rdi",
        "mov [rdi], r8",
        "mov [rdi + 8], r9",
        "mov [rdi + rdx - 16], r10",
        "mov [rdi + rdx - 8], r11",
        "ret",
        "2:",
        "mov rcx, rdi",
        "sub rcx, rsi",
        // `dst` is above `src` by less than `n`: from the end down.
        "cmp rcx, rdx",
        "jb 5f",
        // Below by 64 or more, or past the end. Closer than 32, `copy` would read its last 32 bytes
        // after writing some of them.
        "cmp rcx, -64",
        "jbe {copy}",
        // From the start up. Some processors are slow at `rep movsb` between lines that touch.
        "cmp rdx, {rep}",
        "jb 3f",
        "cmp byte ptr [rip + {strings}], {short}",
        "jb 3f",
        "mov rax, rdi",
        "mov rcx, rdx",
        "rep movsb",
        "ret",
        "3:",
        "push rdi",
        "mov r8, [rsi + rdx - 32]",
        "mov r9, [rsi + rdx - 24]",
        "mov r10, [rsi + rdx - 16]",
        "mov r11, [rsi + rdx - 8]",
        "4:",
        "mov rax, [rsi]",
        "mov rcx, [rsi + 8]",
        "mov [rdi], rax",
        "mov [rdi + 8], rcx",
        "mov rax, [rsi + 16]",
        "mov rcx, [rsi + 24]",
        "mov [rdi + 16], rax",
        "mov [rdi + 24], rcx",
        "add rsi, 32",
        "add rdi, 32",
        "sub rdx, 32",
        "cmp rdx, 32",
        "ja 4b",
        "mov [rdi + rdx - 32], r8",
        "mov [rdi + rdx - 24], r9",
        "mov [rdi + rdx - 16], r10",
        "mov [rdi + rdx - 8], r11",
        "pop rax",
        "ret",
        "5:",
        "cmp rdx, 512",
        "jae 7f",
        "50:",
        "mov r8, [rsi]",
        "mov r9, [rsi + 8]",
        "mov r10, [rsi + 16]",
        "mov r11, [rsi + 24]",
        "6:",
        "mov rax, [rsi + rdx - 8]",
        "mov rcx, [rsi + rdx - 16]",
        "mov [rdi + rdx - 8], rax",
        "mov [rdi + rdx - 16], rcx",
        "mov rax, [rsi + rdx - 24]",
        "mov rcx, [rsi + rdx - 32]",
        "mov [rdi + rdx - 24], rax",
        "mov [rdi + rdx - 32], rcx",
        "sub rdx, 32",
        "cmp rdx, 32",
        "ja 6b",
        "mov [rdi], r8",
        "mov [rdi + 8], r9",
        "mov [rdi + 16], r10",
        "mov [rdi + 24], r11",
        "mov rax, rdi",
        "ret",
        // Far enough apart, blocks no longer than the distance do not overlap: each goes upwards, by
        // `rep`, and the blocks go downwards.
        "7:",
        "lea eax, [rcx - 1]",
        "test eax, {aliased}",
        "je 50b",
        "mov r9, rcx",
        "and r9, -8",
        "cmp rcx, {rep}",
        "jae 8f",
        "mov r9d, 8 * {short_words}",
        "cmp rcx, r9",
        "jb 50b",
        "cmp byte ptr [rip + {strings}], {short}",
        "jb 50b",
        "8:",
        "mov rax, rdi",
        "mov r8, rsi",
        "mov r10, r9",
        "shr r10, 3",
        "9:",
        "sub rdx, r9",
        "lea rdi, [rax + rdx]",
        "lea rsi, [r8 + rdx]",
        "mov rcx, r10",
        "prefetcht0 [rsi - 512]",
        "prefetcht0 [rsi - 448]",
        "prefetcht0 [rsi - 384]",
        "prefetcht0 [rsi - 320]",
        "rep movsq",
        "cmp rdx, r9",
        "ja 9b",
        "mov rdi, rax",
        "mov rsi, r8",
        "jmp {copy}",
        aliased = const ALIASED,
        copy = sym copy,
        rep = const REP,
        short = const SHORT,
        short_words = const SHORT_WORDS,
        strings = sym STRINGS,
    )
}

/// `memset`.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn fill(dst: *mut u8, byte: u8, n: usize) -> *mut u8 {
    naked_asm!(
        c_name!("memset"),
        "mov r8, rdi",
        "movzx r9d, byte ptr [rip + {strings}]",
        "cmp rdx, {short_fill}",
        "ja 2f",
        "cmp r9d, {short}",
        "jb 2f",
        "20:",
        "mov eax, esi",
        "mov rcx, rdx",
        "rep stosb",
        "mov rax, r8",
        "ret",
        "2:",
        "movzx ecx, sil",
        "mov rax, {each_byte}",
        "imul rax, rcx",
        "cmp rdx, 16",
        "ja 5f",
        "cmp edx, 4",
        "jb 3f",
        // 4 to 16 bytes, as in `copy`.
        "mov ecx, edx",
        "shr ecx, 3",
        "mov [rdi], eax",
        "mov [rdi + rcx * 4], eax",
        "mov [rdi + rdx - 4], eax",
        "shl ecx, 2",
        "sub rdx, rcx",
        "mov [rdi + rdx - 4], eax",
        "mov rax, r8",
        "ret",
        // 1 to 3 bytes: first, last and middle.
        "3:",
        "test edx, edx",
        "je 4f",
        "mov [rdi], al",
        "mov [rdi + rdx - 1], al",
        "shr edx, 1",
        "mov [rdi + rdx], al",
        "4:",
        "mov rax, r8",
        "ret",
        "5:",
        "lea r10, [rdi + rdx - 32]",
        "cmp rdx, 64",
        "ja 6f",
        // 17 to 64 bytes.
        "mov [rdi], rax",
        "mov [rdi + 8], rax",
        "lea ecx, [rdx - 1]",
        "shr ecx, 5",
        "shl ecx, 4",
        "mov [rdi + rcx], rax",
        "mov [rdi + rcx + 8], rax",
        "mov [r10 + 16], rax",
        "mov [r10 + 24], rax",
        "sub r10, rcx",
        "mov [r10 + 16], rax",
        "mov [r10 + 24], rax",
        "mov rax, r8",
        "ret",
        "6:",
        "cmp rdx, {rep}",
        "jae 8f",
        // 65 to `REP` bytes: 32 at a time while more than 32 are left.
        "7:",
        "mov [rdi], rax",
        "mov [rdi + 8], rax",
        "mov [rdi + 16], rax",
        "mov [rdi + 24], rax",
        "add rdi, 32",
        "cmp rdi, r10",
        "jb 7b",
        // The last 32, some of them for the second time.
        "mov [r10], rax",
        "mov [r10 + 8], rax",
        "mov [r10 + 16], rax",
        "mov [r10 + 24], rax",
        "mov rax, r8",
        "ret",
        // `REP` bytes or more, as in `copy`.
        "8:",
        "test r9d, r9d",
        "jne 20b",
        "lea rcx, [rdi + rdx]",
        "mov [rdi], rax",
        "mov [r10 + 24], rax",
        "add rdi, 8",
        "and rdi, -8",
        "sub rcx, rdi",
        "shr rcx, 3",
        "rep stosq",
        "mov rax, r8",
        "ret",
        each_byte = const EACH_BYTE,
        rep = const REP,
        short = const SHORT,
        short_fill = const SHORT_FILL,
        strings = sym STRINGS,
    )
}

/// `memcmp`.
///
/// However they were read, the bytes end up in rcx and r8 with the first one highest, so that
/// comparing two numbers gives the order.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn compare(left: *const u8, right: *const u8, n: usize) -> i32 {
    naked_asm!(
        c_name!("memcmp"),
        "cmp rdx, 16",
        "jae 3f",
        "cmp edx, 4",
        "jb 2f",
        // 4 to 15 bytes: four words of four, as in `copy`.
        "mov eax, edx",
        "shr eax, 3",
        "mov ecx, [rdi]",
        "mov r8d, [rsi]",
        "mov r9d, [rdi + rax * 4]",
        "mov r10d, [rsi + rax * 4]",
        "bswap ecx",
        "bswap r8d",
        "bswap r9d",
        "bswap r10d",
        "shl rcx, 32",
        "shl r8, 32",
        "or rcx, r9",
        "or r8, r10",
        "cmp rcx, r8",
        "jne 9f",
        "shl eax, 2",
        "mov r9d, [rdi + rdx - 4]",
        "mov r10d, [rsi + rdx - 4]",
        "sub rdx, rax",
        "mov ecx, [rdi + rdx - 4]",
        "mov r8d, [rsi + rdx - 4]",
        "bswap ecx",
        "bswap r8d",
        "bswap r9d",
        "bswap r10d",
        "shl rcx, 32",
        "shl r8, 32",
        "or rcx, r9",
        "or r8, r10",
        "jmp 9f",
        // 1 to 3 bytes: first, middle and last, which may be the same byte.
        "2:",
        "xor eax, eax",
        "test edx, edx",
        "je 90f",
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
        "jmp 9f",
        "3:",
        "cmp rdx, 64",
        "ja 5f",
        // 16 to 64 bytes: whether anything differs, without a branch; where, only then.
        "30:",
        "lea eax, [rdx - 1]",
        "mov rcx, [rdi]",
        "mov r8, [rdi + 8]",
        "xor rcx, [rsi]",
        "xor r8, [rsi + 8]",
        "mov r9, [rdi + rdx - 16]",
        "mov r10, [rdi + rdx - 8]",
        "xor r9, [rsi + rdx - 16]",
        "xor r10, [rsi + rdx - 8]",
        "shr eax, 5",
        "shl eax, 4",
        "or rcx, r8",
        "or r9, r10",
        "mov r8, [rdi + rax]",
        "mov r10, [rdi + rax + 8]",
        "xor r8, [rsi + rax]",
        "xor r10, [rsi + rax + 8]",
        "or rcx, r9",
        "or r8, r10",
        "mov r11, rdx",
        "sub r11, rax",
        "or rcx, r8",
        "mov r9, [rdi + r11 - 16]",
        "mov r10, [rdi + r11 - 8]",
        "xor r9, [rsi + r11 - 16]",
        "xor r10, [rsi + r11 - 8]",
        "xor eax, eax",
        "or r9, r10",
        "or rcx, r9",
        "je 90f",
        // Words while more than one is left, then the last one, some of whose bytes are already
        // known to be equal.
        "sub rdx, 8",
        "4:",
        "mov rcx, [rdi + rax]",
        "mov r8, [rsi + rax]",
        "cmp rcx, r8",
        "jne 8f",
        "add rax, 8",
        "cmp rax, rdx",
        "jb 4b",
        "mov rcx, [rdi + rdx]",
        "mov r8, [rsi + rdx]",
        "jmp 8f",
        // More: 32 at a time while more than 32 are left, then the last 32 as above.
        "5:",
        "xor eax, eax",
        "sub rdx, 32",
        "6:",
        "mov rcx, [rdi + rax]",
        "cmp rcx, [rsi + rax]",
        "jne 74f",
        "mov rcx, [rdi + rax + 8]",
        "cmp rcx, [rsi + rax + 8]",
        "jne 73f",
        "mov rcx, [rdi + rax + 16]",
        "cmp rcx, [rsi + rax + 16]",
        "jne 72f",
        "mov rcx, [rdi + rax + 24]",
        "cmp rcx, [rsi + rax + 24]",
        "jne 71f",
        "add rax, 32",
        "cmp rax, rdx",
        "jb 6b",
        "add rdi, rdx",
        "add rsi, rdx",
        "mov edx, 32",
        "jmp 30b",
        "71:",
        "add rax, 8",
        "72:",
        "add rax, 8",
        "73:",
        "add rax, 8",
        "74:",
        "mov r8, [rsi + rax]",
        "8:",
        "bswap rcx",
        "bswap r8",
        // (left > right) - (left < right); `seta` leaves the carry that `sbb` takes.
        "9:",
        "xor eax, eax",
        "cmp rcx, r8",
        "seta al",
        "sbb eax, 0",
        "90:",
        "ret",
    )
}

/// `bcmp`.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn differs(left: *const u8, right: *const u8, n: usize) -> i32 {
    naked_asm!(
        c_name!("bcmp"),
        "cmp rdx, 16",
        "ja 4f",
        "cmp edx, 4",
        "jb 2f",
        // 4 to 16 bytes, as in `copy`.
        "mov eax, edx",
        "shr eax, 3",
        "shl eax, 2",
        "mov ecx, [rdi]",
        "mov r8d, [rdi + rax]",
        "mov r9d, [rdi + rdx - 4]",
        "xor ecx, [rsi]",
        "xor r8d, [rsi + rax]",
        "xor r9d, [rsi + rdx - 4]",
        "sub rdx, rax",
        "mov r10d, [rdi + rdx - 4]",
        "xor r10d, [rsi + rdx - 4]",
        "xor eax, eax",
        "or ecx, r8d",
        "or r9d, r10d",
        "or ecx, r9d",
        "setne al",
        "ret",
        // 1 to 3 bytes: first, last and middle.
        "2:",
        "xor eax, eax",
        "test edx, edx",
        "je 3f",
        "movzx ecx, byte ptr [rdi]",
        "movzx r9d, byte ptr [rdi + rdx - 1]",
        "xor cl, [rsi]",
        "xor r9b, [rsi + rdx - 1]",
        "shr edx, 1",
        "movzx edi, byte ptr [rdi + rdx]",
        "xor dil, [rsi + rdx]",
        "or ecx, r9d",
        "or ecx, edi",
        "setne al",
        "3:",
        "ret",
        "4:",
        "cmp rdx, 64",
        "ja 6f",
        // 17 to 64 bytes.
        "5:",
        "lea eax, [rdx - 1]",
        "mov rcx, [rdi]",
        "mov r8, [rdi + 8]",
        "xor rcx, [rsi]",
        "xor r8, [rsi + 8]",
        "mov r9, [rdi + rdx - 16]",
        "mov r10, [rdi + rdx - 8]",
        "xor r9, [rsi + rdx - 16]",
        "xor r10, [rsi + rdx - 8]",
        "shr eax, 5",
        "shl eax, 4",
        "or rcx, r8",
        "or r9, r10",
        "mov r8, [rdi + rax]",
        "mov r10, [rdi + rax + 8]",
        "xor r8, [rsi + rax]",
        "xor r10, [rsi + rax + 8]",
        "or rcx, r9",
        "or r8, r10",
        "sub rdx, rax",
        "or rcx, r8",
        "mov r9, [rdi + rdx - 16]",
        "mov r10, [rdi + rdx - 8]",
        "xor r9, [rsi + rdx - 16]",
        "xor r10, [rsi + rdx - 8]",
        "xor eax, eax",
        "or r9, r10",
        "or rcx, r9",
        "setne al",
        "ret",
        // More: 32 at a time while more than 32 are left, then the last 32 as above.
        "6:",
        "xor eax, eax",
        "sub rdx, 32",
        "7:",
        "mov rcx, [rdi + rax]",
        "cmp rcx, [rsi + rax]",
        "jne 8f",
        "mov rcx, [rdi + rax + 8]",
        "cmp rcx, [rsi + rax + 8]",
        "jne 8f",
        "mov rcx, [rdi + rax + 16]",
        "cmp rcx, [rsi + rax + 16]",
        "jne 8f",
        "mov rcx, [rdi + rax + 24]",
        "cmp rcx, [rsi + rax + 24]",
        "jne 8f",
        "add rax, 32",
        "cmp rax, rdx",
        "jb 7b",
        "add rdi, rdx",
        "add rsi, rdx",
        "mov edx, 32",
        "jmp 5b",
        "8:",
        "mov eax, 1",
        "ret",
    )
}

/// `strlen`.
///
/// Whole aligned words, from the one the string starts in: they reach over the string's ends but
/// never into another page. Bytes before the string are made non-zero.
///
/// A word `w` has a zero byte exactly if `(w - 0x01…01) & !w & 0x80…80` has a bit, and its lowest bit
/// is in the first one: a borrow can only raise false ones above. After [`EXACT`] bytes it pays to read
/// four words at a time and to leave out the `!w`, until a byte from 0x81 on raises a false alarm.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn length(string: *const u8) -> usize {
    naked_asm!(
        c_name!("strlen"),
        "mov r8, {minus_each_byte}",
        "mov r9, {each_top_bit}",
        "mov rax, rdi",
        "and rax, -8",
        // The shift counts modulo 64: eight times the offset into the word.
        "lea ecx, [rdi * 8]",
        "mov rdx, -1",
        "shl rdx, cl",
        "not rdx",
        "or rdx, [rax]",
        "lea r11, [rax + {exact}]",
        "lea rcx, [rdx + r8]",
        "not rdx",
        "and rcx, r9",
        "and rcx, rdx",
        "jne 60f",
        // The word at rax has no zero. No word is read before the one below it is known to have none.
        "2:",
        "mov rdx, [rax + 8]",
        "lea rcx, [rdx + r8]",
        "not rdx",
        "and rcx, r9",
        "and rcx, rdx",
        "jne 61f",
        "mov rdx, [rax + 16]",
        "lea rcx, [rdx + r8]",
        "not rdx",
        "and rcx, r9",
        "and rcx, rdx",
        "jne 62f",
        "mov rdx, [rax + 24]",
        "lea rcx, [rdx + r8]",
        "not rdx",
        "and rcx, r9",
        "and rcx, rdx",
        "jne 63f",
        "mov rdx, [rax + 32]",
        "add rax, 32",
        "lea rcx, [rdx + r8]",
        "not rdx",
        "and rcx, r9",
        "and rcx, rdx",
        "jne 60f",
        "cmp rax, r11",
        "jne 2b",
        // Four words from a boundary of four: all in one page. The first may be known already.
        "add rax, 8",
        "and rax, -32",
        "3:",
        "mov rdx, [rax]",
        "mov rcx, [rax + 8]",
        "add rdx, r8",
        "add rcx, r8",
        "or rdx, rcx",
        "mov rcx, [rax + 16]",
        "mov r10, [rax + 24]",
        "add rcx, r8",
        "add r10, r8",
        "or rdx, rcx",
        "or rdx, r10",
        "add rax, 32",
        "test rdx, r9",
        "je 3b",
        // An alarm: exact from here on, whether false or not. No address is 0.
        "sub rax, 40",
        "xor r11d, r11d",
        "jmp 2b",
        "63:",
        "add rax, 8",
        "62:",
        "add rax, 8",
        "61:",
        "add rax, 8",
        "60:",
        "bsf rcx, rcx",
        "shr ecx, 3",
        "sub rax, rdi",
        "add rax, rcx",
        "ret",
        exact = const EXACT,
        minus_each_byte = const EACH_BYTE.wrapping_neg(),
        each_top_bit = const EACH_BYTE << 7,
    )
}
