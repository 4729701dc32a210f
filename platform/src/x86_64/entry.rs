//! The first instructions: from the PVH entry in 32-bit protected mode to Rust in long mode.
//!
//! [`boot!`](crate::boot!) defines three things in the kernel's crate, because they belong to the final program and would
//! break a host program that linked them:
//!
//! - the ELF note by which Xen and QEMU find the 32-bit entry point;
//! - the 32-bit entry: it checks the processor, sets up a stack, maps the first GiB, and enables SSE and long mode;
//! - the ELF entry point itself, to which only an operating system jumps, if the kernel is started as a program: it prints
//!   that and exits with status 2.
//!
//! With `multiboot2 = on` it defines two more: a Multiboot2 header, by which GRUB finds its way in, and an entry that marks
//! the address of GRUB's data and joins the other one. The state that a Multiboot2 loader leaves (Multiboot2
//! specification, 3.3) differs in EAX, which has a magic number, and in that EBX holds the address of its own data.
//!
//! State at the PVH entry (Xen's `docs/misc/pvh.pandoc`): EBX holds the start info's address, flat
//! 32-bit segments, paging off, interrupts off, no stack. `.bss` is zeroed by the loader.
//!
//! Sources: Intel SDM volume 3, 11.8.5 (entering long mode); 2.5 (control registers).

use super::page_table::format::Table;

/// The entry code's page tables, one per level: root, 512 GiB, 1 GiB. Used until
/// `page_table::initial::protect` has built better ones.
pub static BOOT_TABLES: [Table; 3] = [const { Table::new() }; 3];

/// What CPUID leaf 1 must say in EDX: x87, cycle counter, MSRs, physical address extension, FXSAVE, SSE, SSE2.
pub const FEATURES: u32 = 1 << 0 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 24 | 1 << 25 | 1 << 26;
/// CR4: physical address extension, FXSAVE and SSE, SSE exceptions.
pub const CR4: u32 = 1 << 5 | 1 << 9 | 1 << 10;
/// CR0: paging, write protection in ring 0, native FPU errors, WAIT obeys TS, extension type,
/// protection. Caches on, no emulation.
pub const CR0: u32 = 1 << 31 | 1 << 16 | 1 << 5 | 1 << 4 | 1 << 1 | 1 << 0;
/// EFER: long mode, no-execute.
pub const EFER: u32 = 1 << 8 | 1 << 11;

#[doc(hidden)]
pub use super::boot::{pvh, pvh_or_multiboot2};
/// What EAX has where a Multiboot2 loader enters (Multiboot2 specification, 3.3).
#[doc(hidden)]
pub const MULTIBOOT2_MAGIC: u32 = 0x36d7_6289;
/// In the lowest bit of the address that is handed on: it leads to Multiboot2's data. Both protocols align theirs.
#[doc(hidden)]
pub const MULTIBOOT2_MARK: u32 = 1;

/// Defines the entry point in a kernel's crate: `boot!(main)`, `main` a
/// `fn(&'static BootInfo) -> Exit`. The head of this module says what that is.
///
/// `boot!(main, stack = BYTES)` says how large the stack is that `main` gets; without, it is
/// [`BOOT_BYTES`](crate::stacks::named::BOOT_BYTES). `boot!(main, stack = BYTES, multiboot2 = on)` lets Multiboot2 loaders
/// start the kernel too.
#[macro_export]
macro_rules! boot {
    ($main:path) => {
        $crate::boot!($main, stack = $crate::stacks::named::BOOT_BYTES);
    };
    ($main:path, stack = $bytes:expr) => {
        $crate::boot!(@stamp $main, $bytes, $crate::x86_64::entry::pvh);
    };
    ($main:path, stack = $bytes:expr, multiboot2 = on) => {
        $crate::boot!(@stamp $main, $bytes, $crate::x86_64::entry::pvh_or_multiboot2);
        ::core::arch::global_asm!(
            // Magic, architecture (32-bit x86), length, and what makes the sum of all four zero; then the tag with the
            // entry (type 3) and the one that ends the list (type 0), each with flags and size, aligned to 8.
            ".pushsection .multiboot2, \"a\", @progbits",
            ".balign 8",
            ".Lfreestone_multiboot2:",
            ".long {header}, 0, .Lfreestone_multiboot2_end - .Lfreestone_multiboot2",
            ".long -({header} + (.Lfreestone_multiboot2_end - .Lfreestone_multiboot2))",
            ".short 3, 0; .long 12, freestone_multiboot2_entry; .balign 8",
            ".short 0, 0; .long 8",
            ".Lfreestone_multiboot2_end:",
            ".popsection",
            ".pushsection .text.freestone_entry, \"ax\", @progbits",
            ".code32",
            ".globl freestone_multiboot2_entry",
            "freestone_multiboot2_entry:",
            // Who jumps here without the number hands over something else, which is then refused by what it is not.
            "cmp eax, {magic}",
            "jne freestone_pvh_entry",
            "or ebx, {mark}",
            "jmp freestone_pvh_entry",
            ".code64",
            ".popsection",
            header = const 0xe852_50d6_u32,
            magic = const $crate::x86_64::entry::MULTIBOOT2_MAGIC,
            mark = const $crate::x86_64::entry::MULTIBOOT2_MARK,
        );
    };
    (@stamp $main:path, $bytes:expr, $read:path) => {
        #[doc(hidden)]
        const FREESTONE_STACK_BYTES: usize = $crate::stacks::named::boot_bytes($bytes);
        // `cargo freestone check` knows it by its name.
        // The last part of the image: BIOSes write to the top of RAM after the image is loaded, and in a small
        // machine that is what they hit. A stack may begin with anything.
        #[doc(hidden)]
        #[unsafe(link_section = ".sbss.stack")]
        static FREESTONE_BOOT_STACK: $crate::stacks::named::Stack<FREESTONE_STACK_BYTES> =
            $crate::stacks::named::Stack::new();

        #[doc(hidden)]
        extern "C" fn freestone_start(
            image: *const u8,
            start_info: u64,
            entry_ticks: u64,
        ) -> ! {
            // SAFETY: only the entry code below calls this, once, in the state it has set up.
            unsafe {
                let stack = FREESTONE_BOOT_STACK.range();
                $crate::boot::boot(image, start_info, entry_ticks, stack, $read, $main)
            }
        }

        // Nothing is in this library. Linkers look for libraries before all else, so a build without the link
        // arguments, which say where it is, has this name in the linker's first line.
        #[link(
            name = "freestone_link_arguments_missing__add_the_build_rs_from_the_README__examples_need_rustc-link-arg-examples"
        )]
        unsafe extern "C" {}

        ::core::arch::global_asm!(
            // The note: owner "Xen", type 18 (XEN_ELFNOTE_PHYS32_ENTRY), an address.
            ".pushsection .note.Xen, \"a\", @progbits",
            ".balign 4",
            ".long 4, 8, 18",
            ".asciz \"Xen\"",
            ".quad freestone_pvh_entry",
            ".popsection",
            // What `cargo freestone check` relies on, owner "Freestone": type 1, interrupt entry
            // leaves the red zone alone (every vector has an IST stack); type 2, vector state is
            // saved at traps.
            ".pushsection .note.Freestone, \"a\", @progbits",
            ".balign 4",
            ".long 10, 0, 1; .asciz \"Freestone\"; .balign 4",
            ".long 10, 0, 2; .asciz \"Freestone\"; .balign 4",
            ".popsection",

            ".pushsection .text.freestone_entry, \"ax\", @progbits",
            ".code32",
            ".globl freestone_pvh_entry",
            "freestone_pvh_entry:",
            "cli",
            "cld",
            "mov esp, offset {stack} + {stack_bytes}",
            // A processor without one of these would reset at its first use, in silence. EBX counts them.
            "mov ebp, ebx",
            "mov eax, 1",
            "cpuid",
            "not edx",
            "mov ebx, 0",
            "test edx, {features}",
            "jnz .Lfreestone_unfit",
            "rdtsc",
            "mov esi, eax",
            "mov edi, edx",
            "mov eax, 0x80000000",
            "cpuid",
            "mov ebx, 1",
            "cmp eax, 0x80000001",
            "jb .Lfreestone_unfit",
            "mov eax, 0x80000001",
            "cpuid",
            "mov ebx, 1",
            "bt edx, 29",
            "jnc .Lfreestone_unfit",
            "mov ebx, 2",
            "bt edx, 20",
            "jnc .Lfreestone_unfit",
            // The first GiB in 2 MiB pages: present, writable, huge. From the top down.
            "mov eax, 0x3fe00083",
            "mov ecx, 512",
            "2:",
            "mov dword ptr [ecx*8 + {tables} + 2*4096 - 8], eax",
            "sub eax, 0x200000",
            "dec ecx",
            "jnz 2b",
            "mov dword ptr [{tables} + 4096], offset {tables} + 2*4096 + 3",
            "mov dword ptr [{tables}], offset {tables} + 4096 + 3",
            "mov eax, {cr4}",
            "mov cr4, eax",
            "mov eax, offset {tables}",
            "mov cr3, eax",
            "mov ecx, 0xc0000080",
            "rdmsr",
            "or eax, {efer}",
            "wrmsr",
            "mov eax, {cr0}",
            "mov cr0, eax",
            "lgdt [.Lfreestone_gdt_pointer]",
            "push 8",
            "mov eax, offset .Lfreestone_long_mode",
            "push eax",
            "retf",

            // Says what is missing (EBX), on the debug port and the first serial port as its firmware left it, and
            // ends with the verdict of a crash. Xen shows the first and calls what follows a power-off. The texts
            // lie where calls return to, as each relocation would be another error of who forgets the linker script,
            // in front of the one that says so.
            ".Lfreestone_unfit:",
            "call .Lfreestone_unfit_print",
            ".asciz \"freestone cannot boot: this processor has no \"",
            ".asciz \"SSE2, PAE or cycle counter\"",
            ".asciz \"64-bit mode\"",
            ".asciz \"no-execute pages\"",
            ".Lfreestone_unfit_print:",
            "pop esi",
            "call 4f",
            "7:",
            "dec ebx",
            "js 9f",
            "8:",
            "lodsb",
            "test al, al",
            "jnz 8b",
            "jmp 7b",
            "9:",
            "call 4f",
            "call .Lfreestone_unfit_end",
            ".asciz \" (QEMU: -cpu max)\\n\"",
            ".Lfreestone_unfit_end:",
            "pop esi",
            "call 4f",
            "mov al, {crash}",
            "out {debug_exit}, al",
            "3:",
            "hlt",
            "jmp 3b",
            // Prints from ESI to a zero. The serial port gets 65,535 chances to be ready for a character.
            "4:",
            "lodsb",
            "test al, al",
            "jz 6f",
            "out 0xe9, al",
            "mov ah, al",
            "mov edx, 0x3fd",
            "mov ecx, 0xffff",
            "5:",
            "in al, dx",
            "test al, 0x20",
            "loopz 5b",
            "mov al, ah",
            "mov edx, 0x3f8",
            "out dx, al",
            "jmp 4b",
            "6:",
            "ret",

            ".code64",
            ".Lfreestone_long_mode:",
            // Nobody called this: debuggers end here.
            ".cfi_startproc simple",
            ".cfi_def_cfa rsp, 0; .cfi_undefined rip",
            "xor eax, eax",
            "mov ds, eax",
            "mov es, eax",
            "mov ss, eax",
            "mov fs, eax",
            "mov gs, eax",
            "fninit",
            "ldmxcsr [rip + .Lfreestone_mxcsr]",
            // Arguments: the image, start info, cycle counter. The upper halves of registers are
            // undefined after the switch, hence the 32-bit moves.
            "mov edx, edi",
            "shl rdx, 32",
            "mov esi, esi",
            "or rdx, rsi",
            "mov esi, ebp",
            "mov edi, offset freestone_image_start",
            "xor ebp, ebp",
            "call {start}",
            "ud2",
            ".cfi_endproc",

            // Who comes in here was told by nobody that this is a kernel. In ring 3 that is Linux:
            // write(2, message), exit(2). Elsewhere there is nothing to say it with.
            ".globl freestone_program_entry",
            "freestone_program_entry:",
            "mov eax, cs",
            "and eax, 3",
            "jz 3f",
            "mov eax, 1",
            "mov edi, 2",
            "lea rsi, [rip + .Lfreestone_message]",
            "mov edx, [rip + .Lfreestone_message_bytes]",
            "syscall",
            "mov eax, 60",
            "mov edi, 2",
            "syscall",
            "3:",
            "hlt",
            "jmp 3b",
            ".popsection",

            ".pushsection .rodata.freestone_entry, \"a\", @progbits",
            ".balign 8",
            ".Lfreestone_gdt:",
            ".quad 0, {code_segment}, {data_segment}",
            ".Lfreestone_gdt_pointer:",
            ".word . - .Lfreestone_gdt - 1",
            ".long .Lfreestone_gdt",
            ".balign 4",
            ".Lfreestone_mxcsr:",
            ".long {mxcsr}",
            ".Lfreestone_message:",
            ".ascii \"A Freestone kernel, no program: cargo freestone run boots it\\n\"",
            ".Lfreestone_message_bytes:",
            ".long . - .Lfreestone_message",
            ".popsection",
            stack = sym FREESTONE_BOOT_STACK,
            stack_bytes = const FREESTONE_STACK_BYTES + $crate::memory::PAGE_SIZE as usize,
            tables = sym $crate::x86_64::entry::BOOT_TABLES,
            cr4 = const $crate::x86_64::entry::CR4,
            cr0 = const $crate::x86_64::entry::CR0,
            efer = const $crate::x86_64::entry::EFER,
            features = const $crate::x86_64::entry::FEATURES,
            crash = const $crate::Exit::Crash.code(),
            debug_exit = const $crate::devices::pc::power::DEBUG_EXIT,
            mxcsr = const $crate::x86_64::cpu::MXCSR_DEFAULT,
            code_segment = const $crate::x86_64::trap::descriptors::CODE_SEGMENT,
            data_segment = const $crate::x86_64::trap::descriptors::DATA_SEGMENT,
            start = sym freestone_start,
        );
    };
}
