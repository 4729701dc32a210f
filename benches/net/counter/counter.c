/*
 * A plugin for QEMU's emulation: counts a guest's instructions and its accesses to devices, while it runs.
 *
 * The counts lie in a file that is mapped shared, so that another process reads them at any moment with read(2): the
 * guest need not be changed nor stopped, and no virtual clock is needed. The file is given as `out=PATH` and has
 * COUNTS words of 64 bits, in the order of the enumeration below. Each is written by the only vCPU there is.
 *
 * Debian ships plugin support in QEMU but not the header; the declarations below are the part of the API, version 1,
 * that is used here, as QEMU's manual describes it ("QEMU TCG Plugins", API).
 *
 * A counted instruction has begun to execute: one that faults and is repeated counts twice, each iteration of a
 * repeated string instruction once. A halted processor counts nothing.
 */

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_hwaddr;
typedef uint32_t mem_info;
enum { INLINE_ADD_U64 = 0 };
enum { CB_NO_REGS = 0 };
enum { MEM_R = 1, MEM_W = 2, MEM_RW = 3 };

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*cb)(plugin_id, struct qemu_plugin_tb *));
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
extern void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int op, void *ptr, uint64_t add);
extern void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
                                             void (*cb)(unsigned, mem_info, uint64_t, void *), int flags, int rw,
                                             void *data);
extern struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(mem_info info, uint64_t vaddr);
extern bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *addr);
extern uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *addr);
extern bool qemu_plugin_mem_is_store(mem_info info);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

enum { INSTRUCTIONS, DEVICE_WRITES, DEVICE_READS, APIC, COUNTS };

/* The local APIC's registers, where each PC has them (Intel's manual, volume 3, 11.4.1). */
#define APIC_BASE 0xfee00000ull
#define APIC_BYTES 0x1000

static volatile uint64_t *counts;

static void on_access(unsigned cpu, mem_info info, uint64_t vaddr, void *data)
{
    (void)cpu, (void)data;
    struct qemu_plugin_hwaddr *at = qemu_plugin_get_hwaddr(info, vaddr);
    if (!at || !qemu_plugin_hwaddr_is_io(at))
        return;
    uint64_t physical = qemu_plugin_hwaddr_phys_addr(at);
    if (physical >= APIC_BASE && physical < APIC_BASE + APIC_BYTES)
        counts[APIC]++;
    else
        counts[qemu_plugin_mem_is_store(info) ? DEVICE_WRITES : DEVICE_READS]++;
}

static void on_translation(plugin_id id, struct qemu_plugin_tb *block)
{
    (void)id;
    size_t length = qemu_plugin_tb_n_insns(block);
    for (size_t i = 0; i < length; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);
        qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD_U64, (void *)&counts[INSTRUCTIONS], 1);
        qemu_plugin_register_vcpu_mem_cb(insn, on_access, CB_NO_REGS, MEM_RW, NULL);
    }
}

__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info;
    const char *path = NULL;
    for (int i = 0; i < argc; i++)
        if (strncmp(argv[i], "out=", 4) == 0)
            path = argv[i] + 4;
    int fd = path ? open(path, O_RDWR | O_CREAT, 0644) : -1;
    if (fd < 0 || ftruncate(fd, COUNTS * sizeof *counts)) {
        fprintf(stderr, "counter: out=PATH cannot be written\n");
        return 1;
    }
    void *page = mmap(NULL, COUNTS * sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (page == MAP_FAILED)
        return 1;
    counts = page;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    return 0;
}
