//! Random reads of 4 KiB, which the guest does when it is asked over TCP.

use std::io::{Read, Write};
use std::path::Path;
use std::time::Instant;

use super::{Amount, Outcome, connect_to_service};
use crate::Result;

const PORT: u16 = 5003;
const BLOCK: usize = 4096;
const BLOCKS: u64 = 16 * 1024;

/// Writes the disk's image, 64 MiB: each block begins with its number, 64 bits, least significant byte first.
pub fn write_image(path: &Path) -> Result<()> {
    let mut image = vec![0; BLOCK * BLOCKS as usize];
    for (block, number) in image.chunks_exact_mut(BLOCK).zip(0u64..) {
        block[..8].copy_from_slice(&number.to_le_bytes());
    }
    std::fs::write(path, image)?;
    Ok(())
}

/// Has the guest read, with `depth` reads in flight. The time is the host's, one exchange over TCP included.
///
/// # Errors
///
/// No such service, or a block that was not the one that was asked for.
pub fn random_reads(depth: u32, amount: Amount) -> Result<Outcome> {
    let Amount::Count(count) = amount else { return Err("reads are asked for by number".into()) };
    let mut stream = connect_to_service(PORT)?;
    // How many seconds the slowest guest needs is not known: only one that is stuck takes a minute.
    stream.set_read_timeout(Some(std::time::Duration::from_secs(60)))?;
    let start = Instant::now();
    stream.write_all(format!("read {depth} {count}\n").as_bytes())?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    let took = start.elapsed();
    if !reply.starts_with("ok ") {
        return Err(format!("the guest read something else: {reply:?}").into());
    }
    Ok(Outcome { done: count, failed: 0, took, longest: None })
}
