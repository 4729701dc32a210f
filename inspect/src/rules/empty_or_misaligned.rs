//! An image that loads wrongly, or loads nothing.

use super::{Report, Rule, Severity, Subject};
use crate::elf::Segment;

pub(super) const RULE: Rule = Rule {
    name: "empty-or-misaligned",
    severity: Severity::Error,
    summary: "there is no code to load, or segments do not load where they belong",
    explanation: "Nothing executable is loaded, which is what remains if the linker script is forgotten or \
garbage collection finds nothing reachable from the entry; or two loaded segments lie over each other in \
physical memory. It is a warning if a segment's place in the file and in memory differ by what is no multiple of \
its alignment, which loaders refuse that map pages instead of copying. Look at the linker script's ENTRY, KEEP and ALIGN.",
    matters_for_boot: true,
    check,
};

fn check(subject: &Subject<'_>, report: &mut Report) {
    let image = &subject.image;
    let loaded: Vec<&Segment<'_>> =
        image.segments.iter().filter(|s| s.is_loaded() && s.size > 0).collect();
    if loaded.is_empty() {
        report.add(Severity::Error, "there is nothing to load in this image");
        return;
    }
    let has_code = loaded.iter().any(|s| s.is_executable() && s.data.iter().any(|&byte| byte != 0));
    // Sections count only beside symbols: tools that pack images write some without meaning.
    let is_linked = image.has_symbols() && image.sections.len() > 1;
    let has_section = image.sections.iter().any(|s| s.is_code() && !s.data.is_empty());
    if !has_code || (is_linked && !has_section) {
        report.add(Severity::Error, "no code is in this image");
    }
    for segment in &loaded {
        let is_congruent = segment.align < 2
            || !segment.align.is_power_of_two()
            || segment.offset.checked_rem(segment.align)
                == segment.address.checked_rem(segment.align);
        if !is_congruent && !segment.data.is_empty() {
            let message = format!(
                "segment at {:#x} is at offset {:#x} in the file: not the same modulo {:#x}",
                segment.address, segment.offset, segment.align
            );
            report.add(Severity::Warning, message).at(segment.address);
        }
        if (segment.data.len() as u64) > segment.size {
            let message =
                format!("segment at {:#x} is larger in the file than in memory", segment.address);
            report.add(Severity::Error, message).at(segment.address);
        }
    }
    overlaps(loaded, report);
}

fn overlaps(mut loaded: Vec<&Segment<'_>>, report: &mut Report) {
    loaded.sort_by_key(|segment| segment.physical);
    for pair in loaded.windows(2) {
        let end = pair[0].physical.saturating_add(pair[0].size);
        if end > pair[1].physical {
            let message = format!(
                "segments at {:#x} and {:#x} (physical) lie over each other",
                pair[0].physical, pair[1].physical
            );
            report.add(Severity::Error, message).at(pair[1].address);
        }
    }
}
