//! A tar archive of a few small files, the same bytes each time: root's, of the epoch, in the order given.
//!
//! Source: POSIX.1-2017, `pax`, "ustar Interchange Format".

/// The unit of the archive; two of zeros end it.
const BLOCK: usize = 512;

/// The longest name that needs no second field.
const LONGEST_NAME: usize = 100;

/// What goes in.
pub enum Entry<'a> {
    Folder(&'a str),
    File(&'a str, &'a [u8]),
}

/// The archive. Names are ours: relative, and no longer than [`LONGEST_NAME`].
pub fn of(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        let (name, kind, mode, content) = match *entry {
            Entry::Folder(name) => (name, b'5', 0o755, &[][..]),
            Entry::File(name, content) => (name, b'0', 0o644, content),
        };
        bytes.extend(header(name, kind, mode, content.len()));
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    }
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    bytes
}

/// Fields of the header, by offset and length: name 0+100, mode 100+8, uid 108+8, gid 116+8, size 124+12, mtime 136+12,
/// checksum 148+8, type 156, magic 257+6, version 263+2.
fn header(name: &str, kind: u8, mode: u32, len: usize) -> [u8; BLOCK] {
    assert!(name.len() <= LONGEST_NAME, "{name} is not one of ours");
    let mut header = [0; BLOCK];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, &format!("{mode:07o}"));
    put(108, &format!("{:07o}", 0));
    put(116, &format!("{:07o}", 0));
    put(124, &format!("{len:011o}"));
    put(136, &format!("{:011o}", 0));
    put(148, "        ");
    put(257, "ustar");
    put(263, "00");
    header[156] = kind;
    // Of all bytes, with spaces in its own place.
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn tar_reads_it() {
        let content = [b'x'; 700];
        let archive =
            of(&[Entry::Folder("d/"), Entry::File("d/f", &content), Entry::File("e", b"")]);
        assert_eq!(archive.len(), (1 + 1 + 2 + 1 + 2) * BLOCK);
        let mut tar = Command::new("tar");
        let tar = tar.args(["-tv", "--numeric-owner", "--utc"]).env("LC_ALL", "C");
        let mut child = tar.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("tar");
        child.stdin.take().unwrap().write_all(&archive).unwrap();
        let listed = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let columns: Vec<Vec<_>> =
            listed.lines().map(|line| line.split_whitespace().collect()).collect();
        let expected = [
            ["drwxr-xr-x", "0/0", "0", "1970-01-01", "00:00", "d/"],
            ["-rw-r--r--", "0/0", "700", "1970-01-01", "00:00", "d/f"],
            ["-rw-r--r--", "0/0", "0", "1970-01-01", "00:00", "e"],
        ];
        assert_eq!(columns, expected);
    }
}
