//! `cargo freestone test`: tests on the host, tests inside a kernel, then the kernel on every machine.
//!
//! The tests on the host find this tool under `FREESTONE_CLI`, so that those which boot kernels use the
//! same one. For the tests inside a kernel see [`crate::kernel_test`].

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self};
use std::os::fd::AsFd;
use std::path::{self, Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

use clap::{Arg, ArgMatches, Command, value_parser};

use crate::boot::{self, Boot, Place};
use crate::mode::{self, Mode};
use crate::names::Booted;
use crate::qemu::{MACHINES, Machine};
use crate::run;
use crate::status::{Failure, Status};
use crate::supervise::{Output, Stop, Watch};
use crate::tell;
use crate::toolchain::{self, Kernel, Workspace};
use crate::{accel, check, image, install, kernel_test, say};

/// For building the tests, and for running them; with `--long` the second is longer.
const LIMIT: Duration = Duration::from_secs(30 * 60);
const LONG_LIMIT: Duration = Duration::from_secs(6 * 60 * 60);

const MEMORY_MIB: u32 = 64;

/// Asks the reference kernel to do its tour once and to end.
const COMMAND_LINE: &str = "oneshot";

/// What the verb takes.
pub fn command() -> Command {
    Command::new("test")
        .about("Run tests on the host, tests inside a kernel, and boot the kernel on every machine")
        .override_usage("cargo freestone test [OPTIONS] [-- CARGO TEST ARGUMENTS]")
        .arg(
            Arg::new("package")
                .short('p')
                .long("package")
                .value_name("PACKAGE")
                .help("Only this package's tests, and its kernel if it is one"),
        )
        .arg(run::flag(
            "boot-per-test",
            "Boot anew for each kernel test, not only where one ended a boot or left traces",
        ))
        .arg(run::flag("nextest", "Run the kernel tests with cargo nextest"))
        .arg(
            Arg::new("junit")
                .long("junit")
                .value_name("FOLDER")
                .value_parser(value_parser!(PathBuf))
                .help("Write the kernel tests' results there as JUnit XML"),
        )
        .arg(run::flag("long", "Let tests take their time: sets FREESTONE_LONG=1"))
        .args(mode::arguments())
        .arg(
            boot::on_arg()
                .help("Run the tests inside a kernel, and the boots, there [default: qemu]"),
        )
        .arg(run::machine().help("Boot on this machine only [default: all of them]"))
        .arg(run::timeout("60"))
        .arg(run::qemu())
        .arg(boot::xen_arg())
        .arg(check::no_check())
        .arg(run::flag("yes", "Install QEMU without asking if it is missing (as root, by apt-get)"))
        .arg(run::verbose())
        .arg(
            Arg::new("arguments")
                .value_name("CARGO TEST ARGUMENTS")
                .last(true)
                .num_args(0..)
                .value_parser(value_parser!(OsString))
                .help("Passed on to `cargo test`; what follows another -- to kernel tests too"),
        )
}

/// One line of the summary.
struct Row {
    what: String,
    status: Status,
    result: String,
}

impl Row {
    fn new(what: impl Into<String>, status: Status, result: impl Into<String>) -> Self {
        Self { what: what.into(), status, result: result.into() }
    }
}

/// Runs the verb.
pub fn main(matches: &ArgMatches) -> Result<Status, Failure> {
    // Cheap questions first: not to know the kernel should not cost a run of all tests.
    let workspace = Workspace::read(matches.get_flag("verbose"))?;
    let package = package(matches);
    let kernel = match package {
        Some(package) => workspace.kernel_of(package)?,
        None => workspace.default_kernel(None, &run::here()?)?,
    };
    let kernel_tests = workspace.kernel_tests(package)?;
    let on = boot::on(matches)?;
    let place = Place::of(matches)?;
    let qemu = place.qemu();
    let folder = &workspace.target_directory;
    let mode = Mode::of(matches, folder)?;
    let mut rows = vec![match &place {
        Place::Qemu(_) if mode.name == "host" => host_tests(matches, qemu)?,
        Place::Qemu(_) => same_without(&format!("--mode {}", mode.name)),
        _ => same_without(&format!("--on {on}")),
    }];
    for tests in &kernel_tests {
        let begin = Instant::now();
        let status = kernel_test::run(matches, qemu, &mode, folder, tests)?;
        let word = if status == Status::Success { "passed" } else { "FAILED" };
        let result = format!("{word} in {:.1} s", begin.elapsed().as_secs_f64());
        rows.push(Row::new(format!("in kernel: {}", tests.package), status, result));
    }
    match kernel {
        Some(kernel) => {
            let image =
                toolchain::build(&kernel, false, &mode, folder, matches.get_flag("verbose"))?;
            boots(matches, place, &kernel, &image, &mut rows)?;
        }
        None => rows.push(Row::new("boot", Status::Success, "skipped: no kernel here")),
    }
    show(&rows);
    let is_green = rows.iter().all(|row| row.status == Status::Success);
    Ok(if is_green { Status::Success } else { Status::Failed })
}

fn same_without(option: &str) -> Row {
    Row::new("cargo test", Status::Success, format!("skipped: it is the same without {option}"))
}

/// What `-p` names.
fn package(matches: &ArgMatches) -> Option<&str> {
    matches.get_one::<String>("package").map(String::as_str)
}

fn host_tests(matches: &ArgMatches, qemu: &Path) -> Result<Row, Failure> {
    // Built on their own first: cargo ends with 101 for a failed build and for a failed test alike.
    // This first run may also ask for passwords, which the second, in a group of its own, could not.
    let build = Watch {
        limit: Some(LIMIT),
        stop: Stop::Ask,
        stdout: Output::Inherit,
        stderr: Output::Inherit,
    };
    let mut command = cargo_test(matches, qemu, true)?;
    if !toolchain::run_cargo(&mut command, &build, matches.get_flag("verbose"))?.is_success() {
        return Err(Failure::new(Status::Build, "the tests do not build"));
    }
    let limit = if matches.get_flag("long") { LONG_LIMIT } else { LIMIT };
    let begin = Instant::now();
    let watch = Watch { limit: Some(limit), stop: Stop::AskGroup, ..build };
    let mut command = cargo_test(matches, qemu, false)?;
    let outcome = toolchain::run_cargo(&mut command, &watch, matches.get_flag("verbose"))?;
    let status = if outcome.is_success() { Status::Success } else { Status::Failed };
    let word = if outcome.is_success() { "passed" } else { "FAILED" };
    Ok(Row::new("cargo test", status, format!("{word} in {:.1} s", begin.elapsed().as_secs_f64())))
}

fn cargo_test(
    matches: &ArgMatches,
    qemu: &Path,
    only_build: bool,
) -> Result<process::Command, Failure> {
    let own = env::current_exe()
        .map_err(|error| Failure::tool(format!("this program's own path: {error}")))?;
    // Cargo runs each test in the folder of its package.
    let qemu =
        path::absolute(qemu).map_err(|error| Failure::tool(format!("QEMU's path: {error}")))?;
    let mut command = toolchain::cargo();
    match package(matches) {
        Some(package) => command.args(["test", "-p", package]),
        None => command.args(["test", "--workspace"]),
    };
    if only_build {
        command.arg("--no-run");
    }
    command.args(matches.get_many::<OsString>("arguments").unwrap_or_default());
    // Tests compare what emulation gives; those that want KVM say so.
    command.env(accel::VARIABLE, accel::TCG);
    command.env("FREESTONE_CLI", own).env(install::QEMU_VARIABLE, qemu);
    if matches.get_flag("long") {
        command.env("FREESTONE_LONG", "1");
    }
    Ok(command)
}

fn boots(
    matches: &ArgMatches,
    place: Place,
    kernel: &Kernel,
    image: &Path,
    rows: &mut Vec<Row>,
) -> Result<(), Failure> {
    let verbose = matches.get_flag("verbose");
    image::check(image)?;
    check::before_boot(image, matches)?;
    let booted = Booted::new(image, true, MEMORY_MIB);
    for place in places(matches, place) {
        let name = place.name();
        say!("booting {} on {name}", kernel.bin);
        let boot = Boot {
            place: &place,
            image,
            booted: booted.path(),
            command_line: OsStr::new(COMMAND_LINE),
            memory_mib: MEMORY_MIB,
            extra: &[],
            limit: run::limit(matches, Some(place.seconds())),
            verbose,
        };
        rows.push(row_of(name, &boot)?);
    }
    Ok(())
}

/// Of QEMU every machine, unless one is named.
fn places(matches: &ArgMatches, place: Place) -> Vec<Place> {
    match place {
        Place::Qemu(machine) if !matches.contains_id("machine") => {
            let each = |name: &str| Machine { name: name.to_owned(), ..machine.clone() };
            MACHINES.map(each).into_iter().map(Place::Qemu).collect()
        }
        place => vec![place],
    }
}

fn row_of(name: &str, boot: &Boot) -> Result<Row, Failure> {
    let verdict = boot.run(Output::Pass(io::stdout().as_fd()))?;
    // Told to stop means stop, not "next machine".
    if matches!(
        verdict.status,
        Status::Interrupted | Status::Terminated | Status::HungUp | Status::OutputClosed
    ) {
        return Err(Failure::new(verdict.status, verdict.message));
    }
    if !verdict.message.is_empty() {
        say!("{}", verdict.message);
    }
    let result = format!("{} in {} ms", verdict.status.word(), verdict.wall.as_millis());
    Ok(Row::new(format!("boot on {name}"), verdict.status, result))
}

fn show(rows: &[Row]) {
    let width = rows.iter().map(|row| row.what.len()).max().unwrap_or_default();
    for Row { what, status, result } in rows {
        let mark = if *status == Status::Success { "ok  " } else { "FAIL" };
        tell!("{mark} {what:<width$}  {result}");
    }
}
