//! `SYMBOLS.md`: every name that code may refer to, and whether it is here, or why not.
//!
//! The names are in `symbols/`, one file for each library that refers to them. `FREESTONE_BLESS=1 cargo test -p freestone-math lists`
//! writes the table anew, after `exports.txt`: both are read when the test runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

const ASKING: [(&str, &str); 4] = [
    ("core, alloc", include_str!("../symbols/core-alloc.txt")),
    ("compiler_builtins", include_str!("../symbols/compiler-builtins.txt")),
    ("libgcc", include_str!("../symbols/libgcc.txt")),
    ("LLVM", include_str!("../symbols/llvm.txt")),
];
const EXPORTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/exports.txt");
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/SYMBOLS.md");

/// Why a name is not here. Each pattern is a name, or begins or ends in `*`, or both.
const ELSEWHERE: [(&str, &[&str]); 18] = [
    ("memory: freestone-mem", &["memcpy", "memmove", "memset", "memcmp", "bcmp", "strlen"]),
    (
        "panics and unwinding: freestone-rt, and a kernel has no unwinder",
        &[
            "_Unwind_*",
            "rust_eh_personality",
            "DW.ref.*",
            "__cxa_end_cleanup",
            "__compilerrt_abort_impl",
        ],
    ),
    (
        "atomics: a lock-free one is an instruction, and others need a lock, which is the kernel's",
        &["__atomic_*", "__sync_*"],
    ),
    (
        "decimal float: neither Rust nor LLVM has it",
        &["*_bid32", "*_bid64", "*_bid128", "__dfp_*", "isinfd*"],
    ),
    (
        "x87: a kernel that uses it must save it, and Rust has no type for it",
        &["*xf", "*xf2", "*xf3", "__*xf*", "__divxc3", "__mulxc3"],
    ),
    (
        "long double of C, which is x87's",
        &[
            "acosl",
            "asinl",
            "atan2l",
            "atanl",
            "cbrtl",
            "ceill",
            "copysignl",
            "coshl",
            "cosl",
            "exp10l",
            "exp2l",
            "expl",
            "fdiml",
            "floorl",
            "fmal",
            "fmaximum_numl",
            "fmaximuml",
            "fmaxl",
            "fminimum_numl",
            "fminimuml",
            "fminl",
            "fmodl",
            "frexpl",
            "ldexpl",
            "llrintl",
            "llroundl",
            "log10l",
            "log2l",
            "logl",
            "lrintl",
            "lroundl",
            "modfl",
            "nanl",
            "nearbyintl",
            "nexttoward",
            "nexttowardf",
            "nexttowardl",
            "powl",
            "remainderl",
            "remquol",
            "rintl",
            "roundevenl",
            "roundl",
            "scalblnl",
            "scalbnl",
            "sincosl",
            "sinhl",
            "sinl",
            "sqrtl",
            "tanhl",
            "tanl",
            "tgammal",
            "truncl",
        ],
    ),
    (
        "f128 of C beyond arithmetic: transcendental functions need a library of their own",
        &[
            "acosf128",
            "asinf128",
            "atan2f128",
            "atanf128",
            "cbrtf128",
            "cosf128",
            "coshf128",
            "exp10f128",
            "exp2f128",
            "expf128",
            "log10f128",
            "log2f128",
            "logf128",
            "powf128",
            "sincosf128",
            "sinf128",
            "sinhf128",
            "tanf128",
            "tanhf128",
        ],
    ),
    (
        "C's math.h, which no compiler calls for Rust; not made yet",
        &[
            "frexpf128",
            "ldexpf128",
            "modff128",
            "llrintf128",
            "llroundf128",
            "lrintf128",
            "lroundf128",
        ],
    ),
    (
        "complex numbers of f16: stable Rust returns nothing as two quarters of a register",
        &["__divhc3", "__mulhc3"],
    ),
    ("8 and 16 bits: machines without such instructions use 32", &["__*hi3", "__*qi3"]),
    ("-ffast-math of an older C library", &["*_finite"]),
    ("C's heap: freestone-alloc can be one", &["malloc", "calloc", "free"]),
    (
        "the floating-point environment: rounding is to nearest and no flags are kept",
        &["fegetenv", "fesetenv", "fegetmode", "fesetmode", "__sfp_handle_exceptions"],
    ),
    (
        "checks that a compiler adds to C on request, whose answer is the kernel's",
        &[
            "__stack_chk_*",
            "__safestack_*",
            "__memcpy_chk",
            "__memmove_chk",
            "__memset_chk",
            "__eprintf",
        ],
    ),
    ("managed languages: intrinsics that Rust does not emit", &["__llvm_*"]),
    (
        "split stacks",
        &[
            "__morestack*",
            "__splitstack*",
            "__generic_*stack*",
            "__stack_split_*",
            "__generic_*",
            "__wrap_pthread_create",
        ],
    ),
    (
        "registers of Microsoft's calling convention, when C is compiled for size",
        &["__avx_*", "__sse_*"],
    ),
    (
        "parts of libgcc itself",
        &[
            "__CTOR_LIST__",
            "__DTOR_LIST__",
            "__clz_tab",
            "__popcount_tab",
            "__udiv_w_sdiv",
            "__gcc_bcmp",
            "__cpu_*",
            "__enable_execute_stack",
            "__clear_cache",
        ],
    ),
];

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => {
            let Some(tail) = name.strip_prefix(start) else { return false };
            match rest.strip_suffix('*') {
                Some(middle) => tail.contains(middle),
                None => tail.ends_with(rest),
            }
        }
    }
}

fn reason(name: &str) -> Option<&'static str> {
    let fits =
        |(_, patterns): &&(_, &[&str])| patterns.iter().any(|pattern| matches(pattern, name));
    ELSEWHERE.iter().find(fits).map(|(reason, _)| *reason)
}

fn read(path: &str) -> String {
    fs::read_to_string(path).expect("the list is committed")
}

#[test]
fn symbols_md_lists_every_symbol_as_here_or_with_a_reason_not_to_be() {
    let exports = read(EXPORTS);
    let exports: BTreeSet<_> = exports.lines().collect();
    let mut names = BTreeMap::<_, Vec<_>>::new();
    for (who, list) in ASKING {
        for name in list.lines() {
            names.entry(name).or_default().push(who);
        }
    }
    let provided = names.keys().filter(|name| exports.contains(*name)).count();
    let mut table = format!(
        "# Symbols\n\n\
         Every name that `core` and `alloc` want, that `compiler_builtins` or libgcc define, or that \
         LLVM 22 may\ncall on x86_64: whether `exports.txt` has it, or why not. {} names, {provided} \
         of them here; {} more are here that\nnone of these has.\n\n\
         Decimal float's names in libgcc, 391, are left out. `cargo test` keeps this true, and \
         `FREESTONE_BLESS=1` writes it.\n\n\
         | symbol | known to | |\n|---|---|---|\n",
        names.len(),
        exports.len() - provided,
    );
    let mut without = Vec::new();
    for (name, who) in &names {
        let here = exports.contains(name);
        let words = match reason(name) {
            _ if here => "here",
            Some(reason) => reason,
            None => {
                without.push(*name);
                continue;
            }
        };
        table += &format!("| `{name}` | {} | {words} |\n", who.join(", "));
    }
    assert_eq!(without, Vec::<&str>::new(), "neither here nor with a reason");
    if std::env::var_os("FREESTONE_BLESS").is_some_and(|value| value == "1") {
        return fs::write(TABLE, table).expect("the folder is there");
    }
    let advice = "FREESTONE_BLESS=1 cargo test -p freestone-math lists";
    assert!(table == read(TABLE), "SYMBOLS.md is out of date; `{advice}` writes it");
}

#[test]
fn no_reason_keeps_out_what_core_and_alloc_compute_with() {
    let exports = read(EXPORTS);
    let exports: BTreeSet<_> = exports.lines().collect();
    for name in ASKING[0].1.lines() {
        let elsewhere = [
            "memory: freestone-mem",
            "panics and unwinding: freestone-rt, and a kernel has no unwinder",
        ];
        let ours = reason(name).is_none_or(|reason| !elsewhere.contains(&reason));
        assert_eq!(exports.contains(name), ours, "{name}");
    }
}

#[test]
fn lists_are_sorted_and_patterns_are_used() {
    for (who, list) in ASKING {
        assert!(list.lines().is_sorted(), "{who}");
    }
    let names: BTreeSet<_> = ASKING.iter().flat_map(|(_, list)| list.lines()).collect();
    for pattern in ELSEWHERE.iter().flat_map(|(_, patterns)| *patterns) {
        assert!(names.iter().any(|name| matches(pattern, name)), "{pattern} fits nothing");
    }
}
