/* Berkeley SoftFloat 3 under the names and with the calling convention that compilers use, so that it is
   called as the others are. With its library for Linux-x86_64-GCC built with -fPIC:

   cc -O2 -shared -fPIC -DSOFTFLOAT_FAST_INT64 -I SOFTFLOAT/source/include softfloat.c SOFTFLOAT/build/Linux-x86_64-GCC/softfloat.a \
      -o softfloat.so
   SOFTFLOAT=$PWD/softfloat.so cargo run --release -p freestone-benches --bin math */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "softfloat.h"

#define FORMAT(type, soft, into, from)                                                       \
    static inline soft into(type x) { soft s; memcpy(&s, &x, sizeof s); return s; }          \
    static inline type from(soft s) { type x; memcpy(&x, &s, sizeof x); return x; }
FORMAT(float, float32_t, i32, o32)
FORMAT(double, float64_t, i64, o64)
FORMAT(__float128, float128_t, i128, o128)

#define TWO(name, type, n, op) type name(type a, type b) { return o##n(f##n##_##op(i##n(a), i##n(b))); }
#define ALL(type, n, letters)                                                                \
    TWO(__add##letters##3, type, n, add)                                                     \
    TWO(__sub##letters##3, type, n, sub)                                                     \
    TWO(__mul##letters##3, type, n, mul)                                                     \
    TWO(__div##letters##3, type, n, div)                                                     \
    long __lt##letters##2(type a, type b) {                                                  \
        return f##n##_lt(i##n(a), i##n(b)) ? -1 : f##n##_eq(i##n(a), i##n(b)) ? 0 : 1;       \
    }                                                                                        \
    int __fix##letters##si(type a) { return f##n##_to_i32_r_minMag(i##n(a), false); }        \
    long __fix##letters##di(type a) { return f##n##_to_i64_r_minMag(i##n(a), false); }       \
    type __floatsi##letters(int a) { return o##n(i32_to_f##n(a)); }                          \
    type __floatdi##letters(long a) { return o##n(i64_to_f##n(a)); }
ALL(float, 32, sf)
ALL(double, 64, df)
ALL(__float128, 128, tf)

__float128 sqrtf128(__float128 a) { return o128(f128_sqrt(i128(a))); }
__float128 fmaf128(__float128 a, __float128 b, __float128 c) {
    return o128(f128_mulAdd(i128(a), i128(b), i128(c)));
}
double __extendsfdf2(float a) { return o64(f32_to_f64(i32(a))); }
float __truncdfsf2(double a) { return o32(f64_to_f32(i64(a))); }
__float128 __extenddftf2(double a) { return o128(f64_to_f128(i64(a))); }
double __trunctfdf2(__float128 a) { return o64(f128_to_f64(i128(a))); }
