//! The functions that compilers call on their own, and how they pass floating-point numbers.

/// The memory routines. Compilers turn loops into calls to them, so that each may come to call itself.
pub const MEMORY: [&str; 6] = ["memcpy", "memmove", "memset", "memcmp", "bcmp", "strlen"];

/// How a function takes and gives floating-point numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Whether an argument is one.
    pub takes_float: bool,
    /// Whether the result is one.
    pub gives_float: bool,
}

/// The widths of floating-point numbers, as GCC's names have them: half, single, double, quadruple.
const WIDTHS: [&str; 4] = ["hf", "sf", "df", "tf"];
/// The widths of integers: 32, 64 and 128 bits.
const INTEGERS: [&str; 3] = ["si", "di", "ti"];

/// Functions of the C math library that LLVM knows, without the `f` of the single-precision one.
const MATH: [&str; 30] = [
    "ceil",
    "copysign",
    "cos",
    "exp",
    "exp10",
    "exp2",
    "fabs",
    "fdim",
    "floor",
    "fma",
    "fmax",
    "fmaximum",
    "fmin",
    "fminimum",
    "fmod",
    "frexp",
    "ldexp",
    "log",
    "log10",
    "log2",
    "modf",
    "nearbyint",
    "pow",
    "rint",
    "round",
    "roundeven",
    "sin",
    "sqrt",
    "tan",
    "trunc",
];

/// The shape of a function of compilers' libraries with floating-point numbers; `None` for others.
pub fn float_shape(name: &str) -> Option<Shape> {
    const BOTH: Shape = Shape { takes_float: true, gives_float: true };
    const TAKES: Shape = Shape { takes_float: true, gives_float: false };
    const GIVES: Shape = Shape { takes_float: false, gives_float: true };
    let is_width = |text: &str| WIDTHS.contains(&text);
    let is_integer = |text: &str| INTEGERS.contains(&text);
    let Some(rest) = name.strip_prefix("__") else {
        let is_math = |name: &str| MATH.contains(&name);
        return (is_math(name) || name.strip_suffix('f').is_some_and(is_math)).then_some(BOTH);
    };
    // `__adddf3`: operation, width, number of values.
    if let Some((operation, width)) = rest.strip_suffix('3').and_then(split_width) {
        let known = ["add", "sub", "mul", "div"].contains(&operation) && is_width(width);
        return known.then_some(BOTH);
    }
    // `__floatunsidf`, with or without `un`.
    if let Some(types) = rest.strip_prefix("float") {
        let types = types.strip_prefix("un").unwrap_or(types);
        let known = types.split_at_checked(2).is_some_and(|(i, f)| is_integer(i) && is_width(f));
        return known.then_some(GIVES);
    }
    // `__fixunsdfsi`, with or without `uns`.
    if let Some(types) = rest.strip_prefix("fix") {
        let types = types.strip_prefix("uns").unwrap_or(types);
        let known = types.split_at_checked(2).is_some_and(|(f, i)| is_width(f) && is_integer(i));
        return known.then_some(TAKES);
    }
    let (operation, width) = rest.strip_suffix('2').and_then(split_width)?;
    match operation {
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" | "unord" if is_width(width) => Some(TAKES),
        "neg" | "powi" if is_width(width) => Some(BOTH),
        // `__extendsfdf2`, `__truncdfsf2`: two widths.
        _ => {
            let (operation, from) = split_width(operation)?;
            let known = ["extend", "trunc"].contains(&operation);
            (known && is_width(from) && is_width(width)).then_some(BOTH)
        }
    }
}

fn split_width(text: &str) -> Option<(&str, &str)> {
    text.split_at_checked(text.len().checked_sub(2)?)
}

/// Whether compilers call this on their own: memory, integers, floating point.
pub fn is_libcall(name: &str) -> bool {
    let is_integer = |name: &str| {
        let rest = name.strip_prefix("__")?;
        let operation = rest.trim_end_matches(|c: char| c.is_ascii_digit());
        let operation = INTEGERS.iter().find_map(|width| operation.strip_suffix(width))?;
        let known = [
            "udiv", "umod", "div", "mod", "udivmod", "divmod", "mul", "mulo", "ashl", "ashr",
            "lshr", "clz", "ctz", "popcount", "parity", "ffs", "bswap", "neg", "cmp", "ucmp",
        ];
        known.contains(&operation).then_some(())
    };
    MEMORY.contains(&name) || float_shape(name).is_some() || is_integer(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_follow_from_names() {
        let shape = |name| float_shape(name).map(|s| (s.takes_float, s.gives_float));
        for name in
            ["__muldf3", "__addtf3", "__negsf2", "__extendhfsf2", "__powidf2", "fmodf", "sqrt"]
        {
            assert_eq!(shape(name), Some((true, true)), "{name}");
        }
        for name in ["__eqdf2", "__unordsf2", "__fixdfti", "__fixunssfdi"] {
            assert_eq!(shape(name), Some((true, false)), "{name}");
        }
        for name in ["__floatsidf", "__floatuntisf"] {
            assert_eq!(shape(name), Some((false, true)), "{name}");
        }
        for name in ["memcpy", "__udivti3", "__muldi3", "__float", "__fix", "__", "", "half", "é"]
        {
            assert_eq!(shape(name), None, "{name}");
        }
    }

    #[test]
    fn libcalls_are_known_by_name() {
        for name in
            ["memcpy", "__udivti3", "__umodti3", "__multi3", "__ashlti3", "__clzdi2", "__adddf3"]
        {
            assert!(is_libcall(name), "{name}");
        }
        for name in ["main", "__libc_start_main", "__x", "memcpy_", "__popcount"] {
            assert!(!is_libcall(name), "{name}");
        }
    }
}
