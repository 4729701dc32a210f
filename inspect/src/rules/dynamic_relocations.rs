//! Work left to a dynamic loader.

use object::elf;

use super::{Report, Rule, Severity, Subject};
use crate::elf::{Machine, Relocation};
use crate::image::Image;
use crate::symbol::Binding;

pub(super) const RULE: Rule = Rule {
    name: "dynamic-relocations",
    severity: Severity::Error,
    summary: "addresses are left for a dynamic loader to fill in",
    explanation: "The image has relocations that are to be applied when it is loaded. Boot loaders do not do \
that: until the kernel applies them itself, pointers in its data hold wrong addresses, and calls through them go \
astray. Link at a fixed address (`-no-pie`, `-static`, `-C relocation-model=static`). Relocations that \
the image can apply itself, knowing where it was loaded, are a warning: firmware and relocatable kernels do. It is \
an error if a symbol is to be found elsewhere, or a function to be chosen at run time (IFUNC), which \
comes with a C library.",
    matters_for_boot: true,
    check,
};

fn check(subject: &Subject<'_>, report: &mut Report) {
    let image = &subject.image;
    for table in image.sections.iter().filter(|s| s.is_loaded() && s.size > 0) {
        let (count, others) = match elf::SectionType(table.kind) {
            elf::SHT_RELA | elf::SHT_REL => {
                let is_other = |relocation: &Relocation| needs_a_loader(image, relocation);
                let count = image.relocation_table(table).count() as u64;
                (count, image.relocation_table(table).filter(is_other).count() as u64)
            }
            elf::SHT_RELR => (table.size / image.word_bytes(), 0),
            _ => continue,
        };
        if count > 0 {
            let severity = if others > 0 { Severity::Error } else { Severity::Warning };
            let name = &table.name;
            let message = match others {
                0 => format!("{name} holds {count} relocations for a dynamic loader"),
                _ => format!(
                    "{name} holds {count} relocations for a dynamic loader, {others} of them for \
                     what is not in the image or is chosen at run time"
                ),
            };
            report.add(severity, message).at(table.address);
        }
    }
    let has_sections = image.sections.len() > 1;
    if !has_sections && image.segments.iter().any(|s| s.kind == elf::PT_DYNAMIC.0) {
        let message = "the image has a dynamic segment, for a dynamic loader to read";
        report.add(Severity::Warning, message);
    }
}

/// Whether a relocation asks for a symbol that is not here, or for a function to be chosen.
fn needs_a_loader(image: &Image<'_>, relocation: &Relocation) -> bool {
    let chosen = match image.machine {
        Machine::X86_64 => Some(elf::R_X86_64_IRELATIVE.0),
        Machine::X86 => Some(elf::R_386_IRELATIVE.0),
        Machine::Aarch64 => Some(elf::R_AARCH64_IRELATIVE.0),
        Machine::Riscv => Some(elf::R_RISCV_IRELATIVE.0),
        Machine::Other(_) => None,
    };
    let symbol = image.imports().get(relocation.symbol);
    let is_elsewhere = symbol.is_some_and(|s| s.is_undefined() && s.binding != Binding::Weak);
    Some(relocation.kind) == chosen || is_elsewhere
}
