//! Vector and x87 registers in a kernel that does not save them.

use super::{NOTE_OWNER, NOTE_VECTOR, Report, Rule, Severity, Subject};

pub(super) const RULE: Rule = Rule {
    name: "vector-registers",
    severity: Severity::Error,
    summary: "code uses vector or x87 registers that nobody is known to save",
    explanation: "Code uses xmm, ymm, zmm, MMX or x87 registers. If an interrupt handler or another task uses \
them as well and nobody saves them, values change under the code's feet; if they were never enabled \
(CR4.OSFXSR), the first use is an exception. Build for a soft-float target (x86_64-unknown-none), or save \
the state wherever code is interrupted. An image says that it does the latter with an ELF note, owner \
`Freestone`, type 2; Freestone's `entry!` puts it in. `--allow-fp` says it on the command line. In an image \
that never returns from an interrupt the use is only noted. Instructions that set up, save or restore this \
state do not count.",
    matters_for_boot: false,
    check,
};

fn check(subject: &Subject<'_>, report: &mut Report) {
    let is_saved = subject.image.note(NOTE_OWNER, NOTE_VECTOR).is_some();
    if is_saved || subject.options.allow_fp {
        return;
    }
    super::report_interruptible(subject, report, "vector or x87 registers", |facts| {
        let (seen, kind) = match facts.vector {
            vector if vector.is_any() => (vector, "vector"),
            _ => (facts.x87, "x87 or MMX"),
        };
        seen.is_any().then(|| {
            format!("{} instructions on {kind} registers, first at {:#x}", seen.count, seen.first)
        })
    });
}
