/*
 * Random reads of 4 KiB from /dev/vda with O_DIRECT, on request.
 *
 * One connection is one run: the client sends `read DEPTH COUNT\n`, the service keeps DEPTH reads in flight until
 * COUNT are done, and answers `ok NANOSECONDS\n`, or `bad BLOCK\n` if a block does not begin with its own number. Depth
 * 1 uses pread(2), one system call a read (not compared with a ring); greater depths use io_uring with registered
 * file and buffers, where one io_uring_enter(2) submits all that was completed and waits for the next.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <linux/fs.h>

#include "guest.h"

#define BLOCK 4096
#define DEPTHS 64 /* the greatest depth */

static int disk;
static uint64_t blocks, state;
static char *buffers;

/* Marsaglia's xorshift with 13, 7, 17: the block numbers that the README asks every guest to read. */
static uint64_t next_block(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % blocks;
}

/* The ring's shared words and arrays, as io_uring_setup(2) lays them out. */
static struct {
    int fd;
    _Atomic unsigned *sq_tail, *cq_head, *cq_tail;
    unsigned sq_mask, cq_mask, *sq_array;
    struct io_uring_sqe *entries;
    struct io_uring_cqe *completions;
} ring;

static void make_ring(void)
{
    struct io_uring_params params = { 0 };
    ring.fd = syscall(SYS_io_uring_setup, DEPTHS, &params);
    if (ring.fd < 0)
        fail("io_uring_setup");
    size_t sq_bytes = params.sq_off.array + params.sq_entries * sizeof(unsigned);
    size_t cq_bytes = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
    char *sq = mmap(NULL, sq_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_SQ_RING);
    char *cq = mmap(NULL, cq_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_CQ_RING);
    ring.entries = mmap(NULL, params.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_SQES);
    if (sq == MAP_FAILED || cq == MAP_FAILED || ring.entries == MAP_FAILED)
        fail("the ring's memory");
    ring.sq_tail = (void *)(sq + params.sq_off.tail);
    ring.sq_mask = *(unsigned *)(sq + params.sq_off.ring_mask);
    ring.sq_array = (unsigned *)(sq + params.sq_off.array);
    ring.cq_head = (void *)(cq + params.cq_off.head);
    ring.cq_tail = (void *)(cq + params.cq_off.tail);
    ring.cq_mask = *(unsigned *)(cq + params.cq_off.ring_mask);
    ring.completions = (void *)(cq + params.cq_off.cqes);

    struct iovec memory = { buffers, DEPTHS * BLOCK };
    if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &memory, 1)
        || syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, &disk, 1))
        fail("io_uring_register");
}

static uint64_t asked[DEPTHS]; /* which block each buffer waits for */

static void queue_read(unsigned slot)
{
    asked[slot] = next_block();
    unsigned tail = atomic_load_explicit(ring.sq_tail, memory_order_relaxed), at = tail & ring.sq_mask;
    ring.entries[at] = (struct io_uring_sqe){
        .opcode = IORING_OP_READ_FIXED,
        .flags = IOSQE_FIXED_FILE,
        .fd = 0,
        .off = asked[slot] * BLOCK,
        .addr = (uintptr_t)(buffers + slot * BLOCK),
        .len = BLOCK,
        .user_data = slot,
    };
    ring.sq_array[at] = at;
    atomic_store_explicit(ring.sq_tail, tail + 1, memory_order_release);
}

/* Whether the buffer holds the block that was asked for. */
static int is_right(unsigned slot)
{
    uint64_t number;
    memcpy(&number, buffers + slot * BLOCK, sizeof number);
    return number == asked[slot];
}

/* Both return the number of a slot whose block was wrong, or -1. */
static int read_in_turn(uint64_t count)
{
    for (; count > 0; count--) {
        asked[0] = next_block();
        if (pread(disk, buffers, BLOCK, asked[0] * BLOCK) != BLOCK || !is_right(0))
            return 0;
    }
    return -1;
}

static int read_at_depth(unsigned depth, uint64_t count)
{
    uint64_t queued = 0, done = 0;
    unsigned to_submit = 0;
    int wrong = -1;
    for (; queued < depth && queued < count; queued++, to_submit++)
        queue_read(queued);
    while (done < queued) {
        if (syscall(SYS_io_uring_enter, ring.fd, to_submit, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0 && errno != EINTR)
            fail("io_uring_enter");
        to_submit = 0;
        unsigned head = atomic_load_explicit(ring.cq_head, memory_order_relaxed);
        unsigned tail = atomic_load_explicit(ring.cq_tail, memory_order_acquire);
        for (; head != tail; head++, done++) {
            struct io_uring_cqe *entry = &ring.completions[head & ring.cq_mask];
            unsigned slot = entry->user_data;
            if (entry->res != BLOCK || !is_right(slot))
                wrong = slot;
            if (queued < count && wrong < 0) {
                queue_read(slot);
                queued++;
                to_submit++;
            }
        }
        atomic_store_explicit(ring.cq_head, head, memory_order_release);
    }
    return wrong;
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ull + time.tv_nsec;
}

void serve_disk(uint16_t port)
{
    uint64_t bytes = 0;
    disk = open("/dev/vda", O_RDONLY | O_DIRECT);
    if (disk < 0 || ioctl(disk, BLKGETSIZE64, &bytes))
        fail("/dev/vda");
    blocks = bytes / BLOCK;
    buffers = aligned_alloc(BLOCK, DEPTHS * BLOCK);
    if (!buffers)
        fail("memory");
    memset(buffers, 0, DEPTHS * BLOCK);
    make_ring();
    for (int door = listener(port, 0);;) {
        int fd = accept(door, NULL, NULL);
        char line[64] = "", reply[64];
        unsigned depth = 0;
        unsigned long long count = 0;
        if (recv(fd, line, sizeof line - 1, 0) <= 0 || sscanf(line, "read %u %llu", &depth, &count) != 2
            || depth == 0 || depth > DEPTHS) {
            close(fd);
            continue;
        }
        state = 0x9e3779b97f4a7c15; /* any odd constant; the README names it */
        uint64_t start = now();
        int wrong = depth == 1 ? read_in_turn(count) : read_at_depth(depth, count);
        uint64_t took = now() - start;
        int length = wrong < 0 ? snprintf(reply, sizeof reply, "ok %llu\n", (unsigned long long)took)
                               : snprintf(reply, sizeof reply, "bad %llu\n", (unsigned long long)asked[wrong]);
        send(fd, reply, length, MSG_NOSIGNAL);
        close(fd);
    }
}
