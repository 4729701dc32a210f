//! QEMU: how it is started, and what its end says about the guest.
//!
//! The guest ends the machine by writing to the debug-exit device at port 0xf4; QEMU then ends with
//! the status `value << 1 | 1`:
//!
//! | guest writes | QEMU's status | meaning |
//! |---|---|---|
//! | 0x10 | 33 | success |
//! | 0x11 | 35 | the kernel reports failure |
//! | 0x12 | 37 | crash; the guest has printed its report |
//! | nothing | 0 | power off or reset (`-no-reboot`: also a triple fault) without a verdict |
//! | anything else | | not part of the protocol |
//!
//! These numbers must stay in step with the exit code in the platform crate.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::say;
use crate::status::{Failure, Status};
use crate::supervise::{self, Ending, Outcome, Output, Stop, Watch, describe};
use crate::toolchain::words;

/// Machines that start a PVH kernel by `-kernel`; the first is the default, it starts quickest.
pub const MACHINES: [&str; 3] = ["microvm", "q35", "pc"];

const DEBUG_EXIT: &str = "isa-debug-exit,iobase=0xf4,iosize=0x04";

/// How many lines of the guest's output are repeated when time ran out.
const TAIL_LINES: usize = 20;

/// One boot.
pub struct Boot<'a> {
    pub qemu: &'a Path,
    pub machine: &'a str,
    pub image: &'a Path,
    pub command_line: &'a OsStr,
    pub memory_mib: u32,
    pub icount: bool,
    pub gdb: Option<u16>,
    pub extra: &'a [OsString],
    pub limit: Option<Duration>,
    pub verbose: bool,
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
        if let Some(port) = self.gdb {
            port_must_be_free(port)?;
            say!("waiting for: gdb {} -ex 'target remote 127.0.0.1:{port}'", self.image.display());
        }
        let mut command = self.command();
        if self.verbose {
            say!("running: {}", words(&command));
        }
        let watch = Watch {
            limit: self.limit,
            stop: Stop::Kill,
            stdout,
            stderr: if self.verbose { Output::Inherit } else { Output::Keep },
        };
        let outcome = supervise::run(&mut command, &watch).map_err(|error| {
            Failure::tool(format!("{} does not start: {error}", self.qemu.display()))
        })?;
        let (status, message) = self.judge(&outcome);
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

    fn command(&self) -> Command {
        let mut command = Command::new(self.qemu);
        command.stdin(Stdio::null());
        command.args(["-machine", self.machine, "-accel", "tcg", "-cpu", "max"]);
        command.args(["-m", &self.memory_mib.to_string(), "-smp", "1"]);
        command.args(["-nodefaults", "-no-user-config", "-no-reboot"]);
        command.args(["-display", "none", "-monitor", "none", "-serial", "stdio"]);
        command.args(["-device", DEBUG_EXIT]);
        if self.icount {
            command.args(["-icount", "shift=0,sleep=off"]);
        }
        if let Some(port) = self.gdb {
            command.args(["-gdb", &format!("tcp:127.0.0.1:{port}"), "-S"]);
        }
        command.arg("-kernel").arg(self.image).arg("-append").arg(self.command_line);
        command.args(self.extra);
        command
    }

    fn judge(&self, outcome: &Outcome) -> (Status, String) {
        match &outcome.ending {
            Ending::Ended(status) => judge_status(*status, outcome),
            Ending::Limit => (Status::Timeout, self.timeout_message(&outcome.stdout)),
            Ending::Signalled(signal) => {
                (Status::of_signal(*signal), "interrupted; QEMU is stopped".into())
            }
            Ending::OutputClosed => (Status::OutputClosed, String::new()),
            Ending::OutputFailed(error) => (
                Status::Tool,
                format!("the guest's output cannot be written: {error}; QEMU is stopped"),
            ),
        }
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

fn judge_status(status: ExitStatus, outcome: &Outcome) -> (Status, String) {
    let complaint = prefixed(&outcome.stderr);
    // QEMU ends in order, with status 0, when somebody sends it SIGTERM. The guest is not to blame.
    if status.code() == Some(0) && complaint.contains("terminating on signal") {
        return (Status::Tool, format!("QEMU was stopped from outside{complaint}"));
    }
    match status.code() {
        Some(33) => (Status::Success, String::new()),
        Some(35) => (Status::Failed, "the kernel reported failure".into()),
        Some(37) => (Status::Crash, "the kernel crashed; its report is above".into()),
        Some(0) => {
            let message =
                "the machine went off without a verdict: a triple fault, a reset or a power-off";
            (Status::Crash, format!("{message}{complaint}"))
        }
        Some(1) if outcome.stdout.is_empty() => {
            (Status::Tool, format!("QEMU could not start{complaint}"))
        }
        _ => (Status::Tool, format!("QEMU {}, which is no verdict{complaint}", describe(status))),
    }
}

/// What QEMU had to say, each line marked as its own, behind a line break.
fn prefixed(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    text.lines().map(|line| format!("\n  qemu: {}", visible(line))).collect()
}

/// The last lines of the guest's output, indented.
fn tail(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    last.iter().map(|line| format!("  | {}", visible(line))).collect::<Vec<_>>().join("\n")
}

/// Control characters were passed on once, live; a quotation must not move the cursor again.
fn visible(line: &str) -> String {
    line.trim_end_matches('\r').chars().filter(|c| !c.is_control() || *c == '\t').collect()
}

/// QEMU would say so too, but in the words of its option parser.
fn port_must_be_free(port: u16) -> Result<(), Failure> {
    match TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::tool(format!(
            "port {port} cannot be used for gdb: {error}; choose another with --gdb"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn boot(command_line: &OsStr) -> Boot<'_> {
        Boot {
            qemu: Path::new("qemu"),
            machine: "microvm",
            image: Path::new("k,1"),
            command_line,
            memory_mib: 64,
            icount: false,
            gdb: None,
            extra: &[],
            limit: Some(Duration::from_secs(3)),
            verbose: false,
        }
    }

    fn ended(raw: i32, stdout: &str, stderr: &str) -> Outcome {
        Outcome {
            ending: Ending::Ended(ExitStatus::from_raw(raw)),
            stdout: stdout.into(),
            stderr: stderr.into(),
            wall: Duration::ZERO,
        }
    }

    #[test]
    fn the_command_line_is_one_argument() {
        let command_line = OsString::from("a=1,2 \"b c\"");
        let command = boot(&command_line).command();
        let arguments: Vec<_> = command.get_args().collect();
        assert!(
            arguments.ends_with(&["-kernel", "k,1", "-append", "a=1,2 \"b c\""].map(OsStr::new))
        );
    }

    #[test]
    fn every_end_of_qemu_has_a_verdict() {
        let boot = boot(OsStr::new(""));
        for (raw, stdout, stderr, status) in [
            (33 << 8, "", "warning", Status::Success),
            (35 << 8, "", "", Status::Failed),
            (37 << 8, "", "", Status::Crash),
            (0, "hello", "", Status::Crash),
            (0, "", "qemu: terminating on signal 15 from pid 1", Status::Tool),
            (1 << 8, "", "unsupported machine type", Status::Tool),
            (1 << 8, "hello", "", Status::Tool),
            (34 << 8, "", "", Status::Tool),
            (9, "", "", Status::Tool),
        ] {
            let (got, message) = boot.judge(&ended(raw, stdout, stderr));
            assert_eq!(got, status, "{raw:#x} {stderr:?}: {message}");
        }
    }

    #[test]
    fn a_quotation_is_short_and_harmless() {
        let lines: String = (0..100).map(|n| format!("line {n}\r\n")).collect();
        let tail = tail(format!("{lines}\x1b[2Jend").as_bytes());
        assert_eq!(tail.lines().count(), TAIL_LINES);
        assert!(tail.starts_with("  | line 81\n") && tail.ends_with("  | [2Jend"), "{tail:?}");
    }

    #[test]
    fn a_used_port_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let port = listener.local_addr().expect("bound").port();
        assert_eq!(port_must_be_free(port).unwrap_err().status, Status::Tool);
        drop(listener);
        port_must_be_free(port).expect("free again");
    }
}
