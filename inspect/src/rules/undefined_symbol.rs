//! Symbols without a definition.

use std::collections::BTreeMap;

use super::{Report, Rule, Severity, Subject};
use crate::disassembly::Target;
use crate::names;
use crate::program::{Label, Source};
use crate::symbol::Binding;

pub(super) const RULE: Rule = Rule {
    name: "undefined-symbol",
    severity: Severity::Error,
    summary: "a symbol was left undefined",
    explanation: "The image refers to a symbol that nothing in it defines. A linker normally refuses \
that, but not if it was told to ignore or to export undefined symbols: then calls go to address 0, or \
wait for a dynamic loader that a kernel does not have. Add the crate or library that defines the symbol; \
for memcpy and its like that is freestone-mem, for arithmetic such as __udivti3 freestone-math, both \
with the feature `export`. A weak undefined symbol is only noted: its user has to compare its address \
with zero first.",
    matters_for_boot: true,
    check,
};

fn check(subject: &Subject<'_>, report: &mut Report) {
    let image = &subject.image;
    let undefined = image.symbols().iter().chain(image.imports()).filter(|s| s.is_undefined());
    let undefined: BTreeMap<&str, Binding> =
        undefined.map(|symbol| (&*symbol.name, symbol.binding)).collect();
    let is_weak = |binding: &Binding| *binding == Binding::Weak;
    let is_worth_it = !report.is_quick || undefined.values().any(|binding| !is_weak(binding));
    let callers = if is_worth_it { callers_of_nothing(subject) } else { Vec::new() };
    let users = users(subject, &callers);
    for (mangled, binding) in &undefined {
        let name = names::shown(mangled);
        if is_weak(binding) {
            let message = format!("`{name}` is weak and undefined: its address is 0");
            report.add(Severity::Note, message).named(mangled);
        } else {
            let message = format!("`{name}` is undefined{users}");
            report.add(Severity::Error, message).named(mangled);
        }
    }
    // Linkers that are told to let undefined symbols pass may forget their names.
    if !callers.is_empty() && undefined.is_empty() {
        let message = format!("the name of an undefined symbol is lost{users}");
        report.add(Severity::Error, message).function(subject.program(), callers[0]);
    }
    if !image.has_symbols() && undefined.is_empty() {
        report.cannot("the image has no symbols: what is undefined has no name");
    }
}

/// The functions that call address 0, where nothing is: linkers put 0 for what is undefined.
fn callers_of_nothing(subject: &Subject<'_>) -> Vec<usize> {
    let program = subject.program();
    let is_loaded_at_0 = subject.image.segments.iter().any(|s| s.is_loaded() && s.address == 0);
    if is_loaded_at_0 || program.source != Source::Symbols {
        return Vec::new();
    }
    program
        .readable()
        .filter(|(_, facts)| facts.edges.iter().any(|edge| edge.target == Target::Address(0)))
        .map(|(function, _)| function)
        .collect()
}

/// How many a message names.
const SHOWN: usize = 3;

fn users(subject: &Subject<'_>, callers: &[usize]) -> String {
    let name = |&caller: &usize| {
        let Label { name, crate_name } = subject.program().label(caller);
        let whose = crate_name.as_ref().map(|name| format!(" (crate {name})"));
        format!("`{name}`{}", whose.unwrap_or_default())
    };
    let names: Vec<_> = callers.iter().take(SHOWN).map(name).collect();
    if names.is_empty() {
        return String::new();
    }
    format!("; address 0 is called by {}", names.join(", "))
}
