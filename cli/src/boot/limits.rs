//! Limits for everything that comes from outside: output of programs, unpacked files, downloads.
//!
//! A megabyte of gzip can stand for a gigabyte, so everything that is unpacked or fetched has a limit, and an
//! error says when it is exceeded.

use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use crate::status::{Failure, Status};
use crate::supervise::{self, Ending, Filter, Outcome, Output, Stop, Watch};

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB", self.0 >> 20)
    }
}

/// Takes a child's output up to a limit.
struct Limited {
    left: u64,
    is_kept: bool,
    is_over: bool,
}

impl Filter for Limited {
    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        match self.left.checked_sub(bytes.len() as u64) {
            Some(left) => self.left = left,
            None => self.is_over = true,
        }
        if self.is_kept && !self.is_over {
            out.extend(bytes);
        }
        self.is_over
    }
}

/// Runs a program whose output is for us, all of it if it is no more than `most`.
pub fn run(command: &mut Command, limit: Duration, most: Bytes) -> Result<Outcome, Failure> {
    run_limited(command, limit, most, true)
}

/// The same with output that only counts; the error says what is too large.
pub fn measure(command: &mut Command, limit: Duration, most: Bytes) -> Result<Outcome, Failure> {
    run_limited(command, limit, most, false)
}

fn run_limited(
    command: &mut Command,
    limit: Duration,
    most: Bytes,
    is_kept: bool,
) -> Result<Outcome, Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut limited = Limited { left: most.0, is_kept, is_over: false };
    let (stdout, stderr) = (Output::KeepAll, Output::Keep);
    let watch = Watch { limit: Some(limit), stop: Stop::AskGroup, stdout, stderr };
    let outcome = supervise::run_through(Some(&mut limited), command, &watch)
        .map_err(|error| Failure::tool(format!("{program} does not start: {error}")))?;
    if limited.is_over {
        return Err(Failure::tool(format!("{program} gives more than {most}, which is too much")));
    }
    match outcome.ending {
        Ending::Signalled(signal) => Err(Failure::new(Status::of_signal(signal), "interrupted")),
        Ending::Limit(_) => {
            Err(Failure::tool(format!("{program} took more than {} s", limit.as_secs())))
        }
        Ending::Ended(status) if is_too_large(status) => Err(Failure::tool(format!(
            "{program} was stopped: it wrote a file of more than it may"
        ))),
        _ => Ok(outcome),
    }
}

/// Whether a child was killed for a file larger than [`files_up_to`] says.
pub fn is_too_large(status: std::process::ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(libc::SIGXFSZ)
}

/// No file that the child writes, nor what it starts, becomes larger.
pub fn files_up_to(command: &mut Command, most: Bytes) {
    let limit = libc::rlimit { rlim_cur: most.0, rlim_max: most.0 };
    let promise = move || {
        // SAFETY: `limit` is a valid `rlimit` that setrlimit only reads.
        match unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec only setrlimit and errno are touched, which is async-signal-safe.
    unsafe { command.pre_exec(promise) };
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(60);

    fn shell(text: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", text]);
        command
    }

    #[test]
    fn output_is_taken_up_to_the_limit_and_no_further() {
        let most = Bytes(1 << 20);
        let all = run(&mut shell("head -c 1048576 /dev/zero"), SOON, most).unwrap();
        assert_eq!(all.stdout.len(), 1 << 20);
        for count in ["1048577", "999999999999"] {
            let failure =
                run(&mut shell(&format!("head -c {count} /dev/zero")), SOON, most).unwrap_err();
            assert!(failure.message.contains("more than 1 MiB"), "{failure}");
        }
        let measured = measure(&mut shell("head -c 1048576 /dev/zero"), SOON, most).unwrap();
        assert!(measured.is_success() && measured.stdout.is_empty());
        assert!(measure(&mut shell("cat /dev/zero"), SOON, most).is_err());
    }

    #[test]
    fn files_stay_below_their_limit() {
        let path = std::env::temp_dir().join(format!("freestone-limit-{}", std::process::id()));
        let mut command = shell("exec head -c 9999999 /dev/zero >\"$0\"");
        command.arg(&path);
        files_up_to(&mut command, Bytes(1 << 20));
        let failure = run(&mut command, SOON, Bytes(0)).map(drop).unwrap_err();
        assert!(failure.message.contains("a file of more than it may"), "{failure}");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 1 << 20);
        std::fs::remove_file(path).unwrap();
    }
}
