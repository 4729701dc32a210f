//! The shortest ranges, which the bodies for general-purpose and for vector registers treat alike: pieces of their
//! assembly. Why there are these classes, and four pieces in each, is told in `gpr/mod.rs`.

#![allow(unused_macros)] // `small.rs` and `avx512.rs` have no use for them

/// Lines of assembly as one string.
macro_rules! lines {
    ($($line:literal),* $(,)?) => {
        concat!($($line, "\n"),*)
    };
}

/// rdx bytes, up to 16, from rsi to rdi, which may overlap; returns. Takes the labels 2 and 3.
macro_rules! copy_to_16 {
    () => {
        lines! {
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
        }
    };
}

/// 4 to 15 bytes of rdi and rsi in rcx and r8, the first one highest: eight at a time, from two words of four. Jumps if the
/// first eight differ.
macro_rules! compare_4_to_15 {
    ($differ:literal) => {
        concat!(
            lines! {
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
            },
            "jne ",
            $differ,
            "\n",
            lines! {
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
            },
        )
    };
}

/// 1 to 3 bytes of rdi and rsi in ecx and r8d: first, middle and last, which may be the same byte.
macro_rules! compare_to_3 {
    () => {
        lines! {
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
        }
    };
}

/// Whether any of rdx bytes, up to 16, of rdi and rsi differ; returns. Takes the labels 2 and 3.
macro_rules! differs_to_16 {
    () => {
        lines! {
            "cmp edx, 4",
            "jb 2f",
            // 4 to 16 bytes, as above.
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
        }
    };
}
