//! A guest in QEMU: its start, its end, and what it costs.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::counters::{Counts, Files};
use crate::load::disk;
use crate::sandbox::{GUEST_MAC, TAP};
use crate::{Result, initramfs, packages, sandbox};

/// The line that a guest prints when its services answer begins with this.
const UP: &str = "listening";
/// How long a boot may take: a Linux guest that is counted took 8 to 15 s with a load of 2.
const BOOT: Duration = Duration::from_secs(120);
/// For all peers, in the form of Linux' kernel parameter.
const ADDRESS: &str = "ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off";
/// No mitigations, no log, no voluntary preemption, no second clock that watches the first; the clock is the TSC.
const LINUX: &str = "console=ttyS0 quiet mitigations=off preempt=none tsc=reliable nowatchdog audit=0 cpuidle.off=1 random.trust_cpu=on";

/// Something to boot.
pub struct Peer {
    /// How the tables call it.
    pub name: String,
    image: PathBuf,
    initramfs: Option<PathBuf>,
    command_line: String,
}

impl Peer {
    /// Debian's Linux with our programs, and `more` on its command line.
    ///
    /// # Errors
    ///
    /// It has not been prepared.
    pub fn linux(more: &str) -> Result<Peer> {
        let image = packages::kernel_image()?;
        let version =
            image.file_name().unwrap_or_default().to_string_lossy().replace("vmlinuz-", "Linux ");
        let command_line = format!("{LINUX} {ADDRESS} {more}");
        Ok(Peer {
            name: version.replace("-cloud-amd64", ""),
            image,
            initramfs: Some(initramfs::path()),
            command_line,
        })
    }

    /// An ELF file that `-kernel` boots.
    pub fn kernel(name: &str, image: &Path) -> Peer {
        Peer {
            name: name.into(),
            image: image.into(),
            initramfs: None,
            command_line: ADDRESS.into(),
        }
    }

    /// Its size in bytes, the initial file system included.
    pub fn bytes(&self) -> Result<u64> {
        let rest =
            self.initramfs.as_ref().map_or(Ok(0), |path| path.metadata().map(|data| data.len()))?;
        Ok(self.image.metadata()?.len() + rest)
    }
}

/// A running guest. It ends when this is dropped.
pub struct Guest {
    name: String,
    qemu: Child,
    files: Option<Files>,
}

impl Guest {
    /// Starts QEMU and waits until the guest says that it listens.
    ///
    /// # Errors
    ///
    /// QEMU does not start, or the guest ends or stays silent; the error has its last lines.
    pub fn boot(peer: &Peer, machine: &str, files: Option<Files>) -> Result<Guest> {
        let image = sandbox::scratch().join("disk");
        if !image.exists() {
            disk::write_image(&image)?;
        }
        let bus = if machine == "microvm" { "device" } else { "pci" };
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args([
            "-machine",
            machine,
            "-accel",
            "tcg",
            "-cpu",
            "max",
            "-m",
            "256",
            "-nodefaults",
        ])
        .args(["-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"])
        .args(["-netdev", &format!("tap,id=net,ifname={TAP},script=no,downscript=no")])
        .args(["-device", &format!("virtio-net-{bus},netdev=net,mac={GUEST_MAC}")])
        .args([
            "-drive",
            &format!("if=none,id=disk,format=raw,readonly=on,file={}", image.display()),
        ])
        .args(["-device", &format!("virtio-blk-{bus},drive=disk")])
        .arg("-kernel")
        .arg(&peer.image);
        qemu.args(["-append", &peer.command_line]);
        if let Some(path) = &peer.initramfs {
            qemu.arg("-initrd").arg(path);
        }
        qemu.args(files.iter().flat_map(Files::arguments));
        let qemu = qemu.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let qemu = qemu.map_err(|error| format!("qemu-system-x86_64: {error}"))?;
        let mut guest = Guest { name: peer.name.clone(), qemu, files };
        guest.wait_until_up()?;
        Ok(guest)
    }

    fn wait_until_up(&mut self) -> Result<()> {
        let output = BufReader::new(self.qemu.stdout.take().expect("it is piped"));
        let (sender, lines) = mpsc::channel();
        // It goes on reading after the line has come: a guest whose console is full would stop.
        std::thread::spawn(move || {
            for line in output.split(b'\n').map_while(std::result::Result::ok) {
                let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        let (deadline, mut seen) = (Instant::now() + BOOT, Vec::new());
        let why = loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.starts_with(UP) => return Ok(()),
                Ok(line) => seen.push(line.escape_debug().to_string()),
                Err(RecvTimeoutError::Timeout) => break "did not come up in time",
                Err(RecvTimeoutError::Disconnected) => break "ended",
            }
        };
        let last = seen[seen.len().saturating_sub(20)..].join("\n");
        Err(format!("{} {why}; its last lines:\n{last}", self.name).into())
    }

    /// The peer's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the guest has done so far.
    ///
    /// # Errors
    ///
    /// It was not booted to be counted.
    pub fn counts(&self) -> Result<Counts> {
        self.files.as_ref().ok_or("this boot is not counted")?.read()
    }

    /// The processor time of all of QEMU's threads so far, in user and kernel mode; it advances in steps of 10 ms.
    pub fn processor_time(&self) -> Result<Duration> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.qemu.id()))?;
        let ticks = parse_ticks(&text).ok_or("/proc/PID/stat has another form")?;
        Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
    }
}

/// The unit of times in `/proc`, USER_HZ, is the same on all x86 kernels.
const TICKS_PER_SECOND: u64 = 100;

/// Fields 14 and 15, utime and stime, of proc(5)'s stat; the second field, in parentheses, may have spaces.
fn parse_ticks(text: &str) -> Option<u64> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn processor_time_is_fields_14_and_15_whatever_the_name() {
        let text = "17 (a b) c) S 1 17 17 0 -1 4194304 100 0 0 0 250 31 0 0 20 0 1 0 12 1 2";
        assert_eq!(super::parse_ticks(text), Some(281));
        assert_eq!(super::parse_ticks("17 (a) S 1"), None);
    }
}
