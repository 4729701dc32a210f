//! What a guest did, counted by QEMU: instructions and device accesses by a plugin, interrupts by its trace.

use std::path::PathBuf;
use std::process::Command;

use crate::{Result, packages, sandbox};

/// What a guest has done since it started.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Instructions that began to execute.
    pub instructions: u64,
    /// Writes to device registers outside the local APIC. While a load runs these are doorbells.
    pub device_writes: u64,
    /// Reads of device registers.
    pub device_reads: u64,
    /// Accesses to the local APIC: the end of an interrupt, the timer.
    pub apic: u64,
    /// Interrupts that the virtio devices raised.
    pub interrupts: u64,
}

impl Counts {
    /// What was done after `before`.
    pub fn since(&self, before: &Counts) -> Counts {
        Counts {
            instructions: self.instructions - before.instructions,
            device_writes: self.device_writes - before.device_writes,
            device_reads: self.device_reads - before.device_reads,
            apic: self.apic - before.apic,
            interrupts: self.interrupts - before.interrupts,
        }
    }
}

fn plugin() -> PathBuf {
    packages::cache().join("counter.so")
}

/// Compiles the plugin.
pub fn build() -> Result<()> {
    let status = Command::new("gcc")
        .args([
            "-O2",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-fPIC",
            "-shared",
            "-fvisibility=hidden",
            "-o",
        ])
        .arg(plugin())
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/counter/counter.c"))
        .status()
        .map_err(|error| format!("gcc: {error}"))?;
    if status.success() { Ok(()) } else { Err("the plugin does not compile".into()) }
}

/// The files through which one QEMU tells its counts.
pub struct Files {
    counts: PathBuf,
    trace: PathBuf,
}

impl Files {
    /// Fresh ones; one QEMU at a time may have them.
    pub fn new() -> Result<Files> {
        let files = Files {
            counts: sandbox::scratch().join("counts"),
            trace: sandbox::scratch().join("trace"),
        };
        std::fs::write(&files.counts, [])?;
        std::fs::write(&files.trace, [])?;
        Ok(files)
    }

    /// What QEMU must be told.
    pub fn arguments(&self) -> Vec<String> {
        let plugin = format!("{},out={}", plugin().display(), self.counts.display());
        ["-plugin", &plugin, "-trace", "virtio_notify*", "-D", &self.trace.to_string_lossy()]
            .map(String::from)
            .into()
    }

    /// The counts now.
    pub fn read(&self) -> Result<Counts> {
        let bytes = std::fs::read(&self.counts)?;
        let (words, _) = bytes.as_chunks::<8>();
        let &[instructions, device_writes, device_reads, apic] = words else {
            return Err("the plugin does not count".into());
        };
        let trace = std::fs::read(&self.trace)?;
        let interrupts =
            trace.split(|&byte| byte == b'\n').filter(|line| is_notification(line)).count() as u64;
        let [instructions, device_writes, device_reads, apic] =
            [instructions, device_writes, device_reads, apic].map(u64::from_le_bytes);
        Ok(Counts { instructions, device_writes, device_reads, apic, interrupts })
    }
}

/// A line is the event's name, in some versions after a process id and a time. There are two events: a device whose queues
/// are served through event descriptors, as the disk's, raises its interrupts by `virtio_notify_irqfd` only.
fn is_notification(line: &[u8]) -> bool {
    let names: [&[u8]; 2] = [b"virtio_notify ", b"virtio_notify_irqfd "];
    names.iter().any(|name| line.windows(name.len()).any(|part| part == *name))
}
