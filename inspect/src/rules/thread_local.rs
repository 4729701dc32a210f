//! Variables that every thread has a copy of.

use object::elf;

use super::{Report, Rule, Severity, Subject};
use crate::program::Source;

pub(super) const RULE: Rule = Rule {
    name: "thread-local",
    severity: Severity::Error,
    summary: "there are thread-local variables, and nothing sets up their storage",
    explanation: "Thread-local variables are found by way of the FS register, which an operating system points at \
memory that it has made for each thread. A kernel starts with FS at zero: reading such a variable reads whatever is \
below address 0, which is a page fault or worse. Remove what brings them in (`std`, a C library, the unstable \
`#[thread_local]`), or set up storage. Code that does writes FS (`wrfsbase`, or MSR 0xc0000100); where that is in the \
image, the variables are only noted.",
    matters_for_boot: true,
    check,
};

fn check(subject: &Subject<'_>, report: &mut Report) {
    let image = &subject.image;
    let in_sections = image.sections.iter().filter(|s| s.is_loaded() && s.is_thread_local());
    let in_segments = image.segments.iter().filter(|s| s.kind == elf::PT_TLS.0);
    let size = in_sections.map(|s| s.size).fold(0, u64::saturating_add);
    let size = size.max(in_segments.map(|s| s.size).max().unwrap_or(0));
    if size == 0 {
        return;
    }
    let program = subject.program();
    let sets_up =
        (0..program.functions.len()).any(|index| program.facts(index).thread_pointer.is_any());
    let (severity, end) = match program.source {
        _ if sets_up => (Severity::Note, "code that sets FS is here too"),
        Source::Symbols => (Severity::Error, "no code here sets FS"),
        _ => (Severity::Warning, "whether code sets FS cannot be told"),
    };
    report.add(severity, format!("{size} bytes of thread-local variables; {end}"));
}
