/* libfreestone.a for C: what a compiler expects to find, without a C library.
 *
 * The declarations are those of ISO C11, 7.12, 7.22.3 and 7.24. The arithmetic that compilers call by themselves
 * (__udivti3, __muldf3 and so on) needs none. Every definition is weak: one of your own wins.
 */
#ifndef FREESTONE_H
#define FREESTONE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

void *memcpy(void *destination, const void *source, size_t bytes);
void *memmove(void *destination, const void *source, size_t bytes);
void *memset(void *destination, int byte, size_t bytes);
int memcmp(const void *left, const void *right, size_t bytes);
int bcmp(const void *left, const void *right, size_t bytes);
size_t strlen(const char *text);

/* A heap of constant time (TLSF) behind a spin lock. It has no memory but what it is given; until then
 * malloc answers NULL. Not to be called by an interrupt handler: it would wait for the code it interrupted. */
size_t freestone_heap_add(void *start, size_t bytes); /* gives bytes that nobody else uses; how many serve */
void *malloc(size_t bytes);
void *calloc(size_t count, size_t bytes);
void *realloc(void *block, size_t bytes);
void free(void *block);
void *aligned_alloc(size_t alignment, size_t bytes);
size_t malloc_usable_size(void *block);

/* Not where the compiler may not pass floats in registers, as with -mgeneral-regs-only. */
#if !defined(__x86_64__) || defined(__SSE2__)
#define FREESTONE_UNARY(name) double name(double); float name##f(float);
FREESTONE_UNARY(acos) FREESTONE_UNARY(asin) FREESTONE_UNARY(atan) FREESTONE_UNARY(cbrt)
FREESTONE_UNARY(ceil) FREESTONE_UNARY(cos) FREESTONE_UNARY(cosh) FREESTONE_UNARY(exp)
FREESTONE_UNARY(exp2) FREESTONE_UNARY(expm1) FREESTONE_UNARY(fabs) FREESTONE_UNARY(floor)
FREESTONE_UNARY(log) FREESTONE_UNARY(log10) FREESTONE_UNARY(log1p) FREESTONE_UNARY(log2)
FREESTONE_UNARY(rint) FREESTONE_UNARY(round) FREESTONE_UNARY(sin) FREESTONE_UNARY(sinh)
FREESTONE_UNARY(sqrt) FREESTONE_UNARY(tan) FREESTONE_UNARY(tanh) FREESTONE_UNARY(trunc)
#undef FREESTONE_UNARY
#define FREESTONE_BINARY(name) double name(double, double); float name##f(float, float);
FREESTONE_BINARY(atan2) FREESTONE_BINARY(copysign) FREESTONE_BINARY(fdim) FREESTONE_BINARY(fmax)
FREESTONE_BINARY(fmin) FREESTONE_BINARY(fmod) FREESTONE_BINARY(hypot) FREESTONE_BINARY(pow)
#undef FREESTONE_BINARY
double fma(double, double, double);
float fmaf(float, float, float);
#endif

#ifdef __cplusplus
}
#endif
#endif
