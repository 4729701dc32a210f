//! Symbols that nobody defined.

use super::{Report, Rule, Severity, Subject};
use crate::names;
use crate::symbols::Binding;

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
    if !image.has_symbols() && image.imports().is_empty() {
        report.cannot("the image has no symbols: calls to address 0 would not be seen");
        return;
    }
    let undefined = image.symbols().iter().chain(image.imports()).filter(|s| s.is_undefined());
    let mut seen = Vec::new();
    for symbol in undefined {
        if seen.contains(&&symbol.name) {
            continue;
        }
        seen.push(&symbol.name);
        let (severity, what) = match symbol.binding {
            Binding::Weak => (Severity::Note, "is weak and undefined: its address is 0"),
            _ => (Severity::Error, "is undefined"),
        };
        let name = names::demangled(&symbol.name);
        let users = if severity == Severity::Error { users(subject) } else { String::new() };
        report.add(severity, format!("`{name}` {what}{users}")).named(&symbol.name);
    }
}

/// A linker that lets undefined symbols pass makes 0 of them.
fn users(subject: &Subject<'_>) -> String {
    let program = subject.program();
    let mut users: Vec<String> = program
        .readable()
        .filter(|(_, facts)| facts.edges.iter().any(|edge| program.target(edge) == Some(0)))
        .map(|(function, _)| {
            format!("`{}`{}", names::demangled(&function.name), super::whose(function))
        })
        .collect();
    users.truncate(3);
    if users.is_empty() {
        return String::new();
    }
    format!("; address 0 is called by {}", users.join(", "))
}
