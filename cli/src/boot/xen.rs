//! Xen: how it is started with a kernel as its guest, and how its log gives the guest's end.
//!
//! Xen runs on a machine of QEMU's, by emulation, and the kernel as the first guest (dom0, type PVH):
//! the one that Xen itself starts, so no Linux and no tools are needed. No code outside this file and its folder
//! depends on that; other kinds of guests can be added beside it.
//!
//! The machine's options are those that QEMU's emulation and Xen need together; each was found necessary with QEMU 7.2 and
//! Xen 4.17:
//!
//! | | why |
//! |---|---|
//! | `-cpu EPYC` | SVM with nested paging, without which there are no PVH guests |
//! | `-smap` | with it, QEMU 7.2 faults on a return from an interrupt in ring 3 |
//! | `-monitor`, `cpuidle=0` | Xen's idle loop uses MWAIT in a way that QEMU refuses |
//! | `noreboot` | a crash is over at once, not after a wait of five seconds |
//! | `guest_loglvl=all` | release builds of Xen drop what guests other than the first print |
//! | `spec-ctrl=no` | of no use under emulation, and slow |

mod console;
mod fetch;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use crate::boot::limits::{self, Bytes};
use crate::boot::request::{Boot, prefixed, tail};
use crate::foreign::Shown as _;
use crate::say;
use crate::shell::words;
use crate::status::{Failure, Status};
use crate::supervise::{self, Ending, Filter, Outcome, Output, describe};

use crate::image::source_lines::{Completer, Places};
use console::{Console, End, Listener, Word};
pub use fetch::XEN;

/// Names a Xen; `--xen` wins over it.
pub const VARIABLE: &str = "FREESTONE_XEN";

/// What Xen takes for itself: its image and heap, and an entry of 32 bytes and some page tables for
/// each page of the guest's. It starts a small guest with 160 MiB; this is for larger ones too.
const XEN_MIB: u32 = 256;
const PARTS_FOR_XEN: u32 = 32;

/// More than any Xen, packed or not: 2.6 MB here.
const LARGEST: Bytes = Bytes(64 << 20);

/// Xen, and the QEMU it runs on.
pub struct Host {
    pub qemu: PathBuf,
    pub xen: Image,
}

/// A file that QEMU can start as Xen.
pub enum Image {
    Path(PathBuf),
    /// Was unpacked, and has no name.
    Unpacked(File),
}

/// The Xen that is named, else the one that is fetched or was before.
pub fn find(named: Option<&Path>) -> Result<Image, Failure> {
    let variable = env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    match (named, &variable) {
        (Some(path), _) => open(path, "--xen"),
        (None, Some(path)) => open(path, VARIABLE),
        (None, None) => XEN.get().map(Image::Path),
    }
}

/// The path of the Xen to use, for a program that this one starts; `None` to let it look by itself.
pub fn named(path: Option<&Path>) -> io::Result<Option<PathBuf>> {
    path.map(std::path::absolute).transpose()
}

/// A Xen that the user names: an ELF file, or one packed by gzip as distributions have it in `/boot`.
fn open(path: &Path, origin: &str) -> Result<Image, Failure> {
    let refuse = |why: &str| Failure::usage(format!("{origin} {}: {why}", path.shown()));
    // Looked at before it is opened: opening a FIFO would wait for its writer.
    let about = fs::metadata(path).map_err(|error| refuse(&error.to_string()))?;
    if !about.is_file() || about.len() > LARGEST.0 {
        let why = "this is no Xen; name an ELF file or a .gz of one";
        return Err(refuse(&format!("{why}, of no more than {LARGEST}")));
    }
    // What `check` looks at.
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(8192).read_to_end(&mut bytes));
    read.map_err(|error| refuse(&error.to_string()))?;
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        check(&bytes).map_err(refuse)?;
        return Ok(Image::Path(path.to_owned()));
    }
    let unpacked = unpack(path)?.ok_or_else(|| refuse("gzip cannot unpack it; get it again"))?;
    check(&unpacked).map_err(refuse)?;
    let file = supervise::nameless().and_then(|mut file| {
        file.write_all(&unpacked)?;
        file.rewind()?;
        Ok(file)
    });
    file.map(Image::Unpacked).map_err(|error| Failure::tool(format!("a temporary file: {error}")))
}

/// Whether QEMU's `-kernel` can start this, as far as the first page shows: Xen is a Multiboot image in
/// a 32-bit ELF file (Multiboot 0.6.96, 3.1: the header lies in the first 8 KiB, aligned to 4).
fn check(bytes: &[u8]) -> Result<(), &'static str> {
    const MULTIBOOT: [u8; 4] = 0x1bad_b002_u32.to_le_bytes();
    const CLASS_32: u8 = 1;
    if !bytes.starts_with(b"\x7fELF") {
        return Err("this is not an ELF file; name Xen itself (xen, or xen-*.gz, not xen-*.efi)");
    }
    let mut words = bytes[..bytes.len().min(8192)].chunks_exact(4);
    if bytes.get(4) != Some(&CLASS_32) || !words.any(|word| word == MULTIBOOT) {
        return Err(
            "this is an ELF file, but no Xen; the kernel to boot is named without an option",
        );
    }
    Ok(())
}

/// What gzip makes of the file, if that is no more than [`LARGEST`]; `None` if it refuses.
fn unpack(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let mut command = Command::new("gzip");
    command.arg("-dc").stdin(
        File::open(path).map_err(|error| Failure::tool(format!("{}: {error}", path.shown())))?,
    );
    let about =
        |failure: Failure| Failure { message: format!("{}: {failure}", path.shown()), ..failure };
    let outcome = limits::run(&mut command, Duration::from_secs(60), LARGEST).map_err(about)?;
    Ok(outcome.is_success().then_some(outcome.stdout))
}

/// Boots and judges.
pub fn run(
    host: &Host,
    boot: &Boot,
    filter: &mut dyn Filter,
    stdout: Output,
) -> Result<(Outcome, (Status, String)), Failure> {
    let unreadable = |error| Failure::tool(format!("{}: {error}", boot.image.shown()));
    let kernel = Module::open(boot.booted).map_err(unreadable)?;
    let module = boot.module.map(|path| {
        Module::open(path).map_err(|error| Failure::tool(format!("{}: {error}", path.shown())))
    });
    // Both are open until QEMU has ended.
    let module = module.transpose()?;
    let mut command = command(host, boot, &kernel, module.as_ref());
    if boot.verbose {
        say!("running: {}", words(&command));
    }
    let places = Places::new(boot.image);
    let console = Console::new(boot.verbose);
    let mut listener = Listener { console, completer: Completer::new(&places, filter) };
    let outcome = boot.watch(&mut command, &mut listener, stdout, Output::Inherit)?;
    let verdict = judge(boot, &outcome, &listener.console);
    Ok((outcome, verdict))
}

fn command(host: &Host, boot: &Boot, kernel: &Module, module: Option<&Module>) -> Command {
    let guest = boot.memory_mib;
    let memory = guest.saturating_add(guest / PARTS_FOR_XEN).saturating_add(XEN_MIB);
    let mut command = Command::new(&host.qemu);
    command.stdin(Stdio::null());
    command.args(["-machine", "q35", "-accel", "tcg", "-cpu", "EPYC,-smap,-monitor"]);
    command.args(["-m", &memory.to_string(), "-smp", "1"]);
    command.args(["-nodefaults", "-no-user-config", "-no-reboot"]);
    command.args(["-display", "none", "-monitor", "none", "-serial", "stdio"]);
    command.arg("-kernel");
    match &host.xen {
        Image::Path(path) => command.arg(path),
        Image::Unpacked(file) => command.arg(inherited(file)),
    };
    // Xen's first module is its first guest, and the second that guest's own.
    let mut modules = kernel.argument(boot.command_line);
    if let Some(module) = module {
        modules.push(",");
        modules.push(module.argument(OsStr::new("")));
    }
    command.arg("-initrd").arg(modules);
    command.arg("-append").arg(format!(
        "console=com1 com1=115200 dom0=pvh dom0-iommu=none dom0_mem={guest}M,max:{guest}M \
         dom0_max_vcpus=1 spec-ctrl=no cpuidle=0 noreboot guest_loglvl=all"
    ));
    command.args(boot.extra);
    command
}

/// A file as QEMU hands it to Xen. QEMU cuts the argument at commas, which can be doubled, and at
/// the first space, which cannot be helped: a path with one is opened here and named by number.
enum Module {
    Path(OsString),
    Open(File),
}

impl Module {
    fn open(path: &Path) -> io::Result<Module> {
        let name = path.as_os_str();
        match name.as_encoded_bytes().contains(&b' ') {
            false => Ok(Module::Path(name.to_owned())),
            true => File::open(path).map(Module::Open),
        }
    }

    fn argument(&self, command_line: &OsStr) -> OsString {
        let mut argument = match self {
            Module::Path(path) => path.clone(),
            Module::Open(file) => inherited(file),
        };
        if !command_line.is_empty() {
            argument.push(" ");
            argument.push(command_line);
        }
        let doubled = argument
            .as_encoded_bytes()
            .iter()
            .flat_map(|&byte| std::iter::repeat_n(byte, if byte == b',' { 2 } else { 1 }));
        use std::os::unix::ffi::OsStringExt;
        OsString::from_vec(doubled.collect())
    }
}

/// The name of an open file for a child, which inherits it.
pub fn inherited(file: &File) -> OsString {
    let number = file.as_raw_fd();
    // SAFETY: two integers for a file descriptor that `file` holds open; only the flag that closes it
    // in children is cleared, so nothing of ours changes.
    unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
    format!("/dev/fd/{number}").into()
}

/// The verdict, of three witnesses: the kernel's last line, Xen's log, and QEMU's end.
fn judge(boot: &Boot, outcome: &Outcome, console: &Console) -> (Status, String) {
    let log = &console.log;
    if let Some((status, message)) = boot.judge_stop(outcome) {
        let said_nothing = status == Status::Timeout && outcome.stdout.is_empty() && log.is_xen;
        return match said_nothing {
            true => {
                (status, format!("{message}; Xen's last lines:\n{}", tail(log.text().as_bytes())))
            }
            false => (status, message),
        };
    }
    let (status, message) = match (log.end, console.verdict) {
        (Some(End::Panic), _) if !log.is_up && !log.has_nested_paging => {
            let message = "this QEMU has no processor that Xen can run the kernel on: it takes SVM with \
                           nested paging (the model EPYC of QEMU 5.0 or newer)";
            return (Status::Tool, format!("{message}\n  xen: {}", log.panic));
        }
        (Some(End::Panic), _) => (Status::Tool, format!("Xen panicked: {}", log.panic)),
        (Some(End::PowerOff), Some(Word::Success)) => return (Status::Success, String::new()),
        (Some(_), Some(Word::Failure)) => {
            return (Status::Failed, "the kernel reported failure".into());
        }
        (Some(_), Some(Word::Crash)) => {
            return (Status::Crash, "the kernel crashed; its report is above".into());
        }
        (Some(end), Some(Word::Success)) => {
            let message =
                format!("the kernel reported success, but to Xen its end was {}", name(end));
            (Status::Crash, message)
        }
        (Some(end), Some(Word::Other) | None) => {
            let cause = if log.triple_fault { "a triple fault" } else { name(end) };
            (Status::Crash, format!("the kernel ended without a verdict: {cause}"))
        }
        (None, _) => return judge_end_of_qemu(outcome, console),
    };
    // What Xen printed about it, registers perhaps.
    let about: Vec<_> =
        log.lines.iter().skip_while(|line| !line.ends_with("init memory")).skip(1).collect();
    let about: String = about.iter().map(|line| format!("\n  xen: {line}")).collect();
    (status, format!("{message}{about}"))
}

/// QEMU ended before Xen's log did.
fn judge_end_of_qemu(outcome: &Outcome, console: &Console) -> (Status, String) {
    let Ending::Ended(status) = outcome.ending else {
        return (Status::Tool, "Xen's log ended in an unknown way".into());
    };
    // QEMU warns of each feature of the processor that it does not emulate.
    let stderr = String::from_utf8_lossy(&outcome.stderr);
    let complaints: Vec<_> = stderr.lines().filter(|line| !line.contains("warning: ")).collect();
    let complaint = prefixed(complaints.join("\n").as_bytes());
    let log = &console.log;
    match status.code() {
        Some(0) if complaint.contains("terminating on signal") => {
            (Status::Tool, format!("QEMU was stopped from outside{complaint}"))
        }
        Some(0) if log.is_up => {
            let message =
                "the machine went off under Xen, which says nothing of it: a reset by the kernel";
            (Status::Crash, format!("{message}{complaint}"))
        }
        Some(0) if log.is_xen => {
            let lines = tail(log.text().as_bytes());
            (Status::Tool, format!("Xen ended before it started the kernel:\n{lines}{complaint}"))
        }
        Some(1) if !log.is_xen => (Status::Tool, format!("QEMU could not start Xen{complaint}")),
        _ => (Status::Tool, format!("QEMU {}, which is no verdict{complaint}", describe(status))),
    }
}

fn name(end: End) -> &'static str {
    match end {
        End::PowerOff => "a power-off",
        End::Reboot => "a reboot",
        End::Crash => "a crash",
        End::Watchdog => "its watchdog",
        End::Panic => "a panic of Xen's",
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn host() -> Host {
        Host { qemu: "qemu".into(), xen: Image::Path("xen".into()) }
    }

    fn boot(command_line: &OsStr) -> Boot<'_> {
        let (image, limit) = (Path::new("k,1"), None);
        let (booted, module, memory_mib) = (image, None, 64);
        Boot { image, booted, command_line, module, memory_mib, extra: &[], limit, verbose: false }
    }

    #[test]
    fn the_guest_gets_its_memory_and_its_commas() {
        let host = &host();
        let boot = boot(OsStr::new("a=1,2 \"b c\""));
        let open = |path| Module::open(path).expect("nothing is opened");
        let module = open(Path::new("m,1"));
        let command = command(host, &boot, &open(boot.booted), Some(&module));
        let arguments: Vec<_> = command.get_args().collect();
        assert!(arguments.contains(&OsStr::new("k,,1 a=1,,2 \"b c\",m,,1")), "{arguments:?}");
        assert!(arguments.contains(&OsStr::new("322")), "64 and 256 and a part: {arguments:?}");
    }

    #[test]
    fn three_witnesses_give_a_verdict() {
        const UP: &str = "(XEN) Freed 656kB init memory\n";
        const GOOD: &str = "\x1efreestone verdict: success \n";
        const BAD: &str = "\x1efreestone verdict: failure \n";
        const OFF: &str = "(XEN) Hardware Dom0 halted: halting machine\n";
        const CRASHED: &str = "(XEN) Hardware Dom0 crashed: 'noreboot' set - not rebooting.\n";
        const REBOOT: &str = "(XEN) Hardware Dom0 shutdown: rebooting machine\n";
        const PANIC: &str = "(XEN) HVM: Hardware Assisted Paging (HAP) detected\n\
                             (XEN) Panic on CPU 0:\n(XEN) FATAL TRAP\n(XEN) Reboot in five seconds...\n";
        let boot = boot(OsStr::new(""));
        for (lines, ending, stderr, status, text) in [
            (&[UP, GOOD, OFF][..], None, "", Status::Success, ""),
            (&[UP, BAD, CRASHED], None, "", Status::Failed, "reported failure"),
            (&[UP, GOOD, CRASHED], None, "", Status::Crash, "to Xen its end was a crash"),
            (&[UP, GOOD, REBOOT], Some(0), "", Status::Crash, "to Xen its end was a reboot"),
            (&[UP, OFF], None, "", Status::Crash, "without a verdict: a power-off"),
            (&[UP, CRASHED], None, "", Status::Crash, "without a verdict: a crash"),
            (&[UP], Some(0), "", Status::Crash, "a reset by the kernel"),
            (&[UP, GOOD], Some(0), "", Status::Crash, "a reset by the kernel"),
            (&[UP, PANIC], None, "", Status::Tool, "Xen panicked: FATAL TRAP"),
            (&[UP, GOOD, PANIC], None, "", Status::Tool, "Xen panicked: FATAL TRAP"),
            (&["(XEN) hm\n"], Some(0), "", Status::Tool, "before it started the kernel"),
            (
                &[],
                Some(256),
                "warning: \nno such CPU",
                Status::Tool,
                "start Xen\n  qemu: no such CPU",
            ),
            (&[UP], Some(0), "terminating on signal 15", Status::Tool, "stopped from outside"),
            (&[UP], Some(9), "", Status::Tool, "was killed by signal 9"),
        ] {
            let mut console = Console::new(false);
            let mut stdout = Vec::new();
            console.take(lines.concat().as_bytes(), &mut stdout);
            let ended = |raw| Ending::Ended(ExitStatus::from_raw(raw));
            let outcome = Outcome {
                ending: ending.map_or(Ending::Enough, ended),
                stdout,
                stderr: stderr.into(),
                wall: Duration::ZERO,
            };
            let (got, message) = judge(&boot, &outcome, &console);
            assert_eq!(got, status, "{lines:?}: {message}");
            assert!(message.contains(text), "{lines:?}: {message}");
        }
    }

    #[test]
    fn a_file_that_is_no_xen_is_told_what_it_is() {
        let mut xen = vec![0; 9000];
        xen[..5].copy_from_slice(b"\x7fELF\x01");
        assert!(check(&xen).is_err_and(|why| why.contains("but no Xen")));
        xen[8184..8188].copy_from_slice(&0x1bad_b002_u32.to_le_bytes());
        assert_eq!(check(&xen), Ok(()));
        xen[4] = 2;
        assert!(check(&xen).is_err());
        assert!(check(b"").is_err() && check(b"\x7fELF").is_err() && check(b"MZ").is_err());
    }
}
