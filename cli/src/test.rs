//! `cargo freestone test`: tests on the host, tests inside a kernel, then the kernel on every machine.
//!
//! The tests on the host find this tool under `FREESTONE_CLI`, so that those which boot kernels use the
//! same one. For the tests inside a kernel see [`crate::kernel_test`].

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Arg, ArgMatches, Command, value_parser};

use crate::boot::{self, Boot, Place};
use crate::host_tests::{FULL, Request};
use crate::mode::{self, Mode};
use crate::names::Booted;
use crate::qemu::{MACHINES, Machine};
use crate::run;
use crate::status::{Failure, Status};
use crate::supervise::Output;
use crate::tell;
use crate::toolchain::{self, Kernel, Workspace};
use crate::{check, image, kernel_test, say};

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
        .arg(
            run::flag(FULL, "Run the longer tests on the host, which are left out otherwise")
                .conflicts_with_all([
                    "on",
                    "mode",
                    "target",
                    "machine",
                    "boot-per-test",
                    "nextest",
                ]),
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
    let mut failed = Vec::new();
    let mut rows = vec![match &place {
        Place::Qemu(_) if mode.name == "host" => {
            host_tests(matches, &workspace, qemu, &mut failed)?
        }
        Place::Qemu(_) => same_without(&format!("--mode {}", mode.name)),
        _ => same_without(&format!("--on {on}")),
    }];
    if matches.get_flag(FULL) {
        return Ok(show(&rows, &failed));
    }
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
    Ok(show(&rows, &failed))
}

fn same_without(option: &str) -> Row {
    Row::new("cargo test", Status::Success, format!("skipped: it is the same without {option}"))
}

/// What `-p` names.
fn package(matches: &ArgMatches) -> Option<&str> {
    matches.get_one::<String>("package").map(String::as_str)
}

fn host_tests(
    matches: &ArgMatches,
    workspace: &Workspace,
    qemu: &Path,
    failed: &mut Vec<String>,
) -> Result<Row, Failure> {
    let begin = Instant::now();
    let request = Request::new(matches);
    *failed = request.run(workspace, qemu)?;
    let status = if failed.is_empty() { Status::Success } else { Status::Failed };
    let word = if failed.is_empty() { "passed" } else { "FAILED" };
    let what = if request.full { "cargo test, the longer ones" } else { "cargo test" };
    Ok(Row::new(what, status, format!("{word} in {:.1} s", begin.elapsed().as_secs_f64())))
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

/// Prints the summary: what failed, and how to run it alone.
fn show(rows: &[Row], failed: &[String]) -> Status {
    let width = rows.iter().map(|row| row.what.len()).max().unwrap_or_default();
    for command in failed {
        tell!("failed: {command}");
    }
    for Row { what, status, result } in rows {
        let mark = if *status == Status::Success { "ok  " } else { "FAIL" };
        tell!("{mark} {what:<width$}  {result}");
    }
    let is_green = rows.iter().all(|row| row.status == Status::Success);
    if is_green { Status::Success } else { Status::Failed }
}
