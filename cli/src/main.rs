//! `cargo freestone`: runs and tests Rust kernels.
//!
//! Each verb is a file with two functions: `command` defines its arguments, `main` reads them once and does the
//! work. A new verb is such a file and a line in [`VERBS`]. There are five folders:
//!
//! - [`verbs`]: a file for each verb
//! - [`build`]: cargo and compilers: chooses the kernel that is meant, and builds it
//! - [`boot`]: options, places, machines and verdicts of a boot
//! - [`image`]: reads and changes images
//! - [`forms`]: the forms in which a kernel goes to other machines
//!
//! and files that all of them use:
//!
//! - [`args`]: how command lines are read; [`spelling`]: guesses for misspelt words
//! - [`status`]: all exit statuses
//! - [`examples`]: examples in the help of each verb; [`color`]: coloured verdicts
//! - [`foreign`]: printing, with text from outside escaped; [`shell`]: commands as they can be typed
//! - [`marks`]: lines by which the harness in a kernel reports its tests
//! - [`whole`]: writes files so that they are complete or absent; [`unfinished`]: removes half-written files
//! - [`supervise`]: child processes; [`guard`]: ends them and their children with the tool;
//!   [`signals`]: signals that stop the tool; [`clock`]: time limits of children

mod args;
mod boot;
mod build;
mod clock;
mod color;
mod examples;
mod foreign;
mod forms;
mod guard;
mod image;
mod marks;
mod shell;
mod signals;
mod spelling;
mod status;
mod supervise;
mod unfinished;
mod verbs;
mod whole;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{ArgMatches, Command};

use status::{Failure, Status};
use verbs::{
    archive, chart, check, debug, doctor, exit_status, image as image_verb, names, new, run,
    runner, symbols, sysroot, test,
};

/// Says something to the user on stderr; that stderr may be closed is no reason to panic.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => { $crate::foreign::say(format_args!($($text)*)) };
}

/// Writes a line to stdout; if that cannot be done, the tool ends with the status for it.
#[macro_export]
macro_rules! tell {
    ($($text:tt)*) => { $crate::foreign::tell(format_args!($($text)*)) };
}

struct Verb {
    name: &'static str,
    command: fn() -> Command,
    main: fn(&ArgMatches) -> Result<Status, Failure>,
}

const VERBS: [Verb; 13] = [
    Verb { name: "run", command: run::command, main: run::main },
    Verb { name: "test", command: test::command, main: test::main },
    Verb { name: "check", command: check::command, main: check::main },
    Verb { name: "debug", command: debug::command, main: debug::main },
    Verb { name: "chart", command: chart::command, main: chart::main },
    Verb { name: "image", command: image_verb::command, main: image_verb::main },
    Verb { name: "names", command: names::command, main: names::main },
    Verb { name: "symbols", command: symbols::command, main: symbols::main },
    Verb { name: "new", command: new::command, main: new::main },
    Verb { name: "archive", command: archive::command, main: archive::main },
    Verb { name: "sysroot", command: sysroot::command, main: sysroot::main },
    Verb { name: "doctor", command: doctor::command, main: doctor::main },
    Verb { name: exit_status::TOPIC, command: exit_status::command, main: exit_status::main },
];

fn main() -> ExitCode {
    let words = arguments(env::args_os());
    if let Some(failure) = runner::step_aside(&words) {
        explain(&failure);
        return failure.status.code().into();
    }
    unfinished::share();
    guard::stand();
    signals::watch();
    let mut code = verb(words);
    if let Err(failure) = foreign::all_was_told() {
        explain(&failure);
        code = failure.status.code();
    }
    if let Some(signal) = signals::caught() {
        guard::sweep();
        code = Status::of_signal(signal).code();
    }
    code.into()
}

/// Does what the command line says, and returns the exit status.
fn verb(all: Vec<OsString>) -> u8 {
    // Called by cargo and nextest, with words that are libtest's and not clap's.
    let mut words = all.iter().skip(1).cloned().peekable();
    if words.next_if(|word| word == runner::VERB).is_some() {
        return runner::main(words);
    }
    color::choose(&all);
    let matches = match command().try_get_matches_from(&all) {
        Ok(matches) => matches,
        // Help and version are "errors" to clap, of the kind that ends well.
        Err(mut error) => {
            keep_good_advice(&mut error);
            let text = error.render();
            if error.use_stderr() {
                say!("{}", text.to_string().trim_end());
                return Status::Usage.code();
            }
            foreign::put_help(&text);
            return Status::Success.code();
        }
    };
    let (name, matches) = matches.subcommand().expect("clap insists on a verb");
    let verb = VERBS.iter().find(|verb| verb.name == name).expect("clap knows only these");
    match (verb.main)(matches) {
        Ok(status) => status.code(),
        Err(failure) => {
            explain(&failure);
            failure.status.code()
        }
    }
}

fn explain(failure: &Failure) {
    if !failure.message.is_empty() {
        say!("{}: {failure}", prefix(failure.status));
    }
}

/// Clap would have an argument that it does not know written behind `--`: there it would be the kernel's, or libtest's.
fn keep_good_advice(error: &mut clap::Error) {
    if let Some(ContextValue::StyledStrs(all)) = error.remove(ContextKind::Suggested) {
        let good: Vec<_> =
            all.into_iter().filter(|advice| !advice.to_string().contains("as a value")).collect();
        if !good.is_empty() {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(good));
        }
    }
    // Its own measure of what is similar knows no letters in the wrong order, and takes `--machin` for `--toolchain`.
    let word = |error: &clap::Error, kind| match error.get(kind) {
        Some(ContextValue::String(word)) => word.clone(),
        _ => String::new(),
    };
    let verb = word(error, ContextKind::InvalidSubcommand);
    if let Some(near) = spelling::nearest(&verb, &VERBS.each_ref().map(|verb| verb.name)) {
        let near = ContextValue::Strings(vec![near.to_owned()]);
        error.insert(ContextKind::SuggestedSubcommand, near);
    }
    let (given, near) =
        (word(error, ContextKind::InvalidArg), word(error, ContextKind::SuggestedArg));
    if spelling::nearest(&given, &[&near]).is_none() {
        error.remove(ContextKind::SuggestedArg);
    }
}

/// What a verdict is called in front of its explanation.
fn prefix(status: Status) -> &'static str {
    match status {
        Status::Usage | Status::Tool | Status::Build => "error",
        _ => "freestone",
    }
}

fn command() -> Command {
    Command::new("cargo freestone")
        .bin_name("cargo freestone")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Runs and tests Rust kernels")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(color::argument())
        .subcommands(VERBS.iter().map(|verb| {
            let [short, long] = examples::of(verb.name);
            (verb.command)().after_help(short).after_long_help(long)
        }))
        .after_help(status::table())
}

/// Drops the extra word that cargo passes to an installed subcommand: `cargo freestone run` runs
/// `cargo-freestone freestone run`.
fn arguments(all: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut all: Vec<_> = all.collect();
    if all.get(1).is_some_and(|word| word == "freestone") {
        all.remove(1);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn the_extra_word_of_an_installed_subcommand_is_dropped_once() {
        let dropped = |words: &[&str]| arguments(words.iter().map(OsString::from));
        assert_eq!(dropped(&["x", "freestone", "run"]), ["x", "run"]);
        assert_eq!(dropped(&["x", "run", "freestone"]), ["x", "run", "freestone"]);
        assert_eq!(dropped(&["x"]), ["x"]);
    }
}
