//! QEMU: how it is started, and how its exit status gives the guest's verdict.
//!
//! The guest ends the machine by writing to the debug-exit device at port 0xf4; QEMU then ends with
//! the status `value << 1 | 1`:
//!
//! | guest writes | QEMU's status | meaning |
//! |---|---|---|
//! | 0x10 | 33 | success |
//! | 0x11 | 35 | the kernel reports failure |
//! | 0x12 | 37 | crash; the guest has printed its report |
//! | nothing | 0 | power off or reset (`-no-reboot`: also a triple fault) without a verdict |
//! | anything else | | not part of the protocol |

use std::ffi::OsString;
use std::io::{self, PipeWriter, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use freestone_protocol::exit;
use freestone_protocol::wants::CTRL_C;

use crate::boot::accel::Accelerator;
use crate::boot::boot_args::BootArgs;
use crate::boot::boot_options::BootOptions;
use crate::boot::complaints;
use crate::boot::devices::Devices;
use crate::boot::qmp::Monitor;
use crate::boot::request::{Boot, prefixed};
use crate::boot::trace;
use crate::build::toolchains::{answer, parse_version};
use crate::foreign::Shown as _;
use crate::image::source_lines::{Completer, Places};
use crate::say;
use crate::shell::words;
use crate::status::{Failure, Status};
use crate::supervise::{self, Ending, Filter, Outcome, Output, describe};

/// For what the monitor says to a user who waits for the end: milliseconds, but on a machine with much else to do.
const INTERRUPTED_PATIENCE: Duration = Duration::from_secs(5);

/// For what the kernel says to an NMI. A report takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// For a kernel that was asked to end: it has requests to answer and data to write.
const LAST_ANSWERS: Duration = Duration::from_secs(8);

/// QEMU's statuses for the three verdicts.
const SUCCESS: i32 = exit::qemu_status(exit::SUCCESS);
const FAILURE: i32 = exit::qemu_status(exit::FAILURE);
const CRASH: i32 = exit::qemu_status(exit::CRASH);

const DEBUG_EXIT: &str = "isa-debug-exit,iobase=0xf4,iosize=0x04";

/// A machine of QEMU's.
#[derive(Clone)]
pub struct Machine {
    pub program: PathBuf,
    pub name: String,
    pub cores: u32,
    pub icount: bool,
    /// Whether the serial port gets the tool's stdin.
    pub stdin: bool,
    /// Whether the kernel ends in order when Ctrl-C comes from its console.
    pub console_end: bool,
    pub gdb: Option<u16>,
    pub trace: bool,
    pub accelerator: Accelerator,
    pub devices: Devices,
}

impl Machine {
    /// A machine with nothing asked of it.
    pub fn plain(program: PathBuf, name: String) -> Machine {
        Machine {
            program,
            name,
            cores: 1,
            icount: false,
            stdin: false,
            console_end: false,
            gdb: None,
            trace: false,
            accelerator: Accelerator::tcg(),
            devices: Devices::default(),
        }
    }

    /// The machine that a verb was asked for.
    pub fn new(
        program: PathBuf,
        given: &BootArgs,
        options: &BootOptions,
    ) -> Result<Machine, Failure> {
        let accelerator = Accelerator::new(given.accel, given.needs_emulation())?;
        let BootArgs { icount, stdin, gdb, trace, .. } = *given;
        let cores = options.cores.value;
        let plain = Machine::plain(program, options.machine().to_owned());
        Ok(Machine { cores, icount, stdin, gdb, trace, accelerator, ..plain })
    }

    /// Makes it take instructions one by one; what it returns are arguments to be added. QEMU 8.1 has a new name
    /// for that, and 9.0 not the old one any more.
    pub fn step_by_step(&mut self) -> Option<&'static str> {
        let answer = answer(&self.program, &["--version"]).unwrap_or_default();
        let is_new = version(&answer).is_some_and(|version| version >= (8, 1));
        if is_new {
            self.accelerator.name = "tcg,one-insn-per-tb=on";
        }
        (!is_new).then_some("-singlestep")
    }
}

/// Boots and judges. A KVM that was only tried is no reason to fail.
pub fn run(
    machine: &Machine,
    boot: &Boot,
    filter: &mut dyn Filter,
    stdout: Output,
) -> Result<(Outcome, (Status, String)), Failure> {
    let Accelerator { name, reason, may_fall_back } = &machine.accelerator;
    if boot.verbose && !reason.is_empty() {
        say!("accelerator: {name}, as {reason}");
    }
    let (outcome, (status, message)) = run_once(machine, boot, filter, stdout)?;
    // What is wrong with a disk or a network is wrong without KVM, too.
    let is_kvms = status == Status::Tool && complaints::meaning(&message).is_none();
    if *may_fall_back && is_kvms && outcome.stdout.is_empty() {
        say!(
            "{message}\nKVM does not work here; going on by emulation (--accel tcg does that at once)"
        );
        let machine = Machine { accelerator: Accelerator::tcg(), ..machine.clone() };
        return run_once(&machine, boot, filter, stdout);
    }
    Ok((outcome, (status, message)))
}

fn run_once(
    machine: &Machine,
    boot: &Boot,
    filter: &mut dyn Filter,
    stdout: Output,
) -> Result<(Outcome, (Status, String)), Failure> {
    if let Some(port) = machine.gdb {
        port_must_be_free(port)?;
        say!("waiting for: gdb {} -ex 'target remote 127.0.0.1:{port}'", boot.image.shown());
    }
    let mut command = command(machine, boot, boot.booted);
    let console = machine.console_end.then(|| console(machine, &mut command)).transpose();
    let console = console.map_err(|error| Failure::tool(format!("no pipe for QEMU: {error}")))?;
    if boot.verbose {
        // With the image's own path, as it can be typed again; what is booted may have no name that lasts.
        say!("running: {}", words(&self::command(machine, boot, boot.image)));
    }
    let log = machine.trace.then(|| trace::Log::new(&mut command)).transpose();
    let log = log.map_err(|error| Failure::tool(format!("no file for the trace: {error}")))?;
    let places = Places::new(boot.image);
    let mut listener = Listener {
        completer: Completer::new(&places, filter),
        places: &places,
        // Without one there is no trace of a hung kernel; that is all.
        monitor: Monitor::new(&mut command).ok(),
        trace: String::new(),
        console,
    };
    let outcome = boot.watch(&mut command, &mut listener, stdout, Output::Inherit)?;
    match log.map(trace::Log::summary) {
        Some(Ok(summary)) => say!("{summary}"),
        Some(Err(error)) => say!("the trace cannot be read: {error}"),
        None => {}
    }
    let (status, mut message) = judge(boot, &outcome);
    if matches!(status, Status::Timeout | Status::Interrupted) && !listener.trace.is_empty() {
        message = format!("{message}\n{}", listener.trace);
    }
    Ok((outcome, (status, message)))
}

/// Hears what the kernel says, and asks where it hangs when time is up or the user's patience is.
struct Listener<'a> {
    completer: Completer<'a>,
    places: &'a Places,
    monitor: Option<Monitor>,
    trace: String,
    /// Where a kernel hears Ctrl-C.
    console: Option<PipeWriter>,
}

impl Filter for Listener<'_> {
    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        self.completer.take(bytes, out)
    }

    fn restarts_the_clock(&mut self) -> bool {
        self.completer.restarts_the_clock()
    }

    fn reads_ahead(&self) -> bool {
        self.completer.reads_ahead()
    }

    /// The kernel is asked too, if it can hear: it knows more, and may have words of its own for that.
    fn time_is_up(&mut self) -> Duration {
        let Some(monitor) = &mut self.monitor else { return Duration::ZERO };
        self.trace = monitor.trace(self.places);
        if monitor.interrupt() { PATIENCE } else { Duration::ZERO }
    }

    fn is_told_to_stop(&mut self) -> Duration {
        let Some(console) = &mut self.console else { return Duration::ZERO };
        match console.write_all(&[CTRL_C]) {
            Ok(()) => LAST_ANSWERS,
            Err(_) => Duration::ZERO,
        }
    }

    /// The kernel is not asked: its user may only have seen enough of it.
    fn is_interrupted(&mut self) {
        if let Some(monitor) = &mut self.monitor {
            self.trace = monitor.trace_within(self.places, INTERRUPTED_PATIENCE);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.completer.finish(out);
    }
}

/// Gives QEMU a pipe for the serial port, which the user may have too.
fn console(machine: &Machine, command: &mut Command) -> io::Result<PipeWriter> {
    let (reader, writer) = io::pipe()?;
    command.stdin(reader);
    if machine.stdin {
        supervise::feed(writer.try_clone()?);
    }
    Ok(writer)
}

fn command(machine: &Machine, boot: &Boot, kernel: &Path) -> Command {
    let mut command = Command::new(&machine.program);
    // Of its own group, QEMU may not read the terminal: it gets a pipe.
    command.stdin(if machine.stdin { Stdio::piped() } else { Stdio::null() });
    command.args(arguments(machine, boot, kernel, boot.module));
    command
}

/// What QEMU is told to boot the kernel at this path, and the module at that.
pub fn arguments(
    machine: &Machine,
    boot: &Boot,
    kernel: &Path,
    module: Option<&Path>,
) -> Vec<OsString> {
    let (memory, cores) = (boot.memory_mib.to_string(), machine.cores.to_string());
    let mut all: Vec<OsString> = [
        ["-machine", &machine.name].as_slice(),
        &["-accel", machine.accelerator.name, "-cpu", "max", "-m", &memory, "-smp", &cores],
        &["-nodefaults", "-no-user-config", "-no-reboot"],
        &["-display", "none", "-monitor", "none", "-serial", "stdio", "-device", DEBUG_EXIT],
    ]
    .concat()
    .into_iter()
    .map(OsString::from)
    .collect();
    if machine.icount {
        all.extend(["-icount", "shift=0,sleep=off"].map(OsString::from));
    }
    if let Some(port) = machine.gdb {
        all.extend(["-gdb".into(), format!("tcp:127.0.0.1:{port}").into(), "-S".into()]);
    }
    all.extend(machine.devices.arguments(&machine.name));
    all.extend(["-kernel".into(), kernel.into(), "-append".into(), boot.command_line.into()]);
    if let Some(module) = module {
        all.extend(["-initrd".into(), module.into()]);
    }
    all.extend(boot.extra.iter().cloned());
    all
}

fn judge(boot: &Boot, outcome: &Outcome) -> (Status, String) {
    match outcome.ending {
        Ending::Ended(status) => {
            judge_status(status, !outcome.stdout.is_empty(), &prefixed(&outcome.stderr))
        }
        // Only a filter has enough, and there is none here.
        _ => boot.judge_stop(outcome).unwrap_or((Status::Crash, String::new())),
    }
}

/// The verdict that QEMU's status tells; `said` is whether the kernel printed anything, `complaint` what QEMU did.
pub fn judge_status(status: ExitStatus, said: bool, complaint: &str) -> (Status, String) {
    // QEMU ends in order, with status 0, when somebody sends it SIGTERM. The guest is not to blame.
    if status.code() == Some(0) && complaint.contains("terminating on signal") {
        return (Status::Tool, format!("QEMU was stopped from outside{complaint}"));
    }
    match status.code() {
        Some(SUCCESS) => (Status::Success, String::new()),
        Some(FAILURE) => (Status::Failed, "the kernel reported failure".into()),
        Some(CRASH) => (Status::Crash, "the kernel crashed; its report is above".into()),
        Some(0) => {
            let message =
                "the machine went off without a verdict: a triple fault, a reset or a power-off";
            (Status::Crash, format!("{message}{complaint}"))
        }
        Some(1) if !said => {
            let meaning = complaints::meaning(complaint).map(|meaning| format!(": {meaning}"));
            (
                Status::Tool,
                format!("QEMU could not start{}{complaint}", meaning.unwrap_or_default()),
            )
        }
        _ => (Status::Tool, format!("QEMU {}, which is no verdict{complaint}", describe(status))),
    }
}

/// The version in QEMU's answer to `--version`.
fn version(answer: &str) -> Option<(u32, u32)> {
    let (_, rest) = answer.split_once(" version ")?;
    parse_version(rest.split_whitespace().next()?)
}

/// QEMU would say so too, but in the words of its option parser.
fn port_must_be_free(port: u16) -> Result<(), Failure> {
    match TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::tool(format!(
            "port {port} cannot be used for gdb: {error}; choose another with --gdb"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn machine() -> Machine {
        Machine::plain("qemu".into(), "microvm".into())
    }

    fn boot(command_line: &OsStr) -> Boot<'_> {
        let (limit, memory_mib) = (Some(Duration::from_secs(3)), 64);
        let image = Path::new("k,1");
        let module = None;
        let booted = image;
        Boot { image, booted, command_line, module, memory_mib, extra: &[], limit, verbose: false }
    }

    fn ended(raw: i32, stdout: &str, stderr: &str) -> Outcome {
        Outcome {
            ending: Ending::Ended(ExitStatus::from_raw(raw)),
            stdout: stdout.into(),
            stderr: stderr.into(),
            wall: Duration::ZERO,
        }
    }

    #[test]
    fn the_command_line_is_one_argument() {
        let command_line = OsString::from("a=1,2 \"b c\"");
        let command = command(&machine(), &boot(&command_line), Path::new("k,1"));
        let arguments: Vec<_> = command.get_args().collect();
        assert!(
            arguments.ends_with(&["-kernel", "k,1", "-append", "a=1,2 \"b c\""].map(OsStr::new))
        );
    }

    #[test]
    fn every_end_of_qemu_has_a_verdict() {
        let boot = boot(OsStr::new(""));
        for (raw, stdout, stderr, status) in [
            (33 << 8, "", "warning", Status::Success),
            (35 << 8, "", "", Status::Failed),
            (37 << 8, "", "", Status::Crash),
            (0, "hello", "", Status::Crash),
            (0, "", "qemu: terminating on signal 15 from pid 1", Status::Tool),
            (1 << 8, "", "unsupported machine type", Status::Tool),
            (1 << 8, "hello", "", Status::Tool),
            (34 << 8, "", "", Status::Tool),
            (9, "", "", Status::Tool),
        ] {
            let (got, message) = judge(&boot, &ended(raw, stdout, stderr));
            assert_eq!(got, status, "{raw:#x} {stderr:?}: {message}");
        }
    }

    #[test]
    fn the_version_is_read() {
        let debian = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright";
        assert_eq!(version(debian), Some((7, 2)));
        assert_eq!(version("QEMU emulator version 10.0.2\n"), Some((10, 0)));
        assert_eq!(version("qemu"), None);
    }

    #[test]
    fn a_used_port_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("some port is free");
        let port = listener.local_addr().expect("bound").port();
        assert_eq!(port_must_be_free(port).unwrap_err().status, Status::Tool);
        drop(listener);
        port_must_be_free(port).expect("free again");
    }
}
