//! The arguments that verbs share, each under one name and with one meaning.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, value_parser};

use crate::boot::machines::{CORES, MACHINES, MEMORY, MEMORY_MIB, PLACES};
use crate::build::cargo_args;

/// Its name, for every verb that has it.
pub const NO_NAMES: &str = "no-names";

/// Which kernel, and how it is built: for every verb about one.
pub fn which() -> Vec<Arg> {
    let built = ["package", "bin", "example", "mode", "target", "toolchain"].into_iter();
    let mut all = vec![
        Arg::new("elf")
            .value_name("ELF")
            .value_parser(value_parser!(PathBuf))
            .conflicts_with_all(built.chain(cargo_args::names()))
            .help("A kernel image; without it the kernel here is built first"),
        package().help("The package to build"),
    ];
    all.extend(programs());
    all.extend(mode());
    all.extend(cargo_args::arguments());
    all
}

/// `--bin` and `--example`, for every verb that builds a kernel.
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

/// `-p`, for every verb that builds.
pub fn package() -> Arg {
    Arg::new("package").short('p').long("package").value_name("PACKAGE")
}

/// `-m`, for every verb that boots.
pub fn memory() -> Arg {
    Arg::new("memory")
        .short('m')
        .value_name("MiB")
        .value_parser(
            value_parser!(u32).range(i64::from(*MEMORY.start())..=i64::from(*MEMORY.end())),
        )
        .help(format!("Memory of the machine [default: {}]", MEMORY_MIB))
}

/// `--cores`, for verbs that boot in QEMU.
pub fn cores() -> Arg {
    Arg::new("cores")
        .long("cores")
        .value_name("NUMBER")
        .value_parser(value_parser!(u32).range(i64::from(*CORES.start())..=i64::from(*CORES.end())))
        .help("Processors of the machine; Freestone starts the first, more are the kernel's to start [default: 1]")
}

/// What the kernel gets, for every verb that boots one.
pub fn command_line() -> Arg {
    Arg::new("command-line")
        .value_name("KERNEL COMMAND LINE")
        .last(true)
        .num_args(0..)
        .value_parser(value_parser!(OsString))
        .help("What the kernel gets as its command line, joined with spaces")
}

/// A switch that is off unless given.
pub fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

/// `--verbose`, for every verb.
pub fn verbose() -> Arg {
    flag("verbose", "Show the commands that are run, and QEMU's own messages")
        .short('v')
        .overrides_with("verbose")
}

/// `--machine`, for every verb that boots.
pub fn machine() -> Arg {
    Arg::new("machine")
        .long("machine")
        .value_name("MACHINE")
        .value_parser(PossibleValuesParser::new(MACHINES))
        .help(format!("The machine to boot on [default: {}]", MACHINES[0]))
}

/// `--qemu`, for every verb that needs it.
pub fn qemu() -> Arg {
    Arg::new("qemu")
        .long("qemu")
        .value_name("PATH")
        .value_parser(value_parser!(PathBuf))
        .help("The QEMU to use [default: FREESTONE_QEMU, else qemu-system-x86_64]")
}

/// `--qemu-arg`, for verbs that boot in QEMU.
pub fn qemu_arg() -> Arg {
    Arg::new("qemu-arg")
        .long("qemu-arg")
        .value_name("ARG")
        .action(ArgAction::Append)
        .allow_hyphen_values(true)
        .value_parser(value_parser!(OsString))
        .help("One more argument for QEMU; may be repeated")
}

/// `--timeout`, for every verb that boots.
pub fn timeout(default: &str) -> Arg {
    Arg::new("timeout")
        .long("timeout")
        .value_name("SECONDS")
        .value_parser(value_parser!(u32))
        .help(format!("Stop a boot after this time; 0: never [default: {default}]"))
}

/// `--on`, for every verb that boots.
pub fn on_arg() -> Arg {
    Arg::new("on")
        .long("on")
        .value_name("PLACE")
        .value_parser(PossibleValuesParser::new(PLACES))
        .help(format!("Where to boot [default: {}]", PLACES[0]))
}

/// What `--mode` takes.
pub const MODES: [&str; 3] = ["host", "none", "json"];

/// `--mode`, `--target` and `--toolchain`, for every verb that builds kernels.
pub fn mode() -> [Arg; 3] {
    [
        Arg::new("mode")
            .long("mode")
            .value_name("MODE")
            .value_parser(PossibleValuesParser::new(MODES))
            .help("How to build: with the host's core, for a target without a system, or by target file"),
        Arg::new("target")
            .long("target")
            .value_name("TARGET")
            .help("The target to build for: a name, or the path of a target file"),
        toolchain(),
    ]
}

/// `--toolchain`, for every verb that builds.
pub fn toolchain() -> Arg {
    Arg::new("toolchain")
        .long("toolchain")
        .value_name("NAME")
        .help("A toolchain as `doctor` names it [default: the one in use, else one that can]")
}
