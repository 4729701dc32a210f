//! Sections that are loaded with other permissions than they want, or not at all.

use object::elf;

use super::{Report, Rule, Severity, Subject};
use crate::elf::{Section, Segment};

pub(super) const RULE: Rule = Rule {
    name: "misplaced-section",
    severity: Severity::Error,
    summary: "a section is in no segment, or in one with other permissions",
    explanation: "Loaders go by segments, programs by sections. A section that no loaded segment holds is not there when \
the kernel runs: what uses it reads, or calls, whatever is in that memory. That is an error, as is code in a segment \
that does not run. It is a warning if variables lie in a segment that is not for writing: a kernel that maps itself by \
its segments faults at the first write. Sections that a linker script does not name go where the linker thinks they \
are most alike, and into the segment of what stands before them: name them in the script, or give each kind of \
section (constants, code, variables) one output section that is only of this kind, with its segment.",
    matters_for_boot: true,
    check,
};

/// Sections that are written while a program is linked or relocated and not after that. A kernel's are constants.
const WRITTEN_BY_LINKERS: [&str; 9] = [
    ".data.rel.ro",
    ".got",
    ".dynamic",
    ".init_array",
    ".fini_array",
    ".preinit_array",
    ".ctors",
    ".dtors",
    ".eh_frame",
];

fn check(subject: &Subject<'_>, report: &mut Report) {
    let image = &subject.image;
    let loaded: Vec<&Segment<'_>> = image.segments.iter().filter(|s| s.is_loaded()).collect();
    // Without any there is another rule's word on it.
    if loaded.is_empty() {
        return;
    }
    for section in image.sections.iter().filter(|s| s.is_loaded() && s.size > 0) {
        // A template's zeroes take no memory.
        if section.is_thread_local() && section.kind == elf::SHT_NOBITS.0 {
            continue;
        }
        let name = &section.name;
        let Some(segment) = loaded.iter().find(|segment| holds(segment, section)) else {
            let message = format!("section {name} is in no segment: it is not loaded");
            report.add(Severity::Error, message).at(section.address);
            continue;
        };
        if section.is_code() && !segment.is_executable() {
            let message = format!("section {name} holds code, in a segment that is not executable");
            report.add(Severity::Error, message).at(section.address);
        }
        if section.is_writable() && !segment.is_writable() && !is_constant(section) {
            let message = format!("section {name} is for writing, in a segment that is read-only");
            report.add(Severity::Warning, message).at(section.address);
        }
    }
}

fn holds(segment: &Segment<'_>, section: &Section<'_>) -> bool {
    let left = section.address.checked_sub(segment.address);
    let left = left.and_then(|offset| segment.size.checked_sub(offset));
    segment.contains(section.address) && left.is_some_and(|left| section.size <= left)
}

fn is_constant(section: &Section<'_>) -> bool {
    WRITTEN_BY_LINKERS.iter().any(|name| {
        let rest = section.name.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}
