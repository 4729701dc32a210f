//! A kernel outside this repository, from an empty folder: the steps of a new user, and each step left out.

use std::path::PathBuf;
use std::process::Command;

use freestone_tests::{Ended, MACHINES, Scratch, boot, cargo, root, run, status, target};

/// The README's kernel: these tests build what it shows, not a copy of it.
const README: &str = include_str!("../README.md");

/// The code block that follows a line with `title` in the README.
fn shown(title: &str) -> &'static str {
    let block = README.split_once(&format!("`{title}`\n```")).map(|(_, rest)| rest);
    let block = block.and_then(|rest| rest.split_once("```")).map(|(block, _)| block);
    let code = block.and_then(|block| block.split_once('\n')).map(|(_language, code)| code);
    code.unwrap_or_else(|| panic!("the README shows no {title}"))
}

/// The README's manifest, with the kit from this repository and under another name.
fn manifest(name: &str) -> String {
    let facade = root().join("freestone");
    let path = format!("freestone = {{ path = {:?} }}", facade.display().to_string());
    let (published, named) = ("freestone = \"0.1\"", "name = \"my-kernel\"");
    let shown = shown("Cargo.toml");
    assert!(shown.contains(published) && shown.contains(named), "the README's manifest changed");
    shown.replace(published, &path).replace(named, &format!("name = {name:?}"))
}

/// A folder with that kernel; tests replace parts of it.
fn project(name: &str) -> Scratch {
    let scratch = Scratch::new(name);
    scratch.write("Cargo.toml", &manifest(name));
    scratch.write("src/main.rs", shown("src/main.rs"));
    scratch.write("build.rs", shown("build.rs"));
    scratch
}

/// Plain `cargo build`, into a target folder that these projects share: it saves building the kit six
/// times. Only the first test does without.
fn build(project: &Scratch) -> Ended {
    run(cargo(project.path()).args(["build", "--quiet", "--target-dir"]).arg(shared_target()))
}

fn shared_target() -> PathBuf {
    target().join("outside")
}

#[track_caller]
fn refused(project: &Scratch, advice: &str) {
    let ended = build(project);
    assert_ne!(ended.status, Some(0), "{ended}");
    assert!(ended.stderr.contains(advice), "no word of {advice:?}\n{ended}");
}

#[test]
fn a_kernel_builds_with_plain_cargo_and_boots() {
    let project = project("outside");
    for (arguments, folder) in [(&[][..], "debug"), (&["--release"][..], "release")] {
        let mut command = cargo(project.path());
        command.env_remove("CARGO_TARGET_DIR").args(["build", "--quiet"]).args(arguments);
        let built = run(&mut command);
        assert_eq!(built.status, Some(0), "{built}");
        let image = project.path().join("target").join(folder).join("outside");
        for machine in MACHINES {
            boot(&image, &["--machine", machine])
                .expect(status::SUCCESS, &["hello from QEMU TCG, 3.143"]);
        }
    }

    // As a program of the host it says what it is.
    let ended = run(&mut Command::new(project.path().join("target/debug/outside")));
    assert_eq!(ended.status, Some(2), "{ended}");
    assert!(ended.stderr.contains("A Freestone kernel, no program"), "{ended}");
    assert!(ended.stderr.contains("cargo freestone run"), "{ended}");

    // What else cargo is asked for in such a folder.
    for arguments in [&["test"][..], &["clippy", "--all-targets"], &["doc", "--no-deps"]] {
        let mut command = cargo(project.path());
        let ended = run(command.env_remove("CARGO_TARGET_DIR").args(arguments).arg("--quiet"));
        assert_eq!(ended.status, Some(0), "cargo {arguments:?}\n{ended}");
    }

    // The tool finds the kernel in the folder it is called in.
    let mut tool = freestone_tests::tool();
    tool.current_dir(project.path()).env_remove("CARGO_TARGET_DIR").arg("run");
    run(&mut tool).expect(status::SUCCESS, &["hello from"]);
}

#[test]
fn everything_entry_stamps_can_be_refused() {
    let main = "\
#![no_std]
#![no_main]
freestone::entry!(main, allocator: none, panic: none, shims: none);
fn main(_boot: &'static freestone::BootInfo) -> freestone::Exit {
    freestone::println!(\"by my own means\");
    freestone::Exit::Success
}
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    freestone::exit(freestone::Exit::Crash)
}
#[unsafe(no_mangle)]
extern \"C\" fn rust_eh_personality() {}
";
    let project = project("refusals");
    project.write("src/main.rs", main);
    let built = build(&project);
    assert_eq!(built.status, Some(0), "{built}");
    let image = shared_target().join("debug/refusals");
    boot(&image, &[]).expect(status::SUCCESS, &["by my own means"]);

    project.write("src/main.rs", &main.replace("shims: none", "shims: never"));
    refused(&project, "entry! has no option `shims: never`");
}

#[test]
fn entry_stamps_the_heap_that_is_named_and_in_debug_builds_one_that_checks() {
    let main = "\
#![no_std]
#![no_main]
#![forbid(unsafe_code)]
extern crate alloc;
freestone::entry!(main);
fn main(_boot: &'static freestone::BootInfo) -> freestone::Exit {
    let squares: alloc::vec::Vec<u64> = (0..1000).map(|n| n * n).collect();
    let bytes = FREESTONE_HEAP.stats().allocated_bytes;
    assert!(squares[999] == 998_001 && (8000..8200).contains(&bytes), \"{bytes}\");
    freestone::println!(\"in a {}\", core::any::type_name_of_val(&FREESTONE_HEAP));
    freestone::Exit::Success
}
";
    let project = project("allocators");
    let boot_of = |option: &str, profile: &str, heap: &str| {
        project.write("src/main.rs", &main.replace("entry!(main", &format!("entry!(main{option}")));
        let mut command = cargo(project.path());
        command
            .args(["build", "--quiet", "--profile", profile, "--target-dir"])
            .arg(shared_target());
        let built = run(&mut command);
        assert_eq!(built.status, Some(0), "{built}");
        let folder = if profile == "dev" { "debug" } else { profile };
        let image = shared_target().join(folder).join("allocators");
        boot(&image, &[]).expect(status::SUCCESS, &[&format!("in a freestone_alloc::{heap}<")]);
    };
    boot_of("", "dev", "checked::Checked");
    boot_of("", "release", "heap::Heap");
    boot_of(", allocator: plain", "dev", "heap::Heap");
    boot_of(", allocator: checked", "release", "checked::Checked");
    boot_of(", allocator: cached", "dev", "cache::Cached");
    boot_of(", allocator: cached", "release", "cache::Cached");

    project.write("src/main.rs", &main.replace("entry!(main", "entry!(main, allocator: best"));
    refused(&project, "entry! has no option `allocator: best`");
}

/// What `main` can use of its stack, by default and as it says, in the build that needs most.
#[test]
fn main_gets_the_stack_that_entry_names() {
    let main = "\
#![no_std]
#![no_main]
#![forbid(unsafe_code)]
freestone::entry!(main);
#[inline(never)]
fn uses(kib: usize) -> usize {
    if kib == 0 { 0 } else { core::hint::black_box([1_u8; 1024])[kib % 1024] as usize + uses(kib - 1) }
}
fn main(boot: &'static freestone::BootInfo) -> freestone::Exit {
    let kib = boot.command_line().trim_ascii().bytes().fold(0, |n, d| n * 10 + usize::from(d - b'0'));
    freestone::println!(\"{} KiB and more\", uses(kib));
    freestone::Exit::Success
}
";
    let project = project("stacks");
    // Unoptimised, a frame of these has three of its arrays.
    for (option, enough, least, too_much) in [
        ("", 70, "it has 256 KiB; more: entry!(main, stack: BYTES)", 260),
        (", stack: 512 * 1024, audit: exit", 150, "it has 512 KiB", 520),
        (", allocator: none, stack: 0x18001,", 16, "it has 100 KiB", 100),
    ] {
        project.write("src/main.rs", &main.replace("entry!(main", &format!("entry!(main{option}")));
        let built = build(&project);
        assert_eq!(built.status, Some(0), "{option}\n{built}");
        let image = shared_target().join("debug/stacks");
        boot(&image, &["--", &enough.to_string()])
            .expect(status::SUCCESS, &[&format!("{enough} KiB and more")]);
        boot(&image, &["--", &too_much.to_string()])
            .expect(status::CRASH, &["STACK OVERFLOW: the boot stack", least]);
    }
    for (option, advice) in [
        (", stack: 4096", "a boot stack of less than 64 KiB is not enough"),
        (", stack: 1 << 40", "more than 256 MiB of boot stack"),
        (", stack: none", "cannot find value `none`"),
        (", panic none", "entry! takes `name: value`, separated by commas, not `panic none`"),
    ] {
        project.write("src/main.rs", &main.replace("entry!(main", &format!("entry!(main{option}")));
        refused(&project, advice);
    }
}

#[test]
fn vector_choices_that_the_platform_cannot_keep_do_not_build() {
    let project = project("vectors");
    for (flags, builds, advice) in [
        ("--cfg freestone_mem=\"avx2\"", false, "neither enables nor saves AVX state"),
        ("--cfg freestone_mem=\"avx512\"", false, "neither enables nor saves AVX state"),
        ("--cfg freestone_mem=\"sse2\"", true, ""),
    ] {
        let mut command = cargo(project.path());
        command.args(["build", "--quiet", "--target-dir"]).arg(shared_target());
        let ended = run(command.env("RUSTFLAGS", flags));
        assert_eq!(ended.status == Some(0), builds, "{flags}\n{ended}");
        assert!(ended.stderr.contains(advice), "{flags}\n{ended}");
    }
}

#[test]
fn constructors_run_before_main_with_the_heap_there() {
    let main = "\
#![no_std]
#![no_main]
extern crate alloc;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
freestone::entry!(main);
static ORDER: AtomicU32 = AtomicU32::new(0);
extern \"C\" fn note<const N: u32>() {
    let digits = alloc::vec![N];
    ORDER.store(ORDER.load(Relaxed) * 10 + digits[0], Relaxed);
}
#[used]
#[unsafe(link_section = \".init_array\")]
static LAST: extern \"C\" fn() = note::<3>;
#[used]
#[unsafe(link_section = \".init_array.00101\")]
static SECOND: extern \"C\" fn() = note::<2>;
#[used]
#[unsafe(link_section = \".preinit_array\")]
static FIRST: extern \"C\" fn() = note::<1>;
fn main(_boot: &'static freestone::BootInfo) -> freestone::Exit {
    freestone::println!(\"order {}\", ORDER.load(Relaxed));
    freestone::Exit::Success
}
";
    let project = project("constructors");
    project.write("src/main.rs", main);
    let built = build(&project);
    assert_eq!(built.status, Some(0), "{built}");
    let image = shared_target().join("debug/constructors");
    boot(&image, &[]).expect(status::SUCCESS, &["order 123"]);
}

#[test]
fn a_memcpy_of_ones_own_takes_the_place_of_ours() {
    let main = format!(
        "{}
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern \"C\" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {{
    // SAFETY: the caller's promise; the instruction is the whole loop.
    unsafe {{ core::arch::asm!(\"rep movsb\", inout(\"rcx\") len => _, inout(\"rdi\") to => _, inout(\"rsi\") from => _) }};
    to
}}
",
        shown("src/main.rs")
    );
    let project = project("own-memcpy");
    project.write("src/main.rs", &main);
    let manifest = manifest("own-memcpy");
    project.write("Cargo.toml", &manifest.replace(" }\n", ", default-features = false }\n"));
    refused(&project, "undefined symbol: memset");
    for name in ["memmove", "memset", "memcmp", "bcmp", "strlen"] {
        project.write(
            "src/main.rs",
            &(std::fs::read_to_string(project.path().join("src/main.rs")).expect("written")
                + &format!("#[unsafe(no_mangle)]\npub extern \"C\" fn {name}() {{ loop {{}} }}\n")),
        );
    }
    let built = build(&project);
    assert_eq!(built.status, Some(0), "{built}");
}

/// Sections that the linker script does not name: each goes into the part that it needs, and none among the notes, where
/// it would keep loaders from finding the entry.
#[test]
fn sections_of_ones_own_boot_with_every_linker() {
    let sections: String = [
        ("odd", "aR", "@progbits", ".byte 1"),
        ("aligned", "aR", "@progbits", ".balign 64; .quad 1"),
        ("page", "aR", "@progbits", ".balign 4096; .quad 1"),
        ("texts", "aMSR", "@progbits, 1", ".asciz \\\"text\\\""),
        ("zeroes", "aR", "@nobits", ".balign 32; .zero 64"),
        ("notice", "aR", "@note", ".balign 8; .long 4, 4, 1; .asciz \\\"own\\\"; .long 1"),
        (".note.own", "aR", "@note", ".balign 8; .long 4, 4, 1; .asciz \\\"own\\\"; .long 1"),
        ("variables", "awR", "@progbits", ".balign 32; .quad 1"),
        ("room", "awR", "@nobits", ".balign 64; .zero 64"),
        ("code", "axR", "@progbits", ".balign 64; ret"),
    ]
    .map(|(name, flags, kind, what)| {
        format!("    \".pushsection {name}, \\\"{flags}\\\", {kind}; {what}; .popsection\",\n")
    })
    .concat();
    let main = format!(
        "{}
#[used]
#[unsafe(link_section = \"build_info\")]
static INFO: u64 = 5;
#[unsafe(link_section = \"settings\")]
static SETTING: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(7);
core::arch::global_asm!(
{sections});
",
        shown("src/main.rs").replace(
            "    freestone::Exit",
            "    SETTING.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
    assert!(INFO == 5 && SETTING.load(core::sync::atomic::Ordering::Relaxed) == 8);
    freestone::Exit"
        )
    );
    let project = project("orphans");
    project.write("src/main.rs", &main);
    // A linker that is not installed says so, and is left out; rustc brings its own.
    let other = "-Clinker-features=-lld -Clink-arg=-fuse-ld=";
    for flags in ["", &format!("{other}bfd"), &format!("{other}lld")] {
        let mut command = cargo(project.path());
        command.args(["build", "--quiet", "--target-dir"]).arg(shared_target());
        let built = run(command.env("RUSTFLAGS", flags));
        if flags.ends_with("lld") && built.stderr.contains("cannot find 'ld") {
            continue;
        }
        assert_eq!(built.status, Some(0), "{flags}\n{built}");
        let image = shared_target().join("debug/orphans");
        boot(&image, &[]).expect(status::SUCCESS, &["hello from"]);
        let checked = run(freestone_tests::tool().arg("check").arg(&image));
        let checked = checked.expect(status::SUCCESS, &[]);
        assert!(!checked.stdout.contains("misplaced-section"), "{flags}\n{checked}");
    }
}

/// The linker's own first line, of a plain build that must fail: what rustc shows in front of it is its command.
fn linkers_first_line(project: &Scratch, flags: &str, arguments: &[&str]) -> String {
    let mut command = cargo(project.path());
    command.args(["build", "--quiet", "--target-dir"]).arg(shared_target()).args(arguments);
    let built = run(command.env("RUSTFLAGS", flags));
    assert_eq!(built.status, Some(101), "{flags}\n{built}");
    let notes = built.stderr.lines().filter_map(|line| line.trim().strip_prefix("= note: "));
    let said = notes.filter(|note| !note.starts_with([' ', '"']) && !note.starts_with("some "));
    said.map(str::to_owned).next().unwrap_or_else(|| panic!("no linker spoke\n{built}"))
}

/// Linkers that a user may choose, of those that are here.
const OTHER_LINKERS: [&str; 2] = ["", "-Clink-arg=-fuse-ld=bfd"];

#[test]
fn missing_link_arguments_are_the_linkers_first_line() {
    const SAID: &str = "freestone_link_arguments_missing__add_the_build_rs_from_the_README";
    let project = project("no-build");
    project.remove("build.rs");
    for flags in OTHER_LINKERS {
        let first = linkers_first_line(&project, flags, &[]);
        assert!(first.contains(SAID), "{flags}: {first}");
    }
    // A kernel as an example: the build script is there, and cargo has another word for examples.
    project.write("build.rs", shown("build.rs"));
    project.write("examples/small.rs", shown("src/main.rs"));
    let first = linkers_first_line(&project, "", &["--example", "small"]);
    assert!(first.contains("examples_need_rustc-link-arg-examples"), "{first}");
    project.write("build.rs", &shown("build.rs").replace("-bins", "-examples"));
    let mut command = cargo(project.path());
    command.args(["build", "--quiet", "--example", "small", "--target-dir"]).arg(shared_target());
    let built = run(&mut command);
    assert_eq!(built.status, Some(0), "{built}");
    boot(&shared_target().join("debug/examples/small"), &[])
        .expect(status::SUCCESS, &["hello from"]);
}

#[test]
fn a_host_program_beside_the_kernel_is_told_what_it_needs_and_then_runs() {
    const SAID: &str =
        "freestone_std_in_a_kernel__for_a_host_program_beside_it_build.rs_has_rustc-link-arg-bin";
    let project = project("beside");
    project.write("src/bin/helper.rs", "fn main() {\n    println!(\"on the host\");\n}\n");
    for flags in OTHER_LINKERS {
        let first = linkers_first_line(&project, flags, &["--bin", "helper"]);
        assert!(first.contains(SAID), "{flags}: {first}");
    }
    let mut command = freestone_tests::tool();
    command.current_dir(project.path()).env("CARGO_TARGET_DIR", shared_target());
    let ended = run(command.args(["run", "--bin", "helper"]));
    assert_eq!(ended.status, Some(101), "{ended}");
    let last = ended.stderr.split_once("could not build beside\n").map(|(_, advice)| advice);
    let is_advised =
        last.is_some_and(|advice| advice.contains("cargo::rustc-link-arg-bin=KERNEL=@"));
    assert!(is_advised, "{ended}");

    project.write("build.rs", &shown("build.rs").replace("-bins=", "-bin=beside="));
    let built = build(&project);
    assert_eq!(built.status, Some(0), "{built}");
    run(&mut Command::new(shared_target().join("debug/helper"))).expect(0, &["on the host"]);
    boot(&shared_target().join("debug/beside"), &[]).expect(status::SUCCESS, &["hello from"]);
}

#[test]
fn mold_names_the_linkers_that_will_do() {
    let is_here = std::process::Command::new("mold").arg("--version").output().is_ok();
    if !is_here {
        eprintln!("skipped: no mold here");
        return;
    }
    let first = linkers_first_line(&project("by-mold"), "-Clink-arg=-fuse-ld=mold", &[]);
    assert!(first.contains("for lld or GNU ld: mold cannot link kernels"), "{first}");
}

#[test]
fn a_forgotten_profile_line_is_named() {
    let project = project("no-abort");
    let unwinding = manifest("no-abort").replace("panic = \"abort\"", "");
    project.write("Cargo.toml", &unwinding);
    refused(&project, "add `panic = \"abort\"` to [profile.dev]");
}

#[test]
fn cargo_test_of_a_kernel_as_a_host_program_gives_one_reason() {
    let project = project("as-test");
    let manifest = manifest("as-test").replace("test = false\n", "");
    project.write("Cargo.toml", &manifest);
    let mut command = cargo(project.path());
    let ended = run(command.args(["test", "--quiet", "--target-dir"]).arg(shared_target()));
    assert_ne!(ended.status, Some(0), "{ended}");
    assert!(ended.stderr.contains("`test = false, bench = false`"), "{ended}");
    assert_eq!(ended.stderr.matches("error: a kernel cannot unwind").count(), 1, "{ended}");
    assert!(!ended.stderr.contains("duplicate lang item"), "{ended}");
}

/// With `entry!` gone rustc misses the panic handler first; who has one is told by the linker script.
#[test]
fn a_forgotten_entry_is_named() {
    let main = "\
#![no_std]
#![no_main]
use freestone as _;
freestone::rt::runtime!(exit = freestone::platform::exit::crash);
";
    let project = project("no-entry");
    project.write("src/main.rs", main);
    refused(&project, "add `freestone::entry!(main);`");
}

#[test]
fn an_undefined_c_function_is_named_not_taken_from_the_host() {
    let main = shown("src/main.rs").replace(
        "    freestone::Exit::Success",
        "    unsafe extern \"C\" { fn getpid() -> i32; }\n\
         \x20   // SAFETY: never runs: the host's C library must not be found.\n\
         \x20   freestone::println!(\"{}\", unsafe { getpid() });\n    freestone::Exit::Success",
    );
    let project = project("libc");
    project.write("src/main.rs", &main);
    refused(&project, "undefined symbol: getpid");
}
