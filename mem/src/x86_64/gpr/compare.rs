//! `memcmp` and `bcmp`.

use core::arch::naked_asm;

/// 16 to 64 bytes: what differs in three of the four pieces of 16, in rcx, r9 and r8 but for three `or`; eax is how far the
/// pieces are apart.
macro_rules! differences_of_three {
    () => {
        lines! {
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
        }
    };
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
        compare_4_to_15!("9f"),
        "jmp 9f",
        "2:",
        "xor eax, eax",
        "test edx, edx",
        "je 90f",
        compare_to_3!(),
        "jmp 9f",
        "3:",
        "cmp rdx, 64",
        "ja 5f",
        // 16 to 64 bytes: whether anything differs, without a branch; where, only then.
        "30:",
        differences_of_three!(),
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
        differs_to_16!(),
        "4:",
        "cmp rdx, 64",
        "ja 6f",
        // 17 to 64 bytes.
        "5:",
        differences_of_three!(),
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
