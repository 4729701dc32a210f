//! Anything as a disk: opening it ends, and so does everything that is asked of the store then, without a panic.
//!
//! The input is cut into blocks of 512 bytes: the superblock, then the first blocks of segments. Where its first byte is odd, checks
//! are put right, so that what is behind them is reached.
#![no_main]

use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Waker};

use freestone_store::{Disk, DiskError, Options, SECTOR_BYTES, Store};
use libfuzzer_sys::fuzz_target;
use twox_hash::XxHash64;

const AREA: usize = 64 << 10;
const SEGMENT: usize = 64 << 10;
const BYTES: usize = AREA + 17 * SEGMENT;

#[derive(Clone)]
struct Memory(Rc<RefCell<Vec<u8>>>);

struct Part(Vec<u8>, usize);

impl std::ops::Deref for Part {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0[..self.1]
    }
}

impl std::ops::DerefMut for Part {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0[..self.1]
    }
}

impl Disk for Memory {
    type Buffer = Part;

    fn sectors(&self) -> u64 {
        (BYTES / SECTOR_BYTES) as u64
    }

    fn block_bytes(&self) -> usize {
        SECTOR_BYTES
    }

    fn is_read_only(&self) -> bool {
        false
    }

    fn buffer(&self, bytes: usize) -> Option<Part> {
        Some(Part(vec![0; bytes], bytes))
    }

    fn resize(&self, buffer: &mut Part, bytes: usize) {
        buffer.1 = bytes;
    }

    async fn read(&self, sector: u64, mut buffer: Part) -> Result<Part, DiskError> {
        let len = buffer.len();
        buffer.copy_from_slice(&self.0.borrow()[sector as usize * SECTOR_BYTES..][..len]);
        Ok(buffer)
    }

    async fn write(&self, sector: u64, buffer: Part) -> Result<Part, DiskError> {
        let at = sector as usize * SECTOR_BYTES;
        self.0.borrow_mut()[at..at + buffer.len()].copy_from_slice(&buffer);
        Ok(buffer)
    }

    async fn flush(&self) -> Result<(), DiskError> {
        Ok(())
    }
}

/// Puts right what a superblock and batches are checked by.
fn forge(bytes: &mut [u8]) {
    bytes[..8].copy_from_slice(b"FREESTKV");
    bytes[8..12].copy_from_slice(&1_u32.to_le_bytes());
    bytes[32..36].copy_from_slice(&(SEGMENT as u32).to_le_bytes());
    bytes[36..40].copy_from_slice(&512_u32.to_le_bytes());
    bytes[40..44].copy_from_slice(&17_u32.to_le_bytes());
    let check = XxHash64::oneshot(0, &bytes[..SECTOR_BYTES - 8]);
    bytes[SECTOR_BYTES - 8..SECTOR_BYTES].copy_from_slice(&check.to_le_bytes());
    let id = u64::from_le_bytes(bytes[16..24].try_into().expect("8 bytes"));
    for at in (AREA..BYTES).step_by(SECTOR_BYTES) {
        if bytes[at] == 0 {
            continue;
        }
        bytes[at..at + 4].copy_from_slice(b"FBAT");
        // As long as it is, up to a few blocks.
        bytes[at + 6..at + 8].fill(0);
        let len = usize::from(bytes[at + 4]) + usize::from(bytes[at + 5] & 0xf) * 256;
        bytes[at + 5] &= 0xf;
        let header = XxHash64::oneshot(id, &bytes[at..at + 32]);
        bytes[at + 32..at + 40].copy_from_slice(&header.to_le_bytes());
        if let Some(body) = bytes.get(at + 48..at + len) {
            let check = XxHash64::oneshot(header, body);
            bytes[at + 40..at + 48].copy_from_slice(&check.to_le_bytes());
        }
    }
}

/// Polls until the first is ready.
fn run<R>(first: impl Future<Output = R>, second: impl Future<Output = ()>) -> R {
    let (mut first, mut second) = (pin!(first), Box::pin(second));
    let mut context = Context::from_waker(Waker::noop());
    let mut is_over = false;
    for _ in 0..1_000_000 {
        if let std::task::Poll::Ready(output) = first.as_mut().poll(&mut context) {
            return output;
        }
        is_over = is_over || Pin::as_mut(&mut second).poll(&mut context).is_ready();
    }
    panic!("it does not end");
}

fuzz_target!(|input: &[u8]| {
    let Some((&choice, input)) = input.split_first() else { return };
    let mut bytes = vec![0; BYTES];
    for (number, block) in input.chunks(SECTOR_BYTES).enumerate() {
        // Two blocks at the beginning of each of the first segments.
        let at = match number {
            0 => 0,
            number => AREA + (number - 1) / 2 * SEGMENT + (number - 1) % 2 * SECTOR_BYTES,
        };
        bytes[at..at + block.len()].copy_from_slice(block);
    }
    if choice & 1 != 0 {
        forge(&mut bytes);
    }
    let options =
        Options { salvage: choice & 2 != 0, segment_bytes: Some(SEGMENT), ..Options::default() };
    let opening = Store::open(Memory(Rc::new(RefCell::new(bytes))), options);
    let Ok((store, runner)) = run(opening, async {}) else { return };
    let work = async {
        for key in store.list(b"", None, 20).unwrap_or_default() {
            let _ = store.get(&key).await;
            let _ = store.delete(&key).await;
        }
        for number in 0..60_u8 {
            let _ = store.put(&[number % 20], &vec![number; 4096]).await;
        }
        let _ = (store.stats(), store.state(), store.close().await);
    };
    run(work, runner.run());
});
