//! Random reads of a disk whose blocks begin with their own numbers: `read DEPTH COUNT` is answered by `ok NANOSECONDS`, or
//! by `bad BLOCK` for one that was read wrongly.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;

use embedded_io_async::{Read, Write};
use freestone::block::{Disk, PageBuffer};
use freestone::dma::Buffer;
use freestone::memory::Zone;
use freestone::net::TcpStream;
use freestone::{task, time};

const BLOCK: usize = 4096;
const SECTORS: u64 = 8;

/// Answers one line that comes over the network.
pub async fn serve(mut stream: TcpStream, disk: Disk) {
    let mut line = [0; 64];
    let mut len = 0;
    while !line[..len].contains(&b'\n') {
        match stream.read(&mut line[len..]).await {
            Ok(count @ 1..) => len += count,
            Ok(0) | Err(_) => return,
        }
    }
    let text = core::str::from_utf8(&line[..len]).unwrap_or_default();
    let _ = stream.write_all(answer(text, disk).await.as_bytes()).await;
}

/// The answer to such a line.
pub async fn answer(line: &str, disk: Disk) -> String {
    let mut words = line.split_ascii_whitespace().skip(1).map_while(|word| word.parse().ok());
    match (words.next(), words.next()) {
        (Some(depth @ 1..=64), Some(count)) => measure(disk, depth, count).await,
        _ => "read DEPTH COUNT, at most 64 at once\n".into(),
    }
}

async fn measure(disk: Disk, depth: u64, count: u64) -> String {
    let seed = Rc::new(Cell::new(0x9e37_79b9_7f4a_7c15_u64));
    let left = Rc::new(Cell::new(count));
    let began = time::now();
    let all: Vec<_> = (0..depth)
        .map(|_| task::spawn(read(disk.clone(), Rc::clone(&seed), Rc::clone(&left))))
        .collect();
    let mut bad = None;
    for one in all {
        bad = bad.or(one.await.ok().flatten());
    }
    match bad {
        Some(block) => format!("bad {block}\n"),
        None => format!("ok {}\n", (time::now() - began).as_nanos()),
    }
}

/// Reads until all have been read. The block that was wrong, if one was.
async fn read(disk: Disk, seed: Rc<Cell<u64>>, left: Rc<Cell<u64>>) -> Option<u64> {
    let mut buffer = PageBuffer::new(Buffer::zeroed(BLOCK, Zone::Any).ok()?);
    while let Some(rest) = left.get().checked_sub(1) {
        left.set(rest);
        let mut x = seed.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        seed.set(x);
        let block = x % (disk.sectors() / SECTORS);
        let Ok(done) = disk.read(block * SECTORS, buffer).await else { return Some(block) };
        let number = done.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        if number != Some(block) {
            return Some(block);
        }
        buffer = done;
    }
    None
}
