/* A kernel in C on libfreestone.a: the compiler's arithmetic and the memory routines come from there, and
 * nothing else: no libgcc, no C library. It computes what it can check, prints, and ends with a verdict.
 *
 * Built with -ffreestanding -mno-red-zone -mgeneral-regs-only by tests/archive.rs. */

#include "freestone.h"

typedef unsigned __int128 u128;
typedef __int128 i128;

/* PAE; and OSFXSR, without which code of the host's ABI faults. The soft ABI's must do without. */
#ifdef SSE
#define CR4 "0x220"
#else
#define CR4 "0x20"
#endif

__asm__(
    ".pushsection .note.Xen, \"a\", @note\n"
    "    .long 4, 8, 18\n"
    "    .asciz \"Xen\"\n"
    "    .quad entry\n"
    ".popsection\n"
    ".pushsection .text.entry, \"ax\"\n"
    ".code32\n"
    ".globl entry\n"
    "entry:\n"
    "    mov $stack_top, %esp\n"
    /* One GiB in one page, by way of three entries. */
    "    movl $(middle_table + 3), top_table\n"
    "    movl $0x83, middle_table\n"
    "    mov $" CR4 ", %eax\n"
    "    mov %eax, %cr4\n"
    "    mov $top_table, %eax\n"
    "    mov %eax, %cr3\n"
    "    mov $0xc0000080, %ecx\n"
    "    rdmsr\n"
    "    or $0x100, %eax\n"
    "    wrmsr\n"
    "    mov $0x80000011, %eax\n"
    "    mov %eax, %cr0\n"
    "    lgdt gdt_pointer\n"
    "    ljmp $8, $long_mode\n"
    ".code64\n"
    "long_mode:\n"
    "    call kernel\n"
    "    ud2\n"
    ".balign 8\n"
    "gdt: .quad 0, 0x00af9b000000ffff\n"
    "gdt_pointer: .word 15\n"
    "    .long gdt\n"
    ".popsection\n"
    ".pushsection .bss.entry, \"aw\", @nobits\n"
    ".balign 4096\n"
    "top_table: .skip 4096\n"
    "middle_table: .skip 4096\n"
    "    .skip 16384\n"
    "stack_top:\n"
    ".popsection\n");

static void out(unsigned short port, unsigned char byte)
{
    __asm__ volatile("outb %0, %1" : : "a"(byte), "Nd"(port));
}

static void print(const char *text)
{
    for (size_t i = 0; i < strlen(text); i++)
        out(0x3f8, text[i]);
}

static int failures;

static void expect(int is_right, const char *what)
{
    print(is_right ? "right: " : "WRONG: ");
    print(what);
    print("\n");
    failures += !is_right;
}

/* Kept from the compiler's eyes, or it would compute all of this itself. */
static volatile unsigned long long seven = 7;

#ifdef OWN_STRLEN
/* A kernel's own definition wins over the archive's. */
static int own_calls;
size_t strlen(const char *text)
{
    size_t length = 0;
    own_calls++;
    while (text[length])
        length++;
    return length;
}
#endif

void kernel(void)
{
    char bytes[300], others[300];
    u128 wide = ((u128)seven << 100) + 12345;
    i128 negative = -(i128)wide;

    memset(bytes, 0xa5, sizeof bytes);
    memcpy(others, bytes, sizeof others);
    expect(memcmp(bytes, others, sizeof bytes) == 0, "memset, memcpy, memcmp");
    for (int i = 0; i < 300; i++)
        bytes[i] = (char)i;
    memmove(bytes + 3, bytes, 200);
    expect(bytes[3] == 0 && bytes[202] == (char)199 && bytes[203] == (char)203, "memmove");
    others[0] = bytes[0] = 1;
    expect(memcmp("\x80", "\x7f", 1) > 0, "memcmp is unsigned");
    expect(wide / seven == ((u128)1 << 100) + 1763 && wide % seven == 4, "__udivti3, __umodti3");
    expect(negative / (i128)seven == -(i128)(((u128)1 << 100) + 1763), "__divti3");
    expect(negative % (i128)seven == -4, "__modti3");
    expect(__builtin_popcountll(seven << 60 | seven) == 6, "__popcountdi2");
    static char pool[65536];
    expect(malloc(1) == NULL, "no memory, no block");
    expect(freestone_heap_add(pool, sizeof pool) > 60000, "freestone_heap_add");
    char *block = malloc(1000), *other = aligned_alloc(4096, 4096);
    expect(block && ((size_t)block & 15) == 0 && malloc_usable_size(block) >= 1000, "malloc");
    expect(other && ((size_t)other & 4095) == 0, "aligned_alloc");
    block[999] = 42;
    block = realloc(block, 20000);
    expect(block && block[999] == 42, "realloc");
    free(block);
    free(other);
    char *zeroes = calloc(100, 100);
    expect(zeroes && zeroes[0] == 0 && memcmp(zeroes, zeroes + 1, 9999) == 0, "calloc");
    expect(calloc(~(size_t)0, 16) == NULL && malloc(1 << 20) == NULL, "too much is refused");
#ifdef OWN_STRLEN
    expect(own_calls > 0, "its own strlen");
#endif
    print(failures ? "VERDICT: failure\n" : "VERDICT: success\n");
    out(0xf4, failures ? 0x11 : 0x10);
    for (;;)
        __asm__ volatile("pause");
}
