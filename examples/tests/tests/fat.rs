//! The FAT over bytes in memory, beside `mkfs.vfat`, `fsck.vfat` and mtools.

use std::io::{self, Cursor, ErrorKind, Read as _, Seek as _, Write as _};
use std::process::{Command, Stdio};
use std::{env, fs, process};

use embedded_io_async::{ErrorType, Read, Seek, SeekFrom, Write};
use examples_tests::run;
use hadris_fat::error::Error;
use hadris_fat::time::EpochTimeProvider;

/// A disk that does so many calls and no more.
struct Disk {
    bytes: Cursor<Vec<u8>>,
    calls: usize,
}

impl Disk {
    fn new(bytes: Vec<u8>) -> Disk {
        Disk { bytes: Cursor::new(bytes), calls: usize::MAX }
    }

    fn call(&mut self) -> io::Result<&mut Cursor<Vec<u8>>> {
        self.calls = self.calls.checked_sub(1).ok_or(ErrorKind::TimedOut)?;
        Ok(&mut self.bytes)
    }
}

impl ErrorType for Disk {
    type Error = io::Error;
}

impl Read for Disk {
    async fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.call()?.read(bytes)
    }
}

impl Write for Disk {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let disk = self.call()?;
        let rest = disk.get_ref().len().saturating_sub(disk.position() as usize);
        disk.write(&bytes[..bytes.len().min(rest)])
    }
    async fn flush(&mut self) -> io::Result<()> {
        self.call().map(drop)
    }
}

impl Seek for Disk {
    async fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.call()?.seek(to.into())
    }
}

/// An image, while programs work with it.
struct Image(String);

impl Image {
    /// A fresh FAT; each test has another `name`.
    fn new(name: &str, bits: u8, kib: u32) -> Image {
        let path = env::temp_dir().join(format!("example-{}-{name}-{bits}", process::id()));
        let image = Image(path.to_str().unwrap().into());
        image.ran("mkfs.vfat", &["-F", &bits.to_string(), "-C", &image.0, &kib.to_string()], b"");
        image
    }

    fn ran(&self, program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect(program);
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}");
        output.stdout
    }

    fn copy_in(&self, path: &str, content: &[u8]) {
        self.ran("mcopy", &["-i", &self.0, "-", &format!("::{path}")], content);
    }

    fn disk(&self) -> Disk {
        Disk::new(fs::read(&self.0).unwrap())
    }

    /// What is in the file, when the image is that of `disk`, in which nothing is broken.
    fn content(&self, disk: &Disk, path: &str) -> Vec<u8> {
        fs::write(&self.0, disk.bytes.get_ref()).unwrap();
        self.ran("fsck.vfat", &["-n", &self.0], b"");
        self.ran("mtype", &["-i", &self.0, &format!("::{path}")], b"")
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at / 7 + at) as u8).collect()
}

async fn read(disk: &mut Disk, path: &str) -> Result<Vec<u8>, Error> {
    let volume = fat::mount(disk, &EpochTimeProvider).await?;
    let mut found = Vec::new();
    fat::read(&volume, path, |piece| found.extend_from_slice(piece)).await?;
    Ok(found)
}

async fn write(disk: &mut Disk, name: &str, content: &[u8]) -> Result<(), Error> {
    fat::write(&fat::mount(disk, &EpochTimeProvider).await?, name, content).await
}

#[test]
fn files_are_what_other_programs_take_them_for() {
    for (bits, kib) in [(12, 1440), (16, 16384), (32, 66000)] {
        let image = Image::new("others", bits, kib);
        image.ran("mmd", &["-i", &image.0, "::/FOLDER"], b"");
        image.copy_in("/FOLDER/a long name.bin", &bytes(50_001));
        image.copy_in("/empty", b"");
        let mut disk = image.disk();
        assert!(run(read(&mut disk, "/FOLDER/a long name.bin")).unwrap() == bytes(50_001));
        assert_eq!(run(read(&mut disk, "empty")).unwrap(), b"");
        assert!(matches!(run(read(&mut disk, "nothing")), Err(Error::EntryNotFound)));
        // Longer and shorter ones in the place of one that is there.
        for len in [1, 40_000, 512, 0, 4096] {
            run(write(&mut disk, "One of ours.txt", &bytes(len))).unwrap();
            assert!(image.content(&disk, "/One of ours.txt") == bytes(len), "FAT{bits}, {len}");
        }
        let volume = run(fat::mount(&mut disk, &EpochTimeProvider)).unwrap();
        let mut names: Vec<_> = run(fat::list(&volume)).unwrap();
        names.sort_by_key(|entry| entry.len());
        let names: Vec<_> = names.iter().map(|entry| entry.name()).collect();
        assert_eq!(names, ["FOLDER", "empty", "One of ours.txt"]);
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let mut disk = Image::new("full", 12, 160).disk();
    let failed = run(write(&mut disk, "LARGE", &bytes(200 << 10)));
    assert!(matches!(failed, Err(Error::NoFreeSpace)), "{failed:?}");
}

#[test]
fn a_file_without_its_end_is_an_error() {
    let image = Image::new("cut", 12, 1440);
    image.copy_in("/FILE", &bytes(5000));
    let mut disk = image.disk();
    // On a diskette 9 sectors each for both tables of clusters, behind the first sector; their first 3 bytes stand for no cluster.
    for table in [512, 10 * 512] {
        disk.bytes.get_mut()[table + 3..table + 9 * 512].fill(0);
    }
    assert!(run(read(&mut disk, "/FILE")).is_err());
}

#[test]
fn what_the_disk_fails_is_an_error_at_every_call() {
    let image = Image::new("fails", 12, 1440);
    image.copy_in("/FILE", &bytes(3000));
    let fresh = image.disk().bytes.into_inner();
    for calls in 0.. {
        let mut disk = Disk { calls, ..Disk::new(fresh.clone()) };
        let done = run(async {
            let found = read(&mut disk, "/FILE").await?;
            write(&mut disk, "OURS", &found).await
        });
        if done.is_ok() {
            assert!(calls > 20 && disk.calls == 0, "{calls} calls");
            assert!(image.content(&disk, "/OURS") == bytes(3000));
            return;
        }
        let is_disks = matches!(done, Err(Error::Io(_) | Error::IoContext { .. }));
        assert!(is_disks, "{calls} calls: {done:?}");
    }
}
