# The code of the EFI application that carries a kernel: from the firmware to the kernel's PVH entry.
#
# It stands in the tool as bytes, from `freestone_efi_start` to `freestone_efi_end`; `efi.rs` copies them into a file. So it is
# independent of its position, has no data of its own that it writes to, and no relocations. In order:
#
#   1. takes the memory that the kernel is linked at, and some for its own work below 1 GiB, where kernels can read it
#   2. copies the command line, finds ACPI's root pointer, and writes a PVH start info, version 1
#   3. has the firmware leave the machine, and makes the memory map of the firmware's last one
#   4. copies the kernel to its place, switches to 32-bit mode without paging, and jumps to it
#
# Until 3 is done, what goes wrong is told on the firmware's console, and the firmware goes on.
#
# Sources: UEFI 2.10, 2.3.4.2 (calls: RCX, RDX, R8, R9, 32 bytes of room, stack aligned to 16), 4.3 and 4.4 (tables), 7.2
# (memory), 7.4.6 (ExitBootServices); Intel SDM volume 3, 11.8.5.4 (leaving IA-32e mode); Xen, arch-x86/hvm/start_info.h.
#
# The payload, which efi.rs writes one page behind the first byte here, words of 64 bits:
#   0 kernel's first page   8 its pages   16 its entry   24 command line's place in the payload   32 its bytes, a zero at the end
#   40 number of parts      then for each: destination, place in the payload, bytes in the file, bytes of zeros behind them

.set PAYLOAD, 4096
# The work memory, by pages: start info; code of the last step; command line; memory map; the firmware's own.
.set CODE, 0x1000
.set LINE, 0x2000
.set MAP, 0x3000
.set RAW, 0x6000
.set RAW_BYTES, 0x10000
.set WORK_PAGES, 22
.set BELOW, 0x3fffffff
.set GDT_BYTES, 24
# Of entries of 24 bytes.
.set MOST_REGIONS, 512
# How often the firmware may change its mind about its memory while it leaves.
.set ATTEMPTS, 8

# Of the system table.
.set CON_OUT, 64
.set BOOT_SERVICES, 96
.set TABLES, 104
# Of the boot services.
.set ALLOCATE_PAGES, 40
.set GET_MEMORY_MAP, 56
.set EXIT_BOOT_SERVICES, 232
.set ANY_BELOW, 1
.set AT_ADDRESS, 2
.set LOADER_CODE, 1
.set LOADER_DATA, 2

# Among the tool's own code, so that a test can call a part of it.
.pushsection .text.freestone_efi, "ax", @progbits
.balign 16
.globl freestone_efi_start
freestone_efi_start:
    push rbx
    push rbp
    push rdi
    push rsi
    push r12
    push r13
    push r14
    push r15
    sub rsp, 0x78
    mov r12, rcx
    mov r13, rdx
    mov r14, [rdx + BOOT_SERVICES]
    lea rbx, [rip + freestone_efi_start]
    add rbx, PAYLOAD

    mov rax, [rbx]
    mov [rsp + 0x40], rax
    mov ecx, AT_ADDRESS
    mov edx, LOADER_DATA
    mov r8, [rbx + 8]
    lea r9, [rsp + 0x40]
    call [r14 + ALLOCATE_PAGES]
    lea rsi, [rip + 91f]
    test rax, rax
    jnz 90f
    # Code is copied there, so it must be memory that may be executed.
    mov qword ptr [rsp + 0x40], BELOW
    mov ecx, ANY_BELOW
    mov edx, LOADER_CODE
    mov r8d, WORK_PAGES
    lea r9, [rsp + 0x40]
    call [r14 + ALLOCATE_PAGES]
    lea rsi, [rip + 92f]
    test rax, rax
    jnz 90f
    mov rbp, [rsp + 0x40]

    # The start info: magic, version, and the rest zero.
    cld
    mov rdi, rbp
    xor eax, eax
    mov ecx, 16
    rep stosd
    mov dword ptr [rbp], 0x336ec578
    mov dword ptr [rbp + 4], 1
    lea rdi, [rbp + LINE]
    mov [rbp + 24], rdi
    mov rsi, [rbx + 24]
    add rsi, rbx
    mov rcx, [rbx + 32]
    rep movsb
    lea rdi, [rbp + CODE]
    lea rsi, [rip + 98f]
    lea rcx, [rip + 99f]
    sub rcx, rsi
    rep movsb

    # ACPI 2.0's table among the configuration tables: a GUID and an address each.
    mov rcx, [r13 + TABLES]
    mov rdx, [r13 + TABLES + 8]
    movabs r8, 0x11d3e4f18868e871
    movabs r9, 0x81883cc7800022bc
2:
    sub rcx, 1
    jb 3f
    cmp [rdx], r8
    jne 4f
    cmp [rdx + 8], r9
    jne 4f
    mov rax, [rdx + 16]
    mov [rbp + 32], rax
4:
    add rdx, 24
    jmp 2b
3:

    mov r15d, ATTEMPTS
5:
    mov qword ptr [rsp + 0x40], RAW_BYTES
    lea rcx, [rsp + 0x40]
    lea rdx, [rbp + RAW]
    lea r8, [rsp + 0x48]
    lea r9, [rsp + 0x50]
    lea rax, [rsp + 0x58]
    mov [rsp + 0x20], rax
    call [r14 + GET_MEMORY_MAP]
    lea rsi, [rip + 93f]
    test rax, rax
    jnz 90f
    mov rcx, r12
    mov rdx, [rsp + 0x48]
    call [r14 + EXIT_BOOT_SERVICES]
    test rax, rax
    jz 6f
    dec r15d
    jnz 5b
    # Nothing but these two calls is allowed any more: the firmware is told, and nobody else.
    jmp 96f
6:
    cli
    cld
    lea rdi, [rbp + MAP]
    lea rsi, [rbp + RAW]
    mov rdx, [rsp + 0x40]
    mov rcx, [rsp + 0x50]
    mov [rbp + 40], rdi
    call freestone_efi_map
    mov [rbp + 48], eax

    mov r8, [rbx + 40]
    lea r9, [rbx + 48]
7:
    sub r8, 1
    jb 8f
    mov rdi, [r9]
    mov rsi, [r9 + 8]
    add rsi, rbx
    mov rcx, [r9 + 16]
    rep movsb
    mov rcx, [r9 + 24]
    xor eax, eax
    rep stosb
    add r9, 32
    jmp 7b
8:
    mov rsi, [rbx + 16]
    mov rbx, rbp
    lea rax, [rbp + CODE]
    mov word ptr [rsp + 0x40], GDT_BYTES - 1
    mov [rsp + 0x42], rax
    lgdt [rsp + 0x40]
    add rax, GDT_BYTES
    jmp rax

# Prints RSI's text on the firmware's console, letter by letter as it takes 16 bits for each; returns EFI_LOAD_ERROR.
90:
    mov rdi, [r13 + CON_OUT]
    test rdi, rdi
    jz 96f
95:
    movzx eax, byte ptr [rsi]
    test al, al
    jz 96f
    inc rsi
    mov [rsp + 0x40], eax
    mov rcx, rdi
    lea rdx, [rsp + 0x40]
    call [rdi + 8]
    jmp 95b
96:
    movabs rax, 0x8000000000000001
    add rsp, 0x78
    pop r15
    pop r14
    pop r13
    pop r12
    pop rsi
    pop rdi
    pop rbp
    pop rbx
    ret
91: .asciz "this kernel cannot start: the firmware uses the memory that it is linked at\r\n"
92: .asciz "this kernel cannot start: there is no memory below 1 GiB\r\n"
93: .asciz "this kernel cannot start: the firmware does not tell its memory map\r\n"

# Makes regions of PVH's of the firmware's: RDI where to, RSI from, RDX their bytes, RCX the bytes of each. EAX: how many, or
# more than any kernel reads if they cannot all be told. Neighbours of a kind become one. Also called by a test, by System V's
# convention: it changes RAX, RCX, RDX, RSI, RDI and R8 to R11.
.balign 16
.globl freestone_efi_map
freestone_efi_map:
    xor eax, eax
    # A descriptor has at least 40 bytes.
    cmp rcx, 40
    jb 5f
2:
    sub rdx, rcx
    jb 6f
    mov r8d, [rsi]
    mov r9, [rsi + 8]
    mov r10, [rsi + 24]
    shl r10, 12
    add rsi, rcx
    mov r11d, 2
    cmp r8d, 16
    jae 3f
    lea r11, [rip + 7f]
    movzx r11d, byte ptr [r11 + r8]
3:
    test eax, eax
    jz 4f
    cmp [rdi - 8], r11d
    jne 4f
    mov r8, [rdi - 24]
    add r8, [rdi - 16]
    cmp r8, r9
    jne 4f
    add [rdi - 16], r10
    jmp 2b
4:
    cmp eax, MOST_REGIONS
    jae 5f
    mov [rdi], r9
    mov [rdi + 8], r10
    mov [rdi + 16], r11d
    mov dword ptr [rdi + 20], 0
    add rdi, 24
    inc eax
    jmp 2b
5:
    mov eax, 0xffffffff
6:
    ret
# Kinds of memory by the firmware's number, as ACPI has them: 1 usable (what belonged to the firmware's boot services and to this
# application is too, from now on), 2 reserved, 3 ACPI's tables, 4 ACPI's storage, 5 defective.
7: .byte 2, 1, 1, 1, 1, 2, 2, 1, 5, 3, 4, 2, 2, 2, 2, 2

# The last step, copied below 1 GiB: flat segments of 32 bits, and the code that enters them. RBX: start info, RSI: entry.
.balign 16
98: .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
    push 8
    lea rax, [rip + 2f]
    push rax
    retfq
.code32
2:
    mov eax, 16
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    mov ss, eax
    # Shadow stacks and process-context identifiers, if the firmware uses them, do not let paging go (CR4.CET, CR4.PCIDE).
    mov eax, cr4
    and eax, 0xff7dffff
    mov cr4, eax
    # Paging off, then long mode off: protection and the coprocessor stay.
    mov eax, 0x11
    mov cr0, eax
    mov ecx, 0xc0000080
    rdmsr
    and eax, 0xfffffeff
    wrmsr
    xor eax, eax
    mov cr4, eax
    jmp esi
.code64
99:

.globl freestone_efi_end
freestone_efi_end:
.popsection
