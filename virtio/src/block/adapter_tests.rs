//! The disk as file systems take it: a FAT that `mkfs.vfat` has made is mounted on it by a crate from crates.io, and what that
//! writes `mtools` read.

use std::process::Command;
use std::vec::Vec;
use std::{env, format, fs, println, process};

use aligned::{A4, Aligned};
use block_device_driver::BlockDevice;
use embedded_io_async::{Read, Seek, SeekFrom, Write};
use hadris_fat::r#async::{FatVolume, FatVolumeWriteExt};

use super::tests::{Clock, SECTORS, Task, attention, bring_up, model, settle};
use super::*;
use crate::model::{EVENTS, Model};

const BYTES: usize = SECTORS as usize * SECTOR_BYTES;

/// Runs `work` with a disk that has that content, and gives the content afterwards.
fn with_disk<'a, F: Future + 'a>(
    model: &'a Model,
    mut medium: Vec<u8>,
    work: impl FnOnce(Disk<&'a Model, crate::model::Host>) -> F,
) -> (F::Output, Vec<u8>) {
    let sectors = (medium.len() / SECTOR_BYTES) as u64;
    model.config.borrow_mut()[..8].copy_from_slice(&sectors.to_le_bytes());
    let attention = attention();
    let (disk, mut runner) = bring_up(model, attention, &Clock::default());
    let mut task = [Task::new(work(disk))];
    settle(model, attention, &mut medium, &mut runner, &mut task);
    let [task] = task;
    (task.output.expect("it ends"), medium)
}

#[test]
fn blocks_are_read_and_written() {
    let model = model(EVENTS);
    let medium: Vec<u8> = (0..BYTES).map(|at| (at / 100) as u8).collect();
    let (_, medium) = with_disk(&model, medium.clone(), async |disk| {
        let mut blocks = Blocks::new(disk);
        assert_eq!(BlockDevice::<512>::size(&mut blocks).await, Ok(BYTES as u64));
        let mut data = [Aligned::<A4, _>([0; 1024]); 3];
        blocks.read(5, &mut data).await.expect("read");
        let bytes = data.iter().flat_map(|block| block.iter().copied());
        assert!(bytes.eq(medium[5 * 1024..8 * 1024].iter().copied()));
        blocks.write(2, &[Aligned::<A4, _>([9; 512])]).await.expect("written");
        let nothing: &mut [Aligned<A4, [u8; 512]>] = &mut [];
        assert_eq!(blocks.read(u32::MAX, nothing).await, Ok(()));
        let beyond = blocks.read(u32::MAX, &mut [Aligned::<A4, _>([0; 512])]).await;
        assert_eq!(beyond, Err(Error::OutOfRange));
    });
    assert!(medium[1024..1536] == [9; 512] && medium[1023] == 10 && medium[1536] == 15);
}

/// In steps of any length, as a plain array does it.
#[test]
fn a_stream_is_what_an_array_is() {
    let model = model(EVENTS);
    let mut naive: Vec<u8> = (0..BYTES - 512).map(|at| (at / 77) as u8).collect();
    let ((), medium) = with_disk(&model, naive.clone(), async |disk| {
        let mut stream = Stream::new(disk);
        let mut at = 0;
        for round in 0..400_usize {
            let to = (round * 7919) % (naive.len() + 10);
            let len = (round * 131) % 9000;
            if round % 3 != 0 {
                at = stream.seek(SeekFrom::Start(to as u64)).await.expect("sought") as usize;
            }
            let end = naive.len().min(at + len);
            if round % 2 == 0 {
                let bytes: Vec<u8> = (0..len).map(|one| (one * 3 + round) as u8).collect();
                let written = stream.write_all(&bytes).await;
                assert_eq!(written.is_ok(), at + len <= naive.len() || len == 0, "{round}");
                if at < end {
                    naive[at..end].copy_from_slice(&bytes[..end - at]);
                }
            } else {
                let mut bytes = std::vec![0; len];
                let read = stream.read_exact(&mut bytes).await;
                assert_eq!(read.is_ok(), at + len <= naive.len() || len == 0, "{round}");
                if at < end {
                    assert!(bytes[..end - at] == naive[at..end], "{round}");
                }
            }
            at = at.max(end);
            assert_eq!(stream.seek(SeekFrom::Current(0)).await, Ok(at as u64));
        }
        assert_eq!(stream.seek(SeekFrom::End(-5)).await, Ok(naive.len() as u64 - 5));
        assert_eq!(stream.seek(SeekFrom::End(-1 << 40)).await, Err(Error::OutOfRange));
        stream.flush().await.expect("flushed");
    });
    assert!(medium == naive);
}

/// The traits' other names.
struct Bytes<S>(S);

impl<S: Read> hadris_fat::r#async::Read for Bytes<S> {
    type Error = S::Error;

    async fn read(&mut self, bytes: &mut [u8]) -> hadris_fat::r#async::IoResult<usize, S::Error> {
        self.0.read(bytes).await.map_err(hadris_fat::r#async::Error::from_source)
    }
}

impl<S: Write> hadris_fat::r#async::Write for Bytes<S> {
    type Error = S::Error;

    async fn write(&mut self, bytes: &[u8]) -> hadris_fat::r#async::IoResult<usize, S::Error> {
        self.0.write(bytes).await.map_err(hadris_fat::r#async::Error::from_source)
    }

    async fn flush(&mut self) -> hadris_fat::r#async::IoResult<(), S::Error> {
        self.0.flush().await.map_err(hadris_fat::r#async::Error::from_source)
    }
}

impl<S: Seek> hadris_fat::r#async::Seek for Bytes<S> {
    type Error = S::Error;

    async fn seek(&mut self, to: SeekFrom) -> hadris_fat::r#async::IoResult<u64, S::Error> {
        self.0.seek(to).await.map_err(hadris_fat::r#async::Error::from_source)
    }
}

#[test]
fn a_file_system_is_mounted() {
    let path = env::temp_dir().join(format!("freestone-fat-{}", process::id()));
    let _ = fs::remove_file(&path);
    let ran = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        assert!(output.status.success(), "{program}: {output:?}");
        Some(output.stdout)
    };
    let image = path.to_str().expect("text");
    if ran("mkfs.vfat", &["-C", image, "1440"]).is_none()
        || ran("mmd", &["-i", image, "::/ONE"]).is_none()
    {
        println!("SKIPPED: on Debian, apt-get install dosfstools mtools");
        return;
    }
    let content: Vec<u8> = (0..30_000).map(|at| (at / 13) as u8).collect();
    let file = path.with_extension("file");
    fs::write(&file, &content).expect("a file");
    ran("mcopy", &["-i", image, file.to_str().expect("text"), "::/ONE/FILE.BIN"]);

    let model = model(EVENTS | 1 << 9);
    let medium = fs::read(&path).expect("an image");
    let ((), medium) = with_disk(&model, medium, async |disk| {
        let volume = FatVolume::open(Bytes(Stream::new(disk))).await.expect("a FAT");
        let mut reader = volume.open_file_path("/ONE/FILE.BIN").await.expect("a file");
        assert!(reader.read_to_vec().await.expect("its content") == content);
        let root = volume.root_dir();
        let entry = volume.create_file(&root, "OURS.BIN").await.expect("a new file");
        let mut writer = volume.write_file(&entry).expect("to be written");
        let mut rest = &content[..];
        while !rest.is_empty() {
            let written = writer.write(rest).await.expect("written");
            rest = &rest[written..];
        }
        writer.finish().await.expect("finished");
    });
    fs::write(&path, medium).expect("the image");
    let read = ran("mtype", &["-i", image, "::/OURS.BIN"]).expect("mtools were here");
    assert!(read == content);
    let _ = (fs::remove_file(&path), fs::remove_file(&file));
}
