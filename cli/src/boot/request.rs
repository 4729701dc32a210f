//! The request for a boot, and its result. [`place`](crate::boot::place) does the boot.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::foreign::{self, Shown as _};
use crate::status::{Failure, Status};
use crate::supervise::{self, Ending, Filter, Outcome, Output, Stop, Watch};

/// How many lines are repeated when time ran out.
const TAIL_LINES: usize = 20;

/// One boot.
pub struct Boot<'a> {
    /// The ELF file.
    pub image: &'a Path,
    /// What is booted: mostly the same with a table of names.
    pub booted: &'a Path,
    pub command_line: &'a OsStr,
    /// Loaded beside it.
    pub module: Option<&'a Path>,
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
    /// Starts the machine and stays with it to its end. The guest's output goes through `listener` and to `stdout`, what the
    /// machine itself says to `stderr` if all is told, else it is kept.
    pub fn watch(
        &self,
        machine: &mut Command,
        listener: &mut dyn Filter,
        stdout: Output,
        stderr: Output,
    ) -> Result<Outcome, Failure> {
        let stderr = if self.verbose { stderr } else { Output::Keep };
        let watch = Watch { limit: self.limit, stop: Stop::Kill, stdout, stderr };
        supervise::run_through(Some(listener), machine, &watch).map_err(|error| {
            let program = Path::new(machine.get_program());
            Failure::tool(format!("{} does not start: {error}", program.shown()))
        })
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
