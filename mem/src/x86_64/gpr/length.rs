//! `strlen`.

use core::arch::naked_asm;

use super::EACH_BYTE;

/// How far `strlen` goes word by word: most strings end before. A multiple of four words.
const EXACT: usize = 256;

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
        // The first word as `!w`, what is below the string shifted out: 0xff comes in above. The shift
        // counts modulo 64, eight times the offset into the word.
        "lea ecx, [rdi * 8]",
        "mov rax, rdi",
        "and rax, -8",
        "mov rdx, [rax]",
        "mov r8, {minus_each_byte}",
        "mov r9, {each_top_bit}",
        "not rdx",
        "shr rdx, cl",
        "mov rcx, rdx",
        "and rdx, r9",
        "not rcx",
        "add rcx, r8",
        "and rcx, rdx",
        "je 20f",
        "bsf rax, rcx",
        "shr eax, 3",
        "ret",
        // The second word. None is read before the one below it is known to have no zero.
        "20:",
        "mov rdx, [rax + 8]",
        "add rax, 8",
        "lea rcx, [rdx + r8]",
        "not rdx",
        "and rcx, r9",
        "and rcx, rdx",
        "je 21f",
        "bsf rcx, rcx",
        "shr ecx, 3",
        "sub rax, rdi",
        "add rax, rcx",
        "ret",
        "21:",
        "lea r11, [rax + {exact}]",
        // The word at rax has no zero.
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
        // Eight words from a boundary of eight: all in one page. Some may be known already.
        "add rax, 8",
        "and rax, -64",
        "3:",
        "mov rdx, [rax]",
        "add rdx, r8",
        ".irp at, 8, 24, 40",
        "mov rcx, [rax + \\at]",
        "mov r10, [rax + \\at + 8]",
        "add rcx, r8",
        "add r10, r8",
        "or rdx, rcx",
        "or rdx, r10",
        ".endr",
        "mov rcx, [rax + 56]",
        "add rax, 64",
        "add rcx, r8",
        "or rdx, rcx",
        "test rdx, r9",
        "je 3b",
        // An alarm: exact from here on, whether false or not. No address is 0.
        "sub rax, 72",
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
