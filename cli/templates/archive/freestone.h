/* libfreestone.a for C: what a compiler expects to find, without a C library.
 *
 * The declarations are those of ISO C23, 7.12, 7.24.3 and 7.26, and what POSIX (Bessel functions) and GNU (sincos,
 * lgamma_r) have beside them. The arithmetic that compilers call by themselves (__udivti3, __muldf3 and so on) needs
 * none. Every definition is weak: one of your own wins. Nothing sets errno or signgam.
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
#include "exports.h"
double nan(const char *payload);
float nanf(const char *payload);
void sincos(double x, double *sine, double *cosine);
void sincosf(float x, float *sine, float *cosine);

/* Those that compilers call for _Float16 and _Float128 (ISO C23, annex H), where C has these types. */
#define FREESTONE_NARROW_OR_WIDE(real, suffix)                                                               \
    real ceil##suffix(real), fabs##suffix(real), floor##suffix(real), nearbyint##suffix(real);               \
    real rint##suffix(real), round##suffix(real), roundeven##suffix(real), sqrt##suffix(real);               \
    real trunc##suffix(real), copysign##suffix(real, real), fdim##suffix(real, real);                        \
    real fmax##suffix(real, real), fmaximum##suffix(real, real), fmaximum_num##suffix(real, real);           \
    real fmin##suffix(real, real), fminimum##suffix(real, real), fminimum_num##suffix(real, real);           \
    real fmod##suffix(real, real), fma##suffix(real, real, real);
#if !defined(__cplusplus) && defined(__FLT16_MANT_DIG__)
FREESTONE_NARROW_OR_WIDE(_Float16, f16)
#endif
#if !defined(__cplusplus) && defined(__FLT128_MANT_DIG__)
FREESTONE_NARROW_OR_WIDE(_Float128, f128)
#endif
#undef FREESTONE_NARROW_OR_WIDE
#endif

#ifdef __cplusplus
}
#endif
#endif
