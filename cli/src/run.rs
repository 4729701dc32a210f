//! `cargo freestone run`: builds a kernel, boots it, and ends with its verdict.

use std::env;
use std::ffi::OsString;
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::json;

use crate::boot::{self, Boot, Place, Verdict};
use crate::boot_options::{self, BootOptions};
use crate::cargo_args::CargoArguments;
use crate::foreign;
use crate::mode::{self, Mode};
use crate::names::Booted;
use crate::qemu::MACHINES;
use crate::settings::Settings;
use crate::status::{Failure, Status};
use crate::supervise::Output;
use crate::tell;
use crate::toolchain;
use crate::workspace::{Kernel, Program, Workspace};
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
        .arg(cores())
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
    ];
    all.extend(programs());
    all.extend(mode::arguments());
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

/// Memory in MiB. Less is less than any of the machines boots with; beyond it QEMU's command line, too, would begin to
/// misread it.
pub const MEMORY: RangeInclusive<u32> = 2..=1 << 24;

/// `-m`, for every verb that boots.
pub fn memory() -> Arg {
    Arg::new("memory")
        .short('m')
        .value_name("MiB")
        .value_parser(
            value_parser!(u32).range(i64::from(*MEMORY.start())..=i64::from(*MEMORY.end())),
        )
        .help(format!("Memory of the machine [default: {}]", boot_options::MEMORY_MIB))
}

/// How many processors a machine can have.
pub const CORES: RangeInclusive<u32> = 1..=255;

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

/// Runs the verb.
pub fn main(matches: &ArgMatches) -> Result<Status, Failure> {
    boot_and_tell(matches, &Settings::default())
}

/// The same, for an image of which it is known what is set for it.
pub fn boot_and_tell(matches: &ArgMatches, settings: &Settings) -> Result<Status, Failure> {
    let mut known = Known::default();
    let result = boot(matches, settings, &mut known);
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
    let Known { image, options } = known;
    let on = options.as_ref().map_or(boot::PLACES[0], |options| options.on);
    let machine = options.as_ref().map(BootOptions::machine);
    let line = json!({
        "on": on,
        "verdict": status.word(),
        "status": status.code(),
        "message": message,
        "machine": machine.filter(|_| on != boot::XEN),
        "image": image.map(|path| path.to_string_lossy().into_owned()),
        "wall_ms": wall.map(|wall| wall.as_millis() as u64),
    });
    tell!("{}", foreign::json(&line));
    if status == Status::Success { Ok(status) } else { Err(Failure::new(status, message)) }
}

/// What a report tells even of a boot that failed.
#[derive(Default)]
struct Known {
    image: Option<PathBuf>,
    options: Option<BootOptions>,
}

/// Does it all; what is known is told as soon as it is.
fn boot(matches: &ArgMatches, settings: &Settings, known: &mut Known) -> Result<Verdict, Failure> {
    let verbose = matches.get_flag("verbose");
    let is_set = |name| matches.get_flag(name);
    // Cheap questions first: a wrong argument should not cost an installation, a missing QEMU not a
    // build.
    let meant = Meant::of(matches)?;
    let options = &*known.options.insert(meant.options(matches, settings)?);
    if let Meant::Image(path) = &meant {
        known.image = Some(path.clone());
        look(path, options, matches)?;
    }
    let place = Place::of(matches, options)?;
    if let Meant::Kernel(..) = &meant {
        let built = known.image.insert(meant.image(matches)?);
        look(built, options, matches)?;
    }
    let gdb = matches.get_one::<u16>("gdb");
    let image = known.image.as_deref().unwrap_or(Path::new(""));
    let booted = Booted::new(image, !is_set(NO_NAMES), options.memory_mib.value);
    let boot = Boot {
        place: &place,
        image,
        booted: booted.path(),
        command_line: &options.command_line.value,
        memory_mib: options.memory_mib.value,
        extra: &options.qemu_args(),
        limit: options.limit(gdb.is_none().then_some(place.seconds())),
        verbose,
    };
    let (stdout, stderr) = (io::stdout(), io::stderr());
    boot.run(Output::Pass(if is_set("json") { stderr.as_fd() } else { stdout.as_fd() }))
}

/// Whether this can be booted so.
fn look(image: &Path, options: &BootOptions, matches: &ArgMatches) -> Result<(), Failure> {
    image::check(image)?.must_fit(options.memory_mib.value)?;
    check::before_boot(image, matches)
}

/// What the arguments of a verb mean.
enum Meant {
    /// A file, of which nothing else is known.
    Image(PathBuf),
    Kernel(Box<Workspace>, Kernel),
}

impl Meant {
    fn of(matches: &ArgMatches) -> Result<Self, Failure> {
        if let Some(path) = matches.get_one::<PathBuf>("elf") {
            return Ok(Self::Image(path.clone()));
        }
        let arguments = CargoArguments::of(matches);
        let workspace = Workspace::read(&arguments, matches.get_flag("verbose"))?;
        let package = matches.get_one::<String>("package").map(String::as_str);
        let kernel =
            workspace.kernel(package, Program::of(matches).as_ref(), &here(&arguments)?)?;
        Ok(Self::Kernel(Box::new(workspace), kernel))
    }

    /// `settings` are a file's, of which no manifest is known here.
    fn options(&self, matches: &ArgMatches, settings: &Settings) -> Result<BootOptions, Failure> {
        let options = match self {
            Self::Image(_) => BootOptions::new(matches, settings)?,
            Self::Kernel(workspace, kernel) => {
                BootOptions::new(matches, &workspace.settings(&kernel.package)?)?
            }
        };
        if matches.get_flag("verbose") {
            options.tell();
        }
        Ok(options)
    }

    /// The file, built if it is not named.
    fn image(&self, matches: &ArgMatches) -> Result<PathBuf, Failure> {
        let (workspace, kernel) = match self {
            Self::Image(path) => return Ok(path.clone()),
            Self::Kernel(workspace, kernel) => (workspace, kernel),
        };
        let folder = &workspace.target_directory;
        let mode = Mode::of(matches, folder)?;
        toolchain::build(kernel, &mode, folder, matches.get_flag("verbose"))
    }
}

/// The image that the arguments of a verb name, built if it is not there, and looked at; and how it is to be booted.
pub fn built(matches: &ArgMatches) -> Result<(PathBuf, BootOptions), Failure> {
    let meant = Meant::of(matches)?;
    let options = meant.options(matches, &Settings::default())?;
    let image = meant.image(matches)?;
    look(&image, &options, matches)?;
    Ok((image, options))
}

/// The image of the kernel that the arguments of a verb mean, built.
pub fn build(matches: &ArgMatches) -> Result<PathBuf, Failure> {
    Meant::of(matches)?.image(matches)
}

/// The folder the user stands in, or the one of the manifest that is named.
pub fn here(arguments: &CargoArguments) -> Result<PathBuf, Failure> {
    if let Some(folder) = arguments.manifest_folder() {
        return Ok(folder);
    }
    env::current_dir().map_err(|error| Failure::usage(format!("the current directory: {error}")))
}
