//! How much stack the deepest chain of calls takes.

use super::{Report, Rule, Severity, Subject};
use crate::names;
use crate::program::Source;
use crate::stack;
use crate::symbol::Symbol;

pub(super) const RULE: Rule = Rule {
    name: "deep-stack",
    severity: Severity::Warning,
    summary: "an estimate of the deepest stack",
    explanation: "The frames of the functions on the longest chain of calls, added up: an estimate of the stack \
this kernel can need, with the chain. It is a warning above what Freestone's boot stack has in this image (`entry!(main, \
stack: BYTES)`), above 64 KiB in an image without one, or above what `--stack` says. Not counted are calls through pointers and traits, arrays whose size is decided at \
run time, interrupts on the same stack, and a second round of recursion, so the truth can be more; a chain may also be one that \
never happens, so it can be less.",
    matters_for_boot: false,
    check,
};

/// How much of a chain a message shows: each end.
const SHOWN: usize = 4;

/// What a kernel without a boot stack of ours is taken to have, in bytes.
const USUAL: u64 = 64 << 10;

/// The static that `freestone::entry!` stamps, and the guard page at its start.
const BOOT_STACK: (&str, u64) = ("FREESTONE_BOOT_STACK", 4096);

fn boot_stack(subject: &Subject<'_>) -> Option<u64> {
    let (name, guard) = BOOT_STACK;
    let is_it = |symbol: &&Symbol<'_>| {
        symbol.name.contains(name) && names::demangled(&symbol.name).ends_with(name)
    };
    subject.image.symbols().iter().find(is_it)?.size.checked_sub(guard)
}

fn check(subject: &Subject<'_>, report: &mut Report) {
    let program = subject.program();
    if program.source != Source::Symbols {
        report.cannot("the image has no symbols: chains of calls cannot be followed by name");
        return;
    }
    let Some(deepest) = stack::deepest(program) else { return };
    let limit = subject.options.stack_bytes.or_else(|| boot_stack(subject)).unwrap_or(USUAL);
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
