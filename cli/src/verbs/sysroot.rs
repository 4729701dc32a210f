//! `cargo freestone sysroot`: builds `core` and `alloc` for a target, once, see [`crate::build::sysroot`].

use std::fs;
use std::time::Instant;

use clap::{Arg, ArgMatches, Command};
use serde_json::json;

use crate::args::{Telling, flag};
use crate::build::build_args::{How, TARGET, toolchain};
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
            Arg::new(TARGET)
                .long("target")
                .value_name("TARGET")
                .required(true)
                .help("The target, for example x86_64-unknown-none"),
        )
        .arg(toolchain())
        .arg(flag("force", "Build it even if it is there"))
        .args(Telling::args("Print one line of JSON instead of text"))
}

/// What was given.
struct Arguments {
    target: String,
    toolchain: Option<String>,
    force: bool,
    telling: Telling,
}

/// Runs the verb.
pub fn main(matches: &ArgMatches) -> Result<Status, Failure> {
    let How { target, toolchain, .. } = How::from(matches);
    prepare(&Arguments {
        target: target.expect("clap insists on it"),
        toolchain,
        force: matches.get_flag("force"),
        telling: Telling::from(matches),
    })
}

fn prepare(arguments: &Arguments) -> Result<Status, Failure> {
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
    let folder = sysroot::ensure(&toolchain, target, arguments.telling.verbose)?;
    if arguments.telling.json {
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
