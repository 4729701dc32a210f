//! Memory that is both written and executed.

use object::elf;

use super::{Report, Rule, Severity, Subject};

pub(super) const RULE: Rule = Rule {
    name: "writable-text",
    severity: Severity::Warning,
    summary: "code lies in memory that can be written",
    explanation: "A segment is loaded writable and executable, or a section with code is writable. Any stray \
or malicious write can then change the program, and constants that share the segment are not \
protected either. Give code, constants and variables a segment each in the linker script (`PHDRS`, with FLAGS \
5, 4 and 6) and let them begin on pages of their own. A kernel that maps itself anew after boot may know \
better; the file cannot show that.",
    matters_for_boot: false,
    check,
};

fn check(subject: &Subject<'_>, report: &mut Report) {
    let segments = subject.image.segments.iter();
    for segment in segments.filter(|s| s.is_loaded() && s.size > 0) {
        if segment.is_writable() && segment.is_executable() {
            let end = segment.address.wrapping_add(segment.size);
            let message =
                format!("segment {:#x}..{end:#x} is writable and executable", segment.address);
            report.add(Severity::Warning, message).at(segment.address);
        }
    }
    for section in subject.image.sections.iter().filter(|s| s.is_loaded() && s.size > 0) {
        if section.is_writable() && section.flags & elf::SHF_EXECINSTR.0 != 0 {
            let message = format!("section {} holds code and is writable", section.name);
            report.add(Severity::Warning, message).at(section.address);
        }
    }
}
