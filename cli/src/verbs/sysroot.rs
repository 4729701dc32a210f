//! `cargo freestone sysroot`: builds `core` and `alloc` for a target, once, see [`sysroot`].

use std::fs;
use std::time::Instant;

use clap::{Arg, ArgMatches, Command};
use serde_json::json;

use crate::args;
use crate::build::sysroot;
use crate::build::toolchains::Toolchain;
use crate::foreign::{self, Shown as _};
use crate::say;
use crate::status::{Failure, Status};
use crate::tell;

/// What the verb takes.
pub fn command() -> Command {
    Command::new("sysroot")
        .about("Build core and alloc for a target from the toolchain's own source, once")
        .arg(
            Arg::new("target")
                .long("target")
                .value_name("TARGET")
                .required(true)
                .help("The target, for example x86_64-unknown-none"),
        )
        .arg(args::toolchain())
        .arg(args::flag("force", "Build it even if it is there"))
        .arg(args::flag("json", "Print one line of JSON instead of text"))
        .arg(args::verbose())
}

/// What was given.
struct Arguments {
    target: String,
    toolchain: Option<String>,
    force: bool,
    json: bool,
    verbose: bool,
}

/// Runs the verb.
pub fn main(matches: &ArgMatches) -> Result<Status, Failure> {
    sysroot(&Arguments {
        target: matches.get_one("target").cloned().expect("clap insists on it"),
        toolchain: matches.get_one("toolchain").cloned(),
        force: matches.get_flag("force"),
        json: matches.get_flag("json"),
        verbose: matches.get_flag("verbose"),
    })
}

fn sysroot(arguments: &Arguments) -> Result<Status, Failure> {
    let Arguments { target, toolchain, .. } = arguments;
    let toolchain = match sysroot::named(toolchain.as_deref())? {
        Some(toolchain) => toolchain,
        None => {
            let all = Toolchain::all();
            let can = all.iter().find(|t| t.source().is_ok());
            can.or(all.first()).cloned().ok_or_else(sysroot::no_rust)?
        }
    };
    if let Some(folder) = sysroot::ready(&toolchain, target).filter(|_| arguments.force) {
        let libraries = folder.join("lib/rustlib").join(target);
        fs::remove_dir_all(&libraries).map_err(|error| sysroot::unwritable(&libraries, &error))?;
    }
    let begin = Instant::now();
    let was_there = sysroot::ready(&toolchain, target).is_some();
    let folder = sysroot::ensure(&toolchain, target, arguments.verbose)?;
    if arguments.json {
        let line = json!({
            "target": target,
            "toolchain": toolchain.name,
            "release": toolchain.release,
            "sysroot": folder.to_string_lossy(),
            "built": !was_there,
            "rustc": toolchain.rustc.to_string_lossy(),
            "rustflags": format!("--sysroot={}", folder.display()),
        });
        tell!("{}", foreign::json(&line));
        return Ok(Status::Success);
    }
    if !was_there {
        say!("built in {:.0} s", begin.elapsed().as_secs_f64());
    }
    tell!(
        "RUSTC={} RUSTFLAGS=--sysroot={} cargo build --target {target}",
        toolchain.rustc.shown(),
        folder.shown()
    );
    Ok(Status::Success)
}
