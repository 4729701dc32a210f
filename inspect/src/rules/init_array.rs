//! Functions that should be called before `main`, but are not.

use object::elf;

use super::{Report, Rule, Severity, Subject};

pub(super) const RULE: Rule = Rule {
    name: "init-array",
    severity: Severity::Warning,
    summary: "there are constructors, and nobody is known to call them",
    explanation: "The image has a list of functions to be called before the program starts (.init_array, .ctors): \
C++ constructors, `#[ctor]`, or parts of a C library. An operating system's start files call them; a kernel has \
none, so what they set up stays unset. Remove what brings them in, or call them: a linker script then defines \
symbols around the list, such as `__init_array_start`. If these are there, the rule is silent.",
    matters_for_boot: false,
    check,
};

/// What linker scripts call the start of such a list. Linkers define the first on their own, but
/// only for who refers to it.
const STARTS: [&str; 7] = [
    "freestone_constructors_start",
    "__init_array_start",
    "__preinit_array_start",
    "__ctors_start",
    "__CTOR_LIST__",
    "__init_array_begin",
    "_init_array_start",
];

fn check(subject: &Subject<'_>, report: &mut Report) {
    let image = &subject.image;
    if image.symbols().iter().any(|s| STARTS.contains(&&*s.name)) {
        return;
    }
    for section in image.sections.iter().filter(|s| s.is_loaded() && s.size > 0) {
        let is_list =
            matches!(elf::SectionType(section.kind), elf::SHT_INIT_ARRAY | elf::SHT_PREINIT_ARRAY)
                || section.name == ".ctors"
                || section.name.starts_with(".init_array");
        if is_list {
            let count = section.size / image.word_bytes();
            let message = format!("{} lists {count} functions, which nobody calls", section.name);
            report.add(Severity::Warning, message).at(section.address);
        }
    }
}
