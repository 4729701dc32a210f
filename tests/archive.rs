//! `cargo freestone archive`: what is in it, and a kernel in C that is linked with it alone.

use std::path::{Path, PathBuf};
use std::process::Command;

use freestone_inspect::File;
use freestone_inspect::disassembly::{self, Links};
use freestone_inspect::symbol::Binding;
use freestone_inspect::symbols::Table;
use freestone_tests::sysroot::sysroot;
use freestone_tests::{Ended, Scratch, boot, root, run, status, tool};
use serde_json::Value;

fn archive(scratch: &Scratch, arguments: &[&str]) -> (PathBuf, Value) {
    let out = scratch.path().join("out");
    let mut command = tool();
    command.current_dir(scratch.path()).args(["archive", "--json", "--out"]).arg(&out);
    // Without a network: this test could not have been built if the crates were not here.
    for proxy in ["http_proxy", "https_proxy", "CARGO_HTTP_PROXY"] {
        command.env(proxy, "http://127.0.0.1:9");
    }
    let ended = run(command.args(arguments)).expect(status::SUCCESS, &["libfreestone.a"]);
    // What it was built in is gone.
    let names =
        std::fs::read_dir(&out).expect("a folder").map(|entry| entry.expect("one").file_name());
    let names: std::collections::BTreeSet<_> = names.collect();
    assert_eq!(names, ["freestone.h", "libfreestone.a"].map(Into::into).into());
    (out, serde_json::from_str(&ended.stdout).expect("a line of JSON"))
}

/// By other means than the tool's: every function, every name of the lists, nothing undefined.
fn judge(path: &Path, is_soft: bool) {
    let file = File::open(path).expect("it was just built");
    let mut table = Table::new();
    table.add(&file).expect("an archive");
    assert_eq!(table.missing().next().map(|(name, _)| name.to_owned()), None);
    let mut names = Vec::new();
    for object in file.objects().expect("an archive") {
        let object = object.expect("a readable object");
        for symbol in object.symbols().iter().filter(|symbol| symbol.is_provided()) {
            assert_eq!(symbol.binding, Binding::Weak, "{}", symbol.name);
            names.push(symbol.name.to_string());
        }
        for function in object.functions() {
            let facts = disassembly::facts(&function, &Links::of(&object, function.section));
            assert!(!facts.red_zone.is_any(), "{}", function.name);
            assert!(!is_soft || !facts.vector.is_any(), "{}", function.name);
        }
    }
    let lists = [include_str!("../mem/exports.txt"), include_str!("../math/exports.txt")];
    let missing: Vec<_> = lists
        .iter()
        .flat_map(|list| list.lines())
        .filter(|&name| !names.iter().any(|n| n == name))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

/// Compiles and links the kernel with gcc, and nothing of gcc's.
fn link(scratch: &Scratch, out: &Path, more: &[&str]) -> Ended {
    let image = scratch.path().join("kernel");
    let mut command = Command::new("gcc");
    command.args(["-O2", "-ffreestanding", "-mno-red-zone", "-mgeneral-regs-only", "-fno-pic"]);
    command.args(["-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-Wall", "-Werror"]);
    command.arg("-I").arg(out).args(more).arg("-o").arg(image);
    command.arg("-T").arg(root().join("tests/kernels/own-boot/own.ld"));
    command.arg(root().join("tests/c/kernel.c"));
    command.arg(out.join("libfreestone.a"));
    run(&mut command)
}

fn a_kernel_in_c_boots(scratch: &Scratch, out: &Path, sse: &[&str]) {
    for more in [&[][..], &["-DOWN_STRLEN"], &["-Wl,--gc-sections"]] {
        let linked = link(scratch, out, &[more, sse].concat());
        assert_eq!(linked.status, Some(0), "{more:?} {linked}");
        let ended = boot(&scratch.path().join("kernel"), &[]);
        ended.expect(status::SUCCESS, &["right: __udivti3, __umodti3", "VERDICT: success"]);
    }
}

/// The header declares every function that C can call, in C99 and in C++, and the archive has each.
fn the_header_is_whole(scratch: &Scratch, out: &Path) {
    let lists = [include_str!("../mem/exports.txt"), include_str!("../math/exports.txt")];
    let names: Vec<_> =
        lists.iter().flat_map(|list| list.lines()).filter(|n| !n.starts_with("__")).collect();
    assert!(names.len() > 150, "few names: {names:?}");
    // g++ 12 has no _Float128, and _Float16 not in the same way.
    let is_plain = |name: &&&str| !name.ends_with("f16") && !name.ends_with("f128");
    let plain: Vec<_> = names.iter().filter(is_plain).copied().collect();
    for (compiler, standard, names) in
        [("gcc", "-std=c99", &names), ("gcc", "-std=c17", &names), ("g++", "-std=c++17", &plain)]
    {
        let uses: String =
            names.iter().map(|name| format!("    use((function *){name});\n")).collect();
        let source = format!(
            "#include \"freestone.h\"\ntypedef void function(void);\nstatic function *volatile used;\n\
             static void use(function *one) {{ used = one; }}\n\
             int main(void) {{\n{uses}    return freestone_heap_add(0, 0) != 0 || malloc(1) || used == 0;\n}}\n"
        );
        let file = if compiler == "g++" { "names.cc" } else { "names.c" };
        scratch.write(file, &source);
        let mut command = Command::new(compiler);
        command.args([
            standard,
            "-Wall",
            "-Werror",
            "-ffreestanding",
            "-fno-exceptions",
            "-nostdlib",
        ]);
        command.args(["-static", "-no-pie", "-Wl,--entry=main", "-I"]).arg(out);
        command.arg(scratch.path().join(file)).arg(out.join("libfreestone.a"));
        if run_or_skip(compiler) {
            let linked = run(command.arg("-o").arg(scratch.path().join("names")));
            assert_eq!(linked.status, Some(0), "{compiler} {standard}: {linked}");
        }
    }
}

fn run_or_skip(compiler: &str) -> bool {
    let is_here = Command::new(compiler).arg("--version").output().is_ok();
    if !is_here {
        println!("SKIPPED: no {compiler}. On Debian: apt-get install {compiler}");
    }
    is_here
}

#[test]
fn a_kernel_in_c_boots_with_the_hosts_abi() {
    let scratch = Scratch::new("archive-host");
    let (out, answer) = archive(&scratch, &["--abi", "host"]);
    assert_eq!(answer["red_zone"], 0);
    judge(&out.join("libfreestone.a"), false);
    the_header_is_whole(&scratch, &out);
    a_kernel_in_c_boots(&scratch, &out, &["-DSSE"]);
}

#[test]
fn a_kernel_in_c_boots_with_floats_in_software() {
    if sysroot("x86_64-unknown-none").is_none() {
        return;
    }
    let scratch = Scratch::new("archive-soft");
    let (out, answer) = archive(&scratch, &["--abi", "soft"]);
    assert_eq!(answer["vector"], 0);
    judge(&out.join("libfreestone.a"), true);
    a_kernel_in_c_boots(&scratch, &out, &[]);
}

#[test]
fn another_machines_archive_is_for_that_machine() {
    let target = "aarch64-unknown-none";
    if sysroot(target).is_none() {
        return;
    }
    let scratch = Scratch::new("archive-aarch64");
    let (out, answer) = archive(&scratch, &["--target", target]);
    // Nothing was disassembled, so nothing is claimed.
    assert_eq!(answer["red_zone"], Value::Null);
    let file = File::open(out.join("libfreestone.a")).expect("it was just built");
    for object in file.objects().expect("an archive") {
        let machine = object.expect("a readable object").machine;
        assert_eq!(machine, freestone_inspect::Machine::Aarch64);
    }
}
