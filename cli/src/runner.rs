//! `cargo freestone runner IMAGE [LIBTEST ARGUMENTS]`: what cargo and nextest call to run kernel tests.
//!
//! It behaves as a test program of libtest's does: the same arguments, the same lines, status 101 if a
//! test failed. Each test has a boot of its own unless `--one-boot` is given: then all run in one, a new
//! boot follows where one ended early, and the test it ended in has failed.
//!
//! What libtest has no argument for comes by environment, set by `cargo freestone test`.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::boot::{self, Boot, Place, Verdict};
use crate::foreign;
use crate::names::Booted;
use crate::qemu::{self, MACHINES};
use crate::status::{Failure, Status};
use crate::supervise::Output;
use crate::test_table::{self, KernelTest};
use crate::{image, install, junit, kvm, say, xen};

/// Where to boot: what `--on` takes.
pub const PLACE_VARIABLE: &str = "FREESTONE_TEST_ON";
/// Which machine to boot on.
pub const MACHINE_VARIABLE: &str = "FREESTONE_TEST_MACHINE";
/// Seconds that a test may take.
pub const TIMEOUT_VARIABLE: &str = "FREESTONE_TEST_TIMEOUT";
/// Set to 1: all tests of a file in one boot.
pub const ONE_BOOT_VARIABLE: &str = "FREESTONE_TEST_ONE_BOOT";
/// The folder for JUnit XML files.
pub const JUNIT_VARIABLE: &str = "FREESTONE_TEST_JUNIT";

const DEFAULT_SECONDS: u64 = 60;
const MEMORY_MIB: u32 = 64;

/// What cargo's own test programs end with when a test failed.
const TESTS_FAILED: u8 = 101;

/// Begins each line that the kernel means for us; freestone-harness calls it MARK.
const MARK: char = '\x1e';

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
    one_boot: bool,
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
                "--one-boot" => options.one_boot = true,
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
    /// What the kernel printed, and what there is to say about its end.
    pub output: String,
    /// How long its boot took.
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
    let one_boot = options.one_boot || env::var_os(ONE_BOOT_VARIABLE).is_some_and(|v| v == "1");
    let ended = if one_boot {
        in_one_boot(&machine, &wanted, options)?
    } else {
        one_by_one(&machine, &wanted, options)?
    };
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
        let booted = Booted::new(image, true, MEMORY_MIB);
        Ok(Machine { place, image, booted, limit })
    }

    /// Boots with this command line; output comes back, and is passed on if `live`.
    fn boot(&self, command_line: &str, live: bool) -> Result<Verdict, Failure> {
        let boot = Boot {
            place: &self.place,
            image: self.image,
            booted: self.booted.path(),
            command_line: OsStr::new(command_line),
            memory_mib: MEMORY_MIB,
            extra: &[],
            limit: Some(self.limit),
            verbose: false,
        };
        let stdout = io::stdout();
        use std::os::fd::AsFd;
        let verdict =
            boot.run(if live { Output::Pass(stdout.as_fd()) } else { Output::KeepAll })?;
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

fn one_by_one(
    machine: &Machine,
    tests: &[&KernelTest],
    options: &Options,
) -> Result<Vec<Ended>, Failure> {
    let mut all = Vec::new();
    for test in tests {
        let ended = if options.runs(test) {
            let verdict = machine.boot(&format!("test={}", test.name), options.pass_output)?;
            let mut output = String::from_utf8_lossy(&verdict.output).into_owned();
            if verdict.status == Status::Timeout {
                output += "\n(timeout)\n";
            } else if verdict.status == Status::Crash && !output.contains("KERNEL PANIC") {
                output += &format!("\n({})\n", verdict.message);
            }
            let passed = Some(verdict.status == Status::Success);
            Ended { name: test.name.clone(), passed, output, wall: verdict.wall }
        } else {
            ignored(test)
        };
        line(&ended, options);
        all.push(ended);
    }
    Ok(all)
}

fn ignored(test: &KernelTest) -> Ended {
    let (passed, output) = (None, String::new());
    Ended { name: test.name.clone(), passed, output, wall: Duration::ZERO }
}

/// All tests that are not ignored in as few boots as can be; what was not asked for is not reported.
/// The ignored ones, if asked for, get boots of their own.
fn in_one_boot(
    machine: &Machine,
    tests: &[&KernelTest],
    options: &Options,
) -> Result<Vec<Ended>, Failure> {
    let all = test_table::read(machine.image)?;
    let mut results = BTreeMap::new();
    let mut next = 0;
    loop {
        let verdict = machine.boot(&format!("tests-from={next}"), options.pass_output)?;
        let report = Report::parse(&String::from_utf8_lossy(&verdict.output));
        let mut last = None;
        for (name, passed, mut output) in report.tests {
            if passed.is_none() {
                output += &format!("\n({})\n", verdict.message);
            }
            last = all.iter().find(|test| test.name == name).map(|test| test.number).or(last);
            results.insert(name, (passed.unwrap_or(false), output, verdict.wall));
        }
        if report.is_complete {
            break;
        }
        // Every boot gets at least one test further, or there is no sense in another.
        match last {
            Some(last) if last >= next => next = last + 1,
            _ => {
                return Err(Failure::new(verdict.status, "the kernel ended before its first test"));
            }
        }
    }
    let (alone, together): (Vec<_>, Vec<_>) =
        tests.iter().copied().partition(|test| test.is_ignored);
    let mut ended = Vec::new();
    for test in together {
        let Some((passed, output, wall)) = results.remove(&test.name) else {
            return Err(Failure::tool(format!("the kernel did not report on {}", test.name)));
        };
        let one = Ended { name: test.name.clone(), passed: Some(passed), output, wall };
        line(&one, options);
        ended.push(one);
    }
    ended.extend(one_by_one(machine, &alone, options)?);
    Ok(ended)
}

/// What the kernel said between the marks.
struct Report {
    /// Name, whether it passed (`None`: the kernel ended in it), output.
    tests: Vec<(String, Option<bool>, String)>,
    /// All tests have run.
    is_complete: bool,
}

impl Report {
    fn parse(output: &str) -> Report {
        let mut report = Report { tests: Vec::new(), is_complete: false };
        for piece in output.split(MARK).skip(1) {
            let (word, text) = piece.split_once('\n').unwrap_or((piece, ""));
            let mut set = |passed| {
                if let Some(test) = report.tests.last_mut() {
                    test.1 = Some(passed);
                }
            };
            match word {
                "ok" => set(true),
                "failed" => set(false),
                "end" => report.is_complete = true,
                _ => {
                    if let Some(name) = word.strip_prefix("run ") {
                        report.tests.push((name.to_owned(), None, text.to_owned()));
                    }
                }
            }
        }
        report
    }
}

fn line(ended: &Ended, options: &Options) {
    let (word, letter) = match ended.passed {
        Some(true) => ("ok", "."),
        Some(false) => ("FAILED", "F"),
        None => ("ignored", "i"),
    };
    match options.is_quiet {
        true => print(format_args!("{letter}")),
        false => print(format_args!("test {} ... {word}\n", ended.name)),
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

/// Prints at once; nobody listening is no reason to panic, and the status still counts.
fn print(text: std::fmt::Arguments) {
    let _ = foreign::write(&mut io::stdout(), &text.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &[&str]) -> Options {
        Options::parse(words.iter().map(OsString::from)).expect("known arguments")
    }

    fn test(name: &str, is_ignored: bool) -> KernelTest {
        KernelTest { name: name.into(), is_ignored, number: 0 }
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
    fn a_report_is_read_up_to_where_it_ends() {
        let output = "noise\x1erun a\nhello\n\n\x1eok\n\x1erun b\nKERNEL PANIC\n\n\x1efailed\n\x1erun c\nlast";
        let report = Report::parse(output);
        let tests: Vec<_> = report.tests.iter().map(|t| (t.0.as_str(), t.1)).collect();
        assert_eq!(tests, [("a", Some(true)), ("b", Some(false)), ("c", None)]);
        assert!(report.tests[0].2.contains("hello") && report.tests[2].2.contains("last"));
        assert!(!report.is_complete);
        assert!(Report::parse("\x1erun a\n\x1eok\n\x1eend\n").is_complete);
    }
}
