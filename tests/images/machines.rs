//! Machines that boot an image and whose serial port is a file: QEMU's with its firmwares, and Bochs, which is stricter than QEMU.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use freestone_tests::{Scratch, run};

/// For one boot, on a machine that others use too.
const SECONDS: u64 = 120;

/// A program on PATH or where distributions keep those of the administrator.
pub fn is_here(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// UEFI's firmware for QEMU; `None`, with a message, if there is none.
pub fn ovmf() -> Option<&'static str> {
    const FILE: &str = "/usr/share/ovmf/OVMF.fd";
    if Path::new(FILE).is_file() {
        return Some(FILE);
    }
    println!("SKIPPED: no UEFI firmware. On Debian: apt-get install ovmf");
    None
}

/// A machine of QEMU's without a device that takes the verdict.
pub struct Machine {
    command: Command,
}

pub fn qemu(machine: &str) -> Machine {
    let program = env::var_os("FREESTONE_QEMU").filter(|name| !name.is_empty());
    let mut command = Command::new("timeout");
    command.arg(SECONDS.to_string()).arg(program.unwrap_or("qemu-system-x86_64".into()));
    command.args(["-M", machine, "-accel", "tcg", "-cpu", "max", "-m", "256", "-nodefaults"]);
    command.args(["-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"]);
    Machine { command }
}

impl Machine {
    pub fn arg(mut self, option: &str, value: impl AsRef<OsStr>) -> Machine {
        self.command.arg(option).arg(value);
        self
    }

    /// What comes over the serial port until the machine powers itself off.
    #[track_caller]
    pub fn run(mut self) -> String {
        let ended = run(self.command.stdin(Stdio::null()));
        assert_eq!(ended.status, Some(0), "it did not power off: {ended}");
        ended.stdout.replace('\r', "")
    }

    /// Runs it until it says this.
    #[track_caller]
    pub fn run_until(mut self, wanted: &str) {
        struct Ending(Child);
        impl Drop for Ending {
            fn drop(&mut self) {
                // Fails if it has ended, which is what this wants. `timeout` takes QEMU with it.
                let _ = Command::new("kill").arg(self.0.id().to_string()).status();
                let _ = self.0.wait();
            }
        }
        let scratch = Scratch::new("images-until");
        let path = scratch.path().join("serial");
        let file = fs::File::create(&path).expect("a file");
        let child = self.command.stdin(Stdio::null()).stdout(file).spawn().expect("timeout starts");
        let mut ending = Ending(child);
        let mut said = String::new();
        for _ in 0..SECONDS * 10 {
            said = String::from_utf8_lossy(&fs::read(&path).expect("a file")).into_owned();
            if said.contains(wanted) {
                return;
            }
            let end = ending.0.try_wait().expect("it is our child");
            assert_eq!(end, None, "it ended before it said {wanted:?}:\n{said}");
            sleep(Duration::from_millis(100));
        }
        panic!("{wanted:?} was not said, but:\n{said}");
    }
}

/// Bochs with its own firmware.
pub struct Bochs {
    bios: &'static str,
    vga: PathBuf,
}

/// `None`, with a message, if it is not installed.
pub fn bochs() -> Option<Bochs> {
    const BIOS: &str = "/usr/share/bochs/BIOS-bochs-latest";
    let vga = PathBuf::from("/usr/share/bochs/VGABIOS-lgpl-latest");
    let programs = ["bochs", "script"];
    if Path::new(BIOS).is_file() && vga.is_file() && programs.iter().all(|name| is_here(name)) {
        return Some(Bochs { bios: BIOS, vga });
    }
    println!("SKIPPED: no Bochs. On Debian: apt-get install bochs bochsbios vgabios bochs-term");
    None
}

impl Bochs {
    /// What comes over the serial port until the machine powers itself off, which ends Bochs. The debugger that is built into
    /// Debian's wants to be told to go on, and its display wants a terminal.
    pub fn run(&self, scratch: &Scratch, cd: &Path) -> String {
        let Bochs { bios, vga } = self;
        let configuration = format!(
            "megs: 128\nromimage: file={bios}\nvgaromimage: file={}\n\
             ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14\n\
             ata0-master: type=cdrom, path={}, status=inserted\nboot: cdrom\n\
             com1: enabled=1, mode=file, dev=serial\n\
             cpu: model=corei7_haswell_4770, count=1, ips=50000000, reset_on_triple_fault=0\n\
             log: log\npanic: action=fatal\ndisplay_library: term\nclock: sync=none\n",
            vga.display(),
            cd.display()
        );
        scratch.write("bochsrc", &configuration);
        scratch.write("go-on", "c\n");
        let mut command = Command::new("timeout");
        command.arg(SECONDS.to_string()).args(["script", "-qec"]);
        command.args(["bochs -q -f bochsrc -rc go-on", "/dev/null"]);
        command.current_dir(scratch.path()).env("TERM", "xterm").stdin(Stdio::null());
        let ended = run(&mut command);
        let serial = fs::read(scratch.path().join("serial"));
        let log = fs::read_to_string(scratch.path().join("log")).unwrap_or_default();
        assert!(log.contains("soft power off"), "{ended}\n{log}");
        String::from_utf8_lossy(&serial.expect("a file")).replace('\r', "")
    }
}
