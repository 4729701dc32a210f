//! Every exit status of the tool, and the error that carries one.
//!
//! Scripts and CI rely on these numbers. They are defined here once; `--help` prints this table and
//! a test compares the README with it. The numbers follow custom: 2 is what argument parsers use,
//! 101 what cargo uses, 124 what timeout(1) uses, and 128 + N stands for signal N.

use std::fmt;

/// Where a short help has no place for the table.
pub const POINTER: &str = "Exit status: see `cargo freestone help exit-status`";

/// One way for the tool to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// The guest said all is well, or the verb did what was asked.
    Success = 0,
    /// The guest said that it failed, or a test did.
    Failed = 1,
    /// The arguments or the image cannot be used.
    Usage = 2,
    /// A program the tool needs is missing, or does not do its work.
    Tool = 3,
    /// The guest ended without a verdict, or with that of a panic.
    Crash = 4,
    /// Cargo could not build.
    Build = 101,
    /// A limit of time was reached.
    Timeout = 124,
    /// SIGHUP: the terminal went away.
    HungUp = 129,
    /// SIGINT: Ctrl-C.
    Interrupted = 130,
    /// SIGQUIT: Ctrl-\\.
    Quit = 131,
    /// SIGPIPE, in a way: nobody reads our output any more.
    OutputClosed = 141,
    /// SIGTERM.
    Terminated = 143,
}

impl Status {
    /// All of them, in order of their number.
    pub const ALL: [Self; 12] = [
        Self::Success,
        Self::Failed,
        Self::Usage,
        Self::Tool,
        Self::Crash,
        Self::Build,
        Self::Timeout,
        Self::HungUp,
        Self::Interrupted,
        Self::Quit,
        Self::OutputClosed,
        Self::Terminated,
    ];

    /// The process exit status.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The `verdict` of `--json`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failure",
            Self::Usage => "usage",
            Self::Tool => "tool",
            Self::Crash => "crash",
            Self::Build => "build",
            Self::Timeout => "timeout",
            Self::HungUp => "hangup",
            Self::Interrupted => "interrupted",
            Self::Quit => "quit",
            Self::OutputClosed => "output-closed",
            Self::Terminated => "terminated",
        }
    }

    /// One line for the table in `--help` and in the README.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Success => "the kernel reported success; the verb did its work",
            Self::Failed => "the kernel reported failure; `test`, `check`: something did not pass",
            Self::Usage => "wrong arguments, or an image that cannot be booted",
            Self::Tool => {
                "a needed tool is missing, did not start or died; stdout cannot be written"
            }
            Self::Crash => "the kernel crashed: panic, exception, triple fault, no verdict",
            Self::Build => "cargo could not build",
            Self::Timeout => "time ran out",
            Self::HungUp => "the terminal was closed (SIGHUP)",
            Self::Interrupted => "interrupted (Ctrl-C, SIGINT)",
            Self::Quit => "told to quit (Ctrl-\\, SIGQUIT)",
            Self::OutputClosed => "nobody reads the output any more",
            Self::Terminated => "terminated (SIGTERM)",
        }
    }

    /// The status of having been told to stop by `signal`.
    pub fn of_signal(signal: i32) -> Self {
        match signal {
            libc::SIGHUP => Self::HungUp,
            libc::SIGQUIT => Self::Quit,
            libc::SIGTERM => Self::Terminated,
            _ => Self::Interrupted,
        }
    }
}

/// The table as `--help` shows it.
pub fn table() -> String {
    let rows = Status::ALL.map(|s| format!("  {:>3}  {}", s.code(), s.meaning()));
    format!("Exit status:\n{}", rows.join("\n"))
}

/// Why a verb ended early: what to exit with, and what to tell the user.
#[derive(Debug)]
pub struct Failure {
    /// What to exit with.
    pub status: Status,
    /// What to print after `error: `; empty if there is nothing left to say.
    pub message: String,
}

impl Failure {
    /// A failure that `message` explains.
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// Wrong arguments, or an image that cannot be used.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Status::Usage, message)
    }

    /// A missing or broken tool.
    pub fn tool(message: impl Into<String>) -> Self {
        Self::new(Status::Tool, message)
    }

    /// Someone else has explained already.
    pub fn silent(status: Status) -> Self {
        Self::new(status, "")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_every_status() {
        let readme = include_str!("../README.md");
        for status in Status::ALL {
            let row = format!("| {} | `{}` | {} |", status.code(), status.word(), status.meaning());
            assert!(readme.contains(&row), "README.md lacks: {row}");
        }
    }

    #[test]
    fn the_numbers_are_what_scripts_rely_on() {
        let codes = Status::ALL.map(Status::code);
        assert_eq!(codes, [0, 1, 2, 3, 4, 101, 124, 129, 130, 131, 141, 143]);
    }
}
