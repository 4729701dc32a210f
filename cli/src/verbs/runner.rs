//! `cargo freestone runner IMAGE [ARGUMENTS]`: what cargo and nextest call to run what was built for a kernel.
//!
//! A kernel with tests in it behaves as a test program of libtest's does: the same arguments, the same lines, status
//! 101 if a test failed. The tests of a file run one after the other in one boot, in the order of their names; where one
//! ends the boot or leaves a machine that is not as it was, the next one gets a new boot. With `--boot-per-test`
//! each has its own. Either way [`marks`](crate::marks) decides which results count, and each test has its own time limit.
//! Another kernel is booted as `run` does, with the arguments as its command line; a program for this system is run.
//!
//! Options that libtest lacks come from the environment, set by `cargo freestone test`, else from the manifest's
//! settings.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use freestone_protocol::kernel_tests;

use crate::args::Telling;
use crate::boot::boot_args::{BootArgs, joined};
use crate::boot::boot_options::{self, BootOptions};
use crate::boot::devices::DeviceArgs;
use crate::boot::install;
use crate::boot::kvm;
use crate::boot::machines;
use crate::boot::machines::MACHINES;
use crate::boot::place::Place;
use crate::boot::qemu;
use crate::boot::request::{Boot, Verdict};
use crate::boot::settings::{Asked, Settings};
use crate::boot::xen;
use crate::build::build_args::Which;
use crate::build::cargo_args::CargoArguments;
use crate::build::workspace::Workspace;
use crate::color;
use crate::explain;
use crate::foreign::{self, Shown as _};
use crate::image::bootable;
use crate::image::name_table::Booted;
use crate::image::test_table::{self, KernelTest};
use crate::marks::{Heard, Key, Listener};
use crate::say;
use crate::status::{Failure, Status};
use crate::supervise::Output;
use crate::verbs::junit;
use crate::verbs::junit::Ended;
use crate::verbs::libtest_args::Options;
use crate::verbs::run;

/// Its word on the command line.
pub const VERB: &str = "runner";

/// Where to boot: what `--on` takes.
pub const PLACE_VARIABLE: &str = "FREESTONE_TEST_ON";
/// Which machine to boot on.
pub const MACHINE_VARIABLE: &str = "FREESTONE_TEST_MACHINE";
/// Seconds that a test may take, 0 for any.
pub const TIMEOUT_VARIABLE: &str = "FREESTONE_TEST_TIMEOUT";
/// Processors of the machine.
pub const CORES_VARIABLE: &str = "FREESTONE_TEST_CORES";
/// More arguments for QEMU: a list of texts in JSON.
pub const QEMU_ARGS_VARIABLE: &str = "FREESTONE_TEST_QEMU_ARGS";
/// Memory of the machine, in MiB.
pub const MEMORY_VARIABLE: &str = "FREESTONE_TEST_MEMORY";
/// Set to 1: a boot for each test.
pub const BOOT_PER_TEST_VARIABLE: &str = "FREESTONE_TEST_BOOT_PER_TEST";
/// The folder for JUnit XML files.
pub const JUNIT_VARIABLE: &str = "FREESTONE_TEST_JUNIT";

const DEFAULT_SECONDS: u32 = 60;

/// What cargo's own test programs end with when a test failed.
const TESTS_FAILED: u8 = 101;

/// How long a list of tests may be: kernels get 4096 bytes of command line.
const LONGEST_LIST: usize = 3000;

/// Becomes the program, if it is none for a kernel: where this is the runner, cargo has all it builds run by it. Returns
/// if it is one, or if nothing can be said of it here.
pub fn step_aside(words: &[OsString]) -> Option<Failure> {
    let [_, verb, program, arguments @ ..] = words else { return None };
    if verb != VERB || !bootable::is_host_program(Path::new(program)) {
        return None;
    }
    // A name alone would be looked for in PATH.
    let error = Command::new(Path::new(".").join(program)).args(arguments).exec();
    Some(Failure::tool(format!("{} does not start: {error}", Path::new(program).shown())))
}

/// Runs the verb. Its words are not clap's: the first is the image, the rest libtest's, or the kernel's.
pub fn main(mut arguments: impl Iterator<Item = OsString>) -> u8 {
    let Some(image) = arguments.next() else {
        say!("error: runner wants the path of an image; cargo calls it");
        return Status::Usage.code();
    };
    match run(Path::new(&image), arguments.collect()) {
        Ok(code) => code,
        Err(failure) => {
            explain(&failure);
            failure.status.code()
        }
    }
}

/// The exit status: for tests libtest's, for a kernel the verdict's.
fn run(image: &Path, arguments: Vec<OsString>) -> Result<u8, Failure> {
    // First, for what is wrong with a file is best said here.
    let bootable = bootable::check(image)?;
    let settings = settings()?;
    let Some(all) = test_table::read(image)? else {
        return kernel(image, arguments, &settings).map(Status::code);
    };
    color::choose(&arguments);
    let options = Options::parse(arguments.into_iter())?;
    let (wanted, filtered): (Vec<_>, Vec<_>) = all.iter().partition(|test| options.wants(test));
    if options.is_list {
        list(&wanted, options.is_terse);
        return Ok(Status::Success.code());
    }
    let machine = Machine::new(image, &settings)?;
    bootable.must_fit(machine.memory_mib)?;
    let begin = Instant::now();
    let plural = if wanted.len() == 1 { "" } else { "s" };
    print(format_args!("\nrunning {} test{plural}\n", wanted.len()));
    let ended = run_all(&machine, &wanted, &options)?;
    summary(&ended, filtered.len(), begin.elapsed(), &options);
    if let Some(folder) = env::var_os(JUNIT_VARIABLE).map(PathBuf::from) {
        junit::write(&folder, image, &ended, begin.elapsed())?;
    }
    let is_green = ended.iter().all(|ended| ended.passed != Some(false));
    Ok(if is_green { Status::Success.code() } else { TESTS_FAILED })
}

/// What `run` does with this image, for `cargo run`.
fn kernel(image: &Path, words: Vec<OsString>, settings: &Settings) -> Result<Status, Failure> {
    // Without words those count that are set.
    let command_line = (!words.is_empty()).then(|| joined(&words));
    let arguments = run::Arguments {
        open: false,
        which: Which { elf: Some(image.into()), ..Which::default() },
        boot: BootArgs { command_line, ..BootArgs::default() },
        telling: Telling::default(),
    };
    run::boot_and_tell(&arguments, settings)
}

/// What the manifest of the package sets whose program cargo has run: cargo says where it is.
fn settings() -> Result<Settings, Failure> {
    let Some(folder) = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from) else {
        return Ok(Settings::default());
    };
    let manifest = CargoArguments::of_manifest(&folder.join("Cargo.toml"));
    Workspace::read(&manifest, false)?.settings_around(&folder)
}

fn list(tests: &[&KernelTest], is_terse: bool) {
    for test in tests {
        print(format_args!("{}: test\n", test.name));
    }
    if !is_terse {
        print(format_args!("\n{} tests, 0 benchmarks\n", tests.len()));
    }
}

/// What every boot has in common.
struct Machine<'a> {
    place: Place,
    image: &'a Path,
    booted: Booted,
    limit: Option<Duration>,
    memory_mib: u32,
    extra: Vec<OsString>,
    module: Option<PathBuf>,
}

impl Machine<'_> {
    fn new<'a>(image: &'a Path, settings: &Settings) -> Result<Machine<'a>, Failure> {
        let options = options(settings)?;
        let qemu = install::qemu(None, false)?;
        let plain = qemu::Machine::plain(qemu, options.machine().to_owned());
        let machine = qemu::Machine { cores: options.cores.value, ..plain };
        let mut place = match options.on {
            machines::XEN => Place::Xen(xen::Host { qemu: machine.program, xen: xen::find(None)? }),
            machines::KVM => Place::Kvm(kvm::Host::new(machine)?),
            _ => Place::Qemu(machine),
        };
        let devices = DeviceArgs::from_environment()?;
        place.equip_unreached(&devices, &options, image)?;
        let memory_mib = options.memory_mib.value;
        let seconds = options.test_timeout.as_ref().map_or(DEFAULT_SECONDS, |asked| asked.value);
        Ok(Machine {
            place,
            image,
            booted: Booted::new(image, true, memory_mib),
            limit: boot_options::limit(Some(seconds)),
            memory_mib,
            extra: options.qemu_args(),
            module: devices.module,
        })
    }

    /// Boots with these tests, as `listener` hears it; output is passed on if `live`.
    fn boot(
        &self,
        command_line: &str,
        listener: &mut Listener,
        live: bool,
    ) -> Result<Verdict, Failure> {
        let boot = Boot {
            image: self.image,
            booted: self.booted.path(),
            command_line: OsStr::new(command_line),
            module: self.module.as_deref(),
            memory_mib: self.memory_mib,
            extra: &self.extra,
            limit: self.limit,
            verbose: false,
        };
        let stdout = io::stdout();
        let output = if live { Output::Pass(stdout.as_fd()) } else { Output::Keep };
        let verdict = self.place.run_through(&boot, listener, output)?;
        // A test may fail, crash or hang; anything else is no test result.
        match verdict.status {
            Status::Success | Status::Failed | Status::Crash | Status::Timeout => Ok(verdict),
            status => Err(Failure::new(status, verdict.message)),
        }
    }
}

/// What `cargo freestone test` was told, and the settings.
fn options(settings: &Settings) -> Result<BootOptions, Failure> {
    let mut options = BootOptions::of_settings(settings);
    let one_of = |variable, known: &[&'static str]| match env::var(variable) {
        Err(_) => Ok(None),
        Ok(name) => match known.iter().find(|known| **known == name) {
            Some(name) => Ok(Some(*name)),
            None => Err(Failure::usage(format!(
                "{variable} names {name}; it may be {}",
                known.join(", ")
            ))),
        },
    };
    let number = |variable, wanted: &str, range: RangeInclusive<u32>| match env::var(variable) {
        Err(_) => Ok(None),
        Ok(text) => match text.parse().ok().filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(Asked::new(number, variable))),
            None => Err(Failure::usage(format!("{variable} wants {wanted}, not {text}"))),
        },
    };
    options.on = one_of(PLACE_VARIABLE, &machines::PLACES)?.unwrap_or(options.on);
    if let Some(name) = one_of(MACHINE_VARIABLE, &MACHINES)? {
        options.machine = Some(Asked::new(name.to_owned(), MACHINE_VARIABLE));
    }
    if let Some(memory) = number(MEMORY_VARIABLE, "MiB", machines::MEMORY)? {
        options.memory_mib = memory;
    }
    if let Some(cores) = number(CORES_VARIABLE, "a number of processors", machines::CORES)? {
        options.cores = cores;
    }
    if let Some(seconds) = number(TIMEOUT_VARIABLE, "seconds", 0..=u32::MAX)? {
        options.test_timeout = Some(seconds);
    }
    if let Ok(text) = env::var(QEMU_ARGS_VARIABLE) {
        let all: Vec<String> = serde_json::from_str(&text).map_err(|error| {
            Failure::usage(format!("{QEMU_ARGS_VARIABLE} wants a list of texts in JSON: {error}"))
        })?;
        let by = |arg: String| Asked::new(arg.into(), QEMU_ARGS_VARIABLE);
        options.qemu_args.extend(all.into_iter().map(by));
    }
    Ok(options)
}

fn is_one_by_one(options: &Options) -> bool {
    options.boot_per_test || env::var_os(BOOT_PER_TEST_VARIABLE).is_some_and(|value| value == "1")
}

/// In the order of their names, those that are ignored among them.
fn run_all(
    machine: &Machine,
    tests: &[&KernelTest],
    options: &Options,
) -> Result<Vec<Ended>, Failure> {
    let mut all = Vec::new();
    let mut rest = tests;
    while let [first, more @ ..] = rest {
        if !options.runs(first) {
            all.push(ignored(first));
            print(format_args!("{}", line(&all[all.len() - 1], options)));
            rest = more;
            continue;
        }
        let len = rest.iter().take_while(|test| options.runs(test)).count();
        let done = in_one_boot(machine, &rest[..len], options, &mut all)?;
        rest = &rest[done..];
    }
    Ok(all)
}

fn ignored(test: &KernelTest) -> Ended {
    let (name, reason) = (test.name.clone(), test.reason.clone());
    Ended { name, passed: None, reason, output: String::new(), wall: Duration::ZERO }
}

/// As many of these tests as one boot gets through, at least one; how many that were.
fn in_one_boot(
    machine: &Machine,
    tests: &[&KernelTest],
    options: &Options,
    all: &mut Vec<Ended>,
) -> Result<usize, Failure> {
    let (list, len) = list_of(tests, if is_one_by_one(options) { 1 } else { usize::MAX });
    let key = Key::new().map_err(|error| Failure::tool(format!("no random numbers: {error}")))?;
    let command_line =
        format!("tests={list}{}{}", char::from(kernel_tests::KEY_MARK), key.digits());
    let live = options.pass_output;
    let mut tell = |test: &KernelTest, heard: Heard| {
        let Heard { passed, output, wall } = heard;
        let (name, reason) = (test.name.clone(), String::new());
        let ended = Ended { name, passed: Some(passed), reason, output, wall };
        let line = line(&ended, options);
        all.push(ended);
        // Behind what the test printed, which may still be on its way.
        if live {
            return line;
        }
        print(format_args!("{line}"));
        String::new()
    };
    let mut listener = Listener::new(&tests[..len], key, &mut tell);
    let verdict = machine.boot(&command_line, &mut listener, live)?;
    let (done, last) = listener.end(verdict.status, &verdict.message);
    print(format_args!("{last}"));
    if done == 0 {
        let message = format!("the kernel ended before its first test; {}", verdict.message);
        let output = String::from_utf8_lossy(&verdict.output).into_owned();
        return Err(Failure::new(verdict.status, format!("{message}\n{output}")));
    }
    Ok(done)
}

/// The numbers of these tests, of `most` of them or as many as fit, and how many that are.
fn list_of(tests: &[&KernelTest], most: usize) -> (String, usize) {
    let (mut list, mut len) = (String::new(), 0);
    for test in tests.iter().take(most) {
        if list.len() > LONGEST_LIST {
            break;
        }
        let comma = if len > 0 { "," } else { "" };
        list += &format!("{comma}{}", test.number);
        len += 1;
    }
    (list, len)
}

fn line(ended: &Ended, options: &Options) -> String {
    let reason =
        if ended.reason.is_empty() { String::new() } else { format!(", {}", ended.reason) };
    let (word, letter) = match ended.passed {
        Some(true) => ("ok", "."),
        Some(false) => ("FAILED", "F"),
        None => ("ignored", "i"),
    };
    match options.is_quiet {
        true => letter.to_owned(),
        false => format!("test {} ... {word}{reason}\n", ended.name),
    }
}

fn summary(all: &[Ended], filtered: usize, wall: Duration, options: &Options) {
    let with = |passed| all.iter().filter(move |ended| ended.passed == passed);
    if options.show_output {
        outputs("successes", with(Some(true)));
    }
    outputs("failures", with(Some(false)));
    let failed = with(Some(false)).count();
    print(format_args!(
        "\ntest result: {}. {} passed; {failed} failed; {} ignored; 0 measured; {filtered} filtered \
         out; finished in {:.2}s\n\n",
        if failed == 0 { "ok" } else { "FAILED" },
        with(Some(true)).count(),
        with(None).count(),
        wall.as_secs_f64(),
    ));
}

fn outputs<'a>(title: &str, ended: impl Iterator<Item = &'a Ended> + Clone) {
    if ended.clone().next().is_none() {
        return;
    }
    print(format_args!("\n{title}:\n"));
    for one in ended.clone() {
        print(format_args!("\n---- {} stdout ----\n{}\n", one.name, one.output.trim_end()));
    }
    print(format_args!("\n{title}:\n"));
    for one in ended {
        print(format_args!("    {}\n", one.name));
    }
}

fn print(text: std::fmt::Arguments) {
    foreign::put(&text.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(number: u64) -> KernelTest {
        KernelTest { name: "t".into(), is_ignored: false, reason: String::new(), number }
    }

    #[test]
    fn lists_of_tests_fit_into_a_command_line() {
        let tests: Vec<_> = (0..2000).map(test).collect();
        let tests: Vec<_> = tests.iter().collect();
        assert_eq!(list_of(&tests[3..6], usize::MAX), ("3,4,5".into(), 3));
        assert_eq!(list_of(&tests[3..6], 1), ("3".into(), 1));
        let (list, len) = list_of(&tests, usize::MAX);
        assert!(
            list.len() < LONGEST_LIST + 30 && len > 500 && list.ends_with(&format!(",{}", len - 1))
        );
    }
}
