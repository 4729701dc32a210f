//! What the command lines of all verbs have in common.
//!
//! Each verb takes its arguments off the command line once, in `main`, into a plain structure; nothing behind that
//! knows of clap. Options that several verbs have stand in one place with the structure that they are read into:
//! [`Telling`] here, [`build_args`](crate::build::build_args), [`cargo_args`](crate::build::cargo_args) and
//! [`boot_args`](crate::boot::boot_args). Verbs differ in which of them they take: what a verb has no option for was not
//! given.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches};

/// How a verb tells what it does and finds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Telling {
    /// In JSON, to a program.
    pub json: bool,
    /// With the commands that are run.
    pub verbose: bool,
}

impl Telling {
    pub fn args(json_help: &'static str) -> [Arg; 2] {
        [json(json_help), verbose()]
    }

    pub fn from(matches: &ArgMatches) -> Self {
        Self { json: is_set(matches, JSON), verbose: is_set(matches, "verbose") }
    }
}

/// The name of `--json`, for options that contradict it.
pub const JSON: &str = "json";

/// `--json`, of which each verb says what it prints then.
pub fn json(help: &'static str) -> Arg {
    flag(JSON, help)
}

/// `--verbose`.
pub fn verbose() -> Arg {
    flag("verbose", "Show the commands that are run, and QEMU's own messages")
        .short('v')
        .overrides_with("verbose")
}

/// A switch that is off unless given.
pub fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

/// Reads one of these names.
pub fn one_of(names: &'static [&'static str]) -> impl TypedValueParser<Value = &'static str> {
    let find = |given: String| names.iter().copied().find(|name| *name == given);
    PossibleValuesParser::new(names).map(move |given| find(given).expect("clap knows only these"))
}

/// The value of an option, if the verb has it and it is given.
pub fn one<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, id: &str) -> Option<T> {
    matches.try_get_one(id).ok().flatten().cloned()
}

/// The same of one that may be repeated: all its values.
pub fn all<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, id: &str) -> Option<Vec<T>> {
    Some(matches.try_get_many(id).ok()??.cloned().collect())
}

/// Whether the verb has a switch and it is set.
pub fn is_set(matches: &ArgMatches, id: &str) -> bool {
    one(matches, id).unwrap_or_default()
}
