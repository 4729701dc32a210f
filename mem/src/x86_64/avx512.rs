//! AVX-512, for kernels that own the vector state: `--cfg freestone_mem="avx512"`.
//!
//! Needs AVX512BW, AVX512VL and BMI2 in every processor the kernel runs on, enabled in `CR4` and `XCR0`
//! before the first call, and interrupt handlers that save what they use. Nothing asks: a
//! processor without them ends in an invalid-opcode fault.
//!
//! Up to 64 bytes a mask does what branches do elsewhere: bytes outside it are neither read nor written,
//! and do not fault. Only zmm16 and up are used, whose upper halves cost no other code anything, so
//! there is no `vzeroupper`. Everything up to 512 bytes is read before anything is written.

use core::arch::naked_asm;

use super::choose::STRINGS;

/// Bytes from which on `rep movsb` is used, where [`STRINGS`] says that it is fast: about what fits in
/// the first-level cache beside its copy.
const REP: usize = 16 << 10;

/// As in the general-purpose body.
const ALIASED: u32 = 0xfff - 31;

/// `memcpy`.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn copy(dst: *mut u8, src: *const u8, n: usize) -> *mut u8 {
    naked_asm!(
        c_name!("memcpy"),
        "cmp rdx, 64",
        "ja {long}",
        "mov rcx, -1",
        "bzhi rcx, rcx, rdx",
        "kmovq k1, rcx",
        "mov rax, rdi",
        "vmovdqu8 zmm16{{k1}}{{z}}, [rsi]",
        "vmovdqu8 [rdi]{{k1}}, zmm16",
        "ret",
        long = sym long,
    )
}

/// `memmove`.
///
/// Up to 16 bytes through a narrow register: a load waits for every store that its whole width could
/// touch, so moving short records up one after the other would take three times as long.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn shift(dst: *mut u8, src: *const u8, n: usize) -> *mut u8 {
    naked_asm!(
        c_name!("memmove"),
        "cmp rdx, 64",
        "ja {long}",
        "mov rcx, -1",
        "bzhi rcx, rcx, rdx",
        "kmovq k1, rcx",
        "mov rax, rdi",
        "cmp edx, 16",
        "jbe 2f",
        "vmovdqu8 zmm16{{k1}}{{z}}, [rsi]",
        "vmovdqu8 [rdi]{{k1}}, zmm16",
        "ret",
        "2:",
        "vmovdqu8 xmm16{{k1}}{{z}}, [rsi]",
        "vmovdqu8 [rdi]{{k1}}, xmm16",
        "ret",
        long = sym long,
    )
}

/// Both, above 64 bytes.
#[unsafe(naked)]
unsafe extern "sysv64" fn long(dst: *mut u8, src: *const u8, n: usize) -> *mut u8 {
    naked_asm!(
        "mov rax, rdi",
        "vmovdqu64 zmm16, [rsi]",
        "vmovdqu64 zmm17, [rsi + rdx - 64]",
        "cmp rdx, 128",
        "ja 3f",
        "vmovdqu64 [rdi], zmm16",
        "vmovdqu64 [rdi + rdx - 64], zmm17",
        "ret",
        "3:",
        "vmovdqu64 zmm18, [rsi + 64]",
        "vmovdqu64 zmm19, [rsi + rdx - 128]",
        "cmp rdx, 256",
        "ja 4f",
        "vmovdqu64 [rdi], zmm16",
        "vmovdqu64 [rdi + 64], zmm18",
        "vmovdqu64 [rdi + rdx - 64], zmm17",
        "vmovdqu64 [rdi + rdx - 128], zmm19",
        "ret",
        "4:",
        "vmovdqu64 zmm20, [rsi + rdx - 192]",
        "vmovdqu64 zmm21, [rsi + rdx - 256]",
        "cmp rdx, 512",
        "ja 5f",
        "vmovdqu64 zmm22, [rsi + 128]",
        "vmovdqu64 zmm23, [rsi + 192]",
        "vmovdqu64 [rdi], zmm16",
        "vmovdqu64 [rdi + 64], zmm18",
        "vmovdqu64 [rdi + 128], zmm22",
        "vmovdqu64 [rdi + 192], zmm23",
        "vmovdqu64 [rdi + rdx - 64], zmm17",
        "vmovdqu64 [rdi + rdx - 128], zmm19",
        "vmovdqu64 [rdi + rdx - 192], zmm20",
        "vmovdqu64 [rdi + rdx - 256], zmm21",
        "ret",
        "5:",
        "mov rcx, rdi",
        "sub rcx, rsi",
        "cmp rcx, rdx",
        "jb 7f",
        "cmp rdx, {rep}",
        "jae 8f",
        // Upwards: four lines at a time on boundaries of `dst`; the ends, read above, are written last.
        "50:",
        "lea r8, [rdi + rdx]",
        "add rdi, 64",
        "and rdi, -64",
        "mov rcx, rdi",
        "sub rcx, rax",
        "add rsi, rcx",
        "lea r9, [r8 - 256]",
        "6:",
        "vmovdqu64 zmm22, [rsi]",
        "vmovdqu64 zmm23, [rsi + 64]",
        "vmovdqu64 zmm24, [rsi + 128]",
        "vmovdqu64 zmm25, [rsi + 192]",
        "add rsi, 256",
        "vmovdqa64 [rdi], zmm22",
        "vmovdqa64 [rdi + 64], zmm23",
        "vmovdqa64 [rdi + 128], zmm24",
        "vmovdqa64 [rdi + 192], zmm25",
        "add rdi, 256",
        "cmp rdi, r9",
        "jb 6b",
        "vmovdqu64 [rax], zmm16",
        "vmovdqu64 [r8 - 64], zmm17",
        "vmovdqu64 [r8 - 128], zmm19",
        "vmovdqu64 [r8 - 192], zmm20",
        "vmovdqu64 [r8 - 256], zmm21",
        "ret",
        // Downwards, the same mirrored: here it is the first four lines that are kept.
        "7:",
        "test rcx, rcx",
        "je 9f",
        "vmovdqu64 zmm22, [rsi + 128]",
        "vmovdqu64 zmm23, [rsi + 192]",
        "lea r8, [rdi + rdx]",
        "lea r9, [r8 - 1]",
        "and r9, -64",
        "mov rcx, r9",
        "sub rcx, rdi",
        "add rsi, rcx",
        "lea r10, [rdi + 256]",
        "70:",
        "vmovdqu64 zmm24, [rsi - 64]",
        "vmovdqu64 zmm25, [rsi - 128]",
        "vmovdqu64 zmm26, [rsi - 192]",
        "vmovdqu64 zmm27, [rsi - 256]",
        "sub rsi, 256",
        "vmovdqa64 [r9 - 64], zmm24",
        "vmovdqa64 [r9 - 128], zmm25",
        "vmovdqa64 [r9 - 192], zmm26",
        "vmovdqa64 [r9 - 256], zmm27",
        "sub r9, 256",
        "cmp r9, r10",
        "ja 70b",
        "vmovdqu64 [r8 - 64], zmm17",
        "vmovdqu64 [rdi], zmm16",
        "vmovdqu64 [rdi + 64], zmm18",
        "vmovdqu64 [rdi + 128], zmm22",
        "vmovdqu64 [rdi + 192], zmm23",
        "ret",
        "8:",
        "cmp byte ptr [rip + {strings}], 0",
        "je 50b",
        "cmp rcx, -64",
        "ja 50b",
        "lea ecx, [rdi - 1]",
        "sub ecx, esi",
        "test ecx, {aliased}",
        "je 50b",
        "mov rcx, rdx",
        "rep movsb",
        "9:",
        "ret",
        aliased = const ALIASED,
        rep = const REP,
        strings = sym STRINGS,
    )
}

/// `memset`.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn fill(dst: *mut u8, byte: u8, n: usize) -> *mut u8 {
    naked_asm!(
        c_name!("memset"),
        "vpbroadcastb zmm16, esi",
        "mov rax, rdi",
        "cmp rdx, 64",
        "ja 2f",
        "mov rcx, -1",
        "bzhi rcx, rcx, rdx",
        "kmovq k1, rcx",
        "vmovdqu8 [rdi]{{k1}}, zmm16",
        "ret",
        "2:",
        "vmovdqu64 [rdi], zmm16",
        "vmovdqu64 [rdi + rdx - 64], zmm16",
        "cmp rdx, 128",
        "jbe 4f",
        "vmovdqu64 [rdi + 64], zmm16",
        "vmovdqu64 [rdi + rdx - 128], zmm16",
        "cmp rdx, 256",
        "jbe 4f",
        "cmp rdx, {rep}",
        "jae 5f",
        "20:",
        "vmovdqu64 [rdi + 128], zmm16",
        "vmovdqu64 [rdi + 192], zmm16",
        "vmovdqu64 [rdi + rdx - 192], zmm16",
        "vmovdqu64 [rdi + rdx - 256], zmm16",
        "cmp rdx, 512",
        "jbe 4f",
        // The first and the last four lines are written: what is between, on boundaries.
        "lea r8, [rdi + rdx - 256]",
        "add rdi, 256",
        "and rdi, -64",
        "3:",
        "vmovdqa64 [rdi], zmm16",
        "vmovdqa64 [rdi + 64], zmm16",
        "vmovdqa64 [rdi + 128], zmm16",
        "vmovdqa64 [rdi + 192], zmm16",
        "add rdi, 256",
        "cmp rdi, r8",
        "jb 3b",
        "4:",
        "ret",
        "5:",
        "cmp byte ptr [rip + {strings}], 0",
        "je 20b",
        "mov r8, rdi",
        "mov eax, esi",
        "mov rcx, rdx",
        "rep stosb",
        "mov rax, r8",
        "ret",
        rep = const REP,
        strings = sym STRINGS,
    )
}

/// `memcmp`.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn compare(left: *const u8, right: *const u8, n: usize) -> i32 {
    naked_asm!(
        c_name!("memcmp"),
        c_name!("bcmp"),
        "cmp rdx, 64",
        "ja 3f",
        "mov rcx, -1",
        "bzhi rcx, rcx, rdx",
        "kmovq k1, rcx",
        "vmovdqu8 zmm16{{k1}}{{z}}, [rdi]",
        "vpcmpub k2{{k1}}, zmm16, [rsi], 4",
        "kmovq rcx, k2",
        "xor eax, eax",
        "test rcx, rcx",
        "jne 2f",
        "ret",
        // The first different byte is at the lowest bit.
        "2:",
        "tzcnt rcx, rcx",
        "movzx edx, byte ptr [rsi + rcx]",
        "movzx eax, byte ptr [rdi + rcx]",
        "sub eax, edx",
        "ret",
        "3:",
        "vmovdqu64 zmm16, [rdi]",
        "vpcmpub k1, zmm16, [rsi], 4",
        "kortestq k1, k1",
        "jne 7f",
        "cmp rdx, 128",
        "jbe 6f",
        // Four lines at a time while more than four are left, then one at a time, then the last.
        "sub rdx, 256",
        "jbe 5f",
        "4:",
        "vmovdqu64 zmm16, [rdi]",
        "vmovdqu64 zmm17, [rdi + 64]",
        "vmovdqu64 zmm18, [rdi + 128]",
        "vmovdqu64 zmm19, [rdi + 192]",
        "vpxorq zmm16, zmm16, [rsi]",
        "vpxorq zmm17, zmm17, [rsi + 64]",
        "vpxorq zmm18, zmm18, [rsi + 128]",
        "vpxorq zmm19, zmm19, [rsi + 192]",
        "vporq zmm16, zmm16, zmm17",
        "vpternlogq zmm16, zmm18, zmm19, 0xfe",
        "vptestmb k1, zmm16, zmm16",
        "kortestq k1, k1",
        "jne 50f",
        "add rdi, 256",
        "add rsi, 256",
        "sub rdx, 256",
        "ja 4b",
        "5:",
        "add rdx, 256",
        // rdx is 1 to 256 now; at least 64 bytes before are known to be equal.
        "51:",
        "cmp rdx, 64",
        "jbe 6f",
        "vmovdqu64 zmm16, [rdi]",
        "vpcmpub k1, zmm16, [rsi], 4",
        "kortestq k1, k1",
        "jne 7f",
        "add rdi, 64",
        "add rsi, 64",
        "sub rdx, 64",
        "jmp 51b",
        "50:",
        "mov edx, 256",
        "jmp 51b",
        "6:",
        "vmovdqu64 zmm16, [rdi + rdx - 64]",
        "vpcmpub k1, zmm16, [rsi + rdx - 64], 4",
        "lea rdi, [rdi + rdx - 64]",
        "lea rsi, [rsi + rdx - 64]",
        "7:",
        "kmovq rcx, k1",
        "xor eax, eax",
        "test rcx, rcx",
        "jne 2b",
        "ret",
    )
}

/// `bcmp`: the order costs nothing until there is a difference.
pub use compare as differs;

/// `strlen`.
///
/// Whole aligned lines, so never into another page.
#[unsafe(naked)]
pub unsafe extern "sysv64" fn length(string: *const u8) -> usize {
    naked_asm!(
        c_name!("strlen"),
        "mov rax, rdi",
        "and rax, -64",
        "vmovdqa64 zmm16, [rax]",
        "vptestnmb k1, zmm16, zmm16",
        "kmovq rcx, k1",
        // The shift counts modulo 64: the offset into the line.
        "shrx rdx, rcx, rdi",
        "test rdx, rdx",
        "je 2f",
        "tzcnt rax, rdx",
        "ret",
        "2:",
        "add rax, 64",
        "test al, 192",
        "je 4f",
        "3:",
        "vmovdqa64 zmm16, [rax]",
        "vptestnmb k1, zmm16, zmm16",
        "kmovq rcx, k1",
        "test rcx, rcx",
        "je 2b",
        "tzcnt rcx, rcx",
        "sub rax, rdi",
        "add rax, rcx",
        "ret",
        // Four lines: the smallest byte at each place is zero if any is.
        "4:",
        "vmovdqa64 zmm16, [rax]",
        "vpminub zmm17, zmm16, [rax + 64]",
        "vmovdqa64 zmm18, [rax + 128]",
        "vpminub zmm19, zmm18, [rax + 192]",
        "vpminub zmm17, zmm17, zmm19",
        "vptestnmb k1, zmm17, zmm17",
        "add rax, 256",
        "kortestq k1, k1",
        "je 4b",
        "sub rax, 256",
        "jmp 3b",
    )
}
