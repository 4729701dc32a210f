//! Colours: the first word of a line on a terminal, where that word is a verdict, and libtest's verdicts at the end of one.
//!
//! They are switched in the usual way: `--color` wins, then NO_COLOR and CLICOLOR_FORCE, and by default a
//! terminal gets them and a pipe or a file does not. JSON has no such words.

use std::ffi::{OsStr, OsString};
use std::io::{self, Stderr, Stdout};
use std::process::Command;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction};

const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const GREEN: Style = AnsiColor::Green.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default().bold();

const VERDICTS: [(&str, Style); 8] = [
    ("error", RED),
    ("freestone", RED),
    ("FAIL", RED),
    ("failed", RED),
    ("missing", RED),
    ("warning", YELLOW),
    ("note", CYAN),
    ("ok", GREEN),
];

/// What stands at the end of a test's line.
const ENDS: [(&str, Style); 3] = [("ok", GREEN), ("FAILED", RED), ("ignored", YELLOW)];

/// What `--color` may be.
const CHOICES: [(&str, ColorChoice); 3] =
    [("auto", ColorChoice::Auto), ("always", ColorChoice::Always), ("never", ColorChoice::Never)];

/// `--color`, for all verbs.
pub fn argument() -> Arg {
    Arg::new("color")
        .long("color")
        .global(true)
        .value_name("WHEN")
        .action(ArgAction::Set)
        .value_parser(PossibleValuesParser::new(CHOICES.map(|(word, _)| word)))
        .help("Colours on a terminal, always or never [default: auto]")
}

/// Takes the choice off the words of the command line: even what is wrong with the others is said in colours or not.
pub fn choose(words: &[OsString]) {
    let mut choice = None;
    let mut words = words.iter().take_while(|word| *word != "--").filter_map(|word| word.to_str());
    while let Some(word) = words.next() {
        let value = match word {
            "--color" => words.next(),
            _ => word.strip_prefix("--color="),
        };
        let known = value.and_then(|value| CHOICES.into_iter().find(|(word, _)| *word == value));
        choice = known.or(choice);
    }
    if let Some((_, choice)) = choice {
        choice.write_global();
    }
}

/// Tells cargo what the user has chosen here.
pub fn pass_on(command: &mut Command) {
    let chosen = CHOICES.iter().find(|(_, choice)| *choice == ColorChoice::global());
    if let Some((word, ColorChoice::Always | ColorChoice::Never)) = chosen {
        command.env("CARGO_TERM_COLOR", OsStr::new(word));
    }
}

/// Where the tool's own text goes.
pub trait Colored {
    /// Whether colours are wanted there.
    fn has_colors(&self) -> bool;
}

impl Colored for Stdout {
    fn has_colors(&self) -> bool {
        AutoStream::choice(self) != ColorChoice::Never
    }
}

impl Colored for Stderr {
    fn has_colors(&self) -> bool {
        AutoStream::choice(self) != ColorChoice::Never
    }
}

/// Whether help, which clap paints, is to have colours.
pub fn in_help() -> bool {
    io::stdout().has_colors()
}

/// Lines with their verdicts painted.
pub fn painted(lines: &str) -> String {
    lines.split_inclusive('\n').map(painted_line).collect()
}

fn painted_line(line: &str) -> String {
    if let Some((test, verdict)) =
        line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... "))
    {
        let end = verdict.find([',', '\n']).unwrap_or(verdict.len());
        let (word, rest) = verdict.split_at(end);
        if let Some((_, style)) = ENDS.iter().find(|(end, _)| *end == word) {
            return format!("test {test} ... {style}{word}{style:#}{rest}");
        }
    }
    let end = line.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    match VERDICTS.iter().find(|(verdict, _)| *verdict == word) {
        Some((_, style)) if rest.starts_with([':', ' ']) => {
            format!("{style}{word}{style:#}{rest}")
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_at_the_front_are_painted_and_nothing_else() {
        assert_eq!(painted("a\nFAIL x\nb"), "a\n\x1b[1m\x1b[31mFAIL\x1b[0m x\nb");
        let ignored = painted("test a ... b ... ignored, ok\n");
        assert_eq!(ignored, "test a ... b ... \x1b[1m\x1b[33mignored\x1b[0m, ok\n");
        for plain in [
            "test a ... b",
            "",
            "\n",
            "errors: 3\n",
            "an error: x",
            "{\"error\": 1}",
            "ok-1 x",
            "ok",
        ] {
            assert_eq!(painted(plain), plain);
        }
    }
}
