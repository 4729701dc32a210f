//! `cargo freestone run`: builds a kernel, boots it, and ends with its verdict.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use clap::{ArgMatches, Command};
use serde_json::{Value, json};

use crate::args::{Telling, is_set};
use crate::boot::accel::Accel;
use crate::boot::boot_args::{self, BootArgs};
use crate::boot::boot_options::BootOptions;
use crate::boot::browser;
use crate::boot::complaints;
use crate::boot::devices;
use crate::boot::forward::Forward;
use crate::boot::machines;
use crate::boot::module;
use crate::boot::place::Place;
use crate::boot::request::{Boot, Verdict};
use crate::boot::settings::Settings;
use crate::build::build_args::Which;
use crate::build::meant::{Meant, look};
use crate::foreign;
use crate::image::name_table::Booted;
use crate::say;
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
        .args(Which::args())
        .args([
            boot_args::on(),
            boot_args::machine(),
            Accel::arg(),
            boot_args::memory(),
            boot_args::cores(),
            boot_args::timeout(
                "60, with --on kvm-nested 300; none with --gdb and for kernels that end by Ctrl-C",
            ),
            boot_args::icount(),
            boot_args::stdin(),
            boot_args::gdb(),
            boot_args::trace(),
            devices::net(),
            devices::forward(),
            devices::mac(),
            devices::pcap(),
            devices::disk(),
            module::module(),
            browser::arg(),
            boot_args::no_names(),
            boot_args::qemu_arg(),
            boot_args::qemu(),
            boot_args::xen(),
            boot_args::no_check(),
            boot_args::yes(),
        ])
        .args(Telling::args("End with one line of JSON on stdout; the guest's output goes to stderr"))
        .arg(boot_args::command_line())
}

/// What was given.
pub struct Arguments {
    pub which: Which,
    pub boot: BootArgs,
    pub telling: Telling,
    /// Whether a browser is opened.
    pub open: bool,
}

/// Runs the verb.
pub fn main(matches: &ArgMatches) -> Result<Status, Failure> {
    let arguments = Arguments {
        which: Which::from(matches),
        boot: BootArgs::from(matches),
        telling: Telling::from(matches),
        open: is_set(matches, "open"),
    };
    boot_and_tell(&arguments, &Settings::default())
}

/// The same, for an image of which it is known what is set for it.
pub fn boot_and_tell(arguments: &Arguments, settings: &Settings) -> Result<Status, Failure> {
    let mut known = Known::default();
    let result = boot(arguments, settings, &mut known);
    if !arguments.telling.json {
        return result.and_then(|verdict| match verdict.status {
            Status::Success => Ok(verdict.status),
            status => Err(Failure::new(status, verdict.message)),
        });
    }
    let (status, message, wall) = match result {
        Ok(verdict) => (verdict.status, verdict.message, Some(verdict.wall)),
        Err(failure) => (failure.status, failure.message, None),
    };
    let Known { image, options, forwards } = known;
    let on = options.as_ref().map_or(machines::PLACES[0], |options| options.on);
    let machine = options.as_ref().map(BootOptions::machine);
    let line = json!({
        "on": on,
        "verdict": status.word(),
        "status": status.code(),
        "message": message,
        "machine": machine.filter(|_| on != machines::XEN),
        "forwards": json_of(&forwards),
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
    /// None before QEMU is started.
    forwards: Vec<Forward>,
}

fn json_of(forwards: &[Forward]) -> Value {
    forwards.iter().map(Forward::json).collect()
}

/// Does it all; what is known is told as soon as it is.
fn boot(arguments: &Arguments, settings: &Settings, known: &mut Known) -> Result<Verdict, Failure> {
    let Arguments { which, boot: given, telling, open } = arguments;
    let Telling { json, verbose } = *telling;
    // Cheap questions first: a wrong argument should not cost an installation, a missing QEMU not a
    // build.
    let meant = Meant::of(which, verbose)?;
    let options = &*known.options.insert(meant.options(given, settings, verbose)?);
    given.devices.check()?;
    if let Meant::Image(path) = &meant {
        known.image = Some(path.clone());
        look(path, given, options)?;
    }
    let mut place = Place::of(given, options)?;
    if let Meant::Kernel(..) = &meant {
        let built = known.image.insert(meant.image(&which.how, verbose)?);
        look(built, given, options)?;
    }
    let image = known.image.as_deref().unwrap_or(Path::new(""));
    place.equip(&given.devices, options, image)?;
    let booted = Booted::new(image, !given.no_names, options.memory_mib.value);
    let boot = Boot {
        image,
        booted: booted.path(),
        command_line: &options.command_line.value,
        module: given.devices.module.as_deref(),
        memory_mib: options.memory_mib.value,
        extra: &options.qemu_args(),
        limit: options
            .limit((given.gdb.is_none() && !place.is_endless()).then_some(place.seconds())),
        verbose,
    };
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let output = Output::Pass(if json { stderr.as_fd() } else { stdout.as_fd() });
    let asked = place.network().map(|network| network.forwards.clone()).unwrap_or_default();
    for _ in 1..ATTEMPTS {
        known.forwards = choose_ports(&mut place, &asked, json)?;
        if *open {
            browser::open(&known.forwards)?;
        }
        let verdict = place.run(&boot, output)?;
        let is_taken =
            verdict.status == Status::Tool && complaints::is_taken_port(&verdict.message);
        if !is_taken {
            return Ok(verdict);
        }
        say!("{AGAIN}");
    }
    known.forwards = choose_ports(&mut place, &asked, json)?;
    place.run(&boot, output)
}

const AGAIN: &str = "another program has taken a port since it was found free; choosing again";

/// How often a boot may find that another program has taken a port since it was looked for.
const ATTEMPTS: u32 = 5;

/// Ports that are free, told before the kernel serves them: to a program as an event.
fn choose_ports(place: &mut Place, asked: &[Forward], json: bool) -> Result<Vec<Forward>, Failure> {
    let Some(network) = place.network().filter(|_| !asked.is_empty()) else {
        return Ok(Vec::new());
    };
    network.choose_ports(asked)?;
    if json {
        let event = json!({ "event": "forwards", "forwards": json_of(&network.forwards) });
        tell!("{}", foreign::json(&event));
    }
    Ok(network.forwards.clone())
}
