//! Advice on builds that fail in ways typical of kernels: printed before rustc's own words, and at the end.
//!
//! Every build of this tool's is run by [`build`], and cargo's messages come through a [`Reader`]. They are shown at once,
//! as cargo would show them; an error that a rule knows has its advice in front.
//!
//! The rules are the two tables below. One matches texts, the other undefined symbols. Linkers print these, and the code that
//! refers to them, in three ways ([`undefined`]).

mod linkers;
mod std_users;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal, Write};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use self::linkers::{Missing, undefined};
use crate::build::cargo;
use crate::build::mode::Mode;
use crate::build::toolchains;
use crate::color::Colored as _;
use crate::foreign;
use crate::say;
use crate::status::{Failure, Status};
use crate::supervise::lines::Lines;
use crate::supervise::{Filter, Outcome, Output, Stop, Watch};

/// What a message has in it, all of it, and what to do.
const TEXTS: [(&[&str], &str); 3] = [
    (
        &[freestone_targets::HOST_PROGRAM],
        "a program with std was linked as a kernel: in build.rs write `cargo::rustc-link-arg-bin=KERNEL=@…`, for the \
         other binaries of the package to be programs; if this is the kernel, it lacks #![no_std]",
    ),
    (
        &[freestone_targets::PROOF],
        "the link arguments are missing: the kernel's build.rs passes them on, to an example by \
         `cargo::rustc-link-arg-examples`, to tests that plain cargo builds by `cargo::rustc-link-arg-tests` (the README of freestone shows it)",
    ),
    (
        &["mold: ", "unknown linker script token"],
        "mold cannot link kernels: choose lld or GNU ld; `-fuse-ld=mold` stands in RUSTFLAGS or in a .cargo/config.toml",
    ),
];

/// Undefined symbols: a part of the name of the crate that wants them, or nothing for any; how the symbols begin or,
/// after `=`, what they are; what to do. The first that fits counts.
const SYMBOLS: [(&str, &[&str], &str); 5] = [
    (
        "",
        &["=__getrandom_v03_custom"],
        "the crate getrandom, 0.3 or later, has no source of random bytes: with it among the kernel's own dependencies \
         add `freestone::getrandom_backend!(getrandom::Error);`",
    ),
    (
        "getrandom",
        &[""],
        "the crate getrandom before 0.3 asks the system for random bytes: add `freestone::getrandom_02!();` to the kernel",
    ),
    (
        "",
        &["=malloc", "=calloc", "=realloc", "=free", "=aligned_alloc", "=malloc_usable_size"],
        "C code wants a heap: add `freestone::alloc_glue::c_allocator!(FREESTONE_HEAP);` to the kernel",
    ),
    (
        "",
        &["_defmt_"],
        "defmt has no logger here: depend on a crate that is one (`#[defmt::global_logger]`), or turn off the feature \
         `defmt` of the crates that have it",
    ),
    (
        "",
        &[""],
        "nothing in a kernel defines this, and the host's C library is never linked: find a feature that does \
         without, or define it (`#[unsafe(no_mangle)] extern \"C\" fn`)",
    ),
];

/// How many symbols of a rule, and users of them, are named.
const NAMED: usize = 6;

/// Whose kernel is built, and how: the package that is asked for the users of `std`.
#[derive(Clone, Copy)]
pub struct Kernel<'a> {
    pub package: &'a str,
    pub mode: &'a Mode,
}

/// Runs a build of cargo's, which gets the option for its messages. What it fails with is `what` and all advice.
pub fn build(
    command: &mut Command,
    limit: Duration,
    kernel: Option<Kernel<'_>>,
    what: &str,
    verbose: bool,
) -> Result<Outcome, Failure> {
    command.arg(format());
    let watch = Watch {
        limit: Some(limit),
        stop: Stop::Ask,
        stdout: Output::KeepAll,
        stderr: Output::Inherit,
    };
    let mut reader = Reader::default();
    let outcome = cargo::run_cargo_through(Some(&mut reader), command, &watch, verbose)?;
    if outcome.is_success() {
        return Ok(outcome);
    }
    let why = toolchains::too_old().map_or_else(String::new, |why| format!(": {why}"));
    let advice = reader.finish(kernel, verbose);
    Err(Failure::new(Status::Build, format!("{what}{why}{advice}")))
}

/// Reads cargo's messages: shows what the compiler says, with the advice that there is in front.
#[derive(Default)]
struct Reader {
    lines: Lines,
    advice: Vec<String>,
    /// The crates that asked for `std`, or whose dependencies did; none: nobody did.
    wants_std: Vec<String>,
}

/// The form in which messages are asked for. Cargo's own setting holds too, which `--color` is passed on as.
fn format() -> &'static str {
    let is_plain = std::env::var("CARGO_TERM_COLOR").is_ok_and(|value| value == "never");
    match io::stderr().has_colors() && !is_plain {
        true => "--message-format=json-diagnostic-rendered-ansi",
        false => "--message-format=json",
    }
}

impl Filter for Reader {
    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(bytes);
        for line in self.lines.take(bytes) {
            if let Ok(message) = serde_json::from_slice::<Value>(&line)
                && message["reason"] == "compiler-message"
            {
                self.message(&message);
            }
        }
        false
    }
}

impl Reader {
    fn message(&mut self, message: &Value) {
        let Some(rendered) = message["message"]["rendered"].as_str() else { return };
        let error = &message["message"];
        let found = if error["level"] == "error" { texts_of(error) } else { String::new() };
        let advice = match wants_std(error, &found) {
            true => {
                let here = message["target"]["name"].as_str().unwrap_or_default().replace('-', "_");
                let (user, advice) = std_users::first(&found, &here);
                self.wants_std.push(user);
                vec![advice]
            }
            false => advice(&found),
        };
        let mut stderr = io::stderr();
        if stderr.is_terminal() {
            // Over cargo's line of progress.
            let _ = stderr.write_all(b"\r\x1b[K");
        }
        for advice in advice {
            if !self.advice.contains(&advice) {
                say!("advice: {advice}");
                self.advice.push(advice);
            }
        }
        // As the compiler rendered it; its colours pass, as they do without us.
        let _ = stderr.write_all(format!("{rendered}\n").as_bytes());
    }

    /// The advice, to be said once more, and who else asks for `std`.
    fn finish(mut self, kernel: Option<Kernel<'_>>, verbose: bool) -> String {
        if let (Some(kernel), false) = (kernel, self.wants_std.is_empty()) {
            let users = std_users::find(kernel.package, &self.wants_std, kernel.mode, verbose);
            self.advice.extend(std_users::list(&users));
        }
        self.advice.iter().map(|advice| format!("\n  {advice}")).collect()
    }
}

/// The message and its notes, without the compiler's layout.
fn texts_of(error: &Value) -> String {
    let notes = error["children"].as_array().into_iter().flatten();
    let texts = std::iter::once(error).chain(notes).filter_map(|part| part["message"].as_str());
    // The first note is the linker's command, which names what is asked of it.
    let spoken = texts.filter(|text| !text.starts_with([' ', '"']));
    spoken.map(|text| format!("{text}\n")).collect()
}

/// E0152: two `panic_impl`, one of them in std. E0463: a target that has no std.
fn wants_std(error: &Value, text: &str) -> bool {
    match error["code"]["code"].as_str() {
        Some("E0152") => text.contains("`panic_impl`") && text.contains("crate `std`"),
        Some("E0463") => text.contains("crate for `std`"),
        _ => false,
    }
}

/// What the tables say about this text of a linker.
fn advice(text: &str) -> Vec<String> {
    let fits = |parts: &[&str]| parts.iter().all(|part| text.contains(part));
    if let Some((_, advice)) = TEXTS.iter().find(|(parts, _)| fits(parts)) {
        return vec![(*advice).to_owned()];
    }
    let missing = undefined(text);
    let rule_of = |missing: &Missing| SYMBOLS.iter().position(|rule| is_under(missing, rule));
    let mut all = Vec::new();
    for (index, (_, _, advice)) in SYMBOLS.iter().enumerate() {
        let here: Vec<_> = missing.iter().filter(|one| rule_of(one) == Some(index)).collect();
        if here.is_empty() {
            continue;
        }
        let symbols = list(here.iter().map(|one| one.symbol.as_str()));
        let users = list(here.iter().flat_map(|one| one.users.iter().map(String::as_str)));
        let users = if users.is_empty() { users } else { format!(", wanted by {users}") };
        all.push(format!("undefined: {symbols}{users}: {advice}"));
    }
    all
}

fn is_under(missing: &Missing, (user, symbols, _): &(&str, &[&str], &str)) -> bool {
    let is_user = user.is_empty() || missing.users.iter().any(|name| name == user);
    let symbol = &missing.symbol;
    let is_named = |name: &&str| match name.strip_prefix('=') {
        Some(whole) => symbol == whole,
        None => symbol.starts_with(name),
    };
    is_user && symbols.iter().any(is_named)
}

/// The first few, each once.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut all: Vec<String> = Vec::new();
    for name in names.map(|name| foreign::line(name.as_bytes())) {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    let more = all.len().saturating_sub(NAMED);
    all.truncate(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    all.join(", ") + &more
}
