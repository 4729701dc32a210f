//! The tables against the output of linkers, shortened: lld 22, GNU ld 2.40 and mold 1.10, as rustc passes it on. Two
//! were written in lld's form by hand: `qsort` and defmt's.

use serde_json::json;

use super::linkers::undefined;
use super::std_users::{self, users};
use super::*;

/// What the linker says, the advice's beginnings and a word in each.
const RECORDED: [(&str, &[(&str, &str)]); 12] = [
    (
        "rust-lld: error: undefined symbol: __getrandom_v03_custom
>>> referenced by custom.rs:11 (src/backends/custom.rs:11)
>>>               /t/deps/gr4-44d958e0daeab820.7uqj.13ixgmz.rcgu.o:(gr4::main::ha6f3)",
        &[("undefined: __getrandom_v03_custom, wanted by gr4: ", "getrandom_backend!(getrandom::Error)")],
    ),
    (
        "rust-lld: error: unable to find library -lfreestone_link_arguments_missing__add_the_build_rs_from_the_README__examples_need_rustc-link-arg-examples\ncollect2: error: ld returned 1 exit status",
        &[("the link arguments are missing", "build.rs")],
    ),
    (
        "/usr/bin/ld: cannot find -lfreestone_link_arguments_missing__add_the_build_rs_from_the_README__examples_need_rustc-link-arg-examples: No such file or directory",
        &[("the link arguments are missing", "rustc-link-arg-examples")],
    ),
    (
        "mold: fatal: /t/out/kernel.ld:20: ENTRY(freestone_program_entry)\n                ^ unknown linker script token",
        &[("mold cannot link kernels", "lld or GNU ld")],
    ),
    (
        "rust-lld: error: undefined symbol: read
>>> referenced by use_file.rs:24 (src/use_file.rs:24)
>>>               getrandom-cdc9d63a01a105ea.getrandom.b049-cgu.0.rcgu.o:(getrandom::use_file::getrandom_inner::h115f) in archive /t/deps/libgetrandom-cdc9d63a01a105ea.rlib

rust-lld: error: undefined symbol: pthread_mutex_lock
>>> referenced by use_file.rs:103 (src/use_file.rs:103)
>>>               getrandom-cdc9d63a01a105ea.getrandom.b049-cgu.0.rcgu.o:(getrandom::use_file::Mutex::lock::h6757) in archive /t/deps/libgetrandom-cdc9d63a01a105ea.rlib",
        &[("undefined: read, pthread_mutex_lock, wanted by getrandom: ", "getrandom_02!()")],
    ),
    (
        "/usr/bin/ld.bfd: /t/deps/libgetrandom-fef9a341d2eb3995.rlib(getrandom-fef9a341d2eb3995.getrandom.b049-cgu.0.rcgu.o): in function `getrandom::use_file::wait_until_rng_ready':
/r/getrandom-0.2.17/src/use_file.rs:83: undefined reference to `poll'",
        &[("undefined: poll, wanted by getrandom: ", "getrandom_02!()")],
    ),
    (
        "rust-lld: error: undefined symbol: getpid
>>> referenced by main.rs:5 (src/main.rs:5)
>>>               /t/deps/li-44d958e0daeab820.7uqj.13ixgmz.rcgu.o:(li::main::ha6f3)",
        &[("undefined: getpid, wanted by li: ", "define it")],
    ),
    (
        "rust-lld: error: undefined symbol: malloc
>>> referenced by allocations.h:30 (zstd/lib/compress/../common/allocations.h:30)
>>>               7c9960efb53c0b35-zstd_compress.o:(ZSTD_customMalloc) in archive /t/deps/libzstd_sys-1ea2beb296dc4343.rlib

rust-lld: error: undefined symbol: qsort
>>> referenced by cover.c:9 (zstd/cover.c:9)
>>>               7c9960efb53c0b35-cover.o:(x) in archive /t/deps/libzstd_sys-1ea2beb296dc4343.rlib",
        &[
            ("undefined: malloc, wanted by zstd_sys: ", "c_allocator!(FREESTONE_HEAP)"),
            ("undefined: qsort, wanted by zstd_sys: ", "define it"),
        ],
    ),
    (
        "/usr/bin/ld.bfd: /t/deps/libzstd_sys-31ff2b1582210a22.rlib(7c9960efb53c0b35-zstd_compress.o): in function `ZSTD_customFree':
/r/zstd-sys-2.1.3/zstd/lib/compress/../common/allocations.h:51: undefined reference to `free'",
        &[("undefined: free, wanted by zstd_sys: ", "c_allocator!")],
    ),
    (
        "rust-lld: error: undefined symbol: _defmt_acquire
>>> referenced by main.rs:5 (src/main.rs:5)
>>>               /t/deps/de-44d958e0daeab820.7uqj.13ixgmz.rcgu.o:(de::main::ha6f3)",
        &[("undefined: _defmt_acquire, wanted by de: ", "global_logger")],
    ),
    (
        "rust-lld: error: unable to find library -lfreestone_std_in_a_kernel__for_a_host_program_beside_it_build.rs_has_rustc-link-arg-bin=KERNEL=@FILE\ncollect2: error: ld returned 1 exit status",
        &[("a program with std was linked as a kernel", "cargo::rustc-link-arg-bin=KERNEL")],
    ),
    (
        "/usr/bin/ld.bfd: cannot find -lfreestone_std_in_a_kernel__for_a_host_program_beside_it_build.rs_has_rustc-link-arg-bin=KERNEL=@FILE: No such file or directory",
        &[("a program with std was linked as a kernel", "#![no_std]")],
    ),
];

#[test]
fn every_recorded_failure_has_its_advice() {
    for (text, expected) in RECORDED {
        let advice = advice(text);
        assert_eq!(advice.len(), expected.len(), "{text}\n{advice:#?}");
        for (said, (begin, word)) in advice.iter().zip(expected) {
            assert!(said.starts_with(begin) && said.contains(word), "{text}\n{said}");
        }
    }
}

#[test]
fn other_errors_have_none() {
    for text in ["", "mismatched types", "ld: out of memory", "`x` is undefined", "undefined:"] {
        assert_eq!(advice(text), [""; 0], "{text}");
    }
}

#[test]
fn hostile_text_of_a_linker_is_read_and_shown_in_one_line() {
    let found = undefined("undefined symbol: \n>>> (.o)\n>>>\nundefined reference to `\n.rlib(.o)");
    assert!(found.iter().all(|one| one.symbol.is_empty()), "{found:?}");
    let many: String = (0..20).map(|n| format!("undefined symbol: s\x1b{n}\n")).collect();
    let said = advice(&many).concat();
    assert!(said.starts_with(r"undefined: s\u{1b}0, ") && said.contains(" and 14 more:"), "{said}");
}

#[test]
fn std_is_known_by_its_two_errors() {
    let error = |code: &str| json!({ "code": { "code": code } });
    let twice = "found duplicate lang item `panic_impl`\nthe lang item is first defined in crate `std` (which `serde_json` depends on)";
    assert!(wants_std(&error("E0152"), twice));
    assert!(!wants_std(&error("E0152"), "found duplicate lang item `panic_impl` in crate `other`"));
    assert!(wants_std(&error("E0463"), "can't find crate for `std`"));
    assert!(!wants_std(&error("E0463"), "can't find crate for `core`"));
    assert!(!wants_std(&json!({}), twice));
}

#[test]
fn all_users_of_std_are_named_with_their_path() {
    let tree = "0|k v0.1.0 (/k)|std|\n1|serde_json v1.0.154|default,std|\n2|itoa v1.0.1||\n2|memchr v2.7.6|alloc,std| (*)\n\
                1|plain v0.2.0||\n2|libc v0.2.191|default,std|\n2|memchr v2.7.6|alloc,std| (*)\n1|always-std v1.0.0||\n\nx|y|z\n";
    let found = users(tree, &["k".into(), "always_std".into()]);
    let said = std_users::list(&found).expect("some");
    let lines: Vec<_> = said.lines().skip(1).map(str::trim).collect();
    let expected = [
        "serde_json 1.0.154 (feature std), by k > serde_json",
        "memchr 2.7.6 (feature std), by k > serde_json > memchr",
        "always-std 1.0.0 (no feature `std` on: take a version that does without, or another crate), by k > always-std",
    ];
    assert_eq!(lines, expected, "{said}");
    assert_eq!(std_users::list(&users("", &[])), None);
}

#[test]
fn who_asks_for_std_is_named_at_once() {
    let twice = |by: &str| {
        format!(
            "found duplicate lang item `panic_impl`\nthe lang item is first defined in crate `std` (which `{by}` depends on)\n"
        )
    };
    let missing = "can't find crate for `std`\nthe `x86_64-unknown-none` target may not support the standard library\n";
    for (text, here, user, words) in [
        (twice("ctor"), "kernel", "ctor", "ctor asks for std, which"),
        (twice("my_kernel"), "my_kernel", "my_kernel", "it begins with #![no_std]"),
        (missing.to_owned(), "memchr", "memchr", "`default-features = false`"),
    ] {
        let (found, advice) = std_users::first(&text, here);
        assert_eq!(found, user, "{text}");
        assert!(advice.starts_with(user) && advice.contains(words), "{advice}");
    }
}
