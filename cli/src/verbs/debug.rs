//! `cargo freestone debug`: a kernel in gdb, stopped where its `main` begins, behind the prologue.
//!
//! The machine runs by `run --gdb`: the tool starts itself a second time for it, on a free port, and gdb beside it, with the
//! terminal. When gdb ends, so does the machine.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches};

use crate::args::{self, Telling, flag};
use crate::boot::boot_args::{self, BootArgs};
use crate::boot::boot_options::BootOptions;
use crate::boot::devices::{self, Devices};
use crate::boot::module;
use crate::build::build_args::Which;
use crate::build::meant;
use crate::foreign::Shown as _;
use crate::image::name_table;
use crate::shell::words;
use crate::signals;
use crate::status::{Failure, Status};
use crate::supervise::{self, Ending, Output, Stop, Watch};
use crate::tell;

/// Names another gdb.
const VARIABLE: &str = "FREESTONE_GDB";

/// What to do without one.
pub const GDB_CURE: &str =
    "install it (Debian: apt-get install gdb), or name another by FREESTONE_GDB";

/// The function that is called when nothing is called `main`.
const FALLBACK: &str = "freestone_start";

/// What the verb takes.
pub fn command() -> clap::Command {
    clap::Command::new("debug")
        .about("Build a kernel and open gdb where its main begins")
        .override_usage(
            "cargo freestone debug [OPTIONS] [ELF | -p PACKAGE] [-- KERNEL COMMAND LINE]",
        )
        .args(Which::args())
        .args([boot_args::machine(), boot_args::memory(), boot_args::cores()])
        .arg(
            Arg::new("command")
                .long("command")
                .short('x')
                .value_name("COMMAND")
                .action(ArgAction::Append)
                .help("A command for gdb once it has stopped; may be repeated"),
        )
        .arg(flag("batch", "End gdb after these commands"))
        .arg(flag("print", "Show what would be run, and run nothing"))
        .args([
            devices::net(),
            devices::forward(),
            devices::mac(),
            devices::pcap(),
            devices::disk(),
            module::module(),
            boot_args::qemu_arg(),
            boot_args::qemu(),
            boot_args::no_check(),
            boot_args::yes().help("Install QEMU without asking if it is missing"),
        ])
        .arg(args::verbose())
        .arg(boot_args::command_line())
}

/// What was given.
struct Arguments {
    which: Which,
    boot: BootArgs,
    /// For gdb once it has stopped.
    commands: Vec<String>,
    batch: bool,
    print: bool,
    verbose: bool,
}

/// Runs the verb.
pub fn main(matches: &ArgMatches) -> Result<Status, Failure> {
    debug(&Arguments {
        which: Which::from(matches),
        boot: BootArgs::from(matches),
        commands: args::all(matches, "command").unwrap_or_default(),
        batch: matches.get_flag("batch"),
        print: matches.get_flag("print"),
        verbose: Telling::from(matches).verbose,
    })
}

fn debug(arguments: &Arguments) -> Result<Status, Failure> {
    let tool = |what: &str, error| Failure::tool(format!("{what}: {error}"));
    let Arguments { which, boot, .. } = arguments;
    boot.devices.check()?;
    let (image, options) = meant::built(which, boot, arguments.verbose)?;
    let port = free_port().map_err(|error| tool("no free port", error))?;
    let own = env::current_exe().map_err(|error| tool("this program's own path", error))?;
    let mut machine = Command::new(own);
    machine.arg("run").arg(&image).args(["--timeout", "0", "--gdb", &port.to_string()]);
    machine.args(["-m", &options.memory_mib.value.to_string()]);
    machine.args(["--machine", options.machine(), "--cores", &options.cores.value.to_string()]);
    if let Some(qemu) = &boot.qemu {
        machine.arg("--qemu").arg(qemu);
    }
    for arg in options.qemu_args() {
        machine.arg("--qemu-arg").arg(arg);
    }
    machine.args(devices(&image, boot, &options)?);
    if let Some(module) = &boot.devices.module {
        machine.arg("--module").arg(module);
    }
    let switches = [(boot.no_check, "--no-check"), (boot.yes, "--yes")];
    machine.args(switches.iter().filter(|(is_set, _)| *is_set).map(|(_, option)| option));
    machine.arg("--").arg(options.command_line.value);
    machine.stdin(Stdio::null());
    let entry = entry(&image).ok_or_else(|| {
        Failure::usage(format!(
            "{}: no function to stop at: it has no names; debug the image as it was before it was stripped",
            image.shown()
        ))
    })?;
    let mut gdb = gdb(arguments, &image, &entry, port);
    if arguments.print {
        tell!("{}\n{}", words(&machine), words(&gdb));
        return Ok(Status::Success);
    }
    if !arguments.verbose {
        machine.stderr(Stdio::null());
    }
    let mut running =
        supervise::spawn_beside(&mut machine).map_err(|error| tool("the machine", error))?;
    // Ctrl-C is for gdb, which stops the kernel.
    signals::leave_interrupts();
    let inherit = Output::Inherit;
    let watch = Watch { limit: None, stop: Stop::Ask, stdout: inherit, stderr: inherit };
    let ended = supervise::run(&mut gdb, &watch);
    // A batch of commands that lets the kernel run to its end has lost its machine then; gdb calls that a failure.
    let has_failed =
        matches!(&ended, Ok(outcome) if matches!(outcome.ending, Ending::Ended(s) if !s.success()));
    let verdict = has_failed.then(|| verdict(&mut running)).flatten();
    supervise::stop(&mut running, Stop::Ask);
    let outcome =
        ended.map_err(|error| Failure::tool(format!("gdb does not start: {error}; {GDB_CURE}")))?;
    match outcome.ending {
        Ending::Ended(status) if status.success() => Ok(Status::Success),
        Ending::Ended(status) => {
            verdict.ok_or_else(|| Failure::tool(format!("gdb {}", supervise::describe(status))))
        }
        Ending::Signalled(signal) => Err(Failure::silent(Status::of_signal(signal))),
        _ => Err(Failure::silent(Status::Tool)),
    }
}

/// The machine's devices as options of `run`, whose ports are told here: what it says is not shown.
fn devices(
    image: &Path,
    given: &BootArgs,
    options: &BootOptions,
) -> Result<Vec<OsString>, Failure> {
    let (wants, extra) = (devices::wanted(image), options.qemu_args());
    let mut all = Devices::new(&given.devices, &wants, &extra)?;
    devices::tell_missing(&wants, &all, &extra);
    if let Some(network) = &mut all.network {
        network.choose_ports(&network.forwards.clone())?;
    }
    Ok(all.words())
}

/// How the kernel ended, if it has: the machine's process ends a moment after the machine.
fn verdict(running: &mut Child) -> Option<Status> {
    for _ in 0..20 {
        if let Ok(Some(ended)) = running.try_wait() {
            let code = ended.code()?;
            return Status::ALL.into_iter().find(|&status| status as i32 == code);
        }
        thread::sleep(Duration::from_millis(10));
    }
    None
}

/// The gdb that is used.
pub fn gdb_program() -> OsString {
    env::var_os(VARIABLE).filter(|name| !name.is_empty()).unwrap_or_else(|| "gdb".into())
}

fn gdb(arguments: &Arguments, image: &Path, entry: &str, port: u16) -> Command {
    let mut gdb = Command::new(gdb_program());
    gdb.arg("-q");
    if arguments.batch {
        gdb.arg("-batch");
    }
    gdb.arg(image);
    let mut order = |command: &str| {
        gdb.args(["-ex", command]);
    };
    // It waits until the machine listens.
    order("set tcp connect-timeout 20");
    order(&format!("target remote 127.0.0.1:{port}"));
    order(&format!("break {entry}"));
    order("continue");
    for command in &arguments.commands {
        order(command);
    }
    gdb
}

/// The kernel's `main`, or what comes before it, as gdb's `break` takes it. By a function's name it stops behind the
/// prologue, where arguments are what the function calls them; by an address in front of it.
fn entry(image: &Path) -> Option<String> {
    let bytes = fs::read(image).unwrap_or_default();
    let functions = name_table::functions(&bytes).unwrap_or_default();
    let address = name_table::main_of(image, &functions)
        .or_else(|| name_table::find(&functions, FALLBACK))
        .or_else(|| name_table::find(&functions, "freestone_pvh_entry"))?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.$".contains(c);
    let name = name_table::linkage_name(&bytes, address).filter(|name| name.chars().all(is_plain));
    Some(match name {
        Some(name) => format!("-qualified -function {name}"),
        // What is no word may be anything to gdb.
        None => format!("*{address:#x}"),
    })
}

/// A port that nobody uses now; who takes it in the moment between is told on by QEMU.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
