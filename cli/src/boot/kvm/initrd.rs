//! The files that Linux starts with: archives in cpio's "newc" form.
//!
//! Linux takes several, one behind the other (its Documentation/driver-api/early-userspace/buffer-format.rst describes
//! the form). So what every boot has is written once, and what one boot has is added behind a copy.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;

/// Files and folders are padded to this many bytes.
const ALIGNMENT: usize = 4;

/// Writes one archive.
pub struct Archive<W> {
    out: W,
    folders: BTreeSet<PathBuf>,
    entries: u32,
}

impl<W: Write> Archive<W> {
    /// An archive without entries.
    pub fn new(out: W) -> Archive<W> {
        Archive { out, folders: BTreeSet::new(), entries: 0 }
    }

    /// Adds a folder, after those it is in.
    pub fn folder(&mut self, path: &Path) -> io::Result<()> {
        let outside_in: Vec<_> = path.ancestors().collect();
        for folder in outside_in.into_iter().rev().map(inside) {
            if !folder.as_os_str().is_empty() && self.folders.insert(folder.to_owned()) {
                self.entry(folder, DIRECTORY, &[])?;
            }
        }
        Ok(())
    }

    /// Adds a file, which may be executed, and the folders it is in.
    pub fn file(&mut self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.folder(path.parent().unwrap_or(Path::new("")))?;
        self.entry(inside(path), PROGRAM, content)
    }

    /// The end of the archive.
    pub fn finish(mut self) -> io::Result<W> {
        self.entry(Path::new("TRAILER!!!"), 0, &[])?;
        Ok(self.out)
    }

    fn entry(&mut self, path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
        let name = path.as_os_str().as_encoded_bytes();
        let too_long = |_| io::Error::other("more than an archive can hold");
        let size = u32::try_from(content.len()).map_err(too_long)?;
        let name_size = u32::try_from(name.len() + 1).map_err(too_long)?;
        self.entries += 1;
        write!(self.out, "070701")?;
        // Inode, mode, user, group, links, time, size, two devices of two numbers, length of the name, unused.
        for field in [self.entries, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0] {
            write!(self.out, "{field:08x}")?;
        }
        const HEADER: usize = 6 + 13 * 8;
        self.out.write_all(name)?;
        self.out.write_all(&[0])?;
        self.pad(HEADER + name.len() + 1)?;
        self.out.write_all(content)?;
        self.pad(content.len())
    }

    fn pad(&mut self, written: usize) -> io::Result<()> {
        let zeroes = written.next_multiple_of(ALIGNMENT) - written;
        self.out.write_all(&[0; ALIGNMENT][..zeroes])
    }
}

/// Names in an archive start at its root.
fn inside(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and contents, read by the form's definition.
    fn read(mut bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut all = Vec::new();
        loop {
            assert_eq!(&bytes[..6], b"070701");
            let field = |number: usize| {
                let digits = std::str::from_utf8(&bytes[6 + number * 8..][..8]).expect("digits");
                u32::from_str_radix(digits, 16).expect("hexadecimal")
            };
            let (mode, size, name_size) = (field(1), field(6) as usize, field(11) as usize);
            let name = String::from_utf8(bytes[110..110 + name_size - 1].to_vec()).expect("a name");
            let start = (110 + name_size).next_multiple_of(4);
            let content = bytes[start..start + size].to_vec();
            bytes = &bytes[(start + size).next_multiple_of(4)..];
            if name == "TRAILER!!!" {
                assert!(bytes.is_empty());
                return all;
            }
            all.push((name, mode, content));
        }
    }

    #[test]
    fn folders_come_once_and_before_what_is_in_them() {
        let mut archive = Archive::new(Vec::new());
        archive.folder(Path::new("/proc")).expect("memory");
        for (path, content) in [("/a/b/c", &b"12345"[..]), ("/a/d", b""), ("e", b"1234")] {
            archive.file(Path::new(path), content).expect("memory");
        }
        let bytes = archive.finish().expect("memory");
        let entry = |name: &str, mode, content: &[u8]| (name.to_owned(), mode, content.to_vec());
        let expected = [
            entry("proc", DIRECTORY, b""),
            entry("a", DIRECTORY, b""),
            entry("a/b", DIRECTORY, b""),
            entry("a/b/c", PROGRAM, b"12345"),
            entry("a/d", PROGRAM, b""),
            entry("e", PROGRAM, b"1234"),
        ];
        assert_eq!(read(&bytes), expected);
    }
}
