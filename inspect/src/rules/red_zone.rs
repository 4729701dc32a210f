//! The 128 bytes below the stack pointer.

use super::{NOTE_OWNER, NOTE_RED_ZONE, Report, Rule, Severity, Subject};

pub(super) const RULE: Rule = Rule {
    name: "red-zone",
    severity: Severity::Error,
    summary: "code uses the red zone, and interrupts may overwrite it",
    explanation: "The System V ABI lets a function that calls nobody keep variables in the 128 bytes below \
the stack pointer, the red zone. An interrupt that is taken on the same stack pushes its frame right there and \
overwrites them: rare, silent corruption. Either build without a red zone (`-C no-redzone=yes`, a `none` \
target; the prebuilt core of a hosted target keeps some), or enter every interrupt and exception on a stack of \
its own (IST) or below the red zone. An image says that it does the latter with an ELF note, owner \
`Freestone`, type 1; Freestone's `entry!` puts it in. In an image that never returns from an interrupt the \
use is only noted. Found by disassembly: see the crate's README for what is and is not seen.",
    matters_for_boot: false,
    check,
};

fn check(subject: &Subject<'_>, report: &mut Report) {
    if subject.image.note(NOTE_OWNER, NOTE_RED_ZONE).is_some() {
        return;
    }
    super::report_interruptible(subject, report, "the red zone", |facts| {
        let seen = facts.red_zone;
        let accesses = if seen.count == 1 { "access" } else { "accesses" };
        seen.is_any().then(|| {
            format!("{} {accesses} below the stack pointer, first at {:#x}", seen.count, seen.first)
        })
    });
}
