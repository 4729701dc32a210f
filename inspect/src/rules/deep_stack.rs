//! How much stack the deepest chain of calls takes.

use super::{Report, Rule, Severity, Subject};
use crate::program::Source;
use crate::stack;

pub(super) const RULE: Rule = Rule {
    name: "deep-stack",
    severity: Severity::Warning,
    summary: "an estimate of the deepest stack",
    explanation: "The frames of the functions on the longest chain of calls, added up: an estimate of the stack \
this kernel can need, with the chain. It is a warning above 64 KiB, which is what Freestone's boot stack has, or \
above what `--stack` says. Not counted are calls through pointers and traits, arrays whose size is decided at \
run time, interrupts on the same stack, and a second round of recursion, so the truth can be more; a chain may also be one that \
never happens, so it can be less.",
    matters_for_boot: false,
    check,
};

/// How much of a chain a message shows: each end.
const SHOWN: usize = 4;

fn check(subject: &Subject<'_>, report: &mut Report) {
    let program = subject.program();
    if program.source != Source::Symbols {
        report.cannot("the image has no symbols: chains of calls cannot be followed by name");
        return;
    }
    let Some(deepest) = stack::deepest(program) else { return };
    let limit = subject.options.stack_bytes;
    let severity = if deepest.bytes > limit { Severity::Warning } else { Severity::Note };
    let name = |&(index, bytes): &(usize, u64)| format!("{} ({bytes})", program.label(index).name);
    let names = |part: &[(usize, u64)]| part.iter().map(name).collect::<Vec<_>>().join(" → ");
    let path = match (deepest.path.first_chunk::<SHOWN>(), deepest.path.last_chunk::<SHOWN>()) {
        (Some(first), Some(last)) if deepest.path.len() > 2 * SHOWN => {
            let between = deepest.path.len().saturating_sub(2 * SHOWN);
            format!("{} → … {between} more … → {}", names(first), names(last))
        }
        _ => names(&deepest.path),
    };
    let recursion = if deepest.has_recursion { ", once round each recursion" } else { "" };
    let message = format!("about {} bytes of stack{recursion}: {path}", deepest.bytes);
    report.add(severity, message).function(program, deepest.path[0].0);
}
