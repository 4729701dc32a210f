//! For every rule an image that it must reject, and a similar one that it must accept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use freestone_inspect::File;
use freestone_inspect::rules::{self, Options, RULES, Report, Severity, Subject};
use freestone_inspect::symbols::Table;

/// A PVH kernel that halts.
const KERNEL: &str = r#"
    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 4, 18
    .asciz "Xen"
    .long _start
    .text
    .globl _start
_start:
    hlt
    jmp _start
    .size _start, . - _start
"#;

/// A return from an interrupt, without which interrupts can do no harm.
const HANDLER: &str = ".globl handler\nhandler: iretq\n.size handler, . - handler\n";

/// Freestone's note of one type.
fn note(kind: u32) -> String {
    format!(
        ".section .note.Freestone, \"a\", @note\n.balign 4\n.long 10, 0, {kind}\n\
         .asciz \"Freestone\"\n.balign 4\n.text\n"
    )
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rejects").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for the test");
    folder
}

/// Links sources (`.s` or `.c`, by whether they say `int main`) and returns the image's path.
fn link(name: &str, sources: &[&str], flags: &[&str]) -> PathBuf {
    link_with(name, sources, flags, &[])
}

/// The same with libraries, which have to stand behind what wants them.
fn link_with(name: &str, sources: &[&str], flags: &[&str], libraries: &[&str]) -> PathBuf {
    let folder = folder(name);
    let image = folder.join("image");
    let mut command = Command::new("cc");
    command.args(flags).arg("-o").arg(&image);
    for (index, source) in sources.iter().enumerate() {
        let extension = if source.contains("int main") { "c" } else { "s" };
        let file = folder.join(format!("{index}.{extension}"));
        fs::write(&file, format!("{source}\n")).expect("a source file");
        command.arg(file);
    }
    let output = command.args(libraries).output().expect("these tests need cc");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    image
}

const RELOCATABLE: [&str; 2] = ["-nostdlib", "-r"];

const FREESTANDING: [&str; 5] = [
    "-nostdlib",
    "-static",
    "-no-pie",
    "-Wl,--build-id=none,-z,noexecstack",
    "-Wl,--unresolved-symbols=ignore-all",
];

/// Links assembly behind [`KERNEL`].
fn kernel(name: &str, assembly: &str) -> PathBuf {
    link(name, &[&format!("{KERNEL}\n{assembly}")], &FREESTANDING)
}

fn check(image: &Path) -> Report {
    check_file(&File::open(image).expect("the image was just made"), Options::default())
}

fn check_file(file: &File, options: Options) -> Report {
    rules::check(&Subject::new(file.image().expect("an image"), options))
}

/// Severities and messages of one rule.
fn said(report: &Report, rule: &str) -> Vec<(Severity, String)> {
    assert!(RULES.iter().any(|known| known.name == rule), "no rule is called {rule}");
    let place = |symbol: &Option<String>| symbol.clone().unwrap_or_default();
    report.of(rule).map(|f| (f.severity, format!("{}: {}", place(&f.symbol), f.message))).collect()
}

#[track_caller]
fn expect(image: &Path, rule: &str, severity: Severity, text: &str) {
    let said = said(&check(image), rule);
    let found = said.iter().any(|(is, message)| *is == severity && message.contains(text));
    assert!(found, "no {severity:?} of {rule} with {text:?} in {said:#?}");
}

#[track_caller]
fn expect_silent(image: &Path, rule: &str) {
    let said = said(&check(image), rule);
    assert!(said.is_empty(), "{rule}: {said:#?}");
}

#[test]
fn a_small_kernel_has_nothing_but_its_stack_to_report() {
    let report = check(&kernel("good", HANDLER));
    let others: Vec<_> = report.findings.iter().filter(|f| f.rule != "deep-stack").collect();
    assert!(others.is_empty(), "{others:#?}");
}

#[test]
fn every_rule_is_explained_in_a_paragraph() {
    for rule in RULES {
        assert!(rule.explanation.len() > 200, "{}", rule.name);
        assert_eq!(rules::rule(rule.name).map(|r| r.name), Some(rule.name));
    }
}

#[test]
fn entry_note() {
    let rule = "entry-note";
    let bare = ".globl _start\n_start: hlt\n";
    let image = link("entry-none", &[bare], &FREESTANDING);
    expect(&image, rule, Severity::Error, "no PVH");
    let multiboot = format!(".balign 4\n.long 0x1badb002, 0, -0x1badb002\n{bare}");
    expect_silent(&link("entry-multiboot", &[&multiboot], &FREESTANDING), rule);
    let wrong_sum = format!(".balign 4\n.long 0x1badb002, 0, 1\n{bare}");
    let image = link("entry-multiboot-sum", &[&wrong_sum], &FREESTANDING);
    expect(&image, rule, Severity::Error, "no PVH");
    let multiboot2 =
        format!(".balign 8\n.long 0xe85250d6, 0, 24, -(0xe85250d6 + 24), 0, 8\n{bare}");
    expect_silent(&link("entry-multiboot2", &[&multiboot2], &FREESTANDING), rule);
    let elsewhere = KERNEL.replace(".long _start", ".long variable") + ".data\nvariable: .long 1\n";
    let image = link("entry-data", &[&elsewhere], &FREESTANDING);
    expect(&image, rule, Severity::Error, "not the physical address of code");
    let short =
        KERNEL.replace(".long 4, 4, 18", ".long 4, 2, 18").replace(".long _start", ".word 1, 0");
    let image = link("entry-short", &[&short], &FREESTANDING);
    expect(&image, rule, Severity::Error, "4 or 8 bytes");
}

/// Orphans: sections that no linker script names, among the notes.
#[test]
fn the_segment_of_the_note_holds_notes_only_and_is_aligned_to_4() {
    let rule = "entry-note";
    let script = "PHDRS { all PT_LOAD FLAGS(5); note PT_NOTE FLAGS(4); } SECTIONS { . = 0x100000; \
        .note.Xen : { *(.note.Xen) } :all :note .alien : { *(.alien) } .text : { *(.text) } :all }";
    let linked = |name: &str, assembly: &str| {
        let path = folder(&format!("{name}-script")).join("script.ld");
        fs::write(&path, script).expect("a script");
        let script = format!("-Wl,-T{}", path.display());
        let flags: Vec<_> = FREESTANDING.into_iter().chain([&*script]).collect();
        link(name, &[&format!("{KERNEL}\n{assembly}")], &flags)
    };
    let alien = |align: u64| {
        format!(".section .alien, \"a\", @progbits\n.balign {align}\n.quad 5\n.text\n")
    };
    expect_silent(&linked("note-alone", ""), rule);
    expect(&linked("note-alien", &alien(1)), rule, Severity::Error, "holds .alien, no notes");
    expect(&linked("note-aligned", &alien(8)), rule, Severity::Error, "is aligned to 8");
    let other = alien(8).replace("@progbits", "@note");
    expect(&linked("note-other", &other), rule, Severity::Error, "is aligned to 8");
}

#[test]
fn misplaced_section() {
    let rule = "misplaced-section";
    let script = "PHDRS { all PT_LOAD FLAGS(5); text PT_LOAD FLAGS(4); note PT_NOTE FLAGS(4); \
        } SECTIONS { . = 0x100000; .note.Xen : { *(.note.Xen) } :all :note .text : { *(.text) } :all \
        .rodata : { *(.rodata) *(.own) } :text .data.rel.ro : { *(.data.rel.ro) } .variables : { *(.variables) } \
        .code : { *(.code) } .nowhere : { *(.nowhere) } :NONE }";
    let path = folder("misplaced-script").join("script.ld");
    fs::write(&path, script).expect("a script");
    let script = format!("-Wl,-T{}", path.display());
    let flags: Vec<_> = FREESTANDING.into_iter().chain([&*script]).collect();
    let linked = |name: &str, section: &str| {
        let assembly = format!("{KERNEL}\n.section {section}\n.quad 5\n.text\n");
        link(name, &[&assembly], &flags)
    };
    for fine in [".rodata, \"a\"", ".data.rel.ro, \"aw\"", ".debug_some, \"\""] {
        expect_silent(&linked("misplaced-not", fine), rule);
    }
    for (section, severity, text) in [
        (".nowhere, \"a\"", Severity::Error, ".nowhere is in no segment"),
        (".code, \"ax\"", Severity::Error, ".code holds code"),
        (".variables, \"aw\"", Severity::Warning, ".variables is for writing"),
    ] {
        expect(&linked("misplaced", section), rule, severity, text);
    }
    // The whole of it must be loaded, not its first byte.
    let file = with_segment(&kernel("misplaced-short", ""), 40, |_| 1);
    let said = said(&check_file(&file, Options::default()), rule);
    assert!(said.iter().any(|(_, message)| message.contains(".text is in no segment")), "{said:?}");
}

/// The image with the section of one of its global symbols taken away.
fn without_section(image: &Path, name: &str) -> File {
    let file = File::open(image).expect("the image was just made");
    let mut bytes = file.bytes().to_vec();
    let object = file.object().expect("an image");
    let table = object.section(".symtab").expect("symbols").offset as usize;
    let index = object.symbols().iter().position(|symbol| symbol.name == name);
    // A symbol has 24 bytes; the number of its section is at 6.
    let at = table + 24 * index.expect("a symbol") + 6;
    bytes[at..at + 2].fill(0);
    File::from_bytes("changed", bytes).expect("not empty")
}

/// Where the program headers of a 64-bit file are, and the size of each.
const HEADERS: (usize, usize) = (64, 56);

/// The kernel with eight bytes of its first executable segment's header changed.
fn with_segment(image: &Path, at: usize, change: impl Fn(u64) -> u64) -> File {
    let mut bytes = fs::read(image).expect("the image was just made");
    let headers = (0..).map(|index| HEADERS.0 + index * HEADERS.1);
    let is_code = |at: &usize| bytes[*at..*at + 5] == [1, 0, 0, 0, 5];
    let start = headers.take(12).find(is_code).expect("a segment with code") + at;
    let old = u64::from_le_bytes(bytes[start..start + 8].try_into().expect("eight bytes"));
    bytes[start..start + 8].copy_from_slice(&change(old).to_le_bytes());
    File::from_bytes("changed", bytes).expect("not empty")
}

#[test]
fn empty_or_misaligned() {
    let rule = "empty-or-misaligned";
    let empty = link("empty", &[".data\n.globl _start\n_start: .long 1\n"], &FREESTANDING);
    expect(&empty, rule, Severity::Error, "no code");
    let image = kernel("aligned", ".data\n.long 1\n");
    expect_silent(&image, rule);
    for (at, change, text) in [
        (16, (|a| a + 8) as fn(u64) -> u64, "not the same modulo"),
        (24, |_| 0x40_0000, "lie over each other"),
        (40, |_| 1, "larger in the file"),
        (40, |_| 0, "no code"),
    ] {
        let said = said(&check_file(&with_segment(&image, at, change), Options::default()), rule);
        assert!(said.iter().any(|(_, message)| message.contains(text)), "{text:?} in {said:?}");
    }
}

#[test]
fn undefined_symbol() {
    let rule = "undefined-symbol";
    let assembly = ".globl user\nuser: call missing\nret\n.size user, . - user\n";
    let image = kernel("undefined", assembly);
    expect(&image, rule, Severity::Error, "is lost; address 0 is called by `user`");
    let object = link("undefined-kept", &[&format!("{KERNEL}{assembly}")], &RELOCATABLE);
    let object = File::open(object).expect("just made");
    let mut table = Table::new();
    table.add(&object).expect("an object");
    assert_eq!(table.missing().map(|(name, _)| name).collect::<Vec<_>>(), ["missing"]);
    // As other linkers leave it: the name is kept in the symbol table.
    let kept = kernel("undefined-name", &assembly.replace("missing", "_start"));
    let file = without_section(&kept, "_start");
    let said = said(&check_file(&file, Options::default()), rule);
    assert!(said[0].1.contains("`_start` is undefined"), "{said:?}");
    let weak = kernel("undefined-weak", ".weak maybe\nmaybe: ret\n");
    let said = self::said(&check_file(&without_section(&weak, "maybe"), Options::default()), rule);
    assert_eq!((said.len(), said[0].0), (1, Severity::Note), "{said:?}");
    expect_silent(&kernel("defined", "call _start"), rule);
}

#[test]
fn hosted_libc() {
    let rule = "hosted-libc";
    let program = "#include <stdio.h>\nint main(void) { return printf(\"%d\\n\", 1) > 2; }";
    let hosted = link("hosted-static", &[program], &["-static"]);
    expect(&hosted, rule, Severity::Error, "`__libc_start_main` belongs to");
    expect(&hosted, "dynamic-relocations", Severity::Error, "relocations for a dynamic loader");
    expect(&hosted, "thread-local", Severity::Error, "bytes of thread-local");
    expect(&hosted, "entry-note", Severity::Error, "no PVH");
    let hosted = link("hosted-stripped", &[program], &["-static", "-s"]);
    expect(&hosted, rule, Severity::Error, "is from glibc");
    let hosted = link("hosted-dynamic", &[program], &[]);
    expect(&hosted, rule, Severity::Error, "ld-linux");
    expect(&hosted, rule, Severity::Error, "the shared library libc");
    // What the design warns of: a kernel of one's own, with -lc slipped in behind it.
    let user = format!(
        "{KERNEL}\nuser: call memcpy\n.globl _init, _fini, _DYNAMIC\n_init: _fini: _DYNAMIC: ret\n"
    );
    let library = "-Wl,--start-group,-lc,-lgcc,-lgcc_eh,--end-group";
    let slipped = link_with("hosted-slipped", &[&user], &FREESTANDING, &[library]);
    expect(&slipped, rule, Severity::Error, "belongs to the host's C library");
    expect_silent(&kernel("hosted-not", "call _start"), rule);
}

#[test]
fn dynamic_relocations() {
    let source = format!("{KERNEL}\n.data\n.quad _start\n");
    let bare = ".globl _start\n_start: hlt\n.data\n.quad _start\n";
    let pie = link("pie", &[bare], &["-nostdlib", "-static-pie"]);
    expect(&pie, "dynamic-relocations", Severity::Warning, ".rela.dyn holds");
    expect_silent(&link("no-pie", &[&source], &FREESTANDING), "dynamic-relocations");
}

#[test]
fn thread_local() {
    let variable = "\n.section .tdata, \"awT\", @progbits\n.long 1, 2\n";
    let image = kernel("thread", variable);
    expect(&image, "thread-local", Severity::Error, "8 bytes");
    let setter =
        ".globl setter\nsetter: mov $0xc0000100, %ecx\nwrmsr\nret\n.size setter, . - setter";
    let image = kernel("thread-set", &format!("{setter}{variable}"));
    expect(&image, "thread-local", Severity::Note, "code that sets FS");
    expect_silent(&kernel("thread-not", ".data\n.long 1\n"), "thread-local");
}

#[test]
fn float_abi_mix() {
    let rule = "float-abi-mix";
    let hard = ".globl __muldf3\n__muldf3: mulsd %xmm1, %xmm0\nret\n.size __muldf3, . - __muldf3\n";
    let soft = ".globl __muldf3\n__muldf3: mov %rdi, %rax\nimul %rsi, %rax\nret\n.size __muldf3, . - __muldf3\n";
    let hard_user =
        ".globl user\nuser: movsd 8(%rdx), %xmm0\ncall __muldf3\nret\n.size user, . - user\n";
    let soft_user = ".globl user\nuser: mov 8(%rdx), %rdi\ncall __muldf3\nmov %rax, (%rdx)\nret\n.size user, . - user\n";
    let thunk =
        ".globl user\nuser: push %rax\ncall __muldf3\npop %rcx\nret\n.size user, . - user\n";
    let mixed = kernel("float-soft-hard", &format!("{hard}{soft_user}"));
    expect(&mixed, rule, Severity::Error, "user: passes floats to `__muldf3` in general-purpose");
    let mixed = kernel("float-hard-soft", &format!("{soft}{hard_user}"));
    expect(&mixed, rule, Severity::Error, "user: passes floats to `__muldf3` in vector");
    for (name, both) in [
        ("float-hard", [hard, hard_user]),
        ("float-soft", [soft, soft_user]),
        ("float-thunk", [hard, thunk]),
    ] {
        expect_silent(&kernel(name, &both.concat()), rule);
    }
}

#[test]
fn self_recursion() {
    let rule = "self-recursion";
    let direct =
        ".globl memset\nmemset: push %rbx\ncall memset\npop %rbx\nret\n.size memset, . - memset\n";
    expect(&kernel("recursion", direct), rule, Severity::Error, "`memset` calls itself");
    let round = ".globl memcpy\nmemcpy: jmp helper\n.size memcpy, . - memcpy\n\
        .globl helper\nhelper: call other\nret\n.size helper, . - helper\n\
        .globl other\nother: jmp memcpy\n.size other, . - other\n";
    let image = kernel("recursion-round", round);
    expect(&image, rule, Severity::Error, "by way of helper, other");
    let looping = ".globl memset\nmemset: dec %rdx\njnz memset\nret\n.size memset, . - memset\n\
        .globl memmove\nmemmove: call memset\nret\n.size memmove, . - memmove\n";
    expect_silent(&kernel("recursion-not", looping), rule);
}

#[test]
fn red_zone() {
    let rule = "red-zone";
    let leaf =
        ".globl leaf\nleaf: mov %rdi, -8(%rsp)\nmov -8(%rsp), %rax\nret\n.size leaf, . - leaf\n";
    let image = kernel("red-zone", &format!("{leaf}{HANDLER}"));
    expect(&image, rule, Severity::Error, "leaf: 2 accesses below the stack pointer");
    expect(&kernel("red-zone-alone", leaf), rule, Severity::Note, "1 functions use the red zone");
    expect_silent(&kernel("red-zone-note", &format!("{}{leaf}{HANDLER}", note(1))), rule);
    let other = kernel("red-zone-other", &format!("{}{leaf}{HANDLER}", note(2)));
    expect(&other, rule, Severity::Error, "leaf");
    let frame = "leaf: push %rdi\nmov (%rsp), %rax\npop %rdi\nret\n.size leaf, . - leaf\n";
    expect_silent(&kernel("red-zone-not", &format!("{frame}{HANDLER}")), rule);
}

#[test]
fn vector_registers() {
    let rule = "vector-registers";
    let user = ".globl user\nuser: pxor %xmm0, %xmm0\nret\n.size user, . - user\n";
    let image = kernel("vector", &format!("{user}{HANDLER}"));
    expect(&image, rule, Severity::Error, "user: 1 instructions on vector registers");
    let allowed = Options { allow_fp: true, ..Options::default() };
    let file = File::open(&image).expect("the image was just made");
    assert_eq!(said(&check_file(&file, allowed), rule), []);
    expect(&kernel("vector-alone", user), rule, Severity::Note, "1 functions use vector");
    expect_silent(&kernel("vector-note", &format!("{}{user}{HANDLER}", note(2))), rule);
    let x87 = ".globl user\nuser: fld1\nret\n.size user, . - user\n";
    let image = kernel("x87", &format!("{x87}{HANDLER}"));
    expect(&image, rule, Severity::Error, "x87");
}

#[test]
fn init_array() {
    let list = "\n.section .init_array, \"aw\", @init_array\n.quad _start\n";
    let image = kernel("init", list);
    expect(&image, "init-array", Severity::Warning, "1 functions");
    let caller = ".globl caller\ncaller: mov $__init_array_start, %rdi\nret\n";
    expect_silent(&kernel("init-called", &format!("{caller}{list}")), "init-array");
}

#[test]
fn writable_text() {
    let flags: Vec<_> = FREESTANDING.into_iter().chain(["-Wl,--omagic"]).collect();
    let image = link("writable", &[&format!("{KERNEL}\n.data\n.long 1\n")], &flags);
    expect(&image, "writable-text", Severity::Warning, "writable and executable");
    let image = kernel("writable-section", "\n.section .hot, \"awx\", @progbits\nnop\n");
    expect(&image, "writable-text", Severity::Warning, "section .hot");
}

#[test]
fn duplicate_provider() {
    let body = "memcpy: mov %rdi, %rax\nret\n.size memcpy, . - memcpy\n";
    let sources = [&format!("{KERNEL}\n.globl memcpy\n{body}")[..], &format!(".text\n{body}")];
    let image = link("duplicate", &sources, &FREESTANDING);
    expect(&image, "duplicate-provider", Severity::Warning, "`memcpy` has 2 bodies");
    let one = link("duplicate-not", &sources[..1], &FREESTANDING);
    expect_silent(&one, "duplicate-provider");
}

#[test]
fn unwind_leftovers() {
    let tables = "f: .cfi_startproc\nret\n.cfi_endproc\n";
    let image = kernel("unwind-tables", tables);
    expect(&image, "unwind-leftovers", Severity::Note, ".eh_frame takes");
    let unwinder = ".globl _Unwind_RaiseException\n_Unwind_RaiseException: ret\n";
    let image = kernel("unwinder", unwinder);
    expect(&image, "unwind-leftovers", Severity::Warning, "the code of an unwinder");
}

#[test]
fn deep_stack() {
    let rule = "deep-stack";
    let deep = ".globl deep\ndeep: sub $0x8000, %rsp\ncall inner\nadd $0x8000, %rsp\nret\n.size deep, . - deep\n\
        .globl inner\ninner: sub $0x8000, %rsp\ncall deep\nadd $0x8000, %rsp\nret\n.size inner, . - inner\n";
    let image = kernel("deep", deep);
    expect(
        &image,
        rule,
        Severity::Warning,
        "about 65544 bytes of stack, once round each recursion: ",
    );
    let file = File::open(&image).expect("the image was just made");
    let enough = Options { stack_bytes: Some(1 << 20), ..Options::default() };
    let said = said(&check_file(&file, enough), rule);
    assert!(said[0].1.contains("deep (32776) → inner (32768)"), "{said:?}");
    assert_eq!(said[0].0, Severity::Note);
    // The image's own boot stack counts, less its guard page.
    for (bytes, severity) in [(65544, Severity::Note), (65543, Severity::Warning)] {
        let stack = format!(
            ".bss\n.type k.FREESTONE_BOOT_STACK, @object\n.size k.FREESTONE_BOOT_STACK, {}\n\
             k.FREESTONE_BOOT_STACK: .zero {}\n",
            4096 + bytes,
            4096 + bytes
        );
        let image = kernel("stack-own", &format!("{deep}{stack}"));
        expect(&image, rule, severity, "about 65544 bytes of stack");
    }
}

#[test]
fn a_stripped_image_is_not_called_good() {
    let flags: Vec<_> = FREESTANDING.into_iter().chain(["-s"]).collect();
    let leaf = "leaf: mov %rdi, -8(%rsp)\npxor %xmm0, %xmm0\nret\ncaller: call leaf\niretq\n";
    let image = link("stripped", &[&format!("{KERNEL}{leaf}")], &flags);
    let report = check(&image);
    for rule in [
        "undefined-symbol",
        "self-recursion",
        "float-abi-mix",
        "duplicate-provider",
        "deep-stack",
        "red-zone",
        "vector-registers",
    ] {
        assert!(report.unchecked.iter().any(|it| it.rule == rule), "{rule} was not looked at");
    }
    expect(&image, "red-zone", Severity::Warning, "code at 0x");
    expect(&image, "vector-registers", Severity::Warning, "code at 0x");
}
