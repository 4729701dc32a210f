//! `cargo freestone test`: tests on the host, tests inside a kernel, then the kernel on every machine.
//!
//! The tests on the host find this tool under `FREESTONE_CLI`, so that those which boot kernels use the
//! same one. For the tests inside a kernel see [`crate::build::kernel_test`].

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::{Value, json};

use crate::args::{self, Telling, flag};
use crate::boot::boot_args::{self, BootArgs, joined};
use crate::boot::boot_options::BootOptions;
use crate::boot::devices;
use crate::boot::machines::MACHINES;
use crate::boot::module;
use crate::boot::place::Place;
use crate::boot::qemu::Machine;
use crate::boot::request::Boot;
use crate::build::build_args::{How, MODE, TARGET, Which, package, programs};
use crate::build::compile;
use crate::build::host_tests;
use crate::build::kernel_test;
use crate::build::meant;
use crate::build::mode::Mode;
use crate::build::program::FULL;
use crate::build::program::Kernel;
use crate::build::workspace::Workspace;
use crate::foreign;
use crate::image::name_table::Booted;
use crate::say;
use crate::status::{Failure, Status};
use crate::supervise::Output;
use crate::tell;

/// Asks the reference kernel to do its tour once and to end.
const COMMAND_LINE: &str = "oneshot";

/// What the verb takes.
pub fn command() -> Command {
    Command::new("test")
        .about("Run tests on the host, tests inside a kernel, and boot the kernel on every machine")
        .override_usage("cargo freestone test [OPTIONS] [-- CARGO TEST ARGUMENTS]")
        .arg(package().help("Only this package's tests, and its kernel if it is one"))
        .args(programs().map(|arg| arg.help_heading("The kernel to boot")))
        .arg(flag(
            "boot-per-test",
            "Boot anew for each kernel test, not only where one ended a boot or left traces",
        ))
        .arg(flag("nextest", "Run the kernel tests with cargo nextest"))
        .arg(
            Arg::new("junit")
                .long("junit")
                .value_name("FOLDER")
                .value_parser(value_parser!(PathBuf))
                .help("Write the kernel tests' results there as JUnit XML"),
        )
        .arg(
            flag(FULL, "Run the longer tests on the host, which are left out otherwise")
                .conflicts_with_all([
                    boot_args::ON,
                    MODE,
                    TARGET,
                    boot_args::MACHINE,
                    "boot-per-test",
                    "nextest",
                ]),
        )
        .arg(flag("long", "Let tests take their time: sets FREESTONE_LONG=1"))
        .args(How::args())
        .args([
            boot_args::on()
                .help("Run the tests inside a kernel, and the boots, there [default: qemu]"),
            boot_args::machine().help("Boot on this machine only [default: all of them]"),
            boot_args::memory(),
            boot_args::cores(),
            boot_args::timeout("60"),
            devices::net(),
            devices::disk(),
            module::module(),
            boot_args::qemu_arg(),
            boot_args::qemu(),
            boot_args::xen(),
            boot_args::no_check(),
            boot_args::yes(),
        ])
        .args(Telling::args("End with one line of JSON on stdout; all else goes to stderr"))
        .arg(
            Arg::new("arguments")
                .value_name("CARGO TEST ARGUMENTS")
                .last(true)
                .num_args(0..)
                .value_parser(value_parser!(OsString))
                .help("Passed on to `cargo test`; what follows another -- to kernel tests too"),
        )
}

/// What was given.
struct Arguments {
    /// Never a file.
    which: Which,
    boot: BootArgs,
    boot_per_test: bool,
    nextest: bool,
    junit: Option<PathBuf>,
    full: bool,
    long: bool,
    /// For `cargo test`.
    for_cargo: Vec<OsString>,
    telling: Telling,
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

/// What came of all steps.
#[derive(Default)]
struct Report {
    rows: Vec<Row>,
    /// The commands that run each failed test of the host's alone.
    failed: Vec<String>,
}

impl Report {
    fn status(&self) -> Status {
        let is_green = self.rows.iter().all(|row| row.status == Status::Success);
        if is_green { Status::Success } else { Status::Failed }
    }

    /// Prints the summary: what failed, and how to run it alone.
    fn show(&self) {
        let width = self.rows.iter().map(|row| row.what.len()).max().unwrap_or_default();
        for command in &self.failed {
            tell!("failed: {command}");
        }
        for Row { what, status, result } in &self.rows {
            let mark = if *status == Status::Success { "ok  " } else { "FAIL" };
            tell!("{mark} {what:<width$}  {result}");
        }
    }

    fn to_json(&self, status: Status, message: &str) -> Value {
        let step = |row: &Row| json!({ "step": row.what, "verdict": row.status.word(), "result": row.result });
        json!({
            "verdict": status.word(),
            "status": status.code(),
            "message": message,
            "steps": self.rows.iter().map(step).collect::<Vec<_>>(),
            "failed": self.failed,
        })
    }
}

/// Runs the verb.
pub fn main(matches: &ArgMatches) -> Result<Status, Failure> {
    run(&Arguments {
        which: Which::from(matches),
        boot: BootArgs::from(matches),
        boot_per_test: matches.get_flag("boot-per-test"),
        nextest: matches.get_flag("nextest"),
        junit: matches.get_one("junit").cloned(),
        full: matches.get_flag(FULL),
        long: matches.get_flag("long"),
        for_cargo: args::all(matches, "arguments").unwrap_or_default(),
        telling: Telling::from(matches),
    })
}

fn run(arguments: &Arguments) -> Result<Status, Failure> {
    let mut report = Report::default();
    let result = steps(arguments, &mut report);
    let status = match &result {
        Ok(()) => report.status(),
        Err(failure) => failure.status,
    };
    if arguments.telling.json {
        let message = result.as_ref().err().map_or("", |failure| &failure.message);
        tell!("{}", foreign::json(&report.to_json(status, message)));
    } else if result.is_ok() {
        report.show();
    }
    result.map(|()| status)
}

/// Does it all, a row for each step.
fn steps(arguments: &Arguments, report: &mut Report) -> Result<(), Failure> {
    let Arguments { which: Which { package, program, how, .. }, boot: given, telling, .. } =
        arguments;
    let (package, program, verbose) = (package.as_deref(), program.as_ref(), telling.verbose);
    // Cheap questions first: not to know the kernel should not cost a run of all tests.
    let workspace = Workspace::read(&how.cargo, verbose)?;
    let kernel = match package {
        Some(package) => workspace.kernel_of(package, program)?,
        None => workspace.default_kernel(program, &meant::here(&how.cargo)?)?,
    };
    let kernel_tests = workspace.kernel_tests(package)?;
    // What the kernel that is booted asks for; kernel tests of other packages ask for themselves.
    let settings = kernel.as_ref().map(|kernel| workspace.settings(&kernel.package)).transpose()?;
    let options = BootOptions::new(given, &settings.unwrap_or_default())?;
    if verbose {
        options.tell();
    }
    given.devices.check()?;
    let on = options.on;
    let place = Place::of(given, &options)?;
    let qemu = place.qemu();
    let folder = &workspace.target_directory;
    let mode = Mode::of(how, folder, verbose)?;
    // A feature that only some packages of a workspace have is for those; of one that is named cargo has its say.
    let for_package = |name: &str| match package {
        Some(_) => mode.clone(),
        None => mode.clone().with(workspace.arguments_for(name, &mode.cargo)),
    };
    let Report { rows, failed } = report;
    rows.push(match &place {
        Place::Qemu(_) if mode.name == "host" => {
            host_tests(arguments, &workspace, qemu, &mode, failed)?
        }
        // It is cargo's configuration that chose the target.
        Place::Qemu(_) if how.mode.is_none() && how.target.is_none() => {
            let word =
                format!("skipped: for {} there are none; --mode host runs them", mode.target_name);
            Row::new("cargo test", Status::Success, word)
        }
        Place::Qemu(_) => same_without(&format!("--mode {}", mode.name)),
        _ => same_without(&format!("--on {on}")),
    });
    if arguments.full {
        return Ok(());
    }
    for tests in &kernel_tests {
        let begin = Instant::now();
        let mode = for_package(&tests.package);
        // A setting that means nothing is told of before all is built.
        workspace.settings(&tests.package)?;
        let status = arguments.kernel_tests().run(qemu, &mode, folder, tests)?;
        let word = if status == Status::Success { "passed" } else { "FAILED" };
        let result = format!("{word} in {:.1} s", begin.elapsed().as_secs_f64());
        rows.push(Row::new(format!("in kernel: {}", tests.package), status, result));
    }
    match kernel {
        Some(kernel) => {
            let mode = for_package(&kernel.package);
            let image = compile::build(&kernel, &mode, folder, verbose)?;
            boots(arguments, &options, place, &kernel, &image, rows)?;
        }
        None => rows.push(Row::new("boot", Status::Success, "skipped: no kernel here")),
    }
    Ok(())
}

impl Arguments {
    fn host_tests(&self) -> host_tests::Request<'_> {
        host_tests::Request {
            package: self.which.package.as_deref(),
            full: self.full,
            long: self.long,
            arguments: &self.for_cargo,
            telling: self.telling,
        }
    }

    fn kernel_tests(&self) -> kernel_test::Request<'_> {
        // What follows the second `--`: meant for test programs, not for cargo.
        let mut parts = self.for_cargo.splitn(2, |word| word == "--");
        kernel_test::Request {
            boot: &self.boot,
            boot_per_test: self.boot_per_test,
            nextest: self.nextest,
            junit: self.junit.as_deref(),
            arguments: parts.nth(1).unwrap_or_default(),
            telling: self.telling,
        }
    }
}

fn same_without(option: &str) -> Row {
    Row::new("cargo test", Status::Success, format!("skipped: it is the same without {option}"))
}

fn host_tests(
    arguments: &Arguments,
    workspace: &Workspace,
    qemu: &Path,
    mode: &Mode,
    failed: &mut Vec<String>,
) -> Result<Row, Failure> {
    let begin = Instant::now();
    let request = arguments.host_tests();
    let what = if request.full { "cargo test, the longer ones" } else { "cargo test" };
    let Some(found) = request.run(workspace, qemu, mode)? else {
        return Ok(Row::new(what, Status::Success, "skipped: all tests here run in a kernel"));
    };
    *failed = found;
    let status = if failed.is_empty() { Status::Success } else { Status::Failed };
    let word = if failed.is_empty() { "passed" } else { "FAILED" };
    Ok(Row::new(what, status, format!("{word} in {:.1} s", begin.elapsed().as_secs_f64())))
}

fn boots(
    arguments: &Arguments,
    options: &BootOptions,
    mut place: Place,
    kernel: &Kernel,
    image: &Path,
    rows: &mut Vec<Row>,
) -> Result<(), Failure> {
    let Telling { json, verbose } = arguments.telling;
    let memory_mib = options.memory_mib.value;
    let words = [options.command_line.value.clone(), COMMAND_LINE.into()];
    let command_line = joined(words.iter().filter(|word| !word.is_empty()));
    let extra = options.qemu_args();
    meant::look(image, &arguments.boot, options)?;
    place.equip_unreached(&arguments.boot.devices, options, image)?;
    let booted = Booted::new(image, true, memory_mib);
    for place in places(options, place) {
        let name = place.name();
        say!("booting {} on {name}", kernel.program.name());
        let boot = Boot {
            image,
            booted: booted.path(),
            command_line: &command_line,
            module: arguments.boot.devices.module.as_deref(),
            memory_mib,
            extra: &extra,
            limit: options.limit(Some(place.seconds())),
            verbose,
        };
        rows.push(row_of(&place, &boot, json)?);
    }
    Ok(())
}

/// Of QEMU every machine, unless one is asked for.
fn places(options: &BootOptions, place: Place) -> Vec<Place> {
    match place {
        Place::Qemu(machine) if options.machine.is_none() => {
            let each = |name: &str| Machine { name: name.to_owned(), ..machine.clone() };
            MACHINES.map(each).into_iter().map(Place::Qemu).collect()
        }
        place => vec![place],
    }
}

fn row_of(place: &Place, boot: &Boot, is_json: bool) -> Result<Row, Failure> {
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let output = if is_json { stderr.as_fd() } else { stdout.as_fd() };
    let verdict = place.run(boot, Output::Pass(output))?;
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
    Ok(Row::new(format!("boot on {}", place.name()), verdict.status, result))
}
