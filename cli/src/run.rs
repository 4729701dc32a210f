//! `cargo freestone run`: builds a kernel, boots it, and ends with its verdict.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::json;

use crate::boot::{self, Boot, Place, Verdict};
use crate::cargo_args::CargoArguments;
use crate::foreign;
use crate::mode::{self, Mode};
use crate::names::Booted;
use crate::qemu::MACHINES;
use crate::status::{Failure, Status};
use crate::supervise::Output;
use crate::tell;
use crate::toolchain::{self, Kernel, Program, Workspace};
use crate::{accel, cargo_args, check, image};

/// Its name, for every verb that has it.
pub const NO_NAMES: &str = "no-names";

/// What the verb takes.
pub fn command() -> Command {
    Command::new("run")
        .about(
            "Build a kernel and boot it in QEMU, on Xen or by KVM; the exit status is the kernel's verdict",
        )
        .override_usage("cargo freestone run [OPTIONS] [ELF | -p PACKAGE] [-- KERNEL COMMAND LINE]")
        .args(which())
        .arg(boot::on_arg())
        .arg(machine())
        .arg(accel::argument())
        .arg(memory())
        .arg(timeout("60, with --on kvm-nested 300; none with --gdb"))
        .arg(flag(
            "icount",
            "Count instructions instead of time: the guest's clocks repeat exactly",
        ))
        .arg(
            Arg::new("gdb")
                .long("gdb")
                .value_name("PORT")
                .value_parser(value_parser!(u16).range(1..))
                .help("Wait for a debugger on this port of 127.0.0.1 before the first instruction"),
        )
        .arg(flag("trace", "End with a table of the devices that the boot talked to, on stderr"))
        .arg(flag(NO_NAMES, "Boot the file as it is, without a table of names for backtraces"))
        .arg(qemu_arg())
        .arg(qemu())
        .arg(boot::xen_arg())
        .arg(check::no_check())
        .arg(flag("yes", "Install QEMU without asking if it is missing (as root, by apt-get)"))
        .arg(flag("json", "End with one line of JSON on stdout; the guest's output goes to stderr"))
        .arg(verbose())
        .arg(command_line())
}

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
        Arg::new("bin")
            .long("bin")
            .value_name("NAME")
            .conflicts_with("example")
            .help("The binary, if the package has several"),
        Arg::new("example")
            .long("example")
            .value_name("NAME")
            .help("An example instead of a binary"),
    ];
    all.extend(mode::arguments());
    all.extend(cargo_args::arguments());
    all
}

/// `-p`, for every verb that builds.
pub fn package() -> Arg {
    Arg::new("package").short('p').long("package").value_name("PACKAGE")
}

/// Memory in MiB. Less is less than any of the machines boots with; beyond it QEMU's command line, too, would begin to
/// misread it.
pub const MEMORY: RangeInclusive<u32> = 2..=1 << 24;

/// `-m`, for every verb that boots.
pub fn memory() -> Arg {
    Arg::new("memory")
        .short('m')
        .value_name("MiB")
        .default_value("64")
        .value_parser(
            value_parser!(u32).range(i64::from(*MEMORY.start())..=i64::from(*MEMORY.end())),
        )
        .help("Memory of the machine")
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

/// The limit that `--timeout` asks for.
pub fn limit(matches: &ArgMatches, default: Option<u32>) -> Option<Duration> {
    let seconds = matches.get_one::<u32>("timeout").copied().or(default);
    seconds.filter(|seconds| *seconds > 0).map(|seconds| Duration::from_secs(seconds.into()))
}

/// Runs the verb.
pub fn main(matches: &ArgMatches) -> Result<Status, Failure> {
    let mut image = None;
    let result = boot(matches, &mut image);
    if !matches.get_flag("json") {
        return result.and_then(|verdict| match verdict.status {
            Status::Success => Ok(verdict.status),
            status => Err(Failure::new(status, verdict.message)),
        });
    }
    let (status, message, wall) = match result {
        Ok(verdict) => (verdict.status, verdict.message, Some(verdict.wall)),
        Err(failure) => (failure.status, failure.message, None),
    };
    let on = boot::on(matches).unwrap_or(boot::PLACES[0]);
    let machine = matches.get_one::<String>("machine").map_or(MACHINES[0], String::as_str);
    let line = json!({
        "on": on,
        "verdict": status.word(),
        "status": status.code(),
        "message": message,
        "machine": (on != boot::XEN).then_some(machine),
        "image": image.map(|path| path.to_string_lossy().into_owned()),
        "wall_ms": wall.map(|wall| wall.as_millis() as u64),
    });
    tell!("{}", foreign::json(&line));
    if status == Status::Success { Ok(status) } else { Err(Failure::new(status, message)) }
}

/// Does it all; `image` is set as soon as it is known, for a report on failures too.
fn boot(matches: &ArgMatches, image: &mut Option<PathBuf>) -> Result<Verdict, Failure> {
    boot::on(matches)?;
    let verbose = matches.get_flag("verbose");
    let is_set = |name| matches.get_flag(name);
    let given = matches.get_one::<PathBuf>("elf");
    // Cheap questions first: a wrong argument should not cost an installation, a missing QEMU not a
    // build.
    let memory_mib = *matches.get_one("memory").expect("has a default");
    let kernel = match given {
        Some(path) => {
            *image = Some(path.clone());
            image::check(path)?.must_fit(memory_mib)?;
            check::before_boot(path, matches)?;
            None
        }
        None => {
            let (workspace, kernel) = meant(matches)?;
            Some((kernel, workspace.target_directory))
        }
    };
    let place = Place::of(matches)?;
    if let Some((kernel, folder)) = kernel {
        let mode = Mode::of(matches, &folder)?;
        let built = toolchain::build(&kernel, &mode, &folder, verbose)?;
        let image = image.insert(built);
        image::check(image)?.must_fit(memory_mib)?;
        check::before_boot(image, matches)?;
    }
    let gdb = matches.get_one::<u16>("gdb");
    let image = image.as_deref().unwrap_or(Path::new(""));
    let booted = Booted::new(image, !is_set(NO_NAMES), memory_mib);
    let boot = Boot {
        place: &place,
        image,
        booted: booted.path(),
        command_line: &joined(matches.get_many("command-line").unwrap_or_default()),
        memory_mib,
        extra: &matches.get_many("qemu-arg").unwrap_or_default().cloned().collect::<Vec<_>>(),
        limit: limit(matches, gdb.is_none().then_some(place.seconds())),
        verbose,
    };
    let (stdout, stderr) = (io::stdout(), io::stderr());
    boot.run(Output::Pass(if is_set("json") { stderr.as_fd() } else { stdout.as_fd() }))
}

/// The image that the arguments of a verb name, built if it is not there, and looked at.
pub fn built(matches: &ArgMatches) -> Result<PathBuf, Failure> {
    let image = match matches.get_one::<PathBuf>("elf") {
        Some(path) => path.clone(),
        None => build(matches)?,
    };
    image::check(&image)?.must_fit(*matches.get_one("memory").expect("has a default"))?;
    check::before_boot(&image, matches)?;
    Ok(image)
}

/// The image of the kernel that the arguments of a verb mean, built.
pub fn build(matches: &ArgMatches) -> Result<PathBuf, Failure> {
    let (workspace, kernel) = meant(matches)?;
    let folder = workspace.target_directory;
    let mode = Mode::of(matches, &folder)?;
    toolchain::build(&kernel, &mode, &folder, matches.get_flag("verbose"))
}

/// The kernel that the arguments of a verb mean, and its workspace.
fn meant(matches: &ArgMatches) -> Result<(Workspace, Kernel), Failure> {
    let arguments = CargoArguments::of(matches);
    let workspace = Workspace::read(&arguments, matches.get_flag("verbose"))?;
    let package = matches.get_one::<String>("package").map(String::as_str);
    let kernel = workspace.kernel(package, Program::of(matches).as_ref(), &here(&arguments)?)?;
    Ok((workspace, kernel))
}

/// The folder the user stands in, or the one of the manifest that is named.
pub fn here(arguments: &CargoArguments) -> Result<PathBuf, Failure> {
    if let Some(folder) = arguments.manifest_folder() {
        return Ok(folder);
    }
    env::current_dir().map_err(|error| Failure::usage(format!("the current directory: {error}")))
}

/// What follows `--` as the kernel gets it.
pub fn joined<'a>(words: impl Iterator<Item = &'a OsString>) -> OsString {
    words.map(OsString::as_os_str).collect::<Vec<&OsStr>>().join(OsStr::new(" "))
}
