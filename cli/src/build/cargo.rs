//! Running cargo, under watch.

use std::env;
use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::color;
use crate::say;
use crate::shell::words;
use crate::status::{Failure, Status};
use crate::supervise::{self, Ending, Filter, Outcome, Watch};

/// For questions that cargo answers from what lies on the disk.
pub const QUESTION_LIMIT: Duration = Duration::from_secs(60);

/// The cargo that started this tool, else the one on PATH.
pub fn cargo() -> Command {
    let name =
        env::var_os("CARGO").filter(|v| !v.is_empty()).unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(name);
    command.stdin(Stdio::null());
    color::pass_on(&mut command);
    command
}

/// Runs cargo under watch; what is told of it under `--verbose` is the command itself.
pub fn run_cargo(command: &mut Command, watch: &Watch, verbose: bool) -> Result<Outcome, Failure> {
    run_cargo_through(None, command, watch, verbose)
}

/// The same, with its stdout going through `filter`.
pub fn run_cargo_through(
    filter: Option<&mut dyn Filter>,
    command: &mut Command,
    watch: &Watch,
    verbose: bool,
) -> Result<Outcome, Failure> {
    if verbose {
        say!("running: {}", words(command));
    }
    let outcome = supervise::run_through(filter, command, watch).map_err(|error| {
        Failure::tool(format!("cargo does not start: {error}; is Rust installed?"))
    })?;
    match outcome.ending {
        Ending::Ended(_) | Ending::Enough => Ok(outcome),
        Ending::Limit(_) => {
            let seconds = watch.limit.unwrap_or_default().as_secs();
            Err(Failure::new(Status::Timeout, format!("cargo took more than {seconds} s")))
        }
        Ending::Signalled(signal) => Err(Failure::new(Status::of_signal(signal), "stopped cargo")),
        Ending::OutputClosed => Err(Failure::silent(Status::OutputClosed)),
        Ending::OutputFailed(error) => Err(Failure::tool(format!("no output from cargo: {error}"))),
    }
}
