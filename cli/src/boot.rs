//! A boot: what is asked for, where it happens, and what came of it.
//!
//! What one place needs and another has not is in that place's file: [`qemu`], [`xen`], [`kvm`].

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches};

use crate::boot_options::BootOptions;
use crate::foreign;
use crate::install;
use crate::kvm;
use crate::qemu::{self, Machine};
use crate::say;
use crate::status::{Failure, Status};
use crate::supervise::{Ending, Filter, Outcome, Output};
use crate::xen::{self, Host};

/// Where kernels can be booted; the first is the default.
pub const PLACES: [&str; 3] = [QEMU, XEN, KVM];
pub const QEMU: &str = "qemu";
pub const XEN: &str = "xen";
pub const KVM: &str = "kvm-nested";

/// How many lines are repeated when time ran out.
const TAIL_LINES: usize = 20;

/// Where a boot happens.
pub enum Place {
    /// On a machine of QEMU's.
    Qemu(Machine),
    /// On Xen.
    Xen(Host),
    /// On a machine of QEMU's, by Linux's KVM.
    Kvm(kvm::Host),
}

impl Place {
    /// What `--on` and the arguments that belong to it ask for; what is missing is fetched.
    pub fn of(matches: &ArgMatches, options: &BootOptions) -> Result<Place, Failure> {
        let path = |id| matches.get_one::<PathBuf>(id).map(PathBuf::as_path);
        let qemu = install::qemu(path("qemu"), matches.get_flag("yes"))?;
        Ok(match options.on {
            XEN => Place::Xen(Host { qemu, xen: xen::find(path(XEN))? }),
            KVM => Place::Kvm(kvm::Host::new(Machine::new(qemu, matches, options)?)?),
            _ => Place::Qemu(Machine::new(qemu, matches, options)?),
        })
    }

    /// What a summary calls it.
    pub fn name(&self) -> &str {
        match self {
            Place::Qemu(machine) => &machine.name,
            Place::Kvm(host) => &host.machine.name,
            Place::Xen(_) => "Xen",
        }
    }

    /// How many seconds a boot may take there unless the user says otherwise.
    pub fn seconds(&self) -> u32 {
        match self {
            Place::Qemu(_) | Place::Xen(_) => 60,
            // A Linux boots first, and each exit of the kernel's is emulated.
            Place::Kvm(_) => 300,
        }
    }

    /// The QEMU that is used.
    pub fn qemu(&self) -> &Path {
        match self {
            Place::Qemu(machine) => &machine.program,
            Place::Xen(host) => &host.qemu,
            Place::Kvm(host) => &host.machine.program,
        }
    }
}

/// `--on`, for every verb that boots.
pub fn on_arg() -> Arg {
    Arg::new("on")
        .long("on")
        .value_name("PLACE")
        .value_parser(PossibleValuesParser::new(PLACES))
        .help(format!("Where to boot [default: {}]", PLACES[0]))
}

/// `--xen`, for every verb that boots.
pub fn xen_arg() -> Arg {
    Arg::new(XEN).long("xen").value_name("PATH").value_parser(clap::value_parser!(PathBuf)).help(
        format!("The Xen for --on xen [default: {}, else Debian's, fetched once]", xen::VARIABLE),
    )
}

/// The place that `--on` names. What belongs to another place is refused, not ignored.
pub fn on(matches: &ArgMatches) -> Result<&'static str, Failure> {
    let given = matches.try_get_one::<String>("on").ok().flatten();
    let name = given.map_or(PLACES[0], String::as_str);
    let place = PLACES.into_iter().find(|place| *place == name).unwrap_or(PLACES[0]);
    let is_given = |id: &&str| {
        // Verbs differ in what they take.
        let source = matches.try_contains_id(id).unwrap_or(false).then(|| matches.value_source(id));
        source.flatten() == Some(clap::parser::ValueSource::CommandLine)
    };
    let others: &[&str] = match place {
        XEN => &["machine", "cores", "icount", "gdb", "trace", "accel"],
        KVM => &[XEN, "icount", "gdb", "trace", "accel"],
        _ => &[XEN],
    };
    match others.iter().find(|id| is_given(id)) {
        Some(id) => Err(Failure::usage(format!("--{id} has no meaning with --on {place}"))),
        None => Ok(place),
    }
}

/// One boot.
pub struct Boot<'a> {
    pub place: &'a Place,
    /// The ELF file.
    pub image: &'a Path,
    /// What is booted: mostly the same with a table of names.
    pub booted: &'a Path,
    pub command_line: &'a OsStr,
    pub memory_mib: u32,
    /// More arguments for QEMU.
    pub extra: &'a [OsString],
    pub limit: Option<Duration>,
    pub verbose: bool,
}

/// Lets all pass.
pub struct Everything;

impl Filter for Everything {
    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(bytes);
        false
    }
}

/// How a boot ended.
pub struct Verdict {
    pub status: Status,
    /// What the user should know beyond the guest's output; may be empty.
    pub message: String,
    /// What was kept of the guest's output.
    pub output: Vec<u8>,
    pub wall: Duration,
}

impl Boot<'_> {
    /// Boots, does with the guest's output what `stdout` says, and returns the verdict.
    pub fn run(&self, stdout: Output) -> Result<Verdict, Failure> {
        self.run_through(&mut Everything, stdout)
    }

    /// The same, with what the guest says going through `filter`.
    pub fn run_through(&self, filter: &mut dyn Filter, stdout: Output) -> Result<Verdict, Failure> {
        let (outcome, (status, message)) = match self.place {
            Place::Qemu(machine) => qemu::run(machine, self, filter, stdout)?,
            Place::Xen(host) => xen::run(host, self, filter, stdout)?,
            Place::Kvm(host) => kvm::run(host, self, filter, stdout)?,
        };
        // A guest that stopped in the middle of a line would run into what is said about it.
        let is_mid_line = outcome.stdout.last().is_some_and(|byte| *byte != b'\n');
        if matches!(stdout, Output::Pass(_))
            && is_mid_line
            && !message.is_empty()
            && io::stderr().is_terminal()
        {
            say!("");
        }
        Ok(Verdict { status, message, output: outcome.stdout, wall: outcome.wall })
    }

    /// The verdict on a boot that we ended; `None` if it ended by itself.
    pub fn judge_stop(&self, outcome: &Outcome) -> Option<(Status, String)> {
        Some(match &outcome.ending {
            Ending::Ended(_) | Ending::Enough => return None,
            Ending::Limit(said) => {
                let said = outcome.stdout.get(..*said).unwrap_or(&outcome.stdout);
                (Status::Timeout, self.timeout_message(said))
            }
            Ending::Signalled(signal) => {
                (Status::of_signal(*signal), "interrupted; QEMU is stopped".into())
            }
            Ending::OutputClosed => (Status::OutputClosed, String::new()),
            Ending::OutputFailed(error) => (
                Status::Tool,
                format!("the guest's output cannot be written: {error}; QEMU is stopped"),
            ),
        })
    }

    fn timeout_message(&self, output: &[u8]) -> String {
        let seconds = self.limit.unwrap_or_default().as_secs();
        match tail(output) {
            lines if lines.is_empty() => {
                format!("timeout after {seconds} s; the guest printed nothing")
            }
            lines => format!("timeout after {seconds} s; last output:\n{lines}"),
        }
    }
}

/// What QEMU had to say, each line marked as its own, behind a line break.
pub fn prefixed(stderr: &[u8]) -> String {
    quoted(stderr).map(|line| format!("\n  qemu: {line}")).collect()
}

/// The last lines of an output, indented.
pub fn tail(output: &[u8]) -> String {
    let lines: Vec<_> = quoted(output).collect();
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    last.iter().map(|line| format!("  | {line}")).collect::<Vec<_>>().join("\n")
}

/// The lines of what somebody else printed. They passed once, live; a quotation must not move the cursor again.
fn quoted(text: &[u8]) -> impl Iterator<Item = String> {
    let lines = text.strip_suffix(b"\n").unwrap_or(text).split(|&byte| byte == b'\n');
    let lines = lines.map(|line| foreign::line(line.trim_ascii_end()));
    lines.filter(move |line| !text.is_empty() || !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quotation_is_short_and_harmless() {
        let lines: String = (0..100).map(|n| format!("line {n}\r\n")).collect();
        let tail = tail(format!("{lines}\x1b[2Jend").as_bytes());
        assert_eq!(tail.lines().count(), TAIL_LINES);
        assert!(
            tail.starts_with("  | line 81\n") && tail.ends_with("  | \\u{1b}[2Jend"),
            "{tail:?}"
        );
    }
}
