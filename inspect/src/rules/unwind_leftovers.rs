//! Tables and code for unwinding, in a kernel that does not unwind.

use super::{Report, Rule, Severity, Subject};

pub(super) const RULE: Rule = Rule {
    name: "unwind-leftovers",
    severity: Severity::Warning,
    summary: "tables or code for unwinding are in the image",
    explanation: "With `panic = \"abort\"` nothing unwinds, yet the prebuilt libraries carry tables for it. \
Exception tables (.eh_frame, .gcc_except_table) take a tenth of an image and are only of use to a kernel \
that prints backtraces by them; that is noted. Code of an unwinder (`_Unwind_RaiseException` and others, from libgcc_eh) is \
a warning: it was linked because something still unwinds, and it calls into a C library. Set panic = \
\"abort\" in every profile, /DISCARD/ the tables in the linker script, and define `rust_eh_personality`, as \
`freestone::entry!` does.",
    matters_for_boot: false,
    check,
};

/// What libgcc_eh and libunwind define and nobody else. `_Unwind_Resume` alone is not proof: kernels
/// define an empty one.
const UNWINDER: [&str; 5] = [
    "_Unwind_RaiseException",
    "_Unwind_ForcedUnwind",
    "_Unwind_Find_FDE",
    "__register_frame_info",
    "__unw_step",
];

fn check(subject: &Subject<'_>, report: &mut Report) {
    let image = &subject.image;
    for section in image.sections.iter().filter(|s| s.is_loaded() && s.size > 0) {
        let is_table =
            [".eh_frame", ".gcc_except_table"].iter().any(|n| section.name.starts_with(n));
        if is_table {
            let message = format!("{} takes {} bytes", section.name, section.size);
            report.add(Severity::Note, message).at(section.address);
        }
    }
    let defined = image.symbols().iter().filter(|s| !s.is_undefined());
    for symbol in defined.filter(|s| UNWINDER.contains(&&*s.name)) {
        let message = format!("`{}` is the code of an unwinder", symbol.name);
        report.add(Severity::Warning, message).at(symbol.address).named(&symbol.name);
    }
    if !image.has_symbols() {
        report.cannot("the image has no symbols: an unwinder's code cannot be found");
    }
}
