//! Two bodies for one name.

use std::collections::BTreeMap;

use super::{Report, Rule, Severity, Subject};
use crate::libcalls;
use crate::symbol::{Binding, Place};

pub(super) const RULE: Rule = Rule {
    name: "duplicate-provider",
    severity: Severity::Warning,
    summary: "a compiler's library function is in the image twice",
    explanation: "Two different bodies of one of the functions that compilers call on their own (memcpy, \
__udivti3, …) are in the image. Callers are split between them by how they were linked, so one of them may be \
slow, unsafe in interrupts or of another float ABI, and which one a call gets is an accident. It happens with \
static libraries that bring their own copy under a local name. Leave one provider: freestone-mem and \
freestone-math, or the toolchain's own.",
    matters_for_boot: false,
    check,
};

/// How many places a message names.
const SHOWN: usize = 4;

fn check(subject: &Subject<'_>, report: &mut Report) {
    let image = &subject.image;
    if !image.has_symbols() {
        report.cannot("the image has no symbols: functions cannot be told by name");
        return;
    }
    let mut bodies: BTreeMap<&str, BTreeMap<u64, Binding>> = BTreeMap::new();
    for symbol in image.symbols().iter().filter(|s| s.place == Place::Text) {
        if libcalls::is_libcall(&symbol.name) {
            bodies.entry(&symbol.name).or_default().entry(symbol.address).or_insert(symbol.binding);
        }
    }
    for (name, places) in bodies.into_iter().filter(|(_, places)| places.len() > 1) {
        let list: Vec<_> = places
            .iter()
            .take(SHOWN)
            .map(|(address, binding)| {
                let local = if *binding == Binding::Local { " (local)" } else { "" };
                format!("{address:#x}{local}")
            })
            .collect();
        let message = format!("`{name}` has {} bodies: {}", places.len(), list.join(", "));
        let finding = report.add(Severity::Warning, message).named(name);
        finding.address = places.keys().next().copied();
    }
}
