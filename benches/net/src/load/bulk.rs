//! Bulk TCP, one connection, in units of a MiB.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use super::{Amount, Outcome, connect_to_service};
use crate::Result;

const SINK: u16 = 5001;
const SOURCE: u16 = 5002;
const MIB: u64 = 1 << 20;
const PIECE: usize = 256 * 1024;

/// Writes to the guest's sink. The time ends when the guest has seen the end of the stream.
pub fn into_guest(amount: Amount) -> Result<Outcome> {
    let mut stream = connect_to_service(SINK)?;
    let piece = vec![0; PIECE];
    let start = Instant::now();
    let mut bytes = 0;
    while !amount.is_reached(bytes / MIB, start) {
        stream.write_all(&piece)?;
        bytes += PIECE as u64;
    }
    stream.shutdown(Shutdown::Write)?;
    // What is still in buffers has not arrived: the guest closes after it has read the last byte.
    wait_for_end(&mut stream)?;
    Ok(outcome(bytes, start))
}

fn wait_for_end(stream: &mut TcpStream) -> Result<()> {
    match stream.read(&mut [0; 64]) {
        Ok(0) => Ok(()),
        Ok(_) => Err("the sink answered something".into()),
        Err(error) => Err(format!("the sink did not close: {error}").into()),
    }
}

/// Reads from the guest's source.
pub fn out_of_guest(amount: Amount) -> Result<Outcome> {
    let mut stream = connect_to_service(SOURCE)?;
    let mut piece = vec![0; PIECE];
    let start = Instant::now();
    let mut bytes = 0;
    while !amount.is_reached(bytes / MIB, start) {
        match stream.read(&mut piece)? {
            0 => return Err("the source ended".into()),
            count => bytes += count as u64,
        }
    }
    Ok(outcome(bytes, start))
}

fn outcome(bytes: u64, start: Instant) -> Outcome {
    Outcome { done: bytes / MIB, failed: 0, took: start.elapsed(), longest: None }
}
