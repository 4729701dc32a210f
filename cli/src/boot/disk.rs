//! `--disk`: raw files as disks of a machine. What is wrong with a file is found before QEMU starts, and before a build.
//!
//! Source of the option's form: QEMU's manual, qemu(1), `-blockdev`; a comma in a value is doubled there.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::foreign::Shown as _;
use crate::shell;
use crate::status::Failure;

/// The unit of a virtio disk (VIRTIO 1.2, 5.2.4).
const SECTOR_BYTES: u64 = 512;

/// What files begin with that are no raw disks, and their formats (QEMU, docs/interop/qcow2.txt and the like).
const FORMATS: [(&[u8], &str); 4] =
    [(b"QFI\xfb", "qcow2"), (b"KDMV", "vmdk"), (b"conectix", "vpc"), (b"vhdxfile", "vhdx")];

/// A file as a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    pub file: PathBuf,
    pub is_read_only: bool,
}

impl Disk {
    /// `FILE`, or `FILE,ro`. A file whose own name ends so is named with `,rw` behind.
    pub fn parse(text: &OsStr) -> Self {
        let bytes = text.as_bytes();
        let (file, is_read_only) = match (bytes.strip_suffix(b",ro"), bytes.strip_suffix(b",rw")) {
            (Some(file), _) => (file, true),
            (_, Some(file)) => (file, false),
            _ => (bytes, false),
        };
        Self { file: OsStr::from_bytes(file).into(), is_read_only }
    }

    /// As `--disk` takes it.
    pub fn word(&self) -> OsString {
        let end: &[u8] = if self.is_read_only { b",ro" } else { b",rw" };
        OsString::from_vec([self.file.as_os_str().as_bytes(), end].concat())
    }

    /// Refuses what is no disk, with what to do.
    fn check(&self) -> Result<(u64, u64), String> {
        if self.file.as_os_str().is_empty() {
            return Err("it wants the path of a file".into());
        }
        let typed =
            String::from_utf8_lossy(&shell::quoted(self.file.as_os_str().as_bytes())).into_owned();
        // Looked at before it is opened: opening a FIFO would wait for its other end.
        let about = fs::metadata(&self.file).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                format!("there is no such file; `truncate -s 64M {typed}` makes an empty disk")
            }
            _ => error.to_string(),
        })?;
        if about.is_dir() {
            return Err("this is a directory; a disk is a file".into());
        }
        if !about.is_file() {
            return Err("this is not a regular file; a disk is one".into());
        }
        let len = about.len();
        if len == 0 {
            return Err(format!("this file is empty; `truncate -s 64M {typed}` makes it a disk"));
        }
        if !len.is_multiple_of(SECTOR_BYTES) {
            let next = len.next_multiple_of(SECTOR_BYTES);
            return Err(format!(
                "this file has {len} bytes, and a disk a multiple of {SECTOR_BYTES}; `truncate -s {next} {typed}` adds zeros"
            ));
        }
        let mut begin = [0; 8];
        let read = File::open(&self.file).and_then(|mut file| file.read_exact(&mut begin));
        read.map_err(|error| format!("it cannot be read: {error}"))?;
        if let Some((_, format)) = FORMATS.iter().find(|(magic, _)| begin.starts_with(magic)) {
            return Err(format!(
                "this is an image of the format {format}, and not a raw disk; `qemu-img convert -O raw {typed} disk.img` makes one"
            ));
        }
        if !self.is_read_only
            && let Err(error) = OpenOptions::new().write(true).open(&self.file)
        {
            return Err(format!(
                "it cannot be written: {error}; put ,ro behind it to only read it"
            ));
        }
        Ok((about.dev(), about.ino()))
    }
}

/// Refuses what are no disks, or not all at once.
pub fn check(all: &[Disk]) -> Result<(), Failure> {
    let mut known: Vec<((u64, u64), &Disk)> = Vec::new();
    for disk in all {
        let refuse = |why: String| Failure::usage(format!("--disk {}: {why}", disk.file.shown()));
        let file = disk.check().map_err(refuse)?;
        let same = known.iter().find(|(other, _)| *other == file);
        if same.is_some_and(|(_, other)| !(disk.is_read_only && other.is_read_only)) {
            return Err(refuse("this file is given twice; that needs ,ro behind both".into()));
        }
        known.push((file, disk));
    }
    Ok(())
}

/// What QEMU is told; `bus` is what devices end with there.
pub fn arguments(all: &[Disk], bus: &str) -> Vec<OsString> {
    let one = |(number, disk): (usize, &Disk)| {
        let access = if disk.is_read_only { "on" } else { "off" };
        let mut node = OsString::from(format!(
            "driver=raw,node-name=freestone-disk{number},read-only={access},file.driver=file,file.filename="
        ));
        node.push(value(&disk.file));
        let device = format!("virtio-blk-{bus},drive=freestone-disk{number}");
        ["-blockdev".into(), node, "-device".into(), device.into()]
    };
    all.iter().enumerate().flat_map(one).collect()
}

/// A path as a value in a list of QEMU's.
pub fn value(path: &Path) -> OsString {
    let parts: Vec<_> = path.as_os_str().as_bytes().split(|byte| *byte == b',').collect();
    OsString::from_vec(parts.join(&b",,"[..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(text: &str) -> Disk {
        Disk::parse(OsStr::new(text))
    }

    #[test]
    fn the_end_of_a_name_says_how_it_is_used() {
        for (text, file, is_read_only) in [
            ("a.img", "a.img", false),
            ("a.img,ro", "a.img", true),
            ("a,b=c.img,rw", "a,b=c.img", false),
            ("a,ro,rw", "a,ro", false),
            ("a,ro,ro", "a,ro", true),
            ("a,rO", "a,rO", false),
            (",ro", "", true),
        ] {
            let got = disk(text);
            assert_eq!((got.file.to_str(), got.is_read_only), (Some(file), is_read_only), "{text}");
            assert_eq!(Disk::parse(&got.word()), got, "{text}");
        }
    }

    #[test]
    fn commas_are_doubled_for_qemu_and_nothing_else() {
        let words = arguments(&[disk("a,b=c d.img"), disk("e,,ro")], "pci");
        let first = "driver=raw,node-name=freestone-disk0,read-only=off,file.driver=file,file.filename=a,,b=c d.img";
        let second =
            "driver=raw,node-name=freestone-disk1,read-only=on,file.driver=file,file.filename=e,,";
        let device = |number| format!("virtio-blk-pci,drive=freestone-disk{number}");
        assert_eq!(
            words,
            ["-blockdev", first, "-device", &device(0), "-blockdev", second, "-device", &device(1)]
        );
    }
}
