//! Memory routines that call themselves.

use std::collections::HashSet;

use super::{Report, Rule, Severity, Subject};
use crate::libcalls::MEMORY;
use crate::program::{Program, Source};

pub(super) const RULE: Rule = Rule {
    name: "self-recursion",
    severity: Severity::Error,
    summary: "memcpy, memset or a relative comes to call itself",
    explanation: "Compilers turn loops that copy, fill or compare bytes into calls to memcpy, memset and \
memcmp, also inside the functions of these very names. Such a routine calls itself until the stack is \
used up. Calls and jumps from each memory routine are followed, through other functions too. Write \
the routine in assembly, or so that the compiler cannot see the loop; `#![no_builtins]` helps, but not \
across generic code that is compiled elsewhere. freestone-mem's routines are checked for this.",
    matters_for_boot: true,
    check,
};

/// How much of a way a message shows.
const SHOWN: usize = 8;

fn check(subject: &Subject<'_>, report: &mut Report) {
    let program = subject.program();
    if program.source != Source::Symbols {
        report.cannot("the image has no symbols: the memory routines cannot be found");
        return;
    }
    for name in MEMORY {
        let Some(start) = program.named(name) else { continue };
        if let Some(path) = path_to_itself(program, start) {
            let between = path.iter().take(SHOWN).map(|&index| program.label(index).name.as_str());
            let between = between.collect::<Vec<_>>().join(", ");
            let message = match path.len() {
                0 => format!("`{name}` calls itself"),
                1..=SHOWN => format!("`{name}` calls itself, by way of {between}"),
                more => format!(
                    "`{name}` calls itself, by way of {between} and {} more",
                    more.saturating_sub(SHOWN)
                ),
            };
            report.add(Severity::Error, message).function(program, start);
        }
    }
}

/// The functions on a way from one back to itself; nothing between if it does so directly.
fn path_to_itself(program: &Program<'_>, start: usize) -> Option<Vec<usize>> {
    let mut seen = HashSet::new();
    // Depth first; each entry knows who called it.
    let mut found: Vec<(usize, Option<usize>)> = vec![(start, None)];
    let mut numbers = 0..;
    while let Some((next, &(function, _))) =
        numbers.next().and_then(|next: usize| Some((next, found.get(next)?)))
    {
        for callee in program.facts(function).edges.iter().filter_map(|edge| program.callee(edge)) {
            if callee == start {
                return Some(way_back(&found, next));
            }
            if seen.insert(callee) {
                found.push((callee, Some(next)));
            }
        }
    }
    None
}

fn way_back(found: &[(usize, Option<usize>)], from: usize) -> Vec<usize> {
    let steps = std::iter::successors(Some(from), |index| found[*index].1);
    let mut path: Vec<_> = steps.map(|index| found[index].0).collect();
    path.pop();
    path.reverse();
    path
}
