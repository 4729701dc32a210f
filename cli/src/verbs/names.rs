//! `cargo freestone names`: puts a table of the functions' names into an image, see [`crate::image::name_table`].

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};

use crate::foreign::Shown as _;
use crate::image::bootable;
use crate::image::name_table;
use crate::say;
use crate::status::{Failure, Status};
use crate::whole::Destination;

/// What the verb takes.
pub fn command() -> Command {
    Command::new("names")
        .about("Put a table of the functions' names into an image, for its own backtraces")
        .arg(
            Arg::new("image")
                .value_name("IMAGE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("A kernel image with symbols"),
        )
        .arg(
            Arg::new("output")
                .short('o')
                .long("output")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Where the image with the table goes [default: over IMAGE]"),
        )
}

/// What was given.
struct Arguments {
    image: PathBuf,
    output: Option<PathBuf>,
}

/// Runs the verb.
pub fn main(matches: &ArgMatches) -> Result<Status, Failure> {
    add_names(&Arguments {
        image: matches.get_one("image").cloned().expect("clap insists on it"),
        output: matches.get_one("output").cloned(),
    })
}

fn add_names(Arguments { image, output }: &Arguments) -> Result<Status, Failure> {
    let output = output.as_ref().unwrap_or(image);
    let refuse = |path: &Path, why: &dyn std::fmt::Display| {
        Failure::usage(format!("{}: {why}", path.shown()))
    };
    bootable::check(image)?;
    let bytes = fs::read(image).map_err(|error| refuse(image, &error))?;
    let named = name_table::with_names(&bytes).map_err(|why| refuse(image, &why))?;
    // A new file has the mode of the image: it may be a program to some.
    let about = fs::metadata(image).map_err(|error| refuse(image, &error))?;
    let written = Destination::new(output)
        .and_then(|output| output.write(&named.bytes, Some(about.permissions())));
    written.map_err(|error| refuse(output, &error))?;
    say!("{} functions, {} bytes", named.functions, named.table_bytes);
    Ok(Status::Success)
}
