#!/usr/bin/env python3
"""Writes src/libm/tables.rs: every table and polynomial of the mathematical functions.

    python3 math/tools/tables.py            writes the file
    python3 math/tools/tables.py --check    fails if the file is not what would be written

Needs mpmath (`pip install mpmath`), nothing else. Polynomials are least-squares fits over Chebyshev's nodes, weighted so
that the relative error of the whole function is about the same everywhere: close to the best possible. The
coefficients are rounded to f64 one after the other, lowest first, and the rest are fitted again each time.
Each table says in a comment what it approximates, where, and how well.
"""

import sys
from pathlib import Path

from mpmath import mp, mpf

mp.prec = 400
TARGET = Path(__file__).resolve().parent.parent / "src" / "libm" / "tables.rs"

HEADER = """\
//! Tables and polynomials, written by `tools/tables.py`; edit that instead.

// Constants near well-known ones are the well-known ones, rounded on purpose.
#![allow(clippy::approx_constant, clippy::excessive_precision)]
#![cfg_attr(rustfmt, rustfmt_skip)]
"""


def double(value):
    """The f64 nearest to an mpf."""
    return mpf(float(value))


def literal(value):
    text = repr(float(value))
    return text if any(c in text for c in ".en") else text + ".0"


def grid(value, bits):
    """Rounded to a multiple of 2^-bits."""
    return mp.nint(mp.ldexp(value, bits)) / mp.ldexp(1, bits)


def fit(function, low, high, count, weight):
    """Coefficients, lowest first, of a polynomial with `count` terms close to `function`."""
    low, high = mpf(low), mpf(high)
    size = 8 * count
    nodes = [
        (low + high) / 2 + (high - low) / 2 * mp.cos(mp.pi * (2 * k + 1) / (2 * size))
        for k in range(size)
    ]
    weights = [abs(weight(x, mpf(1))) ** 2 for x in nodes]
    left = [function(x) for x in nodes]
    # Least squares over nodes that lie as Chebyshev's.
    moments = [
        sum(w * x**power for w, x in zip(weights, nodes)) for power in range(2 * count)
    ]
    coefficients = []
    for done in range(count):
        terms = count - done
        matrix = mp.matrix(terms, terms)
        right = mp.matrix(terms, 1)
        for i in range(terms):
            for j in range(terms):
                matrix[i, j] = moments[2 * done + i + j]
            right[i] = sum(
                w * y * x ** (done + i) for w, x, y in zip(weights, nodes, left)
            )
        rounded = double(mp.lu_solve(matrix, right)[0])
        coefficients.append(rounded)
        left = [y - rounded * x**done for x, y in zip(nodes, left)]
    return coefficients


def polynomial(name, what, function, low, high, count, relative):
    """One polynomial as Rust. `relative(x, error)` turns its error into that of the function."""
    coefficients = fit(function, low, high, count, relative)
    worst = mpf(0)
    for i in range(401):
        x = mpf(low) + (mpf(high) - mpf(low)) * i / 400
        if x == 0:
            continue
        value = mp.polyval(coefficients[::-1], x)
        worst = max(worst, abs(relative(x, value - function(x))))
    bound = f"2^{float(mp.log(worst, 2)):.1f}"
    span = f"{float(low):.4g} to {float(high):.4g}"
    lines = [f"/// {what}, for {span}; relative error of the function {bound}."]
    lines.append(f"pub const {name}: [f64; {count}] = [")
    lines += [f"    {literal(c)}," for c in coefficients]
    lines.append("];")
    return "\n".join(lines)


def constant(name, what, value):
    return f"/// {what}.\npub const {name}: f64 = {literal(value)};"


def parts(name, what, value, bits):
    """A number as a multiple of 2^-bits, and the rest as an f64."""
    high = grid(value, bits)
    return "\n".join(
        [
            constant(f"{name}_HIGH", f"{what}, as a multiple of 2^-{bits}", high),
            constant(f"{name}_LOW", "And the rest", value - high),
        ]
    )


def pair(name, what, value):
    high = double(value)
    return "\n".join(
        [
            constant(name, what, high),
            constant(f"{name}_TAIL", "And the rest", value - high),
        ]
    )


def table(name, what, kind, rows):
    lines = [f"/// {what}."]
    lines.append(f"pub static {name}: [{kind}; {len(rows)}] = [")
    lines += [f"    {row}," for row in rows]
    lines.append("];")
    return "\n".join(lines)


def tuples(rows):
    return ["(" + ", ".join(literal(v) for v in row) + ")" for row in rows]


# ---- Powers: 2^(i/128), and b^r near 0.

STEPS = 128
LN2, LOG2_10, LN10 = mp.log(2), mp.log(10, 2), mp.log(10)


def powers():
    rows = []
    for i in range(STEPS):
        exact = mp.power(2, mpf(i) / STEPS)
        near = double(exact)
        rows.append((near, exact / near - 1))
    yield table(
        "POWERS",
        "2^(i/128) rounded, and by what factor less 1 it must be multiplied to be right",
        "(f64, f64)",
        tuples(rows),
    )
    slack = mpf("1.01")
    r = LN2 / (2 * STEPS) * slack
    yield polynomial(
        "EXP", "(e^r - 1 - r) / r²", lambda x: (mp.expm1(x) - x) / x**2, -r, r, 4,
        lambda x, e: e * x * x,
    )
    r = slack / (2 * STEPS)
    yield polynomial(
        "EXP2", "(2^r - 1) / r", lambda x: mp.expm1(x * LN2) / x, -r, r, 5, lambda x, e: e * x
    )
    r = slack / (2 * STEPS * LOG2_10)
    yield polynomial(
        "EXP10", "(10^r - 1) / r", lambda x: mp.expm1(x * LN10) / x, -r, r, 5, lambda x, e: e * x
    )
    yield polynomial(
        "QUICK_POWER", "(2^(r/128) - 1) / r", lambda x: mp.expm1(x * LN2 / STEPS) / x,
        -slack / 2, slack / 2, 3, lambda x, e: e * x,
    )
    r = mpf(1) / 16
    yield polynomial(
        "EXPM1", "(e^x - 1 - x - x²/2) / x³", lambda x: (mp.expm1(x) - x - x * x / 2) / x**3, -r, r, 7,
        lambda x, e: e * x * x,
    )
    yield constant("STEPS_PER_E", "128 / ln 2", STEPS / LN2)
    yield parts("E_PER_STEP", "ln 2 / 128", LN2 / STEPS, 42)
    yield constant("STEPS_PER_10", "128 · log2 10", STEPS * LOG2_10)
    yield parts("TEN_PER_STEP", "log10 2 / 128", 1 / (STEPS * LOG2_10), 43)


# ---- Logarithms: x = 2^k m, log x = k log 2 + log c + log(1 + r), r = m / c - 1.

CELL = 1 << 45
# m lies between START and 2 START; 1 lies in a cell of its own, as far from both ends of it as can be: a
# cell above 1 is twice as wide as one below.
START = 0x3FF0000000000000 - 46 * CELL + CELL // 3 - (CELL // 3) % (1 << 32)
INVERSE_BITS = 12


def from_bits(bits):
    import struct

    return mpf(struct.unpack("<d", struct.pack("<Q", bits))[0])


def logarithms():
    cells, reach, low = [], mpf(0), mpf(0)
    # Cells by bits, from START on; the index is taken from bits 45 to 51 of the difference.
    for i in range(128):
        a = from_bits(START + i * CELL)
        b = from_bits(START + (i + 1) * CELL)
        inverse = mpf(1) if a < 1 < b else grid(2 / (a + b), INVERSE_BITS)
        reach = max(reach, a * inverse - 1, b * inverse - 1)
        low = min(low, a * inverse - 1, b * inverse - 1)
        cells.append(inverse)
    assert from_bits(START + 128 * CELL) == 2 * from_bits(START)
    assert sum(c == 1 for c in cells) == 1
    rows = []
    for inverse in cells:
        value = -mp.log(inverse)
        high = grid(value, 42)
        rows.append((inverse, high, value - high, value))
    yield "/// Bits of the smallest m; x = 2^k m with m from there to twice that.\n" + (
        f"pub const START: u64 = {START:#x};"
    )
    yield table(
        "LOGS",
        "1/c as a multiple of 2^-12, -ln(1/c) as a multiple of 2^-42, the rest, and both rounded",
        "(f64, f64, f64, f64)",
        tuples(rows),
    )
    rows = []
    for inverse in cells:
        value = -mp.log(inverse, 2)
        high = grid(value, 42)
        rows.append((high, value - high))
    yield table(
        "LOGS2", "-log2(1/c) as a multiple of 2^-42, and the rest", "(f64, f64)", tuples(rows)
    )
    ends = (low, reach)
    natural = lambda x: (mp.log1p(x) - x + x * x / 2) / x**3
    yield polynomial(
        "LN", "(ln(1 + r) - r + r²/2) / r³", natural, *ends, 5, lambda x, e: e * x * x
    )
    yield polynomial(
        "LN_LONG", "(ln(1 + r) - r + r²/2) / r³", natural, *ends, 6, lambda x, e: e * x * x
    )
    yield polynomial(
        "LOG2", "(log2(1 + r) - r / ln 2) / r²", lambda x: (mp.log(1 + x, 2) - x / LN2) / x**2,
        *ends, 6, lambda x, e: e * x * LN2,
    )
    yield polynomial(
        "QUICK_LN", "(ln(1 + r) - r) / r²", lambda x: (mp.log1p(x) - x) / x**2, *ends, 3,
        lambda x, e: e * x,
    )
    yield polynomial(
        "QUICK_LOG2", "log2(1 + r) / r", lambda x: mp.log(1 + x, 2) / x, *ends, 5,
        lambda x, e: e * LN2,
    )
    yield parts("LN_2", "ln 2", LN2, 42)
    yield parts("LOG2_E", "1 / ln 2", 1 / LN2, 22)
    yield constant("LOG10_E", "1 / ln 10", 1 / LN10)
    yield constant("LOG10_E_TAIL", "And the rest", 1 / LN10 - double(1 / LN10))


# ---- Circles.


def circles():
    quarter = (mp.pi / 4 * mpf("1.0001")) ** 2

    def sine(z):
        x = mp.sqrt(z)
        return (mp.sin(x) - x) / (x * z)

    def cosine(z):
        return (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2

    yield polynomial(
        "SIN", "(sin x - x) / x³ in z = x²", sine, 0, quarter, 6,
        lambda z, e: e * z**1.5 / mp.sin(mp.sqrt(z)),
    )
    yield polynomial(
        "COS", "(cos x - 1 + x²/2) / x⁴ in z = x²", cosine, 0, quarter, 6,
        lambda z, e: e * z**2 / mp.cos(mp.sqrt(z)),
    )

    def from_one(z):
        return (mp.cos(mp.sqrt(z)) - 1) / z

    both = [
        fit(sine, 0, quarter, 6, lambda z, e: e * z**1.5 / mp.sin(mp.sqrt(z))),
        fit(from_one, 0, quarter, 6, lambda z, e: e * z / mp.cos(mp.sqrt(z))),
    ]
    yield table(
        "CURVES", "(sin x - x) / x³ and (cos x - 1) / x² in z = x²", "[f64; 6]",
        ["[" + ", ".join(literal(c) for c in row) + "]" for row in both],
    )

    def arcsine(z):
        x = mp.sqrt(z)
        return (mp.asin(x) - x) / (x * z)

    yield polynomial(
        "ASIN", "(asin x - x) / x³ in z = x²", arcsine, 0, mpf("0.25"), 13, lambda z, e: e * z
    )

    def arctangent(z):
        x = mp.sqrt(z)
        return (mp.atan(x) - x) / (x * z)

    yield polynomial(
        "ATAN", "(atan x - x) / x³ in z = x²", arctangent, 0, mpf("0.0635") ** 2, 6,
        lambda z, e: e * z,
    )
    # An f32's exponent and two bits of its fraction, from 1/16 to 16.
    reach, rows = mpf(0), [(mpf(1), mpf(0), mpf(0), mpf(0))]
    for i in range(32):
        low = mp.ldexp(4 + i % 4, i // 4 - 6)
        high = mp.ldexp(5 + i % 4, i // 4 - 6)
        c = mp.tan((mp.atan(low) + mp.atan(high)) / 2)
        c = grid(c, 6 - i // 4 + 4)
        reach = max(reach, *(abs((x - c) / (1 + x * c)) for x in (low, high)))
        value = mp.atan(c)
        rows.append((mpf(1), c, double(value), value - double(value)))
    value = mp.pi / 2
    rows.append((mpf(0), mpf(1), double(value), value - double(value)))
    assert reach < mpf("0.0635")
    yield "/// Bits 21 and up of 1/16, less 1.\n" + f"pub const ATAN_START: u32 = {(123 << 2) - 1};"
    yield table(
        "ATAN_CELLS",
        "1, c, atan c rounded, and the rest, with a c for each fourth of an octave from 1/16 to 16; 0 below; 0, 1 and "
        "π/2 above",
        "(f64, f64, f64, f64)",
        tuples(rows),
    )
    rows = []
    for i in range(9):
        value = mp.atan(mpf(i) / 8)
        rows.append((double(value), value - double(value)))
    yield table("ATANS", "atan(i/8) rounded, and the rest", "(f64, f64)", tuples(rows))
    yield pair("PI", "π", mp.pi)
    yield pair("HALF_PI", "π/2", mp.pi / 2)
    yield constant("QUARTERS_PER_RADIAN", "2/π", 2 / mp.pi)
    yield parts("QUARTER", "π/2", mp.pi / 2, 32)
    words = ["0"]
    rest = 2 / mp.pi
    with mp.workprec(700):
        rest = 2 / +mp.pi
        for _ in range(5):
            rest *= mpf(2) ** 64
            word = int(mp.floor(rest))
            words.append(f"{word:#018x}")
            rest -= word
    yield (
        "/// 64 zeros, then the first bits of 2/π behind the point.\n"
        "pub static TWO_OVER_PI: [u64; 6] = [\n" + "".join(f"    {w},\n" for w in words) + "];"
    )


# ---- Hyperbolas.


def hyperbolas():
    def sine(z):
        x = mp.sqrt(z)
        return (mp.sinh(x) - x) / (x * z)

    def tangent(z):
        x = mp.sqrt(z)
        return (mp.tanh(x) - x) / (x * z)

    yield polynomial(
        "SINH", "(sinh x - x) / x³ in z = x²", sine, 0, mpf("0.26"), 6, lambda z, e: e * z
    )
    yield polynomial(
        "TANH", "(tanh x - x) / x³ in z = x²", tangent, 0, mpf("0.0676"), 9, lambda z, e: e * z
    )


# ---- The error function.


def errors():
    # Where the first coefficient happens to be near an f64.
    middle = mpf("2.25")
    at = lambda x: (mpf(x) - middle) / (mpf(x) + middle)

    def bell(t):
        x = middle * (1 + t) / (1 - t)
        return mp.log((x + 1) * mp.exp(x * x) * mp.erfc(x))

    yield constant("ERFC_MIDDLE", "t is 0 here", middle)
    yield polynomial(
        "ERFC", "ln((x + 1) e^x² erfc x) in t = (x - 2.25) / (x + 2.25)", bell, at("0.5"), at(28), 24,
        lambda t, e: e,
    )


# ---- Gamma.


def gamma():
    terms = [mp.bernoulli(2 * k) / (2 * k * (2 * k - 1)) for k in range(1, 13)]
    yield (
        "/// Stirling's series: B(2k) / (2k (2k - 1)), k from 1.\n"
        f"pub const STIRLING: [f64; {len(terms)}] = [\n"
        + "".join(f"    {literal(t)},\n" for t in terms)
        + "];"
    )
    yield pair("HALF_LN_TAU", "ln(2π) / 2", mp.log(2 * mp.pi) / 2)
    yield pair("LN_PI", "ln π", mp.log(mp.pi))
    zeros, exact_zeros = [], []
    log_gamma = lambda x: mp.log(abs(mp.gamma(x)))
    for n in range(2, 18):
        # |Γ| is infinite at -n and -n - 1 with a single valley between; a zero on either slope.
        low, high = mpf(-n - 1), mpf(-n)
        bottom = valley(low, high)
        for a, b in ((bottom, high), (low, bottom)):
            near, far = b if b == high else a, bottom
            # Bisection between the pole and the valley, in the distance from the pole.
            inner, outer = mpf(0), abs(far - near)
            sign = -1 if near == high else 1
            for _ in range(mp.prec):
                middle = (inner + outer) / 2
                if log_gamma(near + sign * middle) > 0:
                    inner = middle
                else:
                    outer = middle
            zero = near + sign * outer
            slope = mp.cot(mp.pi * zero)
            exact_zeros.append(zero)
            zeros.append((double(zero), zero - double(zero), double(slope), slope - double(slope)))
    yield table(
        "GAMMA_ZEROS",
        "Where |Γ(x)| is 1 between -n and -n - 1, for n from 2: right of the valley, left of it; rounded, and "
        "the rest; cot πx, and the rest",
        "(f64, f64, f64, f64)",
        tuples(zeros),
    )


    # Between -2 and -3 the two zeros lie far from the poles, and the valley between them is shallow.
    lines = []
    ends = [mpf(end) for end in ("-2.87", "-2.8", "-2.68", "-2.55", "-2.4", "-2.3", "-2.2", "-2.13")]
    for low, high in zip(ends, ends[1:]):
        zero = [z for z in exact_zeros if low < z < high]
        center = zero[0] if zero else double((low + high) / 2)
        value = mpf(0) if zero else double(log_gamma(center))
        function = lambda d: (log_gamma(center + d) - value) / d
        weight = lambda d, e: e * d / log_gamma(center + d)
        coefficients = fit(function, low - center, high - center, 17, weight)
        worst = mpf(0)
        for i in range(200):
            d = low - center + (high - low) * (i + mpf(1) / 3) / 200
            error = mp.polyval(coefficients[::-1], d) - function(d)
            worst = max(worst, abs(weight(d, error)))
        assert worst < mpf(2) ** -53, worst
        lines.append(
            f"    ({literal(high)}, {literal(center)}, {literal(center - double(center))}, {literal(value)}, [\n"
            + "".join(f"        {literal(c)},\n" for c in coefficients)
            + "    ]),\n"
        )
    yield (
        "/// From -2.87 up to a number, ln |Γ| near c as `value` + d p(d), with d = x - c: the number, c, the rest of c, `value`, and p;\n"
        "/// relative error of the function below 2^-53, most of it that of p(0).\n"
        "pub static GAMMA_VALLEY: [(f64, f64, f64, f64, [f64; 17]); 7] = [\n" + "".join(lines) + "];"
    )


def valley(low, high):
    """Where digamma changes its sign between two poles."""
    a, b = low + mpf(2) ** -60, high - mpf(2) ** -60
    for _ in range(300):
        middle = (a + b) / 2
        if mp.digamma(middle) < 0:
            a = middle
        else:
            b = middle
    return (a + b) / 2


def main():
    blocks = [HEADER]
    for family in (powers, logarithms, circles, hyperbolas, errors, gamma):
        blocks += list(family())
    text = "\n".join(block if block == HEADER else block + "\n" for block in blocks)
    if "--check" in sys.argv[1:]:
        if TARGET.read_text() != text:
            sys.exit(f"{TARGET} is not what tables.py writes")
        return
    TARGET.write_text(text)


if __name__ == "__main__":
    main()
