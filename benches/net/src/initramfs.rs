//! The Linux guest's initial file system: one static program and the modules of its devices.
//!
//! It is a cpio archive in the form that the kernel's documentation calls "newc" (Documentation/driver-api/early-userspace/
//! buffer-format.rst): a header of hexadecimal numbers for each file, name and contents padded to four bytes.

use std::path::PathBuf;
use std::process::Command;

use crate::{Result, packages};

/// In the order in which they must be loaded: each after those it depends on.
const MODULES: [&str; 9] = [
    "drivers/virtio/virtio_ring.ko",
    "drivers/virtio/virtio.ko",
    "drivers/virtio/virtio_pci_legacy_dev.ko",
    "drivers/virtio/virtio_pci_modern_dev.ko",
    "drivers/virtio/virtio_pci.ko",
    "net/core/failover.ko",
    "drivers/net/net_failover.ko",
    "drivers/net/virtio_net.ko",
    "drivers/block/virtio_blk.ko",
];

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;
/// The console's numbers, 5 and 1, by Documentation/admin-guide/devices.txt.
const CONSOLE: (u32, u32) = (5, 1);

/// The archive.
pub fn path() -> PathBuf {
    packages::cache().join("initramfs.cpio")
}

/// Compiles the guest's program and packs the archive. Takes a second, so it is always done.
pub fn build() -> Result<()> {
    let program = packages::cache().join("init");
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/linux");
    let files = ["init.c", "http.c", "stream.c", "disk.c"].map(|name| format!("{sources}/{name}"));
    let status = Command::new("gcc")
        .args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o"])
        .arg(&program)
        .args(files)
        .status()
        .map_err(|error| format!("gcc: {error}"))?;
    if !status.success() {
        return Err("the Linux guest's program does not compile".into());
    }
    let mut archive = Vec::new();
    for folder in ["proc", "sys", "dev", "modules"] {
        append(&mut archive, folder, DIRECTORY, (0, 0), &[]);
    }
    append(&mut archive, "dev/console", CHARACTER_DEVICE, CONSOLE, &[]);
    append(&mut archive, "init", PROGRAM, (0, 0), &std::fs::read(program)?);
    let modules = packages::modules()?;
    for (index, name) in MODULES.iter().enumerate() {
        let contents =
            std::fs::read(modules.join(name)).map_err(|error| format!("{name}: {error}"))?;
        let file = name.rsplit('/').next().unwrap_or(name);
        append(&mut archive, &format!("modules/{index:02}-{file}"), PROGRAM, (0, 0), &contents);
    }
    append(&mut archive, "TRAILER!!!", 0, (0, 0), &[]);
    std::fs::write(path(), archive)?;
    Ok(())
}

/// Appends one file.
fn append(archive: &mut Vec<u8>, name: &str, mode: u32, device: (u32, u32), contents: &[u8]) {
    // Files with one link each may share a number; the offset is a different one for each anyway.
    let number = archive.len() as u32;
    let size = u32::try_from(contents.len()).expect("less than 4 GiB");
    let fields =
        [number, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name.len() as u32 + 1, 0];
    archive.extend_from_slice(b"070701");
    for field in fields {
        archive.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    archive.extend_from_slice(name.as_bytes());
    archive.push(0);
    pad(archive);
    archive.extend_from_slice(contents);
    pad(archive);
}

fn pad(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::append;

    #[test]
    fn a_file_has_its_header_and_begins_and_ends_at_multiples_of_four() {
        let mut archive = Vec::new();
        append(&mut archive, "init", 0o100_755, (0, 0), b"abcde");
        assert_eq!(&archive[..6], b"070701");
        assert_eq!(&archive[6 + 8..6 + 16], b"000081ED");
        assert_eq!(&archive[6 + 6 * 8..6 + 7 * 8], b"00000005");
        // The header has 110 bytes, the name with its zero 5: the contents begin at 116.
        assert_eq!(&archive[110..116], b"init\0\0");
        assert_eq!(&archive[116..], b"abcde\0\0\0");
    }
}
