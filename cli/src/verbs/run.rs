//! `cargo freestone run`: builds a kernel, boots it, and ends with its verdict.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::json;

use crate::args;
use crate::boot::accel;
use crate::boot::boot_options::BootOptions;
use crate::boot::machines;
use crate::boot::place::{self, Place};
use crate::boot::preflight;
use crate::boot::request::{Boot, Verdict};
use crate::boot::settings::Settings;
use crate::build::meant::{Meant, look};
use crate::foreign;
use crate::image::name_table::Booted;
use crate::status::{Failure, Status};
use crate::supervise::Output;
use crate::tell;

/// What the verb takes.
pub fn command() -> Command {
    Command::new("run")
        .about(
            "Build a kernel and boot it in QEMU, on Xen or by KVM; the exit status is the kernel's verdict",
        )
        .override_usage("cargo freestone run [OPTIONS] [ELF | -p PACKAGE] [-- KERNEL COMMAND LINE]")
        .args(args::which())
        .arg(args::on_arg())
        .arg(args::machine())
        .arg(accel::argument())
        .arg(args::memory())
        .arg(args::cores())
        .arg(args::timeout("60, with --on kvm-nested 300; none with --gdb"))
        .arg(args::flag(
            "icount",
            "Count instructions instead of time: the guest's clocks repeat exactly",
        ))
        .arg(
            Arg::new("gdb")
                .long("gdb")
                .value_name("PORT")
                .value_parser(value_parser!(u16).range(1..))
                .help("Wait for a debugger on this port of 127.0.0.1 before the first instruction"),
        )
        .arg(args::flag("trace", "End with a table of the devices that the boot talked to, on stderr"))
        .arg(args::flag(args::NO_NAMES, "Boot the file as it is, without a table of names for backtraces"))
        .arg(args::qemu_arg())
        .arg(args::qemu())
        .arg(place::xen_arg())
        .arg(preflight::no_check())
        .arg(args::flag("yes", "Install QEMU without asking if it is missing (as root, by apt-get)"))
        .arg(args::flag("json", "End with one line of JSON on stdout; the guest's output goes to stderr"))
        .arg(args::verbose())
        .arg(args::command_line())
}

/// Runs the verb.
pub fn main(matches: &ArgMatches) -> Result<Status, Failure> {
    boot_and_tell(matches, &Settings::default())
}

/// The same, for an image of which it is known what is set for it.
pub fn boot_and_tell(matches: &ArgMatches, settings: &Settings) -> Result<Status, Failure> {
    let mut known = Known::default();
    let result = boot(matches, settings, &mut known);
    if !matches.get_flag("json") {
        return result.and_then(|verdict| match verdict.status {
            Status::Success => Ok(verdict.status),
            status => Err(Failure::new(status, verdict.message)),
        });
    }
    let (status, message, wall) = match result {
        Ok(verdict) => (verdict.status, verdict.message, Some(verdict.wall)),
        Err(failure) => (failure.status, failure.message, None),
    };
    let Known { image, options } = known;
    let on = options.as_ref().map_or(machines::PLACES[0], |options| options.on);
    let machine = options.as_ref().map(BootOptions::machine);
    let line = json!({
        "on": on,
        "verdict": status.word(),
        "status": status.code(),
        "message": message,
        "machine": machine.filter(|_| on != machines::XEN),
        "image": image.map(|path| path.to_string_lossy().into_owned()),
        "wall_ms": wall.map(|wall| wall.as_millis() as u64),
    });
    tell!("{}", foreign::json(&line));
    if status == Status::Success { Ok(status) } else { Err(Failure::new(status, message)) }
}

/// What a report tells even of a boot that failed.
#[derive(Default)]
struct Known {
    image: Option<PathBuf>,
    options: Option<BootOptions>,
}

/// Does it all; what is known is told as soon as it is.
fn boot(matches: &ArgMatches, settings: &Settings, known: &mut Known) -> Result<Verdict, Failure> {
    let verbose = matches.get_flag("verbose");
    let is_set = |name| matches.get_flag(name);
    // Cheap questions first: a wrong argument should not cost an installation, a missing QEMU not a
    // build.
    let meant = Meant::of(matches)?;
    let options = &*known.options.insert(meant.options(matches, settings)?);
    if let Meant::Image(path) = &meant {
        known.image = Some(path.clone());
        look(path, options, matches)?;
    }
    let place = Place::of(matches, options)?;
    if let Meant::Kernel(..) = &meant {
        let built = known.image.insert(meant.image(matches)?);
        look(built, options, matches)?;
    }
    let gdb = matches.get_one::<u16>("gdb");
    let image = known.image.as_deref().unwrap_or(Path::new(""));
    let booted = Booted::new(image, !is_set(args::NO_NAMES), options.memory_mib.value);
    let boot = Boot {
        image,
        booted: booted.path(),
        command_line: &options.command_line.value,
        memory_mib: options.memory_mib.value,
        extra: &options.qemu_args(),
        limit: options.limit(gdb.is_none().then_some(place.seconds())),
        verbose,
    };
    let (stdout, stderr) = (io::stdout(), io::stderr());
    place.run(&boot, Output::Pass(if is_set("json") { stderr.as_fd() } else { stdout.as_fd() }))
}
