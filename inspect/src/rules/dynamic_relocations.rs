//! Work left to a dynamic loader.

use object::elf;

use super::{Report, Rule, Severity, Subject};
use crate::elf::{ObjectKind, Section};

pub(super) const RULE: Rule = Rule {
    name: "dynamic-relocations",
    severity: Severity::Error,
    summary: "addresses are left for a dynamic loader to fill in",
    explanation: "The image has relocations that are to be applied when it is loaded. Boot loaders do not do \
that: until the kernel applies them itself, pointers in its data hold wrong addresses, and calls through them go \
astray. Link at a fixed address (`-no-pie`, `-static`, `-C relocation-model=static`). In an executable linked at a fixed \
address they are an error; most often they choose a function at run time (IFUNC), which comes with a \
C library. In a position-independent image they are a warning: it may relocate itself.",
    matters_for_boot: true,
    check,
};

fn check(subject: &Subject<'_>, report: &mut Report) {
    let image = &subject.image;
    let severity = match image.kind {
        ObjectKind::Dynamic => Severity::Warning,
        _ => Severity::Error,
    };
    let tables = image.sections.iter().filter(|s| s.is_loaded() && s.size > 0);
    for table in tables {
        let Some(count) = entries(table, image.is_64) else { continue };
        let message = format!("{} holds {count} relocations for a dynamic loader", table.name);
        report.add(severity, message).at(table.address);
    }
    let has_sections = image.sections.len() > 1;
    if !has_sections && image.segments.iter().any(|s| s.kind == elf::PT_DYNAMIC.0) {
        report.add(severity, "the image has a dynamic segment, for a dynamic loader to read");
    }
}

fn entries(table: &Section<'_>, is_64: bool) -> Option<u64> {
    let word = if is_64 { 8 } else { 4 };
    match elf::SectionType(table.kind) {
        elf::SHT_RELA => Some(table.size / (3 * word)),
        elf::SHT_REL => Some(table.size / (2 * word)),
        elf::SHT_RELR => Some(table.size / word),
        _ => None,
    }
}
