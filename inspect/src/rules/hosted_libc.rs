//! The host's C library, linked in unnoticed.

use super::{Report, Rule, Severity, Subject};
use crate::elf::Section;

pub(super) const RULE: Rule = Rule {
    name: "hosted-libc",
    severity: Severity::Error,
    summary: "a C library for an operating system is linked in",
    explanation: "The image contains or asks for parts of a C library that expects an operating system: \
an interpreter, shared libraries, glibc's or musl's own symbols or texts. On a target such as \
x86_64-unknown-linux-gnu a dependency can drag `-lc` in, and functions that look harmless then make \
system calls or choose their body through relocations that nobody applies. Link with Freestone's \
arguments, which put empty libraries in front of the host's, so that whatever is missing is named; or find \
the crate that depends on libc with `cargo tree -i libc`.",
    matters_for_boot: true,
    check,
};

/// Names that only these libraries define.
const SYMBOLS: [&str; 16] = [
    "__libc_start_main",
    "__libc_start_call_main",
    "__libc_csu_init",
    "__libc_setup_tls",
    "__libc_init_secure",
    "__libc_early_init",
    "__libc_malloc",
    "_dl_relocate_static_pie",
    "_dl_x86_init_cpu_features",
    "_dl_x86_get_cpu_features",
    "__x86_shared_non_temporal_threshold",
    "_IO_2_1_stdout_",
    "_nl_C_locobj",
    "__init_libc",
    "__libc_start_init",
    "__stdout_FILE",
];

/// Texts that only these libraries have; looked for where there are no symbols.
const TEXTS: [&[u8]; 3] = [b"GNU C Library (", b"glibc.malloc.", b"FATAL: kernel too old\n"];

/// GNU's note of type 1 names the operating system a program was linked for.
const GNU_ABI_TAG: u32 = 1;

fn check(subject: &Subject<'_>, report: &mut Report) {
    let image = &subject.image;
    if let Some(interpreter) = image.interpreter() {
        report.add(
            Severity::Error,
            format!("the image asks for {interpreter} to load it: it is a program, not a kernel"),
        );
    }
    for library in image.needed_libraries() {
        report.add(Severity::Error, format!("the image asks for the shared library {library}"));
    }
    if let Some(note) = image.note("GNU", GNU_ABI_TAG) {
        report
            .add(Severity::Error, "a note names the operating system the image was linked for: start files of the host are in it")
            .at(note.address);
    }
    let mut found = false;
    for symbol in image.symbols().iter().chain(image.imports()) {
        if SYMBOLS.contains(&&*symbol.name) || is_versioned(&symbol.name) {
            found = true;
            let message = format!("`{}` belongs to the host's C library", symbol.name);
            report.add(Severity::Error, message).at(symbol.address).named(&symbol.name);
        }
    }
    if found {
        return;
    }
    for section in image.sections.iter().filter(|s| s.is_loaded() && !s.is_code()) {
        if let Some(text) = TEXTS.into_iter().find(|text| contains(section, text)) {
            let text = String::from_utf8_lossy(text);
            let message =
                format!("the text {:?} in {} is from glibc", text.trim_end(), section.name);
            report.add(Severity::Error, message).at(section.address);
        }
    }
}

fn is_versioned(name: &str) -> bool {
    name.contains("@GLIBC_") || name.contains("@@GLIBC_")
}

fn contains(section: &Section<'_>, text: &[u8]) -> bool {
    memchr::memmem::find(section.data, text).is_some()
}
