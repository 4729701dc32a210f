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
#define FREESTONE_UNARY(name) double name(double); float name##f(float);
FREESTONE_UNARY(acos) FREESTONE_UNARY(acosh) FREESTONE_UNARY(asin) FREESTONE_UNARY(asinh) FREESTONE_UNARY(atan)
FREESTONE_UNARY(atanh) FREESTONE_UNARY(cbrt) FREESTONE_UNARY(ceil) FREESTONE_UNARY(cos) FREESTONE_UNARY(cosh)
FREESTONE_UNARY(erf) FREESTONE_UNARY(erfc) FREESTONE_UNARY(exp) FREESTONE_UNARY(exp10) FREESTONE_UNARY(exp2)
FREESTONE_UNARY(expm1) FREESTONE_UNARY(fabs) FREESTONE_UNARY(floor) FREESTONE_UNARY(j0) FREESTONE_UNARY(j1)
FREESTONE_UNARY(lgamma) FREESTONE_UNARY(log) FREESTONE_UNARY(log10) FREESTONE_UNARY(log1p)
FREESTONE_UNARY(log2) FREESTONE_UNARY(logb) FREESTONE_UNARY(nearbyint) FREESTONE_UNARY(rint)
FREESTONE_UNARY(round) FREESTONE_UNARY(roundeven) FREESTONE_UNARY(sin) FREESTONE_UNARY(sinh)
FREESTONE_UNARY(sqrt) FREESTONE_UNARY(tan) FREESTONE_UNARY(tanh) FREESTONE_UNARY(tgamma) FREESTONE_UNARY(trunc)
FREESTONE_UNARY(y0) FREESTONE_UNARY(y1)
#undef FREESTONE_UNARY
#define FREESTONE_BINARY(name) double name(double, double); float name##f(float, float);
FREESTONE_BINARY(atan2) FREESTONE_BINARY(copysign) FREESTONE_BINARY(fdim) FREESTONE_BINARY(fmax)
FREESTONE_BINARY(fmaximum) FREESTONE_BINARY(fmaximum_num) FREESTONE_BINARY(fmin) FREESTONE_BINARY(fminimum)
FREESTONE_BINARY(fminimum_num) FREESTONE_BINARY(fmod) FREESTONE_BINARY(hypot) FREESTONE_BINARY(nextafter)
FREESTONE_BINARY(pow) FREESTONE_BINARY(remainder)
#undef FREESTONE_BINARY
/* With something else than the function's own type in them: once for double, once for float. */
#define FREESTONE_MIXED(real, suffix)                                                                        \
    real fma##suffix(real, real, real);                                                                      \
    real frexp##suffix(real, int *exponent);                                                                 \
    int ilogb##suffix(real);                                                                                 \
    real jn##suffix(int order, real);                                                                        \
    real yn##suffix(int order, real);                                                                        \
    real ldexp##suffix(real, int exponent);                                                                  \
    real scalbn##suffix(real, int exponent);                                                                 \
    real scalbln##suffix(real, long exponent);                                                               \
    real lgamma##suffix##_r(real, int *sign);                                                                \
    long lrint##suffix(real);                                                                                \
    long lround##suffix(real);                                                                               \
    long long llrint##suffix(real);                                                                          \
    long long llround##suffix(real);                                                                         \
    real modf##suffix(real, real *whole);                                                                    \
    real nan##suffix(const char *payload);                                                                   \
    real remquo##suffix(real, real, int *quotient);                                                          \
    void sincos##suffix(real, real *sine, real *cosine);
FREESTONE_MIXED(double, )
FREESTONE_MIXED(float, f)
#undef FREESTONE_MIXED

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
