//! `run --trace`: the devices that a boot accessed, from QEMU's trace of every access.
//!
//! QEMU's trace events `memory_region_ops_read` and `_write` have a line for each access to a port or a
//! register that a device answers, with the device's name. They come through a pipe and are counted at once, since a
//! boot may have any number of them. The firmware's accesses, before the kernel starts, are among them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, PipeWriter, Read};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::thread::{self, JoinHandle};

/// Longer lines are not QEMU's.
const LONGEST: u64 = 4096;

/// More names than any machine has devices.
const MOST_DEVICES: usize = 1024;

const EVENTS: [&str; 2] = ["memory_region_ops_read", "memory_region_ops_write"];

/// What one device was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Accesses {
    reads: u64,
    writes: u64,
    lowest: u64,
    highest: u64,
}

/// What QEMU writes, being summed up.
pub struct Log {
    theirs: PipeWriter,
    summary: JoinHandle<io::Result<String>>,
}

impl Log {
    /// For the QEMU that `command` will start.
    pub fn new(command: &mut Command) -> io::Result<Log> {
        let (ours, theirs) = io::pipe()?;
        let number = theirs.as_raw_fd();
        // SAFETY: two integers for a file descriptor that `theirs` holds open; only the flag that closes it
        // in children is cleared.
        unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
        for event in EVENTS {
            command.args(["-trace", &format!("enable={event}")]);
        }
        command.args(["-D", &format!("/dev/fd/{number}")]);
        let summary = thread::spawn(|| summary(BufReader::with_capacity(1 << 16, ours)));
        Ok(Log { theirs, summary })
    }

    /// The summary, a line for each device, the busiest first. To be asked for when QEMU has ended.
    pub fn summary(self) -> io::Result<String> {
        // The last end of the pipe that writes.
        drop(self.theirs);
        self.summary.join().expect("it does not panic")
    }
}

fn summary(mut log: impl BufRead) -> io::Result<String> {
    let mut devices: BTreeMap<String, Accesses> = BTreeMap::new();
    let mut line = Vec::new();
    while log.by_ref().take(LONGEST).read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        if let Some((is_write, address, name)) = access(text.trim_end_matches('\n')) {
            let is_known = devices.len() < MOST_DEVICES || devices.contains_key(name);
            let name = if is_known { name } else { "(others)" };
            let none = Accesses { reads: 0, writes: 0, lowest: address, highest: address };
            let sums = devices.entry(name.to_owned()).or_insert(none);
            sums.reads += u64::from(!is_write);
            sums.writes += u64::from(is_write);
            sums.lowest = sums.lowest.min(address);
            sums.highest = sums.highest.max(address);
        }
        line.clear();
    }
    let mut rows: Vec<_> = devices.into_iter().collect();
    rows.sort_by_key(|(_, sums)| std::cmp::Reverse(sums.reads + sums.writes));
    let mut text = format!("{:<24} {:>9} {:>9}  addresses", "device", "reads", "writes");
    for (name, Accesses { reads, writes, lowest, highest }) in rows {
        let _ = write!(text, "\n{name:<24} {reads:>9} {writes:>9}  {lowest:#x}");
        if highest > lowest {
            let _ = write!(text, "..={highest:#x}");
        }
    }
    Ok(text)
}

/// Whether it was a write, where, and to which device.
fn access(line: &str) -> Option<(bool, u64, &str)> {
    let event = EVENTS.iter().position(|event| line.contains(event))?;
    let (_, rest) = line.split_once(" addr 0x")?;
    let address = u64::from_str_radix(rest.split(' ').next()?, 16).ok()?;
    // QEMU before 6.1 does not tell the name.
    let name = rest.split_once("name '").and_then(|(_, name)| name.strip_suffix('\''));
    Some((event == 1, address, name.unwrap_or("(not told)")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accesses_are_summed_up_by_device() {
        let log = "\
memory_region_ops_write cpu 0 mr 0x1 addr 0xcf8 value 0x80000000 size 4 name 'io'
memory_region_ops_read cpu 0 mr 0x2 addr 0x3fd value 0x60 size 1 name 'serial'
memory_region_ops_write cpu 0 mr 0x2 addr 0x3f8 value 0xa size 1 name 'serial'
memory_region_ops_read cpu 0 mr 0x2 addr zzz
something else
memory_region_ops_read cpu 0 mr 0x2 addr 0xfee00030 value 0x60 size 1
";
        let text = summary(log.as_bytes()).unwrap();
        let lines: Vec<_> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
        assert_eq!(lines[1], ["serial", "1", "1", "0x3f8..=0x3fd"]);
        assert_eq!(lines[2], ["(not", "told)", "1", "0", "0xfee00030"]);
        assert_eq!(lines[3], ["io", "0", "1", "0xcf8"]);
    }
}
