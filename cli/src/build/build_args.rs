//! The options of verbs that build: which kernel is meant, and how to build it.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, value_parser};

use crate::args::{one, one_of};
use crate::build::cargo_args::{self, CargoArguments};
use crate::build::program::Program;

/// What `--mode` takes.
pub const MODES: [&str; 3] = ["host", "none", "json"];

/// Names, for options that contradict these.
pub const ELF: &str = "elf";
pub const PACKAGE: &str = "package";
pub const MODE: &str = "mode";
pub const TARGET: &str = "target";

/// Which kernel is meant.
#[derive(Clone, Debug, Default)]
pub struct Which {
    /// A file, which is not built.
    pub elf: Option<PathBuf>,
    pub package: Option<String>,
    pub program: Option<Program>,
    pub how: How,
}

impl Which {
    /// For verbs about one kernel.
    pub fn args() -> Vec<Arg> {
        let built = [PACKAGE, "bin", "example", MODE, TARGET, "toolchain"].into_iter();
        let elf = Arg::new(ELF)
            .value_name("ELF")
            .value_parser(value_parser!(PathBuf))
            .conflicts_with_all(built.chain(cargo_args::names()))
            .help("A kernel image; without it the kernel here is built first");
        let mut all = vec![elf, package().help("The package to build")];
        all.extend(programs());
        all.extend(How::args());
        all
    }

    pub fn from(matches: &ArgMatches) -> Self {
        let bin = one(matches, "bin").map(Program::Bin);
        Self {
            elf: one(matches, ELF),
            package: one(matches, PACKAGE),
            program: bin.or_else(|| one(matches, "example").map(Program::Example)),
            how: How::from(matches),
        }
    }
}

/// How to build.
#[derive(Clone, Debug, Default)]
pub struct How {
    /// One of [`MODES`].
    pub mode: Option<&'static str>,
    /// A name, or the path of a target file.
    pub target: Option<String>,
    pub toolchain: Option<String>,
    pub cargo: CargoArguments,
}

impl How {
    /// For verbs that build kernels.
    pub fn args() -> Vec<Arg> {
        let mode = Arg::new(MODE).long("mode").value_name("MODE").value_parser(one_of(&MODES)).help(
            "How to build: with the host's core, for a target without a system, or by target file",
        );
        let target = Arg::new(TARGET)
            .long("target")
            .value_name("TARGET")
            .help("The target to build for: a name, or the path of a target file");
        let mut all = vec![mode, target, toolchain()];
        all.extend(CargoArguments::args());
        all
    }

    pub fn from(matches: &ArgMatches) -> Self {
        Self {
            mode: one(matches, MODE),
            target: one(matches, TARGET),
            toolchain: one(matches, "toolchain"),
            cargo: CargoArguments::from(matches),
        }
    }
}

/// `-p`.
pub fn package() -> Arg {
    Arg::new(PACKAGE).short('p').long("package").value_name("PACKAGE")
}

/// `--bin` and `--example`.
pub fn programs() -> [Arg; 2] {
    [
        Arg::new("bin")
            .long("bin")
            .value_name("NAME")
            .conflicts_with("example")
            .help("The binary, if the package has several"),
        Arg::new("example")
            .long("example")
            .value_name("NAME")
            .help("An example instead of a binary"),
    ]
}

/// `--toolchain`, for every verb that builds.
pub fn toolchain() -> Arg {
    Arg::new("toolchain")
        .long("toolchain")
        .value_name("NAME")
        .help("A toolchain as `doctor` names it [default: the one in use, else one that can]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(words: &str) -> Which {
        let command = clap::Command::new("x").no_binary_name(true).args(Which::args());
        Which::from(&command.try_get_matches_from(words.split_whitespace()).expect("good words"))
    }

    #[test]
    fn every_option_is_read() {
        assert_eq!(given("k").elf, Some("k".into()));
        let all = given("-p p --example e --mode none --target t --toolchain c");
        assert_eq!(all.package, Some("p".into()));
        assert_eq!(all.program, Some(Program::Example("e".into())));
        assert_eq!(given("--bin b").program, Some(Program::Bin("b".into())));
        let How { mode, target, toolchain, .. } = all.how;
        assert_eq!((mode, target, toolchain), (Some("none"), Some("t".into()), Some("c".into())));
    }
}
