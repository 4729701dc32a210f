//! `cargo freestone exit-status`, mostly as a topic of `help`: what the tool's exit statuses mean.

use clap::{ArgMatches, Command};

use crate::status::{self, Failure, Status};
use crate::tell;

/// What `cargo freestone help` knows the table by.
pub const TOPIC: &str = "exit-status";

/// The table as a topic of `cargo freestone help`.
pub fn command() -> Command {
    Command::new(TOPIC)
        .about("Say what the exit statuses mean")
        .help_template(format!("{}\n", status::table()))
}

/// The same without `help`.
pub fn main(_: &ArgMatches) -> Result<Status, Failure> {
    tell!("{}", status::table());
    Ok(Status::Success)
}
