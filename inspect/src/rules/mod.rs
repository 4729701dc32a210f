//! What can be wrong with a kernel image: one file per rule, each with its name, its explanation and its
//! check.
//!
//! A rule reports what the file shows. Where the file cannot show it (no symbols, another
//! processor), the rule reports that it could not check.

use std::cell::OnceCell;

use crate::disassembly::Facts;
use crate::image::Image;
use crate::names;
use crate::program::{Label, Program, Source};

mod deep_stack;
mod duplicate_provider;
mod dynamic_relocations;
mod empty_or_misaligned;
mod entry_note;
mod float_abi_mix;
mod hosted_libc;
mod init_array;
mod misplaced_section;
mod red_zone;
mod self_recursion;
mod thread_local;
mod undefined_symbol;
mod unwind_leftovers;
mod vector_registers;
mod writable_text;

/// Every rule, in the order of reports: what keeps a kernel from starting, what breaks it
/// silently, what it carries along for nothing.
pub const RULES: [&Rule; 16] = [
    &entry_note::RULE,
    &empty_or_misaligned::RULE,
    &misplaced_section::RULE,
    &undefined_symbol::RULE,
    &hosted_libc::RULE,
    &dynamic_relocations::RULE,
    &thread_local::RULE,
    &float_abi_mix::RULE,
    &self_recursion::RULE,
    &red_zone::RULE,
    &vector_registers::RULE,
    &init_array::RULE,
    &writable_text::RULE,
    &duplicate_provider::RULE,
    &unwind_leftovers::RULE,
    &deep_stack::RULE,
];

/// The owner of this project's ELF notes.
pub const NOTE_OWNER: &str = "Freestone";
/// The note that says: interrupt entry leaves the red zone of what it interrupts alone.
pub const NOTE_RED_ZONE: u32 = 1;
/// The note that says: vector state is saved at traps.
pub const NOTE_VECTOR: u32 = 2;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Probably not meant.
    Warning,
    /// The kernel does not start, or computes wrongly.
    Error,
}

impl Severity {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A rule.
pub struct Rule {
    /// What it is called, for good.
    pub name: &'static str,
    /// The worst it can say.
    pub severity: Severity,
    /// One line.
    pub summary: &'static str,
    /// One paragraph: what is wrong, why it matters, what to do.
    pub explanation: &'static str,
    /// Whether it is quick and what it finds keeps a kernel from booting.
    pub matters_for_boot: bool,
    check: fn(&Subject<'_>, &mut Report),
}

/// The rule of this name.
pub fn rule(name: &str) -> Option<&'static Rule> {
    RULES.into_iter().find(|rule| rule.name == name)
}

/// What the user wants looked at differently.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Whether the kernel's own code may use vector and x87 registers.
    pub allow_fp: bool,
    /// How many bytes of stack are enough not to warn; `None`: as many as the image's boot stack has.
    pub stack_bytes: Option<u64>,
}

/// What is being checked.
pub struct Subject<'data> {
    /// The image.
    pub image: Image<'data>,
    /// What the user wants.
    pub options: Options,
    program: OnceCell<Program<'data>>,
}

impl<'data> Subject<'data> {
    /// An image to be checked.
    pub fn new(image: Image<'data>, options: Options) -> Self {
        Self { image, options, program: OnceCell::new() }
    }

    /// The image's functions.
    pub fn program(&self) -> &Program<'data> {
        self.program.get_or_init(|| Program::of(&self.image))
    }

    /// Whether something in the image returns from interrupts: without, nothing that interrupts a
    /// function ever goes on with it.
    fn returns_from_interrupts(&self) -> bool {
        let program = self.program();
        (0..program.functions.len()).any(|index| program.facts(index).interrupt_return.is_any())
    }
}

/// Something that a rule found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub address: Option<u64>,
    /// The function or variable, as people write its name; a very long one is cut.
    pub symbol: Option<String>,
    /// The crate it belongs to.
    pub crate_name: Option<String>,
}

/// What a rule could not look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unchecked {
    /// The rule's name.
    pub rule: &'static str,
    /// Why not.
    pub reason: String,
}

/// What the rules said.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What they found.
    pub findings: Vec<Finding>,
    /// What they could not look at.
    pub unchecked: Vec<Unchecked>,
    rule: &'static str,
    /// Whether code is to be left alone unless something else gives reason to look at it.
    is_quick: bool,
}

impl Report {
    /// The worst that was found.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    /// What one rule found.
    pub fn of<'a>(&'a self, rule: &'a str) -> impl Iterator<Item = &'a Finding> {
        self.findings.iter().filter(move |finding| finding.rule == rule)
    }

    fn add(&mut self, severity: Severity, message: impl Into<String>) -> &mut Finding {
        self.findings.push(Finding {
            rule: self.rule,
            severity,
            message: message.into(),
            address: None,
            symbol: None,
            crate_name: None,
        });
        self.findings.last_mut().expect("just pushed")
    }

    fn cannot(&mut self, reason: impl Into<String>) {
        self.unchecked.push(Unchecked { rule: self.rule, reason: reason.into() });
    }

    /// Says what keeps a rule from looking at code, if anything does.
    fn explain_source(&mut self, program: &Program<'_>) {
        match program.source {
            Source::Symbols => {
                let garbled: Vec<_> = (0..program.functions.len())
                    .filter(|index| !program.is_readable(*index))
                    .collect();
                if let Some(&first) = garbled.first() {
                    let (count, first) = (garbled.len(), &program.label(first).name);
                    let are = if count == 1 { "function is" } else { "functions are" };
                    self.cannot(format!(
                        "{count} {are} not 64-bit instructions throughout (32-bit code or data): {first}"
                    ));
                }
            }
            Source::Calls => self.cannot(
                "the image has no symbols: functions are guessed from calls, have no names, and data \
                 among code is taken for code",
            ),
            Source::Nothing => {
                self.cannot("code cannot be told from data here, or is not x86_64 code");
            }
        }
    }
}

impl Finding {
    fn at(&mut self, address: u64) -> &mut Self {
        self.address = Some(address);
        self
    }

    fn named(&mut self, mangled: &str) -> &mut Self {
        self.symbol = Some(names::shown(mangled));
        self.crate_name = names::crate_of_symbol(mangled);
        self
    }

    fn function(&mut self, program: &Program<'_>, index: usize) -> &mut Self {
        let Label { name, crate_name } = program.label(index).clone();
        self.address = Some(program.functions[index].address);
        (self.symbol, self.crate_name) = (Some(name), crate_name);
        self
    }
}

/// Checks an image against all rules.
pub fn check(subject: &Subject<'_>) -> Report {
    run(subject, Report::default(), RULES.into_iter())
}

/// Checks an image against the quick rules that say whether it can boot.
pub fn check_for_boot(subject: &Subject<'_>) -> Report {
    let report = Report { is_quick: true, ..Report::default() };
    run(subject, report, RULES.into_iter().filter(|rule| rule.matters_for_boot))
}

fn run(
    subject: &Subject<'_>,
    mut report: Report,
    rules: impl Iterator<Item = &'static Rule>,
) -> Report {
    for rule in rules {
        report.rule = rule.name;
        (rule.check)(subject, &mut report);
    }
    report
}

/// Reports code that is only wrong if something interrupts it and comes back: each function, or, in
/// an image that never returns from an interrupt, all of them in one note.
fn report_interruptible(
    subject: &Subject<'_>,
    report: &mut Report,
    what: &str,
    message: impl Fn(&Facts) -> Option<String>,
) {
    let program = subject.program();
    report.explain_source(program);
    let severity = match program.source {
        Source::Symbols => Severity::Error,
        _ => Severity::Warning,
    };
    let found: Vec<(usize, String)> = program
        .readable()
        .filter_map(|(function, facts)| Some((function, message(facts)?)))
        .collect();
    if !found.is_empty() && !subject.returns_from_interrupts() {
        let message = format!(
            "{} functions use {what}; harmless, as nothing here returns from an interrupt",
            found.len()
        );
        report.add(Severity::Note, message);
        return;
    }
    for (function, message) in found {
        report.add(severity, message).function(program, function);
    }
}
