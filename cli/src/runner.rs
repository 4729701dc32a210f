//! `cargo freestone runner IMAGE [LIBTEST ARGUMENTS]`: what cargo and nextest call to run kernel tests.
//!
//! It behaves as a test program of libtest's does: the same arguments, the same lines, status 101 if a
//! test failed. The tests of a file run one after the other in one boot, in the order of their names; where one
//! ends the boot or leaves a machine that is not as it was, the next one gets a new boot. With `--boot-per-test`
//! each has its own. Either way [`marks`](crate::marks) says what to believe, and each test has its own limit of time.
//!
//! What libtest has no argument for comes by environment, set by `cargo freestone test`.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::boot::{self, Boot, Place, Verdict};
use crate::foreign;
use crate::marks::{Heard, Key, Listener};
use crate::names::Booted;
use crate::qemu::{self, MACHINES};
use crate::status::{Failure, Status};
use crate::supervise::Output;
use crate::test_table::{self, KernelTest};
use crate::{image, install, junit, kvm, run, say, xen};

/// Where to boot: what `--on` takes.
pub const PLACE_VARIABLE: &str = "FREESTONE_TEST_ON";
/// Which machine to boot on.
pub const MACHINE_VARIABLE: &str = "FREESTONE_TEST_MACHINE";
/// Seconds that a test may take.
pub const TIMEOUT_VARIABLE: &str = "FREESTONE_TEST_TIMEOUT";
/// Memory of the machine, in MiB.
pub const MEMORY_VARIABLE: &str = "FREESTONE_TEST_MEMORY";
/// Set to 1: a boot for each test.
pub const BOOT_PER_TEST_VARIABLE: &str = "FREESTONE_TEST_BOOT_PER_TEST";
/// The folder for JUnit XML files.
pub const JUNIT_VARIABLE: &str = "FREESTONE_TEST_JUNIT";

const DEFAULT_SECONDS: u64 = 60;
const DEFAULT_MEMORY_MIB: u32 = 64;

/// What cargo's own test programs end with when a test failed.
const TESTS_FAILED: u8 = 101;

/// How long a list of tests may be: kernels get 4096 bytes of command line.
const LONGEST_LIST: usize = 3000;

/// What libtest's arguments ask for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    filters: Vec<String>,
    skips: Vec<String>,
    is_exact: bool,
    is_list: bool,
    is_terse: bool,
    only_ignored: bool,
    with_ignored: bool,
    show_output: bool,
    pass_output: bool,
    is_quiet: bool,
    boot_per_test: bool,
}

impl Options {
    fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Options, Failure> {
        let mut options = Options::default();
        let mut words = arguments.map(|word| word.to_string_lossy().into_owned());
        while let Some(word) = words.next() {
            let (name, attached) = match word.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (word.as_str(), None),
            };
            let mut value = || {
                let value = attached.clone().or_else(|| words.next());
                value.ok_or_else(|| Failure::usage(format!("{name} wants a value")))
            };
            match name {
                "--list" => options.is_list = true,
                "--exact" => options.is_exact = true,
                "--ignored" => options.only_ignored = true,
                "--include-ignored" => options.with_ignored = true,
                "--nocapture" | "--no-capture" => options.pass_output = true,
                "--show-output" => options.show_output = true,
                "-q" | "--quiet" => options.is_quiet = true,
                "--boot-per-test" => options.boot_per_test = true,
                "--test" | "--bench" => {}
                "--skip" => options.skips.push(value()?),
                "--format" => match value()?.as_str() {
                    "terse" => options.is_terse = true,
                    "pretty" => {}
                    other => {
                        return Err(Failure::usage(format!(
                            "format {other} is not known here; pretty and terse are"
                        )));
                    }
                },
                // One boot at a time, and no colours: these change nothing.
                "--test-threads" | "--color" | "-Z" => drop(value()?),
                _ if name.starts_with('-') => {
                    return Err(Failure::usage(format!("{name} is no argument of kernel tests")));
                }
                _ => options.filters.push(word),
            }
        }
        Ok(options)
    }

    fn wants(&self, test: &KernelTest) -> bool {
        let named = |pattern: &String| match self.is_exact {
            true => test.name == *pattern,
            false => test.name.contains(pattern.as_str()),
        };
        let is_chosen = self.filters.is_empty() || self.filters.iter().any(named);
        is_chosen && !self.skips.iter().any(named) && (!self.only_ignored || test.is_ignored)
    }

    fn is_one_by_one(&self) -> bool {
        self.boot_per_test || env::var_os(BOOT_PER_TEST_VARIABLE).is_some_and(|value| value == "1")
    }

    fn runs(&self, test: &KernelTest) -> bool {
        !test.is_ignored || self.only_ignored || self.with_ignored
    }
}

/// How one test ended.
pub struct Ended {
    /// Its name.
    pub name: String,
    /// Whether it did what it should; `None` if it was ignored.
    pub passed: Option<bool>,
    /// Why it was ignored, if that is told.
    pub reason: String,
    /// What the kernel printed, and what there is to say about its end.
    pub output: String,
    /// How long it took.
    pub wall: Duration,
}

/// Runs the verb. Its words are not clap's: the first is the image, the rest libtest's.
pub fn main(mut arguments: impl Iterator<Item = OsString>) -> u8 {
    let Some(image) = arguments.next() else {
        say!("error: runner wants the path of an image; cargo freestone test calls it");
        return Status::Usage.code();
    };
    let result = Options::parse(arguments).and_then(|options| run(Path::new(&image), &options));
    match result {
        Ok(true) => Status::Success.code(),
        Ok(false) => TESTS_FAILED,
        Err(failure) => {
            say!("error: {failure}");
            failure.status.code()
        }
    }
}

/// Whether all is well.
fn run(image: &Path, options: &Options) -> Result<bool, Failure> {
    let all = test_table::read(image)?;
    let (wanted, filtered): (Vec<_>, Vec<_>) = all.iter().partition(|test| options.wants(test));
    if options.is_list {
        list(&wanted, options.is_terse);
        return Ok(true);
    }
    image::check(image)?;
    let machine = Machine::from_environment(image)?;
    let begin = Instant::now();
    let plural = if wanted.len() == 1 { "" } else { "s" };
    print(format_args!("\nrunning {} test{plural}\n", wanted.len()));
    let ended = run_all(&machine, &wanted, options)?;
    summary(&ended, filtered.len(), begin.elapsed(), options);
    if let Some(folder) = env::var_os(JUNIT_VARIABLE).map(PathBuf::from) {
        junit::write(&folder, image, &ended, begin.elapsed())?;
    }
    Ok(ended.iter().all(|ended| ended.passed != Some(false)))
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
    limit: Duration,
    memory_mib: u32,
}

impl Machine<'_> {
    fn from_environment(image: &Path) -> Result<Machine<'_>, Failure> {
        let place = place_from_environment()?;
        let seconds = match env::var(TIMEOUT_VARIABLE) {
            Err(_) => DEFAULT_SECONDS,
            Ok(text) => text.parse().map_err(|_| {
                Failure::usage(format!("{TIMEOUT_VARIABLE} wants seconds, not {text}"))
            })?,
        };
        let limit = Duration::from_secs(seconds);
        let memory_mib = match env::var(MEMORY_VARIABLE) {
            Err(_) => DEFAULT_MEMORY_MIB,
            Ok(text) => {
                text.parse().ok().filter(|mib| run::MEMORY.contains(mib)).ok_or_else(|| {
                    Failure::usage(format!("{MEMORY_VARIABLE} wants MiB, not {text}"))
                })?
            }
        };
        let booted = Booted::new(image, true, memory_mib);
        Ok(Machine { place, image, booted, limit, memory_mib })
    }

    /// Boots with these tests, as `listener` hears it; output is passed on if `live`.
    fn boot(
        &self,
        command_line: &str,
        listener: &mut Listener,
        live: bool,
    ) -> Result<Verdict, Failure> {
        let boot = Boot {
            place: &self.place,
            image: self.image,
            booted: self.booted.path(),
            command_line: OsStr::new(command_line),
            memory_mib: self.memory_mib,
            extra: &[],
            limit: Some(self.limit),
            verbose: false,
        };
        let stdout = io::stdout();
        let output = if live { Output::Pass(stdout.as_fd()) } else { Output::Keep };
        let verdict = boot.run_through(listener, output)?;
        // A test may fail, crash or hang; anything else is no test result.
        match verdict.status {
            Status::Success | Status::Failed | Status::Crash | Status::Timeout => Ok(verdict),
            status => Err(Failure::new(status, verdict.message)),
        }
    }
}

fn place_from_environment() -> Result<Place, Failure> {
    let one_of = |variable, known: &[&'static str]| match env::var(variable) {
        Err(_) => Ok(known[0]),
        Ok(name) => known.iter().find(|known| **known == name).copied().ok_or_else(|| {
            Failure::usage(format!("{variable} names {name}; it may be {}", known.join(", ")))
        }),
    };
    let on = one_of(PLACE_VARIABLE, &boot::PLACES)?;
    let name = one_of(MACHINE_VARIABLE, &MACHINES)?.to_owned();
    let program = install::qemu(None, false)?;
    Ok(match on {
        boot::XEN => Place::Xen(xen::Host { qemu: program, xen: xen::find(None)? }),
        boot::KVM => Place::Kvm(kvm::Host::new(qemu::Machine::plain(program, name))?),
        _ => Place::Qemu(qemu::Machine::plain(program, name)),
    })
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
    let (list, len) = list_of(tests, if options.is_one_by_one() { 1 } else { usize::MAX });
    let key = Key::new().map_err(|error| Failure::tool(format!("no random numbers: {error}")))?;
    let command_line = format!("tests={list}\u{1f}{}", key.digits());
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

    fn options(words: &[&str]) -> Options {
        Options::parse(words.iter().map(OsString::from)).expect("known arguments")
    }

    fn test(name: &str, is_ignored: bool) -> KernelTest {
        KernelTest { name: name.into(), is_ignored, reason: String::new(), number: 0 }
    }

    #[test]
    fn filters_mean_what_they_mean_to_libtest() {
        let all = options(&[]);
        assert!(all.wants(&test("a::b", false)) && all.runs(&test("a::b", false)));
        assert!(all.wants(&test("slow", true)) && !all.runs(&test("slow", true)));
        let some = options(&["a::", "--skip", "bad"]);
        assert!(some.wants(&test("a::b", false)) && !some.wants(&test("a::bad", false)));
        assert!(!some.wants(&test("c", false)));
        let exact = options(&["a::b", "--exact", "--nocapture"]);
        assert!(exact.wants(&test("a::b", false)) && !exact.wants(&test("a::b::c", false)));
        let ignored = options(&["--ignored"]);
        assert!(!ignored.wants(&test("a", false)));
        assert!(ignored.wants(&test("slow", true)) && ignored.runs(&test("slow", true)));
        assert!(options(&["--include-ignored"]).runs(&test("slow", true)));
    }

    #[test]
    fn nextest_and_cargo_are_understood() {
        let list = options(&["--list", "--format", "terse", "--ignored"]);
        assert!(list.is_list && list.is_terse && list.only_ignored);
        options(&["--format=pretty", "--test-threads=1", "--color", "never", "-q", "--test"]);
        for bad in [&["--format", "json"][..], &["--frobnicate"], &["--skip"]] {
            let failure = Options::parse(bad.iter().map(OsString::from)).unwrap_err();
            assert_eq!(failure.status, Status::Usage, "{bad:?}");
        }
    }

    #[test]
    fn lists_of_tests_fit_into_a_command_line() {
        let tests: Vec<_> =
            (0..2000).map(|number| KernelTest { number, ..test("t", false) }).collect();
        let tests: Vec<_> = tests.iter().collect();
        assert_eq!(list_of(&tests[3..6], usize::MAX), ("3,4,5".into(), 3));
        assert_eq!(list_of(&tests[3..6], 1), ("3".into(), 1));
        let (list, len) = list_of(&tests, usize::MAX);
        assert!(
            list.len() < LONGEST_LIST + 30 && len > 500 && list.ends_with(&format!(",{}", len - 1))
        );
    }
}
