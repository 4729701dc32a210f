//! Linux's KVM without a processor for it: QEMU emulates a machine with AMD's virtualization, Debian's Linux runs on
//! it and loads KVM, and in that Linux QEMU runs the kernel, by KVM.
//!
//! ```text
//! QEMU, by emulation ── Linux ── KVM ── QEMU's machine: microvm, q35 or pc ── the kernel
//! ```
//!
//! The kernel sees what it sees under any KVM: its clock, TSC-deadline timers, exits. It is slow, as each exit of the
//! kernel's is emulated: some 0.3 ms.
//!
//! The outer machine has two serial lines. Linux's and QEMU's messages go through the first to our stderr, what the kernel
//! prints through the second to our stdout. The inner QEMU's status, which is the verdict, is a line of the first.

mod fetch;
mod initrd;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::boot::accel::{self, Accelerator};
use crate::boot::qemu::{self, Machine};
use crate::boot::request::{Boot, prefixed};
use crate::boot::xen::inherited;
use crate::foreign::Shown as _;
use crate::image::source_lines::{Completer, Places};
use crate::say;
use crate::shell::{quoted, words};
use crate::status::{Failure, Status};
use crate::supervise::{Ending, Filter, Outcome, Output, nameless};

use initrd::Archive;

pub use fetch::KVM;

/// What the outer Linux takes beside the guest's memory: its own, QEMU, and twice the files it starts with.
const LINUX_MIB: u32 = 768;

/// What Linux runs first.
const INIT: &str = include_str!("kvm/init.sh");

/// In front of the inner QEMU's status, on a line of the log.
const STATUS: &str = "freestone: status ";

/// The outer machine, and the one in it.
pub struct Host {
    /// The outer QEMU, and the machine that the inner one makes.
    pub machine: Machine,
    linux: PathBuf,
    files: PathBuf,
}

impl Host {
    /// What is needed is fetched if it is not there.
    pub fn new(machine: Machine) -> Result<Host, Failure> {
        let files = KVM.get()?;
        let linux = files.with_file_name(fetch::LINUX);
        let accelerator = Accelerator { name: accel::KVM, ..Accelerator::tcg() };
        Ok(Host { machine: Machine { accelerator, ..machine }, linux, files })
    }
}

/// Boots and judges.
pub fn run(
    host: &Host,
    boot: &Boot,
    filter: &mut dyn Filter,
    stdout: Output,
) -> Result<(Outcome, (Status, String)), Failure> {
    let inner = inner(host, boot);
    let files = files(host, boot, &inner).map_err(|error| {
        let module = boot.module.map(|path| format!(" and {}", path.shown()));
        let (files, kernel) = (host.files.shown(), boot.booted.shown());
        Failure::tool(format!("{files} and {kernel}{}: {error}", module.unwrap_or_default()))
    })?;
    let mut command = command(host, boot, &files);
    if boot.verbose {
        say!("running: {}\nin it: {}", words(&command), words(&inner));
    }
    let places = Places::new(boot.image);
    let mut listener = Listener(Completer::new(&places, filter));
    let stderr = io::stderr();
    let outcome = boot.watch(&mut command, &mut listener, stdout, Output::Pass(stderr.as_fd()))?;
    let verdict = judge(boot, &outcome);
    Ok((outcome, verdict))
}

/// The serial line drops what is not read in time.
struct Listener<'a>(Completer<'a>);

impl Filter for Listener<'_> {
    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        self.0.take(bytes, out)
    }

    fn restarts_the_clock(&mut self) -> bool {
        self.0.restarts_the_clock()
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.0.finish(out);
    }
}

/// The QEMU that runs in Linux.
fn inner(host: &Host, boot: &Boot) -> Command {
    let mut command = Command::new("/bin/qemu");
    command.args(["-L", "/firmware"]);
    let module = boot.module.map(|_| Path::new("/guest/module"));
    command.args(qemu::arguments(&host.machine, boot, Path::new("/guest/kernel"), module));
    command
}

/// What Linux starts with: the files that all boots have, then this one's.
fn files(host: &Host, boot: &Boot, inner: &Command) -> io::Result<File> {
    let mut file = nameless()?;
    io::copy(&mut File::open(&host.files)?, &mut file)?;
    let mut archive = Archive::new(&file);
    archive.file(Path::new("init"), INIT.as_bytes())?;
    archive.file(Path::new("guest/kernel"), &fs::read(boot.booted)?)?;
    if let Some(module) = boot.module {
        archive.file(Path::new("guest/module"), &fs::read(module)?)?;
    }
    let mut script = b"exec".to_vec();
    for word in std::iter::once(inner.get_program()).chain(inner.get_args()) {
        script.push(b' ');
        script.extend(quoted(word.as_bytes()));
    }
    archive.file(Path::new("guest/boot"), &script)?;
    archive.finish()?.flush()?;
    file.rewind()?;
    Ok(file)
}

fn command(host: &Host, boot: &Boot, files: &File) -> Command {
    let mut command = Command::new(&host.machine.program);
    command.stdin(Stdio::null());
    // No processor of QEMU 7.2's has SVM by itself in the emulation, but the one with everything.
    command.args(["-machine", "q35", "-accel", "tcg", "-cpu", "max,+svm", "-smp", "1"]);
    // The guest's, Linux' own, and the module that is in the archive, in Linux' files, and read by QEMU.
    let module = boot.module.and_then(|path| fs::metadata(path).ok()).map_or(0, |file| file.len());
    let module_mib = u32::try_from(3 * module.div_ceil(1 << 20)).unwrap_or(u32::MAX);
    let memory = boot.memory_mib.saturating_add(LINUX_MIB).saturating_add(module_mib);
    command.args(["-m", &memory.to_string()]);
    command.args(["-nodefaults", "-no-user-config", "-no-reboot"]);
    command.args(["-display", "none", "-monitor", "none"]);
    command.args(["-chardev", "file,id=log,path=/dev/stderr", "-serial", "chardev:log"]);
    command.args(["-serial", "stdio", "-kernel"]).arg(&host.linux);
    let initrd: OsString = inherited(files);
    command.arg("-initrd").arg(initrd);
    command.args(["-append", "console=ttyS0 quiet panic=-1"]);
    command
}

fn judge(boot: &Boot, outcome: &Outcome) -> (Status, String) {
    let Ending::Ended(status) = outcome.ending else {
        // Only a filter has enough, and there is none here.
        return boot.judge_stop(outcome).unwrap_or((Status::Crash, String::new()));
    };
    let log = String::from_utf8_lossy(&outcome.stderr);
    let code = log.lines().find_map(|line| line.strip_prefix(STATUS)?.trim().parse::<u8>().ok());
    // Linux's own lines begin with a time; they matter only if nothing else tells what went wrong.
    let is_linux = |line: &&str| line.starts_with('[') || line.starts_with(STATUS);
    let others: Vec<_> = log.lines().filter(|line| !is_linux(line)).collect();
    let (said, complaint) = (!outcome.stdout.is_empty(), prefixed(others.join("\n").as_bytes()));
    match code {
        Some(code) => {
            qemu::judge_status(ExitStatus::from_raw(i32::from(code) << 8), said, &complaint)
        }
        None if status.success() && !log.contains("terminating on signal") => {
            let complaint = prefixed(&outcome.stderr);
            (Status::Tool, format!("the kernel could not be started by KVM{complaint}"))
        }
        None => qemu::judge_status(status, said, &complaint),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_inner_machine_gets_the_command_line_and_the_accelerator() {
        let accelerator = Accelerator { name: accel::KVM, ..Accelerator::tcg() };
        let machine = Machine { accelerator, ..Machine::plain("qemu".into(), "pc".into()) };
        let host = Host { machine, linux: "vmlinuz".into(), files: "linux.cpio".into() };
        let host = &host;
        let boot = Boot {
            image: Path::new("k"),
            booted: Path::new("k"),
            command_line: OsStr::new("it's a=1"),
            module: Some(Path::new("m")),
            memory_mib: 64,
            extra: &[],
            limit: None,
            verbose: false,
        };
        let words = words(&inner(host, &boot));
        assert!(words.starts_with("/bin/qemu -L /firmware -machine pc -accel kvm"), "{words}");
        let end = r"-kernel /guest/kernel -append 'it'\''s a=1' -initrd /guest/module";
        assert!(words.ends_with(end), "{words}");
        let judged = |raw, log: &str| {
            let ending = Ending::Ended(ExitStatus::from_raw(raw));
            let (stdout, stderr) = (b"text".to_vec(), log.as_bytes().to_vec());
            judge(&boot, &Outcome { ending, stdout, stderr, wall: Duration::ZERO }).0
        };
        for (code, status) in [
            (33, Status::Success),
            (35, Status::Failed),
            (37, Status::Crash),
            (0, Status::Crash),
            (1, Status::Tool),
            (139, Status::Tool),
        ] {
            let log = format!("[ 1.0] hm\r\nfreestone: status {code}\r\n[ 2.0] reboot: Power down");
            assert_eq!(judged(0, &log), status, "{code}");
        }
        // Without a status the kernel is not to blame, whatever it has printed.
        for (raw, log) in
            [(0, "no KVM"), (0, "freestone: status"), (1 << 8, "no such CPU"), (9, "")]
        {
            assert_eq!(judged(raw, log), Status::Tool, "{raw:#x} {log}");
        }
    }
}
